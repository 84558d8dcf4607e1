"""The decoder, fed whole, one byte at a time and in any pieces, with everything wrong once."""

import base64
import hashlib
import tracemalloc
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import CHUNK_HEADER_BYTES_MAX, TRAILER_BYTES_MAX
from objstore.wire.aws_chunked import Decoder, expect_trailers, open_decoder
from objstore.wire.digests import Digests
from objstore.wire.signing import ChunkSigner, Scope, derive_key
from objstore.wire.sigv4 import PayloadMode, Verified
from tests.unit.wire.signed_requests import SECRET, STAMP, Shot, Signer, check

SIGNED = PayloadMode.STREAMING_SIGNED
SIGNED_TRAILER = PayloadMode.STREAMING_SIGNED_TRAILER
UNSIGNED_TRAILER = PayloadMode.STREAMING_UNSIGNED_TRAILER
MODES = (SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER)
SEED = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
SCOPE = Scope("20130524", "us-east-1", "s3")
NAME = "x-amz-checksum-crc32c"
TRAILER = ((NAME, "sOO8/Q=="),)
INCOMPLETE = "IncompleteBody"
MISMATCH = "SignatureDoesNotMatch"
BAD_TRAILER = "MalformedTrailerError"


def signer(seed: str = SEED) -> ChunkSigner:
    return ChunkSigner(key=derive_key(SECRET, SCOPE), timestamp=STAMP, scope=SCOPE, seed=seed)


@dataclass(frozen=True)
class Body:
    """How to frame a body; every field may be set wrong on purpose."""

    chunks: tuple[bytes, ...] = (b"a" * 8192, b"b" * 100)
    mode: PayloadMode = SIGNED
    trailers: tuple[tuple[str, str], ...] = TRAILER
    end: bytes = b"\r\n"
    line_end: bytes = b"\r\n"
    last: bool = True
    trailer_signature: str | None = ""

    def encode(self) -> bytes:
        chain, out = signer(), bytearray()
        for data in (*self.chunks, *([b""] if self.last else [])):
            out += b"%x" % len(data)
            if self.mode.chunks_signed:
                out += f";chunk-signature={chain.sign_chunk(hashlib.sha256(data))}".encode()
            out += b"\r\n" + data + (b"\r\n" if data else b"")
        if self.mode.has_trailer:
            lines = "".join(f"{name}:{value}\n" for name, value in self.trailers).encode()
            out += lines.replace(b"\n", self.line_end)
            if self.mode.chunks_signed and self.trailer_signature is not None:
                made = chain.sign_trailer(hashlib.sha256(lines))
                out += f"x-amz-trailer-signature:{self.trailer_signature or made}\r\n".encode()
        return bytes(out + self.end)

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)

    def decoder(self, size: int | None = None, declared: Iterable[str] = (NAME,)) -> Decoder:
        return Decoder(
            decoded_bytes=len(self.data) if size is None else size,
            signer=signer() if self.mode.chunks_signed else None,
            trailers=frozenset(declared) if self.mode.has_trailer else None,
        )


def run(decoder: Decoder, pieces: Iterable[bytes]) -> tuple[bytes, str]:
    """Return the data that came out, and the reason of the refusal or ""."""
    out = bytearray()
    try:
        for piece in pieces:
            for view in decoder.feed(piece):
                out += view
        decoder.finish()
    except RequestRefused as refused:
        return bytes(out), refused.reason
    return bytes(out), ""


def one_by_one(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def refusal(decoder_of: Body, data: bytes, size: int | None = None) -> str:
    """Return the reason, after making sure that it does not depend on how data is split."""
    whole = run(decoder_of.decoder(size), [data])[1]
    assert run(decoder_of.decoder(size), one_by_one(data))[1] == whole
    halves = [data[: len(data) // 2], data[len(data) // 2 :]]
    assert run(decoder_of.decoder(size), halves)[1] == whole
    return whole


# --- what is accepted -------------------------------------------------------------------


def test_awss_worked_example() -> None:
    """AWS: "Signature Calculations for the Authorization Header: Transferring Payload in Multiple
    Chunks", 66,560 bytes "a" in chunks of 65,536, 1,024 and 0 bytes."""
    body = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
        b"\r\n" + b"a" * 65536 + b"\r\n"
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"
        b"\r\n" + b"a" * 1024 + b"\r\n"
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"
        b"\r\n\r\n"
    )
    assert len(body) == 66_824  # the Content-Length of the example
    decoder = Decoder(decoded_bytes=66_560, signer=signer(), trailers=None)
    assert run(decoder, [body]) == (b"a" * 66_560, "")
    assert decoder.done


def test_the_seed_is_the_signature_of_the_request() -> None:
    """The same example from its Authorization header on."""
    shot = Shot(
        "PUT",
        "/examplebucket/chunkObject.txt",
        (
            ("host", "s3.amazonaws.com"),
            ("x-amz-date", STAMP),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            ("x-amz-content-sha256", SIGNED.value),
            ("content-encoding", "aws-chunked"),
            ("x-amz-decoded-content-length", "66560"),
            ("content-length", "66824"),
            (
                "authorization",
                (
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20130524/us-east-1/s3/aws4_request,"
                    "SignedHeaders=content-encoding;content-length;host;x-amz-content-sha256;"
                    f"x-amz-date;x-amz-decoded-content-length;x-amz-storage-class,Signature={SEED}"
                ),
            ),
        ),
    )
    verified = check(shot)
    assert isinstance(verified, Verified)
    assert verified.seed is not None
    first = verified.seed.sign_chunk(hashlib.sha256(b"a" * 65536))
    assert first == "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sizes", [(), (1,), (8191,), (8192,), (8192, 1), (9000, 8192, 8192)])
def test_every_mode_and_size(mode: PayloadMode, sizes: tuple[int, ...]) -> None:
    body = Body(tuple(bytes([65 + n]) * size for n, size in enumerate(sizes)), mode)
    decoder = body.decoder()
    assert run(decoder, [body.encode()]) == (body.data, "")
    assert dict(decoder.trailers) == (dict(TRAILER) if mode.has_trailer else {})
    assert decoder.hashes == mode.chunks_signed


@pytest.mark.parametrize("mode", MODES)
def test_one_byte_at_a_time(mode: PayloadMode) -> None:
    body = Body(mode=mode)
    assert run(body.decoder(), one_by_one(body.encode())) == (body.data, "")


@given(st.sampled_from(MODES), st.lists(st.integers(0, 9000), max_size=12))
@settings(max_examples=100)
def test_any_split(mode: PayloadMode, cuts: list[int]) -> None:
    body = Body(mode=mode)
    data = body.encode()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    decoder = body.decoder()
    assert run(decoder, [data[a:b] for a, b in pairwise(edges)]) == (body.data, "")
    assert decoder.done


@pytest.mark.parametrize("mode", [SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_trailer_lines_may_end_with_lf(mode: PayloadMode) -> None:
    body = Body(mode=mode, line_end=b"\n")
    decoder = body.decoder()
    assert run(decoder, one_by_one(body.encode())) == (body.data, "")
    assert decoder.trailers[NAME] == "sOO8/Q=="


def test_a_mode_with_a_trailer_may_declare_none() -> None:
    for mode in (SIGNED_TRAILER, UNSIGNED_TRAILER):
        body = Body(mode=mode, trailers=())
        assert run(body.decoder(declared=()), [body.encode()]) == (body.data, "")


def test_what_botocore_sends() -> None:
    from io import BytesIO

    from botocore.httpchecksum import AwsChunkedWrapper, CrtCrc32cChecksum

    data = bytes(range(256)) * 5000
    wrapper = AwsChunkedWrapper(
        BytesIO(data), checksum_cls=CrtCrc32cChecksum, checksum_name=NAME, chunk_size=65_536
    )
    decoder = Decoder(decoded_bytes=len(data), signer=None, trailers={NAME})
    assert run(decoder, [wrapper.read()]) == (data, "")
    digests = Digests(["CRC32C"])
    digests.update(data)
    expect_trailers(decoder.trailers, digests)
    digests.verify()


def test_data_is_not_copied() -> None:
    body = Body((b"x" * 1_000_000,), UNSIGNED_TRAILER)
    data = body.encode()
    decoder = body.decoder()
    (piece,) = decoder.feed(data)
    assert piece.obj is data
    assert len(piece) == 1_000_000
    decoder.finish()


@pytest.mark.parametrize("mode", MODES)
def test_memory_is_bounded(mode: PayloadMode) -> None:
    body = Body((b"x" * 8_000_000,), mode)
    data = body.encode()
    pieces = [memoryview(data)[at : at + 65_536] for at in range(0, len(data), 65_536)]
    decoder = body.decoder()
    tracemalloc.start()
    for piece in pieces:
        decoder.feed(piece)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoder.done
    assert peak < 100_000


# --- what is refused --------------------------------------------------------------------


@pytest.mark.parametrize("junk", [b"x", b"\r\n", b"0\r\n\r\n", b"\x00" * 10_000])
@pytest.mark.parametrize("mode", MODES)
def test_trailing_junk(mode: PayloadMode, junk: bytes) -> None:
    body = Body(mode=mode)
    assert refusal(body, body.encode() + junk) == INCOMPLETE


@pytest.mark.parametrize("mode", MODES)
def test_n064_cut_anywhere(mode: PayloadMode) -> None:
    body = Body((b"a" * 20,), mode)
    data = body.encode()
    for at in range(len(data)):
        assert run(body.decoder(), [data[:at]])[1] == INCOMPLETE


@pytest.mark.parametrize("mode", MODES)
def test_any_byte_changed_is_refused_or_is_in_unsigned_data(mode: PayloadMode) -> None:
    body = Body((b"a" * 20,), mode)
    data = body.encode()
    for at in range(len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        out, reason = run(body.decoder(), [changed])
        if reason == "":
            # The framing of the unsigned mode guards neither data nor the trailer's value: the
            # checksum in the trailer does.
            assert mode is UNSIGNED_TRAILER
            assert out != body.data or b"a" * 20 in changed
        else:
            assert reason in (INCOMPLETE, MISMATCH, BAD_TRAILER, "InvalidChunkSizeError")


def test_n060_n061_a_wrong_signature() -> None:
    for mode in (SIGNED, SIGNED_TRAILER):
        data = Body(mode=mode).encode()
        at = -1
        for _ in range(3):
            at = data.index(b"chunk-signature=", at + 1)
            digit = at + len(b"chunk-signature=")
            flipped = b"1" if data[digit : digit + 1] == b"0" else b"0"
            wrong = data[:digit] + flipped + data[digit + 1 :]
            assert refusal(Body(mode=mode), wrong) == MISMATCH


def test_chunks_in_another_order() -> None:
    body = Body((b"a" * 8192, b"b" * 8192))
    data = body.encode()
    at = data.index(b"\r\n2000;") + 2
    end = data.index(b"\r\n0;") + 2
    first, second, rest = data[:at], data[at:end], data[end:]
    assert refusal(body, second + first + rest) == MISMATCH
    assert refusal(body, first + first + rest) == MISMATCH


def test_another_seed() -> None:
    body = Body()
    decoder = Decoder(decoded_bytes=len(body.data), signer=signer("0" * 64), trailers=None)
    assert run(decoder, [body.encode()])[1] == MISMATCH


@pytest.mark.parametrize(
    "header",
    [b"5", b"5;", b"5;chunk-signature=", b"5;chunk-signature=abc", b"5;chunk-signature" + b"a" * 64,
     b"5;chunk-signature=" + b"A" * 64, b"5;chunk-signature=" + b"a" * 65, b"5;x=" + b"a" * 64,
     b"5; chunk-signature=" + b"a" * 64],
)  # fmt: skip
def test_n062_no_signature(header: bytes) -> None:
    assert refusal(Body(), header + b"\r\nhello\r\n") == INCOMPLETE


@pytest.mark.parametrize("mode", MODES)
def test_n063_no_last_chunk(mode: PayloadMode) -> None:
    body = Body(mode=mode, last=False, trailers=(), trailer_signature=None, end=b"")
    assert refusal(body, body.encode()) == INCOMPLETE
    assert refusal(body, b"") == INCOMPLETE


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("declared", [0, 1, 8191, 8192, 8291, 8293, 10**12])
def test_n065_more_or_less_than_declared(mode: PayloadMode, declared: int) -> None:
    body = Body(mode=mode)
    assert len(body.data) == 8292
    assert refusal(body, body.encode(), declared) == INCOMPLETE
    assert len(run(body.decoder(declared), [body.encode()])[0]) <= declared


@pytest.mark.parametrize(
    "size",
    [b"-5", b"+5", b"0x5", b" 5", b"5 ", b"1_0", b"", b"g", b"f" * 16, b"f" * 17, b"0" * 300,
     "\uff15".encode(), b"5\x00"],
)  # fmt: skip
def test_n067_a_wrong_size(size: bytes) -> None:
    unsigned = Body(mode=UNSIGNED_TRAILER)
    assert refusal(unsigned, size + b"\r\nhello\r\n0\r\n\r\n") == INCOMPLETE
    header = size + b";chunk-signature=" + b"a" * 64
    assert refusal(Body(), header + b"\r\nhello\r\n") == INCOMPLETE


def test_n068_small_chunks_are_the_last() -> None:
    small = Body((b"a" * 8191, b"b" * 8192))
    assert refusal(small, small.encode()) == "InvalidChunkSizeError"
    assert refusal(replace(small, mode=UNSIGNED_TRAILER), b"") == INCOMPLETE
    free = replace(small, mode=UNSIGNED_TRAILER)
    assert run(free.decoder(), [free.encode()]) == (small.data, "")


def test_data_that_does_not_end_where_it_says() -> None:
    for wrong in (b"5\r\nhelloo\r\n", b"5\r\nhello\n", b"5\r\nhello0\r\n", b"5\nhello\r\n"):
        assert refusal(Body(mode=UNSIGNED_TRAILER), wrong + b"0\r\n\r\n") == INCOMPLETE


def test_headers_are_bounded() -> None:
    long = b"0" * (CHUNK_HEADER_BYTES_MAX + 1)
    assert refusal(Body(mode=UNSIGNED_TRAILER), long) == INCOMPLETE
    decoder = Body(mode=UNSIGNED_TRAILER).decoder()
    with pytest.raises(RequestRefused):
        decoder.feed(b"0" * 10_000_000)


@pytest.mark.parametrize("mode", [SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_n069_a_declared_trailer_is_missing(mode: PayloadMode) -> None:
    body = Body(mode=mode, trailers=())
    assert refusal(body, body.encode()) == BAD_TRAILER
    nothing = replace(body, trailer_signature=None)
    assert refusal(nothing, nothing.encode()) == BAD_TRAILER


@pytest.mark.parametrize("mode", [SIGNED_TRAILER, UNSIGNED_TRAILER])
@pytest.mark.parametrize(
    "trailers",
    [(("x-amz-checksum-sha1", "x"),), (*TRAILER, ("x-other", "1")), (*TRAILER, *TRAILER),
     (("no name", "x"),), ((NAME, "a\x00b"),), ((NAME, "x" * TRAILER_BYTES_MAX),)],
)  # fmt: skip
def test_n070_another_trailer(mode: PayloadMode, trailers: tuple[tuple[str, str], ...]) -> None:
    body = Body(mode=mode, trailers=trailers)
    assert refusal(body, body.encode()) == BAD_TRAILER


def test_n073_the_trailers_signature() -> None:
    body = Body(mode=SIGNED_TRAILER)
    for text, reason in (
        (None, INCOMPLETE),
        ("abc", INCOMPLETE),
        ("A" * 64, INCOMPLETE),
        ("0" * 64, MISMATCH),
    ):
        wrong = replace(body, trailer_signature=text)
        assert refusal(wrong, wrong.encode()) == reason


def test_nothing_follows_the_trailers_signature() -> None:
    body = Body(mode=SIGNED_TRAILER, end=b"")
    line = f"{NAME}:x\r\n\r\n".encode()
    assert refusal(body, body.encode() + line) == BAD_TRAILER
    again = b"x-amz-trailer-signature:" + b"0" * 64 + b"\r\n\r\n"
    assert refusal(body, body.encode() + again) == BAD_TRAILER


def test_a_trailer_in_a_mode_without() -> None:
    body = Body(mode=SIGNED, end=b"")
    assert refusal(body, body.encode() + f"{NAME}:x\r\n\r\n".encode()) == INCOMPLETE


@given(st.sampled_from(MODES), st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_refused(mode: PayloadMode, data: bytes) -> None:
    assert refusal(Body(mode=mode), data) in (INCOMPLETE, MISMATCH, BAD_TRAILER)


# --- from a request ---------------------------------------------------------------------


def opened(mode: str, *fields: tuple[str, str]) -> Decoder | None:
    request = Signer(payload=mode).sign(Shot("PUT").adding(*fields))
    return open_decoder(request.parse(), check(request))


def opening_refusal(mode: str, *fields: tuple[str, str]) -> str:
    with pytest.raises(RequestRefused) as refused:
        opened(mode, *fields)
    return refused.value.reason


LENGTH = ("x-amz-decoded-content-length", "5")


def test_a_plain_body_needs_no_decoder() -> None:
    assert opened("UNSIGNED-PAYLOAD") is None
    assert opened(hashlib.sha256(b"x").hexdigest()) is None


@pytest.mark.parametrize("mode", MODES)
def test_a_decoder_from_a_request(mode: PayloadMode) -> None:
    fields = [("x-amz-trailer", " X-Amz-Checksum-CRC32C ")] if mode.has_trailer else []
    decoder = opened(mode.value, LENGTH, *fields)
    assert decoder is not None
    assert decoder.decoded_bytes == 5
    assert decoder.hashes == mode.chunks_signed


@pytest.mark.parametrize("mode", MODES)
def test_n066_no_decoded_length(mode: PayloadMode) -> None:
    assert opening_refusal(mode.value) == "MissingContentLength"
    for text in ("", "-1", "+1", "0x5", "1_0", "5,5", "1" * 20, "\uff15"):
        wrong = ("x-amz-decoded-content-length", text)
        assert opening_refusal(mode.value, wrong) == "InvalidArgument"


def test_n071_n077_trailers_that_cannot_be() -> None:
    mode = UNSIGNED_TRAILER.value
    for text in ("x-amz-surprise", "", "content-md5", "x-amz-trailer-signature", f"{NAME},"):
        assert opening_refusal(mode, LENGTH, ("x-amz-trailer", text)) == "InvalidRequest"
    two = ("x-amz-trailer", f"{NAME},x-amz-checksum-sha1")
    assert opening_refusal(mode, LENGTH, two) == "InvalidRequest"
    for other in (SIGNED.value, "UNSIGNED-PAYLOAD"):
        assert opening_refusal(other, LENGTH, ("x-amz-trailer", NAME)) == "InvalidRequest"


def test_n072_a_trailers_checksum_is_held_against_the_data() -> None:
    digests = Digests(["CRC32C"])
    digests.update(b"other")
    expect_trailers({NAME: base64.b64encode(bytes(4)).decode()}, digests)
    with pytest.raises(RequestRefused) as refused:
        digests.verify()
    assert refused.value.reason == "BadDigest"
    for trailers in ({NAME: "%%%"}, {NAME: "YQ=="}, {"x-amz-checksum-sha1": "YQ=="}):
        with pytest.raises(RequestRefused) as refused:
            expect_trailers(trailers, digests)
        assert refused.value.reason == "InvalidRequest"

"""Uploads whose framing, chunk signatures, trailers or digests are wrong in one way each."""

import base64
import hashlib
import socket
from dataclasses import replace

import pytest

from tests.e2e.raw_http import (
    CHECKSUM_NAMES,
    SIGNED_CHUNKS,
    SIGNED_CHUNKS_TRAILER,
    UNSIGNED_TRAILER,
    Chunks,
    Shot,
    Signer,
    checksum,
    send,
)
from tests.e2e.refusals import Row, Target, check_row, new_target
from tests.e2e.running import Cluster

DATA = bytes(range(256)) * 1024  # 256 KiB: four chunks
MISMATCH = "403 SignatureDoesNotMatch"
INCOMPLETE = "400 IncompleteBody"
TRAILER = ("x-amz-checksum-crc32", checksum("crc32", DATA))
MODES = (SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER)


def chunked(target: Target, signer: Signer | None = None, **wrong: object) -> Shot:
    """Return a chunked PUT that has something wrong."""
    return Chunks(DATA, **wrong).shot(target.shot("PUT", "new"), signer)  # type: ignore[arg-type]


def with_trailer(target: Target, mode: str, **wrong: object) -> Shot:
    """Return a chunked PUT with a CRC32 trailer."""
    fields: dict[str, object] = {"mode": mode, "trailer": TRAILER} | wrong
    return chunked(target, **fields)  # type: ignore[arg-type]


def first_length(target: Target, length: str) -> Shot:
    """Return an upload whose first chunk has this text for its length (the mode signs none)."""
    shot = with_trailer(target, UNSIGNED_TRAILER)
    return replace(shot, body=shot.body.replace(b"10000\r\n", length.encode() + b"\r\n", 1))


def query_only(target: Target) -> Shot:
    """Return an unsigned-trailer upload whose credentials are in the query, and wrong."""
    shot = chunked(target, mode=UNSIGNED_TRAILER, trailer=TRAILER).without("authorization")
    return Signer(secret_key="wrong").presign(shot)


def unsigned_mode(target: Target) -> Shot:
    """Return a rightly presigned PUT that asks for a mode its signature does not cover."""
    shot = chunked(target, mode=UNSIGNED_TRAILER, trailer=TRAILER).without("authorization")
    return Signer().presign(shot.without("x-amz-date"))


def put(target: Target, name: str, value: str) -> Shot:
    """Return a plain signed PUT with one more header."""
    return Signer().sign(target.put().adding(name, value))


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def no_length(target: Target) -> bytes:
    """Return a PUT that is neither sized nor chunked."""
    sized = Signer().sign(target.put(b"")).encode()
    return sized.replace(b"Content-Length: 0\r\n", b"")


ROWS = [
    *(
        Row(
            f"N060 a chunk's signature, {mode}",
            lambda t, mode=mode, trailer=trailer: chunked(  # type: ignore[misc]
                t, mode=mode, trailer=trailer, corrupt_chunk=1
            ),
            MISMATCH,
        )
        for mode, trailer in ((SIGNED_CHUNKS, None), (SIGNED_CHUNKS_TRAILER, TRAILER))
    ),
    Row("N061 the last signature", lambda t: chunked(t, corrupt_chunk=-1), MISMATCH),
    Row("N062 no signatures", lambda t: chunked(t, drop_signatures=True), INCOMPLETE),
    Row("N063 no last chunk", lambda t: chunked(t, drop_last_chunk=True), INCOMPLETE),
    Row("N064 cut within a chunk", lambda t: chunked(t, cut=1000), INCOMPLETE),
    *(
        Row(
            f"N064 cut, {mode}",
            lambda t, mode=mode: with_trailer(t, mode, cut=100_000),  # type: ignore[misc]
            INCOMPLETE,
        )
        for mode in (SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER)
    ),
    Row("N065 more than declared", lambda t: chunked(t, decoded_length="1000"), INCOMPLETE),
    Row("N065 less than declared", lambda t: chunked(t, decoded_length="300000"), INCOMPLETE),
    Row(
        "N066 no decoded length",
        lambda t: chunked(t, decoded_length=None),
        "411 MissingContentLength",
    ),
    *(
        Row(
            f"N067 chunk length {text!r}",
            lambda t, text=text: first_length(t, text),  # type: ignore[misc]
            f"{INCOMPLETE} | 400 InvalidRequest | 400 InvalidChunkSizeError",
        )
        for text in ("-5", "+10000", "0x10000", " 10000", "1_0000", "ffffffffffffffff", "", "zz")
    ),
    Row(
        "N068 small chunks",
        lambda t: chunked(t, chunk_bytes=1024),
        "400 InvalidChunkSizeError | 403 InvalidChunkSizeError",
    ),
    *(
        Row(
            f"N069 trailer not sent, {mode}",
            lambda t, mode=mode: chunked(t, mode=mode, declared="x-amz-checksum-crc32"),  # type: ignore[misc]
            "400 MalformedTrailerError",
        )
        for mode in (SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER)
    ),
    Row(
        "N070 another trailer",
        lambda t: with_trailer(t, UNSIGNED_TRAILER, declared="x-amz-checksum-sha1"),
        "400 MalformedTrailerError",
    ),
    Row(
        "N071 unknown trailer",
        lambda t: with_trailer(t, UNSIGNED_TRAILER, trailer=("x-amz-surprise", "1")),
        "400 InvalidRequest",
    ),
    *(
        Row(
            f"N072 trailer of other bytes, {mode}, {name}",
            lambda t, mode=mode, name=name: with_trailer(  # type: ignore[misc]
                t, mode, trailer=(f"x-amz-checksum-{name}", checksum(name, b"other"))
            ),
            "400 BadDigest",
        )
        for mode in (SIGNED_CHUNKS_TRAILER, UNSIGNED_TRAILER)
        for name in CHECKSUM_NAMES
    ),
    Row(
        "N073 no trailer signature",
        lambda t: with_trailer(t, SIGNED_CHUNKS_TRAILER, trailer_signature=None),
        f"{INCOMPLETE} | 400 MalformedTrailerError | {MISMATCH}",
    ),
    Row(
        "N073 wrong trailer signature",
        lambda t: with_trailer(t, SIGNED_CHUNKS_TRAILER, trailer_signature="0" * 64),
        MISMATCH,
    ),
    *(
        Row(
            f"N074 wrong seed, {mode}",
            lambda t, mode=mode: chunked(  # type: ignore[misc]
                t, Signer(secret_key="wrong"), mode=mode, trailer=TRAILER
            ),
            MISMATCH,
        )
        for mode in MODES
    ),
    Row("N075 wrong credentials in the query only", query_only, f"{MISMATCH} | 403 AccessDenied"),
    Row("N075 the mode is not signed", unsigned_mode, "403 AccessDenied | 400 InvalidRequest"),
    Row(
        "N076 an upload of a part, wrong seed",
        lambda t: Chunks(DATA, UNSIGNED_TRAILER, trailer=TRAILER).shot(
            replace(t.shot("PUT", "new"), query="partNumber=1&uploadId=abc"),
            Signer(secret_key="wrong"),
        ),
        MISMATCH,
    ),
    Row(
        "N077 header and trailer",
        lambda t: Chunks(DATA, UNSIGNED_TRAILER, trailer=TRAILER).shot(
            t.shot("PUT", "new").adding(*TRAILER)
        ),
        "400 InvalidRequest",
    ),
    Row(
        "N077 two algorithms",
        lambda t: Signer().sign(
            t.put()
            .adding("x-amz-checksum-crc32", checksum("crc32", b"hello"))
            .adding("x-amz-checksum-sha1", checksum("sha1", b"hello"))
        ),
        "400 InvalidRequest",
    ),
    Row("N078 MD5 of other bytes", lambda t: put(t, "Content-MD5", md5(b"x")), "400 BadDigest"),
    Row("N078 MD5 is no base64", lambda t: put(t, "Content-MD5", "%%%"), "400 InvalidDigest"),
    Row("N078 MD5 is too short", lambda t: put(t, "Content-MD5", "YWJj"), "400 InvalidDigest"),
    *(
        Row(
            f"N078 {name} of other bytes",
            lambda t, name=name: put(t, f"x-amz-checksum-{name}", checksum(name, b"x")),  # type: ignore[misc]
            "400 BadDigest",
        )
        for name in CHECKSUM_NAMES
    ),
    Row(
        "N078 a checksum is no base64",
        lambda t: put(t, "x-amz-checksum-crc32", "%%%"),
        "400 InvalidRequest | 400 InvalidDigest",
    ),
    Row("N079 no length", no_length, "411 MissingContentLength"),
    Row(
        "N120 over 5 GiB",
        lambda t: Signer().sign(
            t.put(b"").adding("Content-Length", str(5 * 1024**3 + 1)), "UNSIGNED-PAYLOAD"
        ),
        "400 EntityTooLarge",
    ),
]


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Target:
    return new_target(cluster)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_a_wrong_upload_is_refused(target: Target, row: Row) -> None:
    check_row(target, row)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CHECKSUM_NAMES)
def test_the_same_uploads_made_rightly_are_stored(target: Target, mode: str, name: str) -> None:
    trailer = None if mode == SIGNED_CHUNKS else (f"x-amz-checksum-{name}", checksum(name, DATA))
    shot = Chunks(DATA, mode, trailer=trailer).shot(target.shot("PUT", f"right-{name}"))
    answer = send(target.cluster.address(0), shot)
    assert answer.status == 200, answer
    head = Signer().sign(
        target.shot("GET", f"right-{name}").adding("x-amz-checksum-mode", "ENABLED")
    )
    stored = send(target.cluster.address(0), head)
    assert stored.body == DATA
    assert "aws-chunked" not in stored.headers.get("content-encoding", "")
    if trailer:
        assert stored.headers[trailer[0]] == trailer[1]


@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 65_536, 65_537, 3_000_000])
@pytest.mark.parametrize("mode", MODES)
def test_chunked_bodies_of_every_size(target: Target, mode: str, size: int) -> None:
    data = (DATA * 12)[:size]
    trailer = None if mode == SIGNED_CHUNKS else ("x-amz-checksum-crc32", checksum("crc32", data))
    shot = Chunks(data, mode, trailer=trailer).shot(target.shot("PUT", "sized"))
    assert send(target.cluster.address(0), shot).status == 200
    assert send(target.cluster.address(0), Signer().sign(target.shot(key="sized"))).body == data


@pytest.mark.parametrize("mode", MODES)
def test_a_client_that_hangs_up_leaves_nothing(target: Target, mode: str) -> None:
    """N080: a body shorter than Content-Length, then the connection ends."""
    before = target.stored()
    trailer = None if mode == SIGNED_CHUNKS else TRAILER
    data = Chunks(DATA, mode, trailer=trailer).shot(target.shot("PUT", "cut")).encode()
    for at in (len(data) - 1, len(data) - 300, len(data) // 2):
        with socket.create_connection(target.cluster.address(0), timeout=10) as connection:
            connection.sendall(data[:at])
    target.cluster.wait_until(lambda: target.stored() == before)


def test_a_refused_body_is_never_run_as_the_next_request(target: Target) -> None:
    """N080, N118: the body of a refused PUT is itself a valid, signed PUT."""
    before = target.stored()
    inner = Signer().sign(target.shot("PUT", "smuggled", b"x")).encode()
    outer = Signer(secret_key="wrong").sign(target.put(inner)).adding("Connection", "keep-alive")
    assert send(target.cluster.address(0), outer).code == "SignatureDoesNotMatch"
    assert target.stored() == before


def test_a_gzip_bomb_is_stored_as_it_is(target: Target) -> None:
    """N081: Content-Encoding describes the object; objstore never inflates it."""
    import gzip

    bomb = gzip.compress(bytes(50_000_000))
    shot = Signer().sign(target.shot("PUT", "bomb", bomb).adding("Content-Encoding", "gzip"))
    assert send(target.cluster.address(0), shot).status == 200
    stored = send(target.cluster.address(0), Signer().sign(target.shot(key="bomb")))
    assert stored.body == bomb
    assert stored.headers["content-encoding"] == "gzip"

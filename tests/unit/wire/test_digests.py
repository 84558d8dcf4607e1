"""Digests against other implementations, and what multipart objects make of them."""

import base64
import hashlib
import zlib
from itertools import pairwise

import botocore.session
import pytest
import xxhash
from awscrt import checksums
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.wire import digests as digests_module
from objstore.wire.digests import (
    Digests,
    combine_checksums,
    composite_checksum,
    encode,
    multipart_etag,
)
from objstore.wire.headers import CHECKSUM_BYTES, CHECKSUM_TYPES, COMPOSITE

MODEL = botocore.session.get_session().get_service_model("s3")
# botocore's model is the oracle of names.
ALGORITHMS = tuple(MODEL.shape_for("ChecksumAlgorithm").enum)
# Of "123456789", as the catalogues of CRCs give it.
CHECK = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}
# Of nothing, as the documents of xxHash give it for seed 0, in its canonical (big endian) form.
EMPTY = {
    "XXHASH64": "ef46db3751d8e999",
    "XXHASH3": "2d06800538d394c2",
    "XXHASH128": "99aa06d3014798d86001c324468d497f",
}


def reference(algorithm: str, data: bytes) -> bytes:
    match algorithm:
        case "CRC32":
            return zlib.crc32(data).to_bytes(4, "big")
        case "CRC32C":
            return int(checksums.crc32c(data)).to_bytes(4, "big")
        case "CRC64NVME":
            return int(checksums.crc64nvme(data)).to_bytes(8, "big")
        case "XXHASH64":
            return xxhash.xxh64_intdigest(data).to_bytes(8, "big")
        case "XXHASH3":
            return xxhash.xxh3_64_intdigest(data).to_bytes(8, "big")
        case "XXHASH128":
            return xxhash.xxh3_128_intdigest(data).to_bytes(16, "big")
        case _:
            return hashlib.new(algorithm.lower(), data, usedforsecurity=False).digest()


@pytest.mark.parametrize("algorithm", CHECK)
def test_the_published_check_value(algorithm: str) -> None:
    digests = Digests([algorithm])
    digests.update(b"123456789")
    assert digests.value(algorithm).hex() == CHECK[algorithm]


@pytest.mark.parametrize("algorithm", EMPTY)
def test_the_published_hash_of_nothing(algorithm: str) -> None:
    assert Digests([algorithm]).value(algorithm).hex() == EMPTY[algorithm]


def test_every_algorithm_of_the_model_is_there() -> None:
    assert set(ALGORITHMS) == set(CHECKSUM_BYTES) == digests_module.ALGORITHMS
    for algorithm, size in CHECKSUM_BYTES.items():
        assert len(Digests([algorithm]).value(algorithm)) == size


@given(st.lists(st.binary(max_size=200), max_size=6))
@settings(max_examples=50)
def test_pieces_of_any_kind(pieces: list[bytes]) -> None:
    digests = Digests(ALGORITHMS)
    for number, piece in enumerate(pieces):
        digests.update((bytes, bytearray, memoryview)[number % 3](piece))
    for algorithm in ALGORITHMS:
        assert digests.value(algorithm) == reference(algorithm, b"".join(pieces))
    assert digests.algorithms == frozenset(ALGORITHMS)
    assert set(digests.encoded()) == set(ALGORITHMS)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_expectation_may_come_late(algorithm: str) -> None:
    digests = Digests([algorithm])
    digests.update(b"hello")
    digests.expect(algorithm, reference(algorithm, b"hello"))
    digests.verify()
    digests.expect(algorithm, reference(algorithm, b"hullo"))
    with pytest.raises(RequestRefused) as refused:
        digests.verify()
    assert refused.value.reason == "BadDigest"


def test_the_payload_hash_has_a_code_of_its_own() -> None:
    digests = Digests(["SHA256"])
    digests.expect("SHA256", reference("SHA256", b"x"), reason="XAmzContentSHA256Mismatch")
    digests.update(b"y")
    with pytest.raises(RequestRefused) as refused:
        digests.verify()
    assert refused.value.reason == "XAmzContentSHA256Mismatch"
    assert refused.value.detail == {
        "ClientComputedContentSHA256": hashlib.sha256(b"x").hexdigest(),
        "S3ComputedContentSHA256": hashlib.sha256(b"y").hexdigest(),
    }


def test_the_md5_of_a_checksum_header_is_not_that_of_content_md5() -> None:
    messages = []
    for promise in ("additional", "content"):
        digests = Digests(["MD5"])
        if promise == "additional":
            digests.expect("MD5", bytes(16))
            assert digests.claimed == {"MD5"}
        else:
            digests.expect_content_md5(bytes(16))
            assert digests.claimed == frozenset()
        with pytest.raises(RequestRefused) as refused:
            digests.verify()
        assert refused.value.reason == "BadDigest"
        messages.append(refused.value.message)
    assert messages == [
        "The MD5 you specified did not match the calculated checksum.",
        "The Content-MD5 you specified did not match what we received.",
    ]


def test_one_more_digest_only_before_the_first_byte() -> None:
    digests = Digests(["MD5"])
    digests.add("CRC64NVME")
    digests.add("MD5")
    digests.update(b"x")
    assert digests.value("CRC64NVME") == reference("CRC64NVME", b"x")
    assert digests.value("MD5") == reference("MD5", b"x")
    with pytest.raises(AssertionError):
        digests.add("SHA1")


def test_a_digest_of_another_length_never_matches() -> None:
    digests = Digests(["CRC32"])
    digests.expect("CRC32", b"")
    with pytest.raises(RequestRefused):
        digests.verify()


def test_an_unknown_algorithm_is_a_bug() -> None:
    with pytest.raises(AssertionError):
        Digests(["CRC7"])
    with pytest.raises(AssertionError):
        Digests(["MD5"]).expect("SHA1", bytes(20))


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=5))
@settings(max_examples=60)
def test_full_object_checksums_combine(algorithm: str, data: bytes, cuts: list[int]) -> None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[a:b] for a, b in pairwise(edges)]
    combined = combine_checksums(
        algorithm, [(encode(reference(algorithm, part)), len(part)) for part in parts]
    )
    assert combined == encode(reference(algorithm, data))


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_long_parts_combine(algorithm: str) -> None:
    """Parts longer than 4 GiB: shifting by n and then by m is shifting by n + m."""
    crc = encode(reference(algorithm, b"x"))
    nothing = encode(reference(algorithm, b""))
    zeros = encode(reference(algorithm, bytes(1 << 20)))
    one = combine_checksums(algorithm, [(crc, 1), *[(zeros, 1 << 20)] * 5000])
    half = combine_checksums(algorithm, [(nothing, 0), *[(zeros, 1 << 20)] * 5000])
    assert one == combine_checksums(algorithm, [(crc, 1), (half, 5000 << 20)])


def test_composite_checksum() -> None:
    """AWS: "the checksum of the concatenated checksums", then "-" and the number of parts."""
    parts = [b"one", b"two", b"three"]
    for algorithm in [name for name, kinds in CHECKSUM_TYPES.items() if COMPOSITE in kinds]:
        raw = [reference(algorithm, part) for part in parts]
        expected = base64.b64encode(reference(algorithm, b"".join(raw))).decode() + "-3"
        assert composite_checksum(algorithm, [encode(one) for one in raw]) == expected


def test_multipart_etag() -> None:
    etags = [hashlib.md5(part).hexdigest() for part in (b"one", b"two")]
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    assert multipart_etag(etags) == f"{hashlib.md5(joined).hexdigest()}-2"

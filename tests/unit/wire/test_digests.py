"""Digests against other implementations, and what multipart objects make of them."""

import base64
import hashlib
import zlib
from itertools import pairwise

import pytest
from awscrt import checksums
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.wire.digests import (
    Digests,
    combine_checksums,
    composite_checksum,
    encode,
    multipart_etag,
)

ALGORITHMS = ("MD5", "SHA1", "SHA256", "CRC32", "CRC32C", "CRC64NVME")
# Of "123456789", as the catalogues of CRCs give it.
CHECK = {"CRC32": "cbf43926", "CRC32C": "e3069283", "CRC64NVME": "ae8b14860a799888"}


def reference(algorithm: str, data: bytes) -> bytes:
    match algorithm:
        case "CRC32":
            return zlib.crc32(data).to_bytes(4, "big")
        case "CRC32C":
            return int(checksums.crc32c(data)).to_bytes(4, "big")
        case "CRC64NVME":
            return int(checksums.crc64nvme(data)).to_bytes(8, "big")
        case _:
            return hashlib.new(algorithm.lower(), data, usedforsecurity=False).digest()


@pytest.mark.parametrize("algorithm", CHECK)
def test_the_published_check_value(algorithm: str) -> None:
    digests = Digests([algorithm])
    digests.update(b"123456789")
    assert digests.value(algorithm).hex() == CHECK[algorithm]


@given(st.lists(st.binary(max_size=200), max_size=6))
@settings(max_examples=50)
def test_pieces_of_any_kind(pieces: list[bytes]) -> None:
    digests = Digests(ALGORITHMS)
    for number, piece in enumerate(pieces):
        digests.update((bytes, bytearray, memoryview)[number % 3](piece))
    for algorithm in ALGORITHMS:
        assert digests.value(algorithm) == reference(algorithm, b"".join(pieces))
    assert digests.algorithms == frozenset(ALGORITHMS)
    assert set(digests.encoded()) == set(ALGORITHMS) - {"MD5"}


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
    for algorithm in ("SHA1", "SHA256", "CRC32", "CRC32C"):
        raw = [reference(algorithm, part) for part in parts]
        expected = base64.b64encode(reference(algorithm, b"".join(raw))).decode() + "-3"
        assert composite_checksum(algorithm, [encode(one) for one in raw]) == expected


def test_multipart_etag() -> None:
    etags = [hashlib.md5(part).hexdigest() for part in (b"one", b"two")]
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    assert multipart_etag(etags) == f"{hashlib.md5(joined).hexdigest()}-2"

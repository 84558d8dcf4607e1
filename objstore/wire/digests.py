"""Digests of a body: computed while it passes, held against what the client promised.

The pure part of Content-MD5, x-amz-content-sha256 and x-amz-checksum-*: names and values as S3
has them, no headers. Composite and full-object checksums of multipart objects are here too.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

import xxhash
from awscrt import checksums as crt
from isal import isal_zlib

from objstore.errors import RequestRefused

Buffer = bytes | bytearray | memoryview


class _Hash(Protocol):
    def update(self, data: Buffer, /) -> object: ...
    def digest(self) -> bytes: ...


class _Crc32:
    def __init__(self) -> None:
        self._value = 0

    def update(self, data: Buffer, /) -> None:
        self._value = isal_zlib.crc32(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(4, "big")


class _Crc32c(_Crc32):
    def update(self, data: Buffer, /) -> None:
        self._value = crt.crc32c(data, self._value)


class _Crc64Nvme(_Crc32):
    def update(self, data: Buffer, /) -> None:
        self._value = crt.crc64nvme(data, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(8, "big")


# Every algorithm of the API. xxhash digests are canonical: big endian, seed 0.
_HASHES: Final[Mapping[str, Callable[[], _Hash]]] = {
    "CRC32": _Crc32,
    "CRC32C": _Crc32c,
    "CRC64NVME": _Crc64Nvme,
    "SHA1": partial(hashlib.sha1, usedforsecurity=False),
    "SHA256": hashlib.sha256,
    "SHA512": hashlib.sha512,
    "MD5": partial(hashlib.md5, usedforsecurity=False),
    "XXHASH64": xxhash.xxh64,
    "XXHASH3": xxhash.xxh3_64,
    "XXHASH128": xxhash.xxh3_128,
}
ALGORITHMS: Final = frozenset(_HASHES)


def _new_hash(algorithm: str) -> _Hash:
    assert algorithm in _HASHES, algorithm
    return _HASHES[algorithm]()


@dataclass(frozen=True, slots=True)
class _Expectation:
    algorithm: str
    value: bytes
    reason: str
    additional: bool  # an x-amz-checksum- of the client's choice


class Digests:
    """The digests of one body. Not thread-safe: one update at a time, in order."""

    def __init__(self, algorithms: Iterable[str]) -> None:
        self._hashes = {algorithm: _new_hash(algorithm) for algorithm in algorithms}
        self._expected: list[_Expectation] = []
        self._started = False

    @property
    def algorithms(self) -> frozenset[str]:
        """The algorithms that are computed."""
        return frozenset(self._hashes)

    @property
    def claimed(self) -> frozenset[str]:
        """The algorithms of the additional checksums that the client promised."""
        return frozenset(one.algorithm for one in self._expected if one.additional)

    def add(self, algorithm: str) -> None:
        """Compute one more. Only before the first `update`."""
        assert not self._started
        if algorithm not in self._hashes:
            self._hashes[algorithm] = _new_hash(algorithm)

    def expect(self, algorithm: str, value: bytes, *, reason: str = "BadDigest") -> None:
        """Promise an additional checksum, or by another `reason` the digest of the payload.

        A trailer's checksum comes late, when the body has passed already.
        """
        assert algorithm in self._hashes
        additional = reason == "BadDigest"
        self._expected.append(_Expectation(algorithm, value, reason, additional))

    def expect_content_md5(self, value: bytes) -> None:
        """Promise the digest of a Content-MD5 header."""
        assert "MD5" in self._hashes
        self._expected.append(_Expectation("MD5", value, "BadDigest", additional=False))

    def update(self, data: Buffer) -> None:
        """Take the next bytes. Large ones release the GIL: call it in a thread."""
        self._started = True
        for one in self._hashes.values():
            one.update(data)

    def verify(self) -> None:
        """Hold the digests against every promise.

        Raises:
            RequestRefused: with the reason of the first promise that does not hold.
        """
        for expected in self._expected:
            computed = self.value(expected.algorithm)
            if not hmac.compare_digest(computed, expected.value):
                raise _refusal(expected, computed)

    def value(self, algorithm: str) -> bytes:
        """Return a digest; CRCs are big endian."""
        return self._hashes[algorithm].digest()

    def encoded(self) -> dict[str, str]:
        """Return every digest as S3 shows it: base64."""
        return {name: encode(self.value(name)) for name in self._hashes}


def _refusal(expected: _Expectation, computed: bytes) -> RequestRefused:
    """Return the refusal with what S3 says beside the code."""
    if expected.reason == "XAmzContentSHA256Mismatch":
        return RequestRefused(
            expected.reason,
            ClientComputedContentSHA256=expected.value.hex(),
            S3ComputedContentSHA256=computed.hex(),
        )
    if not expected.additional:
        return RequestRefused(
            expected.reason,
            "The Content-MD5 you specified did not match what we received.",
            ExpectedDigest=encode(expected.value),
            CalculatedDigest=encode(computed),
        )
    return RequestRefused(
        expected.reason,
        f"The {expected.algorithm} you specified did not match the calculated checksum.",
    )


def encode(digest: bytes) -> str:
    """Return a digest as S3 shows it."""
    return base64.b64encode(digest).decode("ascii")


# --- multipart objects -------------------------------------------------------------------


def multipart_etag(etags: Sequence[str]) -> str:
    """Return the ETag of an object of parts: the MD5 of the parts' MD5s, and their count."""
    joined = b"".join(bytes.fromhex(etag) for etag in etags)
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(etags)}"


def composite_checksum(algorithm: str, parts: Sequence[str]) -> str:
    """Return the checksum of the parts' checksums, with their count: a COMPOSITE checksum."""
    whole = _new_hash(algorithm)
    whole.update(b"".join(map(binascii.a2b_base64, parts)))
    return f"{encode(whole.digest())}-{len(parts)}"


# CRC(A followed by B) from CRC(A), CRC(B) and the length of B: nothing is read again.
_COMBINE: Final[Mapping[str, tuple[int, Callable[[int, int, int], int]]]] = {
    "CRC32": (4, crt.combine_crc32),
    "CRC32C": (4, crt.combine_crc32c),
    "CRC64NVME": (8, crt.combine_crc64nvme),
}


def combine_checksums(algorithm: str, parts: Sequence[tuple[str, int]]) -> str:
    """Return the CRC of the whole from (CRC in base64, length) of each part: FULL_OBJECT."""
    width, combine = _COMBINE[algorithm]
    whole = 0  # the CRC of nothing
    for encoded, size in parts:
        crc = int.from_bytes(binascii.a2b_base64(encoded), "big")
        whole = combine(whole, crc, size)
    return encode(whole.to_bytes(width, "big"))

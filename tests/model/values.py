"""What the reference model is made of: objects, versions, uploads, refusals.

Nothing here comes from objstore. Values are slow and obvious: bodies are held whole, digests are
computed when asked for.
"""

import base64
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

import xxhash
from awscrt import checksums

Fields = dict[str, Any]  # named and shaped as botocore's parser gives an answer

# The status of each error code that the model answers with.
STATUS: Final = {
    "NotModified": 304,
    "BadDigest": 400,
    "EntityTooSmall": 400,
    "InvalidArgument": 400,
    "InvalidPart": 400,
    "InvalidPartOrder": 400,
    "InvalidRequest": 400,
    "InvalidTag": 400,
    "MalformedXML": 400,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "NoSuchUpload": 404,
    "NoSuchVersion": 404,
    "MethodNotAllowed": 405,
    "BucketAlreadyOwnedByYou": 409,
    "BucketNotEmpty": 409,
    "PreconditionFailed": 412,
    "InvalidPartNumber": 416,
    "InvalidRange": 416,
    "NotImplemented": 501,
}
# Each algorithm, and what its digest of some bytes is.
DIGESTS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "CRC32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "CRC32C": lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    "CRC64NVME": lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    "SHA1": lambda data: hashlib.sha1(data, usedforsecurity=False).digest(),
    "SHA256": lambda data: hashlib.sha256(data).digest(),
    "SHA512": lambda data: hashlib.sha512(data).digest(),
    "MD5": lambda data: hashlib.md5(data, usedforsecurity=False).digest(),
    "XXHASH64": xxhash.xxh64_digest,
    "XXHASH3": xxhash.xxh3_64_digest,
    "XXHASH128": xxhash.xxh3_128_digest,
}
DEFAULT_ALGORITHM: Final = "CRC64NVME"


class Opaque:
    """A name that the server chooses and the model only remembers: a version, an upload, a token.

    It is bound when the server first says it; from then on it has to stay the same.
    """

    def __init__(self, stands_for: str = "", bound: str | None = None) -> None:
        self.stands_for = stands_for
        self.bound = bound

    def __repr__(self) -> str:
        return f"<{self.stands_for or 'opaque'} {self.bound}>"


class Refused(Exception):
    """S3 refuses the request with one of these codes.

    There are several when several things are wrong at once: AWS does not say which it sees first.
    `marker` is the delete marker that is the reason.
    """

    def __init__(self, *codes: str, marker: "Version | None" = None) -> None:
        super().__init__(*codes)
        self.codes = codes
        self.marker = marker

    @property
    def answers(self) -> set[tuple[int, str]]:
        """Return each status and code that it may be refused with."""
        return {(STATUS[code], code) for code in self.codes}


def refuse_all(*checks: Callable[[], object]) -> None:
    """Make every check, and refuse with all that is wrong."""
    found: list[Refused] = []
    for check in checks:
        try:
            check()
        except Refused as refused:
            found.append(refused)
    if found:
        raise Refused(*(code for refused in found for code in refused.codes))


@lru_cache(maxsize=512)
def md5_of(body: bytes) -> str:
    """Return an entity tag without quotes."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


@lru_cache(maxsize=512)
def checksum_of(algorithm: str, body: bytes) -> str:
    """Return a checksum as headers have it."""
    return base64.b64encode(DIGESTS[algorithm](body)).decode()


@dataclass(frozen=True)
class Part:
    """A part of an upload or of an object that was completed from one."""

    number: int
    body: bytes
    modified: int | None = None

    @property
    def etag(self) -> str:
        return md5_of(self.body)


@dataclass
class Attributes:
    """What is stored beside the bytes; `headers` are named as botocore names them."""

    headers: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"
    algorithm: str = ""
    checksum_type: str = ""

    def with_checksum(self, algorithm: str = "", kind: str = "FULL_OBJECT") -> "Attributes":
        """Return them with a checksum, of the default algorithm unless one is named.

        "If you don't specify a checksum, Amazon S3 adds the default checksum, CRC64NVME".
        """
        if algorithm:
            return replace(self, algorithm=algorithm, checksum_type=kind)
        return replace(self, algorithm=DEFAULT_ALGORITHM, checksum_type="FULL_OBJECT")

    def shown_metadata(self) -> dict[str, str]:
        """ "If the metadata contains unprintable characters, they are encoded as RFC 2047." """
        return {
            name: value
            if value.isascii()
            else f"=?UTF-8?B?{base64.b64encode(value.encode()).decode()}?="
            for name, value in self.metadata.items()
        }


@dataclass(eq=False)
class Version:
    """One version of a key: an object or a delete marker."""

    id: Opaque
    body: bytes = b""
    marker: bool = False
    attributes: Attributes = field(default_factory=Attributes)
    parts: tuple[Part, ...] = ()  # empty when it was put whole
    modified: int | None = None  # seconds; None until the server said it

    @property
    def etag(self) -> str:
        """Return the MD5 of the bytes, or of the parts' MD5s with their count."""
        if not self.parts:
            return md5_of(self.body)
        joined = b"".join(bytes.fromhex(part.etag) for part in self.parts)
        return f"{md5_of(joined)}-{len(self.parts)}"

    @property
    def checksum(self) -> str:
        """Return the checksum: of all bytes, or of the parts' checksums when COMPOSITE."""
        algorithm = self.attributes.algorithm
        if self.attributes.checksum_type != "COMPOSITE":
            return checksum_of(algorithm, self.body)
        digest = DIGESTS[algorithm]
        joined = b"".join(digest(part.body) for part in self.parts)
        return f"{checksum_of(algorithm, joined)}-{len(self.parts)}"

    def checksum_fields(self) -> Fields:
        """Return the checksum and its type as answers name them."""
        algorithm = self.attributes.algorithm
        if not algorithm:
            return {}
        kind = self.attributes.checksum_type
        return {f"Checksum{algorithm}": self.checksum, "ChecksumType": kind}


@dataclass(eq=False)
class Upload:
    """A multipart upload in progress."""

    id: Opaque
    key: str
    attributes: Attributes
    initiated: int | None = None
    parts: dict[int, Part] = field(default_factory=dict)

    @property
    def whole(self) -> Attributes:
        """What the object is going to have: a checksum also where the upload chose none."""
        kept = self.attributes
        return kept.with_checksum(kept.algorithm, kept.checksum_type)

    def made_of(self, parts: tuple[Part, ...]) -> Version:
        """Return the object that these parts make."""
        whole = b"".join(part.body for part in parts)
        return Version(Opaque(), whole, attributes=self.whole, parts=parts)


@dataclass(eq=False)
class Bucket:
    """A bucket: each key's versions, the current one first, and the uploads in progress."""

    versioning: str = ""  # "", "Enabled" or "Suspended"
    keys: dict[str, list[Version]] = field(default_factory=dict)
    uploads: list[Upload] = field(default_factory=list)
    completed: dict[Upload, Version] = field(default_factory=dict)

    def versions(self, key: str) -> list[Version]:
        return self.keys.get(key, [])

    def current(self, key: str) -> Version | None:
        """Return the object that a plain GET finds."""
        versions = self.versions(key)
        return versions[0] if versions and not versions[0].marker else None

    def live(self) -> dict[str, Version]:
        """Return every key that has a current object, in order."""
        return {key: found for key in sorted(self.keys) if (found := self.current(key))}

    def remove(self, key: str, version: Version) -> None:
        self.keys[key].remove(version)
        if not self.keys[key]:
            del self.keys[key]

    def null_version(self, key: str) -> Version | None:
        return next((one for one in self.versions(key) if one.id.bound == "null"), None)

    def add(self, key: str, version: Version) -> Version:
        """Make a version the current one; what is no Enabled bucket has one null version."""
        if self.versioning == "Enabled":
            version.id = Opaque(f"version of {key}")
        else:
            version.id = Opaque("null", "null")
            replaced = self.null_version(key)
            if replaced is not None:
                self.remove(key, replaced)
        self.keys.setdefault(key, []).insert(0, version)
        return version

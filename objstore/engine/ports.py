"""What the engine needs from above and gives to above, as types.

`Body` is the upload as the gateway hands it over; the rest are plain values. Nothing here knows
HTTP or S3's headers.
"""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from objstore.drive.api import Buffer
from objstore.names import CURRENT, BucketName, ObjectKey, UploadId, VersionId
from objstore.ondisk.record import Part, Upload, UploadedPart, Version
from objstore.wire.customer_key import CustomerKey


class Body(Protocol):
    """The bytes of an upload, in order, after any transfer framing was removed."""

    @property
    def size(self) -> int | None:
        """How many bytes will come, when the client said so."""
        ...

    async def read(self) -> Buffer:
        """Return the next piece; empty at the end.

        At the end everything the client promised about the body has been read (trailers too)
        and handed to the digests that the request was given.

        Raises:
            RequestRefused: the framing is broken, a chunk's signature is wrong, or the body
                ends early, is longer than declared, or stalls.
        """
        ...


@dataclass(frozen=True, slots=True)
class Attributes:
    """What a writer says about an object, beyond its bytes."""

    headers: Mapping[str, str] = field(default_factory=dict)  # lower-case: content-type, ...
    user_metadata: Mapping[str, str] = field(default_factory=dict)
    storage_class: str = "STANDARD"
    owner: str = ""
    initiator: str = ""  # of an upload in parts: who begins it, and need not own what is made
    checksum_algorithms: tuple[str, ...] = ()  # of the digests; stored with the object
    checksum_type: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    acl: bytes = b""  # as a record has it
    retention_mode: str = ""
    retain_until_ms: int = 0
    legal_hold: bool = False
    customer_key: CustomerKey | None = None  # to encrypt with; never stored


# Given the current object (None: there is none), raises RequestRefused when a write must not be.
Precondition = Callable[[Version | None], None]


def _anything(_: Version | None) -> None:
    """Hold always."""


UNCONDITIONAL: Final[Precondition] = _anything


class ObjectReader(Protocol):
    """An object that was found: its version, and its bytes on demand."""

    @property
    def version(self) -> Version:
        """The version that answers."""
        ...

    def read(self, start: int, stop: int) -> AsyncIterator[Buffer]:
        """Yield bytes `start` to `stop` (exclusive), at most a few stripes held at a time.

        Raises:
            ReadQuorumLost: fewer than k shards of a stripe are usable.
        """
        ...


class ListedObject(msgspec.Struct, frozen=True):  # of all values here the one made most often
    """An object as a listing shows it."""

    key: ObjectKey
    size: int
    etag: str
    modified_ms: int
    storage_class: str
    checksum_algorithms: tuple[str, ...]
    checksum_type: str
    owner: str = ""


class ListedVersion(msgspec.Struct, frozen=True):
    """A version, or a delete marker, as a listing shows it."""

    key: ObjectKey
    version_id: VersionId
    is_latest: bool
    delete_marker: bool
    size: int
    etag: str
    modified_ms: int
    storage_class: str
    checksum_algorithms: tuple[str, ...]
    checksum_type: str
    owner: str


@dataclass(frozen=True, slots=True)
class VersionListing:
    """One page.

    The next one begins after the version `last_version` of `last_key`; or, when that is "", after
    all of `last_key`, a key or a common prefix.
    """

    versions: tuple[ListedVersion, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last_key: str
    last_version: VersionId


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a delete did: the version that went, or the delete marker that came ("" without)."""

    version_id: VersionId = CURRENT
    delete_marker: bool = False


@dataclass(frozen=True, slots=True)
class BucketUsage:
    """What a bucket holds, exactly. Sizes are before encoding."""

    objects: int
    object_bytes: int
    versions: int
    version_bytes: int


@dataclass(frozen=True, slots=True)
class ObjectListing:
    """One page. `last` is where the next one begins after: a key or a common prefix."""

    objects: tuple[ListedObject, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last: str


@dataclass(frozen=True, slots=True)
class UploadListing:
    """One page of uploads in progress, ordered by (key, upload id)."""

    uploads: tuple[Upload, ...]
    prefixes: tuple[str, ...]
    truncated: bool
    last_key: str
    last_upload: str


@dataclass(frozen=True, slots=True)
class PartListing:
    """One page of an upload's parts, in order of number."""

    upload: Upload
    parts: tuple[UploadedPart, ...]
    truncated: bool


@dataclass(frozen=True, slots=True)
class NamedPart:
    """A part as the client's Complete names it."""

    number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UploadedPartResult:
    """What uploading a part gave: the ETag and the checksums to return."""

    part: Part
    modified_ms: int


@dataclass(frozen=True, slots=True)
class ShardPlace:
    """Where one shard of one version lies, for `locate`."""

    shard: int
    letter: str
    server: str
    drive: str  # its path
    slot: int
    state: str  # "ok", "missing", "corrupt", "unknown" or "offline", with a reason after ": "


@dataclass(frozen=True, slots=True)
class Location:
    """Where all shards of an object's newest version lie."""

    bucket: BucketName
    key: ObjectKey
    version: Version
    pool: int
    set_index: int
    shards: tuple[ShardPlace, ...]


@dataclass(frozen=True, slots=True)
class CompleteRequest:
    """A client's wish to make an object of parts."""

    bucket: BucketName
    key: ObjectKey
    upload_id: UploadId
    parts: tuple[NamedPart, ...]
    checksums: Mapping[str, str] = field(default_factory=dict)  # of the whole, as sent
    checksum_type: str = ""
    size: int | None = None  # x-amz-mp-object-size
    precondition: Precondition = UNCONDITIONAL
    checksum_algorithm: str = ""  # as the client repeats the upload's

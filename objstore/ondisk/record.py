"""Records: what a drive's journal says about versions, buckets, uploads and parts.

Format page: docs/format/record.md. Every record is an envelope

    magic (4 bytes, last one is the format's number) | xxh3-128 of the body | body (msgpack)

so that a record that was damaged is recognised wherever it travels: the same bytes lie in the
journal and go over the wire. Structs are encoded as arrays; fields are only ever appended,
with defaults, so an older record decodes under a newer reader.
"""

from typing import Final, TypeVar

import msgspec
import xxhash

from objstore.errors import RecordUnknown
from objstore.names import (
    NO_EDIT,
    NULL,
    BucketName,
    DataId,
    Kind,
    ObjectKey,
    Order,
    Scheme,
    Stamp,
    UploadId,
    VersionId,
    Versioning,
    order_of,
)

_CHECKSUM_BYTES: Final = 16
_VERSION_MAGIC: Final = b"OSV1"
_BUCKET_MAGIC: Final = b"OSB1"
_UPLOAD_MAGIC: Final = b"OSU1"
_PART_MAGIC: Final = b"OSP1"


class Part(msgspec.Struct, frozen=True, array_like=True):
    """One part of a version: its bytes lie in the shards named by `data_id`.

    An object that was put whole has one part, numbered 1; an empty one has none.
    """

    number: int
    size: int
    etag: str  # lower-case hex MD5 of the part
    data_id: DataId
    checksums: dict[str, str] = {}  # algorithm -> base64, as S3 returns them
    salt: bytes = b""  # of its data key; ondisk/encryption.py


class Version(msgspec.Struct, frozen=True, array_like=True):
    """One version of one key: all that is the same on every slot."""

    bucket: BucketName
    key: ObjectKey
    stamp: Stamp
    revision: int
    kind: Kind
    null_version: bool  # the version that an unversioned bucket overwrites
    k: int
    m: int
    slots: tuple[int, ...]  # slots[i] is the slot of shard i
    stripe_bytes: int
    size: int
    etag: str  # without quotes; with "-N" for a multipart object
    modified_ms: int
    parts: tuple[Part, ...] = ()
    headers: dict[str, str] = {}  # lower-case name -> value: content-type, cache-control, ...
    user_metadata: dict[str, str] = {}  # name without "x-amz-meta-" -> value
    checksums: dict[str, str] = {}  # algorithm -> base64 (with "-N" when composite)
    checksum_type: str = ""  # "FULL_OBJECT", "COMPOSITE" or "" without checksums
    storage_class: str = "STANDARD"
    upload_id: UploadId = UploadId("")  # the multipart upload this version came from
    owner: str = ""
    edit: Stamp = NO_EDIT  # when this revision was made, unless the version was written so
    tags: dict[str, str] = {}
    acl: bytes = b""  # access/acl.py; empty: nobody but the owner
    retention_mode: str = ""  # "GOVERNANCE" or "COMPLIANCE"
    retain_until_ms: int = 0
    legal_hold: bool = False
    encryption: bytes = b""  # ondisk/encryption.py; empty: stored as it was sent
    solo_slots: tuple[int, ...] = ()  # the slots that acknowledged it alone (ADR 7)

    @property
    def scheme(self) -> Scheme:
        """The scheme this version was encoded with; a set's own may differ."""
        return Scheme(self.k, self.m)

    @property
    def version_id(self) -> VersionId:
        """The name S3 gives it."""
        return NULL if self.null_version else VersionId(self.stamp.hex())

    @property
    def order(self) -> Order:
        """Where this record stands among the records of its key."""
        return order_of(self.stamp, self.revision, self.edit)

    @property
    def parts_with_bytes(self) -> tuple[Part, ...]:
        """The parts that have shards: an empty one has none, so that nobody can lack them."""
        return tuple(part for part in self.parts if part.size)


class HeldShard(msgspec.Struct, frozen=True, array_like=True):
    """A shard that the drive with this record holds."""

    shard: int
    inline: bytes | None = None  # the checksummed blocks, when the version is small
    missing_parts: tuple[int, ...] = ()  # parts of which this drive has no shard file


class Record(msgspec.Struct, frozen=True, array_like=True):
    """One version on one drive. A drive with several slots of the set holds several shards."""

    version: Version
    held: tuple[HeldShard, ...]

    @property
    def lacks(self) -> tuple[int, ...]:
        """The parts of which the drive lacks a shard that it should have."""
        return tuple(sorted({number for one in self.held for number in one.missing_parts}))


class Bucket(msgspec.Struct, frozen=True, array_like=True):
    """A bucket, the same on every drive of every set. `deleted` makes it a tombstone."""

    name: BucketName
    stamp: Stamp
    created_ms: int
    deleted: bool = False
    owner: str = ""
    region: str = ""
    settings: dict[str, bytes] = {}  # sub-resource -> document

    @property
    def versioning(self) -> Versioning:
        """Whether writes keep what they replace."""
        return Versioning(self.settings.get("versioning", b"").decode())


class Upload(msgspec.Struct, frozen=True, array_like=True):
    """A multipart upload in progress. Its scheme and slots are fixed when it is created."""

    upload_id: UploadId
    bucket: BucketName
    key: ObjectKey
    stamp: Stamp
    initiated_ms: int
    k: int
    m: int
    slots: tuple[int, ...]
    stripe_bytes: int
    headers: dict[str, str] = {}
    user_metadata: dict[str, str] = {}
    storage_class: str = "STANDARD"
    checksum_algorithm: str = ""
    checksum_type: str = ""
    owner: str = ""
    tags: dict[str, str] = {}
    acl: bytes = b""
    retention_mode: str = ""
    retain_until_ms: int = 0
    legal_hold: bool = False
    initiator: str = ""  # who began it; empty: the owner
    encryption: bytes = b""  # of the version that it will be

    @property
    def scheme(self) -> Scheme:
        """The scheme every part of this upload is encoded with."""
        return Scheme(self.k, self.m)


class UploadedPart(msgspec.Struct, frozen=True, array_like=True):
    """A part that was uploaded, on one drive. The newest stamp of a number counts."""

    upload_id: UploadId
    stamp: Stamp
    modified_ms: int
    part: Part


class _RawRecord(msgspec.Struct, frozen=True, array_like=True):
    version: msgspec.Raw
    held: tuple[HeldShard, ...]


T = TypeVar("T")
_encoder = msgspec.msgpack.Encoder()
_record_decoder = msgspec.msgpack.Decoder(Record)
_version_decoder = msgspec.msgpack.Decoder(Version)
_bucket_decoder = msgspec.msgpack.Decoder(Bucket)
_upload_decoder = msgspec.msgpack.Decoder(Upload)
_part_decoder = msgspec.msgpack.Decoder(UploadedPart)


def _seal(magic: bytes, body: bytes) -> bytes:
    return b"".join((magic, xxhash.xxh3_128_digest(body), body))


def _unseal(magic: bytes, sealed: bytes, decoder: msgspec.msgpack.Decoder[T]) -> T:
    body = sealed[len(magic) + _CHECKSUM_BYTES :]
    if sealed[: len(magic)] != magic:
        raise RecordUnknown(f"record begins with {sealed[: len(magic)]!r}, expected {magic!r}")
    if sealed[len(magic) : len(magic) + _CHECKSUM_BYTES] != xxhash.xxh3_128_digest(body):
        raise RecordUnknown("record fails its checksum")
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordUnknown(f"record does not decode: {error}") from error


def encode_version(version: Version) -> bytes:
    """Encode what all slots share once; `encode_record` adds what one drive holds."""
    return _encoder.encode(version)


def encode_record(version: bytes, held: tuple[HeldShard, ...]) -> bytes:
    """Seal the record of one drive. `version` is what `encode_version` returned."""
    return _seal(_VERSION_MAGIC, _encoder.encode(_RawRecord(msgspec.Raw(version), held)))


def decode_record(sealed: bytes) -> Record:
    """Open a sealed record.

    Raises:
        RecordUnknown: it is damaged. What it said is unknown, never absent.
    """
    return _unseal(_VERSION_MAGIC, sealed, _record_decoder)


def encode_bucket(bucket: Bucket) -> bytes:
    """Seal a bucket's record."""
    return _seal(_BUCKET_MAGIC, _encoder.encode(bucket))


def decode_bucket(sealed: bytes) -> Bucket:
    """Open a bucket's record; raises RecordUnknown when it is damaged."""
    return _unseal(_BUCKET_MAGIC, sealed, _bucket_decoder)


def encode_upload(upload: Upload) -> bytes:
    """Seal an upload's record."""
    return _seal(_UPLOAD_MAGIC, _encoder.encode(upload))


def decode_upload(sealed: bytes) -> Upload:
    """Open an upload's record; raises RecordUnknown when it is damaged."""
    return _unseal(_UPLOAD_MAGIC, sealed, _upload_decoder)


def encode_part(part: UploadedPart) -> bytes:
    """Seal an uploaded part's record."""
    return _seal(_PART_MAGIC, _encoder.encode(part))


def decode_part(sealed: bytes) -> UploadedPart:
    """Open an uploaded part's record; raises RecordUnknown when it is damaged."""
    return _unseal(_PART_MAGIC, sealed, _part_decoder)

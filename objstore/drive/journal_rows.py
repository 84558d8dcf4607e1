"""The bytes of the journal's rows: what a listing needs of a version, checksummed.

docs/format/journal.md describes `summary`. Pure: no SQL here.
"""

import struct
from dataclasses import dataclass
from typing import Final

import msgspec
import xxhash

from objstore.drive.ops import KeyEntry
from objstore.errors import RecordUnknown
from objstore.names import (
    STAMP_BYTES,
    Kind,
    ObjectKey,
    Order,
    Stamp,
)
from objstore.ondisk.paths import ShardName
from objstore.ondisk.record import Record, decode_record

NULL_VERSION: Final = 1
DEGRADED: Final = 2
NAMES_FILES: Final = 4
FROM_UPLOAD: Final = 8

_CHECK_BYTES: Final = 8
_TAIL: Final = struct.Struct(">Bq")  # kind, record_id


class Summary(msgspec.Struct, frozen=True, array_like=True):
    """What a row says about its version, beyond key, order and kind."""

    flags: int
    size: int
    etag: str
    modified_ms: int
    storage_class: str
    checksum: str
    checksum_type: str
    owner: str = ""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Summary)


@dataclass(frozen=True, slots=True)
class HeldRow:
    """A row of a key. Without `summary` it is damaged beyond recovery: unknown."""

    order: Order
    kind: int
    record_id: int
    summary: Summary | None

    @property
    def stamp(self) -> Stamp:
        """The stamp of its version."""
        return Stamp(self.order[:STAMP_BYTES])

    @property
    def null_version(self) -> bool:
        """Whether an unversioned write replaces it; False when that is unknown."""
        return bool(self.flags & NULL_VERSION)

    @property
    def live(self) -> bool:
        """Whether it says that its key holds an object."""
        return self.kind == Kind.OBJECT

    @property
    def size(self) -> int:
        """The size of its version; 0 when that is unknown."""
        return self.summary.size if self.summary else 0

    @property
    def flags(self) -> int:
        """The flags of its summary; none when that is unknown."""
        return self.summary.flags if self.summary else 0


def key_bytes(key: str) -> bytes:
    """Return a key as the journal stores and orders it."""
    return key.encode()


def _check(bucket: str, key: bytes, order: bytes, tail: bytes, body: bytes) -> bytes:
    return xxhash.xxh3_64_digest(b"\0".join((bucket.encode(), key, order + tail + body)))


def seal_summary(
    bucket: str, key: bytes, order: Order, kind: int, record_id: int, summary: Summary
) -> bytes:
    """Return the `summary` column of a row."""
    body = _encoder.encode(summary)
    return _check(bucket, key, order, _TAIL.pack(kind, record_id), body) + body


def open_row(
    bucket: str, key: bytes, order: bytes, kind: int, record_id: int, sealed: bytes
) -> HeldRow:
    """Return the row that these columns are; without a summary when the checksum says no."""
    try:
        tail = _TAIL.pack(kind, record_id)
        body = sealed[_CHECK_BYTES:]
        if sealed[:_CHECK_BYTES] == _check(bucket, key, order, tail, body):
            return HeldRow(Order(order), kind, record_id, _decoder.decode(body))
    except (struct.error, TypeError, msgspec.DecodeError):
        pass  # a damaged column may even have another type
    return HeldRow(Order(order), -1, record_id if type(record_id) is int else -1, None)


def summary_of(record: Record) -> Summary:
    """Return what a listing needs of a record."""
    version = record.version
    flags = NULL_VERSION if version.null_version else 0
    if version.kind == Kind.OBJECT and version.size > 0 and _lacks_shards(record):
        flags |= DEGRADED
    if files_named(record):
        flags |= NAMES_FILES
    if version.upload_id:
        flags |= FROM_UPLOAD
    return Summary(
        flags=flags,
        size=version.size,
        etag=version.etag,
        modified_ms=version.modified_ms,
        storage_class=version.storage_class,
        checksum=",".join(version.checksums),
        checksum_type=version.checksum_type,
        owner=version.owner,
    )


def _lacks_shards(record: Record) -> bool:
    return not record.held or any(held.missing_parts for held in record.held)


def files_named(record: Record) -> tuple[ShardName, ...]:
    """Return the shard files that a record names."""
    return tuple(
        ShardName(part.data_id, part.number, held.shard)
        for held in record.held
        if held.inline is None
        for part in record.version.parts_with_bytes
        if part.number not in held.missing_parts
    )


def open_payload(bucket: str, key: bytes, order: bytes, payload: bytes) -> Record | None:
    """Return the record in `payload` when it is intact and is the one of this row."""
    try:
        record = decode_record(payload)
    except (RecordUnknown, TypeError):
        return None
    version = record.version
    same = (version.bucket, key_bytes(version.key), version.order) == (bucket, key, order)
    return record if same else None


def recover_row(bucket: str, key: bytes, row: HeldRow, payload: bytes | None) -> HeldRow:
    """Return what a damaged row said, from its record if that is intact; else the row."""
    record = None if payload is None else open_payload(bucket, key, row.order, payload)
    if record is None:
        return row
    return HeldRow(row.order, int(record.version.kind), row.record_id, summary_of(record))


_KINDS: Final = {int(kind): kind for kind in Kind}


class EntryReader:
    """Makes the entries of a listing straight from the columns of a bucket's rows.

    The short way for rows that are intact; it checks what `open_row` checks.
    """

    def __init__(self, bucket: str) -> None:
        self._prefix = bucket.encode() + b"\0"

    def read(
        self, key: bytes, order: bytes, kind: int, record_id: int, sealed: bytes
    ) -> KeyEntry | None:
        """Return the entry of a row; None for a damaged one, which `open_row` looks at again."""
        try:
            body = sealed[_CHECK_BYTES:]
            tail = _TAIL.pack(kind, record_id)
            checked = b"".join((self._prefix, key, b"\0", order, tail, body))
            if sealed[:_CHECK_BYTES] != xxhash.xxh3_64_digest(checked):
                return None
            summary = _decoder.decode(body)
            return KeyEntry(
                ObjectKey(key.decode()),
                Order(order),
                _KINDS[kind],
                summary.size,
                summary.etag,
                summary.modified_ms,
                summary.storage_class,
                summary.checksum,
                summary.checksum_type,
                bool(summary.flags & DEGRADED),
                bool(summary.flags & NULL_VERSION),
                summary.owner,
            )
        except (struct.error, TypeError, KeyError, msgspec.DecodeError):
            return None


def entry_of(key: bytes, row: HeldRow) -> KeyEntry:
    """Return a row as a listing shows it. It must not be an unknown one."""
    summary = row.summary
    assert summary is not None
    return KeyEntry(
        key=ObjectKey(key.decode()),
        order=row.order,
        kind=Kind(row.kind),
        size=summary.size,
        etag=summary.etag,
        modified_ms=summary.modified_ms,
        storage_class=summary.storage_class,
        checksum=summary.checksum,
        checksum_type=summary.checksum_type,
        degraded=bool(summary.flags & DEGRADED),
        null_version=row.null_version,
        owner=summary.owner,
    )

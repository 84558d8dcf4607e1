"""What a drive in memory holds: rows, uploads and files as plain values."""

from dataclasses import dataclass, field
from functools import cached_property

from objstore.drive.ops import KeyEntry, ListKeys, ListVersions, ReadKey
from objstore.names import DataId, Kind, Order
from objstore.ondisk.record import HeldShard, Record, Upload

DEPLOYMENT = "a" * 32
ShardKey = tuple[DataId, int, int]


@dataclass
class HeldRow:
    """A record."""

    sealed: bytes
    record: Record
    damaged: bool = False

    @cached_property
    def order(self) -> Order:
        """Where it stands."""
        return self.record.version.order

    @property
    def kind(self) -> Kind:
        """What it says about its key."""
        return self.record.version.kind

    @property
    def null_version(self) -> bool:
        """Whether an unversioned write replaces it."""
        return self.record.version.null_version

    @property
    def live(self) -> bool:
        """Whether it is an object."""
        return self.record.version.kind is Kind.OBJECT

    def names(self) -> set[ShardKey]:
        """The shard files that the record names."""
        return {
            (part.data_id, part.number, held.shard)
            for held in self.record.held
            if held.inline is None
            for part in self.record.version.parts_with_bytes
            if part.number not in held.missing_parts
        }

    def asked_for_by(self, op: ReadKey) -> bool:
        """Whether a read of some of the key's rows means this one."""
        return (
            (op.stamp is None or self.record.version.stamp == op.stamp)
            and (not op.nulls or self.null_version)
            and (op.below is None or self.order < op.below)
        )

    def superseded_by(self, newer: "HeldRow") -> bool:
        """An older null version by a null version; a lower revision by a higher one."""
        ours, theirs = self.record.version, newer.record.version
        both_null = ours.null_version and theirs.null_version
        return self.order < newer.order and (both_null or ours.stamp == theirs.stamp)


@dataclass
class HeldUpload:
    """An upload with its parts: (number, stamp) -> (record, data id, shards)."""

    sealed: bytes
    upload: Upload
    taken: Order | None = None
    parts: dict[tuple[int, bytes], tuple[bytes, DataId, tuple[int, ...]]] = field(
        default_factory=dict
    )

    def names(self) -> set[ShardKey]:
        """The shard files that its parts name."""
        return {
            (data_id, number, shard)
            for (number, _), (_, data_id, shards) in self.parts.items()
            for shard in shards
        }


@dataclass
class HeldFile:
    """A shard file."""

    data: bytearray
    written_ms: int
    finished: bool = False


def filled_in(record: Record, upload: HeldUpload) -> tuple[HeldShard, ...]:
    """Return the shards of a record that completes `upload`, with the parts they lack here."""
    here = upload.names()
    return tuple(
        HeldShard(
            held.shard,
            held.inline,
            tuple(
                part.number
                for part in record.version.parts_with_bytes
                if (part.data_id, part.number, held.shard) not in here
            ),
        )
        for held in record.held
    )


def common_prefix(op: ListKeys | ListVersions, key: str) -> str | None:
    """Return the common prefix of a key, None when it lies at this level."""
    if not op.delimiter or not key.startswith(op.prefix):
        return None
    at = key.find(op.delimiter, len(op.prefix))
    return None if at < 0 else key[: at + len(op.delimiter)]


def lacks_shards(record: Record) -> bool:
    """Whether this drive lacks a shard of an object that it has a record of."""
    lacks = not record.held or any(held.missing_parts for held in record.held)
    return record.version.kind is Kind.OBJECT and record.version.size > 0 and lacks


def entry_of(row: HeldRow) -> KeyEntry:
    """Return a row as a listing shows it."""
    version = row.record.version
    return KeyEntry(
        key=version.key,
        order=row.order,
        kind=version.kind,
        size=version.size,
        etag=version.etag,
        modified_ms=version.modified_ms,
        storage_class=version.storage_class,
        checksum=",".join(version.checksums),
        checksum_type=version.checksum_type,
        degraded=lacks_shards(row.record),
        null_version=version.null_version,
        owner=version.owner,
    )


def descending(order: bytes) -> bytes:
    """Turn an order round, so that newer ones sort first and none after all."""
    return bytes(255 - byte for byte in order) + b"\xff" * (64 - len(order))

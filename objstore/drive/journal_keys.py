"""What a call does to the rows of one key: decisions only, no SQL and no files.

Given the rows that a drive holds of a key, newest first, each function returns the change that
the call makes, or raises the refusal. docs/format/journal.md, "Who changes what".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from objstore.drive.journal_rows import FROM_UPLOAD, HeldRow
from objstore.drive.ops import Commit, CommitMode, Committed, Forget, Settle, Undo
from objstore.errors import BucketMissing, RecordUnknown, Superseded, UploadMissing
from objstore.names import Kind, Order
from objstore.ondisk.record import Bucket, HeldShard, Record, Version
from objstore.versions.visible import VersionRow, supersedes, visible


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What happens to a key's rows. Without `add`, `superseded` means nothing."""

    add: Record | None = None
    superseded: bool = False
    remove: tuple[HeldRow, ...] = ()
    ends_uploads: tuple[Order, ...] = ()  # uploads marked by these orders are over
    frees_uploads: tuple[Order, ...] = ()  # uploads marked by these orders are open again

    @property
    def answer(self) -> Committed:
        """What a Commit returns."""
        return Committed(self.superseded, self.add.lacks if self.add is not None else ())


@dataclass(frozen=True, slots=True)
class TakenUpload:
    """The upload that a Commit completes, as this drive holds it.

    `shards` says, for each (data id, number) of its parts, which shards lie here.
    """

    taken: Order | None
    shards: Mapping[tuple[bytes, int], frozenset[int]]


def decide_commit(
    op: Commit,
    record: Record,
    rows: Sequence[HeldRow],
    bucket: Bucket | None,
    upload: TakenUpload | None,
) -> KeyChange:
    """Give a record its place.

    Raises:
        BucketMissing: the bucket is not known, or (for a new write) deleted.
        Superseded: a new write whose stamp is not above all that are held, or a later row than the
            writer knew of.
        RecordUnknown: what a new write has to be newer than cannot be read.
        UploadMissing: the upload it completes is not known, or taken by another.
    """
    version = record.version
    ordered = op.mode is CommitMode.ORDERED
    if bucket is None or (ordered and bucket.deleted):
        raise BucketMissing(version.bucket)
    if ordered and rows:
        _check_newest(version, rows[0])
    if op.not_above is not None and rows and rows[0].order > op.not_above:
        raise Superseded(rows[0].stamp)
    if op.mode is CommitMode.REVISED:
        _check_base(op, version, rows)
    same = tuple(row for row in rows if row.order == version.order)
    if op.completes is not None:
        if upload is None and same and same[0].summary is not None:
            return KeyChange(superseded=_any_superseded(version, rows))
        record = _take(op, record, upload)
    replaced = tuple(row for row in rows if row.order == op.instead_of) if op.instead_of else ()
    removed = same if op.instead_of == version.order else (*same, *replaced)
    kept = [row for row in rows if row not in removed]
    return KeyChange(add=record, superseded=_any_superseded(version, kept), remove=removed)


def _check_newest(version: Version, newest: HeldRow) -> None:
    if newest.summary is None:
        raise RecordUnknown(f"the newest row of {version.key!r} is damaged")
    if version.stamp <= newest.stamp:
        raise Superseded(newest.stamp)


def _check_base(op: Commit, version: Version, rows: Sequence[HeldRow]) -> None:
    """Refuse a revision that was not made from the latest one that is held."""
    assert op.base is not None
    latest = next((row for row in rows if row.stamp == version.stamp), None)
    if latest is not None and latest.order > op.base and latest.order != version.order:
        raise Superseded(latest.stamp)


def _take(op: Commit, record: Record, upload: TakenUpload | None) -> Record:
    version = record.version
    if upload is None or upload.taken not in (None, version.order, op.instead_of):
        raise UploadMissing(str(op.completes))
    held = tuple(
        HeldShard(
            shard=held.shard,
            inline=held.inline,
            missing_parts=tuple(
                part.number
                for part in version.parts_with_bytes
                if held.shard not in upload.shards.get((part.data_id, part.number), frozenset())
            ),
        )
        for held in record.held
    )
    return Record(version, held)


def decide_undo(op: Undo, rows: Sequence[HeldRow]) -> KeyChange:
    """Take a row back, damaged or not."""
    removed = tuple(row for row in rows if row.order == op.order)
    return KeyChange(remove=removed, frees_uploads=(op.order,) if removed else ())


def decide_settle(op: Settle, rows: Sequence[HeldRow]) -> KeyChange:
    """Retire what a row superseded, if the row is held here and can be read."""
    settled = _find(rows, op.order)
    if settled is None or settled.summary is None:
        return KeyChange()
    removed = tuple(row for row in rows if _is_superseded(row, settled))
    over = [row.order for row in (settled, *removed) if row.flags & FROM_UPLOAD]
    return KeyChange(remove=removed, ends_uploads=tuple(over))


def decide_forget(op: Forget, rows: Sequence[HeldRow]) -> KeyChange:
    """Remove a tombstone, and what it hid, which must not come back."""
    tombstone = _find(rows, op.order)
    if tombstone is None or tombstone.summary is None or tombstone.kind != Kind.TOMBSTONE:
        return KeyChange()
    hidden = tuple(row for row in rows if _is_superseded(row, tombstone))
    over = tuple(row.order for row in hidden if row.flags & FROM_UPLOAD)
    return KeyChange(remove=(tombstone, *hidden), ends_uploads=over)


def _find(rows: Sequence[HeldRow], order: Order) -> HeldRow | None:
    return next((row for row in rows if row.order == order), None)


def _is_superseded(row: HeldRow, newer: VersionRow) -> bool:
    """Whether a row can be read and is retired by a newer one."""
    return row.summary is not None and supersedes(newer, row)


def _any_superseded(version: Version, rows: Sequence[HeldRow]) -> bool:
    return any(_is_superseded(row, version) for row in rows)


class KeyUsage(NamedTuple):
    """What a key adds to the usage of its bucket."""

    objects: int = 0  # 1 when its current version is an object
    object_bytes: int = 0
    versions: int = 0
    version_bytes: int = 0


_NO_USAGE: Final = KeyUsage()


def usage_of(rows: Sequence[HeldRow]) -> KeyUsage:
    """Return what a key with these rows, newest first, adds to the usage of its bucket."""
    if not rows:
        return _NO_USAGE
    counted = visible(rows) if len(rows) > 1 or rows[0].kind == Kind.TOMBSTONE else rows
    shown = [row for row in counted if row.summary is not None]
    if not shown:
        return _NO_USAGE
    current = shown[0]
    return KeyUsage(
        int(current.live),
        current.size if current.live else 0,
        len(shown),
        sum(row.size for row in shown),
    )


def rows_after(rows: Sequence[HeldRow], change: KeyChange, added: HeldRow | None) -> list[HeldRow]:
    """Return the key's rows, newest first, once the change is made."""
    kept = [row for row in rows if row not in change.remove]
    if added is not None:
        kept.append(added)
        kept.sort(key=_by_order, reverse=True)
    return kept


def _by_order(row: HeldRow) -> Order:
    return row.order

"""Mending what follows from a record that is intact, on the drive itself.

A row of `rows` says of its record what a listing needs. A row of `shards` says which file is named
by whom; it carries no checksum, but what it says follows from the record or the part that owns it.
"""

from objstore.drive.journal_changes import Changes
from objstore.drive.journal_rows import (
    files_named,
    key_bytes,
    open_payload,
    open_row,
    seal_summary,
    summary_of,
)
from objstore.drive.journal_sql import load_payload
from objstore.drive.ops import Op
from objstore.errors import RecordUnknown
from objstore.names import BucketName, ObjectKey
from objstore.ondisk.paths import ShardName
from objstore.ondisk.record import decode_part, decode_record
from objstore.ondisk.tree import place_of


class MendRows(Op[int], frozen=True, array_like=True):
    """Write the rows of a key that fail their checksum anew, from those of its records that do not.

    Returns how many were. Local only.
    """

    bucket: BucketName
    key: ObjectKey


class MendName(Op[bool], frozen=True, array_like=True):
    """Make the row of `shards` for this file and owner agree with what the owner names.

    Returns whether it had to be changed. Nothing is changed for an owner that cannot be read.
    Local only.
    """

    name: ShardName
    owner: int


def mend_rows(changes: Changes, op: MendRows) -> int:
    """Apply a MendRows."""
    changes.write()
    key = (op.bucket, key_bytes(op.key))
    mended = 0
    found = changes.connection.execute(
        """SELECT r.ord, r.kind, r.record_id, r.summary, p.payload
           FROM rows r JOIN records p ON p.record_id = r.record_id
           WHERE r.bucket = ? AND r.key = ?""",
        key,
    ).fetchall()
    for order, kind, record_id, summary, payload in found:
        row = open_row(*key, order, kind, record_id, summary)
        record = open_payload(*key, order, payload)
        if row.summary is not None or record is None:
            continue
        right = int(record.version.kind)
        sealed = seal_summary(*key, row.order, right, record_id, summary_of(record))
        changes.connection.execute(
            "UPDATE rows SET kind = ?, summary = ? WHERE bucket = ? AND key = ? AND ord = ?",
            (right, sealed, *key, order),
        )
        changes.tree.unsure(place_of(*key))
        mended += 1
    return mended


def mend_name(changes: Changes, op: MendName) -> bool:
    """Apply a MendName."""
    row = (op.name.data_id, op.name.part, op.name.shard, op.owner)
    changes.write()
    held = changes.connection.execute(
        "SELECT 1 FROM shards WHERE data_id = ? AND part = ? AND shard = ? AND owner = ?", row
    ).fetchone()
    names = names_of(changes, op.owner)
    if names is None or (held is not None) == (op.name in names):
        return False
    if held is None:
        changes.name_files(op.owner, (op.name,))
    else:
        changes.connection.execute(
            "DELETE FROM shards WHERE data_id = ? AND part = ? AND shard = ? AND owner = ?", row
        )
    return True


def names_of(changes: Changes, owner: int) -> frozenset[ShardName] | None:
    """Return the files that a record, or minus a part, names; None when it cannot be read."""
    if owner > 0:
        payload = load_payload(changes.connection, owner)
        if payload is None:
            return frozenset()
        return names_in_record(payload)
    found = changes.connection.execute(
        "SELECT shards, record FROM parts WHERE part_id = ?", (-owner,)
    ).fetchone()
    return frozenset() if found is None else names_in_part(*found)


def names_in_record(payload: bytes) -> frozenset[ShardName] | None:
    """Return the files that a record names; None when it is damaged."""
    try:
        return frozenset(files_named(decode_record(payload)))
    except (RecordUnknown, TypeError):
        return None


def names_in_part(shards: bytes, record: bytes) -> frozenset[ShardName] | None:
    """Return the files that an uploaded part names; None when it is damaged."""
    try:
        part = decode_part(record).part
        return frozenset(ShardName(part.data_id, part.number, shard) for shard in shards)
    except (RecordUnknown, TypeError):
        return None

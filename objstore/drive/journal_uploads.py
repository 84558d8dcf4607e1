"""Changes to buckets, uploads, parts, missed versions and the drive's own state.

Each call stands alone in its transaction's order: it looks, then changes, and a refusal comes
before the first change. Runs on the drive's writer thread, under the journal's lock.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from objstore.drive.journal_changes import Changes
from objstore.drive.journal_fetch import fetch_rows
from objstore.drive.journal_keys import TakenUpload
from objstore.drive.journal_mend import MendName, MendRows, mend_name, mend_rows
from objstore.drive.journal_rows import key_bytes
from objstore.drive.journal_scan import upload_hashes
from objstore.drive.journal_schema import TRUSTED, UNTRUSTED, VERSION_SCOPE, forgotten
from objstore.drive.journal_sql import Key
from objstore.drive.ops import (
    AbortUpload,
    ClearMissed,
    DiscardShards,
    Op,
    PutBucket,
    PutPart,
    PutUpload,
    RequestCompare,
    RequestHeal,
    RequestScrub,
    Settle,
    WriteComparison,
    WriteProgress,
    WriteQuarantine,
    WriteScrub,
)
from objstore.errors import (
    BucketMissing,
    BucketNotEmpty,
    RecordUnknown,
    Superseded,
    UploadMissing,
)
from objstore.names import BucketName, DataId, Order, UploadId
from objstore.ondisk.paths import ShardName
from objstore.ondisk.record import (
    Bucket,
    UploadedPart,
    decode_bucket,
    decode_part,
    decode_upload,
)
from objstore.ondisk.tree import place_of

_PARTS: Final = """SELECT part_id AS c0, number AS c1, data_id AS c2, shards AS c3
    FROM parts WHERE upload_id = ?"""

# --- buckets -----------------------------------------------------------------------------


def _put_bucket(changes: Changes, op: PutBucket) -> None:
    bucket = decode_bucket(op.record)
    held = _held_bucket(changes, bucket.name, damaged_is_absent=op.force)
    if held is not None and bucket.stamp <= held.stamp:
        raise Superseded(held.stamp)
    if held is not None and op.base is not None and held.stamp > op.base:
        raise Superseded(held.stamp)
    if bucket.deleted and not op.force and _in_use(changes, bucket.name):
        raise BucketNotEmpty(bucket.name)
    if bucket.deleted and op.force:
        _end_uploads_of(changes, bucket.name)
    changes.connection.execute(
        "INSERT OR REPLACE INTO buckets VALUES (?, ?)", (bucket.name, op.record)
    )
    place, tree = place_of(bucket.name), changes.tree
    tree.add(place, tree.hash.bucket(place, bucket.stamp))
    if held is not None:
        tree.add(place, -tree.hash.bucket(place, held.stamp), entries=-1)
    elif op.force:
        tree.unsure(place)  # there may have been a damaged one


def _held_bucket(
    changes: Changes, name: BucketName, *, damaged_is_absent: bool = False
) -> Bucket | None:
    for _, sealed in changes.buckets([name]):
        try:
            return decode_bucket(sealed)
        except RecordUnknown:
            if not damaged_is_absent:
                raise
    return None


def _in_use(changes: Changes, name: BucketName) -> bool:
    changes.write_usage()
    execute = changes.connection.execute
    usage = execute(
        "SELECT 1 FROM usage WHERE scope = ? AND entries > 0", (VERSION_SCOPE + name,)
    ).fetchone()
    upload = execute(
        "SELECT 1 FROM uploads WHERE bucket = ? AND taken IS NULL LIMIT 1", (name,)
    ).fetchone()
    return usage is not None or upload is not None


def _end_uploads_of(changes: Changes, name: BucketName) -> None:
    found = changes.connection.execute(
        "SELECT upload_id FROM uploads WHERE bucket = ?", (name,)
    ).fetchall()
    for (upload_id,) in found:
        _forget_upload(changes, upload_id)


# --- uploads -----------------------------------------------------------------------------


def _put_upload(changes: Changes, op: PutUpload) -> None:
    upload = decode_upload(op.record)
    bucket = _held_bucket(changes, upload.bucket)
    if bucket is None or bucket.deleted:
        raise BucketMissing(upload.bucket)
    execute = changes.connection.execute
    if not execute("SELECT 1 FROM uploads WHERE upload_id = ?", (upload.upload_id,)).fetchone():
        changes.tree.add(place_of(upload.bucket), changes.tree.hash.upload(upload.upload_id))
    execute(
        """INSERT INTO uploads VALUES (?, ?, ?, NULL, ?)
           ON CONFLICT (upload_id) DO UPDATE SET record = excluded.record""",
        (upload.upload_id, upload.bucket, key_bytes(upload.key), op.record),
    )


def _require_open(changes: Changes, upload_id: UploadId) -> None:
    found = changes.connection.execute(
        "SELECT taken FROM uploads WHERE upload_id = ?", (upload_id,)
    ).fetchone()
    if found is None or found[0] is not None:
        raise UploadMissing(upload_id)


def _put_part(changes: Changes, op: PutPart) -> None:
    uploaded = decode_part(op.record)
    part = uploaded.part
    _require_open(changes, uploaded.upload_id)
    execute = changes.connection.execute
    _count_part(changes, uploaded)
    place = (uploaded.upload_id, part.number, uploaded.stamp)
    old = execute(
        """SELECT part_id, number, data_id, shards FROM parts
           WHERE upload_id = ? AND number = ? AND stamp = ?""",
        place,
    ).fetchone()
    if old is not None:  # the same call again
        execute("DELETE FROM parts WHERE part_id = ?", (old[0],))
        changes.unname_files(-old[0], _files_of(*old[1:]))
    added = execute(
        "INSERT INTO parts VALUES (NULL, ?, ?, ?, ?, ?, ?)",
        (*place, part.data_id, bytes(op.shards), op.record),
    )
    part_id = added.lastrowid
    assert part_id is not None
    changes.name_files(-part_id, _files_of(part.number, part.data_id, bytes(op.shards)))


def _count_part(changes: Changes, uploaded: UploadedPart) -> None:
    """A part is about to be stored: in the tree the newest of its number counts."""
    upload_id, number = uploaded.upload_id, uploaded.part.number
    bucket, newest = changes.connection.execute(
        """SELECT bucket, (SELECT max(stamp) FROM parts WHERE upload_id = ?1 AND number = ?2)
           FROM uploads WHERE upload_id = ?1""",
        (upload_id, number),
    ).fetchone()
    if newest is not None and newest >= uploaded.stamp:
        return
    tree = changes.tree
    tree.add(place_of(bucket), tree.hash.part(upload_id, number, uploaded.stamp))
    if newest is not None:
        tree.add(place_of(bucket), -tree.hash.part(upload_id, number, newest), entries=-1)


def _files_of(number: int, data_id: bytes, shards: bytes) -> list[ShardName]:
    return [ShardName(DataId(data_id), number, shard) for shard in shards]


def _abort_upload(changes: Changes, op: AbortUpload) -> None:
    _require_open(changes, op.upload_id)
    _forget_upload(changes, op.upload_id)


def _forget_upload(changes: Changes, upload_id: str) -> None:
    execute = changes.connection.execute
    _count_open(changes, upload_id, -1)
    parts = fetch_rows(changes.connection, _PARTS, (upload_id,), "iibb")
    for part_id, *files in parts:
        changes.unname_files(-part_id, _files_of(*files))
    execute("DELETE FROM parts WHERE upload_id = ?", (upload_id,))
    execute("DELETE FROM uploads WHERE upload_id = ?", (upload_id,))


def _count_open(changes: Changes, upload_id: str, sign: int) -> None:
    """In the tree an upload counts, with its parts, while no record has taken it."""
    found = changes.connection.execute(
        "SELECT bucket FROM uploads WHERE upload_id = ? AND taken IS NULL", (upload_id,)
    ).fetchone()
    if found is not None:
        entries, total = upload_hashes(changes.connection, changes.tree.hash, upload_id)
        changes.tree.add(place_of(found[0]), sign * total, entries=sign * entries)


# --- uploads and the records that take them ------------------------------------------------


def load_taken(changes: Changes, upload_id: UploadId) -> TakenUpload | None:
    """Return which record took an upload, if any, and which shards of its parts lie here."""
    execute = changes.connection.execute
    found = execute("SELECT taken FROM uploads WHERE upload_id = ?", (upload_id,)).fetchone()
    if found is None:
        return None
    parts = fetch_rows(changes.connection, _PARTS, (upload_id,), "iibb")
    shards: dict[tuple[bytes, int], frozenset[int]] = {}
    for _, number, data_id, indexes in parts:
        known = shards.get((data_id, number), frozenset())
        shards[data_id, number] = known | frozenset(indexes)
    return TakenUpload(None if found[0] is None else Order(found[0]), shards)


def mark_upload(changes: Changes, upload_id: UploadId, order: Order) -> None:
    """The record of this order has taken the upload."""
    _count_open(changes, upload_id, -1)
    changes.connection.execute(
        "UPDATE uploads SET taken = ? WHERE upload_id = ?", (order, upload_id)
    )


def free_upload(changes: Changes, key: Key, order: Order) -> None:
    """The record of this order is taken back: its upload is open again."""
    execute = changes.connection.execute
    for upload_id in _taken_by(changes, key, order):
        execute("UPDATE uploads SET taken = NULL WHERE upload_id = ?", (upload_id,))
        _count_open(changes, upload_id, 1)


def end_upload(changes: Changes, key: Key, order: Order) -> None:
    """The upload that the record of this order took is over."""
    for upload_id in _taken_by(changes, key, order):
        _forget_upload(changes, upload_id)


def _taken_by(changes: Changes, key: Key, order: Order) -> list[str]:
    found = changes.connection.execute(
        "SELECT upload_id FROM uploads WHERE bucket = ? AND key = ? AND taken = ?", (*key, order)
    ).fetchall()
    return [upload_id for (upload_id,) in found]


# --- missed versions -----------------------------------------------------------------------


def remember_missed(changes: Changes, op: Settle, *, now_ms: int) -> None:
    """Slots of the set did not get the version: the entry of the key grows to say so."""
    execute = changes.connection.execute
    place = (op.bucket, key_bytes(op.key))
    held = execute(
        "SELECT ord, slots, since_ms, size FROM missed WHERE bucket = ? AND key = ?", place
    ).fetchone()
    order, slots, since_ms, size = bytes(op.order), set(op.missed), now_ms, op.size
    if held is not None:
        slots |= set(held[1])
        since_ms = held[2]
        if held[0] > order:
            order, size = held[0], held[3]
    execute(
        "INSERT OR REPLACE INTO missed VALUES (?, ?, ?, ?, ?, ?)",
        (*place, order, bytes(sorted(slots)), since_ms, size),
    )
    changes.count_missed(0 if held else 1, size - (held[3] if held else 0))


def _clear_missed(changes: Changes, op: ClearMissed) -> None:
    execute = changes.connection.execute
    place = (op.bucket, key_bytes(op.key))
    held = execute(
        "SELECT ord, slots, size FROM missed WHERE bucket = ? AND key = ?", place
    ).fetchone()
    if held is None or held[0] > op.order:
        return
    left = sorted(set(held[1]) - set(op.slots))
    if left:
        execute("UPDATE missed SET slots = ? WHERE bucket = ? AND key = ?", (bytes(left), *place))
    else:
        execute("DELETE FROM missed WHERE bucket = ? AND key = ?", place)
        changes.count_missed(-1, -held[2])


# --- the drive itself ------------------------------------------------------------------------


def _discard_shards(changes: Changes, op: DiscardShards) -> None:
    names = [ShardName(*shard) for shard in op.shards]
    changes.discarded += [name for name in names if not changes.is_named(name)]


def _write_progress(changes: Changes, op: WriteProgress) -> None:
    _write_meta(changes, "progress", msgspec.msgpack.encode(op.progress))
    if op.trusted is not None:
        _write_meta(changes, "trusted", TRUSTED if op.trusted else UNTRUSTED)


def _write_comparison(changes: Changes, op: WriteComparison) -> None:
    _write_meta(changes, "comparison", msgspec.msgpack.encode(op.comparison))
    if op.forgotten > forgotten(changes.connection):
        remember_forgotten(changes, op.forgotten)


def _request_compare(changes: Changes, op: RequestCompare) -> None:
    _write_meta(changes, "compare_requested_ms", str(op.requested_ms).encode())


def _request_heal(changes: Changes, op: RequestHeal) -> None:
    _write_meta(changes, "heal_requested_ms", str(op.requested_ms).encode())


def _write_scrub(changes: Changes, op: WriteScrub) -> None:
    _write_meta(changes, "scrub", msgspec.msgpack.encode(op.state))


def _request_scrub(changes: Changes, op: RequestScrub) -> None:
    _write_meta(changes, "scrub_requested", f"{op.requested_ms} {int(op.full_speed)}".encode())


def _write_quarantine(changes: Changes, op: WriteQuarantine) -> None:
    _write_meta(changes, "quarantine", msgspec.msgpack.encode(op.quarantine))


def remember_forgotten(changes: Changes, number: int) -> None:
    """Take note that the drive knows of so many tombstones forgotten."""
    _write_meta(changes, "forgotten", str(number).encode())


def _write_meta(changes: Changes, name: str, value: bytes) -> None:
    changes.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (name, value))


SINGLE_CALLS: Final[Mapping[type[Op[Any]], Callable[[Changes, Any], Any]]] = {
    PutBucket: _put_bucket,
    PutUpload: _put_upload,
    PutPart: _put_part,
    AbortUpload: _abort_upload,
    ClearMissed: _clear_missed,
    DiscardShards: _discard_shards,
    WriteProgress: _write_progress,
    RequestHeal: _request_heal,
    WriteScrub: _write_scrub,
    RequestScrub: _request_scrub,
    WriteQuarantine: _write_quarantine,
    MendName: mend_name,
    MendRows: mend_rows,
    WriteComparison: _write_comparison,
    RequestCompare: _request_compare,
}

"""Answers from a journal. Runs on the drive's reader thread, with a connection of its own.

A group of calls is answered from one snapshot, taken after the last of them was asked. Reads of
keys in a row are answered with one statement.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from objstore.drive.job_states import Comparison, Progress, Quarantine, ScrubState, TreePage
from objstore.drive.journal_changes import names_file
from objstore.drive.journal_fetch import fetch_blobs, fetch_rows
from objstore.drive.journal_group import AnyCall, Outcome
from objstore.drive.journal_listing import (
    after_prefix,
    list_keys,
    list_tombstones,
    list_versions,
)
from objstore.drive.journal_nodes import read_tree
from objstore.drive.journal_rows import key_bytes, open_payload
from objstore.drive.journal_schema import (
    BUCKET_SCOPE,
    MISSED_SCOPE,
    VERSION_SCOPE,
    emptied_ms,
    forgotten,
    is_trusted,
    read_meta,
)
from objstore.drive.journal_sql import Key, LoadedRow, load_payloads, load_some_payloads
from objstore.drive.lanes import again
from objstore.drive.ops import (
    BucketPage,
    DriveStatus,
    KeyPage,
    KeyState,
    ListBuckets,
    ListKeys,
    ListMissed,
    ListTombstones,
    ListUploads,
    ListVersions,
    Missed,
    MissedPage,
    Op,
    ReadBucket,
    ReadKey,
    ReadStatus,
    ReadTree,
    ReadUpload,
    ReadUsage,
    TombstonePage,
    UploadPage,
    UploadState,
    Usage,
    VersionPage,
)
from objstore.drive.posix import Root, journal_error
from objstore.errors import DriveError, DriveRefusal, RecordUnknown
from objstore.limits import KEY_ROWS_MAX, LIST_ROWS_EXAMINED_MAX
from objstore.names import BucketName, Kind, ObjectKey, Order
from objstore.ondisk.paths import ShardName
from objstore.ondisk.record import decode_bucket, decode_part, decode_upload
from objstore.ondisk.tree import TreeHash

T = TypeVar("T")


class IsNamed(Op[bool], frozen=True, array_like=True):
    """Whether a record or an uploaded part of this journal names a shard file. Local only."""

    name: ShardName


class JournalReader:
    """Answers calls from one journal."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        root: Root,
        tree: TreeHash,
        *,
        examined_max: int = LIST_ROWS_EXAMINED_MAX,
    ) -> None:
        self._connection = connection
        self._root = root
        self._tree = tree
        self._examined_max = examined_max
        self._trusted = False
        self._emptied_ms = 0
        self._handle = self._answers()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def answer(self, calls: Sequence[AnyCall]) -> list[Outcome]:
        """Answer a group of calls; return, for each, its result or the error it raises."""
        try:
            self._root.check()
            self._connection.execute("BEGIN")
            try:
                # A damaged journal may lack what it once had, as one that was lost does.
                damaged = self._root.is_damaged()
                self._trusted = is_trusted(self._connection) and not damaged
                self._emptied_ms = 0 if damaged else emptied_ms(self._connection)
                return [outcome for run in _runs(calls) for outcome in self._answer(run)]
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
        except DriveError as error:
            return [again(error) for _ in calls]
        except sqlite3.Error as error:
            found = journal_error(error, self._root)
            return [again(found) for _ in calls]

    def _answers(self) -> Mapping[type[AnyCall], Callable[[Any], Outcome]]:
        return {
            ListKeys: self._list_keys,
            ListVersions: self._list_versions,
            ReadUsage: self._read_usage,
            ListTombstones: self._list_tombstones,
            ReadBucket: self._read_bucket,
            ListBuckets: self._list_buckets,
            ReadUpload: self._read_upload,
            ListUploads: self._list_uploads,
            ListMissed: self._list_missed,
            ReadStatus: self._read_status,
            ReadTree: self._read_tree,
            IsNamed: self._is_named,
        }

    def _answer(self, run: Sequence[AnyCall]) -> list[Outcome]:
        try:
            if _reads_newest(run[0]):
                return self._read_keys([call for call in run if isinstance(call, ReadKey)])
            if isinstance(run[0], ReadKey):
                return [self._read_some(run[0])]
            return [self._handle[type(run[0])](run[0])]
        except sqlite3.Error as error:
            found = journal_error(error, self._root)
            if not isinstance(found, RecordUnknown):
                raise found from error
            if len(run) == 1:
                return [found]
            return [outcome for call in run for outcome in self._answer([call])]
        except (RecordUnknown, DriveRefusal) as error:
            return [error]

    def _meta(self, name: str) -> bytes | None:
        return read_meta(self._connection, name)

    # --- keys ------------------------------------------------------------------------

    def _read_keys(self, calls: Sequence[ReadKey]) -> list[KeyState]:
        keys = [(call.bucket, key_bytes(call.key)) for call in calls]
        held = load_payloads(self._connection, keys)
        return [
            self._read_some(call) if rows is None else self._state(key, *_counted(call, rows))
            for call, key, rows in zip(calls, keys, held, strict=True)
        ]

    def _read_some(self, op: ReadKey) -> KeyState:
        """Answer for a key with many rows, or for some of them."""
        key = (op.bucket, key_bytes(op.key))
        return self._state(key, *_counted(op, load_some_payloads(self._connection, key, op)))

    def _state(self, key: Key, rows: Sequence[LoadedRow], more: bool) -> KeyState:  # noqa: FBT001 - _counted's
        records: list[bytes] = []
        damaged: list[Order] = []
        for row, payload in rows:
            intact = payload is not None and open_payload(*key, row.order, payload)
            if intact and payload is not None:
                records.append(payload)
            else:
                damaged.append(row.order)
        return KeyState(
            tuple(records), len(damaged), self._trusted, more, self._emptied_ms, tuple(damaged)
        )

    def _list_versions(self, op: ListVersions) -> VersionPage:
        return list_versions(
            self._connection, op, trusted=self._trusted, examined_max=self._examined_max
        )

    def _read_usage(self, op: ReadUsage) -> Usage:
        objects, object_bytes = self._usage(BUCKET_SCOPE + op.bucket)
        versions, version_bytes = self._usage(VERSION_SCOPE + op.bucket)
        return Usage(objects, object_bytes, versions, version_bytes, self._trusted)

    def _usage(self, scope: str) -> tuple[int, int]:
        found = self._connection.execute(
            "SELECT entries, bytes FROM usage WHERE scope = ?", (scope,)
        ).fetchone()
        return (0, 0) if found is None else (found[0], found[1])

    def _list_keys(self, op: ListKeys) -> KeyPage:
        return list_keys(
            self._connection, op, trusted=self._trusted, examined_max=self._examined_max
        )

    def _list_tombstones(self, op: ListTombstones) -> TombstonePage:
        return list_tombstones(self._connection, op)

    # --- buckets ---------------------------------------------------------------------

    def _read_bucket(self, op: ReadBucket) -> BucketPage:
        return self._bucket_page("SELECT record AS c0 FROM buckets WHERE name = ?", op.name)

    def _list_buckets(self, _: ListBuckets) -> BucketPage:
        return self._bucket_page("SELECT record AS c0 FROM buckets ORDER BY name")

    def _bucket_page(self, sql: str, *names: str) -> BucketPage:
        found = fetch_blobs(self._connection, sql, names)
        intact = tuple(sealed for sealed in found if _opens(decode_bucket, sealed))
        return BucketPage(intact, self._trusted and len(intact) == len(found))

    # --- uploads ---------------------------------------------------------------------

    def _read_upload(self, op: ReadUpload) -> UploadState:
        execute = self._connection.execute
        found = execute(
            "SELECT record FROM uploads WHERE upload_id = ?", (op.upload_id,)
        ).fetchone()
        if found is None:
            return UploadState(None, (), self._trusted)
        decode_upload(found[0])
        parts = fetch_blobs(
            self._connection,
            """SELECT record AS c0 FROM parts AS p WHERE upload_id = ? AND number > ?
               AND NOT EXISTS (SELECT 1 FROM parts WHERE upload_id = p.upload_id
                               AND number = p.number AND stamp > p.stamp)
               ORDER BY number LIMIT ?""",
            (op.upload_id, op.after_part, max(1, op.limit)),
        )
        for sealed in parts:
            decode_part(sealed)
        return UploadState(found[0], tuple(parts), self._trusted)

    def _list_uploads(self, op: ListUploads) -> UploadPage:
        sql = """SELECT record AS c0 FROM uploads WHERE bucket = ? AND taken IS NULL AND key >= ?
                 AND (key, upload_id) > (?, ?)"""
        prefix = op.prefix.encode()
        bounds: list[str | bytes | int] = [op.bucket, prefix, op.after_key.encode()]
        bounds.append(op.after_upload)
        if prefix:
            sql += " AND key < ?"
            bounds.append(after_prefix(prefix))
        limit = max(1, op.limit)
        sql += " ORDER BY key, upload_id LIMIT ?"
        found = fetch_blobs(self._connection, sql, [*bounds, limit + 1])
        page = found[:limit]
        intact = tuple(sealed for sealed in page if _opens(decode_upload, sealed))
        trusted = self._trusted and len(intact) == len(page)
        return UploadPage(intact, len(found) > limit, trusted)

    # --- healing and state -------------------------------------------------------------

    def _read_tree(self, op: ReadTree) -> TreePage:
        return read_tree(
            self._connection,
            self._tree,
            op,
            trusted=self._trusted,
            examined_max=self._examined_max,
        )

    def _list_missed(self, op: ListMissed) -> MissedPage:
        found = fetch_rows(
            self._connection,
            """SELECT CAST(bucket AS BLOB) AS c0, key AS c1, ord AS c2, slots AS c3,
                      since_ms AS c4, size AS c5
               FROM missed WHERE (bucket, key) > (?, ?) ORDER BY bucket, key LIMIT ?""",
            (op.after_bucket, op.after_key.encode(), max(1, op.limit)),
            "bbbbii",
        )
        return MissedPage(tuple(_missed(*columns) for columns in found))

    def _read_status(self, _: ReadStatus) -> DriveStatus:
        execute = self._connection.execute
        self._root.read_once()
        total_bytes, free_bytes, _room = self._root.space()
        objects, object_bytes = execute(
            "SELECT ifnull(sum(entries), 0), ifnull(sum(bytes), 0) FROM usage WHERE scope >= ? "
            "AND scope < ?",
            (BUCKET_SCOPE, BUCKET_SCOPE[:-1] + "0"),
        ).fetchone()
        missed, missed_bytes = self._usage(MISSED_SCOPE)
        (since_ms,) = execute("SELECT ifnull(min(since_ms), 0) FROM missed").fetchone()
        return DriveStatus(
            total_bytes=total_bytes,
            free_bytes=free_bytes,
            trusted=self._trusted,
            objects=objects,
            object_bytes=object_bytes,
            missed=missed,
            missed_bytes=missed_bytes,
            missed_since_ms=since_ms,
            progress=self._stored("progress", Progress),
            heal_requested_ms=int(self._meta("heal_requested_ms") or b"0"),
            scrub=self._stored("scrub", ScrubState),
            scrub_requested_ms=int((self._meta("scrub_requested") or b"0").split()[0]),
            scrub_full_speed=(self._meta("scrub_requested") or b"").endswith(b" 1"),
            quarantine=self._stored("quarantine", Quarantine),
            comparison=self._stored("comparison", Comparison),
            compare_requested_ms=int(self._meta("compare_requested_ms") or b"0"),
            journal_damage=self._root.damage(),
            forgotten=forgotten(self._connection),
        )

    def _stored(self, name: str, kind: type[T]) -> T | None:
        """Return what a background job stored; None when it is damaged, as it can be done without.

        It says how far a job was, or what it found.
        """
        stored = self._meta(name)
        try:
            return None if stored is None else msgspec.msgpack.decode(stored, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None

    def _is_named(self, op: IsNamed) -> bool:
        return names_file(self._connection, op.name)


def _runs(calls: Sequence[AnyCall]) -> Iterator[list[AnyCall]]:
    """Cut calls into runs of reads of keys, and single calls."""
    run: list[AnyCall] = []
    for call in calls:
        if run and not (_reads_newest(call) and _reads_newest(run[0])):
            yield run
            run = []
        run.append(call)
    if run:
        yield run


def _reads_newest(call: AnyCall) -> bool:
    """Whether a call reads a key's newest rows, whichever they are."""
    return (
        isinstance(call, ReadKey) and call.stamp is None and not call.nulls and call.below is None
    )


def _counted(op: ReadKey, rows: Iterable[LoadedRow]) -> tuple[list[LoadedRow], bool]:
    """Take rows up to the limit, which tombstones do not count for, and say whether more follow."""
    taken: list[LoadedRow] = []
    left = max(1, op.limit)
    for found in rows:
        if left == 0 or len(taken) >= KEY_ROWS_MAX:
            return taken, True
        taken.append(found)
        left -= found[0].kind != Kind.TOMBSTONE
    return taken, False


def _missed(
    bucket: bytes, key: bytes, order: bytes, slots: bytes, since_ms: int, size: int
) -> Missed:
    place = BucketName(bucket.decode()), ObjectKey(key.decode())
    return Missed(*place, Order(order), tuple(slots), since_ms, size)


def _opens(decode: Callable[[bytes], object], sealed: bytes) -> bool:
    try:
        decode(sealed)
    except (RecordUnknown, TypeError):
        return False
    return True

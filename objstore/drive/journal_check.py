"""Check a journal for the scrub: what it says, row by row, and the trees it is kept in.

Runs on a thread and a connection of its own, in slices that end within milliseconds, but for
`structure`, which has a bound. What each check can find, and what none can, is in
docs/format/journal.md ("What the scrub reads").

A damaged record or row is told of by its key, and healed like anything that a drive lacks. A
damaged tree cannot be mended row by row, because nothing can be found in it with certainty: it
is told of as `broken`, and the journal is made anew.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

from objstore.clock import Clock
from objstore.drive.journal_log import check_log
from objstore.drive.journal_mend import names_in_part, names_in_record
from objstore.drive.journal_rows import files_named, open_payload, open_row
from objstore.drive.posix import Root
from objstore.errors import RecordUnknown
from objstore.limits import JOURNAL_CHECK_S, SCRUB_ROWS_MAX
from objstore.names import BucketName, DataId, ObjectKey, UploadId
from objstore.ondisk.paths import JOURNAL_LOCK, JOURNAL_LOG, ShardName
from objstore.ondisk.record import Record, decode_bucket, decode_part, decode_upload

T = TypeVar("T")

TABLES: Final = ("meta", "buckets", "usage", "rows", "records", "shards", "uploads", "parts",
                 "missed", "tree", "sqlite_sequence")  # fmt: skip
_STEPS_BETWEEN_LOOKS: Final = 100_000  # of SQLite's machine: some milliseconds
ROW_BYTES: Final = 150  # about, beside its record


class Place(NamedTuple):
    """A place in the order of rows: bucket, key, order."""

    bucket: str = ""
    key: str = ""
    order: bytes = b""


class NamedFile(NamedTuple):
    """A shard file that a record of a key names, or a part of an upload."""

    bucket: BucketName
    key: ObjectKey
    name: ShardName
    upload_id: UploadId = UploadId("")


class Wrong(NamedTuple):
    """Something that does not agree with its checksum, by kind and key."""

    kind: str
    bucket: BucketName
    key: ObjectKey


class WrongName(NamedTuple):
    """A row of `shards` that its owner does not agree with; or that is not there."""

    name: ShardName
    owner: int


@dataclass(slots=True)
class Checked:
    """What one slice gave. `after` is where to go on; None at the end."""

    after: Place | None = None
    count: int = 0
    size: int = 0
    files: list[NamedFile] = field(default_factory=list)
    wrong: list[Wrong] = field(default_factory=list)
    wrong_names: list[WrongName] = field(default_factory=list)
    ownerless: list[WrongName] = field(default_factory=list)  # left behind by a damaged record
    broken: str = ""  # why the journal has to be made anew


class JournalChecker:
    """The checks, on a connection that nothing else uses."""

    def __init__(self, connection: sqlite3.Connection, root: Root, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self.root = root

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def log(self) -> Checked:
        """Check the write-ahead log."""
        path = self.root.path
        size, damage = check_log(path / JOURNAL_LOG, path / JOURNAL_LOCK)
        return Checked(size=size, broken=damage)

    # --- trees -----------------------------------------------------------------------

    def structure(self, table: str) -> Checked:
        """Have SQLite walk the trees of a table: pages, cells, order, and indexes against rows.

        A table that takes longer than JOURNAL_CHECK_S is left half looked at: a snapshot that is
        held for longer would keep the log from being begun anew.
        """
        now_s = self._clock.monotonic_s
        ends_s = now_s() + JOURNAL_CHECK_S
        connection = self._connection
        connection.set_progress_handler(lambda: int(now_s() > ends_s), _STEPS_BETWEEN_LOOKS)
        try:
            found = connection.execute(f"PRAGMA integrity_check({table})").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_INTERRUPT:
                raise
            return Checked()
        finally:
            connection.set_progress_handler(None, 0)
        problems = "; ".join(str(problem) for (problem,) in found[:3])
        if problems == "ok" and table == "records" and not self._numbers_are_above():
            problems = "records have numbers that are still to be given"
        return Checked(broken="" if problems == "ok" else f"table {table}: {problems}")

    def _numbers_are_above(self) -> bool:
        """Whether the next record gets a number that none has."""
        (highest,) = self._connection.execute(
            "SELECT ifnull(max(record_id), 0) FROM records"
        ).fetchone()
        (given,) = self._connection.execute(
            "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'records'"
        ).fetchone()
        return isinstance(given, int) and highest <= given

    # --- rows and their records ----------------------------------------------------------

    def rows(self, after: Place) -> Checked:
        """Check rows behind a place, their records, and that `shards` has what these name."""
        checked = Checked()
        self._connection.execute("BEGIN")
        try:
            found = list(self._rows(after))
            before = (after.bucket.encode(), after.key.encode(), _descending(after.order))
            for bucket, key, order, *rest in found:
                if not all(isinstance(value, bytes) for value in (bucket, key, order)):
                    checked.broken = "a row whose key is no key"
                    break
                place = (bucket, key, _descending(order))
                if place <= before:
                    checked.broken = "rows that are not in the order of their keys"
                    break
                before = place
                self._check_row(checked, bucket, key, order, rest)
        finally:
            self._connection.execute("ROLLBACK")
        if len(found) == SCRUB_ROWS_MAX and not checked.broken:
            bucket, key, order = found[-1][:3]
            checked.after = Place(bucket.decode(), key.decode(), order)
        return checked

    def key(self, bucket: BucketName, key: ObjectKey) -> bool:
        """Whether every row of a key is whole, and its record."""
        found = self._connection.execute(
            """SELECT r.ord, r.kind, r.record_id, r.summary, p.payload
               FROM rows r LEFT JOIN records p ON p.record_id = r.record_id
               WHERE r.bucket = ? AND r.key = ?""",
            (bucket, key.encode()),
        )
        checked = Checked()
        for order, *rest in found:
            self._check_row(checked, bucket.encode(), key.encode(), order, rest)
        return not checked.wrong and not checked.broken

    def _rows(self, after: Place) -> Iterator[tuple[Any, ...]]:
        """Yield the rows behind a place, at most SCRUB_ROWS_MAX."""
        place = (after.bucket, after.key.encode())
        left = SCRUB_ROWS_MAX
        for where, order, bounds in (
            ("r.bucket = ? AND r.key = ? AND r.ord < ?", "ord DESC", (*place, after.order)),
            ("r.bucket = ? AND r.key > ?", "key, ord DESC", place),
            ("r.bucket > ?", "bucket, key, ord DESC", (after.bucket,)),
        ):
            sql = f"""SELECT CAST(r.bucket AS BLOB), r.key, r.ord, r.kind, r.record_id, r.summary,
                             p.payload
                      FROM rows r LEFT JOIN records p ON p.record_id = r.record_id
                      WHERE {where} ORDER BY {order} LIMIT ?"""  # noqa: S608 -- literals
            found = self._connection.execute(sql, (*bounds, left)).fetchall()
            left -= len(found)
            yield from found
            if not left:
                return

    def _check_row(
        self, checked: Checked, bucket: bytes, key: bytes, order: bytes, rest: list[Any]
    ) -> None:
        kind, record_id, summary, payload = rest
        checked.count += 1
        checked.size += ROW_BYTES + (len(payload) if isinstance(payload, bytes) else 0)
        try:
            names = BucketName(bucket.decode()), ObjectKey(key.decode())
        except UnicodeDecodeError:
            checked.broken = "a row whose key is no text"
            return
        row = open_row(names[0], key, order, kind, record_id, summary)
        whole = isinstance(payload, bytes)
        record = open_payload(names[0], key, order, payload) if whole else None
        if row.summary is None and record is None:
            # Its key is covered by the checksum as well, and nothing else vouches for it.
            checked.broken = "a row that fails its checksum, without a record that is its own"
        elif row.summary is None:
            checked.wrong.append(Wrong("row", *names))
        elif record is None:
            checked.wrong.append(Wrong("record", *names))
        else:
            self._check_names(checked, names, record_id, record)

    def _check_names(
        self,
        checked: Checked,
        key: tuple[BucketName, ObjectKey],
        record_id: int,
        record: Record,
    ) -> None:
        for name in files_named(record):
            checked.files.append(NamedFile(*key, name))
            if not self._is_named_by(name, record_id):
                checked.wrong_names.append(WrongName(name, record_id))

    def _is_named_by(self, name: ShardName, owner: int) -> bool:
        found = self._connection.execute(
            "SELECT 1 FROM shards WHERE data_id = ? AND part = ? AND shard = ? AND owner = ?",
            (name.data_id, name.part, name.shard, owner),
        ).fetchone()
        return found is not None

    # --- who names which file --------------------------------------------------------------

    def names(self, after: bytes) -> Checked:
        """Check rows of `shards` from a data id on: that their owners name these files."""
        sql = """SELECT s.data_id, s.part, s.shard, s.owner, r.payload, p.shards, p.record
                 FROM shards s LEFT JOIN records r ON r.record_id = s.owner
                 LEFT JOIN parts p ON p.part_id = -s.owner
                 WHERE s.data_id > ? ORDER BY s.data_id LIMIT ?"""
        found = self._connection.execute(sql, (after, SCRUB_ROWS_MAX * 16)).fetchall()
        full = len(found) == SCRUB_ROWS_MAX * 16
        # A data id that the limit may have cut in two is left to the next slice.
        last = found[-1][0] if full and found[0][0] != found[-1][0] else None
        checked = Checked()
        for data_id, part, shard, owner, payload, shards, record in found:
            if data_id == last:
                break
            checked.count += 1
            checked.size += ROW_BYTES
            name = _shard_name(data_id, part, shard)
            if name is None or not isinstance(owner, int):
                checked.broken = "a file's name that is none"
                break
            checked.after = Place(order=data_id)
            if payload is None and record is None:
                checked.ownerless.append(WrongName(name, owner))
                continue
            owned = names_in_record(payload) if record is None else names_in_part(shards, record)
            if owned is not None and name not in owned:
                checked.wrong_names.append(WrongName(name, owner))
        if not full:
            checked.after = None
        return checked

    def named_in(self, directory: str) -> frozenset[ShardName]:
        """Return the files of a directory of shards that somebody names."""
        first = bytes.fromhex(directory)
        found = self._connection.execute(
            "SELECT DISTINCT data_id, part, shard FROM shards WHERE data_id >= ? AND data_id <= ?",
            (first, first + b"\xff" * 16),
        ).fetchall()
        return frozenset(name for row in found if (name := _shard_name(*row)) is not None)

    # --- buckets and uploads -----------------------------------------------------------------

    def buckets(self) -> Checked:
        """Check every bucket's record."""
        checked = Checked()
        for name, sealed in self._connection.execute(
            "SELECT CAST(name AS BLOB), record FROM buckets ORDER BY name"
        ):
            checked.count += 1
            checked.size += len(sealed)
            bucket = _open(decode_bucket, sealed)
            if bucket is None:
                kept = BucketName(name.decode("utf-8", "replace"))
                checked.wrong.append(Wrong("bucket", kept, ObjectKey("")))
            elif bucket.name.encode() != name:
                checked.broken = "a bucket's record under another name"
        return checked

    def uploads(self, after: str) -> Checked:
        """Check uploads behind an id, and their parts."""
        checked = Checked()
        found = self._connection.execute(
            """SELECT upload_id, bucket, key, record FROM uploads WHERE upload_id > ?
               ORDER BY upload_id LIMIT ?""",
            (after, SCRUB_ROWS_MAX),
        ).fetchall()
        for upload_id, bucket, key, sealed in found:
            checked.count += 1
            checked.size += len(sealed)
            upload = _open(decode_upload, sealed)
            place = (upload_id, bucket, key)
            if upload is None:
                checked.wrong.append(Wrong("upload", BucketName(bucket), _text(key)))
            elif (upload.upload_id, upload.bucket, upload.key.encode()) != place:
                checked.broken = "an upload's record under another name"
                return checked
            self._check_parts(checked, BucketName(bucket), _text(key), upload_id)
            checked.after = Place(key=upload_id)
        if len(found) < SCRUB_ROWS_MAX:
            checked.after = None
        return checked

    def _check_parts(
        self, checked: Checked, bucket: BucketName, key: ObjectKey, upload_id: str
    ) -> None:
        for part_id, number, stamp, data_id, shards, sealed in self._connection.execute(
            "SELECT part_id, number, stamp, data_id, shards, record FROM parts WHERE upload_id = ?",
            (upload_id,),
        ):
            checked.count += 1
            checked.size += len(sealed)
            uploaded = _open(decode_part, sealed)
            if uploaded is None:
                checked.wrong.append(Wrong("upload", bucket, key))
                continue
            part = uploaded.part
            if (part.number, uploaded.stamp, part.data_id) != (number, stamp, data_id):
                checked.broken = "a part's record under another number"
                return
            for shard in shards:
                name = ShardName(DataId(data_id), number, shard)
                checked.files.append(NamedFile(bucket, key, name, UploadId(upload_id)))
                if not self._is_named_by(name, -part_id):
                    checked.wrong_names.append(WrongName(name, -part_id))


def _descending(order: bytes) -> tuple[int, ...]:
    """Return what sorts the other way round, as rows of a key do; nothing is above every order."""
    return (*(-byte for byte in order), 1) if order else (-256,)


def _shard_name(data_id: object, part: object, shard: object) -> ShardName | None:
    if not (isinstance(data_id, bytes) and isinstance(part, int) and isinstance(shard, int)):
        return None
    return ShardName(DataId(data_id), part, shard)


def _text(key: bytes) -> ObjectKey:
    return ObjectKey(key.decode("utf-8", "replace"))


def _open(decode: Callable[[bytes], T], sealed: bytes) -> T | None:
    try:
        return decode(sealed)
    except (RecordUnknown, TypeError):
        return None

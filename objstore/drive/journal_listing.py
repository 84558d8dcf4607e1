"""Listings: range scans over the rows, which never touch a record and never pass over a prefix.

A page ends at its limit, or when LIST_ROWS_EXAMINED_MAX rows were looked at, and then says where
to go on.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from objstore.drive.journal_fetch import fetch_rows
from objstore.drive.journal_rows import (
    EntryReader,
    HeldRow,
    entry_of,
    open_row,
    recover_row,
)
from objstore.drive.journal_sql import load_payload
from objstore.drive.ops import (
    KeyEntry,
    KeyPage,
    ListKeys,
    ListTombstones,
    ListVersions,
    Tombstone,
    TombstonePage,
    VersionPage,
)
from objstore.names import NO_ORDER, STAMP_BYTES, BucketName, Kind, ObjectKey, Order
from objstore.versions.visible import visible

_COLUMNS: Final = "key AS c0, ord AS c1, kind AS c2, record_id AS c3, summary AS c4"
_FIRST_RUN: Final = 2
_LONGEST_RUN: Final = 1024


def after_prefix(prefix: bytes) -> bytes:
    """Return the first bytes that sort above everything that begins with `prefix`.

    UTF-8 has no byte 0xff, so the last byte can always be raised.
    """
    assert prefix
    return prefix[:-1] + bytes((prefix[-1] + 1,))


class _Walk:
    """The rows of a bucket, key by key, of one key newest first; it can go on further up.

    Rows are fetched in runs that grow as long as nobody seeks.
    """

    def __init__(
        self, connection: sqlite3.Connection, bucket: str, prefix: bytes, first_run: int
    ) -> None:
        self._connection = connection
        self._bucket = bucket
        self._prefix = prefix
        self._first_run = min(first_run, _LONGEST_RUN)
        self._rows: list[tuple[Any, ...]] = []
        self._next = 0
        self._run = self._first_run
        self._more = False
        self._last = b""
        self.examined = 0
        self.damaged = False

    def seek(self, lowest: bytes) -> None:
        """Go on with the first key that is not below `lowest`."""
        self._run = self._first_run
        self._fetch(lowest)

    def _fetch(self, lowest: bytes) -> None:
        sql = f"SELECT {_COLUMNS} FROM rows WHERE bucket = ? AND key >= ?"  # noqa: S608 -- literal
        bounds: list[str | bytes | int] = [self._bucket, max(lowest, self._prefix)]
        if self._prefix:
            sql += " AND key < ?"
            bounds.append(after_prefix(self._prefix))
        sql += " ORDER BY key, ord DESC LIMIT ?"
        self._rows = fetch_rows(self._connection, sql, [*bounds, self._run], "bbiib")
        self._next = 0
        self._more = len(self._rows) == self._run
        self._last = b""

    def next_key(self) -> tuple[Any, ...] | None:
        """Return the next key and the columns of its newest row; None at the end."""
        while True:
            while self._next < len(self._rows):
                row = self._rows[self._next]
                self._next += 1
                self.examined += 1
                if row[0] != self._last:
                    self._last = row[0]
                    return row
            if not self._more:
                return None
            # The newest row of the last key was seen: its others need not be.
            self._run = min(self._run * 4, _LONGEST_RUN)
            self._fetch(self._last + b"\0")

    def has_one_row(self, key: bytes) -> bool:
        """Whether the key that came last is known to have no other row."""
        if self._next < len(self._rows):
            return bool(self._rows[self._next][0] != key)
        return not self._more

    def rows_of(self, key: bytes, newest: HeldRow) -> Iterator[HeldRow]:
        """Yield the rows of the key that came last, `newest` first; to be left at any time."""
        yield newest
        below: bytes = newest.order
        while self._next < len(self._rows):
            row = self._rows[self._next]
            if row[0] != key:
                return
            self._next += 1
            self.examined += 1
            below = row[1]
            yield self.open(*row)
        more = self._more
        sql = f"""SELECT {_COLUMNS} FROM rows WHERE bucket = ? AND key = ? AND ord < ?
                  ORDER BY ord DESC LIMIT ?"""  # noqa: S608 -- literal
        while more:
            rows = fetch_rows(
                self._connection, sql, (self._bucket, key, below, _LONGEST_RUN), "bbiib"
            )
            for row in rows:
                self.examined += 1
                yield self.open(*row)
            more = len(rows) == _LONGEST_RUN
            below = rows[-1][1] if rows else b""

    def open(self, key: bytes, order: bytes, kind: int, record_id: int, summary: bytes) -> HeldRow:
        """Return a row; without a summary when it is damaged beyond recovery."""
        row = open_row(self._bucket, key, order, kind, record_id, summary)
        if row.summary is None:
            payload = load_payload(self._connection, row.record_id)
            row = recover_row(self._bucket, key, row, payload)
        if row.summary is None:
            self.damaged = True
        return row


class _Level:
    """Which keys are listed and which fall under a common prefix."""

    def __init__(self, prefix: str, delimiter: str) -> None:
        self.prefix = prefix.encode()
        self.delimiter = delimiter.encode()

    def common(self, key: bytes) -> bytes | None:
        """Return the common prefix that a key falls under; None when it is listed itself."""
        if not self.delimiter:
            return None
        at = key.find(self.delimiter, len(self.prefix))
        return None if at < 0 else key[: at + len(self.delimiter)]

    def start(self, after: bytes) -> bytes:
        """Return the lowest key that follows `after`, a key or a common prefix."""
        common = self.common(after) if after.startswith(self.prefix) else None
        if common is not None and after.endswith(self.delimiter):
            return after_prefix(common)
        return after + b"\0" if after else b""


class _KeyListing:
    """A page of ListKeys that is being made."""

    def __init__(self, walk: _Walk, op: ListKeys, examined_max: int) -> None:
        self._walk = walk
        self._limit = max(1, op.limit)
        self._level = _Level(op.prefix, op.delimiter)
        self._reader = EntryReader(op.bucket)
        self._examined_max = examined_max
        self._entries: list[KeyEntry] = []
        self._prefixes: list[tuple[str, KeyEntry]] = []
        self._last = b""

    def fill(self, after: bytes) -> str | None:
        """List what follows `after`; return where to go on, None at the end."""
        walk, level = self._walk, self._level
        walk.seek(level.start(after))
        while (row := walk.next_key()) is not None:
            key: bytes = row[0]
            if len(self._entries) + len(self._prefixes) >= self._limit:
                return self._last.decode()
            entry = self._entry(row)
            common = level.common(key)
            if common is None:
                self._last = key
                if entry is not None:
                    self._entries.append(entry)
            elif entry is not None and entry.kind == Kind.OBJECT:
                self._prefixes.append((common.decode(), entry))
                self._last = common
                walk.seek(after_prefix(common))
            elif not key.endswith(level.delimiter):
                self._last = key  # nothing alive so far; a page may end within the prefix
            else:
                continue  # a page that ended with this key would pass over the prefix whole
            if walk.examined >= self._examined_max:
                return self._last.decode()
        return None

    def _entry(self, columns: tuple[Any, ...]) -> KeyEntry | None:
        """Return the row that counts of a key, or its tombstone; None when it is damaged."""
        entry = self._reader.read(*columns)
        if entry is not None and entry.kind != Kind.TOMBSTONE:
            return entry
        key: bytes = columns[0]
        newest = self._walk.open(*columns)
        if newest.kind == Kind.TOMBSTONE:
            newest = next(visible(self._walk.rows_of(key, newest)), newest)
        return None if newest.summary is None else entry_of(key, newest)

    def finish(self, next_after: str | None, *, trusted: bool) -> KeyPage:
        """Return the page."""
        return KeyPage(
            entries=tuple(self._entries),
            prefixes=tuple(self._prefixes),
            next_after=next_after,
            trusted=trusted and not self._walk.damaged,
        )


class _VersionListing:
    """A page of ListVersions that is being made."""

    def __init__(self, walk: _Walk, op: ListVersions, examined_max: int) -> None:
        self._walk = walk
        self._limit = max(1, op.limit)
        self._level = _Level(op.prefix, op.delimiter)
        self._after = (op.after_key.encode(), op.after_order)
        self._examined_max = examined_max
        self._entries: list[KeyEntry] = []
        self._prefixes: list[tuple[str, KeyEntry]] = []
        self._last: tuple[bytes, Order] = (b"", NO_ORDER)

    def fill(self) -> tuple[str, Order] | None:
        """List what follows; return where to go on, None at the end."""
        walk, level = self._walk, self._level
        key_after, order_after = self._after
        walk.seek(key_after if order_after else level.start(key_after))
        while (row := walk.next_key()) is not None:
            key: bytes = row[0]
            newest = walk.open(*row)
            if self._full:
                return self._stop()
            common = level.common(key)
            if common is None:
                if not self._add_versions(key, newest):
                    return self._stop()
                self._last = (key, NO_ORDER)
            elif (witness := self._witness(key, newest)) is not None:
                self._prefixes.append((common.decode(), entry_of(key, witness)))
                self._last = (common, NO_ORDER)
                walk.seek(after_prefix(common))
            elif not key.endswith(level.delimiter):
                self._last = (key, NO_ORDER)
            else:
                continue  # as in a listing of keys
            if walk.examined >= self._examined_max:
                return self._stop()
        return None

    @property
    def _full(self) -> bool:
        return len(self._entries) + len(self._prefixes) >= self._limit

    def _stop(self) -> tuple[str, Order]:
        return self._last[0].decode(), self._last[1]

    def _witness(self, key: bytes, newest: HeldRow) -> HeldRow | None:
        rows = visible(self._walk.rows_of(key, newest))
        return next(
            (r for r in rows if r.summary is not None and not self._is_before(key, r)), None
        )

    def _is_before(self, key: bytes, row: HeldRow) -> bool:
        """Whether a row is on an earlier page."""
        key_after, order_after = self._after
        return key == key_after and bool(order_after) and row.order >= order_after

    def _add_versions(self, key: bytes, newest: HeldRow) -> bool:
        """Add a key's versions; False when the page is full before the last of them."""
        if newest.kind != Kind.TOMBSTONE and self._walk.has_one_row(key):
            rows: Iterator[HeldRow] = iter((newest,))
        else:
            rows = visible(self._walk.rows_of(key, newest))
        for row in rows:
            if self._is_before(key, row):
                continue  # it still hides what it hides
            if row.summary is None:
                continue
            if self._full:
                return False
            self._entries.append(entry_of(key, row))
            self._last = (key, row.order)
        return True

    def finish(self, next_after: tuple[str, Order] | None, *, trusted: bool) -> VersionPage:
        """Return the page."""
        return VersionPage(
            entries=tuple(self._entries),
            prefixes=tuple(self._prefixes),
            next_after=next_after,
            trusted=trusted and not self._walk.damaged,
        )


def _first_run(op: ListKeys | ListVersions) -> int:
    """Return how many rows are wanted at first: few where most may be passed over."""
    return _FIRST_RUN if op.delimiter else max(1, op.limit) + 1


def list_versions(
    connection: sqlite3.Connection, op: ListVersions, *, trusted: bool, examined_max: int
) -> VersionPage:
    """Answer ListVersions. A damaged row makes the page one that is not to be trusted."""
    walk = _Walk(connection, op.bucket, op.prefix.encode(), _first_run(op))
    page = _VersionListing(walk, op, examined_max)
    return page.finish(page.fill(), trusted=trusted)


def list_keys(
    connection: sqlite3.Connection, op: ListKeys, *, trusted: bool, examined_max: int
) -> KeyPage:
    """Answer ListKeys. A damaged row makes the page one that is not to be trusted."""
    walk = _Walk(connection, op.bucket, op.prefix.encode(), _first_run(op))
    page = _KeyListing(walk, op, examined_max)
    next_after = page.fill(op.after.encode())
    return page.finish(next_after, trusted=trusted)


def list_tombstones(connection: sqlite3.Connection, op: ListTombstones) -> TombstonePage:
    """Answer ListTombstones."""
    found = fetch_rows(
        connection,
        """SELECT CAST(bucket AS BLOB) AS c0, key AS c1, ord AS c2
           FROM rows INDEXED BY tombstones
           WHERE kind = 2 AND (bucket, key, ord) > (?, ?, ?) AND ord < ?
           ORDER BY bucket, key, ord LIMIT ?""",
        (
            op.after_bucket,
            op.after_key.encode(),
            bytes(op.after_order),
            bytes(op.before),
            max(1, op.limit),
        ),
        "bbb",
    )
    entries = tuple(
        Tombstone(BucketName(bucket.decode()), ObjectKey(key.decode()), Order(order))
        for bucket, key, order in found
        if len(order) > STAMP_BYTES
    )
    return TombstonePage(entries)

"""Listings: range scans over the rows, which never touch a record and never pass over a prefix.

A page ends at its limit, or when LIST_ROWS_EXAMINED_MAX rows were looked at, and then says where
to go on.
"""

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from objstore.drive.journal_fetch import fetch_rows
from objstore.drive.journal_rows import HeldRow, entry_of, open_row, recover_row
from objstore.drive.journal_sql import load_payload
from objstore.drive.ops import (
    KeyEntry,
    KeyPage,
    ListKeys,
    ListTombstones,
    Tombstone,
    TombstonePage,
)
from objstore.names import ORDER_BYTES, BucketName, ObjectKey, Order

_FIRST_RUN: Final = 16
_LONGEST_RUN: Final = 1024


def after_prefix(prefix: bytes) -> bytes:
    """Return the first bytes that sort above everything that begins with `prefix`.

    UTF-8 has no byte 0xff, so the last byte can always be raised.
    """
    assert prefix
    return prefix[:-1] + bytes((prefix[-1] + 1,))


class _Walk:
    """The newest row of each key of a bucket, in order; it can be told to go on further up.

    Rows are fetched in runs that grow as long as nobody seeks.
    """

    def __init__(self, connection: sqlite3.Connection, bucket: str, prefix: bytes) -> None:
        self._connection = connection
        self._bucket = bucket
        self._prefix = prefix
        self._rows: Iterator[tuple[Any, ...]] = iter(())
        self._run = _FIRST_RUN
        self._more = False
        self._last = b""
        self.examined = 0
        self.damaged = False

    def seek(self, lowest: bytes) -> None:
        """Go on with the first key that is not below `lowest`."""
        self._run = _FIRST_RUN
        self._fetch(lowest)

    def _fetch(self, lowest: bytes) -> None:
        sql = """SELECT key AS c0, ord AS c1, kind AS c2, record_id AS c3, summary AS c4 FROM rows
                 WHERE bucket = ? AND key >= ?"""
        bounds: list[str | bytes | int] = [self._bucket, max(lowest, self._prefix)]
        if self._prefix:
            sql += " AND key < ?"
            bounds.append(after_prefix(self._prefix))
        sql += " ORDER BY key, ord DESC LIMIT ?"
        rows = fetch_rows(self._connection, sql, [*bounds, self._run], "bbiib")
        self._rows = iter(rows)
        self._more = len(rows) == self._run
        self._last = b""

    def next(self) -> tuple[bytes, HeldRow | None] | None:
        """Return the next key and its newest row (None when damaged); None at the end."""
        while True:
            for key, *columns in self._rows:
                self.examined += 1
                if key != self._last:
                    self._last = key
                    return key, self._open(key, *columns)
            if not self._more:
                return None
            # The newest row of the last key was seen: its others need not be.
            self._run = min(self._run * 4, _LONGEST_RUN)
            self._fetch(self._last + b"\0")

    def _open(
        self, key: bytes, order: bytes, kind: int, record_id: int, summary: bytes
    ) -> HeldRow | None:
        row = open_row(self._bucket, key, order, kind, record_id, summary)
        if row.summary is None:
            payload = load_payload(self._connection, row.record_id)
            row = recover_row(self._bucket, key, row, payload)
        if row.summary is None:
            self.damaged = True
            return None
        return row


class _Page:
    """A page of a listing that is being made."""

    def __init__(self, walk: _Walk, op: ListKeys, examined_max: int) -> None:
        self._walk = walk
        self._limit = max(1, op.limit)
        self._prefix = op.prefix.encode()
        self._delimiter = op.delimiter.encode()
        self._examined_max = examined_max
        self._entries: list[KeyEntry] = []
        self._prefixes: list[tuple[str, KeyEntry]] = []
        self._last = b""

    def fill(self, after: bytes) -> str | None:
        """List what follows `after`; return where to go on, None at the end."""
        self._walk.seek(self._start(after))
        while (found := self._walk.next()) is not None:
            key, row = found
            if len(self._entries) + len(self._prefixes) >= self._limit:
                return self._last.decode()
            common = self._common(key)
            if common is None:
                self._last = key
                if row is not None:
                    self._entries.append(entry_of(key, row))
            elif row is not None and row.live:
                self._prefixes.append((common.decode(), entry_of(key, row)))
                self._last = common
                self._walk.seek(after_prefix(common))
            elif not key.endswith(self._delimiter):
                self._last = key  # nothing alive so far; a page may end within the prefix
            else:
                continue  # a page that ended with this key would pass over the prefix whole
            if self._walk.examined >= self._examined_max:
                return self._last.decode()
        return None

    def _start(self, after: bytes) -> bytes:
        common = self._common(after) if after.startswith(self._prefix) else None
        if common is not None and after.endswith(self._delimiter):
            return after_prefix(common)
        return after + b"\0" if after else b""

    def _common(self, key: bytes) -> bytes | None:
        if not self._delimiter:
            return None
        at = key.find(self._delimiter, len(self._prefix))
        return None if at < 0 else key[: at + len(self._delimiter)]

    def finish(self, next_after: str | None, *, trusted: bool) -> KeyPage:
        """Return the page."""
        return KeyPage(
            entries=tuple(self._entries),
            prefixes=tuple(self._prefixes),
            next_after=next_after,
            trusted=trusted and not self._walk.damaged,
        )


def list_keys(
    connection: sqlite3.Connection, op: ListKeys, *, trusted: bool, examined_max: int
) -> KeyPage:
    """Answer ListKeys. A damaged row makes the page one that is not to be trusted."""
    walk = _Walk(connection, op.bucket, op.prefix.encode())
    page = _Page(walk, op, examined_max)
    next_after = page.fill(op.after.encode())
    return page.finish(next_after, trusted=trusted)


def list_tombstones(connection: sqlite3.Connection, op: ListTombstones) -> TombstonePage:
    """Answer ListTombstones: of each key the newest one that is old enough."""
    found = fetch_rows(
        connection,
        """SELECT CAST(bucket AS BLOB) AS c0, key AS c1, max(ord) AS c2
           FROM rows INDEXED BY tombstones
           WHERE kind = 2 AND (bucket, key) > (?, ?) AND ord < ?
           GROUP BY bucket, key ORDER BY bucket, key LIMIT ?""",
        (op.after_bucket, op.after_key.encode(), bytes(op.before), max(1, op.limit)),
        "bbb",
    )
    entries = tuple(
        Tombstone(BucketName(bucket.decode()), ObjectKey(key.decode()), Order(order))
        for bucket, key, order in found
        if len(order) == ORDER_BYTES
    )
    return TombstonePage(entries)

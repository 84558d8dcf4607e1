"""Statements that do something for many rows at once: see journal_fetch.py for why."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from objstore.drive.journal_fetch import fetch_rows
from objstore.drive.journal_rows import HeldRow, open_row, recover_row
from objstore.drive.ops import ReadKey
from objstore.names import STAMP_BYTES

T = TypeVar("T")

# One statement per count up to this is prepared and kept.
BATCH_MAX: Final = 32
_ROWS_PER_KEY: Final = 8
_RUN: Final = 256

Key = tuple[str, bytes]
LoadedRow = tuple[HeldRow, bytes | None]  # a row, and its record where it was asked for


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield `items` in runs of at most BATCH_MAX."""
    for start in range(0, len(items), BATCH_MAX):
        yield items[start : start + BATCH_MAX]


@cache
def _tuples(count: int, width: int) -> str:
    one = "(" + ", ".join("?" * width) + ")"
    return ", ".join([one] * count)


@cache
def _numbered(count: int) -> str:
    return ", ".join(f"({index}, ?, ?)" for index in range(count))


@cache
def _insert(table: str, count: int, width: int) -> str:
    return f"INSERT INTO {table} VALUES {_tuples(count, width)}"  # noqa: S608 -- literal names


@cache
def _delete(table: str, columns: str) -> str:
    wanted = " AND ".join(f"{column} = ?" for column in columns.split(", "))
    return f"DELETE FROM {table} WHERE {wanted}"  # noqa: S608 -- ditto


def insert_many(
    connection: sqlite3.Connection, table: str, rows: Sequence[tuple[Any, ...]]
) -> None:
    """Insert whole rows into `table`."""
    for some in batches(rows):
        flat = [value for row in some for value in row]
        connection.execute(_insert(table, len(some), len(some[0])), flat)


def delete_many(
    connection: sqlite3.Connection, table: str, columns: str, keys: Sequence[tuple[Any, ...]]
) -> None:
    """Delete the rows of `table` whose `columns` are one of `keys`.

    One by one: SQLite does not search a key with text in it for a list of values, it reads all.
    """
    if keys:
        connection.executemany(_delete(table, columns), keys)


# --- the rows of keys --------------------------------------------------------------------


@cache
def _rows_sql(count: int, *, payloads: bool) -> str:
    join = "LEFT JOIN records p ON p.record_id = r.record_id" if payloads else ""
    payload = "p.payload" if payloads else "NULL"
    return f"""
        SELECT v.column1 AS c0, r.kind AS c1, r.record_id AS c2, r.ord AS c3, r.summary AS c4,
               {payload} AS c5
        FROM (VALUES {_numbered(count)}) AS v
        CROSS JOIN rows r ON r.bucket = v.column2 AND r.key = v.column3
        {join}
        LIMIT {count * _ROWS_PER_KEY}"""  # noqa: S608 -- ditto


def load_rows(connection: sqlite3.Connection, keys: Sequence[Key]) -> list[list[HeldRow]]:
    """Return the rows of each key, newest first; damaged ones recovered where possible."""
    found: list[list[HeldRow]] = []
    for some in batches(keys):
        for key, rows in zip(some, _load(connection, some, payloads=False), strict=True):
            loaded = load_all_rows(connection, key) if rows is None else rows
            found.append([row for row, _ in loaded])
    return found


def load_payloads(
    connection: sqlite3.Connection, keys: Sequence[Key]
) -> list[list[LoadedRow] | None]:
    """Return all rows of each key with their records, newest first; None for one with many."""
    return [rows for some in batches(keys) for rows in _load(connection, some, payloads=True)]


def _load(
    connection: sqlite3.Connection, keys: Sequence[Key], *, payloads: bool
) -> Sequence[list[LoadedRow] | None]:
    flat = [value for key in keys for value in key]
    rows = fetch_rows(connection, _rows_sql(len(keys), payloads=payloads), flat, "iiibbb")
    if len(rows) == len(keys) * _ROWS_PER_KEY:  # a key among them has very many rows
        return [None] * len(keys)
    found: list[list[LoadedRow]] = [[] for _ in keys]
    for index, kind, record_id, order, summary, payload in rows:
        found[index].append(
            (_open(connection, keys[index], order, (kind, record_id, summary), payload), payload)
        )
    for held in found:
        if len(held) > 1:
            held.sort(key=_by_order, reverse=True)
    return found


def _by_order(found: LoadedRow) -> bytes:
    return found[0].order


def _open(
    connection: sqlite3.Connection,
    key: Key,
    order: bytes,
    columns: tuple[int, int, bytes],
    payload: bytes | None,
) -> HeldRow:
    bucket, name = key
    row = open_row(bucket, name, order, *columns)
    return row if row.summary is not None else recovered(connection, key, row, payload)


def recovered(
    connection: sqlite3.Connection, key: Key, row: HeldRow, payload: bytes | None
) -> HeldRow:
    """Return what a damaged row said, from its record if that is intact; else the row."""
    return recover_row(*key, row, payload or load_payload(connection, row.record_id))


# --- one key with many rows ----------------------------------------------------------------


def load_all_rows(connection: sqlite3.Connection, key: Key) -> list[LoadedRow]:
    """Return every row of a key, newest first, without records."""
    return [(row, None) for row in walk_rows(connection, key)]


def load_some_payloads(
    connection: sqlite3.Connection, key: Key, op: ReadKey
) -> Iterator[LoadedRow]:
    """Yield the rows of a key that `op` asks for, newest first, with their records."""
    for row in walk_rows(connection, key, stamp=op.stamp, below=op.below):
        if op.nulls and row.summary is not None and not row.null_version:
            continue
        yield row, load_payload(connection, row.record_id)


def walk_rows(
    connection: sqlite3.Connection,
    key: Key,
    *,
    stamp: bytes | None = None,
    below: bytes | None = None,
) -> Iterator[HeldRow]:
    """Yield rows of a key, newest first; only those of a stamp, only those below an order."""
    sql = """SELECT ord AS c0, kind AS c1, record_id AS c2, summary AS c3 FROM rows
             WHERE bucket = ? AND key = ? AND ord >= ? AND ord < ? ORDER BY ord DESC LIMIT ?"""
    floor = stamp or b""
    ceiling = _above(stamp) if below is None else min(_above(stamp), below)
    while True:
        rows = fetch_rows(connection, sql, (*key, floor, ceiling, _RUN), "biib")
        for order, kind, record_id, summary in rows:
            yield _open(connection, key, order, (kind, record_id, summary), None)
        if len(rows) < _RUN:
            return
        ceiling = rows[-1][0]


def _above(stamp: bytes | None) -> bytes:
    """Return what is above every order of a stamp, or of all."""
    return (stamp or b"\xff" * STAMP_BYTES) + b"\xff" * (STAMP_BYTES + 3)


def load_payload(connection: sqlite3.Connection, record_id: int) -> bytes | None:
    """Return a record by its number, or None."""
    found = connection.execute(
        "SELECT payload FROM records WHERE record_id = ?", (record_id,)
    ).fetchone()
    if found is None or not isinstance(found[0], bytes):
        return None
    payload: bytes = found[0]
    return payload

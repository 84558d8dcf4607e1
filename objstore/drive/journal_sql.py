"""Statements that do something for many rows at once: see journal_fetch.py for why."""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from objstore.drive.journal_fetch import fetch_rows
from objstore.drive.journal_rows import HeldRow, open_row, recover_row

T = TypeVar("T")

# One statement per count up to this is prepared and kept.
BATCH_MAX: Final = 32
_ROWS_PER_KEY: Final = 8

Key = tuple[str, bytes]


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
def _delete(table: str, columns: str, count: int, width: int) -> str:
    marks = _tuples(count, width)
    return f"DELETE FROM {table} WHERE ({columns}) IN (VALUES {marks})"  # noqa: S608 -- ditto


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
    """Delete the rows of `table` whose `columns` are in `keys`."""
    for some in batches(keys):
        flat = [value for key in some for value in key]
        connection.execute(_delete(table, columns, len(some), len(some[0])), flat)


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
    found = [rows for some in batches(keys) for rows in _load(connection, some, None)]
    return [[row for row, _ in rows] for rows in found]


def load_payloads(
    connection: sqlite3.Connection, keys: Sequence[Key], limit: int
) -> list[list[tuple[HeldRow, bytes | None]]]:
    """Return at least the `limit` newest rows of each key with their records, newest first."""
    return [rows for some in batches(keys) for rows in _load(connection, some, limit)]


def _load(
    connection: sqlite3.Connection, keys: Sequence[Key], payloads: int | None
) -> list[list[tuple[HeldRow, bytes | None]]]:
    """Load rows; with `payloads`, the records of at least that many of each key."""
    flat = [value for key in keys for value in key]
    sql = _rows_sql(len(keys), payloads=payloads is not None)
    rows = fetch_rows(connection, sql, flat, "iiibbb")
    if len(rows) == len(keys) * _ROWS_PER_KEY:  # a key with very many rows
        return [_load_one(connection, key, payloads) for key in keys]
    found: list[list[tuple[HeldRow, bytes | None]]] = [[] for _ in keys]
    for index, kind, record_id, order, summary, payload in rows:
        found[index].append(
            (_open(connection, keys[index], order, (kind, record_id, summary), payload), payload)
        )
    for held in found:
        if len(held) > 1:
            held.sort(key=_by_order, reverse=True)
    return found


def _by_order(found: tuple[HeldRow, bytes | None]) -> bytes:
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
    if row.summary is not None:
        return row
    return recover_row(bucket, name, row, payload or load_payload(connection, row.record_id))


def _load_one(
    connection: sqlite3.Connection, key: Key, payloads: int | None
) -> list[tuple[HeldRow, bytes | None]]:
    sql = """SELECT ord AS c0, kind AS c1, record_id AS c2, summary AS c3 FROM rows
             WHERE bucket = ? AND key = ? ORDER BY ord DESC LIMIT ?"""
    limit = -1 if payloads is None else payloads
    found: list[tuple[HeldRow, bytes | None]] = []
    for order, *columns in fetch_rows(connection, sql, (*key, limit), "biib"):
        payload = None if payloads is None else load_payload(connection, columns[1])
        kind, record_id, summary = columns
        row = _open(connection, key, order, (kind, record_id, summary), payload)
        found.append((row, payload))
    found.sort(key=_by_order, reverse=True)
    return found


def load_payload(connection: sqlite3.Connection, record_id: int) -> bytes | None:
    """Return a record by its number, or None."""
    found = connection.execute(
        "SELECT payload FROM records WHERE record_id = ?", (record_id,)
    ).fetchone()
    if found is None or not isinstance(found[0], bytes):
        return None
    payload: bytes = found[0]
    return payload

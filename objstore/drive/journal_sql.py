"""Statements that do something for many rows at once.

sqlite3 lets go of the interpreter lock for every step of every statement, and getting it back from
a busy event loop takes up to a switch interval. So the journal reads and writes in few statements
with many parameters, and answers of many rows come back aggregated into one.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeVar

from objstore.drive.journal_rows import HeldRow, open_row, recover_row

T = TypeVar("T")

# One statement per count up to this is prepared and kept.
BATCH_MAX: Final = 32
_ROWS_PER_KEY: Final = 8
_ORDER_BYTES: Final = 18

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
    payload = "p.payload" if payloads else "x''"
    return f"""
        SELECT count(*),
          group_concat(i || ',' || kind || ',' || record_id || ',' || length(summary)
                       || ',' || ifnull(length(payload), -1), ';'),
          CAST(group_concat(ord, '') AS BLOB),
          CAST(group_concat(summary, '') AS BLOB),
          CAST(group_concat(payload, '') AS BLOB)
        FROM (SELECT v.column1 AS i, r.kind, r.record_id, r.summary, r.ord, {payload} AS payload
              FROM (VALUES {_numbered(count)}) AS v
              CROSS JOIN rows r ON r.bucket = v.column2 AND r.key = v.column3
              {join}
              LIMIT {count * _ROWS_PER_KEY})"""  # noqa: S608 -- ditto


def load_rows(connection: sqlite3.Connection, keys: Sequence[Key]) -> list[list[HeldRow]]:
    """Return the rows of each key, newest first; damaged ones recovered where possible."""
    found = [rows for some in batches(keys) for rows in _load(connection, some, payloads=False)]
    return [[row for row, _ in rows] for rows in found]


def load_payloads(
    connection: sqlite3.Connection, keys: Sequence[Key]
) -> list[list[tuple[HeldRow, bytes | None]]]:
    """Return the rows of each key with their records, newest first."""
    return [rows for some in batches(keys) for rows in _load(connection, some, payloads=True)]


def _load(
    connection: sqlite3.Connection, keys: Sequence[Key], *, payloads: bool
) -> list[list[tuple[HeldRow, bytes | None]]]:
    flat = [value for key in keys for value in key]
    sql = _rows_sql(len(keys), payloads=payloads)
    count, heads, orders, summaries, bodies = connection.execute(sql, flat).fetchone()
    if count == 0:
        return [[] for _ in keys]
    split = None
    if count < len(keys) * _ROWS_PER_KEY:
        split = _split(keys, count, heads, orders, summaries, bodies or b"")
    if split is None:  # a key with very many rows, or columns that are not what they should be
        return [_load_one(connection, key, payloads=payloads) for key in keys]
    for (bucket, key), rows in zip(keys, split, strict=True):
        for index, (row, payload) in enumerate(rows):
            if row.summary is None:
                found = payload if payloads else load_payload(connection, row.record_id)
                rows[index] = (recover_row(bucket, key, row, found), payload)
        rows.sort(key=_newest_first, reverse=True)
    return split


def _newest_first(found: tuple[HeldRow, bytes | None]) -> bytes:
    return found[0].order


def _split(
    keys: Sequence[Key], count: int, heads: object, orders: bytes, summaries: bytes, bodies: bytes
) -> list[list[tuple[HeldRow, bytes | None]]] | None:
    """Cut the aggregated columns into rows; None when they do not add up."""
    rows: list[list[tuple[HeldRow, bytes | None]]] = [[] for _ in keys]
    if not isinstance(heads, str) or len(orders) != count * _ORDER_BYTES:
        return None
    try:
        parsed = [[int(field) for field in head.split(",")] for head in heads.split(";")]
    except ValueError:
        return None
    if len(parsed) != count or any(len(head) != 5 for head in parsed):
        return None
    lengths = sum(head[3] for head in parsed), sum(max(head[4], 0) for head in parsed)
    if lengths != (len(summaries), len(bodies)):
        return None
    at = summary_at = body_at = 0
    for index, kind, record_id, summary_bytes, body_bytes in parsed:
        bucket, key = keys[index]
        order = orders[at : at + _ORDER_BYTES]
        summary = summaries[summary_at : summary_at + summary_bytes]
        body = bodies[body_at : body_at + body_bytes] if body_bytes >= 0 else None
        rows[index].append((open_row(bucket, key, order, kind, record_id, summary), body))
        at += _ORDER_BYTES
        summary_at += summary_bytes
        body_at += max(body_bytes, 0)
    return rows


def _load_one(
    connection: sqlite3.Connection, name: Key, *, payloads: bool
) -> list[tuple[HeldRow, bytes | None]]:
    bucket, key = name
    sql = """SELECT ord, kind, record_id, summary FROM rows
             WHERE bucket = ? AND key = ? ORDER BY ord DESC"""
    rows: list[tuple[HeldRow, bytes | None]] = []
    for order, kind, record_id, summary in connection.execute(sql, name).fetchall():
        row = open_row(bucket, key, order, kind, record_id, summary)
        payload = None
        if payloads or row.summary is None:
            payload = load_payload(connection, row.record_id)
        if row.summary is None:
            row = recover_row(bucket, key, row, payload)
        rows.append((row, payload))
    return rows


def load_payload(connection: sqlite3.Connection, record_id: int) -> bytes | None:
    """Return a record by its number, or None."""
    found = connection.execute(
        "SELECT payload FROM records WHERE record_id = ?", (record_id,)
    ).fetchone()
    if found is None or not isinstance(found[0], bytes):
        return None
    payload: bytes = found[0]
    return payload

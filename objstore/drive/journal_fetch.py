"""Many rows of an answer brought over as one.

sqlite3 lets go of the interpreter lock for every step of every statement, and a step gives one row;
getting the lock back from a busy event loop takes up to a switch interval each time. So a
statement with many rows is wrapped into one that aggregates them: numbers and lengths as one
text, each column of bytes as one BLOB. Cutting that up again costs less than the steps would.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

_COMMA: Final = " || ',' || "
_NULL: Final = -1  # the length of a BLOB that is NULL


def fetch_rows(
    connection: sqlite3.Connection, select: str, bounds: Sequence[Any], kinds: str
) -> list[tuple[Any, ...]]:
    """Return the rows of `select`, whose columns are named c0, c1, ...

    `kinds` says of each column whether it is an integer ("i") or bytes ("b", may be NULL).
    Rows with other values in a column, as damage makes them, come as they are.
    """
    sql, width, blobs = _wrapped(select, kinds)
    count, heads, *joined = connection.execute(sql, bounds).fetchone()
    if count == 0:
        return []
    columns = _cut(count, heads, joined, kinds) if len(joined) == blobs else None
    if columns is None or any(len(column) != count for column in columns):
        return connection.execute(select, bounds).fetchall()
    assert len(columns) == width
    return list(zip(*columns, strict=True))


@cache
def _wrapped(select: str, kinds: str) -> tuple[str, int, int]:
    heads = [
        f"c{index}" if kind == "i" else f"ifnull(length(c{index}), {_NULL})"
        for index, kind in enumerate(kinds)
    ]
    blobs = [
        f"CAST(group_concat(c{index}, '') AS BLOB)"
        for index, kind in enumerate(kinds)
        if kind == "b"
    ]
    wanted = ", ".join(["count(*)", f"group_concat({_COMMA.join(heads)})", *blobs])
    return f"SELECT {wanted} FROM ({select})", len(kinds), len(blobs)  # noqa: S608 -- literals


def _cut(
    count: int, heads: object, joined: Sequence[bytes | None], kinds: str
) -> list[Sequence[Any]] | None:
    """Return the columns; None when lengths and bytes do not add up."""
    if not isinstance(heads, str):
        return None
    try:
        numbers = list(map(int, heads.split(",")))
    except ValueError:
        return None
    width = len(kinds)
    if len(numbers) != count * width:
        return None
    columns: list[Sequence[Any]] = []
    blobs = iter(joined)
    for index, kind in enumerate(kinds):
        column = numbers[index::width]
        if kind == "i":
            columns.append(column)
            continue
        cut = _slices(next(blobs) or b"", column)
        if cut is None:
            return None
        columns.append(cut)
    return columns


def _slices(data: bytes, lengths: Sequence[int]) -> list[bytes | None] | None:
    cut: list[bytes | None] = []
    at = 0
    for length in lengths:
        if length == _NULL:
            cut.append(None)
            continue
        cut.append(data[at : at + length])
        at += length
    return cut if at == len(data) else None


def fetch_blobs(connection: sqlite3.Connection, select: str, bounds: Sequence[Any]) -> list[bytes]:
    """Return the only column, named c0, of `select`."""
    return [value for (value,) in fetch_rows(connection, select, bounds, "b")]

"""Everything a journal holds of a range of places, place by place: what its tree is made of."""

import heapq
import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any, Final

from objstore.drive.journal_fetch import fetch_rows
from objstore.drive.journal_rows import DEGRADED, HeldRow, open_row
from objstore.drive.journal_sql import Key, recovered
from objstore.errors import RecordUnknown
from objstore.ondisk.record import decode_bucket
from objstore.ondisk.tree import TreeHash, split_place

_RUN: Final = 1024
# Names travel as bytes: damage may have made them something that is no text.
_ROWS: Final = """
    SELECT CAST(bucket AS BLOB) AS c0, key AS c1, ord AS c2, kind AS c3, record_id AS c4,
           summary AS c5
    FROM rows WHERE (bucket, key) >= (CAST(? AS TEXT), ?)"""
_REST_OF_KEY: Final = """
    SELECT CAST(bucket AS BLOB) AS c0, key AS c1, ord AS c2, kind AS c3, record_id AS c4,
           summary AS c5
    FROM rows WHERE bucket = CAST(? AS TEXT) AND key = ? AND ord < ? ORDER BY ord DESC LIMIT ?"""
_HOLDS_KEY: Final = "SELECT EXISTS (SELECT 1 FROM rows WHERE bucket = CAST(? AS TEXT) AND key = ?)"
_HOLDS_BUCKET: Final = """
    SELECT EXISTS (SELECT 1 FROM buckets WHERE name = CAST(? AS TEXT))
        OR EXISTS (SELECT 1 FROM uploads WHERE bucket = CAST(? AS TEXT) AND taken IS NULL)"""
_FLAGS_AT: Final = 9  # in a summary: after the checksum, and the one byte that says "array of 8"

# A place, how many entries lie there (or from there to the next group), and the sum of their
# hashes, not reduced.
Group = tuple[bytes, int, int]
_HashRows = Callable[[sqlite3.Connection, TreeHash, Sequence[tuple[Any, ...]]], int]


def row_hash(tree: TreeHash, place: bytes, row: HeldRow) -> int:
    """Return the hash of a row, damaged or not."""
    if row.summary is None:
        order = row.order if type(row.order) is bytes else repr(row.order).encode()
        return tree.unknown_row(place, order)
    lacks_shards = bool(row.summary.flags & DEGRADED)
    return tree.row(place, row.order, row.kind, lacks_shards=lacks_shards)


def scan(
    connection: sqlite3.Connection, tree: TreeHash, begin: bytes, end: bytes, *, verify: bool
) -> Iterator[Group]:
    """Yield every place with something from `begin` to `end`, in order; empty: to the end.

    With `verify` the checksum of every row is looked at, and one that is damaged is like none that
    is not. It takes several times as long.
    """
    hash_rows = _hash_verified if verify else _hash_rows
    keys = _keys(connection, tree, begin, end, hash_rows)
    return heapq.merge(_buckets(connection, tree, begin, end), keys)


def add_up(
    connection: sqlite3.Connection, tree: TreeHash, begin: bytes, end: bytes
) -> tuple[int, int]:
    """Return how many entries lie from `begin` to `end` (empty: to the end), and their sum."""
    entries = total = 0
    for _, more, hashes in _buckets(connection, tree, begin, end):
        entries += more
        total += hashes
    for rows in _runs(connection, begin, end):
        entries += len(rows)
        total += _hash_rows(connection, tree, rows)
    return entries, total


def holds(connection: sqlite3.Connection, place: bytes) -> bool:
    """Whether something lies at a place."""
    bucket, key = _columns(place)
    if key:
        found = connection.execute(_HOLDS_KEY, (bucket, key))
    else:
        found = connection.execute(_HOLDS_BUCKET, (bucket, bucket))
    return bool(found.fetchone()[0])


# --- keys --------------------------------------------------------------------------------


def _keys(
    connection: sqlite3.Connection, tree: TreeHash, begin: bytes, end: bytes, hash_rows: _HashRows
) -> Iterator[Group]:
    group: Group | None = None
    for rows in _runs(connection, begin, end):
        for (bucket, key), held in itertools.groupby(rows, key=itemgetter(0, 1)):
            some = list(held)
            total = hash_rows(connection, tree, some)
            place = b"%b\0%b" % (bucket, key)
            if group is not None and group[0] == place:  # it goes on in the next run
                group = (place, group[1] + len(some), group[2] + total)
                continue
            if group is not None:
                yield group
            group = (place, len(some), total)
    if group is not None:
        yield group


def _runs(
    connection: sqlite3.Connection, begin: bytes, end: bytes
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the columns of rows in the order of places, some at a time.

    Left out is what damage has given a name that is none: nothing finds it any more.
    """
    below, bounds = "", [*_columns(begin)]
    if end:
        below = " AND (bucket, key) < (CAST(? AS TEXT), ?)"
        bounds += _columns(end)
    sql = f"{_ROWS}{below} ORDER BY bucket, key, ord DESC LIMIT {_RUN}"
    while True:
        rows = fetch_rows(connection, sql, bounds, "bbbiib")
        yield [row for row in rows if type(row[0]) is bytes and type(row[1]) is bytes]
        if len(rows) < _RUN:
            return
        *key, order = rows[-1][:3]
        while len(rows) == _RUN:  # what is left of a key that did not fit
            rows = fetch_rows(connection, _REST_OF_KEY, [*key, order, _RUN], "bbbiib")
            yield rows
            order = rows[-1][2] if rows else b""
        # What damage has made text of sorts before all bytes.
        bounds[:2] = key[0], key[1] + b"\0" if type(key[1]) is bytes else b""


def _columns(place: bytes) -> tuple[bytes, bytes]:
    """Return a place as columns; before every bucket when it is empty."""
    return split_place(place) or (b"", b"")


def _hash_rows(
    connection: sqlite3.Connection, tree: TreeHash, rows: Sequence[tuple[Any, ...]]
) -> int:
    """Add up rows as their columns have them."""
    total = 0
    for columns in rows:
        bucket, key, order, kind, _, summary = columns
        try:
            lacks_shards = bool(summary[_FLAGS_AT] & DEGRADED)
            place = b"%b\0%b" % (bucket, key)
            total += tree.row(place, order, kind, lacks_shards=lacks_shards)
        except (TypeError, IndexError, OverflowError):  # damage made something else of them
            total += _hash_verified(connection, tree, [columns])
    return total


def _hash_verified(
    connection: sqlite3.Connection, tree: TreeHash, rows: Sequence[tuple[Any, ...]]
) -> int:
    """Add up rows, and see which are damaged."""
    total = 0
    for bucket, key, *columns in rows:
        place = b"%b\0%b" % (bucket, key)
        try:
            name: Key = (bucket.decode(), key)
        except UnicodeDecodeError:
            total += tree.unknown_row(place, b"")
            continue
        row = open_row(*name, *columns)
        if row.summary is None:
            row = recovered(connection, name, row, None)
        total += row_hash(tree, place, row)
    return total


# --- buckets and their uploads -------------------------------------------------------------


def _buckets(
    connection: sqlite3.Connection, tree: TreeHash, begin: bytes, end: bytes
) -> Iterator[Group]:
    first, last = _columns(begin)[0], _columns(end)[0]
    if end and last + b"\0" < begin:
        return  # the range lies within one bucket
    for name, record in _names(connection, first, last if end else None):
        place = name + b"\0"
        if not begin <= place or (end and place >= end):
            continue
        entries, total = _uploads(connection, tree, name)
        if record is not None:
            entries += 1
            total += bucket_hash(tree, place, record)
        if entries:
            yield place, entries, total


def _names(
    connection: sqlite3.Connection, first: bytes, last: bytes | None
) -> list[tuple[bytes, bytes | None]]:
    """Return buckets with their records, and those that have uploads and, by damage, none."""
    within = "{0} >= CAST(? AS TEXT)" + ("" if last is None else " AND {0} <= CAST(? AS TEXT)")
    bounds = [first] if last is None else [first, last]
    sql = f"""
        SELECT CAST(name AS BLOB), max(record) FROM (
            SELECT name, record FROM buckets WHERE {within.format("name")}
            UNION ALL
            SELECT DISTINCT bucket, NULL FROM uploads WHERE {within.format("bucket")}
        ) GROUP BY name ORDER BY name"""  # noqa: S608 -- literals
    return connection.execute(sql, [*bounds, *bounds]).fetchall()


def bucket_hash(tree: TreeHash, place: bytes, record: bytes) -> int:
    """Return the hash of a bucket's record, damaged or not."""
    try:
        return tree.bucket(place, decode_bucket(record).stamp)
    except (RecordUnknown, TypeError):
        return tree.unknown_bucket(place)


def _uploads(connection: sqlite3.Connection, tree: TreeHash, bucket: bytes) -> tuple[int, int]:
    found = connection.execute(
        "SELECT upload_id FROM uploads WHERE bucket = CAST(? AS TEXT) AND taken IS NULL", (bucket,)
    ).fetchall()
    entries = total = 0
    for (upload_id,) in found:
        more, hashes = upload_hashes(connection, tree, upload_id)
        entries += more
        total += hashes
    return entries, total


def upload_hashes(
    connection: sqlite3.Connection, tree: TreeHash, upload_id: str
) -> tuple[int, int]:
    """Return what an upload and its newest parts add, as entries and as a sum."""
    parts = connection.execute(
        "SELECT number, max(stamp) FROM parts WHERE upload_id = ? GROUP BY number", (upload_id,)
    ).fetchall()
    intact = [part for part in parts if type(part[0]) is int and type(part[1]) is bytes]
    total = tree.upload(upload_id) + sum(tree.part(upload_id, *part) for part in intact)
    return 1 + len(intact), total

"""The journal's tree: sums over ranges of keys, kept in the transaction that changes the rows.

docs/format/journal.md, "The tree". The table has one row for every node of the leaves' level; what
is finer is worked out from the rows of a leaf, what is coarser from the leaves.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final

from objstore.drive.journal_fetch import fetch_rows
from objstore.drive.journal_rows import HeldRow
from objstore.drive.journal_scan import Group, add_up, holds, row_hash, scan
from objstore.drive.journal_sql import batches
from objstore.ondisk.tree import TOTAL_MASK, TreeHash

_RUN: Final = 1024
_HALF: Final = (1 << 32) - 1


class TreeChanges:
    """What one transaction changes in the tree, gathered by place."""

    def __init__(self, connection: sqlite3.Connection, tree: TreeHash) -> None:
        self.hash: Final = tree
        self._connection = connection
        self._deltas: dict[bytes, tuple[int, int]] = {}
        self._unsure: set[bytes] = set()

    def change_rows(self, place: bytes, removed: Iterable[HeldRow], added: HeldRow | None) -> None:
        """Rows at a place are removed, and one is added."""
        if added is not None:
            self.add(place, row_hash(self.hash, place, added))
        for row in removed:
            if row.summary is None:
                self.unsure(place)
            else:
                self.add(place, -row_hash(self.hash, place, row), entries=-1)

    def add(self, place: bytes, total: int, *, entries: int = 1) -> None:
        """So many entries more, or fewer, lie at a place, with this sum."""
        held = self._deltas.get(place, (0, 0))
        self._deltas[place] = (held[0] + entries, held[1] + total)

    def unsure(self, place: bytes) -> None:
        """What lay at a place cannot be told: its leaf is to be added up anew."""
        self._unsure.add(place)

    def write(self) -> None:
        """Write what was gathered. The rows are written already."""
        deltas = [(place, *delta) for place, delta in self._deltas.items() if any(delta)]
        for some in batches(deltas):
            _add_to_leaves(self._connection, some)
        places = [place for place in self._deltas if self.hash.begins(place, self.hash.leaf_level)]
        unsure = sorted(self._unsure)
        self._deltas.clear()
        self._unsure.clear()
        for place in sorted(places):
            self._cut(place)
        for place in unsure:
            self._add_up_anew(place)

    def _cut(self, place: bytes) -> None:
        """Let a leaf begin at a place if something lies there, else let it go on."""
        connection = self._connection
        stored = begins_leaf(connection, place)
        if stored == holds(connection, place):
            return
        before, after = _neighbours(connection, place)
        if stored:
            ((_, entries, total),) = stored_leaves(connection, place, place + b"\0")
            connection.execute("DELETE FROM tree WHERE place = ?", (place,))
            _add_to_leaves(connection, [(before, entries, total)])
            return
        entries, total = add_up(connection, self.hash, place, after)
        _add_to_leaves(connection, [(before, -entries, -total)])
        write_leaves(connection, [(place, entries, total & TOTAL_MASK)])

    def _add_up_anew(self, place: bytes) -> None:
        """Add up the leaves on both sides of a place."""
        before, after = _neighbours(self._connection, place)
        groups = scan(self._connection, self.hash, before, after, verify=False)
        mend(self._connection, before, after, leaves_in(self.hash, before, groups))


# --- leaves ------------------------------------------------------------------------------


def leaves_in(tree: TreeHash, begin: bytes, groups: Iterable[Group]) -> list[Group]:
    """Return the leaves that groups in order make, the first one beginning at `begin`."""
    leaves = [(begin, 0, 0)]
    for place, entries, total in groups:
        if place != begin and tree.begins(place, tree.leaf_level):
            leaves.append((place, entries, total))
        else:
            first, held_entries, held_total = leaves[-1]
            leaves[-1] = (first, held_entries + entries, held_total + total)
    return [(place, entries, total & TOTAL_MASK) for place, entries, total in leaves]


def mend(connection: sqlite3.Connection, begin: bytes, end: bytes, leaves: list[Group]) -> int:
    """Store the leaves from `begin` to `end` (empty: to the end); return how many were others."""
    wanted = {leaf[0]: leaf for leaf in leaves}
    stored = {leaf[0]: leaf for leaf in stored_leaves(connection, begin, end)}
    other = [place for place in stored.keys() | wanted if stored.get(place) != wanted.get(place)]
    connection.executemany(
        "DELETE FROM tree WHERE place = ?", [(place,) for place in stored if place not in wanted]
    )
    write_leaves(connection, [wanted[place] for place in other if place in wanted])
    return len(other)


def stored_leaves(connection: sqlite3.Connection, begin: bytes, end: bytes) -> Iterator[Group]:
    """Yield the leaves that begin at or after `begin`, and before `end` unless that is empty.

    One that is damaged counts nothing.
    """
    sql = "SELECT place AS c0, entries AS c1, low AS c2, high AS c3 FROM tree WHERE place >= ?"
    bounds: list[Any] = [begin]
    if end:
        sql += " AND place < ?"
        bounds.append(end)
    sql += f" ORDER BY place LIMIT {_RUN}"
    while True:
        rows = fetch_rows(connection, sql, bounds, "biii")
        for place, entries, low, high in rows:
            intact = type(entries) is int and type(low) is int and type(high) is int
            yield (place, entries, low + (high << 32) & TOTAL_MASK) if intact else (place, -1, 0)
        if len(rows) < _RUN:
            return
        bounds[0] = rows[-1][0] + b"\0"


def write_leaves(connection: sqlite3.Connection, leaves: Sequence[Group]) -> None:
    """Store leaves in place of those that begin where they do."""
    for some in batches(leaves):
        sql = f"INSERT OR REPLACE INTO tree VALUES {_marks(len(some))}"  # noqa: S608 -- only marks
        connection.execute(sql, _halved(some))


def begins_leaf(connection: sqlite3.Connection, place: bytes) -> bool:
    """Whether a leaf begins at a place."""
    found = connection.execute("SELECT 1 FROM tree WHERE place = ?", (place,)).fetchone()
    return found is not None


def _neighbours(connection: sqlite3.Connection, place: bytes) -> tuple[bytes, bytes]:
    """Return where the leaves before and after a place begin; empty: at no place."""
    (before,) = connection.execute(
        "SELECT ifnull(max(place), x'') FROM tree WHERE place < ?", (place,)
    ).fetchone()
    (after,) = connection.execute(
        "SELECT ifnull(min(place), x'') FROM tree WHERE place > ?", (place,)
    ).fetchone()
    return before, after


def _add_to_leaves(connection: sqlite3.Connection, deltas: Sequence[Group]) -> None:
    """Add to the leaf of each place: one statement, which finds the leaves by itself."""
    connection.execute(_add_sql(len(deltas)), _halved(deltas))


@cache
def _add_sql(count: int) -> str:
    # Halves of 32 bits, because SQLite would make a real number of a sum that does not fit into 63.
    return f"""
        UPDATE tree SET entries = tree.entries + d.entries,
                        low = (tree.low + d.low) & {_HALF},
                        high = (tree.high + d.high + ((tree.low + d.low) >> 32)) & {_HALF}
        FROM (SELECT (SELECT max(place) FROM tree WHERE place <= column1) AS leaf,
                     sum(column2) AS entries, sum(column3) AS low, sum(column4) AS high
              FROM (VALUES {_marks(count)}) GROUP BY leaf) AS d
        WHERE tree.place = d.leaf"""  # noqa: S608 -- only marks


@cache
def _marks(count: int) -> str:
    return ", ".join(["(?, ?, ?, ?)"] * count)


def _halved(groups: Sequence[Group]) -> list[Any]:
    """Return groups as columns, each sum as two halves."""
    columns: list[Any] = []
    for place, entries, total in groups:
        high, low = divmod(total, 1 << 32)
        columns += (place, entries, low, high)
    return columns

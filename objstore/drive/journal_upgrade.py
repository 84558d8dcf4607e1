"""Bring a journal that an older objstore wrote to the format of today. docs/format/journal.md.

Whoever opens a journal holds the drive's lock. Each format is reached in one transaction, so that a
crash leaves the format before.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import structlog

from objstore.drive.journal_scan import Group, scan
from objstore.drive.journal_tree import leaves_in, write_leaves
from objstore.ondisk.tree import TreeHash

TREE_TABLE: Final = """CREATE TABLE tree (place BLOB PRIMARY KEY, entries INTEGER NOT NULL,
        low INTEGER NOT NULL, high INTEGER NOT NULL) WITHOUT ROWID"""
FIRST_LEAF: Final = "INSERT INTO tree VALUES (x'', 0, 0, 0)"  # there is always one to add to

_SAID_EVERY: Final = 100_000
_log = structlog.get_logger()


def upgrade(connection: sqlite3.Connection, version: int, tree: TreeHash) -> None:
    """Bring a journal of format `version` to today's. Raises sqlite3.Error."""
    for number, step in _STEPS:
        if version >= number:
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            step(connection, tree)
            connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def _count_versions(connection: sqlite3.Connection, _: TreeHash) -> None:
    """Format 1 knew null versions only, so a bucket's versions were its live keys."""
    connection.execute(
        """INSERT OR REPLACE INTO usage SELECT 'v/' || substr(scope, 3), entries, bytes FROM usage
           WHERE scope >= 'b/' AND scope < 'b0'"""
    )


def _plant_tree(connection: sqlite3.Connection, tree: TreeHash) -> None:
    """Formats 1 and 2 had no tree: add up everything once."""
    connection.execute(TREE_TABLE)
    groups = _counted(scan(connection, tree, b"", b"", verify=False))
    write_leaves(connection, leaves_in(tree, b"", groups))


def _counted(groups: Iterable[Group]) -> Iterator[Group]:
    """Pass groups on, and say now and then how far it is."""
    done = 0
    for group in groups:
        before, done = done, done + group[1]
        if before // _SAID_EVERY != done // _SAID_EVERY:
            _log.info("journal is brought to format 3: its tree grows", entries=done)
        yield group
    if done:
        _log.info("journal brought to format 3", entries=done)


_STEPS: Final[tuple[tuple[int, Callable[[sqlite3.Connection, TreeHash], None]], ...]] = (
    (2, _count_versions),
    (3, _plant_tree),
)

"""What one transaction changes, gathered and written in few statements."""

import sqlite3
from collections.abc import Collection, Sequence
from typing import Any, Final

from objstore.drive.journal_keys import KeyUsage
from objstore.drive.journal_rows import HeldRow
from objstore.drive.journal_schema import BUCKET_SCOPE, MISSED_SCOPE, VERSION_SCOPE
from objstore.drive.journal_sql import Key, batches, delete_many, insert_many
from objstore.drive.journal_tree import TreeChanges
from objstore.ondisk.paths import ShardName
from objstore.ondisk.tree import TreeHash


class Changes:
    """Changes of one transaction.

    Rows, records and the names of files are gathered until `write`; `finish` comes last, before
    the commit, and leaves in `unnamed` the files that nothing names any more.
    """

    def __init__(self, connection: sqlite3.Connection, tree: TreeHash) -> None:
        self.connection = connection
        self.tree = TreeChanges(connection, tree)
        self.unnamed: list[ShardName] = []
        self.discarded: list[ShardName] = []
        self._usage: dict[str, tuple[int, int]] = {}
        self._last_record = -1
        self._rows: list[tuple[Any, ...]] = []
        self._records: list[tuple[Any, ...]] = []
        self._shards: list[tuple[Any, ...]] = []
        self._gone_rows: list[tuple[Any, ...]] = []
        self._gone_records: list[tuple[Any, ...]] = []
        self._gone_shards: list[tuple[Any, ...]] = []
        self._perhaps_unnamed: set[ShardName] = set()

    # --- gathering -------------------------------------------------------------------

    def add_record(self, payload: bytes) -> int:
        """Add a record and return its number. Numbers are never used again."""
        if self._last_record < 0:
            found = self.connection.execute(
                "SELECT seq FROM sqlite_sequence WHERE name = 'records'"
            ).fetchone()
            self._last_record = found[0] if found else 0
        self._last_record += 1
        self._records.append((self._last_record, payload))
        return self._last_record

    def add_row(self, row: tuple[str, bytes, bytes, int, int, bytes]) -> None:
        """Add a row: bucket, key, order, kind, record number, summary."""
        self._rows.append(row)

    def remove_row(self, key: Key, row: HeldRow) -> None:
        """Remove a row and its record."""
        self._gone_rows.append((*key, row.order))
        self._gone_records.append((row.record_id,))

    def name_files(self, owner: int, names: Collection[ShardName]) -> None:
        """`owner` names these files from now on."""
        self._shards += [(name.data_id, name.part, name.shard, owner) for name in names]

    def unname_files(self, owner: int, names: Collection[ShardName]) -> None:
        """`owner` does not name these files any more."""
        self._gone_shards += [(name.data_id, name.part, name.shard, owner) for name in names]
        self._perhaps_unnamed.update(names)

    def count_key(self, bucket: str, before: KeyUsage, after: KeyUsage) -> None:
        """A key of the bucket used `before` and now uses `after`."""
        if before == after:
            return
        self._count(
            BUCKET_SCOPE + bucket,
            after.objects - before.objects,
            after.object_bytes - before.object_bytes,
        )
        self._count(
            VERSION_SCOPE + bucket,
            after.versions - before.versions,
            after.version_bytes - before.version_bytes,
        )

    def count_missed(self, entries: int, size: int) -> None:
        """The table of missed versions grew by this."""
        self._count(MISSED_SCOPE, entries, size)

    def _count(self, scope: str, entries: int, size: int) -> None:
        held = self._usage.get(scope, (0, 0))
        self._usage[scope] = (held[0] + entries, held[1] + size)

    # --- writing ---------------------------------------------------------------------

    def write(self) -> None:
        """Write what was gathered. What is removed goes first: a row may replace another."""
        for table, columns, gone in (
            ("rows", "bucket, key, ord", self._gone_rows),
            ("records", "record_id", self._gone_records),
            ("shards", "data_id, part, shard, owner", self._gone_shards),
        ):
            delete_many(self.connection, table, columns, gone)
            gone.clear()
        for table, fresh in (
            ("records", self._records),
            ("rows", self._rows),
            ("shards", self._shards),
        ):
            insert_many(self.connection, table, fresh)
            fresh.clear()

    def finish(self) -> None:
        """Write the rest: usage, the tree, and which files nothing names any more."""
        self.write()
        self.write_usage()
        self.tree.write()
        self.unnamed = [name for name in self._perhaps_unnamed if not self.is_named(name)]

    def write_usage(self) -> None:
        """Write usage as it is so far, for a call that has to know it."""
        for some in batches(list(self._usage.items())):
            self._add_usage([(scope, *counts) for scope, counts in some])
        self._usage.clear()

    def _add_usage(self, deltas: Sequence[tuple[str, int, int]]) -> None:
        values = ", ".join(["(?, ?, ?)"] * len(deltas))
        sql = f"INSERT INTO usage VALUES {values} {_ADD_UP}"  # noqa: S608 -- only marks
        self.connection.execute(sql, [value for delta in deltas for value in delta])

    # --- looking ---------------------------------------------------------------------

    def is_named(self, name: ShardName) -> bool:
        """Whether a record or an uploaded part names this file."""
        return names_file(self.connection, name)

    def buckets(self, names: Collection[str]) -> list[tuple[str, bytes]]:
        """Return the sealed records of those of these buckets that are known."""
        found: list[tuple[str, bytes]] = []
        for some in batches(sorted(names)):
            marks = ", ".join("?" * len(some))
            sql = f"SELECT name, record FROM buckets WHERE name IN ({marks})"  # noqa: S608 -- ditto
            found += self.connection.execute(sql, some).fetchall()
        return found


_ADD_UP: Final = """ON CONFLICT (scope) DO UPDATE
    SET entries = entries + excluded.entries, bytes = bytes + excluded.bytes"""
_NAMED: Final = """
    SELECT EXISTS (SELECT 1 FROM shards s WHERE data_id = ? AND part = ? AND shard = ? AND (
        (owner > 0 AND EXISTS (SELECT 1 FROM records WHERE record_id = s.owner))
        OR (owner < 0 AND EXISTS (SELECT 1 FROM parts WHERE part_id = -s.owner))))"""


def names_file(connection: sqlite3.Connection, name: ShardName) -> bool:
    """Whether a record or an uploaded part in this journal names a shard file."""
    (named,) = connection.execute(_NAMED, (name.data_id, name.part, name.shard)).fetchone()
    return bool(named)

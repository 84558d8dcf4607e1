"""A journal that an older objstore wrote is raised to the format of today when it is opened."""

import sqlite3
from pathlib import Path

import pytest

from objstore.drive.journal_schema import FORMAT_VERSION, create_journal, open_journal
from objstore.errors import ConfigError
from objstore.ondisk.tree import TreeHash

_TREE = TreeHash("deployment", "drive")


def _set_version(path: Path, version: int) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("INSERT INTO usage VALUES ('b/photos', 3, 300), ('missed', 1, 5)")
    if version < 3:
        connection.execute("DROP TABLE tree")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.close()


def test_format_1_gets_counts_of_versions_once(tmp_path: Path) -> None:
    """docs/format/journal.md: format 1 knew null versions only, so versions are live keys."""
    path = tmp_path / "journal.db"
    create_journal(path, trusted=True)
    _set_version(path, 1)
    for _ in range(2):
        connection = open_journal(path, _TREE, cache_kib=100, writes=True)
        usage = connection.execute("SELECT * FROM usage ORDER BY scope").fetchall()
        assert usage == [("b/photos", 3, 300), ("missed", 1, 5), ("v/photos", 3, 300)]
        assert connection.execute("PRAGMA user_version").fetchone() == (FORMAT_VERSION,)
        connection.execute("UPDATE usage SET entries = 3 WHERE scope = 'v/photos'")
        connection.close()


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    create_journal(path, trusted=True)
    _set_version(path, FORMAT_VERSION + 1)
    with pytest.raises(ConfigError, match="a newer one"):
        open_journal(path, _TREE, cache_kib=100, writes=True)

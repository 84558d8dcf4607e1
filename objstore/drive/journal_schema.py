"""The journal's tables, and how a connection to one is opened. docs/format/journal.md.

A connection is opened under the drive's lock: recovery of a WAL that a crash left behind then
never meets a writer.
"""

import sqlite3
from pathlib import Path
from typing import Final

from objstore.drive.journal_upgrade import FIRST_LEAF, TREE_TABLE, upgrade
from objstore.errors import ConfigError, DriveFaulty
from objstore.ondisk.tree import TreeHash

APPLICATION_ID: Final = 0x4F534A31  # "OSJ1"
FORMAT_VERSION: Final = 3
TRUSTED: Final = b"trusted"
UNTRUSTED: Final = b"untrusted"
MISSED_SCOPE: Final = "missed"
BUCKET_SCOPE: Final = "b/"
VERSION_SCOPE: Final = "v/"

_PAGE_BYTES: Final = 4096
_WAL_PAGES_MAX: Final = 4096  # a checkpoint every 16 MiB
_WAL_KEEP_BYTES: Final = 64 * 1024 * 1024
_STATEMENTS_KEPT: Final = 256
_BUSY_S: Final = 2.0  # only recovery and the last close of another process are waited for

_TABLES: Final = (
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE buckets (name TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID",
    """CREATE TABLE usage (scope TEXT PRIMARY KEY, entries INTEGER NOT NULL,
        bytes INTEGER NOT NULL) WITHOUT ROWID""",
    """CREATE TABLE rows (bucket TEXT NOT NULL, key BLOB NOT NULL, ord BLOB NOT NULL,
        kind INTEGER NOT NULL, record_id INTEGER NOT NULL, summary BLOB NOT NULL,
        PRIMARY KEY (bucket, key, ord DESC)) WITHOUT ROWID""",
    "CREATE INDEX tombstones ON rows (bucket, key, ord) WHERE kind = 2",
    "CREATE TABLE records (record_id INTEGER PRIMARY KEY AUTOINCREMENT, payload BLOB NOT NULL)",
    """CREATE TABLE shards (data_id BLOB NOT NULL, part INTEGER NOT NULL, shard INTEGER NOT NULL,
        owner INTEGER NOT NULL, PRIMARY KEY (data_id, part, shard, owner)) WITHOUT ROWID""",
    """CREATE TABLE uploads (upload_id TEXT PRIMARY KEY, bucket TEXT NOT NULL, key BLOB NOT NULL,
        taken BLOB, record BLOB NOT NULL) WITHOUT ROWID""",
    "CREATE INDEX uploads_by_key ON uploads (bucket, key, upload_id)",
    """CREATE TABLE parts (part_id INTEGER PRIMARY KEY AUTOINCREMENT, upload_id TEXT NOT NULL,
        number INTEGER NOT NULL, stamp BLOB NOT NULL, data_id BLOB NOT NULL,
        shards BLOB NOT NULL, record BLOB NOT NULL)""",
    "CREATE UNIQUE INDEX parts_by_number ON parts (upload_id, number, stamp DESC)",
    """CREATE TABLE missed (bucket TEXT NOT NULL, key BLOB NOT NULL, ord BLOB NOT NULL,
        slots BLOB NOT NULL, since_ms INTEGER NOT NULL, size INTEGER NOT NULL,
        PRIMARY KEY (bucket, key)) WITHOUT ROWID""",
    "CREATE INDEX missed_by_age ON missed (since_ms)",
    TREE_TABLE,
)


def create_journal(path: Path, *, trusted: bool, emptied_ms: int = 0) -> None:
    """Make an empty journal at `path`, where there is none; one that is not `trusted`, since when.

    The caller makes the directory durable. Raises sqlite3.Error.
    """
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("BEGIN IMMEDIATE")
        for table in _TABLES:
            connection.execute(table)
        connection.execute(FIRST_LEAF)
        state = TRUSTED if trusted else UNTRUSTED
        connection.execute("INSERT INTO meta VALUES ('trusted', ?)", (state,))
        if not trusted:
            since = str(emptied_ms).encode()
            connection.execute("INSERT INTO meta VALUES ('emptied_ms', ?)", (since,))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
        connection.execute("COMMIT")
    finally:
        connection.close()


def open_journal(path: Path, tree: TreeHash, *, cache_kib: int, writes: bool) -> sqlite3.Connection:
    """Open the journal at `path`, which must exist; to write, in the format of today.

    `tree` has the hashes of the drive that it belongs to.

    Raises:
        sqlite3.Error: it cannot be opened or read.
        DriveFaulty: it is some other database, or its tables are not those of a journal.
        ConfigError: a newer objstore wrote it.
    """
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode=rw",
        uri=True,
        timeout=_BUSY_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS_KEPT,
    )
    try:
        _prepare(connection, cache_kib=cache_kib, writes=writes)
        version = _check_format(connection)
        if version < FORMAT_VERSION and writes:
            upgrade(connection, version, tree)
        _check_tables(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def is_trusted(connection: sqlite3.Connection) -> bool:
    """Whether what this journal lacks is absent, rather than unknown."""
    return read_meta(connection, "trusted") == TRUSTED


def emptied_ms(connection: sqlite3.Connection) -> int:
    """Return since when this journal has what its place was given; 0: always, or not known."""
    return _number(connection, "emptied_ms")


def forgotten(connection: sqlite3.Connection) -> int:
    """Return how many tombstones the set forgot that this journal knows of."""
    return _number(connection, "forgotten")


def _number(connection: sqlite3.Connection, name: str) -> int:
    found = read_meta(connection, name)
    return int(found) if found is not None and found.isdigit() else 0


def read_meta(connection: sqlite3.Connection, name: str) -> bytes | None:
    """Return what table `meta` has under a name; what is no blob there has rotted."""
    found = connection.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return found[0] if found is not None and isinstance(found[0], bytes) else None


def _prepare(connection: sqlite3.Connection, *, cache_kib: int, writes: bool) -> None:
    connection.execute("PRAGMA mmap_size = 0")
    connection.execute(f"PRAGMA cache_size = -{cache_kib}")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")
    if writes:
        connection.execute(f"PRAGMA wal_autocheckpoint = {_WAL_PAGES_MAX}")
        connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEEP_BYTES}")
    else:
        connection.execute("PRAGMA query_only = ON")


def _check_format(connection: sqlite3.Connection) -> int:
    """Return the format of a journal that can be read."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    if application != APPLICATION_ID:
        raise DriveFaulty(f"journal.db has application id {application:#x}: it is no journal")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > FORMAT_VERSION:
        raise ConfigError(
            found=f"a journal of format {version}",
            expected=f"format {FORMAT_VERSION} or older",
            remedy="run the objstore that wrote it, or a newer one",
        )
    return int(version)


def _check_tables(connection: sqlite3.Connection) -> None:
    """Compare the tables with those that were made: a name in them may have been damaged."""
    found = {sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema")}
    for table in _TABLES:
        if table not in found:
            name = table.partition("(")[0].strip()
            raise DriveFaulty(f"journal.db does not have what {name!r} made: it is damaged")

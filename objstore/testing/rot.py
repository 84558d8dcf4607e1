"""Planting rot on drives whose files nobody has open.

Bytes are flipped where they lie in the files, not through what wrote them.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from objstore.ondisk.paths import ShardName, parse_shard_path
from objstore.ondisk.shard_file import HEADER_BYTES

_PAGE: Final = 4096


def flip(path: Path, at: int, mask: int = 1) -> None:
    """Flip bits of one byte of a file; `at` may count from its end."""
    size = path.stat().st_size
    place = at if at >= 0 else size + at
    with path.open("r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ mask]))


def shard_files(drive: Path) -> dict[ShardName, Path]:
    """Return the shard files of a drive."""
    found = {}
    for path in sorted((drive / "shards").rglob("*")):
        name = parse_shard_path(str(path.relative_to(drive)))
        if name is not None:
            found[name] = path
    return found


def _swap(path: Path, other: Path) -> None:
    """Let a file hold what another one holds: a write that went to the wrong place."""
    path.write_bytes(other.read_bytes())


def _zero(path: Path, _: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


SHARD_ROT: Final[dict[str, Callable[[Path, Path], None]]] = {
    "a block": lambda path, _: flip(path, HEADER_BYTES + 100),
    "a checksum": lambda path, _: flip(path, HEADER_BYTES + 3, 0x80),
    "the header": lambda path, _: flip(path, 40),
    "the trailer": lambda path, _: flip(path, -50),
    "the end": lambda path, _: flip(path, -1),
    "its length": lambda path, _: os.truncate(path, path.stat().st_size - 1000),
    "all of it": _zero,
    "its name": _swap,
    "its presence": lambda path, _: path.unlink(),
}


def empty_log(drive: Path) -> None:
    """Bring all of a journal into its main file, as the last process that closes it does."""
    connection = sqlite3.connect(drive / "journal.db")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    finally:
        connection.close()


def journal_rows(drive: Path) -> Iterator[tuple[str, bytes, bytes]]:
    """Yield key, summary and record of every row of a drive's journal."""
    connection = sqlite3.connect(f"{(drive / 'journal.db').as_uri()}?mode=ro", uri=True)
    try:
        yield from [
            (key.decode(), summary, payload)
            for key, summary, payload in connection.execute(
                "SELECT key, summary, payload FROM rows JOIN records USING (record_id)"
            )
        ]
    finally:
        connection.close()


def flip_in_journal(drive: Path, needle: bytes, at: int) -> None:
    """Flip a bit of bytes that the journal's file has once; they begin with `needle`."""
    path = drive / "journal.db"
    content = path.read_bytes()
    place = content.find(needle)
    assert place >= 0, "not in the file"
    assert content.find(needle, place + 1) < 0, "there twice"
    flip(path, place + at)


def root_pages(drive: Path, *tables: str) -> list[int]:
    """Return the numbers (from 1) of the pages that the trees of some tables begin with."""
    connection = sqlite3.connect(f"{(drive / 'journal.db').as_uri()}?mode=ro", uri=True)
    try:
        found = dict(connection.execute("SELECT name, rootpage FROM sqlite_schema").fetchall())
    finally:
        connection.close()
    return [found[table] for table in tables]


def damage_page(drive: Path, page: int, at: int = 1) -> None:
    """Flip bits in a page of the journal, by default in the header of its part of the tree."""
    flip(drive / "journal.db", (page - 1) * _PAGE + at, 0x55)

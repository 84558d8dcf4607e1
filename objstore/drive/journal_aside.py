"""Put a damaged journal aside, and begin an empty one that is not trusted, while the drive is used.

The damaged one is kept, in a directory of its own, for an operator to look at or to throw away. The
shards stay where they are: the rebuild takes over those that are whole.

Other processes have the damaged journal open. Their writers wait for `journal.lock`, which is
held here; then drive.json is written anew, by which every process sees that the drive in its
hands is not the one that is there (posix.Root.check), and opens what is there now. What they read
until then was true when they were asked, because nothing has been written since.

`journal.damaged` is there from before the first step until after the last, so that a crash in
between is followed by another try: until then nothing trusts what is in the journal's place.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from objstore.drive.format import sync_journal
from objstore.drive.journal_schema import create_journal
from objstore.drive.posix import (
    drive_error,
    read_damage,
    remove_quietly,
    sync_directory,
    write_durably,
)
from objstore.errors import DriveError, DriveFaulty, DriveTimeout
from objstore.limits import CALL_DEADLINE_S
from objstore.ondisk.paths import (
    DRIVE_JSON,
    DRIVE_JSON_NEW,
    JOURNAL_DAMAGED,
    JOURNAL_DAMAGED_NEW,
    JOURNAL_DB,
    JOURNAL_FILES,
    JOURNAL_LOCK,
    journal_aside,
)

_LOOK_S: Final = 0.02


def set_journal_aside(path: Path, *, now_ms: int, why: str = "") -> Path:
    """Put the journal of the drive at `path` aside; return where it lies now, WAL and reason too.

    Blocks, at most a few seconds.

    Raises:
        DriveTimeout: a writer does not let go of the journal.
        DriveError: the disk failed. It may be tried again.
    """
    aside = path / journal_aside(now_ms)
    try:
        with _locked(path / JOURNAL_LOCK):
            reason = read_damage(path) or why or "set aside"
            marker = path / JOURNAL_DAMAGED
            write_durably(marker, reason.encode(), by_way_of=path / JOURNAL_DAMAGED_NEW)
            _move(path, aside, reason)
            create_journal(path / JOURNAL_DB, trusted=False, emptied_ms=now_ms)
            sync_journal(path)
            identity = (path / DRIVE_JSON).read_bytes()
            write_durably(path / DRIVE_JSON, identity, by_way_of=path / DRIVE_JSON_NEW)
            remove_quietly(str(marker))
            sync_directory(path)
    except OSError as error:
        raise drive_error(error, str(path)) from error
    except sqlite3.Error as error:
        raise DriveFaulty(f"{path}: journal: {error}") from error
    return aside


def _move(path: Path, aside: Path, reason: str) -> None:
    """Move the journal's files, the log first: one without its journal must not be found."""
    aside.mkdir(mode=0o700, exist_ok=True)
    (aside / JOURNAL_DAMAGED).write_text(reason)
    for name in (*JOURNAL_FILES[1:], JOURNAL_DB):
        if (path / name).exists():
            (path / name).rename(aside / name)
            sync_directory(path)
    sync_directory(aside)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the drive's lock; a writer that hangs is waited for only so long."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        for _ in range(int(CALL_DEADLINE_S / _LOOK_S)):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(_LOOK_S)
        else:
            raise _busy(path)
        yield
    finally:
        os.close(handle)


def _busy(path: Path) -> DriveError:
    return DriveTimeout(f"{path}: held by a writer for {CALL_DEADLINE_S:g} s")

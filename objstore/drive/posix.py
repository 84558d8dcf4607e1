"""The file system of one drive: which error means what, and whether it is still the drive.

Everything here may block: it runs on the drive's threads.
"""

import contextlib
import errno
import itertools
import os
import sqlite3
from pathlib import Path
from typing import Final

from objstore.errors import (
    DriveError,
    DriveFaulty,
    DriveFull,
    DriveOffline,
    DriveReadOnly,
    DriveTimeout,
    RecordUnknown,
)
from objstore.limits import DRIVE_RESERVE_BYTES_MAX
from objstore.ondisk.paths import DRIVE_JSON, JOURNAL_DAMAGED, JOURNAL_DAMAGED_NEW, JOURNAL_DB

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
STILL_READS: Final = _FULL | {errno.EROFS}  # a drive that cannot write can be opened for reading
_GONE: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODEV, errno.ENXIO})
_PERHAPS_READ_ONLY: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_RESERVE_BYTES_MIN: Final = 4 * 1024 * 1024
_RESERVE_FRACTION: Final = 100
_RESERVE_INODES: Final = 64
_AGAIN_BYTES: Final = 1024 * 1024
_REASON_BYTES_MAX: Final = 1000
_STEPS_BETWEEN_LOOKS: Final = 100_000  # of SQLite's machine: some milliseconds
_LOOKS_MAX: Final = 300
# What SQLite says of a file whose bytes are not what it wrote.
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Root:
    """A drive's directory, and the proof that it is still the one that was opened.

    A directory that is moved away, unmounted or replaced leaves open files working. So before
    anything is acknowledged, drive.json is looked up by its path again: it has to be the same
    file on the same device.
    """

    def __init__(self, path: Path) -> None:
        """Remember the drive at `path` as it is now. Raises DriveError."""
        self.path = path
        self._identity_file = str(path / DRIVE_JSON)
        self._damage_file = str(path / JOURNAL_DAMAGED)
        self._seen = self._look()
        self.mount_point = os.path.ismount(path)

    def _look(self) -> tuple[int, int]:
        try:
            status = os.stat(self._identity_file)  # noqa: PTH116 -- several thousand times a second
        except OSError as error:
            raise self._explain(error) from error
        return status.st_dev, status.st_ino

    def explain(self, error: OSError, where: str) -> DriveError:
        """Say what an error at one of its files means; a missing one may be a missing drive."""
        try:
            self.check()
        except DriveError as gone:
            return gone
        found = drive_error(error, where)
        return DriveFaulty(*found.args) if isinstance(found, DriveOffline) else found

    def _explain(self, error: OSError) -> DriveError:
        if error.errno in _GONE:
            return DriveOffline(f"{self.path}: no {DRIVE_JSON} there")
        return drive_error(error, str(self.path))

    def check(self) -> None:
        """Raise DriveOffline if the drive is no longer there."""
        if self._look() != self._seen:
            raise DriveOffline(f"{self.path}: another drive is there now")

    # --- a damaged journal -------------------------------------------------------------

    def note_damage(self, why: str) -> None:
        """Write down that the journal is damaged, for every process of the server.

        From here on what it lacks is unknown, until it was made anew (drive/journal_aside.py). A
        drive that cannot even be written to has other trouble, and the journal may be well.
        """
        with contextlib.suppress(OSError):
            if not self.is_damaged():
                marker = self.path / JOURNAL_DAMAGED
                text = why.encode("utf-8", "replace")[:_REASON_BYTES_MAX]
                write_durably(marker, text, by_way_of=self.path / JOURNAL_DAMAGED_NEW)

    def is_damaged(self) -> bool:
        """Whether the journal is known to be damaged."""
        return os.path.exists(self._damage_file)  # noqa: PTH110 -- as often as `check`

    def damage(self) -> str:
        """Return why the journal is to be made anew, or ""."""
        return read_damage(self.path)

    def read_once(self) -> None:
        """Read from the drive, so that one whose file system failed is noticed without a write.

        Directories and pages that are cached go on answering long after; a read does not.
        """
        try:
            with open(self._identity_file, "rb", buffering=0) as file:  # noqa: PTH123 -- a str
                file.read(1)
        except OSError as error:
            raise self._explain(error) from error

    def space(self) -> tuple[int, int, bool]:
        """Return total bytes, free bytes above the reserve, and whether new data has room.

        Free bytes are 0 while nothing can be written, whatever the reason.

        The reserve, 1 % of the drive within bounds, keeps room for the journal, so that a full
        drive can still delete.
        """
        try:
            status = os.statvfs(self.path)
        except OSError as error:
            raise self._explain(error) from error
        total = status.f_blocks * status.f_frsize
        reserve = min(
            max(total // _RESERVE_FRACTION, _RESERVE_BYTES_MIN),
            max(total // 4, 1),
            DRIVE_RESERVE_BYTES_MAX,
        )
        free = max(0, status.f_bavail * status.f_frsize - reserve)
        room = free > 0 and (status.f_files == 0 or status.f_favail > _RESERVE_INODES)
        if status.f_flag & os.ST_RDONLY:
            return total, 0, room  # a write is tried, and fails with the right reason
        return total, free if room else 0, room

    def is_read_only(self) -> bool:
        """Whether the file system is mounted read-only; False when that cannot be known."""
        try:
            return bool(os.statvfs(self.path).f_flag & os.ST_RDONLY)
        except OSError:
            return False


def drive_error(error: OSError, where: str) -> DriveError:
    """Say what an error of the operating system means for the drive."""
    text = f"{where}: {error.strerror or error}"
    if error.errno in _FULL:
        return DriveFull(text)
    if error.errno == errno.EROFS:
        return DriveReadOnly(text)
    if error.errno in _GONE:
        return DriveOffline(text)
    return DriveFaulty(text)


def journal_error(error: sqlite3.Error, root: Root) -> DriveError:
    """Say what an error of SQLite means for the drive. docs/format/journal.md has the table.

    CORRUPT is RecordUnknown: whatever lies on the damaged page cannot be known. It is also written
    down, so that the journal is made anew. But a file system that failed makes healthy pages look
    damaged, so the drive itself is asked first; and after a read that failed once so does SQLite,
    so the journal is looked at through another connection. One that is well there is only opened
    again.
    """
    try:
        root.check()
        root.read_once()
    except DriveError as gone:
        return gone
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    text = f"{root.path}: journal: {error}"
    if code & 0xFF in _DAMAGED:
        if not _looks_damaged(root.path / JOURNAL_DB):
            return DriveFaulty(text)
        root.note_damage(text)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        return DriveOffline(text)
    return _by_primary_code(code & 0xFF, text, root)


def _looks_damaged(journal: Path) -> bool:
    """Whether whoever opens a journal anew finds it damaged; True when that takes long to tell."""
    looks = itertools.count()
    try:
        with contextlib.closing(
            sqlite3.connect(f"{journal.absolute().as_uri()}?mode=ro", uri=True)
        ) as connection:
            connection.set_progress_handler(lambda: next(looks) > _LOOKS_MAX, _STEPS_BETWEEN_LOOKS)
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        return code in _DAMAGED or code == sqlite3.SQLITE_INTERRUPT
    return bool(found != "ok")


def _by_primary_code(code: int, text: str, root: Root) -> DriveError:
    if code == sqlite3.SQLITE_FULL:
        return DriveFull(text)
    if code == sqlite3.SQLITE_CORRUPT:
        return RecordUnknown(text)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return DriveTimeout(text)
    if code == sqlite3.SQLITE_READONLY or (code in _PERHAPS_READ_ONLY and root.is_read_only()):
        return DriveReadOnly(text)
    if code == sqlite3.SQLITE_CANTOPEN:
        return DriveOffline(text)
    return DriveFaulty(text)


def read_damage(path: Path) -> str:
    """Return why the journal of the drive at `path` is to be made anew, or ""."""
    try:
        return (path / JOURNAL_DAMAGED).read_text("utf-8", "replace") or "damaged"
    except OSError:
        return ""


def sync_directory(path: Path | str) -> None:
    """Make the names in a directory durable. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_durably(path: Path, content: bytes, *, by_way_of: Path) -> None:
    """Replace the file at `path`: all of `content`, or what was there before. Raises OSError."""
    handle = os.open(by_way_of, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with memoryview(content) as rest:
            done = 0
            while done < len(rest):
                done += os.write(handle, rest[done:])
        os.fsync(handle)
    finally:
        os.close(handle)
    by_way_of.rename(path)
    sync_directory(path.parent)


def write_again(path: Path) -> None:
    """Make durable what a file shows, though an earlier sync of it may have failed. Raises OSError.

    After a sync that failed the kernel takes the pages for clean: they can be read, and no later
    sync writes them. Each byte is replaced by itself, so a crash in between changes nothing.
    """
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        offset = 0
        while piece := os.pread(handle, _AGAIN_BYTES, offset):
            with memoryview(piece) as rest:
                done = 0
                while done < len(rest):
                    done += os.pwrite(handle, rest[done:], offset + done)
            offset += len(piece)
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_directory(path.parent)


def remove_quietly(path: str) -> None:
    """Remove a file that may be gone; an error leaves it to the reaper."""
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108

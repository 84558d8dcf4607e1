"""Read a journal's write-ahead log, to see whether it lost what was acknowledged. Blocks.

The log is opened and closed freely: SQLite's locks are on other files, so that closing it here
lets go of none of them.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from objstore.drive.journal_writer import locked
from objstore.ondisk.wal import FRAME_BYTES, WAL_HEADER_BYTES, wal_damage

_CHUNK_FRAMES: Final = 256
_TRIES: Final = 3


def damage_of_log(path: Path) -> str:
    """Return what is wrong with the log at `path`, or "". The caller holds the journal's lock.

    The last process that closes the journal empties its log without that lock; a log that was begun
    anew meanwhile is read again.

    Raises:
        OSError: it cannot be read.
    """
    damage = ""
    for _ in range(_TRIES):
        try:
            with path.open("rb", buffering=0) as file:
                header = _header(file)
                damage = wal_damage(header, _chunks(file))
                if not damage or _header(file) == header:
                    return damage
        except FileNotFoundError:
            return ""
    return damage


def check_log(path: Path, lock: Path) -> tuple[int, str]:
    """Check the log of a journal that is in use, on the medium; return its size and its damage.

    Frames that are written while it is read may look like damage; so that is looked at again while
    nobody writes.

    Raises:
        OSError: it cannot be read.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0, ""
    try:
        size = os.fstat(handle).st_size
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(handle)
    if not damage_of_log(path):
        return size, ""
    held = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
    try:
        with locked(held):
            return size, damage_of_log(path)
    finally:
        os.close(held)


def _header(file: BinaryIO) -> bytes:
    file.seek(0)
    return file.read(WAL_HEADER_BYTES)


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK_FRAMES * FRAME_BYTES):
        yield chunk

"""Shard files of one drive: made, read, checked, moved to the trash.

Everything here blocks and runs on the drive's I/O threads, each of which lends its own aligned
buffer. Files are written with O_DIRECT where the file system has it: the page cache would be
filled with bytes that are not read soon, at a fraction of the speed. They are read through the page
cache, because what is read once is often read again; only a check reads past it, because it is
asked about the medium.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from objstore.clock import Clock
from objstore.drive.new_shard import ALIGN, NewShard, aligned_buffer
from objstore.drive.open_files import OpenFiles
from objstore.drive.posix import Root, drive_error, remove_quietly
from objstore.errors import (
    DriveError,
    DriveFull,
    DriveReadOnly,
    DriveRefusal,
    ShardCorrupt,
    ShardMissing,
)
from objstore.limits import SHARD_REWRITE_AGE_S
from objstore.ondisk.paths import TRASH_DIR, ShardName, repair_path, shard_path, trash_path
from objstore.ondisk.shard_file import HEADER_BYTES, ShardChecker

_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_NOT_SUPPORTED: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.EISDIR})


class ShardFiles:
    """The shard files of a drive."""

    def __init__(self, root: Root, clock: Clock, *, direct: bool) -> None:
        self.root = root
        self._clock = clock
        self._base: Final = str(root.path)
        self._direct = direct
        self._open = OpenFiles(self._base, clock)

    def path_of(self, name: ShardName) -> str:
        """Return where a shard lies."""
        return f"{self._base}/{shard_path(name.data_id, name.part, name.shard)}"

    def trash_path_of(self, name: ShardName) -> str:
        """Return where a shard waits for the reaper."""
        return f"{self._base}/{trash_path(name.data_id, name.part, name.shard)}"

    # --- writing ---------------------------------------------------------------------

    def create(self, name: ShardName) -> NewShard | None:
        """Begin a shard file; None when there is one of that name.

        Raises:
            DriveFull, DriveReadOnly, DriveFaulty, DriveOffline.
        """
        self.root.check()
        _, _, room = self.root.space()
        if not room:
            raise DriveFull(f"{self._base}: only the reserve is left")
        path = self.path_of(name)
        try:
            return self._create(path)
        except FileExistsError:
            return None
        except OSError as error:
            raise self.root.explain(error, path) from error

    def _create(self, path: str, becomes: str = "") -> NewShard:
        if self._direct:
            try:
                handle = os.open(path, _NEW | os.O_DIRECT, 0o600)
                return NewShard(self.root, path, handle, direct=True, becomes=becomes)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
        handle = os.open(path, _NEW, 0o600)
        return NewShard(self.root, path, handle, direct=False, becomes=becomes)

    def clear_stray(self, name: ShardName) -> None:
        """Make room for a shard whose name is taken by a file that no record names.

        Raises:
            DriveRefusal: the file is so young that somebody may still be writing it.
        """
        path = self.path_of(name)
        try:
            age_s = self._clock.now_ns() / 1e9 - os.stat(path).st_mtime  # noqa: PTH116
            if 0 <= age_s < SHARD_REWRITE_AGE_S:
                raise DriveRefusal(f"{path}: being written by another")
            os.replace(path, self.trash_path_of(name))  # noqa: PTH105
        except FileNotFoundError:
            return
        except OSError as error:
            raise self.root.explain(error, path) from error

    def create_instead(self, name: ShardName, buffer: memoryview) -> NewShard | None:
        """Begin a shard file that takes the place of a damaged one that a record names.

        The damaged one stays until the new one is complete: some of its blocks are good, and may
        be needed for just this. None when it is gone, so that there is nothing to replace.

        Raises:
            DriveRefusal: the file is whole, or another healer is about to replace it.
        """
        try:
            self.verify(name, buffer)
        except ShardMissing:
            return None
        except ShardCorrupt:
            return self._create_beside(name)
        raise DriveRefusal(f"{self.path_of(name)}: is named by a record, and whole")

    def _create_beside(self, name: ShardName) -> NewShard:
        beside = f"{self._base}/{repair_path(name.data_id, name.part, name.shard)}"
        try:
            try:
                return self._create(beside, self.path_of(name))
            except FileExistsError:
                age_s = self._clock.now_ns() / 1e9 - os.stat(beside).st_mtime  # noqa: PTH116
                if 0 <= age_s < SHARD_REWRITE_AGE_S:
                    raise DriveRefusal(f"{beside}: being written by another") from None
                os.unlink(beside)  # noqa: PTH108 -- what a crash left of an earlier try
                return self._create(beside, self.path_of(name))
        except OSError as error:
            raise self.root.explain(error, beside) from error

    # --- reading ---------------------------------------------------------------------

    def read(self, name: ShardName, offset: int, size: int) -> bytes:
        """Return `size` bytes from `offset`.

        Raises:
            ShardMissing, ShardCorrupt, DriveOffline, DriveFaulty.
        """
        self.root.check()
        try:
            file = self._open.acquire(name)
            try:
                return self._read(file.handle, offset, size, name)
            finally:
                self._open.release(file)
        except FileNotFoundError as error:
            raise ShardMissing(self.path_of(name)) from error
        except OSError as error:
            raise self.root.explain(error, self.path_of(name)) from error

    def _read(self, handle: int, offset: int, size: int, name: ShardName) -> bytes:
        data = os.pread(handle, size, offset)
        while len(data) < size:
            more = os.pread(handle, size - len(data), offset + len(data))
            if not more:
                raise ShardCorrupt(f"{self.path_of(name)}: ends before {offset + size}")
            data += more
        return data

    def verify(self, name: ShardName, buffer: memoryview) -> None:
        """Read a shard past the page cache and check all of it.

        Raises:
            ShardMissing, ShardCorrupt, DriveOffline, DriveFaulty.
        """
        self.root.check()
        path = self.path_of(name)
        checker = ShardChecker(name.data_id, name.part, name.shard)
        try:
            with self._uncached(path) as handle:
                offset = 0
                while count := os.preadv(handle, [buffer], offset):
                    checker.feed(buffer[:count])
                    offset += count
                    if count % ALIGN:
                        break
        except FileNotFoundError as error:
            raise ShardMissing(path) from error
        except OSError as error:
            raise self.explain_read(error, path) from error
        checker.finish()

    def explain_read(self, error: OSError, path: str) -> DriveError:
        """Say what an error while one file was checked means.

        A medium that cannot give one file has damaged that file; one that gives nothing is faulty.
        """
        if error.errno == errno.EIO:
            try:
                self.root.check()
                self.root.read_once()
            except DriveError as gone:
                return gone
            return ShardCorrupt(f"{path}: {error.strerror}")
        return self.root.explain(error, path)

    @contextlib.contextmanager
    def _uncached(self, path: str) -> Iterator[int]:
        handle, _ = open_uncached(path)
        try:
            yield handle
        finally:
            os.close(handle)

    # --- removing --------------------------------------------------------------------

    def is_there(self, name: ShardName) -> bool:
        """Whether a file is in its place; one in the trash is not."""
        try:
            return Path(self.path_of(name)).exists()
        except OSError:
            return False

    def retire(self, name: ShardName) -> None:
        """Move a shard that nothing names any more to the trash."""
        with contextlib.suppress(OSError):  # what is left behind is an orphan
            os.replace(self.path_of(name), self.trash_path_of(name))  # noqa: PTH105

    def unlink(self, name: ShardName) -> None:
        """Remove a shard that nothing ever named."""
        remove_quietly(self.path_of(name))

    def forget_open(self, *, idle: bool = False) -> None:
        """Close files that are open for reading; with `idle` those not read from lately."""
        if idle:
            self._open.close_idle()
        else:
            self._open.forget()

    def close(self) -> None:
        """Close files that are open for reading, and keep none open from here on."""
        self._open.close()

    # --- looking, for the reaper -------------------------------------------------------

    def names_in(self, directory: str) -> list[tuple[str, float, float]]:
        """Return (path below the drive, mtime, ctime) of the files in a directory of the drive.

        Raises:
            DriveError.
        """
        self.root.check()
        found: list[tuple[str, float, float]] = []
        try:
            with os.scandir(f"{self._base}/{directory}") as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    found.append((f"{directory}/{entry.name}", status.st_mtime, status.st_ctime))
        except OSError as error:
            raise self.root.explain(error, directory) from error
        return found

    def remove_trash(self, path: str) -> None:
        """Remove a file from the trash, by its path below the drive."""
        remove_quietly(f"{self._base}/{path}")

    def begun(self, name: ShardName) -> bytes:
        """Return the first bytes of a shard file, as many as a header has or as there are."""
        try:
            with open(self.path_of(name), "rb") as file:  # noqa: PTH123
                return file.read(HEADER_BYTES)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise self.root.explain(error, self.path_of(name)) from error


def open_uncached(path: str) -> tuple[int, bool]:
    """Open a file to be read from the medium; return its handle, and whether with O_DIRECT.

    Raises:
        OSError.
    """
    try:
        return os.open(path, _READ | os.O_DIRECT), True
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
    handle = os.open(path, _READ)
    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
    return handle, False


def probe_direct(root: Root) -> bool:
    """Write, sync and read back a file without a name; return whether O_DIRECT works here.

    A drive that is full or read-only is opened all the same, for what it can still do.

    Raises:
        DriveError: the drive cannot be used.
    """
    directory = str(root.path / TRASH_DIR)
    buffer = aligned_buffer()[:ALIGN]
    for flag in (os.O_DIRECT, 0):
        try:
            _probe(directory, flag, buffer)
        except OSError as error:
            if error.errno in _NOT_SUPPORTED:
                continue
            root.check()
            found = drive_error(error, directory)
            if not isinstance(found, DriveFull | DriveReadOnly):
                raise found from error
        return bool(flag)
    return False


def _probe(directory: str, flag: int, buffer: memoryview) -> None:
    handle = os.open(directory, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC | flag, 0o600)
    try:
        os.pwrite(handle, buffer, 0)
        os.fdatasync(handle)
        os.preadv(handle, [buffer], 0)
    finally:
        os.close(handle)

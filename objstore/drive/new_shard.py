"""Writing a shard file: aligned, past the page cache, from a buffer that is used again.

With O_DIRECT memory, offset and length of a write have to be multiples of a block. What a caller
appends is gathered in the I/O thread's buffer; what is left over waits for the next call, and
the last block is written whole and cut to length.
"""

import contextlib
import mmap
import os
import threading
from collections.abc import Iterator
from typing import Final

from objstore.drive.api import Buffer
from objstore.drive.posix import Root, remove_quietly, sync_directory
from objstore.errors import DriveError, DriveRefusal
from objstore.limits import DRIVE_IO_BUFFER_BYTES

ALIGN: Final = 4096

assert DRIVE_IO_BUFFER_BYTES % ALIGN == 0


def aligned_buffer() -> memoryview:
    """Return memory that O_DIRECT accepts, touched once so that its pages exist."""
    memory = mmap.mmap(-1, DRIVE_IO_BUFFER_BYTES)
    memory.write(bytes(DRIVE_IO_BUFFER_BYTES))
    return memoryview(memory)


class NewShard:
    """A shard file that is being written: one call at a time, on any I/O thread."""

    def __init__(
        self, root: Root, path: str, handle: int, *, direct: bool, becomes: str = ""
    ) -> None:
        """Write to the empty file at `path`, open as `handle` (with O_DIRECT if `direct`).

        With `becomes` it takes the place of a damaged file of that path, once it is durable.
        """
        self._root = root
        self._path = path
        self._becomes = becomes
        self._handle = handle
        self._direct = direct
        self._written = 0  # in the file; with O_DIRECT a multiple of ALIGN
        self._tail = b""  # what is left over, shorter than ALIGN
        self._busy = threading.Lock()
        self._doomed = False
        self._closed = False
        self._broken = False
        self._removed = False

    def write(self, pieces: tuple[Buffer, ...], buffer: memoryview) -> None:
        """Append. Raises DriveError, after which the file can only be aborted."""
        with self._using():
            if self._direct:
                self._append_direct(pieces, buffer)
            else:
                for piece in pieces:
                    self._write_all(memoryview(piece).cast("B"))

    def finish(self, buffer: memoryview) -> None:
        """Make the file and its name durable. Raises DriveError; it is not tried again."""
        with self._using():
            size = self._written + len(self._tail)
            if self._tail:
                buffer[: len(self._tail)] = self._tail
                buffer[len(self._tail) : ALIGN] = bytes(ALIGN - len(self._tail))
                self._write_all(buffer[:ALIGN])
                os.ftruncate(self._handle, size)
            self._root.check()
            os.fdatasync(self._handle)
            if self._becomes:
                os.replace(self._path, self._becomes)  # noqa: PTH105
                self._removed = True  # a record names it: an abort has nothing to remove
            sync_directory(os.path.dirname(self._becomes or self._path))  # noqa: PTH120
            self._close()

    def abort(self) -> None:
        """Remove the file, now or when the call that uses it has ended. Never raises."""
        self._doomed = True
        if self._busy.acquire(blocking=False):
            try:
                self._remove()
            finally:
                self._busy.release()

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            self._close()

    # --- inside ----------------------------------------------------------------------

    @contextlib.contextmanager
    def _using(self) -> Iterator[None]:
        try:
            with self._busy:
                yield from self._guarded()
        finally:
            # An abort that found the file in use left the removal to the one who used it.
            if self._doomed:
                self.abort()

    def _guarded(self) -> Iterator[None]:
        if self._closed or self._broken or self._doomed:
            raise DriveRefusal(f"{self._path}: written to after it failed or ended")
        try:
            yield
        except OSError as error:
            self._broken = True
            raise self._root.explain(error, self._path) from error
        except DriveError:
            self._broken = True
            raise

    def _append_direct(self, pieces: tuple[Buffer, ...], buffer: memoryview) -> None:
        fill = len(self._tail)
        buffer[:fill] = self._tail
        for piece in pieces:
            rest = memoryview(piece).cast("B")
            while len(rest):
                room = len(buffer) - fill
                some = rest[:room]
                buffer[fill : fill + len(some)] = some
                fill += len(some)
                rest = rest[room:]
                if fill == len(buffer):
                    self._write_all(buffer)
                    fill = 0
        whole = fill - fill % ALIGN
        self._write_all(buffer[:whole])
        self._tail = bytes(buffer[whole:fill])

    def _write_all(self, data: memoryview) -> None:
        done = 0
        while done < len(data):
            done += os.pwrite(self._handle, data[done:], self._written + done)
        self._written += done

    def _close(self) -> None:
        if not self._closed:
            self._closed = True
            os.close(self._handle)

    def _remove(self) -> None:
        if self._removed:
            return  # by now the name may be another's
        self._removed = True
        with contextlib.suppress(OSError):
            self._close()
        remove_quietly(self._path)

"""Read one shard file past the page cache, piece by piece, and check all of it.

What ShardFiles.verify does in one go, for whoever wants to pause in between.
"""

import os
from typing import Final

from objstore.drive.new_shard import ALIGN
from objstore.drive.shard_files import ShardFiles, open_uncached
from objstore.errors import ShardCorrupt, ShardMissing
from objstore.ondisk.paths import ShardName
from objstore.ondisk.shard_file import HEADER_BYTES, ShardChecker, decode_header

_CLOSED: Final = -1


class ShardScan:
    """A shard file that is being checked. Every method runs on an I/O thread, one at a time."""

    def __init__(self, name: ShardName) -> None:
        self._name = name
        self._checker = ShardChecker(name.data_id, name.part, name.shard)
        self._handle = _CLOSED
        self._direct = False
        self._offset = 0

    def step(self, files: ShardFiles, buffer: memoryview) -> int:
        """Check the next piece, at most as much as `buffer` holds; return its size, 0 at the end.

        Raises:
            ShardMissing, ShardCorrupt, DriveOffline, DriveFaulty. The file is closed then.
        """
        try:
            count = self._read(files, buffer)
            self._checker.feed(buffer[:count])
            if count == 0:
                self._checker.finish()
                self.close()
        except BaseException:
            self.close()
            raise
        return count

    def _read(self, files: ShardFiles, buffer: memoryview) -> int:
        files.root.check()
        path = files.path_of(self._name)
        try:
            if self._handle == _CLOSED:
                self._handle, self._direct = open_uncached(path)
            elif self._offset % ALIGN:
                return 0  # the piece before was the last one
            count = os.preadv(self._handle, [buffer], self._offset)
            if not self._direct:
                os.posix_fadvise(self._handle, self._offset, count, os.POSIX_FADV_DONTNEED)
        except FileNotFoundError as error:
            raise ShardMissing(path) from error
        except OSError as error:
            raise files.explain_read(error, path) from error
        self._offset += count
        return count

    def close(self) -> None:
        """Let go of the file."""
        if self._handle != _CLOSED:
            os.close(self._handle)
            self._handle = _CLOSED

    def __del__(self) -> None:
        self.close()  # whoever scanned it was cancelled


def is_misplaced(files: ShardFiles, name: ShardName) -> bool:
    """Whether the file under this name begins as another shard: it is whole, and not here.

    Raises:
        DriveError: the drive failed.
    """
    head = files.begun(name)
    if len(head) < HEADER_BYTES:
        return False
    try:
        header = decode_header(head)
    except ShardCorrupt:
        return False
    return (header.data_id, header.part, header.shard) != (name.data_id, name.part, name.shard)

"""Compare a journal's pages on the medium with those that the page cache answers with.

SQLite reads through the page cache, so that what it checks may be well while the medium is not.
Here every page is read past the cache and compared with the cached one. Where they differ although
nobody writes, the cached page is let go: from then on the medium's counts, and is checked.

SQLite's locks are POSIX locks: closing any descriptor of the journal, in the same process, lets go
of all of them. So the descriptors that are opened here stay open as long as the process has the
drive.
"""

import os
from pathlib import Path
from typing import Final

from objstore.drive.new_shard import ALIGN

_TRIES: Final = 3


class JournalPages:
    """The pages of one journal file."""

    def __init__(self, path: Path) -> None:
        """Open the journal at `path`. Raises OSError; EINVAL where there is no O_DIRECT."""
        self._cached = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._direct = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECT)
        status = os.fstat(self._cached)
        self.identity: Final = (status.st_dev, status.st_ino)

    def compare(self, offset: int, buffer: memoryview) -> tuple[int, bool]:
        """Compare as much as `buffer` holds; return how much was read, and whether it differs.

        Raises:
            OSError: the medium cannot be read.
        """
        count = 0
        for _ in range(_TRIES):  # a page may be written between the two reads
            count = os.preadv(self._direct, [buffer], offset)
            if os.pread(self._cached, count, offset) == buffer[:count]:
                return count, False
        os.posix_fadvise(self._cached, offset, -(-count // ALIGN) * ALIGN, os.POSIX_FADV_DONTNEED)
        return count, True

    def close(self) -> None:
        """Close the descriptors, once nothing in this process has the journal open any more."""
        os.close(self._cached)
        os.close(self._direct)

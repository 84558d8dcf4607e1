"""Shard files that stay open between reads."""

import contextlib
import os
import threading
from collections import OrderedDict
from typing import Final

from objstore.clock import Clock
from objstore.limits import SHARD_FILES_OPEN_MAX, TRASH_AGE_S
from objstore.ondisk.paths import ShardName, shard_path, trash_path

_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_TRUST_S: Final = 1.0  # an open file is taken for the one at its path for this long


class OpenFile:
    """A shard file that is open for reading, and how many read it now."""

    __slots__ = ("dropped", "handle", "identity", "seen_s", "used_s", "users")

    def __init__(self, handle: int, seen_s: float) -> None:
        status = os.fstat(handle)
        self.handle = handle
        self.identity = (status.st_dev, status.st_ino)
        self.seen_s = seen_s
        self.used_s = seen_s
        self.users = 1
        self.dropped = False


class OpenFiles:
    """Shard files kept open between reads, the least recently used closed first.

    A handle is closed only when nobody reads from it: its number would be given to another
    file. A file that a healer wrote anew under the same name is noticed within a second.
    """

    def __init__(self, base: str, clock: Clock) -> None:
        """Keep open files of the drive at `base`."""
        self._base = base
        self._clock = clock
        self._lock = threading.Lock()
        self._closed = False
        self._open: OrderedDict[ShardName, OpenFile] = OrderedDict()

    def acquire(self, name: ShardName) -> OpenFile:
        """Return the open file; `release` must follow. Raises OSError."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            found = self._open.get(name)
            if found is not None:
                found.users += 1
                found.used_s = now_s
                self._open.move_to_end(name)
        if found is not None:
            if now_s - found.seen_s < _TRUST_S or self._still_there(name, found):
                found.seen_s = now_s
                return found
            self.release(found)
            self._drop(name, found)
        return self._add(name, OpenFile(self._open_file(name), now_s))

    def _still_there(self, name: ShardName, found: OpenFile) -> bool:
        for path in self._paths(name):
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)  # noqa: PTH116
                return (status.st_dev, status.st_ino) == found.identity
        return False

    def _paths(self, name: ShardName) -> tuple[str, str]:
        """Return where a shard lies, and where it lies once it is retired."""
        parts = (name.data_id, name.part, name.shard)
        return f"{self._base}/{shard_path(*parts)}", f"{self._base}/{trash_path(*parts)}"

    def _open_file(self, name: ShardName) -> int:
        path, trash = self._paths(name)
        try:
            return os.open(path, _READ)
        except FileNotFoundError:
            return os.open(trash, _READ)

    def _add(self, name: ShardName, fresh: OpenFile) -> OpenFile:
        with self._lock:
            old = self._open.pop(name, None)
            gone = [old] if old is not None else []
            if self._closed:
                gone.append(fresh)
            else:
                self._open[name] = fresh
            while len(self._open) > SHARD_FILES_OPEN_MAX:
                gone.append(self._open.popitem(last=False)[1])
            for file in gone:
                self._retire(file)
        return fresh

    def release(self, file: OpenFile) -> None:
        """Give a file back."""
        with self._lock:
            file.users -= 1
            if file.dropped and file.users == 0:
                os.close(file.handle)

    def _drop(self, name: ShardName, file: OpenFile) -> None:
        with self._lock:
            if self._open.get(name) is file:
                del self._open[name]
                self._retire(file)

    def _retire(self, file: OpenFile) -> None:
        file.dropped = True
        if file.users == 0:
            os.close(file.handle)

    def close_idle(self) -> None:
        """Close what was not read from for a while: a removed file keeps its room until then."""
        oldest_s = self._clock.monotonic_s() - TRASH_AGE_S
        with self._lock:
            idle = [name for name, file in self._open.items() if file.used_s < oldest_s]
            for name in idle:
                self._retire(self._open.pop(name))

    def close(self) -> None:
        """Close what is not in use, and the rest when it is given back; keep nothing open."""
        with self._lock:
            self._closed = True
            self._drop_all()

    def forget(self) -> None:
        """Close what is not in use, and the rest when it is given back."""
        with self._lock:
            self._drop_all()

    def _drop_all(self) -> None:
        for file in self._open.values():
            self._retire(file)
        self._open.clear()

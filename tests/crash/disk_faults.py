"""Count, record and fail the calls by which a process uses its drives: Python's and SQLite's.

The library behind it (disk_faults.c) is made with the C compiler and loaded with LD_PRELOAD, so
whatever uses `Faults` runs in a process of its own: `preloaded` starts it. What a test injects is
then met by the code under test as it is, down to SQLite's.
"""

import ctypes
import errno
import hashlib
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest

_SOURCE: Final = Path(__file__).with_suffix(".c")
_LIBRARY: Final = "OBJSTORE_DISK_FAULTS"
_ROOT: Final = Path(__file__).parents[2]
_ENTRY: Final = struct.Struct("<BBHHHIxxxxQQ")


class Kind(IntEnum):
    """What a call does; the order is that of disk_faults.c."""

    OPEN_READ = 0
    OPEN_WRITE = 1
    CREATE = 2
    READ = 3
    WRITE = 4
    TRUNCATE = 5
    SYNC = 6
    SYNC_DIR = 7
    UNLINK = 8
    RENAME = 9
    MKDIR = 10
    STAT = 11
    LIST = 12
    SPACE = 13
    MARK = 14


class Action(IntEnum):
    """What the n-th call meets."""

    COUNT = 0
    FAIL = 1
    KILL = 2
    DELAY = 3


CHANGES: Final = frozenset(
    {
        *(Kind.CREATE, Kind.WRITE, Kind.TRUNCATE, Kind.SYNC, Kind.SYNC_DIR),
        *(Kind.UNLINK, Kind.RENAME, Kind.MKDIR),
    }
)
_OPENS: Final = frozenset({Kind.OPEN_READ, Kind.OPEN_WRITE, Kind.CREATE, Kind.LIST})
_GROWS: Final = frozenset(
    {*(Kind.CREATE, Kind.WRITE, Kind.SYNC, Kind.SYNC_DIR), Kind.RENAME, Kind.MKDIR}
)
# The calls that can fail with an error, so that what is injected is what a kernel does.
FAILS_WITH: Final[Mapping[int, frozenset[Kind]]] = {
    errno.EIO: frozenset(Kind) - {Kind.MARK},
    errno.ENOSPC: _GROWS,
    errno.EROFS: CHANGES | {Kind.OPEN_WRITE},
    errno.EMFILE: _OPENS,
}


@dataclass(frozen=True, slots=True)
class Event:
    """One call that changed a drive, or a mark. `path` is below the drive ("" is its root)."""

    kind: Kind
    drive: int
    path: str
    other: str
    failed: int  # the errno, 0 when it succeeded
    inode: int
    offset: int  # of a write; the new size of a truncation
    data: bytes


def _decode(log: bytes) -> Iterator[Event]:
    at = 0
    while at < len(log):
        kind, drive, path, other, failed, size, inode, offset = _ENTRY.unpack_from(log, at)
        at += _ENTRY.size
        names = log[at : at + path + other]
        at += path + other
        yield Event(
            Kind(kind),
            drive,
            os.fsdecode(names[:path]),
            os.fsdecode(names[path:]),
            failed,
            inode,
            offset,
            log[at : at + size],
        )
        at += size


class Faults:
    """The library, in a process that `preloaded` started."""

    def __init__(self, roots: Sequence[Path]) -> None:
        """Watch the drives at `roots`; `drives` below are indexes of them."""
        self._library = ctypes.CDLL(os.environ[_LIBRARY])
        self._library.df_log_bytes.restype = ctypes.POINTER(ctypes.c_uint8)
        self._library.df_count.restype = ctypes.c_long
        self._all = (1 << len(roots)) - 1
        for index, root in enumerate(roots):
            self._library.df_watch(index, os.fsencode(root))

    def plan(
        self,
        action: Action,
        kinds: frozenset[Kind] = CHANGES,
        *,
        drives: Sequence[int] | None = None,
        nth: int = 0,
        error: int = 0,
        forever: bool = False,
        each: bool = False,
        delay_s: float = 0.0,
        bytes_per_s: int = 0,
    ) -> None:
        """Let the `nth` call of these kinds (from 1) to these drives meet `action`.

        With `forever` all later ones as well; with `each` every drive counts for itself. The counts
        begin anew. What waits because of an earlier plan goes on.
        """
        mask = self._all if drives is None else sum(1 << drive for drive in drives)
        kinds_mask = sum(1 << kind for kind in kinds)
        self._library.df_plan(
            int(action),
            error,
            int(forever),
            ctypes.c_uint32(mask),
            ctypes.c_uint32(kinds_mask),
            ctypes.c_long(nth),
            ctypes.c_long(int(delay_s * 1e6)),
            ctypes.c_long(bytes_per_s),
            int(each),
        )

    def stop(self) -> None:
        """Let every call through."""
        self.plan(Action.COUNT, drives=())

    @property
    def count(self) -> int:
        """How many calls the plan has counted; with `each`, on the drive with the most."""
        return int(self._library.df_count())

    def log(self, *, on: bool) -> None:
        """Begin an empty log of what changes the drives, or stop it."""
        self._library.df_log(int(on))

    def mark(self, what: str) -> None:
        """Write a mark into the log."""
        self._library.df_mark(what.encode())

    def events(self) -> list[Event]:
        """Return the log."""
        used = ctypes.c_size_t()
        start = self._library.df_log_bytes(ctypes.byref(used))
        return list(_decode(ctypes.string_at(start, used.value) if used.value else b""))


def why_not() -> str:
    """Say why the library cannot be made here; "" when it can."""
    if not sys.platform.startswith("linux"):
        return "needs Linux: faults are injected with LD_PRELOAD"
    if shutil.which("cc") is None:
        return "needs a C compiler (apt-get install gcc libc6-dev) to inject faults below SQLite"
    return ""


def _library(directory: Path) -> Path:
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    library = directory / f"disk_faults-{digest}.so"
    if not library.exists():
        fresh = library.with_name(f"{library.name}.{os.getpid()}")
        command = [
            "cc",
            "-O2",
            "-shared",
            "-fPIC",
            "-o",
            str(fresh),
            str(_SOURCE),
            "-ldl",
            "-lpthread",
        ]
        subprocess.run(command, check=True)
        fresh.rename(library)
    return library


def environment(directory: Path) -> dict[str, str]:
    """Return the environment of a process that is to use `Faults`; the library is made there."""
    library = str(_library(directory))
    return {
        **os.environ,
        "LD_PRELOAD": library,
        _LIBRARY: library,
        "PYTHONPATH": str(_ROOT),
    }


def run_preloaded(directory: Path, module: str, *arguments: str, timeout_s: float) -> str:
    """Run a module that ends with a report, with the library; return what it printed.

    Skips the test where that cannot be.
    """
    reason = why_not()
    if reason:
        pytest.skip(reason)
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env=environment(directory),
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    ended = done.returncode in (0, 1) and done.stdout.rstrip().endswith("}")
    assert ended, f"{module} {arguments}:\n{done.stdout[-8000:]}{done.stderr[-4000:]}"
    return done.stdout


def main() -> None:
    """Run a module with the library: `python -m tests.crash.disk_faults MODULE ARGUMENT...`."""
    reason = why_not()
    if reason or len(sys.argv) < 2:
        raise SystemExit(reason or main.__doc__)
    with TemporaryDirectory() as directory:
        command = [sys.executable, "-m", *sys.argv[1:]]
        done = subprocess.run(command, env=environment(Path(directory)), check=False)
    raise SystemExit(done.returncode)


if __name__ == "__main__":
    main()

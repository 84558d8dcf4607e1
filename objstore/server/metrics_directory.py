"""Where the processes of a server keep their counters, for whichever of them is asked for all.

prometheus_client keeps them in files of a directory. A server that is killed leaves its own
behind, so the next one that starts removes what nobody holds a lock on. The kernel lets go of a
lock when its process ends, however that ends, and in whichever namespace it ran.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from objstore.clock import Clock

PREFIX: Final = "objstore-metrics-"
_YOUNG_S: Final = 60.0  # one that was just made may not be locked yet


@contextmanager
def metrics_directory(clock: Clock) -> Iterator[str]:
    """Make the directory of this server, and remove it in the end."""
    _remove_what_is_left(Path(tempfile.gettempdir()), now_s=clock.now_ns() / 1e9)
    with tempfile.TemporaryDirectory(prefix=PREFIX) as path:
        held = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield path
        finally:
            os.close(held)


def _remove_what_is_left(parent: Path, *, now_s: float) -> None:
    for path in parent.glob(f"{PREFIX}*"):
        with suppress(OSError):  # of another user, in use, or removed by another server just now
            _remove_if_left(path, now_s=now_s)


def _remove_if_left(path: Path, *, now_s: float) -> None:
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    if now_s - found.st_ctime < _YOUNG_S:
        return
    held = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(held)

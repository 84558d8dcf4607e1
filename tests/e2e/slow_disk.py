"""A disk that is slow or hangs, below everything: frozen, or throttled by the kernel."""

import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_FIFREEZE = 0xC0045877
_FITHAW = 0xC0045878
_BLKIO = Path("/sys/fs/cgroup/blkio")


@contextmanager
def frozen(mount_point: Path, *, at_most_s: float) -> Iterator[None]:
    """Freeze a file system: who writes to it hangs in the kernel, and cannot be killed.

    A watchdog thaws it after `at_most_s`, whatever becomes of the test.
    """
    handle = os.open(mount_point, os.O_RDONLY)

    def thaw() -> None:
        with suppress(OSError):
            fcntl.ioctl(handle, _FITHAW, 0)

    watchdog = threading.Timer(at_most_s, thaw)
    try:
        watchdog.start()
        fcntl.ioctl(handle, _FIFREEZE, 0)
        yield
    finally:
        watchdog.cancel()
        thaw()
        os.close(handle)


@contextmanager
def throttled(mount_point: Path, pids: Sequence[int], *, bytes_per_s: int) -> Iterator[None]:
    """Let these processes read and write a mounted device only at this rate."""
    if not (_BLKIO / "cgroup.procs").exists():
        pytest.skip("no cgroup v1 blkio controller: the kernel throttles no disk here")
    status = mount_point.stat()
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    group = _BLKIO / f"objstore-test-{os.getpid()}"
    group.mkdir()
    try:
        for what in ("read", "write"):
            (group / f"blkio.throttle.{what}_bps_device").write_text(f"{device} {bytes_per_s}")
        for pid in pids:
            (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        for left in (group / "cgroup.procs").read_text().split():
            with suppress(OSError):
                (_BLKIO / "cgroup.procs").write_text(left)
        group.rmdir()

"""Ways to lose a drive under a running cluster. Those that need a kernel's help need root."""

import contextlib
import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Stops a file system at once: what was synced stays, every later read or write is an I/O error.
_FS_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = struct.pack("I", 2)


def move_away(drive: Path) -> Path:
    """Take a drive out, whole; put it back with `move_back`."""
    away = drive.with_name(f"{drive.name}.away")
    drive.rename(away)
    return away


def move_back(drive: Path) -> None:
    """Bring a drive that was moved away back to its place."""
    if drive.exists():
        drive.rmdir()
    drive.with_name(f"{drive.name}.away").rename(drive)


def replace_by_empty(drive: Path) -> None:
    """Put an empty drive where another was."""
    old = drive.with_name(f"{drive.name}.old")
    if drive.exists():
        drive.rename(old)
    drive.mkdir()
    shutil.rmtree(old, ignore_errors=True)  # the server may be closing files there


class SmallFileSystem:
    """A drive on a file system of its own: an ext4 image on a loop device, or a tmpfs."""

    def __init__(self, mount_point: Path, *, size_mib: int, kind: str = "ext4") -> None:
        self.mount_point = mount_point
        self._image = mount_point.with_name(f"{mount_point.name}.img")
        mount_point.mkdir(parents=True, exist_ok=True)
        if kind == "tmpfs":
            run("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "objstore-test", mount_point)
            return
        with self._image.open("wb") as image:
            image.truncate(size_mib * 1024 * 1024)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", self._image)
        self.mount()

    def mount(self) -> None:
        """Mount the image (again)."""
        options = "loop,errors=remount-ro"
        run("mount", "-o", options, self._image, self.mount_point)

    def unmount(self) -> None:
        """Take the mount away at once; files that are open stay open."""
        run("umount", "-l", self.mount_point)

    def try_unmount(self) -> bool:
        """Unmount it if no process uses it; tell whether that went well."""
        done = subprocess.run(["umount", self.mount_point], capture_output=True, check=False)
        return done.returncode == 0

    def shut_down(self) -> None:
        """Make every later read and write an I/O error, as a dying disk does."""
        fd = os.open(self.mount_point, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, _FS_IOC_SHUTDOWN, _NO_LOG_FLUSH)
        finally:
            os.close(fd)

    def make_read_only(self) -> None:
        """Make the kernel find an error in the file system: it becomes read-only (EROFS)."""
        device = self._device()
        Path(f"/sys/fs/ext4/{device}/trigger_fs_error").write_text("1\n")

    def fill(self) -> Path:
        """Leave no room; remove the returned file to make room again."""
        filler = self.mount_point / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (1024 * 1024, 4096, 1):
                with contextlib.suppress(OSError):
                    while file.write(bytes(size)):
                        pass
        return filler

    def _device(self) -> str:
        found = subprocess.run(
            ["findmnt", "-n", "-o", "SOURCE", str(self.mount_point)],
            check=True,
            capture_output=True,
            text=True,
        )
        return Path(found.stdout.strip()).name


@contextlib.contextmanager
def small_file_systems() -> Iterator[Callable[..., SmallFileSystem]]:
    """Give a maker of small file systems, and unmount them all in the end."""
    made: list[SmallFileSystem] = []

    def make(mount_point: Path, *, size_mib: int, kind: str = "ext4") -> SmallFileSystem:
        made.append(SmallFileSystem(mount_point, size_mib=size_mib, kind=kind))
        return made[-1]

    try:
        yield make
    finally:
        for system in made:
            with contextlib.suppress(subprocess.CalledProcessError):
                while True:
                    system.unmount()


def loop_devices_work(directory: Path) -> bool:
    """Tell whether this machine lets us mount an image."""
    try:
        with small_file_systems() as make:
            make(directory / "probe", size_mib=8)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def run(*command: str | Path) -> None:
    """Run a program that must succeed."""
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise subprocess.CalledProcessError(done.returncode, command, done.stdout, done.stderr)


def within(timeout_s: float, condition: Callable[[], object], what: str) -> float:
    """Wait until a condition holds; return how long that took."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < timeout_s, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began

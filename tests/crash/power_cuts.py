"""Cut the power of real file systems under load, again and again; nothing acknowledged is lost.

    python -m tests.crash.power_cuts N [--file-system ext4|xfs] [--seed N]

Four drives are four images on loop devices. FS_IOC_SHUTDOWN drops what was not synced and makes all
further I/O fail until the next mount. One drive, one server (two drives) or all four lose power at
once, in turn, while clients put, overwrite and delete; then the file systems are mounted again,
their logs replayed, and every key is read, healed, and read without each drive. Needs root.
"""

import argparse
import asyncio
import ctypes
import errno
import fcntl
import json
import os
import random
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from objstore.errors import DriveError, QuorumError, RequestRefused
from objstore.names import ObjectKey, Scheme
from objstore.testing.fake_clock import FakeClock
from tests.crash.local_set import (
    BUCKET,
    DRIVES,
    Expected,
    LocalSet,
    check,
    format_set,
    local_set,
    make_bucket,
    read,
)
from tests.crash.operations import put
from tests.e2e.faults import within
from tests.unit.engine.bodies import pattern

_FS_IOC_SHUTDOWN: Final = 0x8004587D
_NO_LOG_FLUSH: Final = 2
_SCHEME: Final = Scheme(2, 2)  # of two servers with two drives, either may be away
_IMAGE_BYTES: Final = {"ext4": 48 << 20, "xfs": 320 << 20}
_OPTIONS: Final = {"ext4": None, "xfs": b"nouuid"}  # the old mount may still be alive somewhere
_MAKE: Final = {
    "ext4": ("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"),
    "xfs": ("mkfs.xfs", "-q", "-f", "-m", "reflink=0"),
}
VICTIMS: Final = {
    "drive": ((0,), (1,), (2,), (3,)),
    "server": ((0, 1), (2, 3)),
    "all": ((0, 1, 2, 3),),
}
_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_MS_NOATIME: Final = 1024
_WORKERS: Final = 4
_KEYS: Final = 2  # of each worker
_CLIENT_DEADLINE_S: Final = 30.0
_NOW_MS: Final = 1_800_000_000_000
_BOOT_MS: Final = 3_600_000
_BUSY_S: Final = 10.0


class NoDisksError(Exception):
    """This machine makes no such file systems."""


class Disks:
    """Four file systems on loop devices."""

    def __init__(self, directory: Path, kind: str) -> None:
        self.roots = [directory / f"disk{index}" for index in range(DRIVES)]
        self._kind = kind
        self._images = [directory / f"disk{index}.img" for index in range(DRIVES)]
        for root, image in zip(self.roots, self._images, strict=True):
            root.mkdir()
            with image.open("wb") as file:
                file.truncate(_IMAGE_BYTES[kind])
            _run(*_MAKE[kind], str(image))
        self._loops: list[str] = []
        for image in self._images:
            self._loops.append(_run("losetup", "--find", "--show", str(image)).strip())

    def mount(self, drives: Sequence[int] = range(DRIVES)) -> None:
        """Mount these drives: the kernel replays their logs."""
        for drive in drives:
            kind, root = self._kind.encode(), os.fsencode(self.roots[drive])
            loop, options = self._loops[drive].encode(), _OPTIONS[self._kind]
            _checked(_LIBC.mount(loop, root, kind, _MS_NOATIME, options), root)

    def power_on(self, drives: Sequence[int]) -> None:
        """Mount drives again whose power was cut; whatever were still open there would be a leak.

        Each gets another device: a neighbour's mount namespace may keep what was mounted alive, and
        mounting the same device again would give that, with its power cut.
        """
        for drive in drives:
            _unmount(os.fsencode(self.roots[drive]))
            _run("losetup", "--detach", self._loops[drive])
            made = _run("losetup", "--find", "--show", str(self._images[drive]))
            self._loops[drive] = made.strip()
        self.mount(drives)

    def cut_power(self, drives: Sequence[int]) -> None:
        """Cut the power of these drives, as nearly at once as there are system calls."""
        handles = [os.open(self.roots[drive], os.O_RDONLY) for drive in drives]
        for handle in handles:
            fcntl.ioctl(handle, _FS_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        for handle in handles:
            os.close(handle)

    def close(self) -> None:
        """Unmount everything and give the loop devices back."""
        for root in self.roots:
            subprocess.run(["umount", "-l", root], capture_output=True, check=False)
        for loop in self._loops:
            subprocess.run(["losetup", "-d", loop], capture_output=True, check=False)


def _unmount(root: bytes) -> None:
    """Unmount what nobody holds; a neighbour that copies its mount namespace does for a moment."""

    def unmounted() -> bool:
        result = _LIBC.umount2(root, 0)
        if result and ctypes.get_errno() == errno.EBUSY:
            return False
        _checked(result, root)
        return True

    within(_BUSY_S, unmounted, f"nothing holds {os.fsdecode(root)}")


def _checked(result: int, path: bytes) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), os.fsdecode(path))


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


@contextmanager
def _making() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise NoDisksError(str(error)) from error


@contextmanager
def disks(kind: str) -> Iterator[Disks]:
    """Give four mounted file systems. Raises NoDisksError where this machine makes none."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    with TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as directory:
        with _making():
            made = Disks(Path(directory), kind)
        try:
            with _making():
                made.mount()
            yield made
        finally:
            made.close()


@dataclass(slots=True)
class Cuts:
    """What was done and found."""

    cuts: dict[str, int] = field(default_factory=dict)
    acknowledged: int = 0
    unsaid: int = 0
    checked: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


class Round:
    """Clients, each with keys of its own, until the power goes or a while after."""

    def __init__(self, opened: LocalSet, values: dict[str, tuple[bytes | None, ...]]) -> None:
        self._opened = opened
        self._values = values  # of each key: what it may hold, in order of time

        self.cuts = 0
        self.stopping = False
        self.acknowledged = 0
        self.unsaid: set[str] = set()

    async def work(self, worker: int, chance: random.Random) -> None:
        """Put, overwrite and delete until told to stop."""
        while not self.stopping:
            key = f"{worker}/{chance.randrange(_KEYS)}"
            size = chance.choice((0, 5000, 50_000, 120_000))
            value = None if chance.random() < 0.2 else pattern(size, chance.randrange(1 << 30))
            held = self._values.get(key, (None,))
            self._values[key] = (*held, value)
            begun = self.cuts
            try:
                async with asyncio.timeout(_CLIENT_DEADLINE_S):
                    await self._change(key, value)
            except (QuorumError, DriveError, RequestRefused):
                await asyncio.sleep(0.005)
                continue
            if begun == self.cuts:
                self._values[key] = (value,)
                self.acknowledged += 1
            else:
                # A sync that runs while the file system is shut down may say that it succeeded (a
                # plain loop of appends shows it): what was acknowledged on the strength of that
                # has retired what was there before, so nothing can be said about the key.
                self.unsaid.add(key)

    async def _change(self, key: str, value: bytes | None) -> None:
        if value is not None:
            await put(self._opened, key, value)
            return
        await self._opened.store.delete_object(BUCKET, ObjectKey(key), permission=lambda _: None)


@dataclass(slots=True)
class Clients:
    """What the clients know of their keys, and how many writes were acknowledged."""

    values: dict[str, tuple[bytes | None, ...]] = field(default_factory=dict)
    acknowledged: int = 0
    unsaid: int = 0  # keys about which nothing could be said after a cut
    forgotten: set[str] = field(default_factory=set)
    cut_last: Sequence[int] = ()

    async def cut(
        self, machine: Disks, victims: Sequence[int], clock: FakeClock, chance: random.Random
    ) -> list[str]:
        """Look at what the last cut left, then work until `victims` lose power."""
        async with local_set(machine.roots, clock, scheme=_SCHEME) as opened:
            wrong = await self.look(opened, chance.sample(range(DRIVES), 1))
            if wrong:
                return wrong
            round_ = Round(opened, self.values)
            async with asyncio.TaskGroup() as group:
                for worker in range(_WORKERS):
                    group.create_task(round_.work(worker, random.Random(chance.random())))
                await asyncio.sleep(0.02 + 0.05 * chance.random())
                round_.cuts += 1  # what began before has an answer that says nothing from here on
                machine.cut_power(victims)
                await asyncio.sleep(0.02 * chance.random())
                round_.stopping = True
        self.cut_last = victims
        self.acknowledged += round_.acknowledged
        self.unsaid += len(round_.unsaid)
        for key in round_.unsaid:
            del self.values[key]
        self.forgotten |= round_.unsaid
        return []

    async def look(self, opened: LocalSet, without: Sequence[int]) -> list[str]:
        """Read everything; what a key holds now it has to hold from now on."""
        walked = self.cut_last or range(DRIVES)
        wrong = await check(opened, Expected(self.values), walked=walked, without=without)
        for key in (*self.values, *self.forgotten):
            self.values[key] = (await read(opened, key),)
        self.forgotten.clear()
        return wrong


def run_cuts(kind: str, count: int, seed: int) -> Cuts:
    """Cut the power `count` times, unless something is wrong before."""
    report = Cuts()
    chance = random.Random(f"{kind}/{seed}")
    clients = Clients()
    with disks(kind) as machine:
        format_set(machine.roots)
        asyncio.run(_begin(machine))
        started = time.monotonic()
        where = "at first"
        for number in range(count):
            name = tuple(VICTIMS)[number % len(VICTIMS)]
            victims = chance.choice(VICTIMS[name])
            clock = FakeClock(_NOW_MS + number * _BOOT_MS)
            found = asyncio.run(clients.cut(machine, victims, clock, chance))
            report.wrong += [f"{where}: {one}" for one in found]
            if found:
                break
            machine.power_on(victims)
            report.cuts[name] = report.cuts.get(name, 0) + 1
            report.checked += len(clients.values)
            where = f"after cut {number + 1} ({kind}, {name} {victims})"
        else:
            last = asyncio.run(_end(machine, clients, FakeClock(_NOW_MS + count * _BOOT_MS)))
            report.wrong += [f"{where}: {one}" for one in last]
        report.seconds = time.monotonic() - started
    report.acknowledged, report.unsaid = clients.acknowledged, clients.unsaid
    return report


async def _end(machine: Disks, clients: Clients, clock: FakeClock) -> list[str]:
    async with local_set(machine.roots, clock, scheme=_SCHEME) as opened:
        return await clients.look(opened, range(DRIVES))


async def _begin(machine: Disks) -> None:
    async with local_set(machine.roots, FakeClock(_NOW_MS - _BOOT_MS), scheme=_SCHEME) as opened:
        await make_bucket(opened)


def main() -> None:
    """See the module's description."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--file-system", choices=tuple(_MAKE), action="append")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    kinds = asked.file_system or list(_MAKE)
    failed = False
    for kind in kinds:
        report = run_cuts(kind, -(-asked.count // len(kinds)), asked.seed)
        failed |= bool(report.wrong)
        print(
            f"{kind}: {sum(report.cuts.values())} power cuts {json.dumps(report.cuts)} in "
            f"{report.seconds:.1f} s, {report.acknowledged} writes acknowledged, "
            f"{report.checked} keys checked, {report.unsaid} left out, "
            f"{len(report.wrong)} complaints"
        )
        print("\n".join(report.wrong), flush=True)
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()

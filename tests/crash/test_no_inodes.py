"""File systems without inodes left (F10): there is room, but not for another file."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from objstore.drive.ops import ReadKey
from objstore.errors import QuorumError, RequestRefused
from objstore.limits import DRIVE_PROBE_INTERVAL_S
from objstore.names import ObjectKey, Scheme
from objstore.testing.local_set import LocalSet, local_set
from objstore.testing.memory_set import BUCKET
from tests.unit.engine.bodies import delete, get, keys, pattern, put

pytestmark = [
    pytest.mark.xdist_group("disks"),
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount file systems"),
]
INODES = 4000
LARGE = pattern(200_000)  # in files, one a drive
WITHIN_S = 20 * DRIVE_PROBE_INTERVAL_S


@pytest.fixture
def file_system(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "tmpfs"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size=1g,nr_inodes={INODES}", "objstore-test", str(place)]
    done = subprocess.run(mount, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def use_up(place: Path, *, but: int = 0) -> list[Path]:
    """Make empty files until no more than `but` inodes are left."""
    made = []
    for number in range(max(0, os.statvfs(place).f_favail - but)):
        made.append(place / f"filler{number}")
        made[-1].touch()
    return made


async def within(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    try:
        async with asyncio.timeout(WITHIN_S):
            while not await condition():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(f"not within {WITHIN_S} s: {what}") from None


async def is_written(m: LocalSet, key: str, data: bytes) -> bool:
    try:
        await put(m, key, data)
    except QuorumError:
        return False
    return True


@pytest.mark.parametrize("left", [0, 7])
async def test_writes_are_refused_whole_reads_and_deletes_go_on(
    file_system: Path, left: int
) -> None:
    async with local_set(Scheme(3, 1), file_system) as m:
        for number in range(4):
            await put(m, f"before{number}", LARGE)
        await put(m, "small", b"s")
        fillers = use_up(file_system, but=left)
        for number in range(8):
            with pytest.raises(QuorumError):
                await put(m, f"refused{number}", LARGE)
        with pytest.raises(QuorumError):
            await put(m, "before0", pattern(200_000, 1))
        assert await get(m, "before0") == LARGE
        assert await get(m, "small") == b"s"
        await delete(m, "before1")
        await delete(m, "small")
        with pytest.raises(RequestRefused):
            await get(m, "before1")
        assert await keys(m) == ["before0", "before2", "before3"]
        for filler in fillers:
            filler.unlink()
        await within(lambda: is_written(m, "after", LARGE), "writes go on")
        assert await get(m, "after") == LARGE
        assert await keys(m) == ["after", "before0", "before2", "before3"]


async def test_one_drive_without_inodes_fails_no_request(file_system: Path) -> None:
    place = file_system.parent / "set"
    place.mkdir()
    async with local_set(Scheme(3, 1), place):
        pass
    shutil.copytree(place / "d2", file_system, dirs_exist_ok=True)
    shutil.rmtree(place / "d2")
    (place / "d2").symlink_to(file_system)
    async with local_set(Scheme(3, 1), place) as m:
        await put(m, "before", LARGE)
        fillers = use_up(file_system)
        for number in range(6):
            await put(m, f"k{number}", LARGE)
            assert await get(m, f"k{number}") == LARGE
        await delete(m, "before")
        assert not await has(m, 2, "k5")
        for filler in fillers:
            filler.unlink()
        await within(lambda: takes(m, 2), "the drive takes shards again")
        assert await keys(m) == ["after", *(f"k{number}" for number in range(6))]


async def takes(m: LocalSet, drive: int) -> bool:
    await put(m, "after", LARGE)
    return await has(m, drive, "after")


async def has(m: LocalSet, drive: int, key: str) -> bool:
    return bool((await m.drives[drive].call(ReadKey(BUCKET, ObjectKey(key)))).records)

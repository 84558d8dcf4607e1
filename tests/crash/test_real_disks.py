"""Real file systems that lose power, run full, turn read-only, or are not mounted. Needs root."""

import asyncio
import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from objstore.drive.format import Expected, Found, Verdict, format_drive, inspect, judge
from objstore.drive.local import LocalDrive
from objstore.drive.ops import ListKeys, ReadKey, ReadStatus, Settle, VerifyShard
from objstore.errors import (
    DriveError,
    DriveFaulty,
    DriveFull,
    DriveOffline,
    DriveReadOnly,
)
from objstore.names import DataId, Kind, ObjectKey
from objstore.ondisk.record import HeldShard, decode_record
from objstore.testing.drive_values import (
    BUCKET,
    KEY,
    STRIPE_BYTES,
    commit,
    data_id,
    order,
    part,
    put_bucket,
    shard_file,
    version,
)
from objstore.testing.fake_clock import FakeClock
from objstore.testing.local_drives import accept, clock_for, identity, local_drive

pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount file systems"),
]
_FS_IOC_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2


def _run(*command: object) -> None:
    done = subprocess.run([str(word) for word in command], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"{command[0]} does not work here: {done.stderr.decode().strip()}")


@contextmanager
def _mounted(tmp_path: Path, *how: object) -> Iterator[Path]:
    place = tmp_path / "mnt"
    place.mkdir(exist_ok=True)
    _run("mount", *how, place)
    try:
        yield place
    finally:
        done = subprocess.run(["umount", str(place)], capture_output=True, check=False)
        if done.returncode:  # something of it is still open; what follows would meet it again
            subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)
            assert b"not mounted" in done.stderr, done.stderr


def _image(tmp_path: Path) -> Path:
    image = tmp_path / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    _run("mkfs.ext4", "-q", "-F", image)
    return image


@contextmanager
def _mounted_anew(tmp_path: Path, image: Path) -> Iterator[Path]:
    """Mount a disk that lost power, by a device of its own.

    By the same device the dead file system would come back for as long as anybody has a copy of
    its mount, as a network namespace that another test makes has for a moment.
    """
    attached = subprocess.run(
        ["losetup", "--find", "--show", str(image)], capture_output=True, text=True, check=True
    )
    device = attached.stdout.strip()
    try:
        with _mounted(tmp_path, device) as place:
            yield place
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def _shutdown(place: Path) -> None:
    handle = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, _FS_IOC_SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(handle)


async def _write_until_dead(drive: LocalDrive, worker: int, newest: dict[str, int]) -> None:
    with suppress(DriveError):
        for number in range(1, 10_000):
            key = f"{worker}/{number % 5}"
            data = data_id(worker * 1_000_000 + number)
            made = version(number, key=key, parts=[part(1, data, STRIPE_BYTES)])
            held = HeldShard(0, inline=bytes(1500))
            if worker % 2:
                held = HeldShard(0)
                content = shard_file(made, 1, data, 0, [bytes([number % 256]) * 4096])
                await _write_shard(drive, (data, 1, 0), content)
            await drive.call(commit(made, held))
            newest[key] = number
            await drive.call(Settle(BUCKET, ObjectKey(key), order(number)))


async def _write_shard(drive: LocalDrive, name: tuple[DataId, int, int], content: bytes) -> None:
    sink = await drive.create_shard(*name)
    try:
        await sink.write(content)
        await sink.finish()
    except DriveError:
        await sink.abort()
        raise


@pytest.mark.parametrize("round_", range(3))
async def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path, round_: int) -> None:
    image = _image(tmp_path)
    newest: dict[str, int] = {}
    with _mounted(tmp_path, "-o", "loop", image) as place:
        format_drive(place, identity(), trusted=True)
        drive = await LocalDrive.open(place, check=accept, clock=clock_for(place))
        await drive.call(put_bucket())
        async with asyncio.TaskGroup() as group:
            for worker in range(4):
                group.create_task(_write_until_dead(drive, worker, newest))
            await asyncio.sleep(0.3 + round_ / 10)
            # Only what was told before the ioctl counts: an fdatasync that runs while it does
            # may return success without being it, which a plain loop of appends shows as well.
            promised = dict(newest)
            _shutdown(place)
        assert isinstance(drive.reason, DriveFaulty | DriveOffline)
        await drive.close()
    assert promised
    with _mounted_anew(tmp_path, image) as place:
        async with local_drive(place) as drive:
            page = await drive.call(ListKeys(BUCKET))
            assert (await drive.call(ReadStatus())).objects == len(page.entries)
            for key, number in promised.items():
                state = await drive.call(ReadKey(BUCKET, ObjectKey(key)))
                assert state.unknown == 0
                record = decode_record(state.records[0])
                assert int.from_bytes(record.version.stamp) >= number
                if record.held[0].inline is None:
                    await drive.call(VerifyShard(record.version.parts[0].data_id, 1, 0))


async def test_a_full_drive_refuses_and_still_deletes(tmp_path: Path) -> None:
    with _mounted(tmp_path, "-t", "tmpfs", "-o", "size=16m", "tmpfs") as place:
        async with local_drive(place) as drive:
            await drive.call(put_bucket())
            with pytest.raises(DriveFull):
                await _fill(drive)
            status = await drive.call(ReadStatus())
            assert status.free_bytes == 0
            with pytest.raises(DriveFull):
                await drive.call(commit(version(7, key="new")))
            state = await drive.call(ReadKey(BUCKET, KEY))
            assert len(state.records) == 1
            for number in range(8, 40):
                await drive.call(commit(version(number, kind=Kind.TOMBSTONE)))
                await drive.call(Settle(BUCKET, KEY, order(number)))
            for file in (place / "shards").glob("*/*"):
                file.unlink()
            await drive.call(commit(version(7, key="new")))


async def _fill(drive: LocalDrive) -> None:
    await drive.call(commit(version(5)))
    for number in range(1000):
        sink = await drive.create_shard(data_id(number), 1, 0)
        await sink.write(bytes(1 << 20))
        await sink.finish()


async def test_a_drive_that_runs_full_under_its_reserve_loses_nothing(tmp_path: Path) -> None:
    with _mounted(tmp_path, "-t", "tmpfs", "-o", "size=16m", "tmpfs") as place:
        async with local_drive(place) as drive:
            await drive.call(put_bucket())
            await drive.call(commit(version(5)))
            hog = place / "shards" / "hog"
            with suppress(OSError), hog.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            for number in range(6, 2000):
                try:
                    await drive.call(commit(version(number, kind=Kind.TOMBSTONE), merge=True))
                except DriveFull:
                    break
            hog.unlink()
            await drive.call(commit(version(3000)))
            newest = decode_record((await drive.call(ReadKey(BUCKET, KEY))).records[0])
            assert newest.version.order == order(3000)


async def test_a_drive_that_turns_read_only_says_so(tmp_path: Path) -> None:
    image = _image(tmp_path)
    with _mounted(tmp_path, "-o", "loop", image) as place:
        format_drive(place, identity(), trusted=True)
        async with local_drive(place) as drive:
            await drive.call(put_bucket())
            await drive.call(commit(version(5)))
            # What errors=remount-ro does to a file system in use.
            trigger = Path("/sys/fs/ext4")
            device = os.path.realpath(_device_of(place))
            fault = trigger / Path(device).name / "trigger_fs_error"
            if not fault.exists():
                pytest.skip("no way to turn a file system in use read-only")
            _run("mount", "-o", "remount,errors=remount-ro", place)
            fault.write_text("test")
            with pytest.raises((DriveReadOnly, DriveFaulty)):
                await drive.call(commit(version(6)))
            with pytest.raises((DriveReadOnly, DriveFaulty)):
                await drive.create_shard(data_id(1), 1, 0)


def _device_of(place: Path) -> str:
    for line in Path("/proc/mounts").read_text().splitlines():
        device, where = line.split()[:2]
        if where == str(place):
            return device
    raise AssertionError(place)


async def test_nothing_is_written_below_a_drive_that_is_not_mounted(tmp_path: Path) -> None:
    image = _image(tmp_path)
    with _mounted(tmp_path, "-o", "loop", image) as place:
        format_drive(place, identity(), trusted=True)
        clock = FakeClock()
        drive = await LocalDrive.open(place, check=accept, clock=clock)
        await drive.call(put_bucket())
        assert drive.mount_point
        assert inspect(place).mount_point
        _run("umount", "-l", place)
        for op in (commit(version(5)), put_bucket(9)):
            with pytest.raises(DriveOffline):
                await drive.call(op)  # type: ignore[misc]
        with pytest.raises(DriveOffline):
            await drive.create_shard(data_id(1), 1, 0)
        assert list(place.iterdir()) == []
        seen = inspect(place)
        assert seen.found is Found.EMPTY
        expected = Expected(0, 0, (0,), mount_point=drive.mount_point)
        assert judge(seen, expected) is Verdict.UNMOUNTED
        _run("mount", "-o", "loop", image, place)
        await drive.call(ReadStatus())
        await drive.call(commit(version(5)))
        await drive.close()
    shutil.rmtree(place, ignore_errors=True)

"""A process that is killed at any moment leaves every acknowledged call on the drive.

A child commits to a drive with all it has and tells, through a pipe, what was acknowledged; it
is killed with SIGKILL. What it said is there, what it did not say is there whole or not at all.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from objstore.drive.format import format_drive
from objstore.drive.ops import CheckTree, ListKeys, ReadKey, ReadStatus, VerifyShard
from objstore.names import Kind, ObjectKey
from objstore.ondisk.record import decode_record
from objstore.testing.drive_values import BUCKET
from objstore.testing.local_drives import identity, local_drive

_CHILD = """
import asyncio, os, sys
from pathlib import Path
from objstore.clock import SystemClock
from objstore.drive.ops import Settle
from objstore.ondisk.record import HeldShard
from objstore.testing.drive_values import (
    BUCKET, STRIPE_BYTES, commit, data_id, order, part, put_bucket, shard_file, version,
)
from objstore.testing.local_drives import local_drive

async def write(drive, worker):
    for number in range(1, 100_000):
        key = f"{worker}/{number % 7}"
        data = data_id(worker * 1_000_000 + number)
        made = version(number, key=key, size=worker, parts=[part(1, data, STRIPE_BYTES)])
        if worker % 2:
            op = commit(made, HeldShard(0))
            sink = await drive.create_shard(data, 1, 0)
            await sink.write(shard_file(made, 1, data, 0, [bytes([number % 256]) * 4096]))
            await sink.finish()
        else:
            op = commit(made, HeldShard(0, inline=bytes(1500)))
        await drive.call(op)
        os.write(1, f"{key} {number}\\n".encode())
        await drive.call(Settle(BUCKET, key, order(number)))

async def main():
    async with local_drive(
        Path(sys.argv[1]), clock=SystemClock(), tree_leaf_level=1
    ) as drive:
        await drive.call(put_bucket())
        os.write(1, b"ready\\n")
        async with asyncio.TaskGroup() as group:
            for worker in range(8):
                group.create_task(write(drive, worker))

asyncio.run(main())
"""


def _acknowledged(path: Path, seconds: float) -> dict[str, int]:
    """Run the child, kill it after so long, and return the newest number it said of each key."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(path)], stdout=subprocess.PIPE, env=environment
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"ready\n"
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        said = child.stdout.read()
    newest: dict[str, int] = {}
    for line in said.decode().splitlines(keepends=True):
        if line.endswith("\n"):
            key, number = line.split()
            newest[key] = int(number)
    return newest


@pytest.mark.parametrize("round_", range(4))
async def test_a_killed_writer_loses_nothing(tmp_path: Path, round_: int) -> None:
    path = tmp_path / "drive"
    path.mkdir()
    format_drive(path, identity(), trusted=True)
    newest = _acknowledged(path, 0.2 + random.Random(round_).random() / 2)
    assert newest
    async with local_drive(path, tree_leaf_level=1) as drive:
        checked = await drive.call(CheckTree())
        assert checked.entries > 1
        assert checked.mended == 0  # the tree is that of the rows
        page = await drive.call(ListKeys(BUCKET))
        listed = {entry.key: int.from_bytes(entry.order[:16]) for entry in page.entries}
        objects = (await drive.call(ReadStatus())).objects
        assert objects == len(listed)
        for key, number in newest.items():
            state = await drive.call(ReadKey(BUCKET, ObjectKey(key)))
            assert state.unknown == 0
            record = decode_record(state.records[0])
            assert int.from_bytes(record.version.stamp) >= number
            assert listed[ObjectKey(key)] == int.from_bytes(record.version.stamp)
            assert record.version.kind is Kind.OBJECT
            for held in record.held:
                if held.inline is None:
                    data = record.version.parts[0].data_id
                    await drive.call(VerifyShard(data, 1, held.shard))

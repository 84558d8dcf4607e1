"""Flip bytes in shards and journals under the running server: no wrong byte is ever answered."""

import asyncio
from pathlib import Path
from typing import BinaryIO

from rich.console import Console

from objstore.cli.demos.stage import Stage, set_stage
from objstore.cli.local_layout import LocalLayout, uniform_layout
from objstore.gateway.ports import ADMIN_PREFIX
from objstore.ondisk.paths import JOURNAL_DB

_WHOLE_S = 120.0
_SHARD_HEADER_BYTES = 4096
_RECORD_MAGIC = b"OSV1"
_RESTARTS_MAX = 5


async def bitrot(console: Console) -> None:
    """Run the demonstration; raises PromiseBroken."""
    async with set_stage(console, _two_by_two) as stage:
        stage.step("Two servers with two drives each, EC:1")
        await stage.put_samples("rot")
        for number in range(100):
            await stage.put(f"small/{number:03d}", 2_000)
        await stage.wait_whole("every drive has all that is its")
        await _restart_until_settled(stage)
        for server in stage.cluster.servers:
            for drive in (1, 2):
                await _rot_one(stage, server, drive)


async def _restart_until_settled(stage: Stage) -> None:
    """Restart until the journals' records lie in their database files.

    The last process that closes a journal moves them there. Two that close it at the same moment
    may each take the other for the last one; then they are still in the log, where they are as
    durable, but a byte that is flipped there shows something else.
    """
    stage.say("restart, so that the journals' records lie in their database files")
    for _ in range(_RESTARTS_MAX):
        stage.cluster.stop()
        settled = all(
            _records_in(stage.cluster.drive_path(server, drive))
            for server in stage.cluster.servers
            for drive in (1, 2)
        )
        stage.cluster.start()
        await stage.wait_ready()
        if settled:
            break


def _two_by_two(directory: Path, port: int) -> LocalLayout:
    return uniform_layout(directory, servers=2, drives=2, parity=1, base_port=port)


async def _rot_one(stage: Stage, server: int, drive: int) -> None:
    path = stage.cluster.drive_path(server, drive)
    stage.step(f"Rot on drive {drive} of server {server}")
    shards = flip_in_shards(path)
    records = flip_in_journal(path)
    stage.promise(
        "bytes were flipped",
        kept=shards > 0 and records > 0,
        found=f"one in each of {shards} shard files and {records} records",
    )
    await stage.verify_all("every object is answered byte for byte")
    await stage.clients[0].call("POST", f"{ADMIN_PREFIX}heal")
    await _wait_healed(stage)
    await stage.wait_whole("it is healed", within_s=_WHOLE_S)
    await _all_shards_ok(stage)


async def _wait_healed(stage: Stage) -> None:
    deadline_s = stage.clock.monotonic_s() + _WHOLE_S
    while stage.clock.monotonic_s() < deadline_s:
        info = await stage.info()
        if not info.healing:
            return
        await asyncio.sleep(0.2)
    stage.promise("healing ends", kept=False)


async def _all_shards_ok(stage: Stage) -> None:
    """Promise that every shard of every object verifies where it lies."""
    for key in sorted(stage.expected):
        location = await stage.locate(key)
        bad = [f"{shard.letter} {shard.state}" for shard in location.shards if shard.state != "ok"]
        if bad:
            stage.promise("every shard verifies again", kept=False, found=f"{key}: {bad}")
    stage.promise("every shard verifies again", kept=True, found=f"{len(stage.expected)} objects")


def flip_in_shards(drive: Path) -> int:
    """Flip one byte of every shard file, each somewhere else behind its header."""
    count = 0
    for number, file in enumerate(sorted((drive / "shards").rglob("*.*"))):
        flip_in_shard(file, number * 7919)
        count += 1
    return count


def flip_in_shard(file: Path, seed: int) -> None:
    """Flip one byte of a shard file, behind its header, where `seed` says.

    Raises:
        FileNotFoundError: it is not there any more.
    """
    size = file.stat().st_size
    place = _SHARD_HEADER_BYTES + 100 + seed % max(1, size - 8192)
    if place < size:
        with file.open("r+b") as handle:
            _flip(handle, place)


def flip_in_journal(drive: Path) -> int:
    """Flip one byte behind the start of every fifth record in the journal's database file."""
    chosen = _records_in(drive)[::5]
    with _journal_of(drive).open("r+b") as handle:
        for place in chosen:
            _flip(handle, place + 40)
    return len(chosen)


def _records_in(drive: Path) -> list[int]:
    """Return where records begin in the journal's database file."""
    content = _journal_of(drive).read_bytes()
    found = []
    place = content.find(_RECORD_MAGIC)
    while place >= 0:
        found.append(place)
        place = content.find(_RECORD_MAGIC, place + 1)
    return found


def _journal_of(drive: Path) -> Path:
    return drive / JOURNAL_DB


def _flip(handle: BinaryIO, place: int) -> None:
    handle.seek(place)
    byte = handle.read(1)
    handle.seek(place)
    handle.write(bytes([byte[0] ^ 0x40]))

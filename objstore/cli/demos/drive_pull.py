"""Pull each drive in turn while clients write and read; put an empty one in; lose nothing."""

import asyncio
from pathlib import Path

from rich.console import Console

from objstore.cli.demos.load import running_load
from objstore.cli.demos.stage import Stage, set_stage
from objstore.cli.local_layout import LocalLayout, uniform_layout
from objstore.gateway.ports import DriveInfo

_NOTICED_S = 5.0
_REBUILD_BEGINS_S = 10.0
_REBUILT_S = 120.0


async def drive_pull(console: Console) -> None:
    """Run the demonstration; raises PromiseBroken."""
    async with set_stage(console, _two_by_two) as stage:
        stage.step("Two servers with two drives each, EC:1: three data shards and one parity")
        await stage.put_samples("before")
        await stage.wait_whole("every drive has all that is its")
        await stage.verify_all("what was stored before comes back from both servers")
        async with running_load(stage) as load:
            for server in stage.cluster.servers:
                for drive in (1, 2):
                    await _pull(stage, server, drive)
        stage.step("Afterwards")
        stage.promise(
            "no client saw an error",
            kept=not load.errors,
            found=f"{load.writes} writes, {load.reads} reads, {len(load.errors)} errors"
            + (f": {load.errors[0]}" if load.errors else ""),
        )
        await stage.verify_all("every object that was ever acknowledged comes back")


def _two_by_two(directory: Path, port: int) -> LocalLayout:
    return uniform_layout(directory, servers=2, drives=2, parity=1, base_port=port)


async def _pull(stage: Stage, server: int, drive: int) -> None:
    path = stage.cluster.drive_path(server, drive)
    pulled = path.with_name(f"{path.name}.pulled")
    stage.step(f"Pull drive {drive} of server {server}, under load")
    path.rename(pulled)
    stage.say(f"mv {path.name} {pulled.name}")
    await stage.wait_drive("it is noticed", path, _is_away, within_s=_NOTICED_S)
    await stage.put_samples(f"while drive {drive} of server {server} is away")
    await stage.verify_all("everything can be read without it")
    path.mkdir()
    stage.say(f"mkdir {path.name}   (an empty replacement)")
    await stage.wait_drive("its rebuild begins", path, _has_begun, within_s=_REBUILD_BEGINS_S)
    await stage.wait_whole("it is rebuilt, and nothing is left to heal", within_s=_REBUILT_S)
    seen = await stage.drive(path)
    if seen is not None and seen.progress is not None:
        progress = seen.progress
        stage.say(
            f"{progress.objects_done} objects compared, {progress.bytes_done:,} bytes rebuilt"
        )
    await asyncio.sleep(0.5)


def _is_away(drive: DriveInfo) -> bool:
    return drive.state != "online"


def _has_begun(drive: DriveInfo) -> bool:
    return drive.state in {"rebuilding", "online"}

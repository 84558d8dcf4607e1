"""Run a layout from a well-known written guide as it stands, and show where its claim fails.

Four data shards and one XOR parity on four drives: [A, C | B | D | P]. The guide says that any
drive may be lost, drive 1 too, because B xor D xor P gives A and C back. It gives A xor C, which
is one equation for two unknowns.
"""

import sys
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

import objstore
from objstore.cli.demos.stage import Stage, set_stage
from objstore.cli.local_layout import LocalLayout, layout_of_file

_REFUSED_S = 2.0


async def documented_layout(console: Console) -> None:
    """Run the demonstration; raises PromiseBroken."""
    async with set_stage(console, _layout_of("guide-4-plus-1-on-four-drives.toml")) as stage:
        stage.step("The layout as written: 4 + 1 as \\[A, C | B | D | P], overhead 1.25")
        await stage.put_samples("guide")
        await stage.wait_whole("every drive has all that is its")
        await _show(stage)
        paths = _drives(stage)
        for number, path in enumerate(paths[1:], start=2):
            await _survives(stage, number, path)
        await _drive_one(stage, paths[0])
    async with set_stage(console, _layout_of("repaired-4-plus-2.toml")) as stage:
        stage.step("The repaired layout: 4 + 2 as \\[A, C | B, P | D | Q], overhead 1.5")
        await stage.put_samples("repaired")
        await stage.wait_whole("every drive has all that is its")
        await _show(stage)
        for number, path in enumerate(_drives(stage), start=1):
            await _survives(stage, number, path)


def _layout_of(name: str) -> Callable[[Path, int], LocalLayout]:
    def layout(directory: Path, port: int) -> LocalLayout:
        return layout_of_file(directory, shipped_config(name), base_port=port)

    return layout


def shipped_config(name: str) -> Path:
    """Return a file of config/, from the source tree or from where an installation put it."""
    source = Path(objstore.__file__).parents[1] / "config" / name
    return source if source.exists() else Path(sys.prefix) / "share/objstore/config" / name


def _drives(stage: Stage) -> list[Path]:
    """The drives as the guide numbers them: those of server 1 first."""
    return [path for held in stage.cluster.local.drives for path in held]


async def _show(stage: Stage) -> None:
    key = max(stage.expected)
    location = await stage.locate(key)
    numbers = {str(path): number for number, path in enumerate(_drives(stage), start=1)}
    for shard in location.shards:
        stage.say(f"shard {shard.letter} lies on drive {numbers[shard.drive]}")


async def _survives(stage: Stage, number: int, path: Path) -> None:
    stage.step(f"Pull drive {number}")
    pulled = path.with_name(f"{path.name}.pulled")
    path.rename(pulled)
    await stage.wait_drive("it is noticed", path, lambda d: d.state != "online", within_s=5.0)
    await stage.verify_all(f"everything can be read without drive {number}")
    await stage.put(f"while drive {number} is away", 200_000)
    await _return(stage, pulled, path)


async def _drive_one(stage: Stage, path: Path) -> None:
    stage.step("Pull drive 1, which holds A and C")
    pulled = path.with_name(f"{path.name}.pulled")
    path.rename(pulled)
    await stage.wait_drive("it is noticed", path, lambda d: d.state != "online", within_s=5.0)
    stage.say("B xor D xor P = A xor C: one equation, two unknowns. Neither A nor C follows.")
    await stage.expect_refusal(
        "what was stored before can not be read, and the refusal says so at once",
        "SlowDownRead",
        write=False,
        within_s=_REFUSED_S,
    )
    await _return(stage, pulled, path)


async def _return(stage: Stage, pulled: Path, path: Path) -> None:
    pulled.rename(path)
    await stage.wait_whole("put back, it is brought up to date")
    await stage.verify_all("everything is there")

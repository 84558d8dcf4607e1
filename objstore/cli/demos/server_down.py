"""Lose a whole server: what EC:1 refuses, fast and typed, and what EC:2 goes on serving."""

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from objstore.cli.demos.stage import Stage, set_stage
from objstore.cli.local_layout import LocalLayout, uniform_layout

_REFUSED_S = 2.0


async def server_down(console: Console) -> None:
    """Run the demonstration; raises PromiseBroken."""
    async with set_stage(console, _layout_of(1)) as stage:
        stage.step("EC:1 on two servers: each holds 2 of 4 shards, the code repairs 1")
        await stage.put_samples("ec1")
        await stage.wait_whole("every drive has all that is its")
        _kill(stage)
        await stage.expect_refusal(
            "a GET is refused with SlowDownRead, within 2 s",
            "SlowDownRead",
            write=False,
            within_s=_REFUSED_S,
        )
        await _refuses_writes(stage)
        await _restart(stage)
    async with set_stage(console, _layout_of(2)) as stage:
        stage.step("EC:2 on two servers: each holds 2 of 4 shards, the code repairs 2")
        await stage.put_samples("ec2")
        await stage.wait_whole("every drive has all that is its")
        _kill(stage)
        await stage.verify_all("every object can be read from the one that is left", servers=(1,))
        await _refuses_writes(stage)
        await _restart(stage)


def _layout_of(parity: int) -> Callable[[Path, int], LocalLayout]:
    def layout(directory: Path, port: int) -> LocalLayout:
        return uniform_layout(directory, servers=2, drives=2, parity=parity, base_port=port)

    return layout


def _kill(stage: Stage) -> None:
    stage.step("Kill server 2: SIGKILL to all of its processes, as if its power failed")
    stage.cluster.kill_server(2)


async def _refuses_writes(stage: Stage) -> None:
    await stage.expect_refusal(
        "a PUT is refused with SlowDownWrite, within 2 s (a write needs 3 of 4 slots)",
        "SlowDownWrite",
        write=True,
        within_s=_REFUSED_S,
    )


async def _restart(stage: Stage) -> None:
    stage.step("Start server 2 again")
    stage.cluster.start_server(2)
    await stage.wait_ready()
    await stage.verify_all("everything is back, from both servers")
    await stage.put("after the outage", 1_000_000)
    await stage.verify_all("and writes go on")
    await stage.wait_whole("nothing is left to heal")

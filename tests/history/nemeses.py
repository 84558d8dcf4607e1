"""What goes wrong while a history is recorded, drawn from a seed; and the cluster it goes wrong in.

One nemesis at a time, but the next does not wait until the last one is healed. Only a drive is
replaced by an empty one when nothing is left to heal: more would be more than the layout survives.
"""

import asyncio
import os
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from objstore.cli.chaos.faults import Injector
from objstore.cli.chaos.plan import Fault, How, Kind
from objstore.cli.demos.client import S3Refusal
from objstore.cli.demos.stage import Stage
from objstore.cli.local_cluster import LocalCluster

_CLOCKS = Path(__file__).parent / "clock"
_JUMP_S_MAX = 14.0
_WHOLE_S = 60.0
_NEMESES = (
    "kill", "pause", "restart", "storm", "pull", "replace", "cut", "half cut", "jump", "jump",
)  # fmt: skip


class JumpingCluster(LocalCluster):
    """Servers whose wall clocks can be set."""

    def __init__(self, directory: Path, *arguments: Any, **options: Any) -> None:
        super().__init__(directory, *arguments, **options)
        directory.mkdir(parents=True, exist_ok=True)
        for server in self.servers:
            self.set_clock(server, 0.0)

    def start_server(self, server: int, changed: Mapping[str, str] | None = None) -> None:
        path = os.pathsep.join((str(_CLOCKS), os.environ.get("PYTHONPATH", "")))
        clock = {"HISTORY_CLOCK_FILE": str(self._clock_file(server)), "PYTHONPATH": path}
        super().start_server(server, clock | dict(changed or {}))

    def set_clock(self, server: int, ahead_s: float) -> None:
        """Let a server's wall clock be ahead of (or behind) the machine's."""
        file = self._clock_file(server)
        file.touch()
        with file.open("r+b") as handle:
            handle.write(struct.pack("<q", int(ahead_s * 1e9)))

    def _clock_file(self, server: int) -> Path:
        return self.directory / f"clock{server}"


@dataclass
class Nemeses:
    """Makes one thing go wrong after the other."""

    cluster: JumpingCluster
    injector: Injector
    stage: Stage
    random: Random
    made: Counter[str] = field(default_factory=Counter)

    async def rage(self, duration_s: float) -> None:
        """Go on for some time; afterwards everything runs, and has something to heal."""
        clock = self.stage.clock
        ends_s = clock.monotonic_s() + duration_s
        turns: list[str] = []
        while clock.monotonic_s() < ends_s:
            if not turns:  # each has its turn before one comes twice
                turns = self.random.sample(_NEMESES, len(_NEMESES))
            name = turns.pop()
            self.made[name] += 1
            await self._make(name)
            await asyncio.sleep(self.random.uniform(0.2, 1.0))
        for server in self.cluster.servers:
            self.cluster.set_clock(server, 0.0)

    async def _make(self, name: str) -> None:
        server = self.random.choice(list(self.cluster.servers))
        match name:
            case "kill":
                await self._hold(Fault(Kind.SERVER, How.KILLED, server))
            case "pause":
                await self._hold(Fault(Kind.SERVER, How.PAUSED, server))
            case "restart":
                await self._hold(Fault(Kind.SERVER, How.RESTARTED, server))
            case "storm":
                await self._storm()
            case "pull":
                await self._hold(Fault(Kind.DRIVE, How.RETURNED, server, self._drive()))
            case "replace":
                if await self.is_whole_within(_WHOLE_S):
                    await self._hold(Fault(Kind.DRIVE, How.REPLACED, server, self._drive()))
                    await self.is_whole_within(_WHOLE_S)
            case "cut" | "half cut":
                how = How.CUT if name == "cut" else How.UNHEARD
                await self._hold(Fault(Kind.PARTITION, how, server, other=3 - server))
            case "jump":
                self.cluster.set_clock(server, self.random.uniform(-_JUMP_S_MAX, _JUMP_S_MAX))
            case _:
                raise AssertionError(name)

    async def _hold(self, fault: Fault) -> None:
        await self.injector.begin(fault)
        await asyncio.sleep(self.random.uniform(0.3, 3.0))
        await self.injector.end(fault)

    async def _storm(self) -> None:
        """Restart servers faster than they can become well."""
        for _ in range(self.random.randint(3, 6)):
            server = self.random.choice(list(self.cluster.servers))
            if self.random.random() < 0.5:
                self.cluster.kill_server(server)
            else:
                await self.injector.stop(server)
            self.cluster.start_server(server)
            await asyncio.sleep(self.random.uniform(0.1, 1.0))

    def _drive(self) -> int:
        return self.random.randint(1, len(self.cluster.local.drives[0]))

    async def is_whole_within(self, timeout_s: float) -> bool:
        """Wait until nothing is left to heal; tell whether that came true."""
        clock = self.stage.clock
        ends_s = clock.monotonic_s() + timeout_s
        while clock.monotonic_s() < ends_s:
            try:
                if not await self.stage.left_to_heal():
                    self.injector.discard_taken()
                    return True
            except S3Refusal:
                pass
            await asyncio.sleep(0.1)
        return False

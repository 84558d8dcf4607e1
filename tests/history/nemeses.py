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
from tests.history.bad_links import BadLinks
from tests.history.events import Mishap

_CLOCKS = Path(__file__).parent / "clock"
_JUMP_S_MAX = 14.0
_WHOLE_S = 60.0
NEMESES = (
    "kill", "pause", "restart", "storm", "pull", "replace", "cut", "half cut", "bad links",
    "jump", "jump",
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
    links: BadLinks
    stage: Stage
    random: Random
    zero_s: float  # of the monotonic clock: the history's beginning
    names: tuple[str, ...] = NEMESES
    mishaps: list[Mishap] = field(default_factory=list)

    async def rage(self, duration_s: float) -> None:
        """Go on for some time; afterwards everything runs, and has something to heal."""
        clock = self.stage.clock
        ends_s = clock.monotonic_s() + duration_s
        turns: list[str] = []
        while clock.monotonic_s() < ends_s:
            if not turns:  # each has its turn before one comes twice
                turns = self.random.sample(self.names, len(self.names))
            name = turns.pop()
            await self._make(name)
            await asyncio.sleep(self.random.uniform(0.2, 1.0))
        for server in self.cluster.servers:
            self.cluster.set_clock(server, 0.0)

    @property
    def made(self) -> Counter[str]:
        """How often each nemesis had its turn."""
        return Counter(one.what.split(":")[0] for one in self.mishaps)

    async def _make(self, name: str) -> None:
        server = self.random.choice(list(self.cluster.servers))
        begun_s = self._now()
        what = await self._do(name, server)
        self.mishaps.append(Mishap(begun_s, self._now(), f"{name}: {what}"))

    def _now(self) -> float:
        return self.stage.clock.monotonic_s() - self.zero_s

    async def _do(self, name: str, server: int) -> str:
        match name:
            case "kill":
                return await self._hold(Fault(Kind.SERVER, How.KILLED, server))
            case "pause":
                return await self._hold(Fault(Kind.SERVER, How.PAUSED, server))
            case "restart":
                return await self._hold(Fault(Kind.SERVER, How.RESTARTED, server))
            case "storm":
                return await self._storm()
            case "pull":
                return await self._hold(Fault(Kind.DRIVE, How.RETURNED, server, self._drive()))
            case "replace":
                if not await self.is_whole_within(_WHOLE_S):
                    return "not done, as something is left to heal"
                what = await self._hold(Fault(Kind.DRIVE, How.REPLACED, server, self._drive()))
                await self.is_whole_within(_WHOLE_S)
                return f"{what}, and healed by now"
            case "cut" | "half cut":
                how = How.CUT if name == "cut" else How.UNHEARD
                return await self._hold(Fault(Kind.PARTITION, how, server, other=3 - server))
            case "bad links":
                self.links.spoilt = True
                await asyncio.sleep(self.random.uniform(1.0, 3.0))
                self.links.spoilt = False
                return ", ".join(f"{n} {what}" for what, n in self.links.counts.items())
            case "jump":
                ahead_s = self.random.uniform(-_JUMP_S_MAX, _JUMP_S_MAX)
                self.cluster.set_clock(server, ahead_s)
                return f"server {server} from now on {ahead_s:+.1f} s"
            case _:
                raise AssertionError(name)

    async def _hold(self, fault: Fault) -> str:
        asked_s = self._now()
        await self.injector.begin(fault)
        begun_s = self._now()
        await asyncio.sleep(self.random.uniform(0.3, 3.0))
        ended_s = self._now()
        await self.injector.end(fault)
        drive = f" drive {fault.drive}" if fault.kind is Kind.DRIVE else ""
        return (
            f"server {fault.server}{drive}, begun {asked_s:.3f} .. {begun_s:.3f}, "
            f"ended {ended_s:.3f} .. {self._now():.3f}"
        )

    async def _storm(self) -> str:
        """Restart servers faster than they can become well."""
        restarts = []
        for _ in range(self.random.randint(3, 6)):
            server = self.random.choice(list(self.cluster.servers))
            if self.random.random() < 0.5:
                self.cluster.kill_server(server)
            else:
                await self.injector.stop(server)
            self.cluster.start_server(server)
            restarts.append(f"server {server} at {self._now():.3f}")
            await asyncio.sleep(self.random.uniform(0.1, 1.0))
        return ", ".join(restarts)

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

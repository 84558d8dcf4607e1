"""A chaos run from its cluster's start to its report."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from rich.console import Console

from objstore.cli.chaos.faults import FaultFailed, Injector
from objstore.cli.chaos.judgement import Hurt, complaint_about
from objstore.cli.chaos.links import PEER_HOST, Links
from objstore.cli.chaos.load import CLIENTS, Load
from objstore.cli.chaos.plan import DAMAGING, Fault, How, Kind, Shape, draw_round, shape_of
from objstore.cli.chaos.report import MadeFault, Report, count_codes
from objstore.cli.demos.client import S3Refusal
from objstore.cli.demos.stage import BUCKET, Stage, draw_secrets, opened
from objstore.cli.local_cluster import READY_S, STOP_S, ClusterFailed, LocalCluster, free_base_port
from objstore.cli.local_layout import HOST, LocalLayout, uniform_layout
from objstore.gateway.ports import ADMIN_PREFIX, DriveInfo

_Condition = Callable[[], Awaitable[bool]]

WHOLE_S: Final = 180.0
_HOLD_S_MAX: Final = 6.0
_PAUSES_S: Final = (0.3, 2.0)  # between rounds
_POLL_S: Final = 0.1
_SLACK_S: Final = 1.0  # requests that a fault caught are answered after it ended
# What is healed meanwhile is used like any other.
_WELL: Final = frozenset({"online", "catching up", "healing", "returning"})


@dataclass(frozen=True, slots=True)
class Wish:
    """What the user asked for."""

    duration_s: float
    kinds: tuple[Kind, ...]
    seed: int
    servers: int
    drives: int  # of each server
    parity: int
    beyond: bool


@dataclass(slots=True)
class Run:
    """One run; its parts know the same cluster."""

    wish: Wish
    stage: Stage
    injector: Injector
    load: Load
    shape: Shape
    interrupted: asyncio.Event
    hurts: list[Hurt] = field(default_factory=list)
    made: list[MadeFault] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    began_s: float = 0.0
    last_end_s: float = 0.0

    async def perform(self) -> Report:
        """Load, hurt, wait, verify; a promise that broke is in the report."""
        await self._until_whole(READY_S)
        if self.interrupted.is_set():
            return self._report(0.0, None, 0, 0)
        await self.stage.clients[0].call("PUT", f"/{BUCKET}")
        self.began_s = self.last_end_s = self._now_s()
        stop = asyncio.Event()
        redundancy_s = None
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self.load.work(number, self.wish.seed + number, stop))
            try:
                await self._make_faults()
                if await self._is_whole_in_time():
                    redundancy_s = self._now_s() - self.last_end_s
            finally:
                stop.set()
        seconds = self._now_s() - self.began_s
        reads = objects = 0
        if not self.interrupted.is_set() and not self._ended():
            objects, reads = await self._verify()
        return self._report(seconds, redundancy_s, objects, reads)

    # --- faults ------------------------------------------------------------------------

    async def _make_faults(self) -> None:
        random = Random(self.wish.seed)  # noqa: S311  to be repeated, not to be secret
        hold_s = min(_HOLD_S_MAX, max(1.0, self.wish.duration_s / 6))
        while self._now_s() - self.began_s < self.wish.duration_s:
            await self._wait(random.uniform(*_PAUSES_S))
            faults = draw_round(
                random, self.shape, self.wish.kinds, beyond=self.wish.beyond, hold_s_max=hold_s
            )
            if self.interrupted.is_set() or not await self._round(faults):
                return

    async def _round(self, faults: tuple[Fault, ...]) -> bool:
        """Make the faults of a round and wait until all is well; tell whether it is."""
        first = len(self.made)
        hurts: list[Hurt] = []
        async with asyncio.TaskGroup() as group:
            for fault in faults:
                group.create_task(self._make(fault, hurts))
        ended_s = self.last_end_s = self._now_s()
        online = await self._within(WHOLE_S, self._is_online)
        for hurt in hurts:
            if online and hurt.fault.how not in DAMAGING:
                hurt.until_s = self._now_s() + _SLACK_S
        if any(fault.how is How.ROTTED for fault in faults):
            await self._heal()
        if not (online and await self._is_whole_in_time()):
            return False
        self.injector.discard_taken()
        whole_s = self._now_s()
        for hurt in hurts:
            hurt.until_s = min(hurt.until_s, whole_s + _SLACK_S)
        self.made[first:] = [
            MadeFault(
                what=one.what,
                kind=one.kind,
                at_s=one.at_s,
                hold_s=one.hold_s,
                whole_after_s=round(whole_s - ended_s, 2),
            )
            for one in self.made[first:]
        ]
        self._say(f"whole again {whole_s - ended_s:.1f} s later")
        return True

    async def _make(self, fault: Fault, hurts: list[Hurt]) -> None:
        await self._wait(fault.at_s)
        if self.interrupted.is_set():
            return
        hurt = Hurt(fault, self._now_s())
        hurts.append(hurt)
        self.hurts.append(hurt)
        at_s = self._now_s() - self.began_s
        try:
            note = await self.injector.begin(fault)
            self._say(f"{fault}{': ' + note if note else ''}")
            await self._wait(fault.hold_s)
            await self.injector.end(fault)
        except (FaultFailed, OSError) as error:
            self.problems.append(f"{fault}: {error}")
        hold_s = self._now_s() - self.began_s - at_s
        self.made.append(
            MadeFault(
                what=str(fault), kind=fault.kind, at_s=round(at_s, 2), hold_s=round(hold_s, 2)
            )
        )

    # --- waiting -----------------------------------------------------------------------

    async def _wait(self, seconds: float) -> None:
        """Let time pass, unless the user wants an end."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.interrupted.wait(), seconds)

    async def _until_whole(self, timeout_s: float) -> None:
        if not await self._within(timeout_s, self._is_whole) and not self.interrupted.is_set():
            why = self._ended() or f"the cluster is not whole {timeout_s:.0f} s after its start"
            raise ClusterFailed(why)

    async def _is_whole_in_time(self) -> bool:
        if await self._within(WHOLE_S, self._is_whole):
            return True
        if self.interrupted.is_set() or self.problems:
            return False
        left = self._ended() or ", ".join(await self._left_to_heal())
        self.problems.append(f"not fully redundant after {WHOLE_S:.0f} s: {left}")
        return False

    def _ended(self) -> str:
        """Say which server ended by itself; empty when all run."""
        cluster = self.stage.cluster
        for server in cluster.servers:
            if not cluster.is_running(server):
                return f"server {server} ended; its log ends:\n{cluster.log_tail(server)}"
        return ""

    async def _within(self, timeout_s: float, condition: _Condition) -> bool:
        deadline_s = self._now_s() + timeout_s
        while not self.interrupted.is_set() and not self._ended():
            with contextlib.suppress(S3Refusal):
                if await condition():
                    return True
            if self._now_s() > deadline_s:
                return False
            await asyncio.sleep(_POLL_S)
        return False

    async def _is_online(self) -> bool:
        return all(one.state in _WELL for one in await self._drives())

    async def _is_whole(self) -> bool:
        servers = self.stage.cluster.servers
        healing = [(await self.stage.info(server=server)).healing for server in servers]
        return not any(healing) and not await self.stage.left_to_heal()

    async def _left_to_heal(self) -> list[str]:
        try:
            left = await self.stage.left_to_heal()
        except S3Refusal as refusal:
            return [f"a server does not tell what is left: {refusal}"]
        return left or ["a comparison that was asked for does not end"]

    async def _drives(self) -> list[DriveInfo]:
        every = [await self.stage.info(server=server) for server in self.stage.cluster.servers]
        return [drive for info in every for drive in info.drives]

    async def _heal(self) -> None:
        """Begin a comparison of everything: nobody else reads what was flipped."""
        with contextlib.suppress(S3Refusal):
            await self.stage.clients[0].call("POST", f"{ADMIN_PREFIX}heal")

    # --- verifying ---------------------------------------------------------------------

    async def _verify(self) -> tuple[int, int]:
        """Read everything from every server; return how many objects, and by how many reads."""
        self._say("verifying every object from every server")
        reads = 0
        for server in self.stage.cluster.servers:
            for key in self.load.ledger.every_key():
                reads += await self.load.get(key, server)
            await self.load.list_all("chaos/", server)
        for key in self.load.ledger.every_key():
            with contextlib.suppress(S3Refusal):  # it is not there, and may not be
                shards = (await self.stage.locate(key)).shards
                bad = [f"{one.letter} is {one.state}" for one in shards if one.state != "ok"]
                if bad and not self.problems:
                    self.problems.append(f"{key} is not fully redundant: {', '.join(bad)}")
        return self.load.ledger.certain(), reads

    def _report(
        self, seconds: float, redundancy_s: float | None, objects: int, reads: int
    ) -> Report:
        complaints = (
            complaint_about(self.shape, self.hurts, one) for one in list(self.load.failures)
        )
        broken = (*self.load.wrong, *filter(None, complaints), *self.problems)
        (scheme, *_) = self.shape.schemes
        return Report(
            kept=not broken,
            interrupted=self.interrupted.is_set(),
            seed=self.wish.seed,
            layout=f"{scheme} on {self.wish.servers} servers with {self.wish.drives} drives each",
            seconds=round(seconds, 1),
            operations=dict(self.load.served),
            faults=tuple(self.made),
            errors=count_codes(self.load.failures),
            slowest_s=round(self.load.slowest_s, 2),
            slowest=self.load.slowest,
            objects_verified=objects,
            reads_verified=reads,
            full_redundancy_s=None if redundancy_s is None else round(redundancy_s, 1),
            broken=tuple(broken),
            directory="",
        )

    def _now_s(self) -> float:
        return self.stage.clock.monotonic_s()

    def _say(self, text: str) -> None:
        at_s = self._now_s() - self.began_s
        self.stage.console.print(f"{at_s:7.1f} s  {text}", markup=False)


# --- the cluster --------------------------------------------------------------------------


def fresh_layout(wish: Wish) -> tuple[Path, LocalLayout]:
    """Make the run's own directory, and lay its cluster out there.

    Raises:
        ConfigError: there is no such layout, or there are no free ports.
    """
    base_port = free_base_port(wish.servers)

    def layout(directory: Path) -> LocalLayout:
        return uniform_layout(
            directory,
            servers=wish.servers,
            drives=wish.drives,
            parity=wish.parity,
            base_port=base_port,
            peer_host=PEER_HOST if Kind.PARTITION in wish.kinds else HOST,
        )

    layout(Path("/nowhere"))  # refused before anything is made
    directory = Path(tempfile.mkdtemp(prefix="objstore-chaos-"))
    return directory, layout(directory)


async def run_chaos(
    wish: Wish, directory: Path, local: LocalLayout, console: Console, interrupted: asyncio.Event
) -> Report:
    """Run in a directory of the run's own, which is left to the caller.

    Raises:
        ClusterFailed: a server ended by itself, or the cluster never became whole.
        ConfigError: a port is taken, or partitions cannot be made here.
    """
    links = Links()
    # What a killed server leaves among the temporary files is to go with the directory too.
    environment = {"TMPDIR": str(directory)}
    cluster = LocalCluster(directory, local, draw_secrets(), environment=environment)
    async with contextlib.AsyncExitStack() as stack:
        if Kind.PARTITION in wish.kinds:
            await stack.enter_async_context(links.running(local))
        stage = await stack.enter_async_context(opened(cluster, console))
        injector = Injector(cluster, links, stage.clock)
        await stack.enter_async_context(started(cluster, injector))
        load = Load(stage.clients, stage.clock, stage.entropy)
        return await Run(wish, stage, injector, load, shape_of(local), interrupted).perform()


@contextlib.asynccontextmanager
async def started(cluster: LocalCluster, injector: Injector) -> AsyncIterator[None]:
    """Run the servers; stop them in the end, whatever was done to them."""
    try:
        cluster.start()
        yield
    finally:
        for server in cluster.servers:
            cluster.resume_server(server)
        injector.links.join()
        with contextlib.suppress(FaultFailed, TimeoutError):
            async with asyncio.timeout(STOP_S), asyncio.TaskGroup() as group:
                for server in cluster.servers:
                    group.create_task(injector.stop(server))
        cluster.stop()

"""The server under test: the real gateway and engine over drives in memory, on a real socket.

One thread runs the event loop; each sequence gets a deployment of its own, which is cheap, and a
clock that goes when the sequence says so.
"""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import uvloop

from objstore.background.compare import Compare
from objstore.background.heal_queue import heal_missed_once
from objstore.background.ports import BackgroundContext, OwnDrive
from objstore.background.walk import Walk
from objstore.drive.ops import ReadStatus, ReadUsage
from objstore.engine.cpu import Cpu
from objstore.engine.sets import Context, SetHandle, set_handle
from objstore.engine.store import Store
from objstore.gateway.app import serve
from objstore.gateway.context import Deadlines, GatewayContext
from objstore.iam.identities import Identities, Identity
from objstore.limits import SETTLE_AGE_S
from objstore.names import BucketName, DriveId, Scheme
from objstore.testing.fake_clock import FakeClock
from objstore.testing.memory_drive import MemoryDrive
from objstore.testing.memory_set import SeededEntropy, SwitchedDrive
from objstore.topology.layout import DriveAddress, SetLayout
from objstore.versions.hlc import NODE_BYTES, Hlc
from tests.e2e.credentials import ACCESS_KEY, REGION, SECRET_KEY
from tests.unit.gateway.running import FixedCluster, StagedStore

T = TypeVar("T")


@dataclass(frozen=True)
class Plan:
    """One erasure set; `slots[s]` is the drive of slot s, one each unless given."""

    scheme: Scheme
    slots: tuple[int, ...] | None = None


Pools = tuple[tuple[Plan, ...], ...]
_PARITY: Final = Plan(Scheme(3, 1))
LAYOUTS: Final[dict[str, Pools]] = {
    "3+1": ((_PARITY,),),
    "2+2": ((Plan(Scheme(2, 2)),),),
    "mirror": ((Plan(Scheme(1, 1)),),),
    "4+1 on 4 drives": ((Plan(Scheme(4, 1), (0, 1, 0, 2, 3)),),),
    "three sets": ((_PARITY, _PARITY, _PARITY),),
    "two pools": ((_PARITY,), (Plan(Scheme(1, 1)), Plan(Scheme(1, 1)))),
}


class Counts(NamedTuple):
    """What a bucket holds."""

    objects: int
    object_bytes: int
    versions: int
    version_bytes: int


class Served(Protocol):
    """A server that a sequence talks to."""

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        """Where its S3 is; requests go to each in turn."""
        ...

    @property
    def part_bytes_min(self) -> int: ...
    def now_ns(self) -> int:
        """The server's wall time, to sign with."""
        ...

    def exact_s(self) -> int | None:
        """The second in which a change would be made now; None when only the server knows."""
        ...

    def advance(self, seconds: float) -> None:
        """Let time pass, where it can be made to."""
        ...

    def settle(self) -> None:
        """Wait until every server knows that a bucket went or changed its settings."""
        ...

    def usage(self, bucket: str) -> list[Counts]:
        """What a bucket holds as each drive of a set counts it, summed over the sets."""
        ...

    def files(self) -> int:
        """How many shard files there are; 0 where nobody can look."""
        ...

    def close(self) -> None: ...


@dataclass(slots=True)
class _Deployment:
    port: int
    clock: FakeClock
    context: Context
    drives: tuple[SwitchedDrive, ...]


class _Inline:
    """Hashes at once: bodies are small."""

    async def run(self, size: int, work: Callable[[], T]) -> T:
        return work()


def _handles(pools: Pools, clock: FakeClock) -> tuple[tuple[SetHandle, ...], ...]:
    return tuple(
        tuple(_handle(number, index, plan, clock) for index, plan in enumerate(plans))
        for number, plans in enumerate(pools)
    )


def _handle(pool: int, index: int, plan: Plan, clock: FakeClock) -> SetHandle:
    slots = tuple(range(plan.scheme.slots)) if plan.slots is None else plan.slots
    names = [f"p{pool}s{index}d{drive}" for drive in range(max(slots) + 1)]
    layout = SetLayout(
        pool=pool,
        index=index,
        scheme=plan.scheme,
        drives=tuple(DriveAddress("", f"/{name}") for name in names),
        slots=slots,
        rotate=plan.slots is None,
    )
    drives = tuple(SwitchedDrive(MemoryDrive(DriveId(name), clock)) for name in names)
    return set_handle(layout, drives)


@asynccontextmanager
async def _deployment(pools: Pools, cpu: Cpu) -> AsyncIterator[_Deployment]:
    clock = FakeClock()
    handles = _handles(pools, clock)
    entropy = SeededEntropy()
    async with asyncio.TaskGroup() as group:
        context = Context(
            pools=handles,
            deployment=bytes(16),
            hlc=Hlc(bytes(NODE_BYTES)),
            clock=clock,
            entropy=entropy,
            cpu=cpu,
            group=group,
        )
        cluster = FixedCluster(StagedStore())
        gateway = GatewayContext(
            store=Store(context),
            identities=Identities([Identity(ACCESS_KEY, SECRET_KEY, root=True)]),
            region=REGION,
            clock=clock,
            entropy=entropy,
            threads=_Inline(),
            admin=cluster,
            cluster_status=cluster,
            deadlines=Deadlines(header_s=60.0, stall_s=60.0),
        )
        listener = socket.create_server(("127.0.0.1", 0))
        running = await serve(gateway, listener)
        drives = [drive for handle in context.sets for drive in handle.drives]
        assert all(isinstance(drive, SwitchedDrive) for drive in drives)
        yield _Deployment(
            listener.getsockname()[1],
            clock,
            context,
            tuple(drive for drive in drives if isinstance(drive, SwitchedDrive)),
        )
        await running.stop(1.0)


async def _nothing() -> str:
    return "nothing to replace"


class InProcess:
    """A deployment in this process; a `Served`."""

    part_bytes_min: Final = 5  # what `small_parts` sets

    def __init__(self, loop: "Loop", pools: Pools) -> None:
        self._loop = loop
        self._stop = asyncio.Event()
        started: Future[_Deployment] = Future()
        self._life = loop.start(self._live(pools, started))
        self._held = started.result(30)

    async def _live(self, pools: Pools, started: "Future[_Deployment]") -> None:
        async with _deployment(pools, self._loop.cpu) as held:
            started.set_result(held)
            await self._stop.wait()

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return [("127.0.0.1", self._held.port)]

    def now_ns(self) -> int:
        return self._held.clock.now_ns()

    def exact_s(self) -> int | None:
        return self._held.clock.now_ns() // 1_000_000_000

    def advance(self, seconds: float) -> None:
        self._held.clock.advance(seconds)

    def settle(self) -> None:
        """There is one server."""

    def usage(self, bucket: str) -> list[Counts]:
        return self._loop.run(self._usage(BucketName(bucket)))

    async def _usage(self, bucket: BucketName) -> list[Counts]:
        await self._idle()
        sets = [await self._usage_of(handle, bucket) for handle in self._held.context.sets]
        width = min(len(counts) for counts in sets)
        return [Counts(*map(sum, zip(*(counts[at] for counts in sets), strict=True)))
                for at in range(width)]  # fmt: skip

    async def _usage_of(self, handle: SetHandle, bucket: BucketName) -> list[Counts]:
        op = ReadUsage(bucket)
        usages = [await handle.drives[index].call(op) for index in handle.readable()]
        return [
            Counts(one.objects, one.object_bytes, one.versions, one.version_bytes) for one in usages
        ]

    async def _idle(self) -> None:
        """Let stragglers finish: nothing here takes longer than a few turns of the loop."""
        for _ in range(20):
            await asyncio.sleep(0)

    def files(self) -> int:
        self._loop.run(self._idle())
        return sum(len(drive.memory.files) for drive in self._held.drives)

    # --- faults ----------------------------------------------------------------------

    def pull(self, choice: int, *, noticed: bool) -> None:
        """Take a drive away; one that is not noticed fails every call instead."""
        drive = self._held.drives[choice % len(self._held.drives)]
        drive.pull()
        drive.away = noticed

    def bring_back(self, *, replaced: bool, heals: bool) -> None:
        """Bring every drive back, as it was or empty, and maybe let the background heal it."""
        self._loop.run(self._bring_back(replaced=replaced, heals=heals))

    async def _bring_back(self, *, replaced: bool, heals: bool) -> None:
        await self._idle()
        engine, sets = self._held.context, self._held.context.sets
        returned = [drive for drive in self._held.drives if drive.rules]
        for drive in returned:
            if replaced:
                drive.replace(self._held.clock)
            else:
                drive.bring_back()
        if not heals:
            return
        self.advance(SETTLE_AGE_S + 1)  # so that nothing looks as if it were in flight
        background = BackgroundContext(
            engine, tuple(OwnDrive(one, at, _nothing) for one in sets for at in one.readable())
        )
        for one in background.own:
            if one.handle.drives[one.index] in returned:
                if not (await one.handle.drives[one.index].call(ReadStatus())).trusted:
                    await Walk(engine, one, "rebuild", verify=False).run()
                else:
                    await Compare(engine, one, "catch-up").run()
        for handle in sets:
            await heal_missed_once(background, handle)
        await self._idle()

    def close(self) -> None:
        self._loop.run(self._end())
        self._life.result(30)

    async def _end(self) -> None:
        self._stop.set()


class Loop:
    """An event loop in a thread of its own, on which deployments run."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.cpu = Cpu(1)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there and wait for what it returns."""
        return self.start(work).result(30)

    def start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Run a coroutine there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def open(self, pools: Sequence[Sequence[Plan]]) -> InProcess:
        """Start a deployment without buckets."""
        return InProcess(self, tuple(tuple(plans) for plans in pools))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.cpu.close()


@contextmanager
def loop_in_a_thread() -> Iterator[Loop]:
    """Run a loop for a `with` block."""
    loop = Loop()
    try:
        yield loop
    finally:
        loop.close()

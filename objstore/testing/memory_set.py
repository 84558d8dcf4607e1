"""A set of drives in memory with the real engine above it, for tests that need no process."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from objstore.background.compare import Compare
from objstore.background.ports import BackgroundContext, OwnDrive
from objstore.background.walk import Walk
from objstore.clock import Clock
from objstore.drive.job_states import Comparison
from objstore.drive.ops import PutBucket
from objstore.engine.cpu import Cpu
from objstore.engine.sets import Context, SetHandle, set_handle
from objstore.engine.store import Store
from objstore.errors import DriveOffline
from objstore.names import BucketName, DriveId, Scheme
from objstore.ondisk.record import Bucket, encode_bucket
from objstore.testing.fake_clock import FakeClock
from objstore.testing.faulty_drive import FaultyDrive, always
from objstore.testing.memory_drive import MemoryDrive
from objstore.topology.layout import DriveAddress, SetLayout
from objstore.versions.hlc import NODE_BYTES, Hlc

BUCKET = BucketName("bucket")


class SeededEntropy:
    """Bytes that are the same in every run."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)

    def draw(self, count: int) -> bytes:
        return self._random.randbytes(count)


class SwitchedDrive(FaultyDrive):
    """A drive that can be taken away and brought back, and knows that it is away."""

    def __init__(self, inner: MemoryDrive) -> None:
        super().__init__(inner)
        self.away = False
        self.slow = False

    @property
    def memory(self) -> MemoryDrive:
        """What the drive holds."""
        assert isinstance(self.inner, MemoryDrive)
        return self.inner

    @property
    def can_read(self) -> bool:
        return not self.away

    @property
    def can_write(self) -> bool:
        return not self.away

    @property
    def is_slow(self) -> bool:
        return self.slow

    def pull(self) -> None:
        """Take the drive away."""
        self.away = True
        self.rules.append(always(DriveOffline("pulled")))

    def bring_back(self) -> None:
        """Bring it back as it was."""
        self.away = False
        self.rules.clear()

    def replace(self, clock: Clock) -> None:
        """Put an empty drive in its place."""
        self.inner = MemoryDrive(DriveId(f"{self.drive_id}'"), clock, trusted=False)
        self.bring_back()


@dataclass(slots=True)
class MemorySet:
    """One set, its drives, and a store over it."""

    context: Context
    handle: SetHandle
    drives: tuple[SwitchedDrive, ...]
    clock: FakeClock
    store: Store
    background: BackgroundContext

    async def walk(self, drive: int, *, verify: bool = False) -> None:
        """Rebuild a drive, or bring it up to date."""
        await Walk(self.context, self.background.own[drive], "rebuild", verify=verify).run()

    async def compare(self, drive: int) -> Comparison:
        """Compare a drive's tree with those of the others, and heal what differs."""
        return await Compare(self.context, self.background.own[drive]).run()

    async def idle(self) -> None:
        """Let stragglers finish: nothing here takes longer than a few turns of the loop."""
        for _ in range(50):
            await asyncio.sleep(0)


async def _nothing_to_replace() -> str:
    return "nothing"


@asynccontextmanager
async def memory_set(
    scheme: Scheme,
    slots: Sequence[int] | None = None,
    *,
    bracketing: float = 1.0,
    seed: int = 0,
    servers: Sequence[str] = (),
) -> AsyncIterator[MemorySet]:
    """Build a set with a bucket; `slots[s]` is the drive of slot s, one each by default.

    `servers[d]` is the server of drive d, by default the same one for all.
    """
    places = tuple(range(scheme.slots)) if slots is None else tuple(slots)
    clock = FakeClock()
    drives = tuple(
        SwitchedDrive(MemoryDrive(DriveId(f"d{index}"), clock)) for index in range(max(places) + 1)
    )
    layout = SetLayout(
        pool=0,
        index=0,
        scheme=scheme,
        drives=tuple(
            DriveAddress(servers[index] if servers else "", f"/d{index}")
            for index in range(len(drives))
        ),
        slots=places,
        rotate=slots is None,
    )
    handle = set_handle(layout, drives)
    cpu = Cpu(2)
    async with asyncio.TaskGroup() as group:
        context = Context(
            pools=((handle,),),
            deployment=bytes(16),
            hlc=Hlc(bytes(NODE_BYTES)),
            clock=clock,
            entropy=SeededEntropy(seed),
            cpu=cpu,
            group=group,
            bracketing=bracketing,
        )
        own = tuple(OwnDrive(handle, index, _nothing_to_replace) for index in range(len(drives)))
        bucket = Bucket(BUCKET, context.stamp(), clock.now_ns() // 1_000_000, owner="me")
        put = partial(PutBucket, encode_bucket(bucket))
        for drive in drives:
            await drive.call(put())
        yield MemorySet(
            context, handle, drives, clock, Store(context), BackgroundContext(context, own)
        )
    cpu.close()

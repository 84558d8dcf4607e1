"""A set of drives in this process, with the calls to each counted as they would travel."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from objstore.background.compare import Compare
from objstore.background.ports import OwnDrive
from objstore.background.walk import Walk
from objstore.clock import SystemClock
from objstore.drive.job_states import Comparison
from objstore.drive.local import LocalDrive
from objstore.drive.ops import Op, ReadKey
from objstore.engine.cpu import Cpu
from objstore.engine.ports import Attributes
from objstore.engine.sets import Context, set_handle
from objstore.engine.store import Store
from objstore.names import DriveId, ObjectKey, Scheme
from objstore.ondisk.record import Record, Version, decode_record
from objstore.testing.drive_values import BUCKET
from objstore.testing.memory_set import SeededEntropy
from objstore.topology.layout import DriveAddress, SetLayout
from objstore.versions.hlc import NODE_BYTES, Hlc
from objstore.wire.digests import Digests
from tests.unit.engine.bodies import BytesBody

_encoder = msgspec.msgpack.Encoder()


class CountedDrive:
    """A drive of the set."""

    can_read = True
    can_write = True
    is_slow = False

    def __init__(self, inner: LocalDrive) -> None:
        self.inner = inner
        self.exchanged = 0
        self.create_shard = inner.create_shard
        self.read_shard = inner.read_shard
        self.close = inner.close

    @property
    def drive_id(self) -> DriveId:
        return self.inner.drive_id

    async def call(self, op: Op[Any]) -> Any:
        answer = await self.inner.call(op)
        self.exchanged += len(_encoder.encode(op)) + len(_encoder.encode(answer))
        return answer


class TreeSet:
    """The set, its engine, and the two ways to bring a drive up to date."""

    def __init__(self, context: Context, drives: Sequence[CountedDrive]) -> None:
        self.drives = drives
        self._context = context
        self._store = Store(context)

    async def put_one(self, data: bytes) -> Version:
        """Put an object by the engine, so that its shards can be decoded."""
        await self._store.create_bucket(BUCKET, owner="me", region="")
        return await self._store.put_object(
            BUCKET,
            ObjectKey("template"),
            BytesBody(data),
            attributes=Attributes(),
            digests=Digests(["MD5"]),
        )

    async def record_on(self, drive: int, version: Version) -> Record:
        """Return what a drive has of a version."""
        state = await self.drives[drive].call(ReadKey(version.bucket, version.key))
        return decode_record(state.records[0])

    def _own(self, drive: int) -> OwnDrive:
        async def nothing() -> str:
            return "nothing"

        return OwnDrive(self._context.sets[0], drive, nothing)

    async def compare(self, drive: int) -> tuple[Comparison, int, float]:
        """Compare trees and heal; return what came of it, bytes to other drives, seconds."""
        before, started = self._exchanged(drive), time.perf_counter()
        result = await Compare(self._context, self._own(drive)).run()
        seconds = time.perf_counter() - started
        return result, self._exchanged(drive) - before, seconds

    async def walk(self, drive: int) -> tuple[int, float]:
        """Walk over all keys and heal; return bytes to other drives, and seconds."""
        before, started = self._exchanged(drive), time.perf_counter()
        await Walk(self._context, self._own(drive), "catch-up", verify=False).run()
        return self._exchanged(drive) - before, time.perf_counter() - started

    def _exchanged(self, drive: int) -> int:
        return sum(one.exchanged for index, one in enumerate(self.drives) if index != drive)


@asynccontextmanager
async def tree_set(drives: Sequence[LocalDrive]) -> AsyncIterator[TreeSet]:
    """Make a set of 3 + 1 over four drives."""
    counted = tuple(CountedDrive(drive) for drive in drives)
    layout = SetLayout(
        pool=0,
        index=0,
        scheme=Scheme(len(drives) - 1, 1),
        drives=tuple(DriveAddress("", str(drive.path)) for drive in drives),
        slots=tuple(range(len(drives))),
        rotate=True,
    )
    cpu = Cpu(2)
    async with asyncio.TaskGroup() as group:
        context = Context(
            pools=((set_handle(layout, counted),),),
            deployment=bytes(16),
            hlc=Hlc(bytes(NODE_BYTES)),
            clock=SystemClock(),
            entropy=SeededEntropy(),
            cpu=cpu,
            group=group,
        )
        yield TreeSet(context, counted)
    cpu.close()

"""The drives of a simulated server: memory with a power switch, delays, rot, and a door.

`Bay` is the hardware: one place for a drive, and what is in it. It outlives processes. `SimDrive`
is what one process sees of it; one that died changes nothing any more, whatever its tasks still do.

What a call changes is durable when it is applied, as in a journal with synchronous commits; a call
may be applied and its answer lost. A shard file is durable when `finish` has returned. Before that
a power cut loses it, cuts it short, or leaves zeros, as the seed says.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Any, Final

import msgspec

from objstore.clock import Clock
from objstore.drive.api import Buffer, Drive, ShardSink
from objstore.drive.ops import (
    Commit,
    DriveStatus,
    ListBuckets,
    ListKeys,
    ListMissed,
    ListTombstones,
    ListUploads,
    ListVersions,
    Op,
    PutBucket,
    PutPart,
    PutUpload,
    R,
    ReadBucket,
    ReadKey,
    ReadStatus,
    ReadTree,
    ReadUpload,
    ReadUsage,
    VerifyShard,
)
from objstore.errors import DriveError, DriveFaulty, DriveFull, DriveOffline
from objstore.names import DataId, DriveId, Kind
from objstore.ondisk.record import decode_record
from objstore.testing.memory_drive import MemoryDrive
from objstore.testing.memory_rows import HeldRow, ShardKey

CALL_S: Final = 0.002  # the mean time of a call
_LATE_SHARE: Final = 0.3  # of calls whose answer takes its time after they were applied
_CAPACITY: Final = 1 << 40
_TURN_S: Final = 1e-6  # between two changes that are applied in order
_READS: Final = (
    ReadKey, ListKeys, ListVersions, ReadUsage, ReadBucket, ListBuckets, ReadUpload, ListUploads,
    VerifyShard, ListMissed, ListTombstones, ReadStatus, ReadTree,
)  # fmt: skip

# Told what happens on a drive: its place, and what it is in a few words.
Watch = Callable[[str, str], None]


class Bay:
    """One place for a drive, what is in it, and what is wrong with it."""

    def __init__(
        self, server: str, index: int, *, clock: Clock, random: Random, watch: Watch
    ) -> None:
        self.server = server
        self.index = index
        self.name = f"d{index}"
        self.away = False  # pulled, or its controller is gone
        self.empty = False  # an unformatted one is in its place
        self.full = False
        self.faulty = 0  # so many calls fail with an I/O error
        self.slowness = 1.0  # how many times longer everything takes
        self.boots = 0  # files begun before the last loss of power can not be finished
        self.loses_finished = False  # planted: the directory is not synced
        self._clock = clock
        self._random = random
        self._watch = watch
        self._generation = 0
        self._unsynced_names: dict[ShardKey, float] = {}
        self.memory = self._new(trusted=True)

    def _new(self, *, trusted: bool) -> MemoryDrive:
        self._generation += 1
        return MemoryDrive(
            DriveId(f"{self.index:08x}{self._generation:024x}"), self._clock, trusted=trusted
        )

    # --- what is done to it ------------------------------------------------------------

    def lose_power(self) -> None:
        """Lose what is not durable."""
        self.boots += 1
        files = self.memory.files
        for name, file in list(files.items()):
            if file.finished:
                if name in self._unsynced_names and self._random.random() < 0.5:
                    del files[name]
                continue
            match self._random.randrange(3):
                case 0:
                    del files[name]
                case 1:
                    del file.data[self._random.randrange(len(file.data) + 1) :]
                case _:
                    file.data[:] = bytes(len(file.data))
        self._unsynced_names.clear()

    def pull(self) -> None:
        """Take the drive away, as it is, with what is not durable lost."""
        self.away = True
        self.lose_power()

    def bring_back(self) -> None:
        """Put it in again."""
        self.away = self.empty = False

    def put_empty_one_in(self) -> None:
        """Put an unformatted drive in its place; the server formats it when it looks."""
        self.away = self.empty = True
        self.boots += 1
        self.memory = self._new(trusted=False)

    async def replace(self) -> str:
        """Do what the server's bay does when it finds the drive away: format an empty one."""
        if not self.empty:
            return "nothing is mounted there"
        self.bring_back()
        self._watch(self.name, "formatted")
        return "an empty drive, which takes its place"

    def rot_file(self, name: ShardKey) -> None:
        """Flip a bit of a shard file."""
        data = self.memory.files[name].data
        data[self._random.randrange(len(data))] ^= 1 << self._random.randrange(8)

    def rot_row(self, row: HeldRow) -> None:
        """Make a record fail its checksum."""
        row.damaged = True

    # --- what is asked of it -----------------------------------------------------------

    def delay_s(self) -> float:
        """Draw how long a call takes."""
        return self._random.expovariate(1 / CALL_S) * self.slowness

    def early_share(self) -> float:
        """Draw which share of a call's time passes before it is applied: all of it, or less."""
        return 1.0 if self._random.random() > _LATE_SHARE else self._random.random()

    def require(self) -> None:
        """Raise what a drive in this state raises."""
        if self.away:
            raise DriveOffline(f"{self.name} is not there")
        if self.faulty:
            self.faulty -= 1
            raise DriveFaulty(f"{self.name}: input/output error")

    async def apply(self, op: Op[R]) -> R:
        """Do what a call says, now."""
        self.require()
        if self.full and _grows(op):
            raise DriveFull("only the reserve is left")
        self._watch(self.name, type(op).__name__)
        answer = await self.memory.call(op)
        if self.full and isinstance(answer, DriveStatus):
            return msgspec.structs.replace(answer, free_bytes=0)
        return answer

    def finished(self, name: ShardKey) -> None:
        """A file and its name are durable, or its name is not, if that fault is planted."""
        if self.loses_finished:
            self._unsynced_names[name] = 0.0


def _grows(op: Op[Any]) -> bool:
    if isinstance(op, Commit):
        return decode_record(op.record).version.kind is Kind.OBJECT
    return isinstance(op, PutUpload | PutPart)


class SimDrive:
    """A bay's drive as one process of its server reaches it."""

    def __init__(self, bay: Bay, is_alive: Callable[[], bool], buckets: Callable[[], None]) -> None:
        """`buckets` is called when the drive took a bucket's record."""
        self.bay = bay
        self._is_alive = is_alive
        self._buckets = buckets
        self._turn_s = 0.0  # when the last change that was asked for is applied

    @property
    def drive_id(self) -> DriveId:
        return self.bay.memory.drive_id

    async def call(self, op: Op[R]) -> R:
        takes_s = self.bay.delay_s()
        before_s = takes_s * self.bay.early_share()
        if not isinstance(op, _READS):
            # A process's changes are applied in the order in which it asked for them.
            now_s = asyncio.get_running_loop().time()
            self._turn_s = max(now_s + before_s, self._turn_s + _TURN_S)
            before_s = self._turn_s - now_s
        await asyncio.sleep(before_s)
        self.require()
        answer = await self.bay.apply(op)
        if isinstance(op, PutBucket):
            self._buckets()
        if takes_s > before_s:
            await asyncio.sleep(takes_s - before_s)
        return answer

    async def create_shard(self, data_id: DataId, part: int, shard: int) -> ShardSink:
        await self.wait()
        self.require()
        self.bay.require()
        if self.bay.full:
            raise DriveFull("only the reserve is left")
        inner = await self.bay.memory.create_shard(data_id, part, shard)
        return _SimSink(self, inner, (data_id, part, shard))

    async def read_shard(
        self, data_id: DataId, part: int, shard: int, *, offset: int, size: int
    ) -> Buffer:
        await self.wait()
        self.require()
        self.bay.require()
        return await self.bay.memory.read_shard(data_id, part, shard, offset=offset, size=size)

    async def close(self) -> None:
        """Nothing to let go of."""

    async def wait(self) -> None:
        """Let the time of a call pass."""
        await asyncio.sleep(self.bay.delay_s())

    def require(self) -> None:
        """Raise DriveOffline in a process that is dead."""
        if not self._is_alive():
            raise DriveOffline("this process is dead")


class _SimSink:
    def __init__(self, drive: SimDrive, inner: ShardSink, name: ShardKey) -> None:
        self._drive = drive
        self._inner = inner
        self._name = name
        self._boot = drive.bay.boots

    def _require(self) -> None:
        self._drive.require()
        self._drive.bay.require()
        if self._drive.bay.boots != self._boot:
            raise DriveOffline("it lost power since this file was begun")

    async def write(self, *pieces: Buffer) -> None:
        await self._drive.wait()
        self._require()
        if self._drive.bay.full:
            raise DriveFull("only the reserve is left")
        await self._inner.write(*pieces)

    async def finish(self) -> None:
        await self._drive.wait()
        self._require()
        await self._inner.finish()
        self._drive.bay.finished(self._name)

    async def abort(self) -> None:
        try:
            self._require()
        except DriveError:
            return
        await self._inner.abort()


_CONFORMS: type[Drive] = SimDrive
_SINK_CONFORMS: type[ShardSink] = _SimSink

"""A drive in memory whose power can be cut: what was not made durable is gone afterwards.

Calls that returned are durable, finished shards are durable, everything else is not. A shard
that was being written is lost whole, cut short, or full of zeros, as the seed decides: a file
system promises nothing about it.
"""

from random import Random

from objstore.clock import Clock
from objstore.drive.api import Buffer, Drive, ShardSink
from objstore.drive.ops import Op, R
from objstore.errors import DriveOffline
from objstore.names import DataId, DriveId
from objstore.testing.memory_drive import MemoryDrive


class UnsyncedDrive:
    """A MemoryDrive with a power switch."""

    def __init__(self, drive_id: DriveId, clock: Clock, *, seed: int) -> None:
        self.inner = MemoryDrive(drive_id, clock)
        self._random = Random(seed)
        self._powered = True
        self._boots = 0

    @property
    def drive_id(self) -> DriveId:
        return self.inner.drive_id

    @property
    def can_read(self) -> bool:
        """Whether it has power."""
        return self._powered

    @property
    def can_write(self) -> bool:
        """Whether it has power."""
        return self._powered

    @property
    def is_slow(self) -> bool:
        """Never: it has power or not."""
        return False

    @property
    def boots(self) -> int:
        """How often power came back: files begun before the last time cannot be finished."""
        return self._boots

    def cut_power(self) -> None:
        """Lose what is not durable; refuse every call until `restore_power`."""
        self._powered = False
        self._boots += 1
        for name, file in list(self.inner.files.items()):
            if file.finished:
                continue
            match self._random.randrange(3):
                case 0:
                    del self.inner.files[name]
                case 1:
                    del file.data[self._random.randrange(len(file.data) + 1) :]
                case _:
                    file.data[:] = bytes(len(file.data))

    def restore_power(self) -> None:
        """Answer again."""
        self._powered = True

    def require_power(self) -> None:
        """Raise DriveOffline while the power is cut."""
        if not self._powered:
            raise DriveOffline("power cut")

    async def call(self, op: Op[R]) -> R:
        self.require_power()
        return await self.inner.call(op)

    async def create_shard(self, data_id: DataId, part: int, shard: int) -> ShardSink:
        self.require_power()
        return _UnsyncedSink(self, await self.inner.create_shard(data_id, part, shard))

    async def read_shard(
        self, data_id: DataId, part: int, shard: int, *, offset: int, size: int
    ) -> Buffer:
        self.require_power()
        return await self.inner.read_shard(data_id, part, shard, offset=offset, size=size)

    async def close(self) -> None:
        await self.inner.close()


class _UnsyncedSink:
    def __init__(self, drive: UnsyncedDrive, inner: ShardSink) -> None:
        self._drive = drive
        self._inner = inner
        self._boot = drive.boots

    def _require(self) -> None:
        self._drive.require_power()
        if self._drive.boots != self._boot:
            raise DriveOffline("power was cut since this file was begun")

    async def write(self, *pieces: Buffer) -> None:
        self._require()
        await self._inner.write(*pieces)

    async def finish(self) -> None:
        self._require()
        await self._inner.finish()

    async def abort(self) -> None:
        if self._drive.can_write and self._drive.boots == self._boot:
            await self._inner.abort()


_CONFORMS: type[Drive] = UnsyncedDrive
_SINK_CONFORMS: type[ShardSink] = _UnsyncedSink

"""A drive of a layout that holds none of its shards: it is named, and never asked."""

from typing import NoReturn

from objstore.drive.api import Buffer, Drive, ShardSink
from objstore.drive.ops import Op, R
from objstore.errors import DriveOffline
from objstore.names import DataId, DriveId


class UnusedDrive:
    """Implements Drive for a place without slots."""

    drive_id = DriveId("")
    can_read = False
    can_write = False
    is_slow = False

    async def call(self, op: Op[R]) -> R:
        return self._refuse()

    async def create_shard(self, data_id: DataId, part: int, shard: int) -> ShardSink:
        return self._refuse()

    async def read_shard(
        self, data_id: DataId, part: int, shard: int, *, offset: int, size: int
    ) -> Buffer:
        return self._refuse()

    async def close(self) -> None:
        """Nothing is open."""

    def _refuse(self) -> NoReturn:
        raise DriveOffline("the layout puts no shard on this drive")


_CONFORMS: type[Drive] = UnusedDrive

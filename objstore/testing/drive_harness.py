"""A fresh drive and what the conformance suite needs beside it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from objstore.drive.api import Drive
from objstore.drive.ops import KeyState, Op, R, ReadKey
from objstore.errors import DriveError, ShardMissing
from objstore.names import Order
from objstore.ondisk.record import Record, decode_record
from objstore.testing.drive_values import BUCKET, KEY
from objstore.testing.fake_clock import FakeClock


async def _nothing() -> None:
    pass


async def call_together(drive: Drive, ops: Sequence[Op[Any]]) -> list[object]:
    """Send calls at once, in this order; return each one's result or the DriveError it raised."""

    async def one(op: Op[Any]) -> object:
        try:
            return await drive.call(op)
        except DriveError as error:
            return error

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(op)) for op in ops]
    return [task.result() for task in tasks]


@dataclass
class Harness:
    """A fresh drive, and what a test needs beside it.

    `clock` is the one the drive was given. `reap` makes files that nothing names unreadable:
    until then whoever is reading one may go on.
    """

    drive: Drive
    clock: FakeClock
    reap: Callable[[], Awaitable[None]] = _nothing

    async def call(self, op: Op[R]) -> R:
        """Call the drive."""
        return await self.drive.call(op)

    async def refused(self, op: Op[R], kind: type[DriveError]) -> DriveError:
        """Call the drive and return the error, which has to be of this kind."""
        with pytest.raises(DriveError) as raised:
            await self.drive.call(op)
        assert raised.type is kind, repr(raised.value)
        return raised.value

    async def records(self, key: str = KEY, *, bucket: str = BUCKET) -> list[Record]:
        """Return what the drive holds of a key, newest first."""
        state = await self.state(key, bucket=bucket)
        assert state.unknown == 0
        return [decode_record(sealed) for sealed in state.records]

    async def orders(self, key: str = KEY, *, bucket: str = BUCKET) -> list[Order]:
        """Return the orders the drive holds of a key, newest first."""
        return [record.version.order for record in await self.records(key, bucket=bucket)]

    async def state(self, key: str = KEY, *, bucket: str = BUCKET) -> KeyState:
        """Read a key."""
        return await self.drive.call(ReadKey(bucket, key, limit=100))  # type: ignore[arg-type]

    async def write(self, name: tuple[bytes, int, int], content: bytes) -> None:
        """Write a whole shard file."""
        sink = await self.drive.create_shard(*name)  # type: ignore[arg-type]
        await sink.write(content)
        await sink.finish()

    async def readable(self, name: tuple[bytes, int, int]) -> bool:
        """Whether a shard file can be read, once what is retired is gone."""
        await self.reap()
        try:
            await self.drive.read_shard(*name, offset=0, size=1)  # type: ignore[arg-type]
        except ShardMissing:
            return False
        return True

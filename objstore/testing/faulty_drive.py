"""A drive that fails when told to: a decorator over any Drive.

Faults are chosen by what a call is, never by how many came before it, so that a test keeps its
meaning when the code under test changes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from objstore.drive.api import Buffer, Drive, ShardSink
from objstore.drive.lanes import again
from objstore.drive.ops import Op, R
from objstore.errors import DriveError, DriveOffline
from objstore.names import DataId, DriveId


@dataclass(frozen=True, slots=True)
class DriveCall:
    """One call, as a rule sees it.

    `verb` is the name of the op ("Commit") or of the method ("create_shard", "write", "finish",
    "abort", "read_shard"); `shard` is (data id, part, shard) of the latter.
    """

    verb: str
    op: Op[Any] | None = None
    shard: tuple[DataId, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Late:
    """Answer, but only after so long."""

    seconds: float


class Hang:
    """Never answer."""


class Rot:
    """Flip a bit of what is read."""


class AnswerLost:
    """Do what an op asks, and let nobody hear of it."""


Fault = DriveError | Late | Hang | Rot | AnswerLost
Rule = Callable[[DriveCall], Fault | None]


def on(verb: str, fault: Fault) -> Rule:
    """Return the rule that every call of `verb` meets `fault`."""
    return lambda call: fault if call.verb == verb else None


def always(fault: Fault) -> Rule:
    """Return the rule that every call but an abort meets `fault`."""
    return lambda call: fault if call.verb != "abort" else None


class FaultyDrive:
    """`inner`, with `rules` asked before every call; the first fault counts."""

    def __init__(self, inner: Drive, *rules: Rule) -> None:
        """Decorate `inner`. `rules` may be changed while the drive is used."""
        self.inner = inner
        self.rules = list(rules)
        self.calls: list[DriveCall] = []

    @property
    def can_read(self) -> bool:
        """It is always tried."""
        return True

    @property
    def can_write(self) -> bool:
        """It is always tried."""
        return True

    @property
    def is_slow(self) -> bool:
        """It is always waited for."""
        return False

    @property
    def drive_id(self) -> DriveId:
        return self.inner.drive_id

    async def call(self, op: Op[R]) -> R:
        met = await self._meet(DriveCall(type(op).__name__, op=op))
        answer = await self.inner.call(op)
        if isinstance(met, AnswerLost):
            raise DriveOffline("the answer was lost")
        return answer

    async def create_shard(self, data_id: DataId, part: int, shard: int) -> ShardSink:
        name = (data_id, part, shard)
        await self._meet(DriveCall("create_shard", shard=name))
        return _FaultySink(self, await self.inner.create_shard(*name), name)

    async def read_shard(
        self, data_id: DataId, part: int, shard: int, *, offset: int, size: int
    ) -> Buffer:
        met = await self._meet(DriveCall("read_shard", shard=(data_id, part, shard)))
        data = await self.inner.read_shard(data_id, part, shard, offset=offset, size=size)
        if not isinstance(met, Rot) or not size:
            return data
        flipped = bytearray(data)
        flipped[size // 2] ^= 1
        return flipped

    async def close(self) -> None:
        await self.inner.close()

    async def _meet(self, call: DriveCall) -> Rot | AnswerLost | None:
        """Let a call meet its fault; return what is wrong with its answer, if anything."""
        self.calls.append(call)
        for rule in tuple(self.rules):
            match rule(call):
                case None:
                    continue
                case Late(seconds=seconds):
                    await asyncio.sleep(seconds)
                case Hang():
                    await asyncio.get_running_loop().create_future()
                case Rot() | AnswerLost() as met:
                    return met
                case DriveError() as error:
                    raise again(error)
        return None


class _FaultySink:
    def __init__(self, drive: FaultyDrive, inner: ShardSink, name: tuple[DataId, int, int]) -> None:
        self._drive = drive
        self._inner = inner
        self._name = name

    async def write(self, *pieces: Buffer) -> None:
        await self._drive._meet(DriveCall("write", shard=self._name))  # noqa: SLF001
        await self._inner.write(*pieces)

    async def finish(self) -> None:
        await self._drive._meet(DriveCall("finish", shard=self._name))  # noqa: SLF001
        await self._inner.finish()

    async def abort(self) -> None:
        await self._inner.abort()


_CONFORMS: type[Drive] = FaultyDrive
_SINK_CONFORMS: type[ShardSink] = _FaultySink

"""Rebuild the shard files that one drive lost of a version, from k good blocks of each stripe.

The blocks are those of other drives; where too few of them are good, also what is left of the
target's own files, so that several damaged shards of one object are made whole stripe by stripe.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from objstore.drive.api import ShardSink
from objstore.drive.ops import DiscardShards, VerifyShard
from objstore.engine.fanout import Ahead
from objstore.engine.get import StoredObject
from objstore.engine.sets import Context, Place, SetDrive, SetHandle
from objstore.erasure.geometry import stripe_count
from objstore.errors import ShardCorrupt, ShardMissing
from objstore.limits import READ_WINDOW_STRIPES
from objstore.ondisk.record import Part, Version
from objstore.ondisk.shard_file import ShardHeader, block_checksum, encode_header, trailer_of
from objstore.versions.select import Source


class _State(Enum):
    """How a shard file of the target is."""

    WHOLE = auto()
    DAMAGED = auto()
    MISSING = auto()


async def _write(
    part: Part, stripe: int, blocks: Mapping[int, memoryview], sinks: Mapping[int, ShardSink]
) -> int:
    """Append one block to each shard; return their bytes."""
    for shard, sink in sinks.items():
        await sink.write(block_checksum(part.data_id, shard, stripe, blocks[shard]), blocks[shard])
    return sum(len(blocks[shard]) for shard in sinks)


@dataclass(frozen=True, slots=True)
class LostVersion:
    """A version of which the drive `target` lost shards; `sources` says where others are."""

    context: Context
    handle: SetHandle
    version: Version
    sources: Mapping[int, Source]
    target: int

    @property
    def _drive(self) -> SetDrive:
        return self.handle.drives[self.target]

    def source(self) -> StoredObject:
        """The version as it can be read; from the target only what no other drive has whole."""
        place = Place(self.handle, self.version.slots)
        mine = frozenset(
            shard for shard, source in self.sources.items() if source.drive == self.target
        )
        return StoredObject(
            self.context, place, self.version, dict(self.sources), complete=True, known=mine
        )

    async def whole(self, part: Part, shard: int) -> bool:
        """Whether the target has this shard file and every block of it is good."""
        return await self._state(part, shard) is _State.WHOLE

    async def _state(self, part: Part, shard: int) -> "_State":
        try:
            await self._drive.call(VerifyShard(part.data_id, part.number, shard))
        except ShardMissing:
            return _State.MISSING
        except ShardCorrupt:
            return _State.DAMAGED
        return _State.WHOLE

    async def rebuild(self, part: Part, shards: tuple[int, ...]) -> int:
        """Write those of `shards` that are not whole on the target; return the bytes written.

        A damaged file stays in its place until the new one is complete: its good blocks may be
        what another shard is rebuilt from. What takes its place is read back, because the medium
        has failed there before.

        Raises:
            ReadQuorumLost: fewer than k blocks of some stripe are good.
            DriveError: the target failed. Nothing names what was written so far.
        """
        states = {shard: await self._state(part, shard) for shard in shards}
        shards = tuple(shard for shard in shards if states[shard] is not _State.WHOLE)
        if not shards or not part.size:
            return 0
        layout = self.handle.layout
        room = self.context.rebuilds.of(layout.pool, layout.index, self.target)
        async with room.taken(part.size):
            written = await self._write_anew(part, shards)
        for shard in shards:
            if states[shard] is _State.DAMAGED:
                await self._drive.call(VerifyShard(part.data_id, part.number, shard))
        return written

    async def _write_anew(self, part: Part, shards: tuple[int, ...]) -> int:
        await self._drive.call(
            DiscardShards(tuple((part.data_id, part.number, shard) for shard in shards))
        )
        sinks: dict[int, ShardSink] = {}
        try:
            for shard in shards:
                sinks[shard] = await self._drive.create_shard(part.data_id, part.number, shard)
                await sinks[shard].write(encode_header(self._header(part, shard)))
            written = await self._copy(part, sinks)
            for sink in sinks.values():
                await sink.write(trailer_of(self.version, part))
                await sink.finish()
        except BaseException:
            for sink in sinks.values():
                await sink.abort()
            raise
        return written

    async def _copy(self, part: Part, sinks: Mapping[int, ShardSink]) -> int:
        """Rebuild and write, window by window; the next one is read while one is written."""
        source = self.source()
        count = stripe_count(part.size, self.version.stripe_bytes)
        windows = [
            range(first, min(first + READ_WINDOW_STRIPES, count))
            for first in range(0, count, READ_WINDOW_STRIPES)
        ]
        group, written = self.context.group, 0
        ahead = Ahead(group, source.window(part, windows[0], spare=1))
        try:
            for number, stripes in enumerate(windows):
                window = await ahead.result()
                if number + 1 < len(windows):
                    ahead = Ahead(group, source.window(part, windows[number + 1], spare=1))
                rows = await self.context.cpu.run(window.size, partial(window.rebuild, list(sinks)))
                for stripe, blocks in zip(stripes, rows, strict=True):
                    written += await _write(part, stripe, blocks, sinks)
        finally:
            ahead.cancel()
        return written

    def _header(self, part: Part, shard: int) -> ShardHeader:
        version = self.version
        return ShardHeader(
            bucket=version.bucket,
            key=version.key,
            data_id=part.data_id,
            part=part.number,
            shard=shard,
            k=version.k,
            m=version.m,
            stripe_bytes=version.stripe_bytes,
            stamp=version.stamp,
            upload_id=version.upload_id,
            deployment=self.context.deployment.hex(),
        )

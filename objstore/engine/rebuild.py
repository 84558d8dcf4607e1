"""Rebuild the shard files that one drive lost of a version, from k shards of the others."""

from collections.abc import Mapping
from dataclasses import dataclass
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
        """The version as it can be read without the target."""
        others = {
            shard: source for shard, source in self.sources.items() if source.drive != self.target
        }
        place = Place(self.handle, self.version.slots)
        return StoredObject(self.context, place, self.version, others, complete=True)

    async def whole(self, part: Part, shard: int) -> bool:
        """Whether the target has this shard file and every block of it is good."""
        try:
            await self._drive.call(VerifyShard(part.data_id, part.number, shard))
        except (ShardMissing, ShardCorrupt):
            return False
        return True

    async def rebuild(self, part: Part, shards: tuple[int, ...]) -> int:
        """Write those of `shards` that are not whole on the target; return the bytes written.

        Raises:
            ReadQuorumLost: fewer than k other shards of some stripe are good.
            DriveError: the target failed. Nothing names what was written so far.
        """
        shards = tuple([shard for shard in shards if not await self.whole(part, shard)])
        if not shards or not part.size:
            return 0
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
        ahead = Ahead(group, source.window(part, windows[0]))
        try:
            for number, stripes in enumerate(windows):
                window = await ahead.result()
                if number + 1 < len(windows):
                    ahead = Ahead(group, source.window(part, windows[number + 1]))
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

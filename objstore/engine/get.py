"""GET: find the version that answers, and read k shards of every stripe.

Data shards come first, because they need no decoding. A block that is damaged, or a drive that
fails or dawdles, is made up for by parity, stripe by stripe; the client sees nothing of it. What
was found wanting is written down for the healer.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from objstore.drive.api import Buffer
from objstore.drive.ops import ReadKey, Settle
from objstore.engine.fanout import Ahead, Fanout, call_all
from objstore.engine.resolve import answer_of, resolve
from objstore.engine.sets import Context, Place
from objstore.engine.window import Window
from objstore.erasure.geometry import stripes_of_range
from objstore.errors import DriveError, ReadQuorumLost, RequestRefused, ShardCorrupt
from objstore.limits import (
    CALL_DEADLINE_S,
    READ_DECISION_DEADLINE_S,
    READ_HEDGE_S,
    READ_WINDOW_STRIPES,
    SHARD_CALL_DEADLINE_S,
)
from objstore.names import CURRENT, BucketName, ObjectKey, VersionId
from objstore.ondisk.record import Part, Version
from objstore.quorum.reduce import describe_errors
from objstore.versions.select import Source


async def open_object(
    context: Context,
    places: tuple[Place, ...],
    bucket: BucketName,
    key: ObjectKey,
    version_id: VersionId = CURRENT,
) -> "StoredObject":
    """Find an object, or a delete marker, in the pools it may be in; the newest version wins.

    Raises:
        RequestRefused: NoSuchKey, NoSuchVersion.
        ReadQuorumLost: a set cannot tell.
    """
    found: StoredObject | None = None
    for place in places:
        choice = await resolve(context, place.handle, bucket, key, version_id)
        if choice.version is None:
            continue
        assert choice.sources is not None
        candidate = StoredObject(context, place, choice.version, dict(choice.sources))
        if found is None or candidate.version.order > found.version.order:
            found = candidate
    if found is None:
        if version_id == CURRENT:
            raise RequestRefused("NoSuchKey", Key=key)
        raise RequestRefused("NoSuchVersion", Key=key, VersionId=version_id)
    return found


@dataclass(slots=True)
class StoredObject:
    """An object that was found.

    It was chosen as soon as enough drives had answered, so `sources` may lack shards until they
    are needed; `complete` says that every drive was asked. `bad` shards failed during this read
    and are not tried again; `slow` ones are tried last.
    """

    context: Context
    place: Place
    version: Version
    sources: dict[int, Source]
    complete: bool = False
    bad: dict[int, DriveError] = field(default_factory=dict)
    slow: set[int] = field(default_factory=set)
    known: frozenset[int] = frozenset()
    _noted: bool = False

    def afresh(self) -> "StoredObject":
        """Return the same version, for a read that counts no shard as failed."""
        return StoredObject(self.context, self.place, self.version, dict(self.sources))

    async def read(self, start: int, stop: int) -> AsyncIterator[Buffer]:
        """Yield bytes `start` to `stop` (exclusive) of the object."""
        assert 0 <= start <= stop <= self.version.size
        begin = 0
        for part in self.version.parts:
            end = begin + part.size
            if begin < stop and start < end:
                async for piece in self._read_part(
                    part, max(start, begin) - begin, min(stop, end) - begin
                ):
                    yield piece
            begin = end

    async def _read_part(self, part: Part, start: int, stop: int) -> AsyncIterator[Buffer]:
        """Yield a range of one part, one window of stripes ahead of the client."""
        stripe_bytes = self.version.stripe_bytes
        stripes = stripes_of_range(start, stop, stripe_bytes)
        windows = [
            range(first, min(first + READ_WINDOW_STRIPES, stripes.stop))
            for first in range(stripes.start, stripes.stop, READ_WINDOW_STRIPES)
        ]
        ahead: Ahead[list[Buffer]] | None = None
        try:
            for number, window in enumerate(windows):
                pieces = await (ahead.result() if ahead else self._read_window(part, window))
                ahead = None
                if number + 1 < len(windows):
                    ahead = Ahead(self.context.group, self._read_window(part, windows[number + 1]))
                offset = window.start * stripe_bytes
                for piece in pieces:
                    low, high = max(start - offset, 0), min(stop - offset, len(piece))
                    if low < high:
                        yield memoryview(piece)[low:high]
                    offset += len(piece)
        finally:
            if ahead is not None:
                ahead.cancel()

    async def _read_window(self, part: Part, stripes: range) -> list[Buffer]:
        """Return the data blocks of a window's stripes, in order, without padding."""
        window = await self.window(part, stripes)
        return await self.context.cpu.run(window.size, window.pieces)

    async def window(self, part: Part, stripes: range, *, spare: int = 0) -> Window:
        """Read frames until every stripe of the window has k good blocks.

        With `spare`, as many shards more are read when there are healthy ones: with them what is
        rebuilt can be rebuilt once more from others.

        Raises:
            ReadQuorumLost: some stripe does not get them.
        """
        assembly = Window(self.version, part, stripes)
        wanted = self._preferred(part, spare)
        while wanted:
            await self._fetch(assembly, wanted)
            bad = await self.context.cpu.run(assembly.size, assembly.check)
            for shard, error in bad.items():
                await self._report(shard, error)
            if not assembly.lacking():
                return assembly
            wanted = self._untried(assembly)
            if not wanted and await self._find_more_sources():
                wanted = self._untried(assembly)
        raise ReadQuorumLost(
            f"part {part.number}: {assembly.best()} of {self.version.k} shards needed could be "
            f"read; {describe_errors(self.bad)}"
        )

    def _untried(self, assembly: Window) -> list[int]:
        return [shard for shard in self._usable(assembly.part) if shard not in assembly.tried]

    async def _find_more_sources(self) -> bool:
        """Ask the drives that had not answered when the version was chosen; True once."""
        if self.complete:
            return False
        self.complete = True
        handle = self.place.handle
        known = {source.drive for source in self.sources.values()}
        op = ReadKey(self.version.bucket, self.version.key, stamp=self.version.stamp)
        fanout = await call_all(
            self.context.group,
            {
                drive: partial(handle.drives[drive].call, op)
                for drive in handle.readable()
                if drive not in known
            },
            deadline_s=READ_DECISION_DEADLINE_S,
        )
        for drive, state in fanout.answers.items():
            record = answer_of(state).find(self.version.order)
            if record is not None:
                self.sources |= {held.shard: Source(drive, held) for held in record.held}
        return True

    def _usable(self, part: Part) -> list[int]:
        drives = self.place.handle.drives
        return [
            shard
            for shard, source in sorted(
                self.sources.items(),
                key=lambda item: (
                    self._is_damaged(item[0]),
                    item[0] in self.slow or drives[item[1].drive].is_slow,
                    item[0],
                ),
            )
            if part.number not in source.held.missing_parts
            and isinstance(self.bad.get(shard), ShardCorrupt | None)
            and (source.held.inline is not None or drives[source.drive].can_read)
        ]

    def _is_damaged(self, shard: int) -> bool:
        return shard in self.bad or shard in self.known

    def _preferred(self, part: Part, spare: int) -> list[int]:
        """Data shards first: they need no decoding. Then as much parity as is missing."""
        usable, k = self._usable(part), self.version.k
        more = [shard for shard in usable[k : k + spare] if not self._is_damaged(shard)]
        return usable[:k] + more

    async def _fetch(self, assembly: Window, shards: list[int]) -> None:
        """Read the window's frames of these shards; hedge with the others when one dawdles."""

        def enough(fanout: Fanout[None]) -> bool | None:
            return True if len(fanout.answers) >= self.version.k else None

        inline = {shard: self.sources[shard].held.inline for shard in shards}
        if None not in inline.values():  # in the records: there is nothing to wait for
            for shard in shards:
                await self._read_frames(assembly, shard)
            assembly.tried.update(shards)
            return
        fanout = Fanout(self.context.group, self._reads(assembly, shards))
        try:
            await fanout.finished(deadline_s=READ_HEDGE_S)
            if fanout.pending:
                self.slow.update(set(shards) - fanout.answers.keys() - fanout.errors.keys())
                spare = [shard for shard in self._usable(assembly.part) if shard not in shards]
                fanout.add(self._reads(assembly, spare))
                await fanout.until(enough, deadline_s=SHARD_CALL_DEADLINE_S)
        finally:
            fanout.cancel()
        for shard, error in fanout.errors.items():
            await self._report(shard, error)
        assembly.tried.update(shards, fanout.answers)

    def _reads(
        self, assembly: Window, shards: list[int]
    ) -> dict[int, Callable[[], Awaitable[None]]]:
        return {shard: partial(self._read_frames, assembly, shard) for shard in shards}

    async def _read_frames(self, assembly: Window, shard: int) -> None:
        source = self.sources[shard]
        if source.held.inline is not None:
            assembly.frames[shard] = memoryview(source.held.inline)
            return
        offset, size = assembly.span()
        frames = await self.place.handle.drives[source.drive].read_shard(
            assembly.part.data_id, assembly.part.number, shard, offset=offset, size=size
        )
        assembly.frames[shard] = memoryview(frames)

    async def _report(self, shard: int, error: DriveError) -> None:
        """Leave the shard out from now on, and tell the healer once."""
        self.bad[shard] = error
        if self._noted or shard in self.known:
            return
        self._noted = True
        version = self.version
        missed = (version.slots[shard],)
        note = Settle(version.bucket, version.key, version.order, missed, version.size)
        holders = {source.drive for source in self.sources.values()}
        drives = self.place.handle.drives
        await call_all(
            self.context.group,
            {
                drive: partial(drives[drive].call, note)
                for drive in holders
                if drives[drive].can_write
            },
            deadline_s=CALL_DEADLINE_S,
        )

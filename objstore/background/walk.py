"""Compare one drive with its set, key by key, and heal what differs: rebuild and catch-up.

A rebuild fills a drive that lost its records (a replacement, or a journal set aside); when it is
complete the drive is trusted again. A catch-up brings a drive up to date that was away. Both are
the same walk: buckets first, then uploads, then keys in byte order, page by page, so that what
is there already costs a comparison and nothing more. Progress is stored on the drive, where
every process can read it.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial

import msgspec

from objstore.background.bucket_heal import heal_buckets
from objstore.background.ports import OwnDrive
from objstore.background.side_by_side import side_by_side
from objstore.drive.job_states import Progress
from objstore.drive.ops import (
    KeyEntry,
    ListTombstones,
    ListVersions,
    ReadStatus,
    VersionPage,
    WriteProgress,
)
from objstore.engine.fanout import call_all
from objstore.engine.heal import KeyQuarantined, heal_key
from objstore.engine.heal_upload import heal_uploads
from objstore.engine.notes import note_recoding, note_unhealed
from objstore.engine.pages import Position, ask_for_pages, order_at, position_of
from objstore.engine.sets import Context
from objstore.errors import DriveError, QuorumError, ReadQuorumLost
from objstore.limits import CALL_DEADLINE_S, LIST_KEYS_MAX, PROGRESS_INTERVAL_S
from objstore.names import NO_ORDER, STAMP_BYTES, BucketName, ObjectKey, Order, Stamp


@dataclass(frozen=True, slots=True)
class Difference:
    """A key to look at, because the drive says something else than its set (or `verify`)."""

    bucket: BucketName
    key: ObjectKey


class Walk:
    """One walk over one drive."""

    def __init__(
        self, context: Context, drive: OwnDrive, job: str, *, verify: bool, asked_ms: int = 0
    ) -> None:
        """Prepare a walk. `asked_ms`: when an operator last asked for one, by another's clock."""
        self._context = context
        self._own = drive
        self._handle = drive.handle
        self._drive = drive.handle.drives[drive.index]
        self._verify = verify
        now = context.now_ms()
        # What is begun because it was asked for begins no earlier, whatever the clocks say.
        started = max(now, asked_ms)
        self._progress = Progress(job=job, started_ms=started, updated_ms=now)
        self._written = 0.0
        self._quarantined = 0

    async def run(self) -> Progress:
        """Walk to the end and return the final progress.

        Raises:
            DriveError: the drive went away; whoever tends it walks again.
            QuorumError: the set cannot tell; likewise.
        """
        await self._estimate()
        await self._save(force=True)
        buckets = await heal_buckets(self._context, self._handle, self._own.index)
        for bucket in buckets:
            failed = await heal_uploads(self._context, self._handle, self._own.index, bucket)
            self._count(failed=failed)
        for bucket in buckets:
            await self._walk_bucket(bucket)
        await self._walk_tombstones()
        self._progress = msgspec.structs.replace(self._progress, finished_ms=self._context.now_ms())
        # What too little is left of on all drives does not get better by waiting.
        done = self._progress.keys_failed == self._quarantined
        await self._save(force=True, trusted=True if done else None)
        return self._progress

    async def _estimate(self) -> None:
        """Take the largest count of the other drives as the total."""
        others = [index for index in self._handle.readable() if index != self._own.index]
        fanout = await call_all(
            self._context.group,
            {index: partial(self._handle.drives[index].call, ReadStatus()) for index in others},
            deadline_s=CALL_DEADLINE_S,
        )
        statuses = fanout.answers.values()
        slots = len(self._handle.slots_of_drive[self._own.index])
        logical = max((status.object_bytes for status in statuses), default=0)
        self._progress = msgspec.structs.replace(
            self._progress,
            keys_total=max((status.objects for status in statuses), default=0),
            bytes_total=logical * slots // self._handle.layout.scheme.k,
        )

    async def _save(self, *, force: bool = False, trusted: bool | None = None) -> None:
        now = self._context.clock.monotonic_s()
        if not force and now - self._written < PROGRESS_INTERVAL_S:
            return
        self._written = now
        self._progress = msgspec.structs.replace(self._progress, updated_ms=self._context.now_ms())
        await self._drive.call(WriteProgress(self._progress, trusted))

    # --- keys ------------------------------------------------------------------------

    async def _walk_bucket(self, bucket: BucketName) -> None:
        async for page, done in self._differences(bucket):
            await side_by_side(partial(self._heal_counted, one) for one in page)
            self._count(keys=done - len(page))
            await self._save()

    async def _heal_counted(self, difference: Difference) -> None:
        await self._heal(difference)
        self._count(keys=1)
        await self._save()

    def _count(self, *, keys: int = 0, written: int = 0, failed: int = 0) -> None:
        progress = self._progress
        keys_done = progress.keys_done + keys
        bytes_done = progress.bytes_done + written
        self._progress = msgspec.structs.replace(
            progress,
            keys_done=keys_done,
            bytes_done=bytes_done,
            keys_failed=progress.keys_failed + failed,
            # Writes go on meanwhile: the total is never less than what is done.
            keys_total=max(progress.keys_total, keys_done),
            bytes_total=max(progress.bytes_total, bytes_done),
        )

    async def _heal(self, difference: Difference) -> None:
        try:
            healed = await heal_key(
                self._context,
                self._handle,
                difference.bucket,
                difference.key,
                frozenset({self._own.index}),
                verify=self._verify,
            )
        except ReadQuorumLost as error:
            self._count(failed=1)
            self._quarantined += isinstance(error, KeyQuarantined)
            await note_unhealed(
                self._context, self._handle, self._own.index, difference.bucket, difference.key
            )
            return
        except (QuorumError, DriveError):
            self._count(failed=1)
            return
        self._count(written=healed.shard_bytes)
        await note_recoding(self._context, self._handle, healed, difference.bucket, difference.key)

    async def _differences(self, bucket: BucketName) -> AsyncIterator[tuple[list[Difference], int]]:
        """Yield, page by page, the keys to heal and how many keys the page had."""
        key, order = "", NO_ORDER
        while True:
            op = ListVersions(bucket, after_key=key, after_order=order, limit=LIST_KEYS_MAX)
            mine = await self._drive.call(op)
            theirs = await ask_for_pages(
                self._context, self._handle, op, leave_out=frozenset({self._own.index})
            )
            pages = [mine, *theirs.values()]
            ends = [position_of(*page.next_after) for page in pages if page.next_after is not None]
            end = min(ends, default=None)
            held = _versions(mine, end)
            others = [_versions(page, end) for page in theirs.values()]
            keys = sorted(held.keys() | {name for one in others for name in one})
            differing = [name for name in keys if self._differs(held, others, name)]
            yield [Difference(bucket, name) for name in differing], len(keys)
            if end is None:
                return
            key, order = end[0], order_at(end)

    def _differs(self, held: "_Versions", others: Sequence["_Versions"], key: ObjectKey) -> bool:
        mine = held.get(key, [])
        if self._verify or any(entry.degraded for entry in mine):
            return True
        orders = [entry.order for entry in mine]
        return any([entry.order for entry in other.get(key, [])] != orders for other in others)

    # --- tombstones --------------------------------------------------------------------

    async def _walk_tombstones(self) -> None:
        """Bring the tombstones that any other drive has: a deletion must not lose its votes.

        Verifying looks at those that are there too: a record may be damaged, or what it hides may
        not be retired yet.
        """
        heard: list[int] = []
        asked = tuple(self._handle.readable())
        for index in asked:
            if (await self._handle.drives[index].call(ReadStatus())).trusted:
                heard.append(index)
            if index == self._own.index:
                continue
            after: tuple[str, str, Order] = ("", "", NO_ORDER)
            while True:
                op = ListTombstones(_END_OF_TIME, *after)
                theirs = (await self._handle.drives[index].call(op)).entries
                mine = set((await self._drive.call(op)).entries)
                for entry in theirs:
                    if self._verify or entry not in mine:
                        await self._heal(Difference(entry.bucket, entry.key))
                if len(theirs) < op.limit:
                    break
                after = (theirs[-1].bucket, theirs[-1].key, theirs[-1].order)
                await self._save()
        everybody = self._handle.is_every_slot_on(asked)
        if not everybody and not self._handle.is_fresh(heard):
            raise ReadQuorumLost(f"of deletions {len(heard)} drives told, which are too few")


_Versions = dict[ObjectKey, list[KeyEntry]]
_END_OF_TIME = Stamp(b"\xff" * STAMP_BYTES)


def _versions(page: VersionPage, end: Position | None) -> _Versions:
    """Return the versions of each key of a page, up to `end`."""
    versions: _Versions = {}
    for entry in page.entries:
        if end is None or position_of(entry.key, entry.order) <= end:
            versions.setdefault(entry.key, []).append(entry)
    return versions

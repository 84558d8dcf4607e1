"""Compare one drive with its set, key by key, and heal what differs: rebuild and catch-up.

A rebuild fills a drive that lost its records (a replacement, or a journal set aside); when it is
complete the drive is trusted again. A catch-up brings a drive up to date that was away. Both are
the same walk: buckets first, then uploads, then keys in byte order, page by page, so that what
is there already costs a comparison and nothing more. Progress is stored on the drive, where
every process can read it.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from objstore.background.ports import OwnDrive
from objstore.drive.ops import (
    BucketPage,
    KeyEntry,
    KeyPage,
    ListBuckets,
    ListKeys,
    Progress,
    PutBucket,
    ReadStatus,
    WriteProgress,
)
from objstore.engine.fanout import call_all
from objstore.engine.heal import heal_key
from objstore.engine.heal_upload import heal_uploads
from objstore.engine.list import ask_for_pages
from objstore.engine.sets import Context, SetHandle
from objstore.errors import DriveError, QuorumError, RecordUnknown
from objstore.limits import CALL_DEADLINE_S, HEALS_AT_ONCE_MAX, LIST_KEYS_MAX, PROGRESS_INTERVAL_S
from objstore.names import BucketName, ObjectKey
from objstore.ondisk.record import Bucket, decode_bucket, encode_bucket


@dataclass(frozen=True, slots=True)
class Difference:
    """A key to look at, because the drive says something else than its set (or `verify`)."""

    bucket: BucketName
    key: ObjectKey


class Walk:
    """One walk over one drive."""

    def __init__(self, context: Context, drive: OwnDrive, job: str, *, verify: bool) -> None:
        self._context = context
        self._own = drive
        self._handle = drive.handle
        self._drive = drive.handle.drives[drive.index]
        self._verify = verify
        now = context.now_ms()
        self._progress = Progress(job=job, started_ms=now, updated_ms=now)
        self._written = 0.0

    async def run(self) -> Progress:
        """Walk to the end and return the final progress.

        Raises:
            DriveError: the drive went away; whoever tends it walks again.
            QuorumError: the set cannot tell; likewise.
        """
        await self._estimate()
        await self._save(force=True)
        buckets = await self._heal_buckets()
        for bucket in buckets:
            await heal_uploads(self._context, self._handle, self._own.index, bucket)
        for bucket in buckets:
            await self._walk_bucket(bucket)
        self._progress = msgspec.structs.replace(self._progress, finished_ms=self._context.now_ms())
        await self._save(force=True, trusted=True if not self._progress.keys_failed else None)
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

    # --- buckets ---------------------------------------------------------------------

    async def _heal_buckets(self) -> list[BucketName]:
        """Give the drive the newest record of every bucket; return those that exist."""
        newest = await newest_buckets(self._context, self._handle)
        mine = _by_name(await self._drive.call(ListBuckets()))
        for name, bucket in newest.items():
            held = mine.get(name)
            if held is None or held.stamp < bucket.stamp:
                await self._drive.call(PutBucket(encode_bucket(bucket), force=True))
        return sorted(name for name, bucket in newest.items() if not bucket.deleted)

    # --- keys ------------------------------------------------------------------------

    async def _walk_bucket(self, bucket: BucketName) -> None:
        async for page, done in self._differences(bucket):
            for first in range(0, len(page), HEALS_AT_ONCE_MAX):
                batch = page[first : first + HEALS_AT_ONCE_MAX]
                async with asyncio.TaskGroup() as group:
                    for difference in batch:
                        group.create_task(self._heal(difference))
                self._count(keys=len(batch))
                await self._save()
            self._count(keys=done - len(page))
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
        except (QuorumError, DriveError):
            self._count(failed=1)
            return
        self._count(written=healed.shard_bytes)

    async def _differences(self, bucket: BucketName) -> AsyncIterator[tuple[list[Difference], int]]:
        """Yield, page by page, the keys to heal and how many keys the page had."""
        after = ""
        while True:
            op = ListKeys(bucket, after=after, limit=LIST_KEYS_MAX)
            mine = await self._drive.call(op)
            theirs = await ask_for_pages(
                self._context, self._handle, op, leave_out=frozenset({self._own.index})
            )
            pages = [mine, *theirs.values()]
            cuts = [page.next_after for page in pages if page.next_after is not None]
            cut = min(cuts) if cuts else None
            newest = _newest_entries(list(theirs.values()), cut)
            held = _newest_entries([mine], cut)
            keys = sorted(newest.keys() | held.keys())
            yield (
                [Difference(bucket, key) for key in keys if self._differs(newest, held, key)],
                len(keys),
            )
            if cut is None:
                return
            after = cut

    def _differs(
        self,
        newest: Mapping[ObjectKey, KeyEntry],
        held: Mapping[ObjectKey, KeyEntry],
        key: ObjectKey,
    ) -> bool:
        mine, theirs = held.get(key), newest.get(key)
        if self._verify or mine is None or theirs is None:
            return True
        return mine.order != theirs.order or mine.degraded


def _newest_entries(pages: list[KeyPage], cut: str | None) -> dict[ObjectKey, KeyEntry]:
    newest: dict[ObjectKey, KeyEntry] = {}
    for page in pages:
        for entry in page.entries:
            held = newest.get(entry.key)
            beyond = cut is not None and entry.key > cut
            if not beyond and (held is None or held.order < entry.order):
                newest[entry.key] = entry
    return newest


async def newest_buckets(context: Context, handle: SetHandle) -> dict[BucketName, Bucket]:
    """Join what every drive of a set knows of buckets, tombstones too."""
    fanout = await call_all(
        context.group,
        {index: partial(handle.drives[index].call, ListBuckets()) for index in handle.readable()},
        deadline_s=CALL_DEADLINE_S,
    )
    newest: dict[BucketName, Bucket] = {}
    for page in fanout.answers.values():
        for name, bucket in _by_name(page).items():
            held = newest.get(name)
            if held is None or held.stamp < bucket.stamp:
                newest[name] = bucket
    return newest


def _by_name(page: BucketPage) -> dict[BucketName, Bucket]:
    buckets: dict[BucketName, Bucket] = {}
    for sealed in page.records:
        try:
            bucket = decode_bucket(sealed)
        except RecordUnknown:
            continue
        buckets[bucket.name] = bucket
    return buckets

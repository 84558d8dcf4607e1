"""Buckets: one small record each, on every drive of every set.

A drive refuses objects of a bucket it does not know, and refuses to forget a bucket that still
has objects. Any two write quorums share a slot, so of a PUT and a DeleteBucket that race at most
one is acknowledged, without a lock.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from objstore.drive.ops import BucketPage, ListBuckets, Op, PutBucket, R, ReadBucket
from objstore.engine.fanout import Fanout, call_all
from objstore.engine.sets import Context, SetDrive, SetHandle
from objstore.errors import (
    BucketMissing,
    BucketNotEmpty,
    ReadQuorumLost,
    RecordUnknown,
    RequestRefused,
    Superseded,
    WriteQuorumLost,
)
from objstore.limits import (
    BUCKET_CACHE_S,
    CALL_DEADLINE_S,
    READ_DECISION_DEADLINE_S,
    SETTING_TRIES_MAX,
)
from objstore.names import BucketName, Stamp
from objstore.ondisk.record import Bucket, decode_bucket, encode_bucket
from objstore.quorum.reduce import describe_errors
from objstore.quorum.thresholds import write_quorum_least
from objstore.versions.hlc import wall_ms_of

# The record of a bucket that exists, for a drive that missed it; None when it does not, or when
# nobody can tell.
BucketRecord = Callable[[BucketName], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class _Cached:
    bucket: Bucket
    read_s: float
    changes: int  # what the context had counted before it was read


class Buckets:
    """The buckets of a deployment, with what was read in the last second.

    A change of a bucket that a drive of this server took shows at once (`Context.bucket_changes`);
    one that reached only other servers, within BUCKET_CACHE_S.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._cache: dict[BucketName, _Cached] = {}

    async def find(self, name: BucketName) -> Bucket:
        """Return a bucket, from the cache when it was read less than BUCKET_CACHE_S ago.

        Raises:
            RequestRefused: NoSuchBucket.
            ReadQuorumLost: the slots that answered cannot tell.
        """
        now = self._context.clock.monotonic_s()
        changes = self._context.bucket_changes()
        held = self._cache.get(name)
        if held is not None and held.changes == changes:
            if now - held.read_s < BUCKET_CACHE_S:
                return held.bucket
            self._cache[name] = replace(held, read_s=now)  # one looks, the others need not
        newest = (await self._read(ReadBucket(name))).get(name)
        if newest is None or newest.deleted:
            self._cache.pop(name, None)
            raise RequestRefused("NoSuchBucket", BucketName=name)
        self._cache[name] = _Cached(newest, now, changes)
        return newest

    async def record(self, name: BucketName) -> bytes | None:
        """Return a bucket's record as it is stored; None when there is none or none can be read."""
        try:
            return encode_bucket(await self.find(name))
        except (RequestRefused, ReadQuorumLost):
            return None

    async def list_all(self) -> list[Bucket]:
        """Return every bucket, in order of name."""
        newest = await self._read(ListBuckets())
        return [newest[name] for name in sorted(newest) if not newest[name].deleted]

    async def create(
        self, name: BucketName, *, owner: str, region: str, settings: Mapping[str, bytes]
    ) -> Bucket:
        """Create a bucket, with its first settings.

        Raises:
            RequestRefused: BucketAlreadyOwnedByYou or BucketAlreadyExists.
            WriteQuorumLost: too few slots could take it.
        """
        held = (await self._read(ReadBucket(name))).get(name)
        if held is not None and not held.deleted:
            mine = held.owner == owner
            raise RequestRefused(
                "BucketAlreadyOwnedByYou" if mine else "BucketAlreadyExists", BucketName=name
            )
        if held is not None:
            self._context.hlc.observe(held.stamp, self._context.now_ms())
        stamp = self._context.stamp()
        bucket = Bucket(
            name, stamp, wall_ms_of(stamp), owner=owner, region=region, settings=dict(settings)
        )
        await self._write(bucket)
        return bucket

    async def change(self, name: BucketName, change: Callable[[Bucket], Bucket]) -> Bucket:
        """Change what is said about a bucket, and return it as it is then.

        The record is made from the newest one; a drive that holds a later one refuses, so that of
        two changes that race none is lost: the second is made again.

        Raises:
            RequestRefused: NoSuchBucket, OperationAborted, or what `change` raises.
            WriteQuorumLost: too few slots could take it.
        """
        for _ in range(SETTING_TRIES_MAX):
            self._cache.pop(name, None)
            bucket = await self.find(name)
            # Written even when nothing changes: what was found may be on some drives only, left by
            # an attempt that was refused or another's that is under way.
            stamp = self._context.hlc.above(bucket.stamp, self._context.now_ms())
            changed = msgspec.structs.replace(change(bucket), stamp=stamp)
            try:
                await self._write(changed, base=bucket.stamp)
            except RequestRefused as refused:
                if refused.reason != "OperationAborted":
                    raise
                continue
            self._cache.pop(name, None)
            return changed
        raise RequestRefused("OperationAborted", BucketName=name)

    async def delete(self, name: BucketName) -> None:
        """Delete a bucket that has no objects and no uploads.

        Raises:
            RequestRefused: NoSuchBucket or BucketNotEmpty.
            WriteQuorumLost: too few slots could take the tombstone.
        """
        self._cache.pop(name, None)
        bucket = await self.find(name)
        self._cache.pop(name, None)
        gone = msgspec.structs.replace(bucket, stamp=self._context.stamp(), deleted=True)
        try:
            await self._write(gone)
        except (WriteQuorumLost, RequestRefused):
            # Some drives may have taken it: put the bucket back, with a later stamp.
            await self._write(msgspec.structs.replace(bucket, stamp=self._context.stamp()))
            raise

    async def _read(self, op: ReadBucket | ListBuckets) -> dict[BucketName, Bucket]:
        """Ask one set after the other for its newest records, and join them."""
        newest: dict[BucketName, Bucket] = {}
        for handle in self._context.sets:
            for bucket in await self._read_set(handle, op):
                held = newest.get(bucket.name)
                if held is None or bucket.stamp > held.stamp:
                    newest[bucket.name] = bucket
        return newest

    async def _read_set(self, handle: SetHandle, op: ReadBucket | ListBuckets) -> list[Bucket]:
        found: list[Bucket] = []
        opened: dict[int, bool] = {}

        def decide(fanout: Fanout[BucketPage]) -> bool | None:
            for drive, page in fanout.answers.items():
                if drive not in opened:
                    opened[drive] = _open_page(page, found)
            fresh = tuple(drive for drive, trusted in opened.items() if trusted)
            return True if handle.is_fresh(fresh) else None

        fanout = Fanout(
            self._context.group,
            {drive: partial(handle.drives[drive].call, op) for drive in handle.readable()},
        )
        try:
            if not await fanout.until(decide, deadline_s=READ_DECISION_DEADLINE_S):
                raise ReadQuorumLost(
                    f"{len(fanout.answers)} of {len(handle.drives)} drives of set "
                    f"{handle.layout.index} answered; {describe_errors(fanout.errors)}"
                )
        finally:
            fanout.cancel()
        return found

    async def _write(self, bucket: Bucket, base: Stamp | None = None) -> None:
        """Store a bucket's record in every set, at write quorum in each."""
        op = PutBucket(encode_bucket(bucket), base=base)
        # All sets before any: what is refused for one of them shall not be found in another.
        for handle in self._context.sets:
            handle.require_writable(write_quorum_least(handle.total_slots))
        for handle in self._context.sets:
            needed = write_quorum_least(handle.total_slots)
            fanout = await call_all(
                self._context.group,
                {drive: partial(handle.drives[drive].call, op) for drive in handle.writable()},
                deadline_s=CALL_DEADLINE_S,
            )
            if handle.is_enough(fanout.answers, needed):
                continue
            errors = fanout.errors.values()
            if any(isinstance(error, BucketNotEmpty) for error in errors):
                raise RequestRefused("BucketNotEmpty", BucketName=bucket.name)
            if any(isinstance(error, Superseded) for error in errors):
                raise RequestRefused("OperationAborted", BucketName=bucket.name)
            raise WriteQuorumLost(
                f"{handle.slots_on(tuple(fanout.answers))} of {handle.total_slots} slots of set "
                f"{handle.layout.index} took the bucket, {needed} are needed: "
                f"{describe_errors(fanout.errors)}"
            )


async def call_with_bucket(drive: SetDrive, op: Op[R], name: BucketName, record: BucketRecord) -> R:
    """Call a drive; one that missed the bucket is told of it and called again.

    Raises:
        BucketMissing: the bucket does not exist, or was deleted on this drive since.
        DriveError: what else the drive answers.
    """
    try:
        return await drive.call(op)
    except BucketMissing:
        sealed = await record(name)
        if sealed is None:
            raise
    with suppress(Superseded):  # it has been told meanwhile, or of the bucket's end
        await drive.call(PutBucket(sealed))
    return await drive.call(op)


def _open_page(page: BucketPage, found: list[Bucket]) -> bool:
    """Add a drive's buckets; return whether what it lacks is absent rather than unknown."""
    trusted = page.trusted
    for sealed in page.records:
        try:
            found.append(decode_bucket(sealed))
        except RecordUnknown:
            trusted = False
    return trusted

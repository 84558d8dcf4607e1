"""Do what lifecycle says is due, while everything is still as it was judged.

Nothing here locks: each action is a conditional write, so that what changed after it was judged
(a newer PUT, an edit of tags, a delete marker that was taken away, a rule that was withdrawn)
keeps it from being done. That is also why two servers may do the same at once: one of them finds
the version changed.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from objstore.background.lifecycle_report import WORK_OF, Result, Tally, Work
from objstore.drive.ops import KeyEntry
from objstore.engine.buckets import Buckets
from objstore.engine.delete import MAYBE_ACKNOWLEDGED, delete_judged, delete_object, mark_deleted
from objstore.engine.list_versions import version_id_of_entry
from objstore.engine.multipart import FoundUpload, abort_upload
from objstore.engine.resolve import resolve
from objstore.engine.sets import Context, Place, SetHandle
from objstore.errors import DriveError, QuorumError, ReadQuorumLost, RequestRefused
from objstore.limits import LIFECYCLE_ACTIONS_AT_ONCE_MAX
from objstore.names import Kind, ObjectKey, Versioning
from objstore.ondisk.record import Bucket, Upload, Version
from objstore.rules.lifecycle import Act
from objstore.rules.retention import lock_of, refuse_delete
from objstore.topology.placement import shard_slots

_log = structlog.get_logger(__name__)

SETTING: Final = "lifecycle"
_LOCKED: Final = "AccessDenied"
_CHANGED: Final = "PreconditionFailed"


@dataclass(frozen=True, slots=True)
class DueVersion:
    """A version as it was listed, and what is due for it."""

    entry: KeyEntry
    act: Act


class Actor:
    """Acts on what is due in one bucket of one set."""

    def __init__(
        self,
        context: Context,
        handle: SetHandle,
        buckets: Buckets,
        judged: Bucket,
        tally: Tally,
        now_ms: int,
    ) -> None:
        self._context = context
        self._handle = handle
        self._buckets = buckets
        self._name = judged.name
        self._document = judged.settings.get(SETTING)
        self._tally = tally
        self._now_ms = now_ms
        self._said = False

    # --- many at once -----------------------------------------------------------------

    async def act_on_versions(self, due: Iterable[DueVersion]) -> None:
        """Act on versions, a few at once: most of the cluster is left to its clients."""
        await self._all((WORK_OF[one.act], one.entry.key, partial(self._act, one)) for one in due)

    async def abort_uploads(self, due: Iterable[Upload]) -> None:
        """Abort uploads, a few at once."""
        await self._all((Work.ABORT_UPLOAD, one.key, partial(self._abort, one)) for one in due)

    async def _all(
        self, works: Iterable[tuple[Work, ObjectKey, Callable[[], Awaitable[None]]]]
    ) -> None:
        due = list(works)
        queue = iter(due)
        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(due), LIFECYCLE_ACTIONS_AT_ONCE_MAX)):
                group.create_task(self._from(queue))

    async def _from(
        self, queue: Iterator[tuple[Work, ObjectKey, Callable[[], Awaitable[None]]]]
    ) -> None:
        for work, key, act in queue:
            self._tally.add(work, await self._result(work, key, act))

    async def _result(
        self, work: Work, key: ObjectKey, act: Callable[[], Awaitable[None]]
    ) -> Result:
        try:
            await act()
        except RequestRefused as refused:
            return Result.LOCKED if refused.reason == _LOCKED else Result.CHANGED
        except (QuorumError, DriveError) as error:
            if not self._said:  # once for each bucket; the report counts the others
                self._said = True
                _log.warning(
                    "lifecycle action failed",
                    action=work.value,
                    bucket=self._name,
                    key=key,
                    reason=str(error),
                )
            return Result.FAILED
        return Result.DONE

    # --- one --------------------------------------------------------------------------

    async def is_current(self) -> bool:
        """Whether the bucket still is there and has the rules that are being followed."""
        try:
            await self._bucket()
        except RequestRefused:
            return False
        return True

    async def _bucket(self) -> Bucket:
        """Return the bucket as it is now, at most BUCKET_CACHE_S old.

        Raises:
            RequestRefused: it is gone, or has other rules than those that are being followed.
        """
        bucket = await self._buckets.find(self._name)
        if bucket.settings.get(SETTING) != self._document:
            raise RequestRefused(_CHANGED, "The lifecycle configuration is another one now.")
        return bucket

    async def _act(self, due: DueVersion) -> None:
        bucket = await self._bucket()
        await self._check_other_pools(due)
        if due.act is Act.EXPIRE_CURRENT:
            await self._expire(bucket, due.entry)
            return
        there = await delete_judged(
            self._context,
            self._place(due.entry.key),
            bucket.name,
            due.entry.key,
            version_id_of_entry(due.entry),
            self._buckets.record,
            judgement=partial(self._judge, due),
        )
        if not there:
            raise RequestRefused(_CHANGED)

    async def _expire(self, bucket: Bucket, entry: KeyEntry) -> None:
        """Expire the current version, as a DELETE of its key does.

        "If the current object version is not a delete marker, Amazon S3 adds a delete marker with a
        unique version ID", in a bucket with versions; "in a versioning-suspended bucket, the
        expiration action causes Amazon S3 to create a delete marker with null as the version ID";
        "in a nonversioned bucket, the expiration action results in Amazon S3 permanently removing
        the object".
        """
        place, key, versioning = self._place(entry.key), entry.key, bucket.versioning
        if not (await resolve(self._context, self._handle, bucket.name, key)).acknowledged:
            raise ReadQuorumLost(MAYBE_ACKNOWLEDGED)
        condition = partial(self._check_expiring, entry, versioning)
        record = self._buckets.record
        if versioning is Versioning.OFF:
            await delete_object(self._context, (place,), bucket.name, key, record, condition)
        else:
            await mark_deleted(
                self._context, place, bucket.name, key, versioning, bucket.owner, record, condition
            )

    def _check_expiring(
        self, entry: KeyEntry, versioning: Versioning, version: Version | None
    ) -> None:
        """The precondition: it is the very version that was judged. A newer one never expires."""
        if version is None or version.order != entry.order:
            raise RequestRefused(_CHANGED)
        if versioning is not Versioning.ENABLED:  # what was there may go for good
            self._check_lock(version)

    def _judge(self, due: DueVersion, current: Version, version: Version) -> None:
        """Hold a version that is to go for good against what it was when it was listed."""
        if version.order != due.entry.order:
            raise RequestRefused(_CHANGED)
        if (current.stamp == version.stamp) != (due.act is Act.REMOVE_MARKER):
            raise RequestRefused(_CHANGED)
        self._check_lock(version)

    def _check_lock(self, version: Version) -> None:
        """Refuse what object lock protects: nothing here bypasses governance."""
        if version.kind is Kind.DELETE_MARKER:
            return
        refusal = refuse_delete(lock_of(version), now_ms=self._now_ms, bypass=False)
        if refusal is not None:
            raise RequestRefused(_LOCKED, refusal)

    async def _check_other_pools(self, due: DueVersion) -> None:
        """Keep what only looks current, or sole, because the rest of its key is in another pool.

        First writes of a key that raced may have put it into two pools; the newest version of all
        is the current one.
        """
        if due.act is Act.DELETE_NONCURRENT or len(self._context.pools) == 1:
            return
        for place in self._context.places(self._name, due.entry.key):
            if place.handle is self._handle:
                continue
            other = (await resolve(self._context, place.handle, self._name, due.entry.key)).version
            if other is not None and (
                due.act is Act.REMOVE_MARKER or other.order > due.entry.order
            ):
                raise RequestRefused(_CHANGED)

    async def _abort(self, upload: Upload) -> None:
        """Abort an upload; one that a Complete has is left to it."""
        await self._bucket()
        await abort_upload(self._context, FoundUpload(upload, self._place(upload.key), {}))

    def _place(self, key: ObjectKey) -> Place:
        return Place(self._handle, shard_slots(self._handle.layout, self._name, key))

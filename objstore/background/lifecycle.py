"""Lifecycle: one pass over a set does what the rules of its buckets say is due.

For each bucket with a rule that is enabled, the versions below the rules' prefixes are listed
page by page, as ListObjectVersions would list them; of each key the versions are judged newest
first (rules/lifecycle.py), and what is due is done (background/lifecycle_actions.py) before the
next page is asked for. So a pass holds one page, however many keys a bucket or versions a key has.
A version becomes noncurrent when the next newer one is made.

Tags are not in a listing. They are read from a version's record, and only when a rule that asks for
tags would do something to it but for them.

It fails closed: a configuration that cannot be read does nothing; what a set cannot tell, and a
version whose lock cannot be read, stays.

Every server of a set could do the same at once, and nothing would happen twice or wrongly, because
every action is conditional; background/lifecycle_schedule.py shares the work out all the same.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final

import structlog

from objstore.background.lifecycle_actions import SETTING, Actor, DueVersion
from objstore.background.lifecycle_report import LifecycleReport, Tally
from objstore.background.ports import BackgroundContext
from objstore.drive.ops import KeyEntry
from objstore.engine.buckets import Buckets
from objstore.engine.list_uploads import set_uploads
from objstore.engine.list_versions import set_versions, version_id_of_entry
from objstore.engine.pages import Position
from objstore.engine.resolve import resolve
from objstore.engine.sets import Context, SetHandle
from objstore.errors import DriveError, QuorumError, RequestRefused
from objstore.limits import (
    LIFECYCLE_ACTIONS_AT_ONCE_MAX,
    LIFECYCLE_DAY_SECONDS,
    LIFECYCLE_REST_S_MAX,
)
from objstore.names import Kind, ObjectKey, Order
from objstore.ondisk.record import Bucket
from objstore.rules.lifecycle import (
    Action,
    KeyJudge,
    KeyVersion,
    Lifecycle,
    abort_due,
    for_uploads,
    for_versions,
    lifecycle_of,
    prefixes,
    without_tags,
)
from objstore.wire.config_documents.lifecycle import read_lifecycle

_log = structlog.get_logger(__name__)

Tags = frozenset[tuple[str, str]]
_NO_TAGS: Final[Tags] = frozenset()


async def lifecycle_once(
    background: BackgroundContext, handle: SetHandle, now_ms: int
) -> LifecycleReport:
    """Do what is due at `now_ms` for every key and upload of a set.

    Raises:
        ReadQuorumLost: which buckets there are cannot be told.
    """
    context = background.engine
    buckets = Buckets(context)
    name = f"{handle.layout.pool}.{handle.layout.index}"
    tally = Tally(background.lifecycle, context.clock, name)
    for bucket in await buckets.list_all():
        lifecycle = _configured(bucket, background.lifecycle_day_s)
        if lifecycle is None:
            continue
        tally.bucket()
        actor = Actor(context, handle, buckets, bucket, tally, now_ms)
        walk = _BucketWalk(context, handle, bucket, lifecycle, actor, tally, now_ms)
        try:
            await walk.run()
        except (QuorumError, DriveError) as error:
            tally.broken_off()
            _log.warning("lifecycle broken off", bucket=bucket.name, set=name, reason=str(error))
    return tally.finish(quiet=background.lifecycle_day_s != LIFECYCLE_DAY_SECONDS)


def _configured(bucket: Bucket, day_s: int) -> Lifecycle | None:
    """Return a bucket's rules that are enabled, None without any."""
    document = bucket.settings.get(SETTING)
    if document is None:
        return None
    try:
        lifecycle = lifecycle_of(read_lifecycle(document), day_s=day_s)
    except RequestRefused as refused:
        _log.error(
            "a lifecycle configuration cannot be read, nothing is done by it",
            bucket=bucket.name,
            reason=str(refused),
        )
        return None
    return lifecycle if lifecycle.rules else None


class _BucketWalk:
    """The walk over one bucket's keys and uploads in one set."""

    def __init__(
        self,
        context: Context,
        handle: SetHandle,
        bucket: Bucket,
        lifecycle: Lifecycle,
        actor: Actor,
        tally: Tally,
        now_ms: int,
    ) -> None:
        self._context = context
        self._handle = handle
        self._bucket = bucket.name
        self._for_versions = for_versions(lifecycle)
        self._for_uploads = for_uploads(lifecycle)
        self._actor = actor
        self._tally = tally
        self._now_ms = now_ms

    async def run(self) -> None:
        """Walk to the end, or until the bucket has other rules: the next pass follows those."""
        for prefix in prefixes(self._for_versions):
            await self._walk_versions(prefix)
        for prefix in prefixes(self._for_uploads):
            await self._walk_uploads(prefix)
        if not await self._actor.is_current():
            self._tally.broken_off()

    async def _walk_versions(self, prefix: str) -> None:
        judging = Judging(self._for_versions, self._now_ms)
        after: Position | None = None
        while await self._actor.is_current():
            began_s = self._context.clock.monotonic_s()
            entries, after = await set_versions(
                self._context, self._handle, self._bucket, prefix, after
            )
            tags = await self._read_tags(judging.need_tags(entries))
            due = [*judging.page(entries, tags), *(judging.end() if after is None else ())]
            await self._actor.act_on_versions(due)
            self._tally.looked_at(self._bucket, versions=len(entries))
            if after is None:
                return
            await self._rest(began_s)

    async def _walk_uploads(self, prefix: str) -> None:
        after: tuple[str, str] | None = ("", "")
        while after is not None and await self._actor.is_current():
            began_s = self._context.clock.monotonic_s()
            uploads, cut = await set_uploads(
                self._context, self._handle, self._bucket, prefix, after
            )
            page = [uploads[name] for name in sorted(uploads) if cut is None or name <= cut]
            await self._actor.abort_uploads(
                upload
                for upload in page
                if (
                    due := abort_due(
                        self._for_uploads, upload.key, initiated_ms=upload.initiated_ms
                    )
                )
                and due.at_ms <= self._now_ms
            )
            self._tally.looked_at(self._bucket, uploads=len(page))
            after = cut
            await self._rest(began_s)

    async def _rest(self, began_s: float) -> None:
        """Pause as long as the page took: clients get at least half of the drives' time."""
        took_s = self._context.clock.monotonic_s() - began_s
        await asyncio.sleep(min(took_s, LIFECYCLE_REST_S_MAX))

    async def _read_tags(
        self, entries: Sequence[KeyEntry]
    ) -> Mapping[tuple[ObjectKey, Order], Tags]:
        """Read the tags of versions, a few at once; one that cannot be read counts as without."""
        tags: dict[tuple[ObjectKey, Order], Tags] = {}
        queue = iter(entries)

        async def read() -> None:
            for entry in queue:
                with suppress(QuorumError):
                    tags[entry.key, entry.order] = await self._tags_of(entry)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(len(entries), LIFECYCLE_ACTIONS_AT_ONCE_MAX)):
                group.create_task(read())
        if len(tags) < len(entries):
            self._tally.broken_off()
        return tags

    async def _tags_of(self, entry: KeyEntry) -> Tags:
        """Return a version's tags; what was written since it was listed is not acted on anyway."""
        version_id = version_id_of_entry(entry)
        choice = await resolve(self._context, self._handle, self._bucket, entry.key, version_id)
        return _NO_TAGS if choice.version is None else frozenset(choice.version.tags.items())


class Judging:
    """Judges the versions of a walk, which come in pages that may end within a key."""

    def __init__(self, lifecycle: Lifecycle, now_ms: int) -> None:
        self._exact = _Judged(lifecycle, now_ms)
        tagged = any(rule.filter.tags for rule in lifecycle.rules)
        self._loose = _Judged(without_tags(lifecycle), now_ms) if tagged else None

    def need_tags(self, entries: Sequence[KeyEntry]) -> list[KeyEntry]:
        """Return the versions of the next page to which something is due but for their tags."""
        if self._loose is None:
            return []
        return [
            due.entry
            for entry in entries
            for due in self._loose.add(entry, _NO_TAGS)
            if due.entry.kind is not Kind.DELETE_MARKER
        ]

    def page(
        self, entries: Sequence[KeyEntry], tags: Mapping[tuple[ObjectKey, Order], Tags]
    ) -> Iterator[DueVersion]:
        """Judge that page."""
        for entry in entries:
            yield from self._exact.add(entry, tags.get((entry.key, entry.order), _NO_TAGS))

    def end(self) -> Iterator[DueVersion]:
        """Judge what could only be judged once there was no more."""
        return self._exact.end()


class _Judged:
    """The key that a walk is at, and what was judged of it."""

    def __init__(self, lifecycle: Lifecycle, now_ms: int) -> None:
        self._lifecycle = lifecycle
        self._now_ms = now_ms
        self._judge: KeyJudge | None = None
        self._last: KeyEntry | None = None

    def add(self, entry: KeyEntry, tags: Tags) -> Iterator[DueVersion]:
        """Judge the next version; also, when it is of another key, what was left of the last."""
        last = self._last
        if last is None or last.key != entry.key:
            yield from self.end()
            last = None
            self._judge = KeyJudge(self._lifecycle, entry.key, now_ms=self._now_ms)
        assert self._judge is not None
        self._last = entry
        version = KeyVersion(
            version_id=version_id_of_entry(entry),
            modified_ms=entry.modified_ms,
            noncurrent_ms=None if last is None else last.modified_ms,
            delete_marker=entry.kind is Kind.DELETE_MARKER,
            size=entry.size,
            tags=tags,
        )
        yield from _due(entry, self._judge.add(version))

    def end(self) -> Iterator[DueVersion]:
        """Judge what is left of the last key: its only version, if that is a delete marker."""
        if self._judge is not None and self._last is not None:
            yield from _due(self._last, self._judge.end())


def _due(entry: KeyEntry, action: Action | None) -> Iterator[DueVersion]:
    if action is not None:
        yield DueVersion(entry, action.act)

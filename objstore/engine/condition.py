"""Writes that depend on what is there: If-Match, If-None-Match, and edits of a version.

There is no lock and no leader in it. The writer reads the key with a read quorum, decides, and
commits with the order of the newest row it saw; a drive that holds a later row refuses. Any two
write quorums share a slot, so of two conditional writes that saw the same state at most one
gets its quorum. One that does not is taken back and looks again, after a random pause. A write
that died half-way may keep conditional writes of its key from their quorum until it is settled;
they are refused then, and plain writes go on.

A write that is refused because its condition does not hold has not happened, for anybody. When an
earlier try of it was on a drive before it was taken back, a reader may have seen it: then the
answer is ConditionalRequestConflict, which leaves that open.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

from objstore.engine.buckets import BucketRecord
from objstore.engine.commit import Contested, Proposal, commit_version, discard_shards
from objstore.engine.ports import Precondition
from objstore.engine.resolve import resolve
from objstore.engine.sets import Context, SetHandle
from objstore.errors import ObjstoreError, RequestRefused
from objstore.limits import CONDITION_PAUSE_S, CONDITION_PAUSE_S_MAX, CONDITION_TRIES_MAX
from objstore.names import NO_STAMP, BucketName, Kind, ObjectKey
from objstore.ondisk.record import Version
from objstore.versions.select import Choice

T = TypeVar("T")


class Pauses:
    """Longer and longer random pauses, so that those in each other's way do not meet again."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._longest_s = CONDITION_PAUSE_S

    async def wait(self) -> None:
        """Make the next one."""
        await asyncio.sleep(self._longest_s * self._context.entropy.draw(1)[0] / 255)
        self._longest_s = min(2 * self._longest_s, CONDITION_PAUSE_S_MAX)


def current_object(choice: Choice) -> Version | None:
    """Return the object that a condition speaks of; a delete marker is none."""
    version = choice.version
    return version if version is not None and version.kind is Kind.OBJECT else None


async def check(
    context: Context,
    handle: SetHandle,
    bucket: BucketName,
    key: ObjectKey,
    precondition: Precondition,
) -> None:
    """Hold a condition against what is there now, before any work is done for the write."""
    precondition(current_object(await resolve(context, handle, bucket, key)))


async def commit_if(
    context: Context,
    handle: SetHandle,
    proposal: Proposal,
    bucket_record: BucketRecord,
    precondition: Precondition,
) -> Version:
    """Commit a proposal while the condition holds.

    Raises:
        RequestRefused: the condition does not hold; ConditionalRequestConflict.
        WriteQuorumLost: too few slots could commit.
    """
    shown = proposal.version_at(NO_STAMP)

    async def attempt() -> Version:
        choice = await resolve(context, handle, shown.bucket, shown.key)
        precondition(current_object(choice))
        seen = replace(proposal, not_above=choice.newest)
        return await commit_version(context, handle, seen, bucket_record)

    try:
        return await until_uncontested(context, attempt)
    except ObjstoreError:
        await discard_shards(context, handle, proposal, shown)
        raise


async def until_uncontested(context: Context, attempt: Callable[[], Awaitable[T]]) -> T:
    """Try again as long as others are in the way, with longer and longer random pauses.

    Raises:
        RequestRefused: ConditionalRequestConflict, after CONDITION_TRIES_MAX tries, or in the place
            of PreconditionFailed when a try may have been seen; what `attempt` raises.
    """
    pauses = Pauses(context)
    shown = False
    for _ in range(CONDITION_TRIES_MAX):
        try:
            return await attempt()
        except RequestRefused as refused:
            if shown and refused.reason == "PreconditionFailed":
                break
            raise
        except Contested as contested:
            shown = shown or contested.shown
            await pauses.wait()
    raise RequestRefused("ConditionalRequestConflict")

"""Commit one version on the drives of its set: the quorum, the order, and what follows.

Order of events, from docs/format/ORDERING.md:

  1. the shards a record names are durable before the record is committed   (the caller)
  2. W slots have committed before the client is answered
  3. what the version superseded is retired only after 2
  4. slots that missed it are written down on those that have it, for the healer

A drive that holds a newer stamp refuses; the version then takes a higher stamp and is committed
again on every slot, replacing its own earlier try. So a later write always wins, whatever the
clocks say, and nobody waits for a lock. A write that is refused in the end is taken back with all
its tries: one that was outrun may still be on its way to a drive.

A conditional write, and a new revision of a version, must not pass over what its maker did not
see: then a drive's refusal is final for this try, which is taken back everywhere (`Contested`), and
its maker looks again (engine/condition.py).
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from objstore.drive.ops import Commit, CommitMode, Committed, DiscardShards, Settle, Undo
from objstore.engine.buckets import BucketRecord, call_with_bucket
from objstore.engine.fanout import Fanout, call_all
from objstore.engine.sets import Context, SetHandle
from objstore.errors import (
    BucketMissing,
    RequestRefused,
    Superseded,
    UploadMissing,
    WriteQuorumLost,
)
from objstore.limits import CALL_DEADLINE_S, STAMP_RETRIES_MAX, WRITE_DECISION_DEADLINE_S
from objstore.names import Order, Stamp, UploadId, stamp_of
from objstore.ondisk.record import HeldShard, Version, encode_record, encode_version
from objstore.quorum.reduce import agreed_refusal, describe_errors, newest_held
from objstore.quorum.thresholds import is_acknowledged, read_quorum_any, write_quorum


@dataclass(frozen=True, slots=True)
class Proposal:
    """A version to commit: how it looks under a stamp, and what each drive holds of it."""

    version_at: Callable[[Stamp], Version]
    held: Mapping[int, tuple[HeldShard, ...]]  # drive index -> shards
    completes: UploadId | None = None
    base: Order | None = None  # the revision this one is made from; its stamp stays
    not_above: Order | None = None  # the newest row of the key that the maker saw


class Contested(Exception):
    """Somebody else wrote the key meanwhile. The try was taken back.

    `shown`: some drive may have had it until then, and so somebody may have read it.
    """

    def __init__(self, *, shown: bool) -> None:
        super().__init__()
        self.shown = shown


@dataclass(frozen=True, slots=True)
class _Try:
    """A proposal under one stamp, and what the drives said of it."""

    version: Version
    fanout: Fanout[Committed]


class _Verdict(Enum):
    WON = auto()
    OUTRUN = auto()
    LOST = auto()


async def commit_version(
    context: Context, handle: SetHandle, proposal: Proposal, bucket_record: BucketRecord
) -> Version:
    """Commit until W slots have it, and return the version as committed.

    Raises:
        WriteQuorumLost: fewer than W slots could commit, or the key changed again and again; what
            was committed is undone.
        RequestRefused: NoSuchBucket or NoSuchUpload, when the drives say so.
        Contested: a row that the proposal does not know of is there; its shards stay.
    """
    tries: list[_Try] = []
    stamp = _first_stamp(context, proposal)
    depends = _depends(proposal)
    while len(tries) < STAMP_RETRIES_MAX:
        earlier = tries[-1].version.order if tries else None
        tries.append(_begin(context, handle, proposal, stamp, earlier, bucket_record))
        version, fanout = tries[-1].version, tries[-1].fanout
        verdict = await fanout.until(
            partial(_decide, handle, proposal, version), deadline_s=WRITE_DECISION_DEADLINE_S
        )
        if verdict is _Verdict.WON:
            context.group.create_task(_settle(context, handle, proposal, version, fanout))
            return version
        if verdict is _Verdict.LOST and depends and newest_held(fanout.errors) is not None:
            await _undo(context, handle, proposal, tries, keep_shards=True)
            refused = sum(isinstance(error, Superseded) for error in fanout.errors.values())
            raise Contested(shown=refused < len(proposal.held))
        if verdict is _Verdict.OUTRUN:
            stamp = _above_all(context, fanout)
            continue
        if version.solo_slots and set(version.solo_slots) <= _slots(
            version, proposal, fanout.answers
        ):
            # Every slot that can acknowledge it has it, so it may have been read already: it stays.
            raise WriteQuorumLost("the witness did not confirm in time that writing alone goes on")
        undo = _undo(context, handle, proposal, tries, keep_shards=False)
        context.group.create_task(undo)
        raise _refusal(handle, version, fanout)
    context.group.create_task(_undo(context, handle, proposal, tries, keep_shards=False))
    raise WriteQuorumLost(f"the key changed {STAMP_RETRIES_MAX} times while it was written")


def _begin(
    context: Context,
    handle: SetHandle,
    proposal: Proposal,
    stamp: Stamp,
    earlier: Order | None,
    bucket_record: BucketRecord,
) -> _Try:
    """Send the proposal under a stamp to every drive it has something for."""
    version = proposal.version_at(stamp)
    encoded = encode_version(version)
    mode = CommitMode.ORDERED if proposal.base is None else CommitMode.REVISED
    calls = {
        drive: partial(
            call_with_bucket,
            handle.drives[drive],
            Commit(
                encode_record(encoded, held),
                mode,
                earlier,
                proposal.completes,
                proposal.base,
                proposal.not_above,
            ),
            version.bucket,
            bucket_record,
        )
        for drive, held in proposal.held.items()
    }
    return _Try(version, Fanout(context.group, calls))


def _depends(proposal: Proposal) -> bool:
    """Whether the proposal depends on what its maker saw.

    A drive that refuses it then is one vote against it, and no reason to draw a higher stamp.
    """
    return proposal.base is not None or proposal.not_above is not None


def _first_stamp(context: Context, proposal: Proposal) -> Stamp:
    """Draw a stamp; above the row the maker saw, so that no clock makes the drives refuse it."""
    if not proposal.not_above:
        return context.stamp()
    return context.hlc.above(stamp_of(proposal.not_above), context.now_ms())


def _decide(
    handle: SetHandle, proposal: Proposal, version: Version, fanout: Fanout[Committed]
) -> _Verdict | None:
    # The leave to write alone has to hold at the moment of the decision, not before.
    solo_slots = version.solo_slots if handle.solo.may_write() else ()
    acknowledged = partial(is_acknowledged, version.scheme, solo_slots=solo_slots)
    if _is_on(version, proposal, fanout, tuple(fanout.answers), acknowledged):
        return _Verdict.WON
    superseded = any(isinstance(error, Superseded) for error in fanout.errors.values())
    if superseded and not _depends(proposal):
        return _Verdict.OUTRUN
    may_be = tuple(proposal.held.keys() - fanout.errors.keys())
    if not _is_on(version, proposal, fanout, may_be, acknowledged):
        return _Verdict.LOST
    return None


def _is_on(
    version: Version,
    proposal: Proposal,
    fanout: Fanout[Committed],
    drives: Collection[int],
    acknowledged: Callable[[Collection[int]], bool],
) -> bool:
    """Whether these drives are enough for a version, and for each of its parts.

    A drive takes part in a Complete with the parts that it has; what it lacks is on others, and
    those may be away. A version of which a part is on too few could not be read without them.
    """
    lacked = {drive: answer.lacks for drive, answer in fanout.answers.items() if answer.lacks}
    return acknowledged(_slots(version, proposal, drives)) and all(
        acknowledged(
            _slots(version, proposal, [one for one in drives if part not in lacked.get(one, ())])
        )
        for part in {part for parts in lacked.values() for part in parts}
    )


def _slots(version: Version, proposal: Proposal, drives: Iterable[int]) -> set[int]:
    """Return the slots that these drives hold of a proposal."""
    return {version.slots[held.shard] for drive in drives for held in proposal.held[drive]}


def _above_all(context: Context, fanout: Fanout[Committed]) -> Stamp:
    held = newest_held(fanout.errors)
    assert held is not None
    return context.hlc.above(held, context.now_ms())


def _refusal(
    handle: SetHandle, version: Version, fanout: Fanout[Committed]
) -> RequestRefused | WriteQuorumLost:
    """Blame the client when so many drives say the same that it is the truth, else the quorum."""
    refusal = agreed_refusal(fanout.errors, needed=read_quorum_any(handle.total_slots))
    if refusal is BucketMissing:
        return RequestRefused("NoSuchBucket")
    if refusal is UploadMissing:
        return RequestRefused("NoSuchUpload")
    needed = len(version.solo_slots) or write_quorum(version.scheme)
    return WriteQuorumLost(
        f"{handle.slots_on(fanout.answers)} of {handle.total_slots} slots committed, "
        f"{needed} are needed{_lacking(fanout)}: {describe_errors(fanout.errors)}"
    )


def _lacking(fanout: Fanout[Committed]) -> str:
    parts = {drive: answer.lacks for drive, answer in fanout.answers.items() if answer.lacks}
    some = "; ".join(f"drive {drive} lacks {len(lacks)}" for drive, lacks in sorted(parts.items()))
    return f" of every part ({some})" if some else ""


async def _undo(
    context: Context,
    handle: SetHandle,
    proposal: Proposal,
    tries: Sequence[_Try],
    *,
    keep_shards: bool,
) -> None:
    """Take every try back where it was committed, stragglers included, and free its shards."""
    async with asyncio.TaskGroup() as group:
        for one in tries:
            group.create_task(_undo_try(context, handle, proposal, one))
    if not keep_shards:
        await discard_shards(context, handle, proposal, tries[-1].version)


async def _undo_try(context: Context, handle: SetHandle, proposal: Proposal, one: _Try) -> None:
    await one.fanout.finished(deadline_s=WRITE_DECISION_DEADLINE_S)
    # A drive that timed out may have committed all the same.
    undo = Undo(one.version.bucket, one.version.key, one.version.order)
    await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, undo) for drive in proposal.held},
        deadline_s=CALL_DEADLINE_S,
    )


async def discard_shards(
    context: Context, handle: SetHandle, proposal: Proposal, version: Version
) -> None:
    """Remove the shards of a proposal that no record names."""
    if proposal.completes is not None:  # the shards of an upload belong to its parts
        return
    names = {
        drive: tuple(
            (part.data_id, part.number, one.shard)
            for part in version.parts
            for one in held
            if one.inline is None
        )
        for drive, held in proposal.held.items()
    }
    await call_all(
        context.group,
        {
            drive: partial(handle.drives[drive].call, DiscardShards(shards))
            for drive, shards in names.items()
            if shards
        },
        deadline_s=CALL_DEADLINE_S,
    )


async def _settle(
    context: Context,
    handle: SetHandle,
    proposal: Proposal,
    version: Version,
    fanout: Fanout[Committed],
) -> None:
    """After the answer: retire what was superseded, note who missed it."""
    await fanout.finished(deadline_s=WRITE_DECISION_DEADLINE_S)
    committed = fanout.answers
    # A drive that holds a newer version is noted too: were the newer never acknowledged, the note
    # that it missed ours brings ours there.
    missed = tuple(
        slot
        for drive, slots in enumerate(handle.slots_of_drive)
        if drive not in committed
        for slot in slots
    )
    if not missed and not proposal.completes and not any(c.superseded for c in committed.values()):
        return
    settle = Settle(version.bucket, version.key, version.order, missed, version.size)
    await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, settle) for drive in committed},
        deadline_s=CALL_DEADLINE_S,
    )

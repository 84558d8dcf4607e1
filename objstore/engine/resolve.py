"""Ask the drives of a set for a key's records, and decide which version answers.

Drives are heard at different moments. When a key is written meanwhile, what they say may fit no
single moment (`Choice.moving`); they are heard again until it does, or until they say the same
twice in a row: then there was a moment between at which all of them held just that ("double
collect", Afek et al., Atomic Snapshots of Shared Memory, JACM 1993).
"""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial

from objstore.drive.ops import KeyState, ReadKey
from objstore.engine.fanout import Fanout, call_all
from objstore.engine.sets import Context, SetHandle
from objstore.errors import DriveError, ReadQuorumLost, RecordUnknown
from objstore.limits import (
    CALL_DEADLINE_S,
    MOVING_PAUSE_S,
    MOVING_PAUSE_S_MAX,
    MOVING_READS_MAX,
    READ_DECISION_DEADLINE_S,
    READ_UNDECIDED_DEADLINE_S,
)
from objstore.names import CURRENT, NULL, BucketName, ObjectKey, Order, VersionId
from objstore.ondisk.record import Record, decode_record
from objstore.quorum.reduce import describe_errors
from objstore.versions.hlc import parse_version_id
from objstore.versions.select import Choice, DriveAnswer, Outcome, choose, current, decide

# Rows of one answer when all rows of a key are read; records with inline shards are large.
_HISTORY_ROWS = 64


def answer_of(state: KeyState) -> DriveAnswer:
    """Open what a drive answered; a record that fails its checksum is unknown, never absent."""
    records: list[Record] = []
    unknown = state.unknown
    for sealed in state.records:
        try:
            records.append(decode_record(sealed))
        except RecordUnknown:
            unknown += 1
    floor = records[-1].version.order if state.more and records else None
    return DriveAnswer(
        tuple(records), unknown, state.trusted, floor, state.emptied_ms, state.damaged
    )


async def resolve(
    context: Context,
    handle: SetHandle,
    bucket: BucketName,
    key: ObjectKey,
    version_id: VersionId = CURRENT,
    *,
    named: bool = False,
) -> Choice:
    """Choose the version of a key that answers: FOUND (an object or a delete marker) or ABSENT.

    `named`: only its name is asked for. A version that every drive has that answered may then be
    UNDECIDED for want of shards: drives that agree on a name are not asked for shards either.

    Raises:
        ReadQuorumLost: the slots that answered cannot tell, or too few shards are left.
    """
    op = read_key(bucket, key, version_id)
    answers: dict[int, DriveAnswer] = {}
    well = handle.without_slow(handle.readable())

    def first(fanout: Fanout[KeyState], *, wait_for_all: bool = True) -> Choice | None:
        for drive, state in fanout.answers.items():
            if drive not in answers:
                answers[drive] = answer_of(state)
        choice = _choose(handle, answers)
        certain = choice.acknowledged or choice.outcome is Outcome.ABSENT
        sure = certain and not choice.moving and not handle.stale
        enough = sure or not wait_for_all or not fanout.waits_for(well)
        return choice if choice.outcome is not Outcome.UNDECIDED and enough else None

    fanout = Fanout(
        context.group,
        {drive: partial(handle.drives[drive].call, op) for drive in handle.readable()},
    )
    try:
        choice = await fanout.until(first, deadline_s=READ_DECISION_DEADLINE_S)
        if choice is None and fanout.pending:
            # Slow drives count as away from here on, if the others can tell without them.
            choice = await fanout.until(
                partial(first, wait_for_all=False), deadline_s=READ_UNDECIDED_DEADLINE_S
            )
    finally:
        fanout.cancel()
    if choice is None:
        choice = _choose(handle, answers)
    errors: Mapping[int, DriveError] = fanout.errors
    # The rows that were read may be too few, for example of many versions that were buried.
    unread = any(answer.floor is not None for answer in answers.values())
    if choice.moving or (choice.outcome is Outcome.UNDECIDED and unread):
        choice, history = await read_current(context, handle, op, drives=tuple(answers))
        errors = {**fanout.errors, **history.errors}
    if choice.outcome is Outcome.UNDECIDED and not (named and choice.version and not choice.moving):
        raise ReadQuorumLost(f"{choice.reason}; {describe_errors(errors)}")
    return choice


def _choose(handle: SetHandle, answers: Mapping[int, DriveAnswer]) -> Choice:
    return choose(answers, handle.slots_of_drive, handle.solo_groups(), stale=handle.stale)


def read_key(bucket: BucketName, key: ObjectKey, version_id: VersionId = CURRENT) -> ReadKey:
    """Return the call that reads the rows which decide about a version."""
    if version_id == CURRENT:
        return ReadKey(bucket, key)
    if version_id == NULL:
        return ReadKey(bucket, key, nulls=True)
    stamp = parse_version_id(version_id)
    assert stamp is not None
    return ReadKey(bucket, key, stamp=stamp)


@dataclass(frozen=True, slots=True)
class History:
    """All that the drives say of a key, and the decision about each of its versions."""

    answers: Mapping[int, DriveAnswer]
    errors: Mapping[int, DriveError]  # of drives that did not answer
    choices: tuple[Choice, ...]


async def read_current(
    context: Context, handle: SetHandle, op: ReadKey, drives: Collection[int] | None = None
) -> tuple[Choice, History]:
    """Read a key as `read_history`, and return its current version too.

    A version that too few drives hold to be read may be on its way to the others, as after the loss
    of a drive just when W slots had it: it is given some time to arrive.

    Raises:
        ReadQuorumLost: as `read_history`.
    """
    pause_s = MOVING_PAUSE_S
    while True:
        history = await read_history(context, handle, op, drives)
        choice = current(history.choices)
        lacks_shards = choice.outcome is Outcome.UNDECIDED and choice.version is not None
        if not (lacks_shards and choice.moving) or pause_s > MOVING_PAUSE_S_MAX:
            return choice, history
        await asyncio.sleep(pause_s)
        pause_s *= 2


async def read_history(
    context: Context, handle: SetHandle, op: ReadKey, drives: Collection[int] | None = None
) -> History:
    """Read every row that `op` speaks of from `drives` (all by default), and decide.

    Raises:
        ReadQuorumLost: the key was written anew during every one of MOVING_READS_MAX tries.
    """
    before: Mapping[int, DriveAnswer] | None = None
    for _ in range(MOVING_READS_MAX):
        answers, errors = await _read_rows(context, handle, op, drives or handle.readable())
        groups = handle.solo_groups()
        choices = tuple(decide(answers, handle.slots_of_drive, groups, stale=handle.stale))
        if not choices[-1].moving or answers == before:
            return History(answers, errors, choices)
        before = answers
    raise ReadQuorumLost(
        f"{op.key!r} was written anew each of {MOVING_READS_MAX} times it was read"
    )


async def _read_rows(
    context: Context, handle: SetHandle, op: ReadKey, drives: Collection[int]
) -> tuple[dict[int, DriveAnswer], Mapping[int, DriveError]]:
    """Return all rows of the drives that answer, and why the others do not."""
    pages: dict[int, list[DriveAnswer]] = {drive: [] for drive in drives}
    errors: dict[int, DriveError] = {}
    below: dict[int, Order | None] = dict.fromkeys(pages)
    while below:
        fanout = await call_all(
            context.group,
            {
                drive: partial(
                    handle.drives[drive].call,
                    ReadKey(op.bucket, op.key, _HISTORY_ROWS, op.stamp, op.nulls, order),
                )
                for drive, order in below.items()
            },
            deadline_s=CALL_DEADLINE_S,
        )
        errors |= fanout.errors
        for drive in below.keys() - fanout.answers.keys():
            del pages[drive]
        below = {}
        for drive, state in fanout.answers.items():
            page = answer_of(state)
            pages[drive].append(page)
            if page.floor is not None:
                below[drive] = page.floor
    return {drive: _join(parts) for drive, parts in pages.items()}, errors


def _join(pages: list[DriveAnswer]) -> DriveAnswer:
    return DriveAnswer(
        records=tuple(record for page in pages for record in page.records),
        unknown=sum(page.unknown for page in pages),
        trusted=all(page.trusted for page in pages),
        emptied_ms=pages[-1].emptied_ms,
        damaged=tuple(order for page in pages for order in page.damaged),
    )

"""Change what is said about a version (tags, ACL, lock) without touching its bytes.

The version is written again under its own stamp, as the next revision; the record of each drive
names the same shards as before. A drive that holds a revision later than the one the edit was made
from refuses, so that of two edits that race none is lost: the second is made again from the first.
"""

from collections.abc import Callable, Mapping
from functools import partial

import msgspec

from objstore.engine.buckets import BucketRecord
from objstore.engine.commit import Proposal, commit_version
from objstore.engine.condition import until_uncontested
from objstore.engine.resolve import read_current, read_key
from objstore.engine.sets import Context, Place
from objstore.errors import ReadQuorumLost, RequestRefused
from objstore.names import (
    CURRENT,
    REVISION_LAST,
    BucketName,
    ObjectKey,
    Stamp,
    VersionId,
)
from objstore.ondisk.record import HeldShard, Version
from objstore.quorum.reduce import describe_errors
from objstore.quorum.thresholds import write_quorum
from objstore.versions.select import Choice, DriveAnswer, Outcome

# Makes the new version of the old, or raises RequestRefused when it must not be changed.
Change = Callable[[Version], Version]


async def edit_version(
    context: Context,
    places: tuple[Place, ...],
    bucket: BucketName,
    key: ObjectKey,
    version_id: VersionId,
    change: Change,
    bucket_record: BucketRecord,
) -> Version:
    """Change a version, and return it as it is then.

    `change` must leave alone what the version is: key, stamp, scheme, parts.

    Raises:
        RequestRefused: NoSuchKey, NoSuchVersion, or what `change` raises.
        ReadQuorumLost, WriteQuorumLost: too few slots answer.
    """
    for place in places:
        attempt = partial(_edit, context, place, bucket, key, version_id, change, bucket_record)
        edited = await until_uncontested(context, attempt)
        if edited is not None:
            return edited
    if version_id == CURRENT:
        raise RequestRefused("NoSuchKey", Key=key)
    raise RequestRefused("NoSuchVersion", Key=key, VersionId=version_id)


async def _edit(
    context: Context,
    place: Place,
    bucket: BucketName,
    key: ObjectKey,
    version_id: VersionId,
    change: Change,
    bucket_record: BucketRecord,
) -> Version | None:
    handle = place.handle
    op = read_key(bucket, key, version_id)
    # Every drive is asked: one whose record is not renewed here has to be healed.
    choice, history = await read_current(context, handle, op)
    if choice.outcome is Outcome.UNDECIDED:
        raise ReadQuorumLost(f"{choice.reason}; {describe_errors(history.errors)}")
    version = choice.version
    if version is None:
        return None
    edited = change(version)
    # What another's edit left on some drives is not acknowledged by this answer.
    if edited == version and choice.acknowledged:
        return version
    assert edited.stamp == version.stamp
    assert edited.parts == version.parts
    held = _held_of(history.answers, choice)
    alone = handle.require(
        tuple(drive for drive in handle.readable() if drive in held), write_quorum(version.scheme)
    )
    revised = msgspec.structs.replace(
        edited, revision=next_revision(version), edit=context.stamp(), solo_slots=alone
    )
    proposal = Proposal(partial(_as_it_is, revised), held, base=version.order)
    return await commit_version(context, handle, proposal, bucket_record)


def next_revision(version: Version) -> int:
    """Return the revision of what is made from `version`; edits' stamps order the last ones."""
    return min(version.revision + 1, REVISION_LAST - 1)


def _as_it_is(version: Version, _: Stamp) -> Version:
    return version


def _held_of(
    answers: Mapping[int, DriveAnswer], choice: Choice
) -> dict[int, tuple[HeldShard, ...]]:
    """Return what each drive holds of the version, as its record says."""
    assert choice.version is not None
    held: dict[int, tuple[HeldShard, ...]] = {}
    for drive, answer in answers.items():
        record = answer.find(choice.version.order)
        if record is not None:
            held[drive] = record.held
    return held

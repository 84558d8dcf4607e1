"""DELETE: a tombstone, or a delete marker, takes the key's place in the order.

Without versions a tombstone is written: an ordinary record without shards, acknowledged by W slots
like any write; it hides what drives that were away still hold, until every slot has it
(background/reaper.py). With versions a delete marker is written, and nothing goes. A delete that
names a version buries that one: its tombstone has the version's stamp and the last revision.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

import msgspec

from objstore.engine.buckets import BucketRecord
from objstore.engine.commit import Proposal, commit_version
from objstore.engine.condition import commit_if, current_object, until_uncontested
from objstore.engine.ports import UNCONDITIONAL, Deleted, Precondition
from objstore.engine.resolve import read_history, read_key, resolve
from objstore.engine.sets import Context, Place
from objstore.errors import ReadQuorumLost
from objstore.limits import STRIPE_BYTES
from objstore.names import (
    REVISION_LAST,
    BucketName,
    Kind,
    ObjectKey,
    Scheme,
    Stamp,
    VersionId,
    Versioning,
)
from objstore.ondisk.record import HeldShard, Version
from objstore.quorum.thresholds import write_quorum
from objstore.versions.hlc import wall_ms_of
from objstore.versions.select import Choice, Outcome

MAYBE_ACKNOWLEDGED: Final = "drives are away: nobody knows whether the newest version counts"
# Given the version that is to go, raises RequestRefused when it must stay.
Permission = Callable[[Version], None]
# Given the current version of a key, an object or a delete marker, and the one that is to go;
# raises RequestRefused when it must stay.
Judgement = Callable[[Version, Version], None]


async def delete_object(
    context: Context,
    places: tuple[Place, ...],
    bucket: BucketName,
    key: ObjectKey,
    bucket_record: BucketRecord,
    precondition: Precondition = UNCONDITIONAL,
) -> None:
    """Delete a key of a bucket without versions. Deleting what is not there succeeds, as on S3.

    Raises:
        RequestRefused: the precondition does not hold.
        WriteQuorumLost: too few slots could take the tombstone.
    """
    for place in places:
        if precondition is not UNCONDITIONAL or await _may_exist(context, place, bucket, key):
            version_at = partial(_marker, place, bucket, key, Kind.TOMBSTONE, Versioning.OFF, "")
            await _commit(
                context, place, Proposal(version_at, _held(place)), bucket_record, precondition
            )


async def _may_exist(context: Context, place: Place, bucket: BucketName, key: ObjectKey) -> bool:
    """Whether there may be something to delete: a tombstone for nothing would only be litter.

    Another's tombstone does not answer for this delete. It may be of one that is under way, which
    the next reader need not see, or that fails and is taken back: even when W slots have it, as its
    maker may not hear of them.
    """
    try:
        choice = await resolve(context, place.handle, bucket, key)
    except ReadQuorumLost:
        return True
    return bool(choice.version or choice.tombstone or choice.skipped)


async def mark_deleted(  # noqa: PLR0913, PLR0917 - as delete_version
    context: Context,
    place: Place,
    bucket: BucketName,
    key: ObjectKey,
    versioning: Versioning,
    owner: str,
    bucket_record: BucketRecord,
    precondition: Precondition = UNCONDITIONAL,
) -> Deleted:
    """Write a delete marker, whether there is anything to delete or not.

    "If the bucket is versioning-suspended, [it] inserts a delete marker that becomes the latest
    version of the object" with version id null, "replacing" an earlier null version.
    """
    version_at = partial(_marker, place, bucket, key, Kind.DELETE_MARKER, versioning, owner)
    proposal = Proposal(version_at, _held(place))
    marker = await _commit(context, place, proposal, bucket_record, precondition)
    return Deleted(marker.version_id, delete_marker=True)


async def delete_version(  # noqa: PLR0913 - a version has to be named, and who may say no
    context: Context,
    places: tuple[Place, ...],
    bucket: BucketName,
    key: ObjectKey,
    version_id: VersionId,
    bucket_record: BucketRecord,
    *,
    permission: Permission,
    precondition: Precondition = UNCONDITIONAL,
) -> Deleted:
    """Bury one version for good. Deleting one that is not there succeeds.

    Raises:
        RequestRefused: `permission` or the precondition says no.
        WriteQuorumLost: too few slots could take the tombstone.
    """

    async def bury(place: Place) -> Version | None:
        choice = await _find_version(context, place, bucket, key, version_id)
        version, latest, now = choice.version, choice.version, context.stamp()
        if version is None and choice.tombstone is not None:
            latest = choice.tombstone
            version = await _not_retired(context, place, latest, version_id)
            now = context.hlc.above(latest.edit, context.now_ms())
        if version is not None and latest is not None:
            precondition(current_object(choice))
            permission(version)
            version_at = partial(_tombstone, place, version, now)
            proposal = Proposal(version_at, _held(place), base=latest.order)
            await _commit(context, place, proposal, bucket_record)
        return version

    for place in places:
        buried = await until_uncontested(context, partial(bury, place))
        if buried is not None:
            return Deleted(version_id, delete_marker=buried.kind is Kind.DELETE_MARKER)
    precondition(None)
    return Deleted(version_id)


async def _find_version(
    context: Context, place: Place, bucket: BucketName, key: ObjectKey, version_id: VersionId
) -> Choice:
    """Find a version to bury; one of which every slot says that too little is left, too.

    That it can not be read must not keep it from going: then nobody could ever be rid of it.
    """
    handle = place.handle
    try:
        return await resolve(context, handle, bucket, key, version_id)
    except ReadQuorumLost:
        history = await read_history(context, handle, read_key(bucket, key, version_id))
        short = history.choices[0]
        everybody = handle.is_every_slot_on(history.answers)
        if short.outcome is not Outcome.UNDECIDED or short.version is None or not everybody:
            raise
        return short


async def _not_retired(
    context: Context, place: Place, tombstone: Version, version_id: VersionId
) -> Version | None:
    """Return the version that a tombstone buries, if any drive still has it.

    It is retired once the tombstone is acknowledged, and until then the tombstone may be taken back
    (as in `_may_exist`).
    """
    op = read_key(tombstone.bucket, tombstone.key, version_id)
    history = await read_history(context, place.handle, op)
    return next(
        (
            record.version
            for answer in history.answers.values()
            for record in answer.records
            if record.version.stamp == tombstone.stamp and record.version.kind is not Kind.TOMBSTONE
        ),
        None,
    )


async def delete_judged(
    context: Context,
    place: Place,
    bucket: BucketName,
    key: ObjectKey,
    version_id: VersionId,
    bucket_record: BucketRecord,
    *,
    judgement: Judgement,
) -> bool:
    """Bury one version for good while its key is as `judgement` saw it; False: it was gone.

    The current version is read first. A drive that holds a row above the newest that was read then,
    or a later revision of the version, refuses: so the version does not go when a newer one came
    or went meanwhile, for example when it has become the current one again.

    Raises:
        RequestRefused: `judgement` says no; ConditionalRequestConflict.
        ReadQuorumLost: it is not certain what is current.
        WriteQuorumLost: too few slots could take the tombstone.
    """

    async def bury() -> bool:
        newest = await resolve(context, place.handle, bucket, key)
        current = newest.version
        version = (await resolve(context, place.handle, bucket, key, version_id)).version
        if current is None or version is None:
            return False
        if not newest.acknowledged:
            raise ReadQuorumLost(MAYBE_ACKNOWLEDGED)
        judgement(current, version)
        version_at = partial(_tombstone, place, version, context.stamp())
        proposal = Proposal(version_at, _held(place), base=version.order, not_above=newest.newest)
        await _commit(context, place, proposal, bucket_record)
        return True

    return await until_uncontested(context, bury)


async def _commit(
    context: Context,
    place: Place,
    proposal: Proposal,
    bucket_record: BucketRecord,
    precondition: Precondition = UNCONDITIONAL,
) -> Version:
    # A full drive still takes deletions, so what can be asked counts, not what can be written.
    handle = place.handle
    alone = handle.require(handle.readable(), write_quorum(_scheme(place)))
    if alone:
        written_alone = partial(_written_alone, proposal.version_at, alone)
        proposal = replace(proposal, version_at=written_alone)
    if precondition is UNCONDITIONAL:
        return await commit_version(context, handle, proposal, bucket_record)
    return await commit_if(context, handle, proposal, bucket_record, precondition)


def _written_alone(
    version_at: Callable[[Stamp], Version], alone: tuple[int, ...], stamp: Stamp
) -> Version:
    return msgspec.structs.replace(version_at(stamp), solo_slots=alone)


def _scheme(place: Place) -> Scheme:
    """Every slot holds the whole of what has no data."""
    return Scheme(1, place.handle.total_slots - 1)


def _held(place: Place) -> dict[int, tuple[HeldShard, ...]]:
    return {
        drive: tuple(HeldShard(shard) for shard in shards)
        for drive, shards in place.by_drive().items()
    }


def _marker(
    place: Place,
    bucket: BucketName,
    key: ObjectKey,
    kind: Kind,
    versioning: Versioning,
    owner: str,
    stamp: Stamp,
) -> Version:
    scheme = _scheme(place)
    return Version(
        bucket=bucket,
        key=key,
        stamp=stamp,
        revision=0,
        kind=kind,
        null_version=versioning is not Versioning.ENABLED,
        k=scheme.k,
        m=scheme.m,
        slots=place.slots,
        stripe_bytes=STRIPE_BYTES,
        size=0,
        etag="",
        modified_ms=wall_ms_of(stamp),
        owner=owner,
    )


def _tombstone(place: Place, buried: Version, now: Stamp, _: Stamp) -> Version:
    """Return the tombstone of one version: its last revision."""
    scheme = _scheme(place)
    return Version(
        bucket=buried.bucket,
        key=buried.key,
        stamp=buried.stamp,
        revision=REVISION_LAST,
        kind=Kind.TOMBSTONE,
        null_version=buried.null_version,
        k=scheme.k,
        m=scheme.m,
        slots=place.slots,
        stripe_bytes=STRIPE_BYTES,
        size=0,
        etag="",
        modified_ms=wall_ms_of(now),
        edit=now,
    )

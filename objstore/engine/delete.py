"""DELETE: a tombstone takes the key's place in the order.

The tombstone is an ordinary record without shards, acknowledged by W slots like any write; it
hides what drives that were away still hold, until every slot has it (background/reaper.py).
"""

from functools import partial

from objstore.engine.buckets import BucketRecord
from objstore.engine.commit import Proposal, commit_version
from objstore.engine.get import resolve
from objstore.engine.sets import Context, Place
from objstore.errors import ReadQuorumLost
from objstore.limits import STRIPE_BYTES
from objstore.names import BucketName, Kind, ObjectKey, Scheme, Stamp
from objstore.ondisk.record import HeldShard, Version
from objstore.quorum.thresholds import write_quorum
from objstore.versions.hlc import wall_ms_of
from objstore.versions.select import Outcome


async def delete_object(
    context: Context,
    places: tuple[Place, ...],
    bucket: BucketName,
    key: ObjectKey,
    bucket_record: BucketRecord,
) -> None:
    """Delete a key. Deleting what is not there succeeds, as on S3.

    Raises:
        WriteQuorumLost: too few slots could take the tombstone.
    """
    for place in places:
        if await _may_exist(context, place, bucket, key):
            await _bury(context, place, bucket, key, bucket_record)


async def _may_exist(context: Context, place: Place, bucket: BucketName, key: ObjectKey) -> bool:
    """Whether there may be something to delete: a tombstone for nothing would only be litter."""
    try:
        choice = await resolve(context, place.handle, bucket, key)
    except ReadQuorumLost:
        return True
    if choice.outcome is Outcome.ABSENT:
        return bool(choice.skipped)
    return choice.version is not None and choice.version.kind is Kind.OBJECT


async def _bury(
    context: Context, place: Place, bucket: BucketName, key: ObjectKey, bucket_record: BucketRecord
) -> None:
    handle = place.handle
    scheme = Scheme(1, handle.total_slots - 1)  # every slot holds the whole tombstone
    # A full drive still takes deletions, so what can be asked counts, not what can be written.
    handle.require(handle.readable(), write_quorum(scheme))
    held = {
        drive: tuple(HeldShard(shard) for shard in shards)
        for drive, shards in place.by_drive().items()
    }
    version_at = partial(_tombstone, place, scheme, bucket, key)
    await commit_version(context, handle, Proposal(version_at, held), bucket_record)


def _tombstone(
    place: Place, scheme: Scheme, bucket: BucketName, key: ObjectKey, stamp: Stamp
) -> Version:
    return Version(
        bucket=bucket,
        key=key,
        stamp=stamp,
        revision=0,
        kind=Kind.TOMBSTONE,
        null_version=True,
        k=scheme.k,
        m=scheme.m,
        slots=place.slots,
        stripe_bytes=STRIPE_BYTES,
        size=0,
        etag="",
        modified_ms=wall_ms_of(stamp),
    )

"""Bring the buckets of a drive, and the uploads in them, to what its set says."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial

from objstore.drive.ops import BucketPage, ListBuckets, PutBucket, ReadBucket
from objstore.engine.fanout import call_all
from objstore.engine.heal_upload import heal_uploads
from objstore.engine.sets import Context, SetHandle
from objstore.errors import ReadQuorumLost, RecordUnknown, Superseded
from objstore.limits import CALL_DEADLINE_S
from objstore.names import BucketName
from objstore.ondisk.record import Bucket, decode_bucket, encode_bucket
from objstore.quorum.reduce import describe_errors

_Buckets = dict[BucketName, Bucket]


async def heal_buckets(context: Context, handle: SetHandle, index: int) -> list[BucketName]:
    """Give a drive the newest record of every bucket; return those that exist.

    Raises:
        DriveError: the drive failed.
        ReadQuorumLost: too few drives told.
    """
    newest = await newest_buckets(context, handle)
    held = _newest([await handle.drives[index].call(ListBuckets())])
    for bucket in newest.values():
        await _give(handle, index, held, bucket)
    return sorted(name for name, bucket in newest.items() if not bucket.deleted)


async def newest_buckets(context: Context, handle: SetHandle) -> Mapping[BucketName, Bucket]:
    """Join what every drive of a set knows of buckets, tombstones too.

    Raises:
        ReadQuorumLost: those that answered could all have missed one. Without this a drive that was
            replaced would find that there is nothing to rebuild while it is alone. When all answer
            there is no more to know: of a new set no drive is trusted in the beginning.
    """
    fanout = await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, ListBuckets()) for drive in handle.readable()},
        deadline_s=CALL_DEADLINE_S,
    )
    trusted = [drive for drive, page in fanout.answers.items() if page.trusted]
    everybody = handle.is_every_slot_on(fanout.answers)
    if not everybody and not handle.is_fresh(trusted):
        raise ReadQuorumLost(
            f"{handle.slots_on(trusted)} of {handle.total_slots} slots told of the buckets; "
            f"{describe_errors(fanout.errors)}"
        )
    return _newest(fanout.answers.values())


async def heal_bucket(context: Context, handle: SetHandle, index: int, name: BucketName) -> int:
    """Give a drive the newest record of one bucket, and its uploads.

    Returns how much could not be done because other drives are away.

    Raises:
        DriveError: the drive failed.
    """
    fanout = await call_all(
        context.group,
        {
            drive: partial(handle.drives[drive].call, ReadBucket(name))
            for drive in handle.readable()
        },
        deadline_s=CALL_DEADLINE_S,
    )
    bucket = _newest(fanout.answers.values()).get(name)
    if bucket is None:
        return 0
    await _give(handle, index, _newest([await handle.drives[index].call(ReadBucket(name))]), bucket)
    return 0 if bucket.deleted else await heal_uploads(context, handle, index, name)


async def _give(
    handle: SetHandle, index: int, held: Mapping[BucketName, Bucket], bucket: Bucket
) -> None:
    """Give a drive a bucket's record, unless it has one that is as new."""
    mine = held.get(bucket.name)
    if mine is None or mine.stamp < bucket.stamp:
        with suppress(Superseded):  # it got a newer one meanwhile
            await handle.drives[index].call(PutBucket(encode_bucket(bucket), force=True))


def _newest(pages: Iterable[BucketPage]) -> _Buckets:
    """Join what drives know of buckets, tombstones too."""
    newest: _Buckets = {}
    for sealed in (record for page in pages for record in page.records):
        try:
            bucket = decode_bucket(sealed)
        except RecordUnknown:
            continue
        held = newest.get(bucket.name)
        if held is None or held.stamp < bucket.stamp:
            newest[bucket.name] = bucket
    return newest

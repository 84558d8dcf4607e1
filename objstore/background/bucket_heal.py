"""Bring the buckets of a drive, and the uploads in them, to what its set says."""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import partial

from objstore.drive.ops import BucketPage, ListBuckets, PutBucket, ReadBucket
from objstore.engine.fanout import call_all
from objstore.engine.heal_upload import heal_uploads
from objstore.engine.sets import Context, SetHandle
from objstore.errors import RecordUnknown, Superseded
from objstore.limits import CALL_DEADLINE_S
from objstore.names import BucketName
from objstore.ondisk.record import Bucket, decode_bucket, encode_bucket

_Buckets = dict[BucketName, Bucket]


async def heal_buckets(context: Context, handle: SetHandle, index: int) -> list[BucketName]:
    """Give a drive the newest record of every bucket; return those that exist.

    Raises:
        DriveError: the drive failed.
    """
    fanout = await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, ListBuckets()) for drive in handle.readable()},
        deadline_s=CALL_DEADLINE_S,
    )
    newest = _newest(fanout.answers.values())
    held = _newest([await handle.drives[index].call(ListBuckets())])
    for bucket in newest.values():
        await _give(handle, index, held, bucket)
    return sorted(name for name, bucket in newest.items() if not bucket.deleted)


async def heal_bucket(context: Context, handle: SetHandle, index: int, name: BucketName) -> None:
    """Give a drive the newest record of one bucket, and its uploads.

    Raises:
        DriveError: the drive failed.
        ReadQuorumLost: a part cannot be rebuilt.
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
        return
    await _give(handle, index, _newest([await handle.drives[index].call(ReadBucket(name))]), bucket)
    if not bucket.deleted:
        await heal_uploads(context, handle, index, name)


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

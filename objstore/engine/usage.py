"""What a bucket holds: each drive counts in the transaction that changes it."""

from functools import partial

from objstore.drive.ops import ReadUsage
from objstore.engine.fanout import call_all
from objstore.engine.ports import BucketUsage
from objstore.engine.sets import Context
from objstore.errors import ReadQuorumLost
from objstore.limits import CALL_DEADLINE_S
from objstore.names import BucketName
from objstore.quorum.reduce import describe_errors


async def bucket_usage(context: Context, bucket: BucketName) -> BucketUsage:
    """Add up what every set holds of a bucket.

    Of a set, what most of its trusted drives count: one that missed writes and is being healed is
    outvoted. Exact while no write is in flight.

    Raises:
        ReadQuorumLost: a set has no trusted drive that answers.
    """
    totals = [0, 0, 0, 0]
    for handle in context.sets:
        fanout = await call_all(
            context.group,
            {
                drive: partial(handle.drives[drive].call, ReadUsage(bucket))
                for drive in handle.readable()
            },
            deadline_s=CALL_DEADLINE_S,
        )
        counts = [
            (usage.objects, usage.object_bytes, usage.versions, usage.version_bytes)
            for usage in fanout.answers.values()
            if usage.trusted
        ]
        if not counts:
            raise ReadQuorumLost(describe_errors(fanout.errors))
        chosen = max(counts, key=lambda count: (counts.count(count), count))
        totals = [total + one for total, one in zip(totals, chosen, strict=True)]
    return BucketUsage(*totals)

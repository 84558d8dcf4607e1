"""Which drives of a set know of every deletion that the set has forgotten.

A tombstone is forgotten when every slot has it and it is old. A drive that is set back to an old
copy afterwards, or was replaced and is put back, may hold what that tombstone had buried, and
nobody else knows of it any more. So every drive counts what was forgotten while it was there, one
by one: one that counts fewer than others was not there, and what it alone holds may be deleted.
It counts again when a comparison finds that it holds exactly what one that counts does.
"""

from collections.abc import Mapping
from functools import partial

from objstore.drive.ops import ReadStatus
from objstore.engine.fanout import call_all
from objstore.engine.sets import Context, SetHandle
from objstore.errors import ReadQuorumLost
from objstore.limits import CALL_DEADLINE_S


async def read_forgotten(context: Context, handle: SetHandle) -> Mapping[int, int]:
    """Return what each drive that answers counts, by index."""
    fanout = await call_all(
        context.group,
        {index: partial(handle.drives[index].call, ReadStatus()) for index in handle.readable()},
        deadline_s=CALL_DEADLINE_S,
    )
    return {index: status.forgotten for index, status in fanout.answers.items()}


async def drives_that_count(context: Context, handle: SetHandle) -> frozenset[int]:
    """Return the drives that know of every deletion that was forgotten.

    Raises:
        ReadQuorumLost: some drive does not tell; it may be the one that counts most.
    """
    counts = await read_forgotten(context, handle)
    if not handle.is_every_slot_on(counts):
        raise ReadQuorumLost("not every drive tells which deletions it knows of")
    newest = max(counts.values())
    return frozenset(index for index, count in counts.items() if count == newest)

"""Write down for the healer that a key wants something on some slots of its set."""

from functools import partial

from objstore.drive.ops import Settle
from objstore.engine.fanout import call_all
from objstore.engine.heal import Healed
from objstore.engine.sets import Context, SetHandle
from objstore.limits import CALL_DEADLINE_S
from objstore.names import NO_ORDER, BucketName, ObjectKey


async def note_wanting(
    context: Context,
    handle: SetHandle,
    bucket: BucketName,
    key: ObjectKey,
    slots: tuple[int, ...],
) -> int:
    """Note on every drive that `slots` lack something of a key; return how many took the note.

    The note names no version, so that nothing is settled by it: what is found wanting may be of
    a version that is on its way, or was never acknowledged.
    """
    note = Settle(bucket, key, NO_ORDER, slots)
    fanout = await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, note) for drive in handle.writable()},
        deadline_s=CALL_DEADLINE_S,
    )
    return len(fanout.answers)


async def note_recoding(
    context: Context, handle: SetHandle, healed: Healed, bucket: BucketName, key: ObjectKey
) -> None:
    """Have the heal queue recode a key in which healing it found a version that needs it."""
    if healed.recodes is not None:
        await note_wanting(context, handle, bucket, key, (healed.recodes,))


async def note_unhealed(
    context: Context, handle: SetHandle, target: int, bucket: BucketName, key: ObjectKey
) -> None:
    """Have the heal queue list a key as quarantined, and heal it once that is possible.

    Not while drives are away: then it is they that are missed, by every key.
    """
    if handle.is_every_slot_on(handle.readable()):
        await note_wanting(context, handle, bucket, key, handle.slots_of_drive[target])

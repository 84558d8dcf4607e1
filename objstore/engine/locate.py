"""Say where every shard of an object lies, and in what state, for the operator."""

from functools import partial

from objstore.drive.ops import ReadKey, VerifyShard
from objstore.engine.fanout import call_all
from objstore.engine.get import open_object
from objstore.engine.ports import Location, ShardPlace
from objstore.engine.resolve import answer_of
from objstore.engine.sets import Context, Place
from objstore.errors import DriveError, ShardCorrupt, ShardMissing
from objstore.limits import CALL_DEADLINE_S
from objstore.names import BucketName, ObjectKey, shard_letter
from objstore.ondisk.record import Version
from objstore.versions.select import DriveAnswer


async def locate(
    context: Context, places: tuple[Place, ...], bucket: BucketName, key: ObjectKey
) -> Location:
    """Find an object and verify each of its shards where it lies.

    Raises:
        RequestRefused: NoSuchKey.
        ReadQuorumLost: a set cannot tell.
    """
    found = await open_object(context, places, bucket, key)
    handle, version = found.place.handle, found.version
    fanout = await call_all(
        context.group,
        {
            drive: partial(handle.drives[drive].call, ReadKey(bucket, key))
            for drive in handle.readable()
        },
        deadline_s=CALL_DEADLINE_S,
    )
    answers = {drive: answer_of(state) for drive, state in fanout.answers.items()}
    shards = [
        await _shard_place(found.place, version, shard, answers)
        for shard in range(version.k + version.m)
    ]
    return Location(bucket, key, version, handle.layout.pool, handle.layout.index, tuple(shards))


async def _shard_place(
    place: Place, version: Version, shard: int, answers: dict[int, DriveAnswer]
) -> ShardPlace:
    slot = version.slots[shard]
    index = place.handle.drive_of_slot(slot)
    address = place.handle.layout.drives[index]
    return ShardPlace(
        shard=shard,
        letter=shard_letter(version.scheme, shard),
        server=address.server,
        drive=address.path,
        slot=slot,
        state=await _state(place, version, shard, index, answers.get(index)),
    )


async def _state(
    place: Place, version: Version, shard: int, index: int, answer: DriveAnswer | None
) -> str:
    if answer is None:
        return "offline"
    record = answer.find(version.order)
    held = next((held for held in record.held if held.shard == shard), None) if record else None
    if held is None:
        return "unknown: a damaged record" if answer.unknown else "missing: no record"
    if held.missing_parts:
        return f"missing: parts {', '.join(map(str, held.missing_parts))}"
    if held.inline is not None:
        return "ok"
    return await _file_state(place, version, shard, index)


async def _file_state(place: Place, version: Version, shard: int, index: int) -> str:
    """Verify a shard's files on its drive."""
    try:
        for part in version.parts_with_bytes:
            op = VerifyShard(part.data_id, part.number, shard)
            await place.handle.drives[index].call(op)
    except ShardMissing:
        return "missing: no shard file"
    except ShardCorrupt as error:
        return f"corrupt: {error}"
    except DriveError as error:
        return f"offline: {error}"
    return "ok"

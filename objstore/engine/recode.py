"""Write a version again under the scheme that its set has for its storage class, keeping its stamp.

Versions written while slots were away carry more parity than they are meant to. Once every slot
is back they are read, encoded anew under fresh data ids, and committed with the same stamp and
the next revision, so that they keep their place among the versions of the key; then the old
encoding is retired like anything superseded.

Only one server recodes a version, the one that has the drive of its first shard, and only while
every drive answers. A drive that holds an edit made meanwhile refuses the new encoding.
"""

from functools import partial

import msgspec

from objstore.drive.ops import Commit, CommitMode, DiscardShards, Settle, Undo
from objstore.engine.edit import next_revision
from objstore.engine.encrypt import Intake
from objstore.engine.fanout import call_all
from objstore.engine.get import StoredObject
from objstore.engine.key_health import KeyHealth, examine
from objstore.engine.ports import Attributes
from objstore.engine.put import StoredPart, Target, store_part
from objstore.engine.reader_body import ReaderBody
from objstore.engine.sets import Context, Place, SetHandle, WritePlan
from objstore.errors import WriteQuorumLost
from objstore.limits import CALL_DEADLINE_S
from objstore.names import Scheme
from objstore.ondisk.record import HeldShard, Version, encode_record, encode_version
from objstore.quorum.reduce import describe_errors
from objstore.quorum.thresholds import write_quorum
from objstore.versions.select import Choice
from objstore.wire.digests import Digests


def _scheme_of(handle: SetHandle, version: Version) -> Scheme:
    return handle.layout.scheme_for(version.storage_class)


async def recode(context: Context, handle: SetHandle, health: KeyHealth, choice: Choice) -> int:
    """Rewrite one version of a key under its class's scheme; return the bytes read.

    Raises:
        ReadQuorumLost: the version can not be read.
        WriteQuorumLost: too few slots took the new encoding; it is undone.
        RequestRefused: what was read does not match the version's own digests.
    """
    version = choice.version
    assert version is not None
    assert choice.sources is not None
    assert health.complete
    place = Place(handle, version.slots)
    source = StoredObject(context, place, version, dict(choice.sources), complete=True)
    stored: list[StoredPart] = []
    try:
        offset = 0
        for part in version.parts:
            digests = Digests({"MD5"})
            digests.expect("MD5", bytes.fromhex(part.etag))
            body = ReaderBody(source, offset, offset + part.size)
            target = Target(
                place, WritePlan(_scheme_of(handle, version)), version.bucket, version.key,
                version.upload_id, part.number,
            )  # fmt: skip
            stored.append(
                await store_part(
                    context,
                    target,
                    Intake.plain(body, digests),
                    attributes=Attributes(),
                    inline_allowed=len(version.parts) == 1,
                )
            )
            offset += part.size
        again = await _publish(context, handle, version, stored)
    except BaseException:
        # Not published: nothing that was acknowledged names these shards.
        await _discard(context, handle, stored)
        raise
    await _retire(context, handle, again)
    return version.size


async def _publish(
    context: Context,
    handle: SetHandle,
    version: Version,
    stored: list[StoredPart],
) -> Version:
    """Commit the new encoding on W slots, or on none."""
    scheme = _scheme_of(handle, version)
    parts = tuple(
        msgspec.structs.replace(old, data_id=new.part.data_id)
        for old, new in zip(version.parts, stored, strict=True)
    )
    again = msgspec.structs.replace(
        version,
        revision=next_revision(version),
        edit=context.stamp(),
        k=scheme.k,
        m=scheme.m,
        parts=parts,
        solo_slots=(),
    )
    held = _held(handle, again, stored)
    encoded = encode_version(again)
    fanout = await call_all(
        context.group,
        {
            drive: partial(
                handle.drives[drive].call,
                Commit(encode_record(encoded, shards), CommitMode.REVISED, base=version.order),
            )
            for drive, shards in held.items()
        },
        deadline_s=CALL_DEADLINE_S,
    )
    if handle.slots_on(tuple(fanout.answers)) < write_quorum(scheme):
        undo = Undo(again.bucket, again.key, again.order)
        await call_all(
            context.group,
            {drive: partial(handle.drives[drive].call, undo) for drive in held},
            deadline_s=CALL_DEADLINE_S,
        )
        raise WriteQuorumLost(describe_errors(fanout.errors))
    return again


async def _retire(context: Context, handle: SetHandle, again: Version) -> None:
    """Settle the new revision, which retires every older encoding of the version."""
    health = await examine(context, handle, again.bucket, again.key)
    lacking = tuple(
        slot
        for drive, slots in enumerate(handle.slots_of_drive)
        if drive not in health.answers or health.answers[drive].find(again.order) is None
        for slot in slots
    )
    settle = Settle(again.bucket, again.key, again.order, lacking, again.size)
    await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, settle) for drive in handle.writable()},
        deadline_s=CALL_DEADLINE_S,
    )


def _held(
    handle: SetHandle, version: Version, stored: list[StoredPart]
) -> dict[int, tuple[HeldShard, ...]]:
    """Join what the parts left on each drive into what its record says."""
    held: dict[int, tuple[HeldShard, ...]] = {}
    for drive, _slots in enumerate(handle.slots_of_drive):
        shards: list[HeldShard] = []
        for shard, slot in enumerate(version.slots):
            if handle.drive_of_slot(slot) != drive:
                continue
            mine = [
                next((one for one in part.held.get(drive, ()) if one.shard == shard), None)
                for part in stored
            ]
            missing = tuple(
                part.part.number for part, one in zip(stored, mine, strict=True) if one is None
            )
            inline = next((one.inline for one in mine if one is not None), None)
            shards.append(HeldShard(shard, inline, missing))
        if shards:
            held[drive] = tuple(shards)
    return held


async def _discard(context: Context, handle: SetHandle, stored: list[StoredPart]) -> None:
    """Remove shards that no record names."""
    for part in stored:
        await call_all(
            context.group,
            {
                drive: partial(
                    handle.drives[drive].call,
                    DiscardShards(
                        tuple((part.part.data_id, part.part.number, one.shard) for one in held)
                    ),
                )
                for drive, held in part.held.items()
            },
            deadline_s=CALL_DEADLINE_S,
        )

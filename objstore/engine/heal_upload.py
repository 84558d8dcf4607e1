"""Heal uploads in progress.

A drive that was replaced learns of them and gets their parts; one that was away forgets those
that ended meanwhile. One that has ended must not begin again on a drive that took part in its end:
while others are away, a trusted drive is told only of what W slots can not have ended.
"""

from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial

from objstore.drive.ops import AbortUpload, ListUploads, PutPart, PutUpload, ReadUpload, UploadState
from objstore.engine.fanout import call_all
from objstore.engine.multipart import may_be_open
from objstore.engine.rebuild import LostVersion
from objstore.engine.sets import Context, SetHandle
from objstore.errors import ReadQuorumLost, RecordUnknown, UploadMissing
from objstore.limits import CALL_DEADLINE_S, SETTLE_AGE_S
from objstore.names import BucketName, Kind, UploadId
from objstore.ondisk.record import (
    HeldShard,
    Upload,
    UploadedPart,
    Version,
    decode_part,
    decode_upload,
    encode_part,
    encode_upload,
)
from objstore.versions.select import Source


async def heal_uploads(
    context: Context,
    handle: SetHandle,
    target: int,
    bucket: BucketName,
    *,
    suspects: Collection[tuple[UploadId, int]] = (),
) -> int:
    """Give the drive `target` every upload of a bucket and its shards of their parts, and no more.

    Of the parts that it has, only `suspects` (upload, part number) are looked at: their files are
    verified, and written anew where they are damaged.

    Returns how much could not be done because other drives are away. A part of which too few shards
    are left although all answer is beyond repair, and holds nothing up.

    Raises:
        DriveError: the target failed.
    """
    failed = 0
    after_key, after_upload = "", ""
    while True:
        op = ListUploads(bucket, "", after_key, after_upload)
        fanout = await call_all(
            context.group,
            {drive: partial(handle.drives[drive].call, op) for drive in handle.readable()},
            deadline_s=CALL_DEADLINE_S,
        )
        uploads: dict[tuple[str, str], Upload] = {}
        cuts: list[tuple[str, str]] = []
        for page in fanout.answers.values():
            held = [decode_upload(sealed) for sealed in page.uploads]
            uploads |= {(upload.key, upload.upload_id): upload for upload in held}
            if page.truncated:
                cuts.append((held[-1].key, held[-1].upload_id))
        for name in sorted(uploads):
            if not cuts or name <= min(cuts):
                failed += await _heal_upload(context, handle, target, uploads[name], suspects)
        if not cuts:
            return failed
        after_key, after_upload = min(cuts)


async def _heal_upload(
    context: Context,
    handle: SetHandle,
    target: int,
    upload: Upload,
    suspects: Collection[tuple[UploadId, int]],
) -> int:
    fanout = await call_all(
        context.group,
        {
            drive: partial(handle.drives[drive].call, ReadUpload(upload.upload_id))
            for drive in handle.readable()
        },
        deadline_s=CALL_DEADLINE_S,
    )
    states = fanout.answers
    without = [drive for drive, one in states.items() if one.trusted and one.upload is None]
    if not may_be_open(handle, without):
        # One that is young may be about to begin: its record has not come to the others yet.
        young = upload.initiated_ms > context.now_ms() - SETTLE_AGE_S * 1000
        if target in states and states[target].upload is not None and not young:
            with suppress(UploadMissing):  # a Complete has it, which settles it too
                await handle.drives[target].call(AbortUpload(upload.upload_id))
        return 0
    holders = frozenset(drive for drive, one in states.items() if one.upload is not None)
    if not holders - {target}:
        return 0  # it ended meanwhile
    some_away = not handle.is_every_slot_on(states)
    if target not in holders:
        if some_away and not handle.is_fresh(holders):
            return int(target not in states or not states[target].trusted)
        await handle.drives[target].call(PutUpload(encode_upload(upload)))
    lost = await _heal_parts(context, handle, target, upload, states, suspects)
    return lost if some_away else 0


async def _heal_parts(
    context: Context,
    handle: SetHandle,
    target: int,
    upload: Upload,
    states: Mapping[int, UploadState],
    suspects: Collection[tuple[UploadId, int]],
) -> int:
    """Give the target the newest part of every number; return how many cannot be rebuilt."""
    mine = _parts(states[target]) if target in states else {}
    others = {drive: _parts(state) for drive, state in states.items() if drive != target}
    newest: dict[int, UploadedPart] = {}
    for parts in others.values():
        for number, part in parts.items():
            if number not in newest or newest[number].stamp < part.stamp:
                newest[number] = part
    lost = 0
    for number, part in sorted(newest.items()):
        held = number in mine and mine[number].stamp >= part.stamp
        if held and (upload.upload_id, number) not in suspects:
            continue
        try:
            await _heal_part(context, handle, target, upload, part, others)
        except ReadQuorumLost:
            lost += 1
    return lost


async def _heal_part(
    context: Context,
    handle: SetHandle,
    target: int,
    upload: Upload,
    uploaded: UploadedPart,
    others: Mapping[int, Mapping[int, UploadedPart]],
) -> None:
    part = uploaded.part
    holders = {
        drive
        for drive, parts in others.items()
        if part.number in parts and parts[part.number].stamp == uploaded.stamp
    }
    by_shard = {shard: handle.drive_of_slot(slot) for shard, slot in enumerate(upload.slots)}
    sources = {
        shard: Source(drive, HeldShard(shard))
        for shard, drive in by_shard.items()
        if drive in holders
    }
    shards = tuple(shard for shard, drive in by_shard.items() if drive == target)
    lost = LostVersion(context, handle, _as_version(upload, uploaded), sources, target)
    await lost.rebuild(part, shards)
    held = shards if part.size else ()
    await handle.drives[target].call(PutPart(encode_part(uploaded), held))


def _as_version(upload: Upload, uploaded: UploadedPart) -> Version:
    """Describe a part as an object of its own, which is how its shards are read."""
    return Version(
        bucket=upload.bucket,
        key=upload.key,
        stamp=upload.stamp,
        revision=0,
        kind=Kind.OBJECT,
        null_version=True,
        k=upload.k,
        m=upload.m,
        slots=upload.slots,
        stripe_bytes=upload.stripe_bytes,
        size=uploaded.part.size,
        etag=uploaded.part.etag,
        modified_ms=uploaded.modified_ms,
        parts=(uploaded.part,),
        upload_id=UploadId(upload.upload_id),
    )


def _parts(state: UploadState) -> dict[int, UploadedPart]:
    parts: dict[int, UploadedPart] = {}
    for sealed in state.parts:
        try:
            part = decode_part(sealed)
        except RecordUnknown:
            continue
        parts[part.part.number] = part
    return parts

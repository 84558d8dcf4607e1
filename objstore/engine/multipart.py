"""Multipart uploads: parts become shards when they arrive; Complete only writes a record.

The scheme and the slots of an upload are fixed when it is created, so that every part of the
object is found in the same way. A drive that misses a part is noted in its record
(`missing_parts`) and healed later.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from objstore.drive.ops import (
    AbortUpload,
    DiscardShards,
    PutPart,
    PutUpload,
    ReadUpload,
    UploadState,
)
from objstore.engine.buckets import BucketRecord, call_with_bucket
from objstore.engine.commit import Proposal, commit_version
from objstore.engine.completion import Completion, checksum_of_upload, completion
from objstore.engine.condition import Pauses, commit_if
from objstore.engine.encrypt import intake_of, new_encryption
from objstore.engine.fanout import call_all
from objstore.engine.ports import (
    UNCONDITIONAL,
    Attributes,
    Body,
    CompleteRequest,
    PartListing,
    UploadedPartResult,
)
from objstore.engine.put import StoredPart, Target, store_part
from objstore.engine.resolve import resolve
from objstore.engine.sets import Context, Place, SetHandle, WritePlan
from objstore.errors import (
    BucketMissing,
    ReadQuorumLost,
    RecordUnknown,
    RequestRefused,
    UploadMissing,
    WriteQuorumLost,
)
from objstore.limits import (
    CALL_DEADLINE_S,
    CONDITION_TRIES_MAX,
    STRIPE_BYTES,
)
from objstore.names import BucketName, Kind, ObjectKey, Stamp, UploadId, Versioning
from objstore.ondisk.record import (
    HeldShard,
    Part,
    Upload,
    UploadedPart,
    Version,
    decode_part,
    decode_upload,
    encode_part,
    encode_upload,
)
from objstore.quorum.reduce import describe_errors
from objstore.quorum.thresholds import write_quorum_least
from objstore.versions.hlc import wall_ms_of
from objstore.wire.customer_key import CustomerKey
from objstore.wire.digests import Digests, multipart_etag


@dataclass(frozen=True, slots=True)
class FoundUpload:
    """An upload, its place, and its newest parts by number."""

    upload: Upload
    place: Place
    parts: Mapping[int, UploadedPart]


async def create_upload(
    context: Context,
    place: Place,
    bucket: BucketName,
    key: ObjectKey,
    attributes: Attributes,
    bucket_record: BucketRecord,
) -> Upload:
    """Begin an upload on every drive of its set.

    Raises:
        RequestRefused: NoSuchBucket.
        WriteQuorumLost: too few slots could take it.
    """
    scheme = place.handle.plan(attributes.storage_class).scheme
    stamp = context.stamp()
    upload = Upload(
        upload_id=UploadId(context.entropy.draw(16).hex()),
        bucket=bucket,
        key=key,
        stamp=stamp,
        initiated_ms=wall_ms_of(stamp),
        k=scheme.k,
        m=scheme.m,
        slots=place.slots,
        stripe_bytes=STRIPE_BYTES,
        headers=dict(attributes.headers),
        user_metadata=dict(attributes.user_metadata),
        storage_class=attributes.storage_class,
        checksum_algorithm=next(iter(attributes.checksum_algorithms), ""),
        checksum_type=attributes.checksum_type,
        owner=attributes.owner,
        tags=dict(attributes.tags),
        acl=attributes.acl,
        retention_mode=attributes.retention_mode,
        retain_until_ms=attributes.retain_until_ms,
        legal_hold=attributes.legal_hold,
        initiator=attributes.initiator,
        encryption=new_encryption(context, attributes.customer_key),
    )
    op = PutUpload(encode_upload(upload))
    handle = place.handle
    calls = {
        drive: partial(call_with_bucket, handle.drives[drive], op, bucket, bucket_record)
        for drive in handle.writable()
    }
    await _write_quorum(context, handle, calls)
    return upload


async def _write_quorum(
    context: Context, handle: SetHandle, calls: Mapping[int, Callable[[], Awaitable[None]]]
) -> tuple[int, ...]:
    """Make the call on each drive; return those that did it, W of slots at least."""
    fanout = await call_all(context.group, calls, deadline_s=CALL_DEADLINE_S)
    done = tuple(fanout.answers)
    needed = write_quorum_least(handle.total_slots)
    if handle.is_enough(done, needed):
        return done
    errors = fanout.errors.values()
    if errors and all(isinstance(error, BucketMissing) for error in errors):
        raise RequestRefused("NoSuchBucket")
    # A drive that was away when the upload began has none of it, and yet it is in progress.
    without = [d for d, error in fanout.errors.items() if isinstance(error, UploadMissing)]
    if not may_be_open(handle, without):
        raise RequestRefused("NoSuchUpload")
    raise WriteQuorumLost(
        f"{handle.slots_on(done)} of {handle.total_slots} slots took it, {needed} are needed: "
        f"{describe_errors(fanout.errors)}"
    )


def may_be_open(handle: SetHandle, without: Iterable[int]) -> bool:
    """Whether an upload may be in progress that these drives do not have.

    W slots took it when it began. Once so many are without it that W cannot have it, it was
    aborted or completed, and a drive that still has it missed that.
    """
    return handle.may_acknowledge(frozenset(range(len(handle.drives))) - frozenset(without))


async def find_upload(
    context: Context,
    places: tuple[Place, ...],
    bucket: BucketName,
    key: ObjectKey,
    upload_id: UploadId,
    *,
    parts: bool = True,
) -> FoundUpload:
    """Find an upload and join what the drives know of its parts.

    Raises:
        RequestRefused: NoSuchUpload.
        ReadQuorumLost: the slots that answered cannot tell.
    """
    for place in places:
        states = await _read_upload(
            context, place.handle, ReadUpload(upload_id, 0, 10_000 if parts else 0)
        )
        without = [d for d, state in states.items() if state.trusted and state.upload is None]
        found = _join(states, place) if may_be_open(place.handle, without) else None
        if found is not None and (found.upload.bucket, found.upload.key) == (bucket, key):
            return found
    raise RequestRefused("NoSuchUpload", UploadId=upload_id)


async def _read_upload(
    context: Context, handle: SetHandle, op: ReadUpload
) -> Mapping[int, UploadState]:
    """Ask every drive; fail when those that answered could all have missed a part."""
    fanout = await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, op) for drive in handle.readable()},
        deadline_s=CALL_DEADLINE_S,
    )
    trusted = tuple(drive for drive, state in fanout.answers.items() if state.trusted)
    if not handle.is_fresh(trusted):
        raise ReadQuorumLost(
            f"{handle.slots_on(trusted)} of {handle.total_slots} slots answered; "
            f"{describe_errors(fanout.errors)}"
        )
    return fanout.answers


def _join(states: Mapping[int, UploadState], place: Place) -> FoundUpload | None:
    upload: Upload | None = None
    parts: dict[int, UploadedPart] = {}
    for state in states.values():
        for sealed in state.parts:
            try:
                part = decode_part(sealed)
            except RecordUnknown:
                continue
            held = parts.get(part.part.number)
            if held is None or part.stamp > held.stamp:
                parts[part.part.number] = part
        if state.upload is not None:
            try:
                upload = decode_upload(state.upload)
            except RecordUnknown:
                continue
    return FoundUpload(upload, place, parts) if upload is not None else None


async def put_part(
    context: Context,
    found: FoundUpload,
    number: int,
    body: Body,
    digests: Digests,
    key: CustomerKey | None = None,
) -> UploadedPartResult:
    """Store a part; a later upload of the same number replaces it.

    `key` is the one that the upload was begun with, if it was with one.

    Raises:
        RequestRefused: the body is not what was promised, or NoSuchUpload.
        WriteQuorumLost: too few slots are left.
    """
    upload, place = found.upload, found.place
    assert (key is None) == (not upload.encryption)
    algorithm, _ = checksum_of_upload(upload)
    digests.add(algorithm)
    plan = place.handle.plan_with(upload.scheme)
    target = Target(place, plan, upload.bucket, upload.key, upload.upload_id, number)
    intake = intake_of(context, body, digests, key, encryption=upload.encryption)
    stored = await store_part(
        context, target, intake, attributes=Attributes(), inline_allowed=False
    )
    stamp = context.stamp()
    part = _with_checksums(stored.part, algorithm, digests)
    record = encode_part(UploadedPart(upload.upload_id, stamp, wall_ms_of(stamp), part))
    calls = {
        drive: partial(
            place.handle.drives[drive].call,
            PutPart(record, tuple(held.shard for held in shards) if stored.size else ()),
        )
        for drive, shards in stored.held.items()
    }
    try:
        await _write_quorum(context, place.handle, calls)
    except (RequestRefused, WriteQuorumLost):
        await _discard(context, place.handle, stored)
        raise
    return UploadedPartResult(part, wall_ms_of(stamp))


def _with_checksums(part: Part, algorithm: str, digests: Digests) -> Part:
    """Add the checksum that the object's will be made of, and any other that the client sent."""
    encoded = digests.encoded()
    names = (algorithm, *sorted(digests.claimed - {algorithm}))
    return msgspec.structs.replace(part, checksums={name: encoded[name] for name in names})


async def _discard(context: Context, handle: SetHandle, stored: StoredPart) -> None:
    part = stored.part
    await call_all(
        context.group,
        {
            drive: partial(
                handle.drives[drive].call,
                DiscardShards(tuple((part.data_id, part.number, held.shard) for held in shards)),
            )
            for drive, shards in stored.held.items()
        },
        deadline_s=CALL_DEADLINE_S,
    )


def list_parts(found: FoundUpload, *, after: int, limit: int) -> PartListing:
    """Return a page of an upload's parts."""
    numbers = sorted(number for number in found.parts if number > after)
    shown = numbers[:limit]
    return PartListing(
        found.upload, tuple(found.parts[number] for number in shown), len(numbers) > len(shown)
    )


async def abort_upload(context: Context, found: FoundUpload) -> None:
    """Forget an upload and its parts.

    Raises:
        RequestRefused: NoSuchUpload, also when a Complete has it.
        WriteQuorumLost: too few slots could forget it.
    """
    handle = found.place.handle
    op = AbortUpload(found.upload.upload_id)
    handle.require_writable(write_quorum_least(handle.total_slots))
    calls = {drive: partial(handle.drives[drive].call, op) for drive in handle.writable()}
    await _write_quorum(context, handle, calls)


async def complete_upload(
    context: Context,
    found: FoundUpload,
    request: CompleteRequest,
    versioning: Versioning,
    bucket_record: BucketRecord,
) -> Version:
    """Make an object of the parts the client names.

    Raises:
        RequestRefused: InvalidPart, InvalidPartOrder, EntityTooSmall, BadDigest, InvalidRequest, or
            what the precondition raises.
        WriteQuorumLost: too few slots could commit.
    """
    made = completion(found.upload, found.parts, request)
    plan = found.place.handle.plan_with(found.upload.scheme)
    version_at = partial(_completed, found.upload, plan, made, versioning)
    held = {
        drive: tuple(HeldShard(shard) for shard in shards)
        for drive, shards in found.place.by_drive().items()
    }
    proposal = Proposal(version_at, held, completes=found.upload.upload_id)
    handle = found.place.handle
    if request.precondition is UNCONDITIONAL:
        return await commit_version(context, handle, proposal, bucket_record)
    return await commit_if(context, handle, proposal, bucket_record, request.precondition)


def _completed(
    upload: Upload, plan: WritePlan, made: Completion, versioning: Versioning, stamp: Stamp
) -> Version:
    return Version(
        bucket=upload.bucket,
        key=upload.key,
        stamp=stamp,
        revision=0,
        kind=Kind.OBJECT,
        null_version=versioning is not Versioning.ENABLED,
        k=upload.k,
        m=upload.m,
        slots=upload.slots,
        stripe_bytes=upload.stripe_bytes,
        size=made.size,
        etag=multipart_etag([part.etag for part in made.parts]),
        modified_ms=wall_ms_of(stamp),
        parts=made.parts,
        headers=upload.headers,
        user_metadata=upload.user_metadata,
        checksums=dict(made.checksums),
        checksum_type=made.checksum_type,
        storage_class=upload.storage_class,
        upload_id=upload.upload_id,
        owner=upload.owner,
        tags=upload.tags,
        acl=upload.acl,
        retention_mode=upload.retention_mode,
        retain_until_ms=upload.retain_until_ms,
        legal_hold=upload.legal_hold,
        encryption=upload.encryption,
        solo_slots=plan.solo_slots,
    )


async def complete_once(
    context: Context,
    places: tuple[Place, ...],
    request: CompleteRequest,
    versioning: Versioning,
    bucket_record: BucketRecord,
) -> Version:
    """As `complete_upload`, or return what another Complete of the upload made of it.

    A drive gives an upload to one Complete. Of several at the same time each may get it from some
    and none from W; all of them are taken back then, and it is there as before. So as long as it
    is, there is another try, after longer and longer random pauses.

    Raises:
        RequestRefused: as `complete_upload`, and NoSuchUpload.
        WriteQuorumLost: as `complete_upload`, and when others were in the way each time.
    """
    pauses = Pauses(context)
    for _ in range(CONDITION_TRIES_MAX):
        found = None
        try:
            found = await find_upload(
                context, places, request.bucket, request.key, request.upload_id
            )
            return await complete_upload(context, found, request, versioning, bucket_record)
        except RequestRefused as refused:
            if refused.reason != "NoSuchUpload":
                raise
            version = await completed_before(context, places, request)
            if version is not None:
                return version
            if found is None:
                raise
        await pauses.wait()
    raise WriteQuorumLost(f"{CONDITION_TRIES_MAX} times others were completing the upload")


async def completed_before(
    context: Context, places: tuple[Place, ...], request: CompleteRequest
) -> Version | None:
    """Return the object that an earlier, perhaps unanswered, Complete of this upload made.

    Raises:
        WriteQuorumLost: nobody knows whether it did: it may be under way, and may yet be undone.
    """
    for place in places:
        choice = await resolve(context, place.handle, request.bucket, request.key)
        version = choice.version
        if version is not None and version.upload_id == request.upload_id:
            if not choice.acknowledged:
                raise WriteQuorumLost("drives are away: another Complete may have done it, or not")
            return version
    return None

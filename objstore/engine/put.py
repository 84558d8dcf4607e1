"""PUT: a body becomes shards, then records; the client is answered once W slots have both.

The order below is the durability order of docs/format/ORDERING.md. Each step may fail and leaves
nothing that a reader can see; only step 5 makes the object visible.
"""

from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial

from objstore.engine.buckets import BucketRecord
from objstore.engine.commit import Proposal, commit_version
from objstore.engine.condition import commit_if
from objstore.engine.encrypt import Intake, intake_of
from objstore.engine.ports import UNCONDITIONAL, Attributes, Body, Precondition
from objstore.engine.sets import Context, Place, WritePlan
from objstore.engine.stripes import (
    ShardWriter,
    Stripe,
    StripeReader,
    encode,
    held_by_drive,
    inline_shards,
)
from objstore.erasure.geometry import block_bytes
from objstore.limits import INLINE_SHARD_BYTES_MAX, STRIPE_BYTES
from objstore.names import NO_UPLOAD, BucketName, DataId, Kind, ObjectKey, Scheme, Stamp, UploadId
from objstore.ondisk.record import HeldShard, Part, Version
from objstore.ondisk.shard_file import CHECKSUM_BYTES, ShardHeader, trailer_of
from objstore.versions.hlc import wall_ms_of
from objstore.wire.digests import Digests


@dataclass(frozen=True, slots=True)
class Target:
    """What is being written, and where."""

    place: Place
    plan: WritePlan
    bucket: BucketName
    key: ObjectKey
    upload_id: UploadId = NO_UPLOAD
    part_number: int = 1
    null_version: bool = True

    @property
    def scheme(self) -> Scheme:
        """The scheme it is written with."""
        return self.plan.scheme


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part whose shards are durable on the drives in `held`, and that no record names yet."""

    part: Part
    size: int
    held: dict[int, tuple[HeldShard, ...]]


async def put_object(
    context: Context,
    target: Target,
    body: Body,
    *,
    attributes: Attributes,
    digests: Digests,
    bucket_record: BucketRecord,
    precondition: Precondition = UNCONDITIONAL,
) -> Version:
    """Store an object and return its version once it is acknowledged.

    Raises:
        RequestRefused: the body is not what the client promised, or the precondition does not hold.
            Nothing is stored.
        WriteQuorumLost: too few slots are left. Nothing is stored.
    """
    # 1. Read, hash, encode; write shards (small objects stay in memory, for the record).
    # 2. Compare every digest the client promised.
    # 3. Make the shards durable, with the version as we know it in each trailer.
    intake = intake_of(context, body, digests, attributes.customer_key)
    stored = await store_part(context, target, intake, attributes=attributes, inline_allowed=True)
    # 4. Draw the stamp as late as possible: it decides who is later.
    # 5. Commit one record a slot; 6. retire what was superseded, after the quorum.
    version_at = partial(describe, target, stored, attributes, intake)
    proposal = Proposal(version_at, stored.held)
    handle = target.place.handle
    if precondition is UNCONDITIONAL:
        return await commit_version(context, handle, proposal, bucket_record)
    return await commit_if(context, handle, proposal, bucket_record, precondition)


async def store_part(
    context: Context,
    target: Target,
    intake: Intake,
    *,
    attributes: Attributes,
    inline_allowed: bool,
) -> StoredPart:
    """Make a body's shards durable; nothing is visible yet."""
    reader = StripeReader(intake.body, target.scheme, STRIPE_BYTES)
    data_id = context.data_id()
    first = await reader.next()
    if first is None:
        intake.sent.verify()
        return _empty_part(target, intake)
    block = block_bytes(first.size, target.scheme.k)
    fits = CHECKSUM_BYTES + block <= INLINE_SHARD_BYTES_MAX
    if inline_allowed and fits and await reader.at_end():
        return await _store_inline(context, target, first, data_id, intake)
    return await _store_shards(
        context, target, reader, first, data_id, attributes=attributes, intake=intake
    )


def _empty_part(target: Target, intake: Intake) -> StoredPart:
    """Describe no bytes at all: every slot holds the record and no shard has any data."""
    part = Part(target.part_number, 0, intake.etag, DataId(b""))
    everywhere = tuple(range(target.scheme.slots))
    return StoredPart(part, 0, held_by_drive(target.place, everywhere))


async def _store_inline(
    context: Context, target: Target, stripe: Stripe, data_id: DataId, intake: Intake
) -> StoredPart:
    intake.kept.update(stripe.payload)
    intake.sent.verify()
    encode(stripe, target.scheme, _bracket(context, target.scheme))
    everywhere = tuple(range(target.scheme.slots))
    inline = inline_shards(stripe, data_id, target.scheme)
    part = _part(target, intake, stripe.size, data_id)
    return StoredPart(part, stripe.size, held_by_drive(target.place, everywhere, inline))


async def _store_shards(
    context: Context,
    target: Target,
    reader: StripeReader,
    first: Stripe,
    data_id: DataId,
    *,
    attributes: Attributes,
    intake: Intake,
) -> StoredPart:
    """Stream stripes into shard files and make them durable."""
    writer = ShardWriter(context, target.place, target.plan, data_id, target.part_number)
    stamp = context.stamp()
    try:
        shards = tuple(range(target.scheme.slots))
        await writer.open(partial(_header, context, target, data_id, stamp), shards)
        bracket = _bracket(context, target.scheme)
        stripe: Stripe | None = first
        hashed: Awaitable[None] | None = None
        size = 0
        while stripe is not None:
            if hashed is not None:
                await hashed
            size += stripe.size
            hashed = context.cpu.start(stripe.size, partial(intake.kept.update, stripe.payload))
            await context.cpu.run(stripe.size, partial(encode, stripe, target.scheme, bracket))
            await writer.write(stripe)
            stripe = await reader.next()
        assert hashed is not None
        await hashed
        intake.sent.verify()
        part = _part(target, intake, size, data_id)
        described = describe(target, StoredPart(part, size, {}), attributes, intake, stamp)
        durable = await writer.finish(trailer_of(described, part))
    except BaseException:
        # Cancelled, refused or failed: no record will ever name these files.
        await writer.abort()
        raise
    return StoredPart(part, size, held_by_drive(target.place, durable))


def _part(target: Target, intake: Intake, size: int, data_id: DataId) -> Part:
    return Part(target.part_number, size, intake.etag, data_id, salt=intake.salt)


def _bracket(context: Context, scheme: Scheme) -> tuple[int, ...] | None:
    """Pick k random shards for bracketing, for a sampled share of uploads."""
    draw = context.entropy.draw(4 + scheme.slots)
    if int.from_bytes(draw[:4], "big") >= context.bracketing * 2**32:
        return None
    ranked = sorted(range(scheme.slots), key=lambda shard: draw[4 + shard])
    return tuple(sorted(ranked[: scheme.k]))


def _header(
    context: Context, target: Target, data_id: DataId, stamp: Stamp, shard: int
) -> ShardHeader:
    return ShardHeader(
        bucket=target.bucket,
        key=target.key,
        data_id=data_id,
        part=target.part_number,
        shard=shard,
        k=target.scheme.k,
        m=target.scheme.m,
        stripe_bytes=STRIPE_BYTES,
        stamp=stamp,
        upload_id=target.upload_id,
        deployment=context.deployment.hex(),
    )


def describe(
    target: Target, stored: StoredPart, attributes: Attributes, intake: Intake, stamp: Stamp
) -> Version:
    """Return the version that a PUT commits under `stamp`."""
    return Version(
        bucket=target.bucket,
        key=target.key,
        stamp=stamp,
        revision=0,
        kind=Kind.OBJECT,
        null_version=target.null_version,
        k=target.scheme.k,
        m=target.scheme.m,
        slots=target.place.slots,
        stripe_bytes=STRIPE_BYTES,
        size=stored.size,
        etag=stored.part.etag,
        modified_ms=wall_ms_of(stamp),
        parts=(stored.part,) if stored.size else (),
        headers=dict(attributes.headers),
        user_metadata=dict(attributes.user_metadata),
        checksums={
            name: value
            for name, value in intake.sent.encoded().items()
            if name in attributes.checksum_algorithms
        },
        checksum_type=attributes.checksum_type,
        storage_class=attributes.storage_class,
        owner=attributes.owner,
        tags=dict(attributes.tags),
        acl=attributes.acl,
        retention_mode=attributes.retention_mode,
        retain_until_ms=attributes.retain_until_ms,
        legal_hold=attributes.legal_hold,
        encryption=intake.encryption,
        solo_slots=target.plan.solo_slots,
    )

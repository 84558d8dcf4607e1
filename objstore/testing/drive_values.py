"""Values that tests of drives are made of: versions, records, uploads, whole shard files."""

from collections.abc import Sequence

from objstore.drive.ops import Commit, CommitMode, PutBucket, PutPart, PutUpload
from objstore.names import (
    BucketName,
    DataId,
    Kind,
    ObjectKey,
    Order,
    Stamp,
    UploadId,
    order_of,
)
from objstore.ondisk.record import (
    Bucket,
    HeldShard,
    Part,
    Upload,
    UploadedPart,
    Version,
    encode_bucket,
    encode_part,
    encode_record,
    encode_upload,
    encode_version,
)
from objstore.ondisk.shard_file import (
    ShardHeader,
    block_checksum,
    encode_header,
    encode_trailer,
)

BUCKET = BucketName("bucket")
KEY = ObjectKey("key")
STRIPE_BYTES = 3 * 4096


def stamp(number: int) -> Stamp:
    """Return the stamp that sorts by `number`."""
    return Stamp(number.to_bytes(16, "big"))


def order(number: int, revision: int = 0) -> Order:
    """Return the order of `revision` of the version stamped `number`."""
    return order_of(stamp(number), revision)


def data_id(number: int) -> DataId:
    """Return a data id."""
    return DataId(number.to_bytes(16, "little"))


def version(  # noqa: PLR0913
    number: int,
    *,
    key: str = KEY,
    bucket: BucketName = BUCKET,
    kind: Kind = Kind.OBJECT,
    revision: int = 0,
    null_version: bool = True,
    size: int = 100,
    parts: Sequence[Part] = (),
    upload_id: str = "",
) -> Version:
    """Return a version whose stamp sorts by `number`."""
    return Version(
        bucket=bucket,
        key=ObjectKey(key),
        stamp=stamp(number),
        revision=revision,
        kind=kind,
        null_version=null_version,
        k=3,
        m=1,
        slots=(0, 1, 2, 3),
        stripe_bytes=STRIPE_BYTES,
        size=size if kind is Kind.OBJECT else 0,
        etag=f"{number:032x}",
        modified_ms=number,
        parts=tuple(parts),
        headers={"content-type": "text/plain"},
        user_metadata={"n": str(number)},
        checksums={"CRC32": "AAAAAA=="},
        checksum_type="FULL_OBJECT",
        upload_id=UploadId(upload_id),
    )


def sealed(value: Version, *held: HeldShard) -> bytes:
    """Return a record; without `held` one small shard lies inside it."""
    shards = held or ((HeldShard(0, inline=b"shard"),) if value.kind is Kind.OBJECT else ())
    return encode_record(encode_version(value), shards)


def commit(value: Version, *held: HeldShard, merge: bool = False) -> Commit:
    """Return the call that commits a version."""
    mode = CommitMode.MERGE if merge else CommitMode.ORDERED
    return Commit(sealed(value, *held), mode)


def part(number: int, data: DataId, size: int = 4096) -> Part:
    """Return a part of a version."""
    return Part(number, size, f"{number:032x}", data)


def put_bucket(
    number: int = 1, *, name: BucketName = BUCKET, deleted: bool = False, force: bool = False
) -> PutBucket:
    """Return the call that makes or deletes a bucket."""
    return PutBucket(encode_bucket(Bucket(name, stamp(number), number, deleted)), force)


def put_upload(upload_id: str, *, key: str = KEY, bucket: BucketName = BUCKET) -> PutUpload:
    """Return the call that stores an upload."""
    upload = Upload(
        upload_id=UploadId(upload_id),
        bucket=bucket,
        key=ObjectKey(key),
        stamp=stamp(1),
        initiated_ms=1,
        k=3,
        m=1,
        slots=(0, 1, 2, 3),
        stripe_bytes=STRIPE_BYTES,
    )
    return PutUpload(encode_upload(upload))


def put_part(
    upload_id: str, number: int, data: DataId, *, at: int = 1, shards: tuple[int, ...] = (0,)
) -> PutPart:
    """Return the call that stores a part stamped `at`."""
    uploaded = UploadedPart(UploadId(upload_id), stamp(at), at, part(number, data))
    return PutPart(encode_part(uploaded), shards)


def shard_file(
    value: Version, number: int, data: DataId, shard: int, blocks: Sequence[bytes]
) -> bytes:
    """Return a whole shard file of part `number` of a version."""
    header = ShardHeader(
        bucket=value.bucket,
        key=value.key,
        data_id=data,
        part=number,
        shard=shard,
        k=value.k,
        m=value.m,
        stripe_bytes=value.stripe_bytes,
        stamp=value.stamp,
        upload_id=value.upload_id,
    )
    frames = [
        block_checksum(data, shard, index, block) + block for index, block in enumerate(blocks)
    ]
    return b"".join((encode_header(header), *frames, encode_trailer(encode_version(value))))

"""What the golden files hold, and how they were made.

`python -m tests.golden.samples` writes files that do not exist yet and never touches one that
does: a file of a format that was released stays as it is for ever.
"""

import hashlib
from pathlib import Path

import msgspec
import numpy as np

from objstore.erasure.codec import codec_for
from objstore.erasure.geometry import block_bytes, stripe_count, stripe_size
from objstore.limits import MIB, STRIPE_BYTES
from objstore.names import (
    BucketName,
    DataId,
    DriveId,
    Kind,
    ObjectKey,
    Scheme,
    Stamp,
    UploadId,
)
from objstore.ondisk.drive_identity import (
    ClusterDrive,
    ClusterMap,
    DriveIdentity,
    encode_cluster,
    encode_identity,
)
from objstore.ondisk.encryption import Keystream, encryption_under
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
from objstore.ondisk.shard_file import ShardHeader, block_checksum, encode_header, trailer_of

HERE = Path(__file__).parent / "format1"
DEPLOYMENT = "00112233445566778899aabbccddeeff"
STAMP = Stamp(bytes.fromhex("01a3185c500000076e6f64652d303031"))
DATA_ID = DataId(bytes(range(16)))
SMALL_STRIPE = 1024
SMALL_SIZE = 2500  # three stripes of 1024, 1024 and 452 bytes
LARGE_SIZE = 2 * MIB + 300_001

# The schemes of the layouts in config/.
SHIPPED = (
    Scheme(3, 1),  # two-server-ec1
    Scheme(2, 2),  # two-server-ec2
    Scheme(1, 1),  # mirror
    Scheme(1, 3),  # quad full copy
    Scheme(4, 1),  # the documented layouts
    Scheme(4, 2),  # the repaired one
)
COMMITTED = (Scheme(3, 1), Scheme(4, 2))


def content(size: int) -> bytes:
    """Return bytes that look random: SHA-256 of 0, 1, 2, ..."""
    count = -(-size // 32)
    return b"".join(hashlib.sha256(b"%d" % index).digest() for index in range(count))[:size]


def part(size: int) -> Part:
    return Part(
        number=1,
        size=size,
        etag=hashlib.md5(content(size)).hexdigest(),
        data_id=DATA_ID,
        checksums={"CRC32": "AAAAAA=="},
    )


def version(scheme: Scheme, size: int, stripe_bytes: int) -> Version:
    only = part(size)
    return Version(
        bucket=BucketName("photos"),
        key=ObjectKey("2026/ä/summer.jpg"),
        stamp=STAMP,
        revision=0,
        kind=Kind.OBJECT,
        null_version=True,
        k=scheme.k,
        m=scheme.m,
        slots=tuple(reversed(range(scheme.slots))),
        stripe_bytes=stripe_bytes,
        size=size,
        etag=only.etag,
        modified_ms=1_800_000_000_123,
        parts=(only,),
        headers={"content-type": "image/jpeg"},
        user_metadata={"camera": "x100"},
        checksums={"CRC32": "AAAAAA=="},
        checksum_type="FULL_OBJECT",
        owner="root",
    )


def header(scheme: Scheme, shard: int, stripe_bytes: int) -> ShardHeader:
    return ShardHeader(
        bucket=BucketName("photos"),
        key=ObjectKey("2026/ä/summer.jpg"),
        data_id=DATA_ID,
        part=1,
        shard=shard,
        k=scheme.k,
        m=scheme.m,
        stripe_bytes=stripe_bytes,
        stamp=STAMP,
        deployment=DEPLOYMENT,
    )


def frames(scheme: Scheme, size: int, stripe_bytes: int) -> list[bytes]:
    """Return each shard's frames of the sample object."""
    data, codec = content(size), codec_for(scheme)
    shards: list[list[bytes]] = [[] for _ in range(scheme.slots)]
    for index in range(stripe_count(size, stripe_bytes)):
        length = stripe_size(index, size, stripe_bytes)
        block = block_bytes(length, scheme.k)
        stripe = data[index * stripe_bytes :][:length].ljust(block * scheme.k, b"\0")
        blocks = np.frombuffer(stripe, np.uint8).reshape(scheme.k, block)
        parity = np.empty((scheme.m, block), np.uint8)
        codec.encode(blocks, parity)
        for shard, row in enumerate([*blocks, *parity]):
            checksum = block_checksum(DATA_ID, shard, index, row.tobytes())
            shards[shard] += [checksum, row.tobytes()]
    return [b"".join(pieces) for pieces in shards]


def shard_files(scheme: Scheme, size: int, stripe_bytes: int) -> list[bytes]:
    """Return each whole shard file of the sample object."""
    end = trailer_of(version(scheme, size, stripe_bytes), part(size))
    return [
        encode_header(header(scheme, shard, stripe_bytes)) + middle + end
        for shard, middle in enumerate(frames(scheme, size, stripe_bytes))
    ]


def shard_file_name(scheme: Scheme, shard: int) -> str:
    return f"{scheme.k}+{scheme.m}.{shard}.shard"


OBJECT = version(Scheme(3, 1), SMALL_SIZE, SMALL_STRIPE)
HELD = (HeldShard(2, inline=b"sixteen bytes ofblock"), HeldShard(3, None, (1,)))
TOMBSTONE = Version(
    bucket=BucketName("photos"),
    key=ObjectKey("gone"),
    stamp=STAMP,
    revision=1,
    kind=Kind.TOMBSTONE,
    null_version=True,
    k=1,
    m=3,
    slots=(0, 1, 2, 3),
    stripe_bytes=STRIPE_BYTES,
    size=0,
    etag="",
    modified_ms=1_800_000_000_123,
)
CUSTOMER_KEY = bytes(range(32))
ENCRYPTED = msgspec.structs.replace(
    OBJECT,
    parts=(msgspec.structs.replace(part(SMALL_SIZE), salt=b"the part's salt."),),
    encryption=encryption_under(CUSTOMER_KEY, b"the check's salt"),
)
BUCKET = Bucket(BucketName("photos"), STAMP, 1_800_000_000_000, owner="root", region="us-east-1")
UPLOAD = Upload(
    upload_id=UploadId("0f" * 16),
    bucket=BucketName("photos"),
    key=ObjectKey("film.mov"),
    stamp=STAMP,
    initiated_ms=1_800_000_000_000,
    k=3,
    m=1,
    slots=(0, 1, 2, 3),
    stripe_bytes=STRIPE_BYTES,
    headers={"content-type": "video/quicktime"},
    checksum_algorithm="CRC32C",
    checksum_type="COMPOSITE",
)
UPLOADED_PART = UploadedPart(UploadId("0f" * 16), STAMP, 1_800_000_000_456, part(SMALL_SIZE))
IDENTITY = DriveIdentity(
    deployment=DEPLOYMENT,
    drive=DriveId("a" * 32),
    pool=0,
    set=0,
    slots=(0, 2),
    endpoint="http://server1:9000/mnt/drive1",
    layout="5eed" * 8,
    created_ms=1_800_000_000_000,
)
CLUSTER = ClusterMap(
    deployment=DEPLOYMENT,
    layout="5eed" * 8,
    generation=2,
    drives=(
        ClusterDrive(
            pool=0,
            set=0,
            slots=(0, 2),
            endpoint="http://server1:9000/mnt/drive1",
            drive=DriveId("a" * 32),
            mount_point=True,
        ),
        ClusterDrive(
            pool=0,
            set=0,
            slots=(1,),
            endpoint="http://server2:9000/mnt/drive1",
            drive=DriveId("b" * 32),
            mount_point=False,
        ),
    ),
)


def all_files() -> dict[str, bytes]:
    """Return every golden file as today's code writes it."""
    files = {
        "object.record": encode_record(encode_version(OBJECT), HELD),
        "encrypted.record": encode_record(encode_version(ENCRYPTED), HELD),
        "encrypted.bytes": Keystream(CUSTOMER_KEY, b"the part's salt.").apply(content(SMALL_SIZE)),
        "tombstone.record": encode_record(encode_version(TOMBSTONE), (HeldShard(0),)),
        "bucket.record": encode_bucket(BUCKET),
        "upload.record": encode_upload(UPLOAD),
        "part.record": encode_part(UPLOADED_PART),
        "drive.json": encode_identity(IDENTITY),
        "cluster.json": encode_cluster(CLUSTER),
    }
    for scheme in COMMITTED:
        for shard, whole in enumerate(shard_files(scheme, SMALL_SIZE, SMALL_STRIPE)):
            files[shard_file_name(scheme, shard)] = whole
    lines = [
        f"{scheme.k}+{scheme.m} {shard} {hashlib.sha256(middle).hexdigest()}"
        for scheme in SHIPPED
        for shard, middle in enumerate(frames(scheme, LARGE_SIZE, STRIPE_BYTES))
    ]
    files["frames.sha256"] = ("\n".join(lines) + "\n").encode()
    return files


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    for name, written in all_files().items():
        if not (HERE / name).exists():
            (HERE / name).write_bytes(written)

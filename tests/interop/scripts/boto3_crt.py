"""The transfer client of the AWS Common Runtime under boto3: parts at once, checksums in trailers.

boto3's own switch to it (`preferred_transfer_client="crt"`) always speaks TLS, whatever the
endpoint says. So this takes one step below and makes the same objects without TLS.
"""

import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager

import boto3
import botocore.session
from s3transfer.crt import (
    BotocoreCRTCredentialsWrapper,
    BotocoreCRTRequestSerializer,
    CRTTransferManager,
    create_s3_crt_client,
)

from tests.interop.scripts.scenario import Target, run

MIB = 1024 * 1024


@contextmanager
def _transfers(target: Target) -> Iterator[CRTTransferManager]:
    session = botocore.session.Session()
    credentials = BotocoreCRTCredentialsWrapper(session.get_credentials())
    client = create_s3_crt_client(
        region=target.region,
        use_ssl=False,
        part_size=5 * MIB,
        crt_credentials_provider=credentials.to_crt_credentials_provider(),
    )
    serializer = BotocoreCRTRequestSerializer(
        session, {"region_name": target.region, "endpoint_url": target.endpoint}
    )
    with CRTTransferManager(client, serializer) as manager:
        yield manager


def transfers_files(target: Target) -> None:
    s3 = boto3.client("s3")
    sizes = (0, 5000, 5 * MIB + 1, 40 * MIB + 3)
    for size in sizes:
        (target.directory / f"up{size}").write_bytes(os.urandom(size))
    with _transfers(target) as manager:
        ups = [
            manager.upload(str(target.directory / f"up{size}"), target.bucket, f"crt/{size}")
            for size in sizes
        ]
        for up in ups:
            up.result()
        for size in sizes:
            manager.download(target.bucket, f"crt/{size}", str(target.directory / f"down{size}"))
    # A file has its name only when the manager has ended: the result comes a little earlier.
    for size in sizes:
        up, down = (target.directory / f"{way}{size}" for way in ("up", "down"))
        assert up.read_bytes() == down.read_bytes(), size
    parts = s3.head_object(Bucket=target.bucket, Key=f"crt/{sizes[-1]}")["ETag"]
    assert parts.endswith('-9"'), parts


def transfers_streams(target: Target) -> None:
    s3 = boto3.client("s3")
    data = os.urandom(12 * MIB)
    extra = {
        "ContentType": "text/x-test",
        "Metadata": {"who": "crt"},
        "ChecksumAlgorithm": "CRC32C",
    }
    back = io.BytesIO()
    with _transfers(target) as manager:
        manager.upload(io.BytesIO(data), target.bucket, "stream", extra).result()
        manager.download(target.bucket, "stream", back).result()
        assert hashlib.sha256(back.getvalue()).digest() == hashlib.sha256(data).digest()
        head = s3.head_object(Bucket=target.bucket, Key="stream", ChecksumMode="ENABLED")
        assert (head["ContentType"], head["Metadata"]) == ("text/x-test", {"who": "crt"})
        assert "ChecksumCRC32C" in head, head
        manager.delete(target.bucket, "stream").result()
    assert "Contents" not in s3.list_objects_v2(Bucket=target.bucket, Prefix="stream")


run(transfers_files, transfers_streams)

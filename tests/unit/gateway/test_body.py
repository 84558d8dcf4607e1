"""aws-chunked bodies over the connection: every mode, every fault, any split into packets."""

import asyncio
import base64
import hashlib
import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from isal import isal_zlib

from objstore.names import BucketName, ObjectKey
from objstore.wire.signing import ChunkSigner, Scope, derive_key
from tests.unit.gateway.certificates import certificate
from tests.unit.gateway.running import (
    ACCESS_KEY,
    REGION,
    SECRET_KEY,
    Answer,
    Service,
    Wire,
    gateway,
)

BUCKET = BucketName("bucket")
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
DATA = bytes(range(256)) * 1000
CRC = base64.b64encode(isal_zlib.crc32(DATA).to_bytes(4, "big")).decode()


def stored(service: Service, key: str = "k") -> bytes | None:
    found = service.store.objects.get((BUCKET, ObjectKey(key)))
    return None if found is None else found.data


def unsigned_body(data: bytes, chunk_bytes: int, trailer: str) -> bytes:
    chunks = [data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return framed + b"0\r\n" + trailer.encode() + b"\r\n\r\n"


def signed_body(head: bytes, data: bytes, chunk_bytes: int, trailer: str = "") -> bytes:
    """Frame `data` with the chain of signatures that the head's signature begins."""
    seed = re.search(rb"Signature=([0-9a-f]{64})", head)
    when = re.search(rb"X-Amz-Date: (\S+)", head)
    assert seed is not None
    assert when is not None
    timestamp = when[1].decode()
    scope = Scope(timestamp[:8], REGION, "s3")
    signer = ChunkSigner(
        key=derive_key(SECRET_KEY, scope), timestamp=timestamp, scope=scope, seed=seed[1].decode()
    )
    out = []
    chunks = [data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes)]
    for chunk in [*chunks, b""]:
        signature = signer.sign_chunk(hashlib.sha256(chunk))
        out.append(f"{len(chunk):x};chunk-signature={signature}\r\n".encode())
        out.append(chunk + b"\r\n" if chunk else b"")
    if trailer:
        signature = signer.sign_trailer(hashlib.sha256(f"{trailer}\n".encode()))
        out.append(f"{trailer}\r\nx-amz-trailer-signature:{signature}\r\n".encode())
    return b"".join([*out, b"\r\n"])


def in_packets(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def as_http_chunks(pieces: Sequence[bytes]) -> list[bytes]:
    return [*(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces), b"0\r\n\r\n"]


async def upload(
    service: Service, head: bytes, packets: Sequence[bytes], *, half_close: bool = False
) -> Answer:
    async with Wire.to(service.port) as wire:
        await wire.send(head)
        for packet in packets:
            await wire.send(packet)
        if half_close:
            wire.writer.write_eof()
        return await wire.answer()


def streaming_head(
    service: Service,
    mode: str,
    *,
    framed_bytes: int | None,
    decoded_bytes: int | None = len(DATA),
    trailer: str = "",
) -> bytes:
    headers = {"Content-Encoding": "aws-chunked"}
    if decoded_bytes is not None:
        headers["X-Amz-Decoded-Content-Length"] = str(decoded_bytes)
    if trailer:
        headers["X-Amz-Trailer"] = trailer
    if framed_bytes is None:
        headers["Transfer-Encoding"] = "chunked"
    else:
        headers["Content-Length"] = str(framed_bytes)
    return service.head("PUT", "/bucket/k", headers, sha=mode)


@pytest.mark.parametrize("packet_bytes", [1000, 65_536, 10_000_000])
@pytest.mark.parametrize("http_chunks", [False, True])
async def test_unsigned_chunks_with_a_trailer(packet_bytes: int, http_chunks: bool) -> None:
    body = unsigned_body(DATA, 65_536, f"x-amz-checksum-crc32:{CRC}")
    packets = in_packets(body, packet_bytes)
    async with gateway() as service:
        head = streaming_head(
            service,
            UNSIGNED_TRAILER,
            framed_bytes=None if http_chunks else len(body),
            trailer="x-amz-checksum-crc32",
        )
        answer = await upload(service, head, as_http_chunks(packets) if http_chunks else packets)
        assert answer.status == 200, answer.body
        assert stored(service) == DATA
        assert answer.headers["x-amz-checksum-crc32"] == CRC
        assert "connection" not in answer.headers
        assert not service.threads.sizes  # nothing to hash, so no thread is bothered


@pytest.mark.parametrize("packet_bytes", [10_007, 10_000_000])
@pytest.mark.parametrize("trailer", ["", f"x-amz-checksum-crc32:{CRC}"])
async def test_signed_chunks(packet_bytes: int, trailer: str) -> None:
    async with gateway() as service:
        size = len(
            signed_body(b"Signature=" + b"0" * 64 + b" X-Amz-Date: 2", DATA, 65_536, trailer)
        )
        head = streaming_head(
            service,
            SIGNED_TRAILER if trailer else SIGNED,
            framed_bytes=size,
            trailer=trailer.partition(":")[0],
        )
        body = signed_body(head, DATA, 65_536, trailer)
        answer = await upload(service, head, in_packets(body, packet_bytes))
        assert answer.status == 200, answer.body
        assert stored(service) == DATA
        assert service.threads.sizes  # hashed where the event loop is not


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (200, "SignatureDoesNotMatch"),  # data
        (-10, "SignatureDoesNotMatch"),  # the last chunk's signature
    ],
)
async def test_a_changed_byte_in_signed_chunks_stores_nothing(at: int, code: str) -> None:
    async with gateway() as service:
        size = len(signed_body(b"Signature=" + b"0" * 64 + b" X-Amz-Date: 2", DATA, 65_536))
        head = streaming_head(service, SIGNED, framed_bytes=size)
        body = bytearray(signed_body(head, DATA, 65_536))
        body[at] = ord("a") if body[at] != ord("a") else ord("b")
        answer = await upload(service, head, [bytes(body)])
        assert answer.code == code
        assert stored(service) is None


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body.replace(CRC.encode(), CRC[::-1].encode()), "InvalidRequest"),
        (lambda body: body.replace(CRC.encode(), b"AAAAAA=="), "BadDigest"),
        (lambda body: body.replace(b"crc32:", b"crc64:"), "MalformedTrailerError"),
        (lambda body: body.replace(b"10000\r\n", b"1000g\r\n", 1), "IncompleteBody"),
        (lambda body: body + b"x", "IncompleteBody"),
        (lambda body: body[:-30], "IncompleteBody"),
        (lambda body: body[:1000], "IncompleteBody"),
    ],
    ids=["no base64", "other checksum", "other name", "no hex", "longer", "no trailer", "cut"],
)
async def test_a_broken_body_is_refused_and_nothing_is_stored(change: Any, code: str) -> None:
    body = change(unsigned_body(DATA, 65_536, f"x-amz-checksum-crc32:{CRC}"))
    async with gateway() as service:
        for http_chunks in (False, True):
            head = streaming_head(
                service,
                UNSIGNED_TRAILER,
                framed_bytes=None if http_chunks else len(body),
                trailer="x-amz-checksum-crc32",
            )
            packets = as_http_chunks([body]) if http_chunks else [body]
            answer = await upload(service, head, packets)
            assert (answer.status, answer.code) == (400, code)
            assert stored(service) is None


async def test_a_framed_body_whose_connection_ends_is_incomplete() -> None:
    body = unsigned_body(DATA, 65_536, f"x-amz-checksum-crc32:{CRC}")
    async with gateway() as service:
        head = streaming_head(
            service, UNSIGNED_TRAILER, framed_bytes=len(body), trailer="x-amz-checksum-crc32"
        )
        answer = await upload(service, head, [body[:-5]], half_close=True)
        assert answer.code == "IncompleteBody"
        assert stored(service) is None


async def test_a_framed_body_says_how_much_data_it_has() -> None:
    async with gateway() as service:
        head = streaming_head(service, UNSIGNED_TRAILER, framed_bytes=10, decoded_bytes=None)
        answer = await upload(service, head, [])
        assert (answer.status, answer.code) == (411, "MissingContentLength")


async def test_an_unsigned_head_earns_no_streaming() -> None:
    """N075: no Authorization, so the framing is not believed."""
    async with gateway() as service:
        head = service.head(
            "PUT",
            "/bucket/k",
            {"X-Amz-Content-SHA256": UNSIGNED_TRAILER, "Content-Length": "10"},
            signed=False,
        )
        assert (await upload(service, head, [])).code == "AccessDenied"


# --- boto3 -------------------------------------------------------------------------------


def exercise(endpoint: str, verify: str | bool) -> None:
    """What a newcomer does first, with an SDK that checks what it gets."""
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        verify=verify,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    client.create_bucket(Bucket="fresh")
    for data in (b"", DATA):  # from files, botocore waits for "100 Continue"
        client.put_object(Bucket="fresh", Key="file", Body=io.BytesIO(data))
        assert client.get_object(Bucket="fresh", Key="file")["Body"].read() == data
    client.delete_object(Bucket="fresh", Key="file")
    for algorithm in ("CRC32", "CRC32C", "CRC64NVME", "SHA256"):
        client.put_object(
            Bucket="fresh",
            Key=f"ä/{algorithm}",
            Body=DATA,
            Metadata={"note": "plain"},
            ChecksumAlgorithm=algorithm,
        )
        got = client.get_object(Bucket="fresh", Key=f"ä/{algorithm}", ChecksumMode="ENABLED")
        assert got["Body"].read() == DATA
        assert got["Metadata"] == {"note": "plain"}
    keys = [row["Key"] for row in client.list_objects_v2(Bucket="fresh")["Contents"]]
    assert keys == sorted(f"ä/{name}" for name in ("CRC32", "CRC32C", "CRC64NVME", "SHA256"))
    with pytest.raises(client.exceptions.NoSuchKey):
        client.get_object(Bucket="fresh", Key="none")
    with pytest.raises(client.exceptions.ClientError) as refused:
        client.head_object(Bucket="fresh", Key="none")
    assert refused.value.response["Error"]["Code"] == "404"
    client.delete_objects(Bucket="fresh", Delete={"Objects": [{"Key": key} for key in keys]})
    client.delete_bucket(Bucket="fresh")
    client.close()


@pytest.mark.parametrize("encrypted", [False, True])
async def test_boto3(encrypted: bool, tmp_path: Path) -> None:
    """Over TLS boto3 sends aws-chunked with a trailer, over HTTP a header."""
    context = certificate(tmp_path) if encrypted else None
    verify = str(tmp_path / "both.pem") if encrypted else True
    scheme = "https" if encrypted else "http"
    async with gateway(tls=context) as service:
        await asyncio.to_thread(exercise, f"{scheme}://localhost:{service.port}", verify)

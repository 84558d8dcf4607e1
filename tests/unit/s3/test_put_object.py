"""PutObject, and what it keeps."""

import base64
import hashlib

import pytest

from objstore.errors import RequestRefused
from objstore.limits import OBJECT_PUT_BYTES_MAX
from objstore.wire.headers import CHECKSUM_BYTES
from tests.unit.s3.client import Client, Failure


async def bucket() -> Client:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    return client


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


async def test_round_trip_with_everything_an_object_keeps() -> None:
    client = await bucket()
    data = bytes(range(256)) * 40
    put = await client(
        "PutObject",
        Bucket="bucket",
        Key="a/b c/ü",
        Body=data,
        CacheControl="no-cache",
        ContentDisposition="attachment",
        ContentEncoding="gzip",
        ContentLanguage="de",
        ContentType="text/plain",
        Metadata={"one": "1", "two": "x y"},
        StorageClass="STANDARD",
        Headers={"Expires": "Thu, 01 Dec 1994 16:00:00 GMT"},
    )
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    got = await client("GetObject", Bucket="bucket", Key="a/b c/ü")
    assert got["Body"] == data
    expected = {
        "ETag": put["ETag"],
        "CacheControl": "no-cache",
        "ContentDisposition": "attachment",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "ContentType": "text/plain",
        "ContentLength": len(data),
        "AcceptRanges": "bytes",
        "Metadata": {"one": "1", "two": "x y"},
        "ExpiresString": "Thu, 01 Dec 1994 16:00:00 GMT",
    }
    assert {name: got.get(name, got["Headers"].get("expires")) for name in expected} == expected
    assert got["LastModified"].timestamp() == 1_700_000_000
    assert "x-amz-storage-class" not in got["Headers"]


async def test_an_empty_object() -> None:
    client = await bucket()
    await client("PutObject", Bucket="bucket", Key="k", Body=b"")
    got = await client("GetObject", Bucket="bucket", Key="k")
    assert got["Body"] == b""
    assert got["ContentLength"] == 0
    assert got["ContentType"] == "binary/octet-stream"


@pytest.mark.parametrize("algorithm", CHECKSUM_BYTES)
async def test_checksums_are_kept_and_returned_on_request(algorithm: str) -> None:
    from objstore.wire.digests import Digests

    client = await bucket()
    digests = Digests([algorithm])
    digests.update(b"hello")
    value = b64(digests.value(algorithm))
    member = f"Checksum{algorithm}"
    put = await client("PutObject", Bucket="bucket", Key="k", Body=b"hello", **{member: value})
    assert put[member] == value
    assert put["ChecksumType"] == "FULL_OBJECT"
    plain = await client("GetObject", Bucket="bucket", Key="k")
    assert member not in plain
    for name in ("GetObject", "HeadObject"):
        asked = await client(name, Bucket="bucket", Key="k", ChecksumMode="ENABLED")
        assert (asked[member], asked["ChecksumType"]) == (value, "FULL_OBJECT")


async def test_without_a_checksum_crc64nvme_is_computed() -> None:
    # AWS says: "If you don't specify a checksum algorithm, S3 automatically uses CRC64NVME"
    client = await bucket()
    put = await client("PutObject", Bucket="bucket", Key="k", Body=b"hello")
    assert put["ChecksumCRC64NVME"]
    assert put["ChecksumType"] == "FULL_OBJECT"


async def test_an_algorithm_without_a_value_is_computed() -> None:
    client = await bucket()
    headers = {"x-amz-checksum-algorithm": "XXHASH3", "x-amz-checksum-type": "FULL_OBJECT"}
    put = await client("PutObject", Bucket="bucket", Key="k", Body=b"hello", Headers=headers)
    assert put["ChecksumXXHASH3"]
    assert "ChecksumCRC64NVME" not in put


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        # AWS says: "For PutObject uploads, the checksum type is always FULL_OBJECT."
        ({"x-amz-checksum-type": "COMPOSITE"}, "InvalidRequest"),
        ({"x-amz-checksum-algorithm": "CRC16"}, "InvalidRequest"),
        (
            {"x-amz-checksum-algorithm": "SHA1", "x-amz-checksum-crc32": b64(bytes(4))},
            "InvalidRequest",
        ),
        ({"x-amz-checksum-md5": b64(bytes(16))}, "BadDigest"),
        ({"x-amz-checksum-sha512": b64(bytes(64))}, "BadDigest"),
        ({"x-amz-checksum-xxhash128": b64(bytes(8))}, "InvalidRequest"),
        ({"Content-MD5": b64(bytes(16))}, "BadDigest"),  # N078
        ({"Content-MD5": "nonsense"}, "InvalidDigest"),
        ({"x-amz-checksum-crc32": b64(bytes(4))}, "BadDigest"),  # N072
        ({"x-amz-checksum-crc32": "x"}, "InvalidRequest"),
        ({"x-amz-sdk-checksum-algorithm": "CRC32"}, "InvalidRequest"),
        ({"x-amz-storage-class": "GLACIER"}, "InvalidStorageClass"),
        ({"x-amz-storage-class": "STANDARD_IA"}, "InvalidStorageClass"),
        ({"x-amz-storage-class": ""}, "InvalidStorageClass"),
        ({"x-amz-meta-big": "x" * 2100}, "MetadataTooLarge"),  # N102
        ({"x-amz-tagging": "a=b&a=c"}, "InvalidArgument"),
        ({"x-amz-tagging": "=b"}, "InvalidTag"),
        ({"If-None-Match": "x"}, "NotImplemented"),
        ({"If-Match": "x"}, "NoSuchKey"),
        ({"x-amz-object-lock-mode": "COMPLIANCE"}, "InvalidArgument"),
        ({"x-amz-object-lock-legal-hold": "ON"}, "InvalidRequest"),
    ],
)
async def test_refusals_store_nothing(headers: dict[str, str], code: str) -> None:
    client = await bucket()
    with pytest.raises(Failure) as failure:
        await client("PutObject", Bucket="bucket", Key="k", Body=b"hello", Headers=headers)
    assert failure.value.code == code
    assert not client.store.objects


@pytest.mark.parametrize(
    ("size", "reason"),
    [(None, "MissingContentLength"), (OBJECT_PUT_BYTES_MAX + 1, "EntityTooLarge")],
)
async def test_sizes(size: int | None, reason: str) -> None:
    client = await bucket()
    with pytest.raises(RequestRefused) as refusal:  # N079, N120
        await client.raw("PUT", "/bucket/k", body=b"", size=size)
    assert refusal.value.reason == reason


async def test_md5_that_holds() -> None:
    client = await bucket()
    digest = b64(hashlib.md5(b"hello").digest())
    await client("PutObject", Bucket="bucket", Key="k", Body=b"hello", ContentMD5=digest)


async def test_a_bucket_that_is_not_there() -> None:
    with pytest.raises(Failure) as failure:
        await Client()("PutObject", Bucket="bucket", Key="k", Body=b"")
    assert (failure.value.status, failure.value.code) == (404, "NoSuchBucket")


async def test_keys_that_look_like_paths_are_keys() -> None:
    client = await bucket()
    keys = ["a/b", "a/b/c", "../other/k", "a//b", "./a", "a/", "%2e", "ü"]  # N090, N100
    for key in keys:
        await client("PutObject", Bucket="bucket", Key=key, Body=key.encode())
    for key in keys:
        assert (await client("GetObject", Bucket="bucket", Key=key))["Body"] == key.encode()


async def test_metadata_that_is_not_ascii_comes_back_encoded() -> None:
    # AWS says: non-US-ASCII metadata is returned as RFC 2047 has it
    client = await bucket()
    raw = "größe".encode().decode("latin-1")
    await client.raw("PUT", "/bucket/k", {"x-amz-meta-a": raw}, b"x")
    reply = await client.raw("HEAD", "/bucket/k")
    assert reply.headers["x-amz-meta-a"] == "=?UTF-8?B?Z3LDtsOfZQ==?="


@pytest.mark.parametrize(
    "location", ["/other", "http://example.com/a?b", "https://example.com/", "/" + "x" * 2047]
)
async def test_a_redirect_location_is_stored_and_returned(location: str) -> None:
    """AWS: "Amazon S3 stores the value of this header in the object metadata."."""
    client = await bucket()
    where = {"Bucket": "bucket", "Key": "k"}
    await client("PutObject", **where, Body=b"x", WebsiteRedirectLocation=location)
    for name in ("GetObject", "HeadObject"):
        answer = await client(name, **where)
        assert (answer["WebsiteRedirectLocation"], answer["Status"]) == (location, 200)
    upload = await client("CreateMultipartUpload", **where, WebsiteRedirectLocation=location)
    uploaded = {**where, "UploadId": upload["UploadId"]}
    part = await client("UploadPart", **uploaded, PartNumber=1, Body=b"y")
    named = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    await client("CompleteMultipartUpload", **uploaded, MultipartUpload=named)
    assert (await client("HeadObject", **where))["WebsiteRedirectLocation"] == location


@pytest.mark.parametrize("location", ["other", "", "ftp://example.com", "/" + "x" * 2048])
async def test_redirect_locations_that_are_none(location: str) -> None:
    client = await bucket()
    for name in ("PutObject", "CreateMultipartUpload"):
        with pytest.raises(Failure) as failure:
            await client(
                name,
                Bucket="bucket",
                Key="k",
                Headers={"x-amz-website-redirect-location": location},
            )
        assert (failure.value.status, failure.value.code) == (400, "InvalidRedirectLocation")


async def test_storage_classes() -> None:
    """AWS: "Amazon S3 returns this header for all objects except for S3 Standard storage class
    objects."
    """
    client = await bucket()
    reduced = {"StorageClass": "REDUCED_REDUNDANCY"}
    where = {"Bucket": "bucket", "Key": "k"}

    async def shown(key: str = "k") -> list[str | None]:
        read = [
            await client(name, Bucket="bucket", Key=key) for name in ("GetObject", "HeadObject")
        ]
        return [answer.get("StorageClass") for answer in read]

    await client("PutObject", **where, Body=b"x", **reduced)
    assert await shown() == ["REDUCED_REDUNDANCY"] * 2
    listing = await client("ListObjectsV2", Bucket="bucket")
    assert listing["Contents"][0]["StorageClass"] == "REDUCED_REDUNDANCY"
    known = await client("GetObjectAttributes", **where, ObjectAttributes=["StorageClass"])
    assert known["StorageClass"] == "REDUCED_REDUNDANCY"
    # "If the x-amz-storage-class header is not used, the copied object will be stored in the
    # STANDARD Storage Class by default."
    await client("CopyObject", Bucket="bucket", Key="copy", CopySource="bucket/k")
    assert await shown("copy") == [None, None]
    await client("CopyObject", Bucket="bucket", Key="copy", CopySource="bucket/copy", **reduced)
    assert await shown("copy") == ["REDUCED_REDUNDANCY"] * 2

    upload = await client("CreateMultipartUpload", **where, **reduced)
    uploads = await client("ListMultipartUploads", Bucket="bucket")
    assert uploads["Uploads"][0]["StorageClass"] == "REDUCED_REDUNDANCY"
    uploaded = {**where, "UploadId": upload["UploadId"]}
    assert (await client("ListParts", **uploaded))["StorageClass"] == "REDUCED_REDUNDANCY"
    part = await client("UploadPart", **uploaded, PartNumber=1, Body=b"y")
    named = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    await client("CompleteMultipartUpload", **uploaded, MultipartUpload=named)
    assert await shown() == ["REDUCED_REDUNDANCY"] * 2

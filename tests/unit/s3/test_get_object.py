"""GetObject and HeadObject: conditions, ranges, parts, overrides."""

import base64
import hashlib
import zlib
from datetime import UTC, datetime

import pytest

from objstore.errors import RequestRefused
from tests.unit.s3.client import Client, Failure, body_of

DATA = bytes(range(100))
ETAG = f'"{hashlib.md5(DATA).hexdigest()}"'
MODIFIED = datetime.fromtimestamp(1_700_000_000, UTC)


async def bucket() -> Client:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    await client("PutObject", Bucket="bucket", Key="k", Body=DATA, CacheControl="max-age=5")
    return client


@pytest.mark.parametrize(
    ("wanted", "status", "content_range", "data"),
    [
        ("bytes=0-9", 206, "bytes 0-9/100", DATA[:10]),
        ("bytes=90-", 206, "bytes 90-99/100", DATA[90:]),
        ("bytes=-5", 206, "bytes 95-99/100", DATA[95:]),
        ("bytes=0-99", 206, "bytes 0-99/100", DATA),
        ("bytes=0-1,4-5", 200, None, DATA),
        ("bytes=9-1", 200, None, DATA),  # N115
    ],
)
async def test_ranges(wanted: str, status: int, content_range: str | None, data: bytes) -> None:
    client = await bucket()
    got = await client("GetObject", Bucket="bucket", Key="k", Range=wanted)
    head = await client("HeadObject", Bucket="bucket", Key="k", Range=wanted)
    assert got["Body"] == data
    for answer in (got, head):
        assert answer["Status"] == status
        assert answer["ContentLength"] == len(data)
        assert answer.get("ContentRange") == content_range


async def test_a_range_beyond_the_end() -> None:
    client = await bucket()
    with pytest.raises(Failure) as failure:
        await client("GetObject", Bucket="bucket", Key="k", Range="bytes=100-")
    assert (failure.value.status, failure.value.code) == (416, "InvalidRange")
    assert failure.value.error["ActualObjectSize"] == "100"
    assert failure.value.headers["Content-Range"] == "bytes */100"


async def test_a_range_has_no_checksum_of_the_whole() -> None:
    client = await bucket()
    got = await client(
        "GetObject", Bucket="bucket", Key="k", Range="bytes=0-9", ChecksumMode="ENABLED"
    )
    assert not [name for name in got if name.startswith("Checksum")]


async def test_if_range() -> None:
    client = await bucket()
    for validator, status in ((ETAG, 206), ('"x"', 200)):
        reply = await client.raw("GET", "/bucket/k", {"Range": "bytes=0-1", "If-Range": validator})
        assert reply.status == status


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"IfMatch": ETAG}, 200),
        ({"IfMatch": '"x"'}, 412),
        ({"IfNoneMatch": '"x"'}, 200),
        ({"IfNoneMatch": ETAG}, 304),
        ({"IfModifiedSince": datetime(2000, 1, 1, tzinfo=UTC)}, 200),
        ({"IfModifiedSince": MODIFIED}, 304),
        ({"IfUnmodifiedSince": MODIFIED}, 200),
        ({"IfUnmodifiedSince": datetime(2000, 1, 1, tzinfo=UTC)}, 412),
    ],
)
async def test_conditions(conditions: dict[str, object], status: int) -> None:
    client = await bucket()
    for name in ("GetObject", "HeadObject"):
        if status == 412:
            with pytest.raises(Failure) as failure:
                await client(name, Bucket="bucket", Key="k", **conditions)
            assert (failure.value.status, failure.value.code) == (412, "PreconditionFailed")
            continue
        answer = await client(name, Bucket="bucket", Key="k", **conditions)
        assert answer["Status"] == status


async def test_not_modified_has_validators_and_no_body() -> None:
    # RFC 9110, 15.4.5: "The server generating a 304 response MUST generate any of the following
    # header fields that would have been sent in a 200": Cache-Control, ETag, Expires
    client = await bucket()
    reply = await client.raw("GET", "/bucket/k", {"If-None-Match": ETAG})
    assert reply.status == 304
    assert reply.body == b""
    assert reply.headers == {
        "Cache-Control": "max-age=5",
        "ETag": ETAG,
        "Last-Modified": "Tue, 14 Nov 2023 22:13:20 GMT",
    }


async def test_conditions_go_before_the_range() -> None:
    client = await bucket()
    reply = await client.raw("GET", "/bucket/k", {"If-None-Match": ETAG, "Range": "bytes=1000-"})
    assert reply.status == 304


async def test_overrides() -> None:
    client = await bucket()
    got = await client(
        "GetObject",
        Bucket="bucket",
        Key="k",
        ResponseContentType="text/x",
        ResponseContentDisposition='attachment; filename="a b"',
        ResponseCacheControl="no-store",
        ResponseContentEncoding="br",
        ResponseContentLanguage="fr",
    )
    assert got["ContentType"] == "text/x"
    assert got["ContentDisposition"] == 'attachment; filename="a b"'
    assert got["CacheControl"] == "no-store"
    assert got["ContentEncoding"] == "br"
    assert got["ContentLanguage"] == "fr"


async def test_overrides_need_a_signature() -> None:
    client = await bucket()
    everybody = """{"Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:::bucket/*"}}"""
    await client("PutBucketPolicy", Bucket="bucket", Policy=everybody)
    assert (await client.raw("GET", "/bucket/k", caller=None)).status == 200
    with pytest.raises(RequestRefused) as refusal:  # N050
        await client.raw("GET", "/bucket/k?response-content-type=a", caller=None)
    assert refusal.value.reason == "InvalidRequest"


@pytest.mark.parametrize("bad", ["%0d%0aSet-Cookie:x", "a%00", "a%0a"])
async def test_overrides_cannot_split_the_header(bad: str) -> None:
    client = await bucket()
    with pytest.raises(RequestRefused) as refusal:  # N051
        await client.raw("GET", f"/bucket/k?response-content-disposition={bad}")
    assert refusal.value.reason == "InvalidArgument"


async def test_missing() -> None:
    client = await bucket()
    for name in ("GetObject", "HeadObject"):
        with pytest.raises(Failure) as failure:
            await client(name, Bucket="bucket", Key="none")
        assert (failure.value.status, failure.value.code) == (404, "NoSuchKey")


@pytest.mark.parametrize(
    ("version_id", "code"),
    [("null", None), ("abc123", "NoSuchVersion"), ("../x", "InvalidArgument")],  # N099
)
async def test_version_ids(version_id: str, code: str | None) -> None:
    client = await bucket()
    for name in ("GetObject", "HeadObject", "DeleteObject"):
        if code is None:
            await client(name, Bucket="bucket", Key="k", VersionId=version_id)
            continue
        with pytest.raises(Failure) as failure:
            await client(name, Bucket="bucket", Key="k", VersionId=version_id)
        assert failure.value.code == code


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


async def multipart() -> Client:
    client = await bucket()
    upload = await client(
        "CreateMultipartUpload", Bucket="bucket", Key="mp", ChecksumAlgorithm="CRC32"
    )
    where = {"Bucket": "bucket", "Key": "mp", "UploadId": upload["UploadId"]}
    parts = []
    for number, data in ((2, b"first"), (7, b"second!")):
        crc = crc32(data)
        part = await client("UploadPart", **where, PartNumber=number, Body=data, ChecksumCRC32=crc)
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": crc})
    await client("CompleteMultipartUpload", **where, MultipartUpload={"Parts": parts})
    return client


async def test_parts_of_a_multipart_object() -> None:
    client = await multipart()
    for number, data, content_range in ((2, b"first", "0-4/12"), (7, b"second!", "5-11/12")):
        got = await client("GetObject", Bucket="bucket", Key="mp", PartNumber=number)
        head = await client("HeadObject", Bucket="bucket", Key="mp", PartNumber=number)
        assert got["Body"] == data
        for answer in (got, head):
            assert answer["Status"] == 206
            assert answer["PartsCount"] == 2
            assert answer["ContentRange"] == f"bytes {content_range}"
            assert answer["ContentLength"] == len(data)
    whole = await client("GetObject", Bucket="bucket", Key="mp", ChecksumMode="ENABLED")
    assert whole["Body"] == b"firstsecond!"
    assert "PartsCount" not in whole
    composite = crc32(b"".join(base64.b64decode(crc32(data)) for data in (b"first", b"second!")))
    assert (whole["ChecksumCRC32"], whole["ChecksumType"]) == (f"{composite}-2", "COMPOSITE")


async def test_part_refusals() -> None:
    client = await multipart()
    for key, number in (("mp", 1), ("mp", 8), ("k", 2)):
        with pytest.raises(Failure) as failure:
            await client("GetObject", Bucket="bucket", Key=key, PartNumber=number)
        assert (failure.value.status, failure.value.code) == (416, "InvalidPartNumber")
    for query, headers, reason in (
        ("partNumber=0", {}, "InvalidArgument"),
        ("partNumber=10001", {}, "InvalidArgument"),
        ("partNumber=x", {}, "InvalidArgument"),
        ("partNumber=2", {"Range": "bytes=0-1"}, "InvalidRequest"),
    ):
        with pytest.raises(RequestRefused) as refusal:
            await client.raw("GET", f"/bucket/mp?{query}", headers)
        assert refusal.value.reason == reason


async def test_an_object_put_whole_is_its_own_first_part() -> None:
    client = await bucket()
    got = await client("GetObject", Bucket="bucket", Key="k", PartNumber=1)
    assert got["Status"] == 206
    assert got["ContentRange"] == "bytes 0-99/100"
    assert got["Body"] == DATA
    assert "PartsCount" not in got
    await client("PutObject", Bucket="bucket", Key="empty", Body=b"")
    empty = await client("GetObject", Bucket="bucket", Key="empty", PartNumber=1)
    assert (empty["Status"], empty["Body"]) == (200, b"")


async def test_head_is_get_without_the_bytes() -> None:
    client = await bucket()
    get = await client.raw("GET", "/bucket/k")
    head = await client.raw("HEAD", "/bucket/k")
    assert head.headers == get.headers
    assert head.body == b""
    assert await body_of(get) == DATA

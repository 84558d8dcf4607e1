"""Multipart uploads, from Create to Complete or Abort."""

import base64
import hashlib
import zlib
from functools import partial
from typing import Any

import pytest
from awscrt import checksums

from objstore.errors import RequestRefused
from tests.unit.s3.client import Client, Failure

CRC = base64.b64encode(bytes(4)).decode()


def crc32(data: bytes) -> str:
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def crc64(data: bytes) -> str:
    return base64.b64encode(checksums.crc64nvme(data).to_bytes(8, "big")).decode()


def sha1(data: bytes) -> str:
    return base64.b64encode(hashlib.sha1(data).digest()).decode()


async def begin(**arguments: Any) -> tuple[Client, dict[str, Any]]:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    upload = await client("CreateMultipartUpload", Bucket="bucket", Key="k/ü", **arguments)
    assert (upload["Bucket"], upload["Key"]) == ("bucket", "k/ü")
    return client, {"Bucket": "bucket", "Key": "k/ü", "UploadId": upload["UploadId"]}


async def test_from_create_to_complete() -> None:
    client, where = await begin(ContentType="text/plain", Metadata={"m": "1"})
    parts = []
    for number, data in ((1, b"one"), (2, b"two")):
        part = await client("UploadPart", **where, PartNumber=number, Body=data)
        assert part["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    listed = await client("ListParts", **where)
    assert [part["PartNumber"] for part in listed["Parts"]] == [1, 2]
    assert [part["ETag"] for part in listed["Parts"]] == [part["ETag"] for part in parts]
    assert [part["Size"] for part in listed["Parts"]] == [3, 3]
    assert listed["UploadId"] == where["UploadId"]
    assert (listed["IsTruncated"], listed["MaxParts"]) == (False, 1000)
    assert (listed["PartNumberMarker"], listed["NextPartNumberMarker"]) == (0, 2)
    assert listed["StorageClass"] == "STANDARD"
    assert listed["Owner"] == listed["Initiator"]
    done = await client("CompleteMultipartUpload", **where, MultipartUpload={"Parts": parts})
    assert done["ETag"] == f'"{"0" * 32}-2"'
    assert done["Location"] == "http://s3.test/bucket/k/%C3%BC"
    assert (done["Bucket"], done["Key"]) == ("bucket", "k/ü")
    got = await client("GetObject", Bucket="bucket", Key="k/ü")
    assert (got["Body"], got["ContentType"]) == (b"onetwo", "text/plain")
    assert got["Metadata"] == {"m": "1"}
    with pytest.raises(Failure) as failure:
        await client("ListParts", **where)
    assert failure.value.code == "NoSuchUpload"


async def test_abort() -> None:
    client, where = await begin()
    answer = await client("AbortMultipartUpload", **where)
    assert answer["Status"] == 204
    with pytest.raises(Failure) as failure:
        await client("AbortMultipartUpload", **where)
    assert (failure.value.status, failure.value.code) == (404, "NoSuchUpload")


async def test_list_parts_in_pages() -> None:
    client, where = await begin()
    for number in (1, 3, 10_000):
        await client("UploadPart", **where, PartNumber=number, Body=b"x")
    first = await client("ListParts", **where, MaxParts=2)
    assert [part["PartNumber"] for part in first["Parts"]] == [1, 3]
    assert first["IsTruncated"]
    rest = await client("ListParts", **where, PartNumberMarker=first["NextPartNumberMarker"])
    assert [part["PartNumber"] for part in rest["Parts"]] == [10_000]
    assert not rest["IsTruncated"]


@pytest.mark.parametrize(
    ("algorithm", "kind"), [("CRC32", "COMPOSITE"), ("CRC64NVME", "FULL_OBJECT")]
)
async def test_the_upload_says_its_checksum(algorithm: str, kind: str) -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    upload = await client(
        "CreateMultipartUpload", Bucket="bucket", Key="k", ChecksumAlgorithm=algorithm
    )
    assert (upload["ChecksumAlgorithm"], upload["ChecksumType"]) == (algorithm, kind)
    where = {"Bucket": "bucket", "Key": "k", "UploadId": upload["UploadId"]}
    listed = await client("ListParts", **where)
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, kind)
    uploads = await client("ListMultipartUploads", Bucket="bucket")
    assert uploads["Uploads"][0]["ChecksumAlgorithm"] == algorithm
    assert uploads["Uploads"][0]["ChecksumType"] == kind


async def test_part_checksums() -> None:
    client, where = await begin(ChecksumAlgorithm="CRC32")
    part = await client(
        "UploadPart", **where, PartNumber=1, Body=b"one", ChecksumCRC32=crc32(b"one")
    )
    assert part["ChecksumCRC32"] == crc32(b"one")
    listed = await client("ListParts", **where)
    assert listed["Parts"][0]["ChecksumCRC32"] == crc32(b"one")
    whole = crc32(base64.b64decode(crc32(b"one"))) + "-1"
    done = await client(
        "CompleteMultipartUpload",
        **where,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        ChecksumCRC32=whole,
        ChecksumType="COMPOSITE",
        MpuObjectSize=3,
        Headers={"x-amz-checksum-algorithm": "CRC32"},
    )
    assert (done["ChecksumCRC32"], done["ChecksumType"]) == (whole, "COMPOSITE")


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        # AWS says: "Checksum Type mismatch occurred, expected checksum Type: crc32, actual: null"
        ({}, "InvalidRequest"),
        ({"x-amz-checksum-sha1": base64.b64encode(bytes(20)).decode()}, "InvalidRequest"),
        ({"x-amz-checksum-crc32": CRC}, "BadDigest"),
        ({"Content-MD5": base64.b64encode(bytes(16)).decode()}, "InvalidRequest"),
    ],
)
async def test_parts_of_a_checked_upload(headers: dict[str, str], code: str) -> None:
    client, where = await begin(ChecksumAlgorithm="CRC32")
    with pytest.raises(Failure) as failure:
        await client("UploadPart", **where, PartNumber=1, Body=b"one", Headers=headers)
    assert failure.value.code == code
    assert not (await client("ListParts", **where)).get("Parts")


async def test_a_checksum_on_an_upload_without_is_checked_and_returned() -> None:
    client, where = await begin()
    part = await client(
        "UploadPart", **where, PartNumber=1, Body=b"one", ChecksumCRC32=crc32(b"one")
    )
    assert part["ChecksumCRC32"] == crc32(b"one")


@pytest.mark.parametrize("number", ["0", "10001", "x", "-1", ""])
async def test_part_numbers(number: str) -> None:
    client, where = await begin()
    with pytest.raises(RequestRefused) as refusal:  # N113
        await client.raw(
            "PUT", f"/bucket/k/%C3%BC?uploadId={where['UploadId']}&partNumber={number}"
        )
    assert refusal.value.reason == "InvalidArgument"
    with pytest.raises(RequestRefused) as refusal:
        await client.raw("PUT", f"/bucket/k/%C3%BC?uploadId={where['UploadId']}")
    assert refusal.value.reason == "InvalidArgument"


@pytest.mark.parametrize("upload_id", ["..%2f..%2fx", "x" * 10_000, "", "other", "%00"])
async def test_upload_ids(upload_id: str) -> None:
    client, _ = await begin()
    for method, extra in (
        ("GET", ""),
        ("DELETE", ""),
        ("PUT", "&partNumber=1"),
        ("POST", ""),
    ):
        body = b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>"
        with pytest.raises(RequestRefused) as refusal:  # N098
            await client.raw(
                method,
                f"/bucket/k?uploadId={upload_id}{extra}",
                body=body + b"</CompleteMultipartUpload>" if method == "POST" else b"",
            )
        assert refusal.value.reason == "NoSuchUpload"


@pytest.mark.parametrize(
    ("headers", "parts", "code"),
    [
        ({}, [], "MalformedXML"),
        ({}, [(2, "x"), (1, "x")], "InvalidPartOrder"),
        ({}, [(1, "x")], "InvalidPart"),
        ({"x-amz-mp-object-size": "-1"}, [(1, "x")], "InvalidArgument"),
        ({"x-amz-checksum-type": "WHOLE"}, [(1, "x")], "InvalidRequest"),
        ({"x-amz-checksum-algorithm": "CRC16"}, [(1, "x")], "InvalidRequest"),
        ({"If-None-Match": "x"}, [(1, "x")], "NotImplemented"),
    ],
)
async def test_complete_refusals(
    headers: dict[str, str], parts: list[tuple[int, str]], code: str
) -> None:
    client, where = await begin()
    named = [{"PartNumber": number, "ETag": etag} for number, etag in parts]
    with pytest.raises(Failure) as failure:
        await client(
            "CompleteMultipartUpload", **where, MultipartUpload={"Parts": named}, Headers=headers
        )
    assert failure.value.code == code
    assert not client.store.objects


async def test_completes_checksum_header_is_not_the_documents() -> None:
    client, where = await begin()
    part = await client("UploadPart", **where, PartNumber=1, Body=b"x")
    complete = partial(
        client,
        "CompleteMultipartUpload",
        **where,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    with pytest.raises(Failure) as failure:
        await complete(ChecksumCRC64NVME=base64.b64encode(bytes(8)).decode())
    assert failure.value.code == "BadDigest"
    with pytest.raises(Failure) as failure:
        await complete(ChecksumCRC64NVME="?")
    assert failure.value.code == "InvalidRequest"
    done = await complete(ChecksumCRC64NVME=crc64(b"x"))
    assert done["ETag"]


async def test_an_upload_without_an_algorithm_has_the_default_checksum() -> None:
    """AWS: "if the object was uploaded without a checksum [...] Amazon S3 added the default
    checksum, CRC64NVME", "always a full object checksum".
    """
    client, where = await begin()
    await client("PutObject", Bucket="bucket", Key="source", Body=b"two")
    one = await client("UploadPart", **where, PartNumber=1, Body=b"one")
    # AWS says of a part's answer: "This will only be present if the checksum was provided in the
    # request."
    assert not [name for name in one if name.startswith("Checksum")]
    copied = await client("UploadPartCopy", **where, PartNumber=2, CopySource="bucket/source")
    three = await client(
        "UploadPart", **where, PartNumber=3, Body=b"three", ChecksumSHA1=sha1(b"three")
    )
    assert three["ChecksumSHA1"] == sha1(b"three")
    etags = [one["ETag"], copied["CopyPartResult"]["ETag"], three["ETag"]]
    listed = await client("ListParts", **where)
    assert [part["ChecksumCRC64NVME"] for part in listed["Parts"]] == [
        crc64(data) for data in (b"one", b"two", b"three")
    ]
    assert "ChecksumSHA1" not in listed["Parts"][2]
    parts = [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]
    done = await client("CompleteMultipartUpload", **where, MultipartUpload={"Parts": parts})
    whole = crc64(b"onetwothree")
    assert (done["ChecksumCRC64NVME"], done["ChecksumType"]) == (whole, "FULL_OBJECT")
    for name in ("GetObject", "HeadObject"):
        got = await client(name, Bucket="bucket", Key="k/ü", ChecksumMode="ENABLED")
        assert (got["ChecksumCRC64NVME"], got["ChecksumType"]) == (whole, "FULL_OBJECT")
    part = await client(
        "HeadObject", Bucket="bucket", Key="k/ü", PartNumber=3, ChecksumMode="ENABLED"
    )
    assert part["ChecksumCRC64NVME"] == crc64(b"three")
    assert "ChecksumSHA1" not in part


async def test_part_copy() -> None:
    client, where = await begin(ChecksumAlgorithm="CRC32")
    await client("PutObject", Bucket="bucket", Key="source", Body=b"0123456789")
    for number, wanted, data in ((1, None, b"0123456789"), (2, "bytes=2-4", b"234")):
        extra = {"CopySourceRange": wanted} if wanted else {}
        answer = await client(
            "UploadPartCopy", **where, PartNumber=number, CopySource="bucket/source", **extra
        )
        result = answer["CopyPartResult"]
        assert result["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
        assert result["ChecksumCRC32"] == crc32(data)
        assert result["LastModified"].timestamp() == 1_700_000_000
    listed = await client("ListParts", **where)
    assert [part["Size"] for part in listed["Parts"]] == [10, 3]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"CopySourceRange": "bytes=5-10"}, "InvalidArgument"),
        ({"CopySourceRange": "bytes=5-"}, "InvalidArgument"),
        ({"CopySourceIfMatch": "x"}, "PreconditionFailed"),
        ({"CopySource": "bucket/none"}, "NoSuchKey"),
        ({"UploadId": "none"}, "NoSuchUpload"),
    ],
)
async def test_part_copy_refusals(arguments: dict[str, Any], code: str) -> None:
    client, where = await begin()
    await client("PutObject", Bucket="bucket", Key="source", Body=b"0123456789")
    defaults = {**where, "PartNumber": 1, "CopySource": "bucket/source"}
    with pytest.raises(Failure) as failure:
        await client("UploadPartCopy", **{**defaults, **arguments})
    assert failure.value.code == code


async def uploads(*keys: str) -> Client:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    for key in keys:
        await client("CreateMultipartUpload", Bucket="bucket", Key=key)
    return client


def names(page: dict[str, Any]) -> list[tuple[str, str]]:
    return [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]


async def test_list_uploads() -> None:
    client = await uploads("b", "a", "b", "c/1", "c/2")
    page = await client("ListMultipartUploads", Bucket="bucket", Delimiter="/")
    assert names(page) == [("a", "upload2"), ("b", "upload1"), ("b", "upload3")]
    assert page["CommonPrefixes"] == [{"Prefix": "c/"}]
    assert (page["Bucket"], page["MaxUploads"], page["IsTruncated"]) == ("bucket", 1000, False)
    assert page["Uploads"][0]["Initiated"].timestamp() == 1_700_000_000
    assert page["Uploads"][0]["Owner"] == page["Uploads"][0]["Initiator"]
    only = await client("ListMultipartUploads", Bucket="bucket", Prefix="c/")
    assert names(only) == [("c/1", "upload4"), ("c/2", "upload5")]


async def test_list_uploads_in_pages() -> None:
    client = await uploads("a", "b", "b", "b", "c")
    found: list[tuple[str, str]] = []
    arguments: dict[str, str] = {}
    while True:
        page = await client("ListMultipartUploads", Bucket="bucket", MaxUploads=2, **arguments)
        found += names(page)
        if not page["IsTruncated"]:
            break
        arguments = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
    assert [key for key, _ in found] == ["a", "b", "b", "b", "c"]
    assert len(set(found)) == 5


async def test_upload_markers() -> None:
    client = await uploads("a", "b", "b", "c")
    # AWS says: without upload-id-marker "only the keys lexicographically greater than the specified
    # key-marker will be included"
    page = await client("ListMultipartUploads", Bucket="bucket", KeyMarker="b")
    assert names(page) == [("c", "upload4")]
    page = await client(
        "ListMultipartUploads", Bucket="bucket", KeyMarker="b", UploadIdMarker="upload2"
    )
    assert names(page) == [("b", "upload3"), ("c", "upload4")]
    # AWS says: "If key-marker is not specified, the upload-id-marker parameter is ignored."
    page = await client("ListMultipartUploads", Bucket="bucket", UploadIdMarker="zzz")
    assert len(names(page)) == 4


async def test_list_uploads_encoded() -> None:
    client = await uploads("a\x01 b")
    page = await client("ListMultipartUploads", Bucket="bucket", EncodingType="url", Prefix="a")
    assert names(page)[0][0] == "a%01%20b"
    assert page["EncodingType"] == "url"


async def test_location_in_virtual_host_style() -> None:
    client = Client(virtual_host="bucket")
    await client.raw("PUT", "/")
    await client.raw("POST", "/a%20b?uploads")
    part = await client.raw("PUT", "/a%20b?uploadId=upload1&partNumber=1", body=b"x")
    named = f"<PartNumber>1</PartNumber><ETag>{part.headers['ETag']}</ETag>"
    body = f"<CompleteMultipartUpload><Part>{named}</Part></CompleteMultipartUpload>"
    done = await client.raw("POST", "/a%20b?uploadId=upload1", body=body.encode())
    assert isinstance(done.body, bytes)
    assert b"<Location>http://bucket.s3.test/a%20b</Location>" in done.body

"""GetObjectAttributes, as botocore asks for it and reads it."""

from typing import Any

import msgspec
import pytest

from objstore.wire.digests import Digests, encode
from objstore.wire.object_attributes import ATTRIBUTES
from tests.unit.s3.client import Client, Failure
from tests.unit.s3.fake_store import NOW_MS

PARTS = (b"one", b"two!", b"three")


def digest(algorithm: str, data: bytes) -> str:
    digests = Digests([algorithm])
    digests.update(data)
    return encode(digests.value(algorithm))


async def client_with_object() -> Client:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    await client("PutObject", Bucket="bucket", Key="k", Body=b"hello")
    return client


async def client_with_parts(algorithm: str = "") -> Client:
    client = await client_with_object()
    chosen = {"ChecksumAlgorithm": algorithm} if algorithm else {}
    upload = await client("CreateMultipartUpload", Bucket="bucket", Key="k", **chosen)
    where = {"Bucket": "bucket", "Key": "k", "UploadId": upload["UploadId"]}
    parts = []
    for number, data in enumerate(PARTS, 1):
        # Without an algorithm, the client's checksum is of its own choice.
        own = {f"Checksum{algorithm or 'SHA1'}": digest(algorithm or "SHA1", data)}
        answer = await client("UploadPart", **where, PartNumber=number, Body=data, **own)
        parts.append({"PartNumber": number, "ETag": answer["ETag"], **own})
    await client("CompleteMultipartUpload", **where, MultipartUpload={"Parts": parts})
    return client


async def ask(client: Client, *names: str, **more: Any) -> dict[str, Any]:
    wanted = list(names or ATTRIBUTES)
    return await client(
        "GetObjectAttributes", Bucket="bucket", Key="k", ObjectAttributes=wanted, **more
    )


def fields(answer: dict[str, Any]) -> set[str]:
    return set(answer) - {"Status", "Headers", "ResponseMetadata", "LastModified"}


async def test_an_object_that_was_put_whole() -> None:
    client = await client_with_object()
    head = await client("HeadObject", Bucket="bucket", Key="k")
    answer = await ask(client)
    assert f'"{answer["ETag"]}"' == head["ETag"]  # without quotes, as on AWS
    assert answer["ObjectSize"] == 5
    assert answer["StorageClass"] == "STANDARD"
    assert answer["Checksum"] == {
        "ChecksumCRC64NVME": digest("CRC64NVME", b"hello"),
        "ChecksumType": "FULL_OBJECT",
    }
    assert "ObjectParts" not in answer  # "parts associated with a multipart upload"
    assert answer["LastModified"].timestamp() == NOW_MS // 1000


@pytest.mark.parametrize("name", ATTRIBUTES)
async def test_only_what_is_asked_for(name: str) -> None:
    """AWS: "Fields that you do not specify are not returned."."""
    assert fields(await ask(await client_with_parts(), name)) == {name}


async def test_names_over_several_headers_and_commas() -> None:
    client = await client_with_object()
    reply = await client.raw(
        "GET", "/bucket/k?attributes", {"x-amz-object-attributes": "ETag , ObjectSize,"}
    )
    assert isinstance(reply.body, bytes)
    assert b"<GetObjectAttributesResponse " in reply.body
    assert b"<ObjectSize>5</ObjectSize>" in reply.body
    assert b"StorageClass" not in reply.body


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        ("", "FULL_OBJECT"),
        ("CRC64NVME", "FULL_OBJECT"),
        ("SHA256", "COMPOSITE"),
        ("MD5", "COMPOSITE"),
    ],
)
async def test_parts(algorithm: str, kind: str) -> None:
    """AWS of a part's CRC64NVME: "present if the multipart upload request was created with the
    CRC64NVME checksum algorithm, or if the object was uploaded without a checksum".
    """
    client = await client_with_parts(algorithm)
    answer = await ask(client)
    name = algorithm or "CRC64NVME"
    head = await client("HeadObject", Bucket="bucket", Key="k", ChecksumMode="ENABLED")
    member = f"Checksum{name}"
    assert answer["Checksum"] == {member: head[member], "ChecksumType": kind}
    assert answer["ObjectSize"] == sum(map(len, PARTS))
    parts = answer["ObjectParts"]
    assert parts["Parts"] == [
        {"PartNumber": number, "Size": len(data), member: digest(name, data)}
        for number, data in enumerate(PARTS, 1)
    ]
    assert (parts["TotalPartsCount"], parts["IsTruncated"]) == (3, False)
    assert (parts["PartNumberMarker"], parts["NextPartNumberMarker"]) == (0, 3)
    assert parts["MaxParts"] == 1000


async def test_parts_from_before_every_object_had_a_checksum() -> None:
    """AWS: "if an additional checksum [...] isn't applied to the object specified in the request,
    the response doesn't return the Part element."
    """
    client = await client_with_parts()
    for held in client.store.objects.values():
        held.version = msgspec.structs.replace(held.version, checksums={}, checksum_type="")
    answer = await ask(client, "ObjectParts", "Checksum")
    assert answer["ObjectParts"] == {"TotalPartsCount": 3}
    assert fields(answer) == {"ObjectParts"}


async def test_pages_of_parts() -> None:
    """AWS: "Only parts with higher part numbers will be listed."."""
    client = await client_with_parts("SHA1")
    found, marker = [], 0
    while True:
        answer = await ask(client, "ObjectParts", MaxParts=2, PartNumberMarker=marker)
        page = answer["ObjectParts"]
        assert (page["MaxParts"], page["PartNumberMarker"]) == (2, marker)
        assert page["TotalPartsCount"] == 3
        found.append([part["PartNumber"] for part in page["Parts"]])
        marker = page["NextPartNumberMarker"]
        if not page["IsTruncated"]:
            break
    assert found == [[1, 2], [3]]
    beyond = (await ask(client, "ObjectParts", PartNumberMarker=3))["ObjectParts"]
    assert (beyond.get("Parts", []), beyond["IsTruncated"]) == ([], False)
    most = (await ask(client, "ObjectParts", MaxParts=5000))["ObjectParts"]
    assert most["MaxParts"] == 1000


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, "InvalidRequest"),
        ({"x-amz-object-attributes": " , "}, "InvalidRequest"),
        ({"x-amz-object-attributes": "ETag,Owner"}, "InvalidArgument"),
        ({"x-amz-object-attributes": "etag"}, "InvalidArgument"),
        ({"x-amz-object-attributes": "ETag", "x-amz-max-parts": "+1"}, "InvalidArgument"),
        ({"x-amz-object-attributes": "ETag", "x-amz-part-number-marker": "x"}, "InvalidArgument"),
        ({"x-amz-object-attributes": "ETag", "If-Match": '"x"'}, "PreconditionFailed"),
    ],
)
async def test_refusals(headers: dict[str, str], code: str) -> None:
    client = await client_with_object()
    with pytest.raises(Failure) as failure:
        await client(
            "GetObjectAttributes", Bucket="bucket", Key="k", ObjectAttributes=[], Headers=headers
        )
    assert failure.value.code == code


async def test_what_is_not_there() -> None:
    client = await client_with_object()
    for bucket, key, extra, code in (
        ("bucket", "none", {}, "NoSuchKey"),
        ("other", "k", {}, "NoSuchBucket"),
        ("bucket", "k", {"VersionId": "abc"}, "NoSuchVersion"),
    ):
        with pytest.raises(Failure) as failure:
            await client(
                "GetObjectAttributes", Bucket=bucket, Key=key, ObjectAttributes=["ETag"], **extra
            )
        assert failure.value.code == code
    assert fields(await ask(client, "ETag", VersionId="null")) == {"ETag"}


async def test_conditions_hold_as_for_a_read() -> None:
    """AWS: "If-None-Match condition evaluates to false [...] Amazon S3 returns the HTTP status
    code 304 Not Modified".
    """
    client = await client_with_object()
    etag = (await client("HeadObject", Bucket="bucket", Key="k"))["ETag"]
    headers = {"x-amz-object-attributes": "ETag", "If-None-Match": etag}
    assert (await client.raw("GET", "/bucket/k?attributes", headers)).status == 304

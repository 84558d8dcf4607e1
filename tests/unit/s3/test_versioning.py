"""Versioning, tags and locks through the handlers, on the real engine over drives in memory."""

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from objstore.names import Scheme
from objstore.testing.memory_set import memory_set
from tests.unit.s3.client import Client, Failure, body_of
from tests.unit.s3.fake_store import NOW_MS

NOW = datetime.fromtimestamp(NOW_MS / 1000, UTC)


@asynccontextmanager
async def versioned(*, status: str = "Enabled", lock: bool = False) -> AsyncIterator[Client]:
    """A client with a bucket of versions."""
    async with memory_set(Scheme(3, 1), bracketing=0.0) as m:
        client = Client(real_store=m.store)
        await client("CreateBucket", Bucket="bucket2")
        await set_status(client, "Enabled")
        if lock:
            configuration = {"ObjectLockEnabled": "Enabled"}
            await client(
                "PutObjectLockConfiguration",
                Bucket="bucket2",
                ObjectLockConfiguration=configuration,
            )
        if status != "Enabled":
            await set_status(client, status)
        yield client


async def set_status(client: Client, status: str) -> None:
    await client(
        "PutBucketVersioning", Bucket="bucket2", VersioningConfiguration={"Status": status}
    )


async def status_of(client: Client) -> str:
    """The status as the document has it; the client's own "Status" is the HTTP one."""
    reply = await client.raw("GET", "/bucket2?versioning")
    found = re.search(r"<Status>(.*)</Status>", (await body_of(reply)).decode())
    return "" if found is None else found[1]


async def put(client: Client, key: str = "k", body: bytes = b"x", **more: Any) -> str:
    answer = await client("PutObject", Bucket="bucket2", Key=key, Body=body, **more)
    version: str = answer["VersionId"]
    return version


async def versions(client: Client, **more: Any) -> list[tuple[str, str, bool, bool]]:
    answer = await client("ListObjectVersions", Bucket="bucket2", **more)
    markers = answer.get("DeleteMarkers", [])
    entries = [(one, False) for one in answer.get("Versions", [])]
    entries += [(one, True) for one in markers]
    return sorted(
        (one["Key"], one["VersionId"], one["IsLatest"], marker) for one, marker in entries
    )


async def test_each_put_makes_a_version_that_stays() -> None:
    """AWS: "If you enable versioning for a bucket, Amazon S3 automatically generates a unique
    version ID for the object being stored."""
    async with versioned() as client:
        first, second = await put(client, body=b"1"), await put(client, body=b"2")
        assert first != second
        current = await client("GetObject", Bucket="bucket2", Key="k")
        assert (current["Body"], current["VersionId"]) == (b"2", second)
        old = await client("GetObject", Bucket="bucket2", Key="k", VersionId=first)
        assert (old["Body"], old["VersionId"]) == (b"1", first)
        assert await versions(client) == sorted(
            [("k", first, False, False), ("k", second, True, False)]
        )


async def test_a_bucket_that_never_had_versions_names_none() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        client = Client(real_store=m.store)
        await client("CreateBucket", Bucket="bucket2")
        assert await status_of(client) == ""
        assert "VersionId" not in await client("PutObject", Bucket="bucket2", Key="k", Body=b"x")
        assert "VersionId" not in await client("HeadObject", Bucket="bucket2", Key="k")
        (listed,) = (await client("ListObjectVersions", Bucket="bucket2"))["Versions"]
        assert (listed["VersionId"], listed["IsLatest"]) == ("null", True)


async def test_a_delete_marker_hides_and_can_be_removed() -> None:
    """AWS: "If the current version is a delete marker, [...] returns a 404 Not Found error" with
    "x-amz-delete-marker: true"; "To remove a delete marker, specify its version ID"."""
    async with versioned() as client:
        first = await put(client)
        deleted = await client("DeleteObject", Bucket="bucket2", Key="k")
        assert deleted["DeleteMarker"] is True
        with pytest.raises(Failure) as gone:
            await client("GetObject", Bucket="bucket2", Key="k")
        assert (gone.value.status, gone.value.code) == (404, "NoSuchKey")
        assert gone.value.headers["x-amz-delete-marker"] == "true"
        assert gone.value.headers["x-amz-version-id"] == deleted["VersionId"]
        with pytest.raises(Failure) as marker:
            await client("GetObject", Bucket="bucket2", Key="k", VersionId=deleted["VersionId"])
        assert (marker.value.status, marker.value.code) == (405, "MethodNotAllowed")
        assert marker.value.headers["x-amz-delete-marker"] == "true"
        assert "Last-Modified" in marker.value.headers
        removed = await client(
            "DeleteObject", Bucket="bucket2", Key="k", VersionId=deleted["VersionId"]
        )
        assert (removed["DeleteMarker"], removed["VersionId"]) == (True, deleted["VersionId"])
        assert (await client("GetObject", Bucket="bucket2", Key="k"))["VersionId"] == first


async def test_suspended_writes_replace_the_null_version() -> None:
    """AWS: "If versioning is suspended [...] Amazon S3 adds a null version ID to every subsequent
    object stored thereafter" and "overwrites any existing null version"."""
    async with versioned() as client:
        first = await put(client, body=b"1")
        await set_status(client, "Suspended")
        assert await put(client, body=b"2") == "null"
        assert await put(client, body=b"3") == "null"
        assert [one[1] for one in await versions(client)] == sorted([first, "null"])
        deleted = await client("DeleteObject", Bucket="bucket2", Key="k")
        assert (deleted["VersionId"], deleted["DeleteMarker"]) == ("null", True)
        assert await versions(client) == sorted(
            [("k", first, False, False), ("k", "null", True, True)]
        )


async def test_delete_objects_says_what_came_and_what_went() -> None:
    async with versioned() as client:
        version = await put(client)
        body = (
            "<Delete><Object><Key>k</Key></Object><Object><Key>k</Key><VersionId>"
            f"{version}</VersionId></Object><Object><Key>none</Key></Object></Delete>"
        ).encode()
        md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        reply = await client.raw("POST", "/bucket2?delete", {"Content-MD5": md5}, body)
        deleted = ET.fromstring(await body_of(reply))
        entries = [
            {child.tag.rpartition("}")[2]: child.text for child in entry} for entry in deleted
        ]
        by_key = {(one["Key"], one.get("VersionId")): one for one in entries}
        assert by_key["k", None]["DeleteMarker"] == "true"
        assert "DeleteMarker" not in by_key["k", version]
        assert by_key["none", None]["DeleteMarkerVersionId"]


async def test_pages_of_versions() -> None:
    async with versioned() as client:
        made = {(key, await put(client, key)) for key in ("a", "a", "b", "b/c")}
        seen: list[tuple[str, str]] = []
        marker: dict[str, str] = {}
        while True:
            page = await client("ListObjectVersions", Bucket="bucket2", MaxKeys=1, **marker)
            seen += [(one["Key"], one["VersionId"]) for one in page["Versions"]]
            if not page["IsTruncated"]:
                break
            marker = {
                "KeyMarker": page["NextKeyMarker"],
                "VersionIdMarker": page["NextVersionIdMarker"],
            }
        assert len(seen) == 4
        assert set(seen) == made
        assert [key for key, _ in seen] == ["a", "a", "b", "b/c"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"VersionIdMarker": "null"}, "InvalidArgument"),
        ({"KeyMarker": "k", "VersionIdMarker": "../x"}, "InvalidArgument"),
        ({"EncodingType": "base64"}, "InvalidArgument"),
    ],
)
async def test_refused_listings(arguments: dict[str, str], code: str) -> None:
    async with versioned() as client:
        with pytest.raises(Failure) as failure:
            await client("ListObjectVersions", Bucket="bucket2", **arguments)
        assert failure.value.code == code


async def test_tags_belong_to_one_version() -> None:
    async with versioned() as client:
        first = await put(client, Tagging="a=1")
        second = await put(client)
        tagging = {"TagSet": [{"Key": "b", "Value": "2"}]}
        await client("PutObjectTagging", Bucket="bucket2", Key="k", Tagging=tagging)
        got = await client("GetObjectTagging", Bucket="bucket2", Key="k")
        assert (got["TagSet"], got["VersionId"]) == (tagging["TagSet"], second)
        old = await client("GetObjectTagging", Bucket="bucket2", Key="k", VersionId=first)
        assert old["TagSet"] == [{"Key": "a", "Value": "1"}]
        head = await client("HeadObject", Bucket="bucket2", Key="k", VersionId=first)
        assert head["Headers"]["x-amz-tagging-count"] == "1"
        await client("DeleteObjectTagging", Bucket="bucket2", Key="k", VersionId=first)
        old = await client("GetObjectTagging", Bucket="bucket2", Key="k", VersionId=first)
        assert old["TagSet"] == []
        # An edit makes no version, and no new time of modification.
        assert len(await versions(client)) == 2


async def test_a_copy_takes_tags_or_gets_new_ones() -> None:
    async with versioned() as client:
        version = await put(client, Tagging="a=1")
        source = {"Bucket": "bucket2", "Key": "k", "VersionId": version}
        copied = await client("CopyObject", Bucket="bucket2", Key="c", CopySource=_source(source))
        assert copied["CopySourceVersionId"] == version
        tags = await client("GetObjectTagging", Bucket="bucket2", Key="c")
        assert tags["TagSet"] == [{"Key": "a", "Value": "1"}]
        await client(
            "CopyObject", Bucket="bucket2", Key="c", CopySource=_source(source),
            TaggingDirective="REPLACE", Tagging="z=9",
        )  # fmt: skip
        tags = await client("GetObjectTagging", Bucket="bucket2", Key="c")
        assert tags["TagSet"] == [{"Key": "z", "Value": "9"}]


def _source(source: dict[str, str]) -> str:
    return f"{source['Bucket']}/{source['Key']}?versionId={source['VersionId']}"


async def test_conditional_writes() -> None:
    """AWS: "If-None-Match: * [...] Otherwise, Amazon S3 returns a 412 Precondition Failed error."""
    async with versioned() as client:
        with pytest.raises(Failure) as absent:
            await client("PutObject", Bucket="bucket2", Key="k", Body=b"", IfMatch="x")
        assert absent.value.code == "NoSuchKey"
        await put(client, IfNoneMatch="*")
        with pytest.raises(Failure) as there:
            await put(client, IfNoneMatch="*")
        assert (there.value.status, there.value.code) == (412, "PreconditionFailed")
        etag = (await client("HeadObject", Bucket="bucket2", Key="k"))["ETag"]
        await put(client, body=b"new", IfMatch=etag)
        with pytest.raises(Failure) as other:
            await put(client, IfMatch=etag)
        assert other.value.code == "PreconditionFailed"
        await client("DeleteObject", Bucket="bucket2", Key="k")
        await put(client, IfNoneMatch="*")  # a delete marker is no object


async def test_a_locked_version_stays() -> None:
    async with versioned(lock=True) as client:
        until = NOW + timedelta(days=1)
        version = await put(client, ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
        head = await client("HeadObject", Bucket="bucket2", Key="k")
        assert head["ObjectLockMode"] == "GOVERNANCE"
        with pytest.raises(Failure) as locked:
            await client("DeleteObject", Bucket="bucket2", Key="k", VersionId=version)
        assert locked.value.code == "AccessDenied"
        await client(
            "DeleteObject", Bucket="bucket2", Key="k"
        )  # a marker hides it and harms nothing
        await client(
            "DeleteObject",
            Bucket="bucket2",
            Key="k",
            VersionId=version,
            BypassGovernanceRetention=True,
        )


async def test_compliance_gives_way_to_nobody() -> None:
    async with versioned(lock=True) as client:
        until = NOW + timedelta(days=1)
        retention = {"Mode": "COMPLIANCE", "RetainUntilDate": until}
        version = await put(client)
        await client("PutObjectRetention", Bucket="bucket2", Key="k", Retention=retention)
        got = await client("GetObjectRetention", Bucket="bucket2", Key="k")
        assert got["Retention"]["Mode"] == "COMPLIANCE"
        with pytest.raises(Failure) as locked:
            await client(
                "DeleteObject", Bucket="bucket2", Key="k", VersionId=version,
                BypassGovernanceRetention=True,
            )  # fmt: skip
        assert locked.value.code == "AccessDenied"
        shorter = {"Mode": "COMPLIANCE", "RetainUntilDate": until - timedelta(hours=1)}
        with pytest.raises(Failure) as shortened:
            await client(
                "PutObjectRetention", Bucket="bucket2", Key="k", Retention=shorter,
                BypassGovernanceRetention=True,
            )  # fmt: skip
        assert shortened.value.code == "AccessDenied"


async def test_a_legal_hold_binds_until_it_is_lifted() -> None:
    async with versioned(lock=True) as client:
        version = await put(client, ObjectLockLegalHoldStatus="ON")
        with pytest.raises(Failure) as held:
            await client("DeleteObject", Bucket="bucket2", Key="k", VersionId=version)
        assert held.value.code == "AccessDenied"
        await client("PutObjectLegalHold", Bucket="bucket2", Key="k", LegalHold={"Status": "OFF"})
        got = await client("GetObjectLegalHold", Bucket="bucket2", Key="k")
        assert got["LegalHold"]["Status"] == "OFF"
        await client("DeleteObject", Bucket="bucket2", Key="k", VersionId=version)


async def test_the_default_retention_of_a_bucket() -> None:
    async with versioned(lock=True) as client:
        rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 2}}
        configuration = {"ObjectLockEnabled": "Enabled", "Rule": rule}
        await client(
            "PutObjectLockConfiguration", Bucket="bucket2", ObjectLockConfiguration=configuration
        )
        got = await client("GetObjectLockConfiguration", Bucket="bucket2")
        assert got["ObjectLockConfiguration"] == configuration
        await put(client)
        retention = (await client("GetObjectRetention", Bucket="bucket2", Key="k"))["Retention"]
        assert abs(retention["RetainUntilDate"] - NOW - timedelta(days=2)) < timedelta(seconds=2)


async def test_versioning_cannot_be_suspended_below_a_lock() -> None:
    async with versioned(lock=True) as client:
        with pytest.raises(Failure) as failure:
            await set_status(client, "Suspended")
        assert failure.value.code == "InvalidBucketState"
    async with versioned(status="Suspended") as client:
        with pytest.raises(Failure) as failure:
            await client(
                "PutObjectLockConfiguration", Bucket="bucket2",
                ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"},
            )  # fmt: skip
        assert failure.value.code == "InvalidBucketState"


async def test_a_bucket_of_markers_is_not_empty() -> None:
    async with versioned() as client:
        await client("DeleteObject", Bucket="bucket2", Key="k")
        with pytest.raises(Failure) as failure:
            await client("DeleteBucket", Bucket="bucket2")
        assert failure.value.code == "BucketNotEmpty"


async def test_tags_of_a_bucket() -> None:
    async with versioned() as client:
        with pytest.raises(Failure) as unset:
            await client("GetBucketTagging", Bucket="bucket2")
        assert unset.value.code == "NoSuchTagSet"
        tagging = {"TagSet": [{"Key": "team", "Value": "storage"}]}
        await client("PutBucketTagging", Bucket="bucket2", Tagging=tagging)
        assert (await client("GetBucketTagging", Bucket="bucket2"))["TagSet"] == tagging["TagSet"]
        assert await status_of(client) == "Enabled"
        await client("DeleteBucketTagging", Bucket="bucket2")
        with pytest.raises(Failure):
            await client("GetBucketTagging", Bucket="bucket2")


async def test_multipart_objects_are_versions_too() -> None:
    async with versioned() as client:
        first = await put(client)
        upload = await client("CreateMultipartUpload", Bucket="bucket2", Key="k", Tagging="t=1")
        named = {"Bucket": "bucket2", "Key": "k", "UploadId": upload["UploadId"]}
        part = await client("UploadPart", **named, PartNumber=1, Body=b"part")
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        with pytest.raises(Failure) as there:
            await client("CompleteMultipartUpload", **named, MultipartUpload=parts, IfNoneMatch="*")
        assert there.value.code == "PreconditionFailed"
        done = await client("CompleteMultipartUpload", **named, MultipartUpload=parts)
        assert done["VersionId"] != first
        tags = await client("GetObjectTagging", Bucket="bucket2", Key="k")
        assert tags["TagSet"] == [{"Key": "t", "Value": "1"}]
        assert len(await versions(client)) == 2

"""CopyObject, and the grammar of its source."""

import base64
import hashlib
import itertools
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import OBJECT_PUT_BYTES_MAX
from objstore.names import BucketName, ObjectKey
from objstore.s3.copy_source import read_copy_source
from objstore.wire.digests import Digests
from objstore.wire.headers import CHECKSUM_BYTES
from tests.unit.s3.client import Client, Failure
from tests.unit.s3.fake_store import FakeObject

DATA = b"some bytes"
ETAG = f'"{hashlib.md5(DATA).hexdigest()}"'
OLD = datetime(2000, 1, 1, tzinfo=UTC)
NEW = datetime(2030, 1, 1, tzinfo=UTC)


async def bucket() -> Client:
    client = Client()
    for name in ("bucket", "other"):
        await client("CreateBucket", Bucket=name)
    await client(
        "PutObject",
        Bucket="bucket",
        Key="a",
        Body=DATA,
        ContentType="text/plain",
        Metadata={"m": "1"},
    )
    return client


async def copy(client: Client, source: str = "bucket/a", **arguments: Any) -> dict[str, Any]:
    defaults = {"Bucket": "other", "Key": "b", "CopySource": source}
    return await client("CopyObject", **{**defaults, **arguments})


async def test_a_copy_keeps_what_its_source_has() -> None:
    client = await bucket()
    result = (await copy(client))["CopyObjectResult"]
    assert result["ETag"] == ETAG
    assert result["LastModified"].timestamp() == 1_700_000_000
    assert result["ChecksumCRC64NVME"]
    got = await client("GetObject", Bucket="other", Key="b")
    assert got["Body"] == DATA
    assert (got["ContentType"], got["Metadata"]) == ("text/plain", {"m": "1"})


async def test_headers_without_the_directive_are_not_the_copys() -> None:
    # AWS says: with COPY "the metadata [...] is copied from the source object", whatever is sent
    client = await bucket()
    await copy(client, ContentType="x/y", Metadata={"n": "2"})
    got = await client("HeadObject", Bucket="other", Key="b")
    assert (got["ContentType"], got["Metadata"]) == ("text/plain", {"m": "1"})


async def test_replace() -> None:
    client = await bucket()
    await copy(client, MetadataDirective="REPLACE", ContentType="x/y", Metadata={"n": "2"})
    got = await client("HeadObject", Bucket="other", Key="b")
    assert (got["ContentType"], got["Metadata"]) == ("x/y", {"n": "2"})


async def test_another_checksum_algorithm() -> None:
    client = await bucket()
    for algorithm, directive in itertools.product(CHECKSUM_BYTES, ("COPY", "REPLACE")):
        result = await copy(client, ChecksumAlgorithm=algorithm, MetadataDirective=directive)
        digests = Digests([algorithm])
        digests.update(DATA)
        assert result["CopyObjectResult"][f"Checksum{algorithm}"] == digests.encoded()[algorithm]
        assert result["CopyObjectResult"]["ChecksumType"] == "FULL_OBJECT"
    await copy(client, ChecksumAlgorithm="SHA256")
    again = await copy(client, "other/b", Key="c")
    assert again["CopyObjectResult"]["ChecksumSHA256"]  # as its source


async def test_a_composite_checksum_becomes_one_of_the_full_object() -> None:
    """AWS: "the checksum algorithm will be copied from the source object to the destination
    object"; a copy has no parts, so its checksum is a direct one.
    """
    client = await bucket()
    where = {"Bucket": "bucket", "Key": "mp"}
    upload = await client("CreateMultipartUpload", **where, ChecksumAlgorithm="SHA256")
    uploaded = {**where, "UploadId": upload["UploadId"]}
    value = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    part = await client("UploadPart", **uploaded, PartNumber=1, Body=DATA, ChecksumSHA256=value)
    named = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumSHA256": value}]}
    done = await client("CompleteMultipartUpload", **uploaded, MultipartUpload=named)
    assert (done["ChecksumSHA256"][-2:], done["ChecksumType"]) == ("-1", "COMPOSITE")
    result = (await copy(client, "bucket/mp"))["CopyObjectResult"]
    assert (result["ChecksumSHA256"], result["ChecksumType"]) == (value, "FULL_OBJECT")
    head = await client("HeadObject", Bucket="other", Key="b", ChecksumMode="ENABLED")
    assert (head["ChecksumSHA256"], head["ChecksumType"]) == (value, "FULL_OBJECT")
    wanted = ["Checksum", "ObjectParts"]
    known = await client("GetObjectAttributes", Bucket="other", Key="b", ObjectAttributes=wanted)
    assert known["Checksum"]["ChecksumSHA256"] == value
    assert "ObjectParts" not in known


async def test_a_redirect_location_is_not_copied() -> None:
    """AWS: it "is unique to each object and is not copied when using the
    x-amz-metadata-directive header. Instead, you may opt to provide this header".
    """
    client = await bucket()
    member = "WebsiteRedirectLocation"
    await client("PutObject", Bucket="bucket", Key="r", Body=b"x", WebsiteRedirectLocation="/old")
    for directive in ("COPY", "REPLACE"):
        await copy(client, "bucket/r", MetadataDirective=directive)
        assert member not in await client("HeadObject", Bucket="other", Key="b")
        await copy(client, "bucket/r", MetadataDirective=directive, WebsiteRedirectLocation="/new")
        assert (await client("HeadObject", Bucket="other", Key="b"))[member] == "/new"
    # To set one is a change, so an object may be copied onto itself for it.
    await copy(client, Bucket="bucket", Key="a", WebsiteRedirectLocation="/b")
    got = await client("HeadObject", Bucket="bucket", Key="a")
    assert (got[member], got["Metadata"]) == ("/b", {"m": "1"})
    with pytest.raises(Failure) as failure:
        await copy(client, WebsiteRedirectLocation="b")
    assert failure.value.code == "InvalidRedirectLocation"


async def test_onto_itself_needs_a_change() -> None:
    client = await bucket()
    with pytest.raises(Failure) as failure:
        await copy(client, Bucket="bucket", Key="a")
    assert failure.value.code == "InvalidRequest"
    assert "copy an object to itself" in failure.value.error["Message"]
    await copy(client, Bucket="bucket", Key="a", MetadataDirective="REPLACE")
    assert (await client("HeadObject", Bucket="bucket", Key="a"))["Metadata"] == {}


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({"CopySourceIfMatch": ETAG}, True),
        ({"CopySourceIfMatch": "x"}, False),
        ({"CopySourceIfNoneMatch": "x"}, True),
        ({"CopySourceIfNoneMatch": ETAG}, False),
        ({"CopySourceIfModifiedSince": OLD}, True),
        ({"CopySourceIfModifiedSince": NEW}, False),
        ({"CopySourceIfUnmodifiedSince": NEW}, True),
        ({"CopySourceIfUnmodifiedSince": OLD}, False),
        # AWS says: "if-match evaluates to true and if-unmodified-since to false: 200 OK"
        ({"CopySourceIfMatch": ETAG, "CopySourceIfUnmodifiedSince": OLD}, True),
        # AWS says: "if-none-match evaluates to false and if-modified-since to true: 412"
        ({"CopySourceIfNoneMatch": ETAG, "CopySourceIfModifiedSince": OLD}, False),
    ],
)
async def test_conditions(conditions: dict[str, Any], *, holds: bool) -> None:
    client = await bucket()
    if holds:
        await copy(client, **conditions)
        return
    with pytest.raises(Failure) as failure:
        await copy(client, **conditions)
    assert (failure.value.status, failure.value.code) == (412, "PreconditionFailed")
    assert ("other", "b") not in client.store.objects


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"CopySource": "bucket/none"}, "NoSuchKey"),
        ({"CopySource": "nowhere/a"}, "NoSuchBucket"),
        ({"Bucket": "nowhere"}, "NoSuchBucket"),
        ({"CopySource": "bucket"}, "InvalidArgument"),
        ({"CopySource": "bucket/a?versionId=abc"}, "NoSuchVersion"),
        ({"CopySource": "bucket/a?versionId=../x"}, "InvalidArgument"),
        ({"MetadataDirective": "MERGE"}, "InvalidArgument"),
        ({"ChecksumAlgorithm": "CRC16"}, "InvalidRequest"),
        ({"StorageClass": "GLACIER"}, "InvalidStorageClass"),
        ({"Tagging": "a=b"}, "InvalidRequest"),
        ({"TaggingDirective": "KEEP"}, "InvalidArgument"),
        ({"IfNoneMatch": '"x"'}, "NotImplemented"),
        ({"ACL": "public-read"}, "AccessControlListNotSupported"),
        ({"ServerSideEncryption": "AES256"}, "NotImplemented"),
    ],
)
async def test_refusals(arguments: dict[str, Any], code: str) -> None:
    client = await bucket()
    before = dict(client.store.objects)
    with pytest.raises(Failure) as failure:
        await copy(client, **arguments)
    assert failure.value.code == code
    assert client.store.objects == before


async def test_the_null_version_is_the_object() -> None:
    client = await bucket()
    assert await copy(client, "bucket/a?versionId=null")


async def test_a_source_too_large() -> None:
    import msgspec

    client = await bucket()
    held = client.store.objects[BucketName("bucket"), ObjectKey("a")]
    huge = msgspec.structs.replace(held.version, size=OBJECT_PUT_BYTES_MAX + 1)
    client.store.objects[huge.bucket, huge.key] = FakeObject(huge, b"")
    with pytest.raises(Failure) as failure:
        await copy(client)
    assert failure.value.code == "InvalidRequest"


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ("bucket/a/b", "a/b"),
        ("/bucket/a", "a"),
        ("bucket%2Fa%2Fb", "a/b"),  # encodeURIComponent of the whole
        ("bucket/a%20b", "a b"),
        ("bucket/a+b", "a+b"),
        ("bucket/a%2Bb", "a+b"),
        ("bucket/a%252Fb", "a%2Fb"),  # decoded once
        ("bucket/a?b", "a?b"),
        ("bucket/a%3FversionId=null", "a?versionId=null"),
        ("bucket/a?versionId=null", "a"),
        ("bucket/%C3%BC", "ü"),
        # Case N092: a key is a key, never a path
        ("bucket/../secret/k", "../secret/k"),
        ("bucket/%2e%2e%2fsecret", "../secret"),
        ("bucket//k", "/k"),
    ],
)
def test_grammar_of_the_source(value: str, key: str) -> None:
    source = read_copy_source(value)
    assert (source.bucket, source.key) == ("bucket", key)
    assert source.version_id == ("null" if value.endswith("?versionId=null") else "")


@pytest.mark.parametrize(
    "value",
    ["", "/", "bucket", "bucket/", "/bucket", "//k", "bucket/%00", "bucket/%ff", "../k", "a_B/k"],
)
def test_sources_that_are_none(value: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        read_copy_source(value)
    assert refusal.value.reason in ("InvalidArgument", "InvalidBucketName")


@settings(max_examples=200)
@given(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=50
    )
)
def test_any_key_comes_through(key: str) -> None:
    encoded = f"bucket/{quote(key, safe='/~')}"  # as botocore does
    assert read_copy_source(encoded).key == key

"""ListObjects, versions 1 and 2."""

import time
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import LIST_KEYS_MAX
from tests.unit.s3.client import ROOT, Client, Failure


async def bucket(*keys: str) -> Client:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    for key in keys:
        await client("PutObject", Bucket="bucket", Key=key, Body=key.encode())
    return client


def keys_of(page: dict[str, Any]) -> list[str]:
    return [entry["Key"] for entry in page.get("Contents", [])]


def prefixes_of(page: dict[str, Any]) -> list[str]:
    return [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]


async def test_v2_defaults() -> None:
    client = await bucket("b", "a", "c/d")
    page = await client("ListObjectsV2", Bucket="bucket")
    assert keys_of(page) == ["a", "b", "c/d"]
    assert (page["Name"], page["Prefix"], page["MaxKeys"]) == ("bucket", "", 1000)
    assert (page["KeyCount"], page["IsTruncated"]) == (3, False)
    for absent in ("Delimiter", "StartAfter", "ContinuationToken", "NextContinuationToken"):
        assert absent not in page
    entry = page["Contents"][0]
    assert entry["Size"] == 1
    assert entry["StorageClass"] == "STANDARD"
    assert entry["ChecksumAlgorithm"] == ["CRC64NVME"]
    assert entry["ChecksumType"] == "FULL_OBJECT"
    assert "Owner" not in entry


async def test_v2_fetch_owner() -> None:
    client = await bucket("a")
    page = await client("ListObjectsV2", Bucket="bucket", FetchOwner=True)
    assert page["Contents"][0]["Owner"]["ID"] == ROOT.canonical_id


async def test_v1() -> None:
    client = await bucket("a", "b", "c")
    page = await client("ListObjects", Bucket="bucket", Marker="a", MaxKeys=1)
    assert keys_of(page) == ["b"]
    assert (page["Marker"], page["MaxKeys"], page["IsTruncated"]) == ("a", 1, True)
    # AWS says: NextMarker "is returned only if you have the delimiter request parameter specified"
    assert "NextMarker" not in page
    assert page["Contents"][0]["Owner"]["ID"] == ROOT.canonical_id


async def test_delimiter_in_pages() -> None:
    client = await bucket("a", "b/1", "b/2", "c/1", "d", "e/1")
    names, marker = [], ""
    while True:
        page = await client("ListObjects", Bucket="bucket", Delimiter="/", MaxKeys=2, Marker=marker)
        names.append((keys_of(page), prefixes_of(page)))
        assert page["Delimiter"] == "/"
        if not page["IsTruncated"]:
            break
        marker = page["NextMarker"]
    assert names == [(["a"], ["b/"]), (["d"], ["c/"]), ([], ["e/"])]


async def test_v2_continuation_goes_before_start_after() -> None:
    client = await bucket("a", "b", "c", "d")
    first = await client("ListObjectsV2", Bucket="bucket", StartAfter="a", MaxKeys=1)
    assert keys_of(first) == ["b"]
    assert first["StartAfter"] == "a"
    token = first["NextContinuationToken"]
    assert "b" not in token  # opaque: nobody shall take it apart
    second = await client("ListObjectsV2", Bucket="bucket", StartAfter="a", ContinuationToken=token)
    assert keys_of(second) == ["c", "d"]
    assert second["ContinuationToken"] == token


@pytest.mark.parametrize("token", ["", "x", "!!!", "YWJj", "w6TDtsO8"])
async def test_tokens_of_somebody_else(token: str) -> None:
    client = await bucket("a")
    with pytest.raises(RequestRefused) as refusal:
        await client.raw("GET", f"/bucket?list-type=2&continuation-token={token}")
    assert refusal.value.reason == "InvalidArgument"


async def test_max_keys() -> None:
    client = await bucket("a", "b")
    none = await client("ListObjectsV2", Bucket="bucket", MaxKeys=0)
    assert (keys_of(none), none["IsTruncated"], none["MaxKeys"]) == ([], False, 0)
    many = await client("ListObjectsV2", Bucket="bucket", MaxKeys=5000)
    assert many["MaxKeys"] == LIST_KEYS_MAX
    for bad in ("-1", "abc", "1.5", "9" * 30):  # N116
        with pytest.raises(RequestRefused) as refusal:
            await client.raw("GET", f"/bucket?max-keys={bad}")
        assert refusal.value.reason == "InvalidArgument"


async def test_a_bucket_that_is_not_there() -> None:
    for arguments in ({}, {"MaxKeys": 0}):
        for name in ("ListObjects", "ListObjectsV2"):
            with pytest.raises(Failure) as failure:
                await Client()(name, Bucket="bucket", **arguments)
            assert failure.value.code == "NoSuchBucket"


async def test_encoding_type() -> None:
    client = await bucket("a b/\x01&", "a b/ü")
    for name in ("ListObjects", "ListObjectsV2"):
        page = await client(name, Bucket="bucket", EncodingType="url", Prefix="a b", Delimiter="&")
        assert page["EncodingType"] == "url"
        assert [unquote(key) for key in keys_of(page)] == ["a b/ü"]
        assert [unquote(prefix) for prefix in prefixes_of(page)] == ["a b/\x01&"]
        assert (page["Prefix"], page["Delimiter"]) == ("a%20b", "%26")
    with pytest.raises(RequestRefused):
        await client.raw("GET", "/bucket?encoding-type=base64")


NAMES = st.text("ab/é", min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(
    keys=st.sets(NAMES, max_size=12),
    prefix=st.text("ab/", max_size=2),
    delimiter=st.sampled_from(["", "/", "b/"]),
    limit=st.integers(1, 4),
    version=st.sampled_from(["ListObjects", "ListObjectsV2"]),
)
def test_pages_join_to_the_whole(
    keys: set[str], prefix: str, delimiter: str, limit: int, version: str
) -> None:
    import asyncio

    async def walk() -> None:
        client = await bucket(*keys)
        arguments: dict[str, Any] = {"Bucket": "bucket", "Prefix": prefix, "MaxKeys": limit}
        if delimiter:
            arguments["Delimiter"] = delimiter
        names: list[str] = []
        while True:
            page = await client(version, **arguments)
            found = keys_of(page) + prefixes_of(page)
            assert len(found) <= limit
            names += found
            if not page["IsTruncated"]:
                break
            if version == "ListObjectsV2":
                arguments["ContinuationToken"] = page["NextContinuationToken"]
            else:
                arguments["Marker"] = page.get("NextMarker") or keys_of(page)[-1]
        expected = set()
        for key in keys:
            if key.startswith(prefix):
                end = key.find(delimiter, len(prefix)) if delimiter else -1
                expected.add(key if end < 0 else key[: end + len(delimiter)])
        assert sorted(names) == sorted(expected)

    asyncio.run(walk())


async def test_a_page_of_a_thousand_is_cheap() -> None:
    client = await bucket(*(f"some/prefix/of/a/key/{number:06d}.txt" for number in range(1000)))
    took = []
    reply = await client.raw("GET", "/bucket?list-type=2&prefix=some")
    for _ in range(5):
        start = time.perf_counter()
        await client.raw("GET", "/bucket?list-type=2&prefix=some")
        took.append(time.perf_counter() - start)
    assert isinstance(reply.body, bytes)
    assert reply.body.count(b"<Contents>") == 1000
    # Loose: it takes some milliseconds, of which the fake store has its share.
    assert min(took) < 0.1

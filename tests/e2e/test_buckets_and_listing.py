"""Buckets and listings through boto3, from both servers."""

import pytest
from botocore.exceptions import ClientError

from tests.e2e.content import fresh_name
from tests.e2e.running import Cluster, S3Client


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_the_life_of_a_bucket(s3: S3Client) -> None:
    name = fresh_name("life")
    s3.create_bucket(Bucket=name)
    s3.head_bucket(Bucket=name)
    assert name in [item["Name"] for item in s3.list_buckets()["Buckets"]]
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    s3.put_object(Bucket=name, Key="key", Body=b"x")
    with pytest.raises(ClientError) as refused:
        s3.delete_bucket(Bucket=name)
    assert code_of(refused) == "BucketNotEmpty"
    s3.delete_object(Bucket=name, Key="key")
    s3.delete_bucket(Bucket=name)
    with pytest.raises(ClientError) as refused:
        s3.head_bucket(Bucket=name)
    assert code_of(refused) == "404"
    for call in (s3.delete_bucket, s3.list_objects_v2, s3.get_bucket_location):
        with pytest.raises(ClientError) as refused:
            call(Bucket=name)
        assert code_of(refused) == "NoSuchBucket"
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=name, Key="key", Body=b"x")
    assert code_of(refused) == "NoSuchBucket"


def test_a_bucket_can_be_made_again(cluster: Cluster) -> None:
    """What was in the first is not in the second, through either server."""
    one, two = cluster.client(0), cluster.client(1)
    name = fresh_name("again")
    for maker, other in ((one, two), (two, one), (one, two)):
        maker.create_bucket(Bucket=name)
        other.put_object(Bucket=name, Key="key", Body=b"x")
        maker.delete_object(Bucket=name, Key="key")
        other.delete_bucket(Bucket=name)
    one.create_bucket(Bucket=name)
    assert "Contents" not in two.list_objects_v2(Bucket=name)
    one.close()
    two.close()


def test_creating_a_bucket_twice(s3: S3Client) -> None:
    """AWS, us-east-1: "the bucket you already own" answers 200; elsewhere a 409."""
    name = fresh_name("twice")
    s3.create_bucket(Bucket=name)
    try:
        s3.create_bucket(Bucket=name)
    except s3.exceptions.BucketAlreadyOwnedByYou:
        return


KEYS = (
    *(f"a/{number:03}" for number in range(25)),
    "a/b/1",
    "a/b/2",
    "a/c",
    "a-b",
    "b",
    "c//d",
    "c/",
    "d e/f+g",
    "é/x",
)


@pytest.fixture(scope="module")
def listed(cluster: Cluster) -> str:
    name = fresh_name("listed")
    client = cluster.client(0)
    client.create_bucket(Bucket=name)
    for key in KEYS:
        client.put_object(Bucket=name, Key=key, Body=key.encode())
    client.put_object(Bucket=name, Key="deleted", Body=b"x")
    client.delete_object(Bucket=name, Key="deleted")
    client.close()
    return name


def expected(prefix: str, delimiter: str, after: str = "") -> list[str]:
    """List by brute force: keys and common prefixes, in one byte order."""
    entries = set()
    for key in KEYS:
        if key <= after or not key.startswith(prefix):
            continue
        rest = key[len(prefix) :]
        if delimiter and delimiter in rest:
            entries.add(prefix + rest[: rest.index(delimiter) + len(delimiter)])
        else:
            entries.add(key)
    return sorted(entries, key=str.encode)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
@pytest.mark.parametrize("delimiter", ["", "/", "0"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "a/b/", "c/", "zzz", "é", "d e/f+"])
def test_listings_of_both_versions(
    s3: S3Client, listed: str, prefix: str, delimiter: str, size: int
) -> None:
    wanted = expected(prefix, delimiter)
    options = {"Bucket": listed, "Prefix": prefix, "Delimiter": delimiter}
    for operation in ("list_objects_v2", "list_objects"):
        pages = s3.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **options)
        found: list[str] = []
        for page in pages:
            entries = [item["Key"] for item in page.get("Contents", [])]
            entries += [item["Prefix"] for item in page.get("CommonPrefixes", [])]
            assert len(entries) <= size
            found += sorted(entries, key=str.encode)
        assert found == wanted, operation


def test_start_after_and_marker(s3: S3Client, listed: str) -> None:
    for after in ("", "a/0", "a/005", "a/b/1", "b", "zzz"):
        v2 = s3.list_objects_v2(Bucket=listed, StartAfter=after)
        v1 = s3.list_objects(Bucket=listed, Marker=after)
        for page in (v1, v2):
            keys = [item["Key"] for item in page.get("Contents", [])]
            assert keys == expected("", "", after)


def test_what_a_listing_says(s3: S3Client, listed: str) -> None:
    page = s3.list_objects_v2(Bucket=listed, Prefix="a/c", FetchOwner=True)
    (item,) = page["Contents"]
    head = s3.head_object(Bucket=listed, Key="a/c")
    assert (item["Size"], item["ETag"]) == (3, head["ETag"])
    assert item["StorageClass"] == "STANDARD"
    assert item["LastModified"].replace(microsecond=0) == head["LastModified"]
    assert item["Owner"]["ID"]
    assert (page["KeyCount"], page["IsTruncated"]) == (1, False)
    none = s3.list_objects_v2(Bucket=listed, MaxKeys=0)
    assert (none["KeyCount"], none.get("Contents")) == (0, None)


def test_a_listing_is_never_stale(cluster: Cluster, bucket: str) -> None:
    """Each write is listed at once, through the server that did not take it."""
    one, two = cluster.client(0), cluster.client(1)
    for number in range(20):
        writer, reader = (one, two) if number % 2 else (two, one)
        writer.put_object(Bucket=bucket, Key=f"key{number:02}", Body=b"x")
        assert len(reader.list_objects_v2(Bucket=bucket)["Contents"]) == number + 1
    for number in range(20):
        two.delete_object(Bucket=bucket, Key=f"key{number:02}")
        assert one.list_objects_v2(Bucket=bucket)["KeyCount"] == 19 - number
    one.close()
    two.close()

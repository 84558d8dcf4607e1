"""Bucket operations, as botocore sees them."""

import pytest

from objstore.errors import RequestRefused
from objstore.names import BucketName
from tests.unit.s3.client import ALICE, BOB, ROOT, Client, Failure


async def test_create_head_list_delete() -> None:
    client = Client(region="eu-x")
    created = await client("CreateBucket", Bucket="bucket-a")
    assert created["Location"] == "/bucket-a"
    head = await client("HeadBucket", Bucket="bucket-a")
    assert (head["BucketRegion"], head["AccessPointAlias"]) == ("eu-x", False)
    listed = await client("ListBuckets")
    assert [bucket["Name"] for bucket in listed["Buckets"]] == ["bucket-a"]
    assert listed["Buckets"][0]["CreationDate"].timestamp() == 1_700_000_000
    assert listed["Owner"] == {"ID": ROOT.canonical_id, "DisplayName": "Root"}
    deleted = await client("DeleteBucket", Bucket="bucket-a")
    assert deleted["Status"] == 204
    with pytest.raises(Failure) as failure:
        await client("HeadBucket", Bucket="bucket-a")
    assert failure.value.status == 404
    assert failure.value.code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("region", "constraint", "code"),
    [
        ("eu-x", None, None),
        ("eu-x", "eu-x", None),
        ("us-east-1", None, None),
        ("eu-x", "eu-y", "InvalidLocationConstraint"),
        ("us-east-1", "EU", "InvalidLocationConstraint"),
    ],
)
async def test_location_constraint(region: str, constraint: str | None, code: str | None) -> None:
    client = Client(region=region)
    arguments = (
        {"CreateBucketConfiguration": {"LocationConstraint": constraint}} if constraint else {}
    )
    if code is None:
        await client("CreateBucket", Bucket="bucket", **arguments)
        assert client.store.buckets
        return
    with pytest.raises(Failure) as failure:
        await client("CreateBucket", Bucket="bucket", **arguments)
    assert failure.value.code == code
    assert not client.store.buckets


async def test_creating_again() -> None:
    # AWS says: "If you re-create an existing bucket that you already own in us-east-1, Amazon S3
    # returns 200 OK"; elsewhere 409 BucketAlreadyOwnedByYou.
    legacy = Client(region="us-east-1")
    await legacy("CreateBucket", Bucket="bucket")
    await legacy("CreateBucket", Bucket="bucket")
    client = Client(region="eu-x")
    await client("CreateBucket", Bucket="bucket")
    with pytest.raises(Failure) as failure:
        await client("CreateBucket", Bucket="bucket")
    assert (failure.value.status, failure.value.code) == (409, "BucketAlreadyOwnedByYou")
    with pytest.raises(RequestRefused) as refusal:
        await legacy.raw("PUT", "/bucket", caller=ALICE)
    assert refusal.value.reason == "BucketAlreadyExists"


async def test_a_name_that_another_has() -> None:
    """AWS: "The requested bucket name is not available." Root is no exception."""
    for region in ("us-east-1", "eu-x"):
        client = Client(region=region)
        await client("CreateBucket", Bucket="bucket", Caller=ALICE)
        for caller in (BOB, ROOT):
            with pytest.raises(Failure) as failure:
                await client("CreateBucket", Bucket="bucket", Caller=caller)
            assert (failure.value.status, failure.value.code) == (409, "BucketAlreadyExists")


async def test_creating_again_what_an_access_key_owns() -> None:
    """Records from before canonical ids: the same answers as for any bucket of one's own."""
    for region, code in (("us-east-1", None), ("eu-x", "BucketAlreadyOwnedByYou")):
        client = Client(region=region)
        await client.store.create_bucket(
            BucketName("bucket"), owner=ALICE.access_key, region=region
        )
        with pytest.raises(Failure) as failure:
            await client("CreateBucket", Bucket="bucket", Caller=BOB)
        assert failure.value.code == "BucketAlreadyExists"
        if code is None:
            await client("CreateBucket", Bucket="bucket", Caller=ALICE)
            continue
        with pytest.raises(Failure) as failure:
            await client("CreateBucket", Bucket="bucket", Caller=ALICE)
        assert failure.value.code == code


async def test_everybody_lists_their_own_buckets_and_root_all() -> None:
    """AWS: "Returns a list of all buckets owned by the authenticated sender of the request." """
    client = Client()
    await client("CreateBucket", Bucket="alices", Caller=ALICE)
    await client("CreateBucket", Bucket="roots")
    await client.store.create_bucket(BucketName("old"), owner=ALICE.access_key, region="")
    seen = {}
    for caller in (ALICE, BOB, ROOT):
        page = await client("ListBuckets", Caller=caller)
        assert page["Owner"]["ID"] == caller.canonical_id
        seen[caller] = [bucket["Name"] for bucket in page["Buckets"]]
    assert seen == {ALICE: ["alices", "old"], BOB: [], ROOT: ["alices", "old", "roots"]}
    page = await client("ListBuckets", MaxBuckets=1, Caller=ALICE)
    rest = await client(
        "ListBuckets", MaxBuckets=1, ContinuationToken=page["ContinuationToken"], Caller=ALICE
    )
    assert ([one["Name"] for one in rest["Buckets"]], "ContinuationToken" in rest) == (
        ["old"],
        False,
    )


async def test_a_bucket_that_is_born_with_tags() -> None:
    client = Client()
    tags = [{"Key": "team", "Value": "a b"}, {"Key": "cost", "Value": ""}]
    await client("CreateBucket", Bucket="bucket", CreateBucketConfiguration={"Tags": tags})
    assert (await client("GetBucketTagging", Bucket="bucket"))["TagSet"] == tags


async def test_a_bucket_that_is_born_with_object_lock() -> None:
    """Object lock needs versioning, so a bucket that has it from the start has both."""
    client = Client()
    await client("CreateBucket", Bucket="bucket", ObjectLockEnabledForBucket=True)
    lock = await client("GetObjectLockConfiguration", Bucket="bucket")
    assert lock["ObjectLockConfiguration"] == {"ObjectLockEnabled": "Enabled"}
    assert (await client("GetBucketVersioning", Bucket="bucket"))["Status"] == "Enabled"
    await client("CreateBucket", Bucket="plain", ObjectLockEnabledForBucket=False)
    assert not client.store.buckets[BucketName("plain")].settings
    with pytest.raises(RequestRefused) as refusal:
        await client.raw("PUT", "/third", {"x-amz-bucket-object-lock-enabled": "yes"})
    assert refusal.value.reason == "InvalidArgument"


async def test_creating_again_never_claims_settings_that_the_bucket_has_not() -> None:
    client = Client(region="us-east-1")
    await client("CreateBucket", Bucket="bucket")
    with pytest.raises(Failure) as failure:
        await client("CreateBucket", Bucket="bucket", ObjectLockEnabledForBucket=True)
    assert (failure.value.status, failure.value.code) == (409, "BucketAlreadyOwnedByYou")
    await client("CreateBucket", Bucket="locked", ObjectLockEnabledForBucket=True)
    await client("CreateBucket", Bucket="locked", ObjectLockEnabledForBucket=True)
    await client("CreateBucket", Bucket="locked")


@pytest.mark.parametrize("name", ["ab", "a" * 64, "A_b", "1.2.3.4", "a..b", "xn--x"])
async def test_bucket_names(name: str) -> None:
    with pytest.raises(RequestRefused) as refusal:  # N096
        await Client().raw("PUT", f"/{name}")
    assert refusal.value.reason == "InvalidBucketName"


async def test_a_bucket_with_objects_stays() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    await client("PutObject", Bucket="bucket", Key="k", Body=b"x")
    with pytest.raises(Failure) as failure:
        await client("DeleteBucket", Bucket="bucket")
    assert (failure.value.status, failure.value.code) == (409, "BucketNotEmpty")


@pytest.mark.parametrize(("region", "shown"), [("us-east-1", b""), ("eu-x", b"eu-x")])
async def test_location(region: str, shown: bytes) -> None:
    client = Client(region=region)
    await client("CreateBucket", Bucket="bucket")
    reply = await client.raw("GET", "/bucket?location")
    assert isinstance(reply.body, bytes)
    assert reply.body.endswith(b">" + shown + b"</LocationConstraint>")


async def test_list_buckets_in_pages() -> None:
    client = Client()
    for name in ("bb-3", "aa-1", "bb-1", "bb-2"):
        await client("CreateBucket", Bucket=name)
    names = []
    arguments: dict[str, object] = {"Prefix": "bb", "MaxBuckets": 2}
    while True:
        page = await client("ListBuckets", **arguments)
        names.append([bucket["Name"] for bucket in page["Buckets"]])
        assert page["Prefix"] == "bb"
        assert all(bucket["BucketRegion"] == client.region for bucket in page["Buckets"])
        if "ContinuationToken" not in page:
            break
        arguments["ContinuationToken"] = page["ContinuationToken"]
    assert names == [["bb-1", "bb-2"], ["bb-3"]]
    elsewhere = await client("ListBuckets", BucketRegion="us-west-2")
    assert not elsewhere["Buckets"]


@pytest.mark.parametrize("query", ["max-buckets=0", "max-buckets=10001", "max-buckets=x"])
async def test_list_buckets_bounds(query: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        await Client().raw("GET", f"/?{query}")
    assert refusal.value.reason == "InvalidArgument"


async def test_a_document_too_long_is_not_read() -> None:
    with pytest.raises(RequestRefused) as refusal:
        await Client().raw("PUT", "/bucket", body=b" " * (5 << 20))
    assert refusal.value.reason == "MalformedXML"
    with pytest.raises(RequestRefused) as refusal:
        await Client().raw("PUT", "/bucket", body=b" " * (5 << 20), size=None)
    assert refusal.value.reason == "MalformedXML"

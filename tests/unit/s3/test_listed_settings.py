"""Configurations that have an id: a bucket has none of them."""

from typing import Any

import pytest

from objstore.errors import RequestRefused
from tests.unit.s3.client import Client, Failure

BODIES: dict[str, dict[str, Any]] = {
    "Analytics": {"AnalyticsConfiguration": {"Id": "one", "StorageClassAnalysis": {}}},
    "IntelligentTiering": {
        "IntelligentTieringConfiguration": {
            "Id": "one",
            "Status": "Enabled",
            "Tierings": [{"Days": 90, "AccessTier": "ARCHIVE_ACCESS"}],
        }
    },
    "Inventory": {
        "InventoryConfiguration": {
            "Id": "one",
            "Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::b", "Format": "CSV"}},
            "IsEnabled": True,
            "IncludedObjectVersions": "All",
            "Schedule": {"Frequency": "Daily"},
        }
    },
    "Metrics": {"MetricsConfiguration": {"Id": "one", "Filter": {"Prefix": "a"}}},
}


@pytest.mark.parametrize("family", BODIES)
async def test_a_bucket_has_none(family: str) -> None:
    client = Client()
    with pytest.raises(Failure) as failure:
        await client(f"ListBucket{family}Configurations", Bucket="bucket")
    assert failure.value.code == "NoSuchBucket"
    await client("CreateBucket", Bucket="bucket")
    listed = await client(f"ListBucket{family}Configurations", Bucket="bucket")
    assert listed["IsTruncated"] is False
    assert f"{family}ConfigurationList" not in listed
    for verb in ("Get", "Delete"):
        with pytest.raises(Failure) as failure:
            await client(f"{verb}Bucket{family}Configuration", Bucket="bucket", Id="one")
        assert (failure.value.status, failure.value.code) == (404, "NoSuchConfiguration")


@pytest.mark.parametrize("family", BODIES)
async def test_none_can_be_made(family: str) -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    with pytest.raises(Failure) as failure:
        await client(f"PutBucket{family}Configuration", Bucket="bucket", Id="one", **BODIES[family])
    assert (failure.value.status, failure.value.code) == (501, "NotImplemented")
    assert "not implemented;" in failure.value.error["Message"]


@pytest.mark.parametrize("selector", ["analytics", "intelligent-tiering", "inventory", "metrics"])
@pytest.mark.parametrize("query", ["", "&id=", "&id=a%20b", "&id=" + "a" * 65])
async def test_ids(selector: str, query: str) -> None:
    """AWS: "The ID has a 64 character limit and can only contain letters, numbers, periods,
    dashes, and underscores."
    """
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    for method in ("GET", "PUT", "DELETE") if query else ("PUT", "DELETE"):
        with pytest.raises(RequestRefused) as refusal:
            await client.raw(method, f"/bucket?{selector}{query}")
        assert refusal.value.reason == "InvalidArgument"


async def test_a_token_that_no_list_gave() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    with pytest.raises(Failure) as failure:
        await client("ListBucketInventoryConfigurations", Bucket="bucket", ContinuationToken="x")
    assert failure.value.code == "InvalidArgument"

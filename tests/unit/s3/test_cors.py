"""CORS configurations, as botocore sees them. What they do is in tests/unit/gateway."""

import pytest

from objstore.errors import RequestRefused
from objstore.names import BucketName
from objstore.s3.cors import cors_rules
from tests.unit.s3.client import ALICE, BOB, Client, Failure

RULES = [
    {
        "ID": "one",
        "AllowedHeaders": ["*"],
        "AllowedMethods": ["PUT", "POST"],
        "AllowedOrigins": ["http://www.example1.com"],
        "ExposeHeaders": ["x-amz-server-side-encryption"],
        "MaxAgeSeconds": 3000,
    },
    {"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]},
]


async def test_put_get_delete() -> None:
    """AWS: "If the configuration exists, Amazon S3 replaces it." """
    client = Client()
    await client("CreateBucket", Bucket="bucket", Caller=ALICE)
    with pytest.raises(Failure) as failure:
        await client("GetBucketCors", Bucket="bucket", Caller=ALICE)
    assert (failure.value.status, failure.value.code) == (404, "NoSuchCORSConfiguration")
    rules = {"CORSRules": RULES}
    put = await client("PutBucketCors", Bucket="bucket", CORSConfiguration=rules, Caller=ALICE)
    assert put["Status"] == 200
    assert (await client("GetBucketCors", Bucket="bucket", Caller=ALICE))["CORSRules"] == RULES
    rules = {"CORSRules": RULES[1:]}
    await client("PutBucketCors", Bucket="bucket", CORSConfiguration=rules, Caller=ALICE)
    assert (await client("GetBucketCors", Bucket="bucket", Caller=ALICE))["CORSRules"] == RULES[1:]
    for _ in range(2):
        gone = await client("DeleteBucketCors", Bucket="bucket", Caller=ALICE)
        assert gone["Status"] == 204
    assert cors_rules(client.store.buckets[BucketName("bucket")]) == ()


async def test_a_bucket_of_somebody_else() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket", Caller=ALICE)
    for name, arguments in (
        ("GetBucketCors", {}),
        ("PutBucketCors", {"CORSConfiguration": {"CORSRules": RULES}}),
        ("DeleteBucketCors", {}),
    ):
        with pytest.raises(Failure) as failure:
            await client(name, Bucket="bucket", **arguments, Caller=BOB)
        assert failure.value.code == "AccessDenied"


async def test_what_is_refused_stores_nothing() -> None:
    client = Client()
    with pytest.raises(Failure) as failure:
        await client("PutBucketCors", Bucket="bucket", CORSConfiguration={"CORSRules": RULES})
    assert failure.value.code == "NoSuchBucket"
    await client("CreateBucket", Bucket="bucket")
    for wrong, code in (
        ({"AllowedMethods": ["PATCH"], "AllowedOrigins": ["*"]}, "InvalidRequest"),
        ({"AllowedMethods": ["GET"], "AllowedOrigins": ["*.*"]}, "InvalidRequest"),
    ):
        with pytest.raises(Failure) as failure:
            await client("PutBucketCors", Bucket="bucket", CORSConfiguration={"CORSRules": [wrong]})
        assert failure.value.code == code
    with pytest.raises(RequestRefused) as refusal:
        await client.raw("PUT", "/bucket?cors", body=b"<CORSConfiguration/>")
    assert refusal.value.reason == "InvalidRequest"  # no digest
    assert not client.store.buckets[BucketName("bucket")].settings

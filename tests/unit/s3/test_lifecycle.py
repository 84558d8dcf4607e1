"""Lifecycle configurations, and what answers say of them."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from objstore.errors import ReadQuorumLost
from objstore.limits import LIFECYCLE_DAY_SECONDS
from objstore.names import BucketName
from tests.unit.s3.client import Client, Failure

# NOW_MS is 2023-11-14T22:13:20; a day later, rounded up to midnight.
IN_ONE_DAY = "Thu, 16 Nov 2023 00:00:00 GMT"
RULES = [
    {
        "ID": "logs & more",
        "Filter": {"Prefix": "logs/"},
        "Status": "Enabled",
        "Expiration": {"Days": 1},
    },
    {
        "ID": "big",
        "Filter": {"And": {"Prefix": "x", "ObjectSizeGreaterThan": 10}},
        "Status": "Enabled",
        "Expiration": {"Date": datetime(2030, 1, 1, tzinfo=UTC)},
    },
    {
        "ID": "tagged",
        "Filter": {"Tag": {"Key": "keep", "Value": "no"}},
        "Status": "Enabled",
        "Expiration": {"Days": 1},
    },
    {"ID": "off", "Filter": {"Prefix": ""}, "Status": "Disabled", "Expiration": {"Days": 1}},
    {
        "ID": "uploads",
        "Filter": {"Prefix": "up"},
        "Status": "Enabled",
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1},
    },
]


async def configured(
    rules: Sequence[dict[str, Any]] = RULES, *, day_s: int = LIFECYCLE_DAY_SECONDS
) -> Client:
    client = Client(lifecycle_day_s=day_s)
    await client("CreateBucket", Bucket="bucket")
    await client(
        "PutBucketLifecycleConfiguration",
        Bucket="bucket",
        LifecycleConfiguration={"Rules": list(rules)},
    )
    return client


async def test_put_get_delete() -> None:
    client = await configured()
    got = await client("GetBucketLifecycleConfiguration", Bucket="bucket")
    assert got["Rules"] == RULES
    # AWS's default since September 2024.
    assert got["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    for _ in range(2):
        assert (await client("DeleteBucketLifecycle", Bucket="bucket"))["Status"] == 204
    with pytest.raises(Failure) as failure:
        await client("GetBucketLifecycleConfiguration", Bucket="bucket")
    assert (failure.value.status, failure.value.code) == (404, "NoSuchLifecycleConfiguration")
    assert not client.store.buckets[BucketName("bucket")].settings


async def test_the_older_operations() -> None:
    """PutBucketLifecycle and GetBucketLifecycle: a Prefix in the rule itself."""
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    rule = {"ID": "old", "Prefix": "a/", "Status": "Enabled", "Expiration": {"Days": 3}}
    await client("PutBucketLifecycle", Bucket="bucket", LifecycleConfiguration={"Rules": [rule]})
    assert (await client("GetBucketLifecycle", Bucket="bucket"))["Rules"] == [rule]


async def test_the_default_minimum_size_of_transitions() -> None:
    client = await configured()
    put = await client(
        "PutBucketLifecycleConfiguration",
        Bucket="bucket",
        LifecycleConfiguration={"Rules": RULES},
        TransitionDefaultMinimumObjectSize="varies_by_storage_class",
    )
    assert put["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    got = await client("GetBucketLifecycleConfiguration", Bucket="bucket")
    assert got["TransitionDefaultMinimumObjectSize"] == "varies_by_storage_class"
    with pytest.raises(Failure) as failure:
        await client(
            "PutBucketLifecycleConfiguration",
            Bucket="bucket",
            LifecycleConfiguration={"Rules": RULES},
            TransitionDefaultMinimumObjectSize="none",
        )
    assert failure.value.code == "InvalidArgument"


async def test_refusals() -> None:
    client = Client()
    arguments: dict[str, Any] = {
        "Bucket": "bucket",
        "LifecycleConfiguration": {"Rules": [RULES[0]]},
    }
    with pytest.raises(Failure) as failure:
        await client("PutBucketLifecycleConfiguration", **arguments)
    assert failure.value.code == "NoSuchBucket"
    await client("CreateBucket", Bucket="bucket")
    transition = {
        "ID": "t",
        "Filter": {"Prefix": ""},
        "Status": "Enabled",
        "Transitions": [{"Days": 30, "StorageClass": "GLACIER"}],
    }
    arguments["LifecycleConfiguration"] = {"Rules": [transition]}
    with pytest.raises(Failure) as failure:
        await client("PutBucketLifecycleConfiguration", **arguments)
    assert (failure.value.status, failure.value.code) == (501, "NotImplemented")
    assert not client.store.buckets[BucketName("bucket")].settings


# --- x-amz-expiration -----------------------------------------------------------------

SOON = f'expiry-date="{IN_ONE_DAY}", rule-id="logs%20%26%20more"'


async def test_every_answer_about_an_object_says_when_it_expires() -> None:
    """AWS: "The value of the rule-id is URL-encoded." """
    client = await configured()
    put = await client("PutObject", Bucket="bucket", Key="logs/a", Body=b"x")
    assert put["Expiration"] == SOON
    for name in ("GetObject", "HeadObject"):
        assert (await client(name, Bucket="bucket", Key="logs/a"))["Expiration"] == SOON
    copy = await client("CopyObject", Bucket="bucket", Key="logs/b", CopySource="bucket/logs/a")
    assert copy["Expiration"] == SOON
    upload = await client("CreateMultipartUpload", Bucket="bucket", Key="logs/c")
    named = {"Bucket": "bucket", "Key": "logs/c", "UploadId": upload["UploadId"]}
    part = await client("UploadPart", **named, PartNumber=1, Body=b"x")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    done = await client("CompleteMultipartUpload", **named, MultipartUpload=parts)
    assert done["Expiration"] == SOON


@pytest.mark.parametrize(
    ("key", "body", "tagging", "rule"),
    [
        ("other", b"x", "", None),
        ("x1", b"x" * 10, "", None),
        ("x1", b"x" * 11, "", "big"),
        ("other", b"x", "keep=no&a=b", "tagged"),
        ("other", b"x", "keep=yes", None),
        ("x1", b"x" * 11, "keep=no", "tagged"),  # the shorter expiration
    ],
)
async def test_which_rule_is_named(key: str, body: bytes, tagging: str, rule: str | None) -> None:
    client = await configured()
    tags = {"Tagging": tagging} if tagging else {}
    put = await client("PutObject", Bucket="bucket", Key=key, Body=body, **tags)
    head = await client("HeadObject", Bucket="bucket", Key=key)
    assert put.get("Expiration") == head.get("Expiration")
    if rule is None:
        assert "Expiration" not in head
    else:
        assert head["Expiration"].endswith(f'rule-id="{rule}"')


async def test_a_version_that_is_named_and_current() -> None:
    client = await configured()
    await client("PutObject", Bucket="bucket", Key="logs/a", Body=b"x")
    named = {"Bucket": "bucket", "Key": "logs/a", "VersionId": "null"}
    assert (await client("HeadObject", **named))["Expiration"] == SOON


async def test_a_day_may_be_shorter() -> None:
    client = await configured(day_s=10)
    put = await client("PutObject", Bucket="bucket", Key="logs/a", Body=b"x")
    assert put["Expiration"].startswith('expiry-date="Tue, 14 Nov 2023 22:13:30 GMT"')


# --- uploads --------------------------------------------------------------------------


async def test_uploads_say_when_they_are_aborted() -> None:
    client = await configured()
    for key, told in (("up/1", True), ("logs/1", False)):
        upload = await client("CreateMultipartUpload", Bucket="bucket", Key=key)
        listed = await client("ListParts", Bucket="bucket", Key=key, UploadId=upload["UploadId"])
        for answer in (upload, listed):
            assert ("AbortDate" in answer, "AbortRuleId" in answer) == (told, told)
            if told:
                assert answer["AbortDate"] == datetime(2023, 11, 16, tzinfo=UTC)
                assert answer["AbortRuleId"] == "uploads"


@pytest.mark.parametrize("rule_id", ["a\nb", "é", "x\r\nSet-Cookie: a=b"])
async def test_a_rules_id_never_breaks_a_header(rule_id: str) -> None:
    rule = RULES[4] | {"ID": rule_id, "Expiration": {"Days": 2**31 - 1}}
    client = await configured([rule])
    upload = await client("CreateMultipartUpload", Bucket="bucket", Key="up")
    put = await client("PutObject", Bucket="bucket", Key="up", Body=b"")
    for value in (upload["AbortRuleId"], put["Expiration"]):
        assert value.isascii()
        assert value.isprintable()


async def test_a_header_is_no_reason_to_fail() -> None:
    """A version that was found is answered, whether or not it can be told to be current."""
    client = await configured()
    await client("PutObject", Bucket="bucket", Key="logs/a", Body=b"x")
    opened = client.store.open_object
    calls = []

    async def first_only(*arguments: Any, **named: Any) -> Any:
        calls.append(arguments)
        if len(calls) > 1:
            raise ReadQuorumLost("too few")
        return await opened(*arguments, **named)

    client.store.open_object = first_only  # type: ignore[method-assign]
    head = await client("HeadObject", Bucket="bucket", Key="logs/a", VersionId="null")
    assert "Expiration" not in head
    assert len(calls) == 2

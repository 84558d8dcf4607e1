"""Settings that nothing acts on: read as AWS reads them, and refused unless they change nothing."""

from typing import Any

import pytest

from objstore.names import BucketName
from tests.unit.s3.client import ALICE, BOB, Client, Failure

ENCRYPTION = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
QUEUE = {"QueueArn": "arn:aws:sqs:us-east-1:1:q", "Events": ["s3:ObjectCreated:*"]}
REPLICATION = {
    "Role": "arn:aws:iam::1:role/r",
    "Rules": [
        {"Prefix": "", "Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::target"}}
    ],
}
WEBSITE = {"IndexDocument": {"Suffix": "index.html"}}


def logging(target: str) -> dict[str, Any]:
    return {"LoggingEnabled": {"TargetBucket": target, "TargetPrefix": "log/"}}


VALID: list[tuple[str, dict[str, Any]]] = [
    ("PutBucketEncryption", {"ServerSideEncryptionConfiguration": ENCRYPTION}),
    (
        "PutBucketNotificationConfiguration",
        {"NotificationConfiguration": {"QueueConfigurations": [QUEUE]}},
    ),
    (
        "PutBucketNotificationConfiguration",
        {"NotificationConfiguration": {"EventBridgeConfiguration": {}}},
    ),
    ("PutBucketLogging", {"BucketLoggingStatus": logging("target")}),
    ("PutBucketLogging", {"BucketLoggingStatus": logging("bucket")}),
    ("PutBucketWebsite", {"WebsiteConfiguration": WEBSITE}),
    ("PutBucketReplication", {"ReplicationConfiguration": REPLICATION}),
    ("PutBucketRequestPayment", {"RequestPaymentConfiguration": {"Payer": "Requester"}}),
    ("PutBucketAccelerateConfiguration", {"AccelerateConfiguration": {"Status": "Enabled"}}),
    ("PutBucketAbac", {"AbacStatus": {"Status": "Enabled"}}),
]


async def prepared() -> Client:
    client = Client()
    for name in ("bucket", "target"):
        await client("CreateBucket", Bucket=name)
        enabled = {"Status": "Enabled"}
        await client("PutBucketVersioning", Bucket=name, VersioningConfiguration=enabled)
    return client


@pytest.mark.parametrize(("name", "arguments"), VALID)
async def test_what_would_do_nothing_is_refused(name: str, arguments: dict[str, Any]) -> None:
    client = await prepared()
    before = client.store.buckets[BucketName("bucket")]
    with pytest.raises(Failure) as failure:
        await client(name, Bucket="bucket", **arguments)
    assert (failure.value.status, failure.value.code) == (501, "NotImplemented")
    assert "implies functionality" not in failure.value.error["Message"]  # a sentence of its own
    with pytest.raises(Failure) as failure:
        await client(name, Bucket="missing", **arguments)
    assert failure.value.code == "NoSuchBucket"
    assert client.store.buckets[BucketName("bucket")] == before


OFF: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    (
        "PutBucketNotificationConfiguration",
        {"NotificationConfiguration": {}},
        "GetBucketNotificationConfiguration",
        {},
    ),
    (
        "PutBucketNotificationConfiguration",
        {"NotificationConfiguration": {}, "SkipDestinationValidation": True},
        "GetBucketNotificationConfiguration",
        {},
    ),
    ("PutBucketLogging", {"BucketLoggingStatus": {}}, "GetBucketLogging", {}),
    (
        "PutBucketRequestPayment",
        {"RequestPaymentConfiguration": {"Payer": "BucketOwner"}},
        "GetBucketRequestPayment",
        {"Payer": "BucketOwner"},
    ),
    (
        "PutBucketAccelerateConfiguration",
        {"AccelerateConfiguration": {"Status": "Suspended"}},
        "GetBucketAccelerateConfiguration",
        {"Status": "Suspended"},
    ),
    (
        "PutBucketAbac",
        {"AbacStatus": {"Status": "Disabled"}},
        "GetBucketAbac",
        {"AbacStatus": {"Status": "Disabled"}},
    ),
]


@pytest.mark.parametrize(("put", "arguments", "get", "expected"), OFF)
async def test_what_holds_anyway_is_taken(
    put: str, arguments: dict[str, Any], get: str, expected: dict[str, Any]
) -> None:
    client = await prepared()
    done = await client(put, Bucket="bucket", **arguments)
    assert done["Status"] == 200
    answer = await client(get, Bucket="bucket")
    assert {name: answer[name] for name in expected} == expected
    assert set(answer) - set(expected) <= {"ResponseMetadata", "Status", "Headers"}


@pytest.mark.parametrize(
    "name", ["DeleteBucketEncryption", "DeleteBucketWebsite", "DeleteBucketReplication"]
)
async def test_deleting_what_is_not_there_succeeds(name: str) -> None:
    client = await prepared()
    assert (await client(name, Bucket="bucket"))["Status"] == 204
    with pytest.raises(Failure) as failure:
        await client(name, Bucket="missing")
    assert failure.value.code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("name", "arguments", "code"),
    [
        (
            "PutBucketEncryption",
            {
                "ServerSideEncryptionConfiguration": {
                    "Rules": [
                        {
                            "ApplyServerSideEncryptionByDefault": {
                                "SSEAlgorithm": "AES256",
                                "KMSMasterKeyID": "k",
                            }
                        }
                    ]
                }
            },
            "InvalidArgument",
        ),
        (
            "PutBucketNotificationConfiguration",
            {"NotificationConfiguration": {"QueueConfigurations": [QUEUE | {"Events": ["s3:x"]}]}},
            "InvalidArgument",
        ),
        (
            "PutBucketLogging",
            {"BucketLoggingStatus": logging("missing")},
            "InvalidTargetBucketForLogging",
        ),
        (
            "PutBucketLogging",
            {"BucketLoggingStatus": logging("..")},
            "InvalidTargetBucketForLogging",
        ),
        (
            "PutBucketLogging",
            {"BucketLoggingStatus": logging("bobs")},
            "InvalidTargetBucketForLogging",
        ),
        (
            "PutBucketWebsite",
            {"WebsiteConfiguration": {"ErrorDocument": {"Key": "e"}}},
            "InvalidArgument",
        ),
        (
            "PutBucketReplication",
            {
                "ReplicationConfiguration": {
                    "Role": "arn:aws:iam::1:role/r",
                    "Rules": [
                        {
                            "Prefix": "",
                            "Status": "Enabled",
                            "Destination": {"Bucket": "arn:aws:s3:::missing"},
                        }
                    ],
                }
            },
            "InvalidRequest",
        ),
        (
            "PutBucketRequestPayment",
            {"RequestPaymentConfiguration": {"Payer": "Nobody"}},
            "MalformedXML",
        ),
        ("PutBucketAccelerateConfiguration", {"AccelerateConfiguration": {}}, "MalformedXML"),
        ("PutBucketAbac", {"AbacStatus": {}}, "MalformedXML"),
    ],
)
async def test_what_aws_refuses(name: str, arguments: dict[str, Any], code: str) -> None:
    client = await prepared()
    await client("CreateBucket", Bucket="bobs", Caller=BOB)
    with pytest.raises(Failure) as failure:
        await client(name, Bucket="bucket", **arguments)
    assert failure.value.code == code


async def test_replication_needs_versions_on_both_sides() -> None:
    """AWS: "Versioning must be 'Enabled' on the bucket to apply a replication configuration"."""
    client = await prepared()
    await client("CreateBucket", Bucket="plain")
    for bucket, message in (("plain", "Versioning must be 'Enabled'"), ("bucket", "Destination")):
        rule = REPLICATION["Rules"][0] | {"Destination": {"Bucket": "arn:aws:s3:::plain"}}  # type: ignore[operator]
        with pytest.raises(Failure) as failure:
            await client(
                "PutBucketReplication",
                Bucket=bucket,
                ReplicationConfiguration=REPLICATION | {"Rules": [rule]},
            )
        assert failure.value.code == "InvalidRequest"
        assert failure.value.error["Message"].startswith(message)


async def test_acceleration_of_a_name_with_periods() -> None:
    """AWS: the name "must not contain periods (".")"."""
    client = Client()
    await client("CreateBucket", Bucket="a.b.c")
    with pytest.raises(Failure) as failure:
        await client(
            "PutBucketAccelerateConfiguration",
            Bucket="a.b.c",
            AccelerateConfiguration={"Status": "Suspended"},
        )
    assert failure.value.code == "InvalidRequest"


async def test_metadata_tables() -> None:
    client = await prepared()
    for name in ("MetadataConfiguration", "MetadataTableConfiguration"):
        for verb in ("Get", "Delete"):
            with pytest.raises(Failure) as failure:
                await client(f"{verb}Bucket{name}", Bucket="bucket")
            assert failure.value.code == "MetadataConfigurationNotFound"


async def test_a_bucket_of_somebody_else() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket", Caller=ALICE)
    for name, arguments in VALID:
        with pytest.raises(Failure) as failure:
            await client(name, Bucket="bucket", **arguments, Caller=BOB)
        assert failure.value.code == "AccessDenied"

"""Settings of buckets on a real cluster: set, read, taken back; kept when servers and drives go.

Everything goes through boto3, each call to another server than the one before.
"""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e import faults
from tests.e2e.content import fresh_name
from tests.e2e.raw_http import Shot, send
from tests.e2e.running import Cluster, S3Client

PAGE = "https://page.example"
CORS = {
    "CORSRules": [
        {
            "ID": "pages",
            "AllowedMethods": ["GET", "PUT"],
            "AllowedOrigins": [PAGE],
            "AllowedHeaders": ["*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 60,
        }
    ]
}
LIFECYCLE = {
    "Rules": [
        {
            "ID": "old logs",
            "Filter": {"And": {"Prefix": "logs/", "Tags": [{"Key": "a", "Value": "b"}]}},
            "Status": "Enabled",
            "Expiration": {"Date": datetime(2099, 1, 1, tzinfo=UTC)},
        },
        {
            "ID": "uploads",
            "Filter": {"Prefix": ""},
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
        },
    ]
}
TAGS = {"TagSet": [{"Key": "team", "Value": "storage"}]}
# What is set, how it is read, and what AWS answers when it is not set.
STORED: list[tuple[str, dict[str, Any], str, dict[str, Any]]] = [
    ("put_bucket_cors", {"CORSConfiguration": CORS}, "get_bucket_cors", CORS),
    (
        "put_bucket_lifecycle_configuration",
        {"LifecycleConfiguration": LIFECYCLE},
        "get_bucket_lifecycle_configuration",
        LIFECYCLE,
    ),
    ("put_bucket_tagging", {"Tagging": TAGS}, "get_bucket_tagging", TAGS),
    (
        "put_bucket_versioning",
        {"VersioningConfiguration": {"Status": "Enabled"}},
        "get_bucket_versioning",
        {"Status": "Enabled"},
    ),
    (
        "put_bucket_accelerate_configuration",
        {"AccelerateConfiguration": {"Status": "Suspended"}},
        "get_bucket_accelerate_configuration",
        {"Status": "Suspended"},
    ),
    (
        "put_bucket_request_payment",
        {"RequestPaymentConfiguration": {"Payer": "BucketOwner"}},
        "get_bucket_request_payment",
        {"Payer": "BucketOwner"},
    ),
    (
        "put_bucket_notification_configuration",
        {"NotificationConfiguration": {}},
        "get_bucket_notification_configuration",
        {},
    ),
    ("put_bucket_logging", {"BucketLoggingStatus": {}}, "get_bucket_logging", {}),
    (
        "put_bucket_abac",
        {"AbacStatus": {"Status": "Disabled"}},
        "get_bucket_abac",
        {"AbacStatus": {"Status": "Disabled"}},
    ),
]
DELETED = {
    "delete_bucket_cors": ("get_bucket_cors", "NoSuchCORSConfiguration"),
    "delete_bucket_lifecycle": (
        "get_bucket_lifecycle_configuration",
        "NoSuchLifecycleConfiguration",
    ),
    "delete_bucket_tagging": ("get_bucket_tagging", "NoSuchTagSet"),
    "delete_bucket_encryption": (
        "get_bucket_encryption",
        "ServerSideEncryptionConfigurationNotFoundError",
    ),
    "delete_bucket_website": ("get_bucket_website", "NoSuchWebsiteConfiguration"),
    "delete_bucket_replication": (
        "get_bucket_replication",
        "ReplicationConfigurationNotFoundError",
    ),
}


class Turns:
    """Calls operations of one bucket, by each server in turn."""

    def __init__(self, cluster: Cluster, bucket: str) -> None:
        self.bucket = bucket
        self._clients: Iterator[S3Client] = itertools.cycle(
            [cluster.client(server) for server in cluster.servers]
        )

    def __call__(self, operation: str, **arguments: Any) -> dict[str, Any]:
        client = next(self._clients)
        answer: dict[str, Any] = getattr(client, operation)(Bucket=self.bucket, **arguments)
        return answer

    def refusal(self, operation: str, **arguments: Any) -> str:
        with pytest.raises(ClientError) as refused:
            self(operation, **arguments)
        return str(refused.value.response["Error"]["Code"])

    def check_all(self) -> None:
        """Read every setting as it was stored, from each server."""
        for _, _, get, expected in STORED:
            for _ in range(2):
                answer = self(get)
                assert {name: answer.get(name) for name in expected} == expected
            self("head_bucket")  # so that the next setting begins with the other server


@pytest.fixture
def turns(cluster: Cluster, bucket: str) -> Turns:
    return Turns(cluster, bucket)


def set_all(turns: Turns) -> None:
    for put, arguments, _, _ in STORED:
        turns(put, **arguments)


def test_set_get_delete(turns: Turns) -> None:
    for get, code in DELETED.values():
        assert turns.refusal(get) == code
    set_all(turns)
    turns.check_all()
    for delete, (get, code) in DELETED.items():
        for _ in range(2):
            assert turns(delete)["ResponseMetadata"]["HTTPStatusCode"] == 204
        assert turns.refusal(get) == code


def test_what_would_do_nothing_is_refused(turns: Turns) -> None:
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    website = {"IndexDocument": {"Suffix": "index.html"}}
    for operation, arguments in (
        ("put_bucket_encryption", {"ServerSideEncryptionConfiguration": {"Rules": [default]}}),
        ("put_bucket_website", {"WebsiteConfiguration": website}),
        ("put_bucket_request_payment", {"RequestPaymentConfiguration": {"Payer": "Requester"}}),
        (
            "put_bucket_logging",
            {
                "BucketLoggingStatus": {
                    "LoggingEnabled": {"TargetBucket": turns.bucket, "TargetPrefix": ""}
                }
            },
        ),
    ):
        assert turns.refusal(operation, **arguments) == "NotImplemented"


def test_configurations_with_ids(turns: Turns) -> None:
    for family in ("analytics", "intelligent_tiering", "inventory", "metrics"):
        assert turns(f"list_bucket_{family}_configurations")["IsTruncated"] is False
        for verb in ("get", "delete"):
            name = f"{verb}_bucket_{family}_configuration"
            assert turns.refusal(name, Id="one") == "NoSuchConfiguration"


def test_answers_say_when_an_object_expires(turns: Turns) -> None:
    turns("put_bucket_lifecycle_configuration", LifecycleConfiguration=LIFECYCLE)
    turns("put_bucket_versioning", VersioningConfiguration={"Status": "Enabled"})
    expected = 'expiry-date="Thu, 01 Jan 2099 00:00:00 GMT", rule-id="old%20logs"'
    first = turns("put_object", Key="logs/a", Body=b"1", Tagging="a=b")
    assert first["Expiration"] == expected
    current = turns("put_object", Key="logs/a", Body=b"2", Tagging="a=b")["VersionId"]
    assert turns("head_object", Key="logs/a")["Expiration"] == expected
    assert turns("head_object", Key="logs/a", VersionId=current)["Expiration"] == expected
    # Only current versions expire.
    assert "Expiration" not in turns("get_object", Key="logs/a", VersionId=first["VersionId"])
    assert "Expiration" not in turns("put_object", Key="logs/b", Body=b"")
    upload = turns("create_multipart_upload", Key="any")
    assert upload["AbortRuleId"] == "uploads"
    listed = turns("list_parts", Key="any", UploadId=upload["UploadId"])
    assert listed["AbortDate"] == upload["AbortDate"]


def test_a_browser_is_told_what_the_rules_say(cluster: Cluster, turns: Turns) -> None:
    turns("put_bucket_cors", CORSConfiguration=CORS)
    for server in cluster.servers:
        host = "{}:{}".format(*cluster.address(server))
        for method, status in (("PUT", 200), ("DELETE", 403)):
            shot = Shot(
                "OPTIONS",
                f"/{turns.bucket}/key",
                headers=(
                    ("Host", host),
                    ("Origin", PAGE),
                    ("Access-Control-Request-Method", method),
                    ("Access-Control-Request-Headers", "authorization"),
                ),
            )
            answer = send(cluster.address(server), shot)
            assert answer.status == status
            allowed = PAGE if status == 200 else None
            assert answer.headers.get("access-control-allow-origin") == allowed
        shot = Shot("GET", f"/{turns.bucket}/key", headers=(("Host", host), ("Origin", PAGE)))
        answer = send(cluster.address(server), shot)
        assert (answer.status, answer.code) == (403, "AccessDenied")
        assert answer.headers["access-control-allow-origin"] == PAGE


def test_buckets_that_are_born_with_settings(cluster: Cluster) -> None:
    turns = Turns(cluster, fresh_name("born"))
    configuration = {"Tags": TAGS["TagSet"]}
    turns(
        "create_bucket",
        CreateBucketConfiguration=configuration,
        ObjectLockEnabledForBucket=True,
    )
    for _ in range(2):
        assert turns("get_bucket_tagging")["TagSet"] == TAGS["TagSet"]
        assert turns("get_bucket_versioning")["Status"] == "Enabled"
        lock = turns("get_object_lock_configuration")["ObjectLockConfiguration"]
        assert lock == {"ObjectLockEnabled": "Enabled"}
        turns("head_bucket")


def test_settings_outlive_a_lost_drive_and_a_restart(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(buckets=("kept",))
    faults.move_away(cluster.drives[1])
    cluster.wait_missing(1)
    set_all(Turns(cluster, "kept"))
    Turns(cluster, "kept").check_all()
    cluster.stop()
    cluster.start()
    Turns(cluster, "kept").check_all()
    faults.move_back(cluster.drives[1])
    cluster.wait_healthy()
    # The drive that was away has them too: it counts when another one is away.
    faults.move_away(cluster.drives[2])
    cluster.wait_missing(2)
    Turns(cluster, "kept").check_all()
    Turns(cluster, "kept")("delete_bucket_cors")
    faults.move_back(cluster.drives[2])
    cluster.wait_healthy()
    cluster.stop()
    cluster.start()
    assert Turns(cluster, "kept").refusal("get_bucket_cors") == "NoSuchCORSConfiguration"

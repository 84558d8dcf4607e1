"""Lifecycle rules, set with boto3 and carried out by real servers, with days of two seconds."""

import re
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.content import fresh_name
from tests.e2e.running import Cluster, S3Client

pytestmark = pytest.mark.xdist_group("lifecycle")  # one cluster for all

DAY_S = 2
SETTINGS = {"OBJSTORE_LIFECYCLE_DAY_SECONDS": str(DAY_S), "OBJSTORE_METRICS_PUBLIC": "true"}
SOON_S = 30.0  # generous: a pass begins every second


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.running(tmp_path_factory.mktemp("lifecycle"), environment=SETTINGS) as cluster:
        yield cluster


@pytest.fixture
def s3(shared: Cluster) -> S3Client:
    return shared.client(0)


@pytest.fixture
def bucket(s3: S3Client) -> str:
    name = fresh_name("lifecycle")
    s3.create_bucket(Bucket=name)
    return name


def configure(s3: S3Client, bucket: str, *rules: dict[str, Any]) -> None:
    whole = [
        {"ID": f"rule{number}", "Status": "Enabled", "Filter": {"Prefix": ""}} | rule
        for number, rule in enumerate(rules)
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": whole})


def keys(s3: S3Client, bucket: str) -> list[str]:
    return [one["Key"] for one in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]


def versions(s3: S3Client, bucket: str) -> int:
    listing = s3.list_object_versions(Bucket=bucket)
    return len(listing.get("Versions", [])) + len(listing.get("DeleteMarkers", []))


def actions(cluster: Cluster, action: str, result: str) -> float:
    """Return what every server together counted."""
    total = 0.0
    for server in cluster.servers:
        with urllib.request.urlopen(f"{cluster.url(server)}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        labels = f'{{action="{action}",result="{result}"}}'
        line = rf"^objstore_lifecycle_actions_total{labels} ([0-9.e+]+)$"
        total += sum(map(float, re.findall(line, text, re.MULTILINE)))
    return total


def test_objects_expire(shared: Cluster, s3: S3Client, bucket: str) -> None:
    before = actions(shared, "expire", "done")
    for key in ("logs/a", "logs/large", "logs/tagged", "keep"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x" * (300_000 if "large" in key else 10))
    s3.put_object_tagging(
        Bucket=bucket, Key="logs/tagged", Tagging={"TagSet": [{"Key": "a", "Value": "1"}]}
    )
    configure(
        s3,
        bucket,
        {"Expiration": {"Days": 1}, "Filter": {"And": {
            "Prefix": "logs/", "ObjectSizeLessThan": 1000, "Tags": [{"Key": "a", "Value": "1"}],
        }}},
    )  # fmt: skip
    shared.wait_until(lambda: "logs/tagged" not in keys(s3, bucket), SOON_S)
    assert keys(s3, bucket) == ["keep", "logs/a", "logs/large"]
    configure(s3, bucket, {"Expiration": {"Days": 1}, "Filter": {"Prefix": "logs/"}})
    shared.wait_until(lambda: keys(s3, bucket) == ["keep"], SOON_S)
    with pytest.raises(ClientError, match="NoSuchKey"):
        s3.get_object(Bucket=bucket, Key="logs/a")
    assert actions(shared, "expire", "done") - before == 3
    assert actions(shared, "expire", "failed") == 0


def test_a_versioned_object_goes_step_by_step(shared: Cluster, s3: S3Client, bucket: str) -> None:
    """Hidden by a marker, then gone, then the marker too."""
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration=enabled)
    for body in (b"1", b"2", b"3"):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
    configure(s3, bucket, {"Expiration": {"Days": 1}})
    shared.wait_until(lambda: keys(s3, bucket) == [], SOON_S)
    assert versions(s3, bucket) == 4
    configure(
        s3,
        bucket,
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 1, "NewerNoncurrentVersions": 1}},
    )
    shared.wait_until(lambda: versions(s3, bucket) == 2, SOON_S)
    (left,) = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert s3.get_object(Bucket=bucket, Key="k", VersionId=left["VersionId"])["Body"].read() == b"3"
    configure(
        s3,
        bucket,
        {
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
    )
    shared.wait_until(lambda: versions(s3, bucket) == 0, SOON_S)
    s3.delete_bucket(Bucket=bucket)


def test_locked_versions_stay(shared: Cluster, s3: S3Client) -> None:
    bucket = fresh_name("locked")
    s3.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
    held = s3.put_object(Bucket=bucket, Key="k", Body=b"1", ObjectLockLegalHoldStatus="ON")
    for body in (b"2", b"3"):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
    locked = actions(shared, "delete_noncurrent", "locked")
    configure(s3, bucket, {"NoncurrentVersionExpiration": {"NoncurrentDays": 1}})
    shared.wait_until(lambda: versions(s3, bucket) == 2, SOON_S)
    shared.wait_until(lambda: actions(shared, "delete_noncurrent", "locked") > locked, SOON_S)
    version = {"Bucket": bucket, "Key": "k", "VersionId": held["VersionId"]}
    assert s3.get_object(**version)["Body"].read() == b"1"
    s3.put_object_legal_hold(**version, LegalHold={"Status": "OFF"})
    shared.wait_until(lambda: versions(s3, bucket) == 1, SOON_S)


def test_uploads_left_incomplete_are_aborted(shared: Cluster, s3: S3Client, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x" * 200_000)
    configure(s3, bucket, {"AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 1}})
    shared.wait_until(lambda: not s3.list_multipart_uploads(Bucket=bucket).get("Uploads"), SOON_S)
    with pytest.raises(ClientError, match="NoSuchUpload"):
        s3.list_parts(Bucket=bucket, Key="k", UploadId=upload)


def test_the_switch_is_said_at_the_start(shared: Cluster) -> None:
    said = "".join(
        (shared.root / f"server{server + 1}" / "server.log").read_text()
        for server in shared.servers
    )
    assert said.count("a switch for tests is on") == len(shared.servers)


def test_another_server_takes_over(own_cluster: Callable[..., Cluster]) -> None:
    """The server that walked the set is killed; rules act all the same."""
    cluster = own_cluster(servers=4, environment=SETTINGS, buckets=("taken-over",))
    s3 = cluster.client(1)
    configure(s3, "taken-over", {"Expiration": {"Days": 1}})
    s3.put_object(Bucket="taken-over", Key="before", Body=b"x")
    cluster.wait_until(lambda: keys(s3, "taken-over") == [], SOON_S)
    cluster.kill(0)
    cluster.wait_until(lambda: cluster.state(0, server=1) != "online")
    s3.put_object(Bucket="taken-over", Key="after", Body=b"x")
    cluster.wait_until(lambda: keys(s3, "taken-over") == [], SOON_S)

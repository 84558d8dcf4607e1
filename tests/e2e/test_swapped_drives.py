"""Drives in each other's place, and old clones of drives, under a running cluster.

EC:2 on four drives of two servers: any two may go for reads, any one for writes.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e import faults
from tests.e2e.running import Cluster, S3Client

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("disks")]

BUCKET = "swapped"
SIZES = (10, 300_000)


def fill(client: S3Client, prefix: str, mark: bytes) -> dict[str, bytes]:
    """Write some objects, small and large; return what they hold."""
    written = {f"{prefix}{number}": mark * SIZES[number % len(SIZES)] for number in range(6)}
    for key, body in written.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=body)
    return written


def check(cluster: Cluster, holds: dict[str, bytes], gone: list[str]) -> None:
    """Every server gives what is there, and nothing of what is gone."""
    for server in cluster.servers:
        client = cluster.client(server)
        for key, body in holds.items():
            assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == body
        for key in gone:
            with pytest.raises(ClientError, match="NoSuchKey"):
                client.get_object(Bucket=BUCKET, Key=key)
        listed = client.list_objects_v2(Bucket=BUCKET).get("Contents", [])
        assert [one["Key"] for one in listed] == sorted(holds)


def exchange(one: Path, other: Path) -> None:
    faults.move_away(one)
    other.rename(one)
    one.with_name(f"{one.name}.away").rename(other)


def shards_below(drive: Path) -> set[Path]:
    return {path for path in (drive / "shards").rglob("*") if path.is_file()}


def test_drives_in_the_wrong_place_and_old_clones(own_cluster: Callable[..., Cluster]) -> None:
    """F15, F16, F39."""
    cluster = own_cluster(parity=2, buckets=(BUCKET,))
    client = cluster.client(1)
    first, second = cluster.drives[:2]
    clone = first.with_name("clone")
    holds = fill(client, "kept", b"k") | fill(client, "overwritten", b"o")
    gone = list(fill(client, "deleted", b"d"))
    shutil.copytree(first, clone)
    holds |= fill(client, "overwritten", b"n") | fill(client, "new", b"n")
    for key in gone:
        client.delete_object(Bucket=BUCKET, Key=key)
    check(cluster, holds, gone)

    # Two drives of one server in each other's place: refused, whatever is in them.
    exchange(first, second)
    cluster.wait_missing(0)
    cluster.wait_missing(1)
    check(cluster, holds, gone)
    files = shards_below(first) | shards_below(second)
    with pytest.raises(ClientError) as caught:
        client.put_object(Bucket=BUCKET, Key="refused", Body=bytes(300_000))
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert shards_below(first) | shards_below(second) <= files
    exchange(first, second)
    cluster.wait_healthy()
    check(cluster, holds, gone)

    # An old clone of a drive in another's place: a second path with the same identity.
    faults.move_away(second)
    shutil.copytree(clone, second)
    cluster.wait_missing(1)
    holds |= fill(client, "degraded", b"g")
    check(cluster, holds, gone)
    shutil.rmtree(second)
    faults.move_back(second)
    cluster.wait_healthy()

    # And in its own place: its old versions never win, before it is brought up to date and after.
    exchange(first, clone)
    cluster.wait_until(lambda: cluster.state(0) == "online")
    check(cluster, holds, gone)
    cluster.wait_healthy()
    check(cluster, holds, gone)
    faults.move_away(cluster.drives[2])
    cluster.wait_missing(2)
    check(cluster, holds, gone)

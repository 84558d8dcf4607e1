"""REDUCED_REDUNDANCY on real drives: what it costs, and what it survives."""

from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e import faults
from tests.e2e.content import Content
from tests.e2e.running import Cluster

BUCKET = "classes"
MIB = 1024 * 1024
CONTENT = Content(31, 12 * MIB)


def stored_bytes(drives: list[Path]) -> int:
    """Count what lies in shard files."""
    shards = [file for drive in drives for file in drive.glob("shards/**/*") if file.is_file()]
    return sum(file.stat().st_size for file in shards)


def test_less_parity_for_less_room(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(parity=2, buckets=(BUCKET,))
    client = cluster.client()
    ratios = {}
    for name in ("STANDARD", "REDUCED_REDUNDANCY"):
        before = stored_bytes(cluster.drives)
        client.put_object(Bucket=BUCKET, Key=name, Body=CONTENT.bytes(), StorageClass=name)
        # The answer comes with the quorum; the last shard a moment later.
        cluster.wait_until(lambda key=name: located(cluster, key) == ["ok"] * 4)  # type: ignore[misc]
        ratios[name] = (stored_bytes(cluster.drives) - before) / CONTENT.size
    assert ratios["STANDARD"] == pytest.approx(2.0, abs=0.05)
    assert ratios["REDUCED_REDUNDANCY"] == pytest.approx(4 / 3, abs=0.05)
    assert client.head_object(Bucket=BUCKET, Key="REDUCED_REDUNDANCY")["StorageClass"] == (
        "REDUCED_REDUNDANCY"
    )
    listing = cluster.client(1).list_objects_v2(Bucket=BUCKET)["Contents"]
    assert {item["Key"]: item["StorageClass"] for item in listing} == {
        "STANDARD": "STANDARD",
        "REDUCED_REDUNDANCY": "REDUCED_REDUNDANCY",
    }

    def read(key: str) -> bytes:
        return bytes(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())

    faults.move_away(cluster.drives[1])
    cluster.wait_missing(1)
    assert read("REDUCED_REDUNDANCY") == CONTENT.bytes()
    faults.move_away(cluster.drives[2])
    cluster.wait_missing(2)
    assert read("STANDARD") == CONTENT.bytes()
    with pytest.raises(ClientError) as refused:
        read("REDUCED_REDUNDANCY")
    assert refused.value.response["Error"]["Code"] == "SlowDownRead"
    for drive in (1, 2):
        faults.move_back(cluster.drives[drive])
    cluster.wait_healthy()
    assert read("REDUCED_REDUNDANCY") == CONTENT.bytes()


def located(cluster: Cluster, key: str) -> list[str]:
    """Return the state of each shard."""
    return [str(shard["state"]) for shard in cluster.locate(BUCKET, key)["shards"]]

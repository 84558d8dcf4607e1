"""`objstore admin`: the tables a person reads, and the JSON a program reads."""

import json
import re

from tests.e2e.content import Content
from tests.e2e.credentials import ACCESS_KEY
from tests.e2e.running import Cluster


def test_info_shows_every_server_and_drive(cluster: Cluster) -> None:
    info = cluster.info()
    assert len(info["servers"]) == 2
    assert {server["state"] for server in info["servers"]} == {"online"}
    assert {drive["state"] for drive in info["drives"]} == {"online"}
    paths = {str(drive) for drive in cluster.drives}
    assert {drive["path"] for drive in info["drives"]} == paths
    (found,) = info["sets"]
    assert (found["scheme"], found["slots"], found["write_quorum"]) == ("3 + 1", 4, 3)
    assert found["can_read"]
    assert found["can_write"]
    text = cluster.admin("info")
    for drive in cluster.drives:
        assert drive.name in text
    assert "online" in text


def test_both_servers_say_the_same(cluster: Cluster) -> None:
    one, two = (json.loads(cluster.admin("info", "--json", server=n)) for n in (0, 1))
    assert one["deployment"] == two["deployment"]
    assert [drive["path"] for drive in one["drives"]] == [drive["path"] for drive in two["drives"]]


def test_locate_shows_which_shard_lies_where(cluster: Cluster, bucket: str) -> None:
    client = cluster.client(0)
    client.put_object(Bucket=bucket, Key="dir/ü+% x", Body=Content(1, 2_000_000).bytes())
    client.close()
    found = cluster.locate(bucket, "dir/ü+% x")
    assert (found["scheme"], found["size"]) == ("3 + 1", 2_000_000)
    assert sorted(shard["letter"] for shard in found["shards"]) == ["A", "B", "C", "P"]
    assert {shard["state"] for shard in found["shards"]} == {"ok"}
    assert {shard["drive"] for shard in found["shards"]} == {str(path) for path in cluster.drives}
    text = cluster.admin("locate", f"{bucket}/dir/ü+% x")
    for letter in "ABCP":
        assert re.search(rf"\b{letter}\b", text)


def test_locate_says_what_is_not_there(cluster: Cluster, bucket: str) -> None:
    assert "NoSuchKey" in cluster.admin("locate", f"{bucket}/absent", fails=True)
    assert "NoSuchBucket" in cluster.admin("locate", "absent-bucket/key", fails=True)


def test_usage_is_exact_at_every_moment(cluster: Cluster, bucket: str) -> None:
    def held(server: int) -> tuple[int, ...]:
        document = json.loads(cluster.admin("usage", "--json", server=server))
        (found,) = (one for one in document["buckets"] if one["name"] == bucket)
        names = ("objects", "object_bytes", "versions", "version_bytes")
        return tuple(found[name] for name in names)

    client = cluster.client(0)
    assert held(1) == (0, 0, 0, 0)
    client.put_object(Bucket=bucket, Key="a", Body=bytes(1000))
    assert held(1) == (1, 1000, 1, 1000)
    client.put_object(Bucket=bucket, Key="a", Body=bytes(300_000))
    assert held(0) == (1, 300_000, 1, 300_000)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = client.put_object(Bucket=bucket, Key="a", Body=b"x")["VersionId"]
    assert held(1) == (1, 1, 2, 300_001)
    client.delete_object(Bucket=bucket, Key="a")
    assert held(0) == (0, 0, 3, 300_001)
    client.delete_object(Bucket=bucket, Key="a", VersionId=version)
    assert held(1) == (0, 0, 2, 300_000)
    client.close()
    assert bucket in cluster.admin("usage")


def test_parity_is_spread_over_the_drives(cluster: Cluster, bucket: str) -> None:
    client = cluster.client(0)
    parity = set()
    for number in range(24):
        client.put_object(Bucket=bucket, Key=str(number), Body=b"x")
        shards = cluster.locate(bucket, str(number))["shards"]
        parity |= {shard["drive"] for shard in shards if shard["letter"] == "P"}
    client.close()
    assert len(parity) == 4


def test_a_wrong_secret_is_told_so(cluster: Cluster) -> None:
    keys = ("--access-key", ACCESS_KEY, "--secret-key", "wrong")
    said = cluster.admin("info", *keys, fails=True)
    assert "SignatureDoesNotMatch" in said


def test_compare_says_that_drives_agree(cluster: Cluster) -> None:
    document = json.loads(cluster.admin("compare", "--follow", "--json"))
    assert not document["comparing"]
    for drive in document["drives"]:
        last = drive["comparison"]
        assert last["failed"] == last["mended"] == 0
        assert last["finished_ms"]
    assert "ago" in cluster.admin("compare", "--follow")


def test_heal_on_a_healthy_cluster_ends(cluster: Cluster) -> None:
    document = json.loads(cluster.admin("heal", "--follow", "--json"))
    assert not document["healing"]

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


def test_heal_on_a_healthy_cluster_ends(cluster: Cluster) -> None:
    document = json.loads(cluster.admin("heal", "--follow", "--json"))
    assert not document["healing"]

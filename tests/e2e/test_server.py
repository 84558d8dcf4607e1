"""`objstore server`: every layout of config/ runs; a drive that is not the right one is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.content import Content
from tests.e2e.running import Cluster

LAYOUTS = sorted((Path(__file__).parents[2] / "config").glob("*.toml"))
BUCKET = "layout"
SIZES = (0, 100, 70_000, 3_000_000)
WORDS = ("found:", "expected:", "what to do:")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda path: path.stem)
def test_every_layout_in_config_runs(own_cluster: Callable[..., Cluster], layout: Path) -> None:
    cluster = own_cluster(config=layout, buckets=(BUCKET,))
    for server in cluster.servers:
        client = cluster.client(server)
        for size in SIZES:
            body = Content(size, size).bytes()
            client.put_object(Bucket=BUCKET, Key=f"{server}/{size}", Body=body)
    for server in cluster.servers:
        client = cluster.client(server)
        for writer in cluster.servers:
            for size in SIZES:
                answer = client.get_object(Bucket=BUCKET, Key=f"{writer}/{size}")
                assert answer["Body"].read() == Content(size, size).bytes()


POOLS = """
[[pools]]
endpoints = ["http://server{1...2}:9000/mnt/drive{1...2}"]
parity = "EC:1"

[[pools]]
endpoints = ["http://server{1...2}:9000/mnt/more{1...2}"]
parity = "EC:2"
"""


def test_several_pools_share_the_objects(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """Each object lives wholly in one set; listings and reads know no pools."""
    config = tmp_path / "pools.toml"
    config.write_text(POOLS, "utf-8")
    cluster = own_cluster(config=config, buckets=(BUCKET,))
    client = cluster.client()
    keys = [f"key{number:02}" for number in range(24)]
    for key in keys:
        client.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
    other = cluster.client(1)
    assert [item["Key"] for item in other.list_objects_v2(Bucket=BUCKET)["Contents"]] == keys
    places = {(found["pool"], found["scheme"]) for found in located(cluster, keys)}
    assert {scheme for _, scheme in places} == {"3 + 1", "2 + 2"}
    assert len({pool for pool, _ in places}) == 2
    for key in keys:
        assert other.get_object(Bucket=BUCKET, Key=key)["Body"].read() == key.encode()


def located(cluster: Cluster, keys: list[str]) -> list[dict[str, object]]:
    return [cluster.locate(BUCKET, key) for key in keys[:12]]


def test_a_cluster_goes_on_after_a_restart(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(buckets=(BUCKET,))
    for size in SIZES:
        cluster.client().put_object(Bucket=BUCKET, Key=str(size), Body=Content(1, size).bytes())
    deployment = cluster.info()["deployment"]
    cluster.stop()
    cluster.start()
    assert cluster.info()["deployment"] == deployment
    assert cluster.is_healthy()
    for size in SIZES:
        body = cluster.client(1).get_object(Bucket=BUCKET, Key=str(size))["Body"]
        assert body.read() == Content(1, size).bytes()


def swap(cluster: Cluster) -> None:
    one, two = cluster.drives[0], cluster.drives[1]
    aside = one.with_name("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def duplicate(cluster: Cluster) -> None:
    shutil.rmtree(cluster.drives[1])
    shutil.copytree(cluster.drives[0], cluster.drives[1])


def exchange_servers(cluster: Cluster) -> None:
    one, two = cluster.drives[0], cluster.drives[2]
    aside = one.with_name("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def tear_identity(cluster: Cluster) -> None:
    (cluster.drives[0] / "drive.json").write_bytes(b'{"deploy')


def lose_identity(cluster: Cluster) -> None:
    (cluster.drives[0] / "drive.json").unlink()


def change_deployment(cluster: Cluster) -> None:
    """Bit rot, or a hand that edits: the identity is of another deployment."""
    path = cluster.drives[0] / "drive.json"
    document = json.loads(path.read_text("utf-8"))
    document["deployment"] = "0" * 32
    path.write_text(json.dumps(document), "utf-8")


def put_files_there(cluster: Cluster) -> None:
    shutil.rmtree(cluster.drives[0])
    cluster.drives[0].mkdir()
    (cluster.drives[0] / "holiday.jpg").write_bytes(b"not ours")


@pytest.mark.parametrize(
    "harm",
    [
        swap,
        duplicate,
        exchange_servers,
        tear_identity,
        lose_identity,
        change_deployment,
        put_files_there,
    ],
)
def test_a_drive_that_is_not_the_one_expected_is_refused(
    own_cluster: Callable[..., Cluster], harm: Callable[[Cluster], None]
) -> None:
    """What was found, what was expected and what to do; nothing on the drive is changed."""
    cluster = own_cluster(buckets=(BUCKET,))
    cluster.client().put_object(Bucket=BUCKET, Key="key", Body=b"x")
    cluster.stop()
    harm(cluster)
    before = contents(cluster.drives[0])
    cluster.start_server(0)
    said = cluster.wait_refused(0)
    for word in WORDS:
        assert word in said
    assert str(cluster.drives[0]) in said or str(cluster.drives[1]) in said
    assert contents(cluster.drives[0]) == before


def contents(drive: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(drive)): path.read_bytes()
        for path in sorted(drive.rglob("*"))
        if path.is_file() and not path.name.endswith(("-wal", "-shm"))
    }


def test_a_drive_of_another_cluster_is_refused(own_cluster: Callable[..., Cluster]) -> None:
    mine, other = own_cluster(buckets=(BUCKET,)), own_cluster(buckets=(BUCKET,))
    mine.stop()
    other.stop()
    shutil.rmtree(mine.drives[0])
    shutil.copytree(other.drives[0], mine.drives[0])
    mine.start_server(0)
    said = mine.wait_refused(0)
    for word in WORDS:
        assert word in said
    assert str(mine.drives[0]) in said

"""`objstore server`: every layout of config/ runs; a drive that is not the right one is refused."""

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e import faults
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


@pytest.mark.root
@pytest.mark.xdist_group("disks")
def test_new_objects_go_where_there_is_room_and_old_ones_stay(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    """Two pools: who reads, lists, overwrites or deletes knows nothing of them."""
    if not faults.loop_devices_work(tmp_path):
        pytest.skip("this machine mounts no file systems")
    config = tmp_path / "pools.toml"
    config.write_text(POOLS, "utf-8")
    old, new = [f"old{n}" for n in range(8)], [f"new{n}" for n in range(8)]
    with faults.small_file_systems() as make:

        def prepare(cluster: Cluster) -> None:
            for drive in cluster.drives:
                make(drive, size_mib=64 if drive.name.startswith("drive") else 32, kind="tmpfs")

        cluster = own_cluster(config=config, prepare=prepare, buckets=(BUCKET,))
        put_all(cluster, old, b"1")
        for drive in cluster.drives:
            if drive.name.startswith("drive"):
                (drive / "filler").write_bytes(bytes(48 * 1024 * 1024))
        time.sleep(2)  # what room there is, is asked once a second
        put_all(cluster, [*old[:4], *new], b"2")
        for keys, pool, scheme in ((old, 0, "3 + 1"), (new, 1, "2 + 2")):
            for found in [cluster.locate(BUCKET, key) for key in keys[:4]]:
                assert (found["pool"], found["scheme"]) == (pool, scheme)
        check_all(cluster, old, new)
        cluster.close()


def test_a_cluster_grows_by_a_pool(tmp_path: Path) -> None:
    """docs/operating/growth.md: stop, add drives and their pool, start; nothing is moved."""
    one, both = tmp_path / "one.toml", tmp_path / "both.toml"
    one.write_text(POOLS[: POOLS.rindex("[[pools]]")], "utf-8")
    both.write_text(POOLS, "utf-8")
    old = [f"old{n}" for n in range(8)]
    with Cluster.running(tmp_path / "cluster", config=one, buckets=(BUCKET,)) as cluster:
        put_all(cluster, old, b"1")
        deployment = cluster.info()["deployment"]
    cluster = Cluster(tmp_path / "cluster", config=both)
    for drive in cluster.drives:
        drive.mkdir(parents=True, exist_ok=True)
    try:
        cluster.start()
        cluster.wait_healthy()
        assert cluster.info()["deployment"] == deployment
        put_all(cluster, old[:4], b"2")
        cluster.client().create_bucket(Bucket="another")
        check_all(cluster, old, [])
    finally:
        cluster.close()


def test_a_pool_that_is_left_out_of_the_configuration_is_missed(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> None:
    config = tmp_path / "pools.toml"
    config.write_text(POOLS, "utf-8")
    cluster = own_cluster(config=config)
    cluster.stop()
    layout = cluster.root / "layout.toml"
    text = layout.read_text("utf-8")
    first, second = (place.start() for place in re.finditer(r"\[\[pools]]", text))
    end = text.find("\n[", second + 1)
    layout.write_text(text[:second] + (text[end:] if end > 0 else ""), "utf-8")
    assert first < second
    cluster.start_server(0)
    said = cluster.wait_refused(0)
    for word in (*WORDS, "/more1", "put the pool back"):
        assert word in said


def check_all(cluster: Cluster, old: list[str], new: list[str]) -> None:
    other = cluster.client(1)
    listed = [item["Key"] for item in other.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert listed == new + old
    for key in new + old:
        body = other.get_object(Bucket=BUCKET, Key=key)["Body"].read()
        assert body == (b"1" if key in old[4:] else b"2")
        other.delete_object(Bucket=BUCKET, Key=key)
    assert "Contents" not in cluster.client(0).list_objects_v2(Bucket=BUCKET)


def put_all(cluster: Cluster, keys: list[str], body: bytes) -> None:
    for key in keys:
        cluster.client().put_object(Bucket=BUCKET, Key=key, Body=body)


def test_a_cluster_goes_on_after_a_restart(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(buckets=(BUCKET,))
    for size in SIZES:
        cluster.client().put_object(Bucket=BUCKET, Key=str(size), Body=Content(1, size).bytes())
    deployment = cluster.info()["deployment"]
    cluster.stop()
    cluster.start()
    assert cluster.info()["deployment"] == deployment
    cluster.wait_healthy()
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


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster that was used and stopped."""
    with Cluster.running(tmp_path_factory.mktemp("used"), buckets=(BUCKET,)) as cluster:
        cluster.client().put_object(Bucket=BUCKET, Key="key", Body=b"x")
        cluster.stop()
        yield cluster


@pytest.fixture
def stopped(used: Cluster, tmp_path: Path) -> Iterator[Cluster]:
    """Return it for one test, which may do anything to its drives, and with an empty log."""
    for number, drive in enumerate(used.drives):
        shutil.copytree(drive, tmp_path / str(number))
    (used.root / "server1" / "server.log").unlink()
    yield used
    used.stop()
    for number, drive in enumerate(used.drives):
        shutil.rmtree(drive)
        shutil.copytree(tmp_path / str(number), drive)


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
    stopped: Cluster, harm: Callable[[Cluster], None]
) -> None:
    """What was found, what was expected and what to do; nothing on the drive is changed."""
    cluster = stopped
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


def test_stale_reads_go_on_down_to_the_last_of_four_servers(
    own_cluster: Callable[..., Cluster],
) -> None:
    """It is another answer than 503 only where it is asked for, and for reads alone."""
    layout = next(path for path in LAYOUTS if path.stem == "quad-full-copy")
    cluster = own_cluster(
        config=layout, buckets=(BUCKET,), environment={"OBJSTORE_STALE_READS": "on"}
    )
    survivor = cluster.client(3)
    for size in SIZES:
        survivor.put_object(Bucket=BUCKET, Key=str(size), Body=Content(1, size).bytes())
    cluster.wait_healthy()
    for server in (0, 1, 2):
        cluster.kill(server)
    cluster.wait_until(lambda: survivor.list_objects_v2(Bucket=BUCKET)["KeyCount"] == len(SIZES))
    for size in SIZES:
        answer = survivor.get_object(Bucket=BUCKET, Key=str(size))
        assert answer["Body"].read() == Content(1, size).bytes()
    with pytest.raises(ClientError, match="SlowDown"):
        survivor.put_object(Bucket=BUCKET, Key="new", Body=b"")
    with pytest.raises(ClientError, match="SlowDown"):
        survivor.delete_object(Bucket=BUCKET, Key="0")
    with pytest.raises(ClientError, match="SlowDown"):
        survivor.get_object(Bucket=BUCKET, Key="never written")

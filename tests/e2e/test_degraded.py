"""Drives that go away under load: no client notices while quorum holds, and a typed 503 beyond.

EC:1 on four drives is 3 + 1: any one drive may go. Clients retry nothing here: every error of
every request counts.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from tests.e2e import faults
from tests.e2e.content import Content
from tests.e2e.faults import SmallFileSystem, within
from tests.e2e.load import Load
from tests.e2e.running import Cluster, S3Client

pytestmark = pytest.mark.xdist_group("disks")

ONE_OF_EACH_SERVER = (0, 3)
DRIVES = (0, *(pytest.param(drive, marks=pytest.mark.long) for drive in (1, 2)), 3)
REFUSED_S = 2.0
BUCKET = "load"


@pytest.fixture(scope="module")
def cluster_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.running(tmp_path_factory.mktemp("degraded"), buckets=(BUCKET,)) as cluster:
        yield cluster


@pytest.fixture
def shared(cluster_of_module: Cluster) -> Iterator[Cluster]:
    """Return a cluster whose drives tests move away and back; each begins with an empty bucket."""
    yield cluster_of_module
    client = cluster_of_module.client(0)
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for item in page.get("Contents", []):
            client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.close()


@pytest.fixture
def file_systems(tmp_path: Path) -> Iterator[Callable[..., SmallFileSystem]]:
    if not faults.loop_devices_work(tmp_path):
        pytest.skip("this machine mounts no loop devices")
    with faults.small_file_systems() as make:
        yield make


@pytest.fixture
def cluster_with_small_drive(
    own_cluster: Callable[..., Cluster], file_systems: Callable[..., SmallFileSystem]
) -> Callable[..., tuple[Cluster, SmallFileSystem]]:
    """Start a cluster one of whose drives is a file system of its own."""

    def start(drive: int, **options: object) -> tuple[Cluster, SmallFileSystem]:
        made: list[SmallFileSystem] = []

        def prepare(cluster: Cluster) -> None:
            made.append(file_systems(cluster.drives[drive], **options))

        return own_cluster(prepare=prepare, buckets=(BUCKET,)), made[0]

    return start


@pytest.mark.parametrize("drive", DRIVES)
def test_a_drive_is_moved_away_under_load_and_comes_back(shared: Cluster, drive: int) -> None:
    load = Load(shared, BUCKET, seed=drive)
    with load.running():
        load.wait_for(100)
        faults.move_away(shared.drives[drive])
        shared.wait_missing(drive)
        load.wait_for(150)
        faults.move_back(shared.drives[drive])
        load.wait_for(50)
        shared.wait_healthy()
        load.wait_for(100)
    load.check()
    load.check_everything()
    assert load.outcome.slowest_s < 5


@pytest.mark.parametrize("drive", DRIVES)
def test_a_drive_is_replaced_by_an_empty_directory_under_load(shared: Cluster, drive: int) -> None:
    load = Load(shared, BUCKET, seed=10 + drive)
    with load.running():
        load.wait_for(100)
        faults.replace_by_empty(shared.drives[drive])
        load.wait_for(150)
        shared.wait_healthy()
        load.wait_for(50)
    load.check()
    load.check_everything()


@pytest.mark.root
@pytest.mark.parametrize("drive", ONE_OF_EACH_SERVER)
def test_a_drive_answers_with_io_errors_under_load(
    cluster_with_small_drive: Callable[..., tuple[Cluster, SmallFileSystem]], drive: int
) -> None:
    cluster, system = cluster_with_small_drive(drive, size_mib=512)
    load = Load(cluster, BUCKET, seed=20 + drive)
    with load.running():
        load.wait_for(100)
        system.shut_down()
        cluster.wait_missing(drive)
        load.wait_for(150)
    load.check()
    load.check_everything()


@pytest.mark.root
def test_a_failed_file_system_can_be_unmounted_and_comes_back(
    cluster_with_small_drive: Callable[..., tuple[Cluster, SmallFileSystem]],
) -> None:
    """The servers let go of a failed drive, so an operator can repair and mount it again."""
    cluster, system = cluster_with_small_drive(1, size_mib=512)
    load = Load(cluster, BUCKET, seed=29)
    with load.running():
        load.wait_for(60)
        system.shut_down()
        cluster.wait_missing(1)
        within(10, system.try_unmount, "nothing holds the failed file system")
        load.wait_for(60)
        system.mount()
        cluster.wait_healthy()
        load.wait_for(60)
    load.check()
    load.check_everything()


@pytest.mark.root
@pytest.mark.parametrize("drive", ONE_OF_EACH_SERVER)
def test_a_drive_becomes_read_only_under_load(
    cluster_with_small_drive: Callable[..., tuple[Cluster, SmallFileSystem]], drive: int
) -> None:
    cluster, system = cluster_with_small_drive(drive, size_mib=512)
    load = Load(cluster, BUCKET, seed=40 + drive)
    with load.running():
        load.wait_for(100)
        system.make_read_only()
        cluster.wait_missing(drive)
        load.wait_for(150)
    load.check()
    load.check_everything()


@pytest.mark.root
@pytest.mark.parametrize("drive", ONE_OF_EACH_SERVER)
def test_a_drive_is_full_under_load_and_gets_room_again(
    cluster_with_small_drive: Callable[..., tuple[Cluster, SmallFileSystem]], drive: int
) -> None:
    cluster, system = cluster_with_small_drive(drive, size_mib=256, kind="tmpfs")
    load = Load(cluster, BUCKET, seed=50 + drive)
    with load.running():
        load.wait_for(100)
        filler = system.fill()
        load.wait_for(150)
        cluster.wait_missing(drive)
        filler.unlink()
        cluster.wait_healthy()
        load.wait_for(50)
    load.check()
    load.check_everything()


@pytest.mark.root
def test_a_drive_is_unmounted_under_load_and_mounted_again(
    cluster_with_small_drive: Callable[..., tuple[Cluster, SmallFileSystem]],
) -> None:
    """F9: the directory below a mount point is on another device than the drive was."""
    cluster, system = cluster_with_small_drive(0, size_mib=512)
    load = Load(cluster, BUCKET, seed=60)
    with load.running():
        load.wait_for(100)
        system.unmount()
        cluster.wait_missing(0)
        load.wait_for(150)
        time.sleep(1)
        system.mount()
        cluster.wait_healthy()
        load.wait_for(50)
    load.check()
    load.check_everything()


def test_beyond_quorum_every_request_gets_a_typed_503_quickly_and_all_comes_back(
    own_cluster: Callable[..., Cluster],
) -> None:
    """Two away: nothing is decoded or written, but R = 2 drives know what is there, and say so.

    Three away: nothing is known.
    """
    cluster = own_cluster(buckets=(BUCKET,))
    client = cluster.client(0)
    small, large = Content(1, 3000), Content(2, 5_000_000)
    client.put_object(Bucket=BUCKET, Key="small", Body=small.bytes())
    client.put_object(Bucket=BUCKET, Key="large", Body=large.bytes())
    take_away(cluster, 1, 2)
    for server in cluster.servers:
        client = cluster.client(server)
        check_refused(reads(client), "SlowDownRead")
        check_refused(writes(client, large), "SlowDownWrite")
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(Bucket=BUCKET, Key="absent")
        check_listing(client)
    take_away(cluster, 3)
    for server in cluster.servers:
        client = cluster.client(server)
        check_refused([*reads(client), *knowledge(client)], "SlowDownRead")
        # Whether there is such a bucket is not known either, so a write may fail at reading that.
        check_refused(writes(client, large), "SlowDownWrite", "SlowDownRead")
    for drive in (1, 2, 3):
        faults.move_back(cluster.drives[drive])
    cluster.wait_healthy()
    for server in cluster.servers:
        client = cluster.client(server)
        assert client.get_object(Bucket=BUCKET, Key="small")["Body"].read() == small.bytes()
        assert client.get_object(Bucket=BUCKET, Key="large")["Body"].read() == large.bytes()
        check_listing(client)
        client.put_object(Bucket=BUCKET, Key="new", Body=b"x")
        client.delete_object(Bucket=BUCKET, Key="new")


Call = Callable[[], object]


def reads(client: S3Client) -> list[Call]:
    """Return reads of objects that are there."""
    return [
        lambda: client.get_object(Bucket=BUCKET, Key="small"),
        lambda: client.get_object(Bucket=BUCKET, Key="large"),
        lambda: client.head_object(Bucket=BUCKET, Key="small"),
    ]


def knowledge(client: S3Client) -> list[Call]:
    """Return requests whose answer only has to be known, not decoded."""
    return [
        lambda: client.get_object(Bucket=BUCKET, Key="absent"),
        lambda: client.list_objects_v2(Bucket=BUCKET),
        lambda: client.list_multipart_uploads(Bucket=BUCKET),
    ]


def writes(client: S3Client, large: Content) -> list[Call]:
    """Return requests that change something."""
    return [
        lambda: client.put_object(Bucket=BUCKET, Key="new", Body=b"x"),
        lambda: client.put_object(Bucket=BUCKET, Key="new", Body=large.bytes()),
        lambda: client.delete_object(Bucket=BUCKET, Key="small"),
        lambda: client.create_multipart_upload(Bucket=BUCKET, Key="new"),
        lambda: client.create_bucket(Bucket="another"),
    ]


def take_away(cluster: Cluster, *drives: int) -> None:
    for drive in drives:
        faults.move_away(cluster.drives[drive])
    for drive in drives:
        cluster.wait_missing(drive)


def check_refused(calls: list[Call], *codes: str) -> None:
    """Assert that each request is refused with 503, fast."""
    for call in calls:
        began = time.monotonic()
        with pytest.raises(ClientError) as error:
            call()
        assert time.monotonic() - began < REFUSED_S
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
        assert error.value.response["Error"]["Code"] in (*codes, "503")  # a HEAD has no document


def check_listing(client: S3Client) -> None:
    listed = client.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert [item["Key"] for item in listed] == ["large", "small"]


def test_writes_during_an_outage_take_extra_parity(own_cluster: Callable[..., Cluster]) -> None:
    """What is written while one drive is away survives the loss of another one."""
    cluster = own_cluster(buckets=(BUCKET,))
    faults.move_away(cluster.drives[0])
    cluster.wait_missing(0)
    client = cluster.client(1)
    contents = [Content(n, size) for n, size in enumerate((10, 100_000, 3_000_000))]
    for number, content in enumerate(contents):
        client.put_object(Bucket=BUCKET, Key=f"key{number}", Body=content.bytes())
        assert cluster.locate(BUCKET, f"key{number}")["scheme"] == "2 + 2"
    faults.move_away(cluster.drives[1])
    cluster.wait_missing(1)
    for number, content in enumerate(contents):
        answer = client.get_object(Bucket=BUCKET, Key=f"key{number}")
        assert answer["Body"].read() == content.bytes()
    faults.move_back(cluster.drives[0])
    faults.move_back(cluster.drives[1])
    cluster.wait_healthy()
    client.close()

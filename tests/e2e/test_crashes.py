"""Servers killed and clients gone at any moment: what was acknowledged stays, nothing else does."""

import random
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.e2e.content import Content
from tests.e2e.faults import within
from tests.e2e.load import Load
from tests.e2e.raw_http import UNSIGNED, Shot, Signer
from tests.e2e.running import Cluster

pytestmark = pytest.mark.xdist_group("disks")

BUCKET = "crash"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return a cluster that clients leave as they found it."""
    with Cluster.running(tmp_path_factory.mktemp("left"), buckets=(BUCKET,)) as cluster:
        yield cluster


@pytest.mark.slow
@pytest.mark.parametrize("server", [0, 1])
def test_sigkill_of_a_server_at_random_moments_under_load(
    own_cluster: Callable[..., Cluster], server: int
) -> None:
    """F19, I1: every acknowledged object is there, bytes exact, after each of four kills."""
    cluster = own_cluster(buckets=(BUCKET,))
    rng = random.Random(server)
    load = Load(cluster, BUCKET, seed=server)
    with load.running():
        for _ in range(4):
            load.wait_for(60)
            time.sleep(rng.random() * 0.5)
            cluster.kill(server)
            time.sleep(rng.random())
            cluster.start_server(server)
            cluster.wait_ready()
        load.wait_for(60)
    assert not load.outcome.wrong, load.outcome.wrong[:5]
    cluster.wait_healthy()
    load.check_everything(0)
    load.check_everything(1)


@pytest.mark.slow
def test_sigkill_of_both_servers_at_once(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(buckets=(BUCKET,))
    rng = random.Random(3)
    load = Load(cluster, BUCKET, seed=3)
    with load.running():
        for _ in range(3):
            load.wait_for(60)
            time.sleep(rng.random() * 0.5)
            cluster.kill(0)
            cluster.kill(1)
            cluster.start_server(0)
            cluster.start_server(1)
            cluster.wait_ready()
        load.wait_for(60)
    assert not load.outcome.wrong, load.outcome.wrong[:5]
    cluster.wait_healthy()
    load.check_everything(0)
    load.check_everything(1)


def shard_files(cluster: Cluster) -> dict[str, int]:
    """Return every shard file with its size."""
    return {
        str(path): path.stat().st_size
        for drive in cluster.drives
        for path in (drive / "shards").rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("share", [0.05, 0.5, 0.999])
def test_a_client_that_hangs_up_leaves_nothing(shared: Cluster, share: float) -> None:
    """F28: nothing is visible, and the space is back, long before any reaper."""
    cluster = shared
    client = cluster.client(0)
    client.put_object(Bucket=BUCKET, Key="key", Body=b"old")
    before = shard_files(cluster)
    content = Content(1, 24_000_000)
    host = "{}:{}".format(*cluster.address(0))
    shot = Shot("PUT", f"/{BUCKET}/key", headers=(("Host", host),))
    shot = shot.adding("Content-Length", str(content.size))
    head = Signer().sign(shot, UNSIGNED).encode()
    for hang_up in ("close", "reset"):
        with socket.create_connection(cluster.address(0), timeout=10) as connection:
            connection.sendall(head)
            for piece in content.slice(0, int(content.size * share)):
                connection.sendall(piece)
            if share > 0.2:
                within(10, lambda: shard_files(cluster) != before, "the upload reaches the drives")
            if hang_up == "reset":
                linger = (1).to_bytes(4, "little") + bytes(4)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        within(10, lambda: shard_files(cluster) == before, "the space is back")
        assert client.get_object(Bucket=BUCKET, Key="key")["Body"].read() == b"old"
    client.close()


def test_a_deleted_object_gives_its_space_back(shared: Cluster) -> None:
    cluster = shared
    client = cluster.client(0)
    client.delete_object(Bucket=BUCKET, Key="key")
    before = shard_files(cluster)
    body = Content(1, 8_000_000).bytes()
    client.put_object(Bucket=BUCKET, Key="key", Body=body)
    once = shard_files(cluster)
    assert sum(once.values()) > len(body) * 4 // 3
    client.put_object(Bucket=BUCKET, Key="key", Body=body)
    within(10, lambda: len(shard_files(cluster)) == len(once), "the older version is gone")
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="other")["UploadId"]
    client.upload_part(Bucket=BUCKET, Key="other", UploadId=upload, PartNumber=1, Body=body)
    client.abort_multipart_upload(Bucket=BUCKET, Key="other", UploadId=upload)
    client.delete_object(Bucket=BUCKET, Key="key")
    within(10, lambda: shard_files(cluster) == before, "the space is back")
    client.close()


def test_a_client_that_hangs_up_while_reading_harms_nobody(shared: Cluster) -> None:
    """F29: no descriptor and no memory stays behind."""
    cluster = shared
    client = cluster.client(0)
    client.put_object(Bucket=BUCKET, Key="read", Body=Content(1, 8_000_000).bytes())
    host = "{}:{}".format(*cluster.address(0))
    get = Signer().sign(Shot("GET", f"/{BUCKET}/read", headers=(("Host", host),))).encode()

    def hang_up(times: int) -> None:
        for _ in range(times):
            with socket.create_connection(cluster.address(0), timeout=10) as connection:
                connection.sendall(get)
                connection.recv(1000)

    hang_up(20)
    time.sleep(1)
    before = cluster.open_files(0)
    hang_up(200)
    within(10, lambda: cluster.open_files(0) <= before + 10, "the descriptors are closed")
    client.close()

"""Two servers and a witness: either may die, and the other goes on reading and writing (ADR 7).

Bounds are the product's, and an allowance for a machine that does other things as well.
"""

import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import pytest

from objstore.limits import LOST_SERVER_S
from tests.cluster.conftest import CONFIG
from tests.cluster.failures import BUSY_S
from tests.cluster.hosts import hosts_work
from tests.cluster.partitions import through_a_partition
from tests.cluster.witnessed import (
    WHOLE,
    WITNESS,
    WitnessedCluster,
    code_of,
    etcd_is_there,
)

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.xdist_group("faults")]

EC1, EC2 = "two-server-ec1.toml", "two-server-ec2.toml"
GOES_ON_S = 5.0  # from the loss of a server to the first write of the other
RETURNS_S = 40.0
REFUSED = ("SlowDownRead", "SlowDownWrite")
SMALL, LARGE = b"small", bytes(range(256)) * 4096
PART = 5 * 2**20
MANY = 400


@pytest.fixture(scope="module", params=[EC2])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WitnessedCluster]:
    if not hosts_work():
        pytest.skip("this machine makes no network namespaces")
    if not etcd_is_there():
        pytest.skip("needs etcd (in Debian's package etcd-server)")
    root = tmp_path_factory.mktemp("witnessed")
    with WitnessedCluster.on_hosts(root, CONFIG / request.param, buckets=("bucket",)) as cluster:
        yield cluster


@pytest.fixture
def cluster(running: WitnessedCluster) -> Iterator[WitnessedCluster]:
    yield running
    running.restore()


def test_either_server_dies_and_writes_continue(cluster: WitnessedCluster) -> None:
    written = {"old/small": SMALL, "old/large": LARGE, "old/replaced": SMALL, "old/gone": SMALL}
    for key, body in written.items():
        assert not cluster.put(0, key, body)

    cluster.kill(1)
    took_s = cluster.first_put_s(0, in_s=GOES_ON_S + BUSY_S)
    print(f"the first write without server 2 after {took_s:.2f} s")
    assert "server1:9000 writes alone since" in cluster.admin("info")
    with urllib.request.urlopen(f"{cluster.url(0)}/metrics") as page:
        assert b'objstore_solo{server="server1:9000"} 1.0' in page.read()
    with urllib.request.urlopen(f"{cluster.url(0)}/minio/health/cluster") as answer:
        assert answer.status == 200
    written |= everything_works(cluster, 0, written) | many(cluster, 0)

    cluster.start_host(1)
    back_s = time.monotonic()
    cluster.wait_epoch(WHOLE, in_s=int(RETURNS_S))
    print(f"whole {time.monotonic() - back_s:.1f} s after server 2 was started")

    cluster.kill(0)
    took_s = cluster.first_put_s(1, in_s=GOES_ON_S + BUSY_S)
    print(f"the first write without server 1 after {took_s:.2f} s")
    assert read_all(cluster, 1, written) == written
    assert cluster.get(1, "old/gone") == "NoSuchKey"
    written |= everything_works(cluster, 1, written)

    cluster.start_host(0)
    cluster.wait_epoch(WHOLE)
    back_s = time.monotonic()
    cluster.wait_until(
        lambda: schemes(cluster, ("old/large", "old/replaced", "new/large", "many/0")) == {"2 + 2"},
        RETURNS_S,
    )
    print(f"all under the layout's scheme {time.monotonic() - back_s:.1f} s later")
    assert read_all(cluster, 0, written) == written


def many(cluster: WitnessedCluster, server: int) -> dict[str, bytes]:
    """Write so many objects that it takes a while to bring them to the other server."""
    written = {f"many/{number}": b"%d" % number for number in range(MANY)}
    with ThreadPoolExecutor(16) as pool:
        whys = pool.map(lambda item: cluster.put(server, *item), written.items())
        assert set(whys) == {""}
    return written


def read_all(cluster: WitnessedCluster, server: int, keys: Iterable[str]) -> dict[str, bytes | str]:
    with ThreadPoolExecutor(16) as pool:
        return dict(zip(keys, pool.map(lambda key: cluster.get(server, key), keys), strict=True))


def schemes(cluster: WitnessedCluster, keys: Iterable[str]) -> set[str]:
    return {str(cluster.locate("bucket", key)["scheme"]) for key in keys}


def everything_works(
    cluster: WitnessedCluster, server: int, written: dict[str, bytes]
) -> dict[str, bytes]:
    """Read, write, overwrite, delete and upload in parts; return what is there more."""
    client = cluster.client(server)
    gone = written.pop("old/gone", None)
    assert read_all(cluster, server, written) == written
    news = {"new/small": SMALL, "new/large": LARGE, "old/replaced": b"%d" % server + LARGE}
    for key, body in news.items():
        assert not cluster.put(server, key, body)
    if gone is not None:
        client.delete_object(Bucket="bucket", Key="old/gone")
    upload = client.create_multipart_upload(Bucket="bucket", Key="new/parts")["UploadId"]
    parts = []
    for number, body in enumerate((bytes(PART), SMALL), start=1):
        which = {"Bucket": "bucket", "Key": "new/parts", "UploadId": upload, "PartNumber": number}
        parts.append({"PartNumber": number, "ETag": client.upload_part(**which, Body=body)["ETag"]})
    client.complete_multipart_upload(
        Bucket="bucket", Key="new/parts", UploadId=upload, MultipartUpload={"Parts": parts}
    )
    news["new/parts"] = bytes(PART) + SMALL
    for key, body in news.items():
        assert cluster.get(server, key) == body, key
    assert cluster.get(server, "old/gone") == "NoSuchKey"
    found = {item["Key"] for item in client.list_objects_v2(Bucket="bucket")["Contents"]}
    assert found >= (written | news).keys()
    assert "old/gone" not in found
    return news


def test_the_side_that_the_witness_hears_goes_on_and_the_other_refuses(
    cluster: WitnessedCluster,
) -> None:
    assert not cluster.put(1, "moving", b"0")
    with watching(cluster, 1, "moving") as watched:
        cluster.network.isolate(cluster.host(1))
        cut_s = time.monotonic()
        took_s = cluster.first_put_s(0, in_s=GOES_ON_S + BUSY_S)
        print(f"the first write after a cut {took_s:.2f} s")
        for number in range(1, 20):
            watched.acknowledge(cluster, 0, b"%d" % number)
        assert cluster.put(1, "elsewhere", SMALL) in REFUSED
        time.sleep(max(0.0, cut_s + 4 - time.monotonic()))
        cluster.network.join()
        cluster.wait_epoch(WHOLE)
    print(f"{len(watched.refusals)} reads refused, {watched.served} served")
    assert watched.stale == []
    refused = [one for one in watched.refusals if one.began_s > cut_s]
    assert {one.code for one in refused} <= {*REFUSED}
    assert max(one.took_s for one in refused) <= LOST_SERVER_S + BUSY_S
    assert cluster.get(1, "moving") == b"19"


def test_cut_from_each_other_one_of_them_goes_on(cluster: WitnessedCluster) -> None:
    """Both reach the witness, and clients write the same keys through both all the time."""
    counts = through_a_partition(cluster, [1], at_least_s=GOES_ON_S + 1)
    assert sorted(map(bool, counts.values())) == [False, True]


def test_with_both_servers_nothing_depends_on_the_witness(cluster: WitnessedCluster) -> None:
    cluster.etcd.kill(WITNESS)
    one_of_sixteen_wins(cluster, "one member lost")
    cluster.wait_epoch(WHOLE, in_s=10)  # the member may have been etcd's leader
    cluster.etcd.kill()
    cluster.wait_until(lambda: not any(cluster.witness(one)["answers"] for one in cluster.servers))
    time.sleep(1.5)  # until nothing that was confirmed holds
    for round_number in range(3):
        one_of_sixteen_wins(cluster, f"all lost/{round_number}")
    assert not cluster.put(1, "without", LARGE)
    assert cluster.get(0, "without") == LARGE
    # And a server that is alone now refuses: nobody says whether the other one goes on.
    cluster.kill(1)
    time.sleep(LOST_SERVER_S)
    began_s = time.monotonic()
    assert cluster.get(0, "without") in REFUSED
    assert cluster.put(0, "without", SMALL) in REFUSED
    assert time.monotonic() - began_s <= 2 * (LOST_SERVER_S + BUSY_S)


def one_of_sixteen_wins(cluster: WitnessedCluster, key: str) -> None:
    """Race for a key that is not there, through both servers."""
    clients = [cluster.client(number % 2) for number in range(16)]
    start = threading.Barrier(len(clients))

    def race(number: int) -> str:
        start.wait(10)
        which = {"Bucket": "bucket", "Key": key, "IfNoneMatch": "*"}
        return code_of(lambda: clients[number].put_object(**which, Body=b"%d" % number))

    with ThreadPoolExecutor(len(clients)) as pool:
        codes = list(pool.map(race, range(len(clients))))
    assert codes.count("") == 1, codes
    assert set(codes) <= {"", "PreconditionFailed", "ConditionalRequestConflict"}, codes
    assert {cluster.get(server, key) for server in cluster.servers} == {b"%d" % codes.index("")}


def test_a_server_that_was_paused_gives_nothing_of_before(cluster: WitnessedCluster) -> None:
    assert not cluster.put(1, "moving", b"0")
    host = cluster.host(1)
    host.freeze()
    frozen_s = time.monotonic()
    try:
        cluster.first_put_s(0, in_s=GOES_ON_S + BUSY_S)
        assert not cluster.put(0, "moving", b"1")
        time.sleep(max(0.0, frozen_s + 5 - time.monotonic()))
        # Requests lie in its sockets when it goes on, and it hears nothing of what happened.
        cluster.network.isolate(host)
        with watching(cluster, 1, "moving", readers=8, newest=b"1") as watched:
            time.sleep(0.3)
            host.thaw()
            time.sleep(1.5)
            cluster.network.join()
            cluster.wait_until(lambda: watched.served > 0, RETURNS_S)
    finally:
        host.thaw()
    print(f"{len(watched.refusals)} reads refused, {watched.served} served")
    assert watched.stale == []
    assert {one.code for one in watched.refusals} <= {*REFUSED}
    assert watched.refusals
    assert cluster.get(1, "moving") == b"1"


class watching:  # noqa: N801  reads like the context manager it is
    """Readers of a key through a server, which note what is older than what was acknowledged."""

    def __init__(
        self,
        cluster: WitnessedCluster,
        server: int,
        key: str,
        *,
        readers: int = 2,
        newest: bytes = b"0",
    ) -> None:
        self._cluster, self._server, self._key = cluster, server, key
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._read) for _ in range(readers)]
        self.newest = newest
        self.served = 0
        self.stale: list[tuple[bytes, bytes]] = []
        self.refusals: list[Refusal] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(60)

    def acknowledge(self, cluster: WitnessedCluster, server: int, body: bytes) -> None:
        """Write the next content; from its acknowledgement on nobody may read an older one."""
        why = cluster.put(server, self._key, body)
        assert not why, why
        self.newest = body

    def _read(self) -> None:
        while not self._stopping.wait(0.02):
            at_least, began_s = self.newest, time.monotonic()
            found = self._cluster.get(self._server, self._key)
            if isinstance(found, str):
                took_s = time.monotonic() - began_s
                self.refusals.append(Refusal(found, began_s, took_s))
                continue
            self.served += 1
            if int(found) < int(at_least):
                self.stale.append((at_least, found))


class Refusal:
    """A read that was refused."""

    def __init__(self, code: str, began_s: float, took_s: float) -> None:
        self.code, self.began_s, self.took_s = code, began_s, took_s


@pytest.mark.parametrize("running", [EC1], indirect=True, ids=["EC:1"])
def test_with_one_parity_new_objects_are_written_and_read(cluster: WitnessedCluster) -> None:
    for key in ("old", "old/replaced", "old/gone"):
        assert not cluster.put(0, key, LARGE)
    cluster.kill(1)
    cluster.first_put_s(0, in_s=GOES_ON_S + BUSY_S)
    client = cluster.client_of(0)
    assert cluster.get(0, "old") == "SlowDownRead"
    for key, body in (("old/replaced", SMALL), ("new", LARGE)):
        assert not cluster.put(0, key, body)
        assert cluster.get(0, key) == body
    client.delete_object(Bucket="bucket", Key="old/gone")
    cluster.start_host(1)
    cluster.wait_epoch(WHOLE)
    for server in cluster.servers:
        found = {key: cluster.get(server, key) for key in ("old", "old/replaced", "new")}
        assert found == {"old": LARGE, "old/replaced": SMALL, "new": LARGE}
        assert cluster.get(server, "old/gone") == "NoSuchKey"

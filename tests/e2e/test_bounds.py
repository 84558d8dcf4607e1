"""What a client may make a server hold: memory while it uploads or misbehaves, and sockets."""

import re
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.__main__ import access_of
from bench.memory import GIB, PROMISED_MIB, measure
from objstore.limits import BODY_STALL_DEADLINE_S, HEADER_DEADLINE_S
from tests.e2e.raw_http import UNSIGNED, Shot, Signer, send
from tests.e2e.running import Cluster

pytestmark = pytest.mark.xdist_group("disks")

BUCKET = "bounds"
MIB = 1024 * 1024


@pytest.mark.slow
@pytest.mark.parametrize("size", [GIB // 8, pytest.param(GIB, marks=pytest.mark.long)])
def test_eight_large_uploads_at_once(own_cluster: Callable[..., Cluster], size: int) -> None:
    """Every process stays under 200 MB while they run, by the kernel's high-water mark.

    What the eight hold is the same from some MiB of each on; `python -m bench` measures it too.
    """
    cluster = own_cluster(buckets=(BUCKET,))
    most = measure(cluster, access_of(cluster), BUCKET, object_bytes=size)
    assert len(most) == sum(len(cluster.pids(server)) for server in cluster.servers)
    assert max(most.values()) < PROMISED_MIB, most


def memory_mib(cluster: Cluster) -> float:
    """Return what a server's processes hold together."""
    total = 0
    for pid in cluster.pids(0):
        found = re.search(
            r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE
        )
        total += int(found[1]) if found else 0
    return total / 1024


def shot(cluster: Cluster, method: str, path: str, query: str = "", body: bytes = b"") -> Shot:
    host = "{}:{}".format(*cluster.address(0))
    return Shot(method, path, query, (("Host", host),), body)


def test_bad_input_takes_no_memory(own_cluster: Callable[..., Cluster]) -> None:
    """F31: huge documents, headers and targets; growth stays under 16 MiB."""
    cluster = own_cluster(buckets=(BUCKET,))
    address = cluster.address(0)
    document = b"<Delete>" + b"<Object><Key>k</Key></Object>" * 300_000 + b"</Delete>"
    bad: list[Shot | bytes] = [
        Signer().sign(shot(cluster, "POST", f"/{BUCKET}", "delete", document)),
        Signer().sign(shot(cluster, "POST", f"/{BUCKET}", "delete", b"<a>" * 3_000_000)),
        Signer().sign(shot(cluster, "GET", f"/{BUCKET}").adding("X-A", "a" * 60_000)),
        b"GET /" + b"a" * 5_000_000,
        b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 500_000,
        shot(cluster, "PUT", f"/{BUCKET}/key", body=bytes(20 * MIB)).encode(),
    ]

    def shoot() -> None:
        for one in bad:
            assert send(address, one).status != 200

    shoot()
    before = memory_mib(cluster)
    for _ in range(10):
        shoot()
    assert memory_mib(cluster) - before < 16


@pytest.mark.slow
def test_slow_clients_are_cut_off_and_harm_nobody(own_cluster: Callable[..., Cluster]) -> None:
    """N119, F30: one byte of a header per second; a body that stops; while others work."""
    cluster = own_cluster(buckets=(BUCKET,))
    head = Signer().sign(
        shot(cluster, "PUT", f"/{BUCKET}/key").adding("Content-Length", str(3 * MIB)), UNSIGNED
    )
    ended: dict[str, float] = {}

    def dawdle(name: str, first: bytes, then: bytes, limit_s: float) -> None:
        began = time.monotonic()
        with socket.create_connection(cluster.address(0), timeout=1) as connection:
            connection.sendall(first)
            while time.monotonic() - began < limit_s:
                try:
                    if then:
                        connection.sendall(then)
                    if connection.recv(1000) == b"":
                        break
                except TimeoutError:
                    continue
                except ConnectionError:
                    break
        ended[name] = max(ended.get(name, 0.0), time.monotonic() - began)

    limits_s = {"header": HEADER_DEADLINE_S + 5, "body": BODY_STALL_DEADLINE_S + 10}
    clients = [
        *(("header", b"GET / HTTP/1.1\r\nX-A: ", b"a", limits_s["header"]) for _ in range(50)),
        *(("body", head.encode() + bytes(MIB), b"", limits_s["body"]) for _ in range(20)),
    ]
    threads = [threading.Thread(target=dawdle, args=one) for one in clients]
    for thread in threads:
        thread.start()
    client = cluster.client()
    slowest_s = 0.0
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        client.put_object(Bucket=BUCKET, Key="other", Body=b"x")
        slowest_s = max(slowest_s, time.monotonic() - began)
        time.sleep(0.2)
    for thread in threads:
        thread.join()
    assert ended["header"] < limits_s["header"]
    assert ended["body"] < limits_s["body"]
    assert slowest_s < 3
    listed = [item["Key"] for item in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
    assert listed == ["other"]

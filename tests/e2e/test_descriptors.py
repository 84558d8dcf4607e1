"""F42: a server without file descriptors refuses clearly, harms nothing, and recovers."""

import resource
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.e2e.content import Content
from tests.e2e.faults import within
from tests.e2e.running import Cluster

pytestmark = [pytest.mark.xdist_group("disks")]
BUCKET = "descriptors"


def limit(pid: int, descriptors: int) -> int:
    """Set how many descriptors a process may open; return how many it might before."""
    before, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(descriptors, hard), hard))
    return before


def test_a_server_that_runs_out_of_descriptors(own_cluster: Callable[..., Cluster]) -> None:
    cluster = own_cluster(buckets=(BUCKET,))
    client = cluster.client(0)
    held = {f"key{number}": Content(number, 40_000) for number in range(10)}
    for key, content in held.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=content.bytes())
    before = {
        pid: limit(pid, len(list(Path(f"/proc/{pid}/fd").iterdir())) + 2) for pid in cluster.pids(0)
    }
    refused: list[str] = []
    connections: list[socket.socket] = []
    try:
        connections += [socket.create_connection(cluster.address(0), timeout=5) for _ in range(20)]
        for number in range(20):
            key = f"key{number % 15}"
            content = Content(100 + number, 40_000)
            try:
                client.put_object(Bucket=BUCKET, Key=key, Body=content.bytes())
            except (BotoCoreError, ClientError) as error:
                refused.append(str(error))
                held.pop(key, None)  # not acknowledged: the old or the new
            else:
                held[key] = content
        for connection in connections:
            connection.close()
    finally:
        for pid, descriptors in before.items():
            limit(pid, descriptors)
    began = time.monotonic()
    within(30, lambda: works(cluster), "the server works again")
    print(
        f"{len(refused)} of 20 refused ({set(refused)}), back after {time.monotonic() - began:.1f}"
    )
    cluster.wait_healthy()
    for server in cluster.servers:
        reader = cluster.client(server)
        for key, content in held.items():
            assert reader.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content.bytes()


def works(cluster: Cluster) -> bool:
    client = cluster.client(0)
    try:
        client.put_object(Bucket=BUCKET, Key="again", Body=b"x")
        return bool(client.get_object(Bucket=BUCKET, Key="again")["Body"].read() == b"x")
    except (BotoCoreError, ClientError):
        return False
    finally:
        client.close()

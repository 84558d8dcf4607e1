"""nginx, HAProxy and keepalived with the files of deploy/proxy, in front of real servers.

Signatures cover the path and the host as the client wrote them, so a request that is answered at
all went through unchanged.
"""

import contextlib
import hashlib
import http.client
import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.cluster.host_cluster import HostCluster
from tests.cluster.hosts import Network, hosts_work
from tests.deploy.machines import ROOT, give_drives, missing_program, unmount
from tests.deploy.proxies import (
    HAPROXY_PORT,
    NGINX_PORT,
    start_haproxy,
    start_keepalived,
    start_nginx,
    wait_until,
)
from tests.e2e.credentials import ACCESS_KEY, REGION, SECRET_KEY
from tests.e2e.running import S3Client

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.xdist_group("faults")]
BUCKET = "bucket"
SPECIAL_KEYS = (
    "with space",
    "100%",
    "%41",
    "a+b",
    "a//b",
    "/leading",
    "trailing/",
    "a/./b",
    "a/../b",
    "..",
    "ключ/鍵/🔑",
    "é",
    "e\u0301",
    "!*'();:@&=$,[]~#?",
    'quote"back\\slash',
    "a;b=c",
)
# nginx refuses a path above the root before it passes anything on: the one thing it cannot carry.
CLIMBING_KEYS = ("../../x", "a/../../../x")
GIB = 1 << 30


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostCluster]:
    if absent := missing_program("nginx", "haproxy", "keepalived", "curl"):
        pytest.skip(f"not installed: {absent} (tests/deploy/install.sh)")
    if not hosts_work():
        pytest.skip("this machine makes no network namespaces")
    directory = tmp_path_factory.mktemp("proxies")
    config = ROOT / "config" / "two-server-ec2.toml"
    with contextlib.ExitStack() as stack:
        network = stack.enter_context(Network.running(directory, servers=2))
        for host in network.hosts:
            stack.callback(unmount, give_drives(host, directory / "drives"))
        running = HostCluster(directory, network, config=config, buckets=(BUCKET,))
        stack.callback(running.close)
        running.start()
        first = running.host(0)
        start_haproxy(first)
        start_nginx(first, directory)
        for port in (HAPROXY_PORT, NGINX_PORT):
            wait_for_answer(address_of(running, port))
        yield running
        network.heal()


def wait_for_answer(address: str) -> float:
    """Wait until a proxy has a server behind it; return how many seconds it took."""
    return wait_until(lambda: answers(address), 30)


@pytest.fixture(params=[HAPROXY_PORT, NGINX_PORT], ids=["haproxy", "nginx"])
def address(cluster: HostCluster, request: pytest.FixtureRequest) -> str:
    return address_of(cluster, request.param)


def address_of(cluster: HostCluster, port: int) -> str:
    """Return what a client writes: a port only where it is not the usual one."""
    host = cluster.host(0).address
    return host if port == HAPROXY_PORT else f"{host}:{port}"


def answers(address: str) -> bool:
    """Tell whether there is a proxy with a server behind it."""
    try:
        return status_of(address, "/minio/health/ready") == 200
    except (OSError, http.client.HTTPException):
        return False


def status_of(address: str, path: str) -> int:
    """GET a path without a signature."""
    host, _, port = address.partition(":")
    connection = http.client.HTTPConnection(host, int(port or 80), timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def client_of(address: str, *, attempts: int = 1, **s3: object) -> S3Client:
    return boto3.session.Session(
        aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY, region_name=REGION
    ).client(
        "s3",
        endpoint_url=f"http://{address}",
        config=Config(
            signature_version="s3v4",
            request_checksum_calculation="when_required",
            s3={"addressing_style": "path", **s3},
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=5,
            read_timeout=120,
        ),
    )


def fetch(url: str) -> bytes:
    """GET a presigned URL exactly as it is written."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=30)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"Host": parts.netloc})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return body


def test_keys_arrive_as_they_were_signed(address: str) -> None:
    client = client_of(address)
    keys = SPECIAL_KEYS + (() if ":" in address else CLIMBING_KEYS)
    for key in keys:
        body = key.encode() + b" of " + address.encode()
        metadata = {"under_score": "a", "with.dot": "b"}
        client.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata=metadata)
        found = client.get_object(Bucket=BUCKET, Key=key)
        assert (found["Body"].read(), found["Metadata"]) == (body, metadata), key
        parameters = {"Bucket": BUCKET, "Key": key}
        assert fetch(client.generate_presigned_url("get_object", Params=parameters)) == body, key
    listed = client.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert {one["Key"] for one in listed} == set(keys)
    for key in keys:
        client.delete_object(Bucket=BUCKET, Key=key)
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET)


def test_nginx_refuses_what_climbs_above_the_root_itself(cluster: HostCluster) -> None:
    client = client_of(address_of(cluster, NGINX_PORT))
    with pytest.raises(ClientError, match="400"):
        client.put_object(Bucket=BUCKET, Key=CLIMBING_KEYS[0], Body=b"")


def test_chunked_bodies_and_conditions_pass(address: str) -> None:
    client = client_of(address)
    # A trailer after a chunked body, and an answer that says what the client asked.
    client.put_object(Bucket=BUCKET, Key="k", Body=b"x" * 100_000, ChecksumAlgorithm="CRC32")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.put_object(Bucket=BUCKET, Key="k", Body=b"", IfNoneMatch="*")
    part = client.get_object(Bucket=BUCKET, Key="k", Range="bytes=10-19")
    assert (part["ContentRange"], part["Body"].read()) == ("bytes 10-19/100000", b"x" * 10)
    client.delete_object(Bucket=BUCKET, Key="k")


def test_metrics_stay_inside(address: str) -> None:
    for path in ("/metrics", "/minio/v2/metrics/cluster", "/minio/v2/metrics/node?x=y"):
        assert status_of(address, path) == 403, path
    # What is no scrape is S3's, whatever the bucket is called.
    client = client_of(address)
    client.create_bucket(Bucket="metrics")
    client.put_object(Bucket="metrics", Key="cluster", Body=b"x")
    (only,) = client.list_objects(Bucket="metrics")["Contents"]
    link = client.generate_presigned_url("list_objects", Params={"Bucket": "metrics"})
    assert only["Key"].encode() in fetch(link)
    client.delete_object(Bucket="metrics", Key="cluster")
    client.delete_bucket(Bucket="metrics")


class Pattern(io.RawIOBase):
    """Bytes that are nowhere: each MiB says which one it is."""

    def __init__(self, size: int) -> None:
        self._size, self._at = size, 0
        self._block, self._content = -1, b""

    def read(self, count: int = -1) -> bytes:
        at = self._at
        block, offset = divmod(at, 1 << 20)
        left = min(self._size - at, (1 << 20) - offset)
        taken = left if count < 0 else min(count, left)
        self._at += taken
        if block != self._block:
            self._block, self._content = block, block.to_bytes(8, "big") * (1 << 17)
        return self._content[offset : offset + taken]

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def __len__(self) -> int:
        return self._size


def memory_of_proxies(cluster: HostCluster) -> int:
    """Return the bytes that the proxies hold together."""
    total = 0
    for pid in cluster.host(0).pids():
        status = Path(f"/proc/{pid}/status").read_text()
        if status.split()[1] in {"haproxy", "nginx"}:
            (line,) = [line for line in status.splitlines() if line.startswith("VmRSS")]
            total += int(line.split()[1]) * 1024
    assert total
    return total


@pytest.mark.parametrize(
    ("port", "size"), [(HAPROXY_PORT, GIB), (NGINX_PORT, GIB // 16)], ids=["haproxy", "nginx"]
)
def test_bodies_stream(cluster: HostCluster, port: int, size: int) -> None:
    client = client_of(address_of(cluster, port), payload_signing_enabled=False)
    before = memory_of_proxies(cluster)
    client.put_object(Bucket=BUCKET, Key="large", Body=Pattern(size), ContentLength=size)
    wanted, found = hashlib.sha256(), hashlib.sha256()
    source = Pattern(size)
    while block := source.read():
        wanted.update(block)
    body = client.get_object(Bucket=BUCKET, Key="large")["Body"]
    most = 0
    for block in body.iter_chunks(1 << 20):
        found.update(block)
        most = max(most, memory_of_proxies(cluster)) if body.tell() % (64 << 20) == 0 else most
    assert found.hexdigest() == wanted.hexdigest()
    assert max(most, memory_of_proxies(cluster)) - before < 32 << 20
    client.delete_object(Bucket=BUCKET, Key="large")


def test_a_killed_server_fails_no_read(cluster: HostCluster) -> None:
    reads, failed, slowest = 0, [], 0.0
    stopping = threading.Event()

    def read(port: int) -> None:
        nonlocal reads, slowest
        client = client_of(address_of(cluster, port), attempts=3)
        while not stopping.is_set():
            started = time.monotonic()
            try:
                assert client.get_object(Bucket=BUCKET, Key="key")["Body"].read() == b"content"
                reads += 1
            except (ClientError, BotoCoreError) as error:
                failed.append(f"{port}: {error}")
            slowest = max(slowest, time.monotonic() - started)

    writer = client_of(address_of(cluster, HAPROXY_PORT))
    writer.put_object(Bucket=BUCKET, Key="key", Body=b"content")
    threads = [
        threading.Thread(target=read, args=(port,), daemon=True)
        for port in (HAPROXY_PORT, NGINX_PORT)
    ]
    for thread in threads:
        thread.start()
    time.sleep(1)
    cluster.kill(1)
    time.sleep(4)
    stopping.set()
    for thread in threads:
        thread.join()
    cluster.start_server(1)
    cluster.wait_ready()
    assert not failed, failed[:3]
    assert reads > 20
    assert slowest < 5


def test_the_address_moves_when_its_server_is_gone(cluster: HostCluster, tmp_path: Path) -> None:
    one, two = cluster.network.hosts
    start_haproxy(two)
    shared = cluster.network.address_of(100)
    for number, host in enumerate((one, two), start=1):
        start_keepalived(host, number, (one.address, two.address), shared, tmp_path)
    wait_for_answer(shared)
    client = client_of(shared, attempts=3)
    client.put_object(Bucket=BUCKET, Key="by the address", Body=b"content")
    holder = next(host for host in (one, two) if shared in host.run(["ip", "addr", "show", "eth0"]))
    holder.unplug()
    moved_s = wait_for_answer(shared)
    # Three advertisements that do not come, and one check.
    assert moved_s < 15, f"{moved_s:.1f} s"
    found = client.get_object(Bucket=BUCKET, Key="by the address")["Body"].read()
    assert found == b"content"
    # It is not taken back: connections would be cut a second time.
    other = two if holder is one else one
    holder.plug()
    wait_until(lambda: shared not in holder.run(["ip", "addr", "show", "eth0"]), 30)
    assert shared in other.run(["ip", "addr", "show", "eth0"])

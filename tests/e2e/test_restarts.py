"""A server that is restarted in order: clients with an SDK's usual retries see a delay, no error.

Two servers with EC:1, of which neither can do anything without the other one.
"""

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from objstore.limits import STOP_AWAITED_S
from tests.e2e.credentials import ACCESS_KEY, REGION, SECRET_KEY
from tests.e2e.forwarder import Forwarder
from tests.e2e.running import Cluster, S3Client

BUCKET = "busy"
SMALL, LARGE = b"s" * 4_000, b"l" * 3_000_000


def client_of(url: str) -> S3Client:
    """Return a client with boto3's standard retries: three attempts in all."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        config=Config(retries={"mode": "standard"}, s3={"addressing_style": "path"}),
    )


class Busy:
    """Clients of one endpoint that do all kinds of things, one after the other."""

    def __init__(self, url: str, name: str) -> None:
        self.failed: list[str] = []
        self.attempts: Counter[int] = Counter()  # by how many a request took
        self.slowest_s = 0.0
        self._name = name
        self._client = client_of(url)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(2)]

    @property
    def answered(self) -> int:
        """How many requests were answered as they should be."""
        return self.attempts.total()

    @contextmanager
    def running(self) -> Iterator["Busy"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join(90)
            self._client.close()

    def _work(self, number: int) -> None:
        serial = 0
        while not self._stopping.is_set():
            serial += 1
            content = LARGE if serial % 8 == number else SMALL
            self._use(f"{self._name}/{number}/{serial}", content, delete=bool(serial % 2))

    def _use(self, key: str, content: bytes, *, delete: bool) -> None:
        client, named = self._client, {"Bucket": BUCKET, "Key": key}
        prefix = key.rpartition("/")[0]
        self._do("PUT", lambda: client.put_object(**named, Body=content))
        self._do("GET", lambda: self._read(named, content))
        self._do("LIST", lambda: client.list_objects_v2(Bucket=BUCKET, Prefix=prefix, MaxKeys=10))
        if delete:
            self._do("DELETE", lambda: client.delete_object(**named))

    def _read(self, named: dict[str, str], content: bytes) -> S3Client:
        answer = self._client.get_object(**named)
        with contextlib.closing(answer["Body"]) as body:
            found = body.read()
        assert found == content, f"{len(found)} other bytes"
        return answer

    def _do(self, what: str, action: Callable[[], S3Client]) -> None:
        began = time.monotonic()
        try:
            retried = action()["ResponseMetadata"]["RetryAttempts"]
        except (ClientError, BotoCoreError, AssertionError) as error:
            waited_s = time.monotonic() - began
            self.failed.append(f"{what} by {self._name} after {waited_s:.2f} s: {error}")
        else:
            self.attempts[1 + retried] += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


@pytest.mark.slow
@pytest.mark.xdist_group("disks")
def test_restarts_in_order_fail_no_request(tmp_path: Path) -> None:
    with Cluster.running(tmp_path, parity=1, workers=2, buckets=(BUCKET,)) as cluster:
        for server in cluster.servers:
            restart_under_load(cluster, server)


def restart_under_load(cluster: Cluster, server: int) -> None:
    """Restart a server while clients use the other one, and an address in front of both."""
    with ExitStack() as stack:
        balancer = Forwarder([cluster.address(one) for one in cluster.servers])
        url = stack.enter_context(balancer.running()).url
        clients = [
            stack.enter_context(Busy(url, "balanced").running()),
            stack.enter_context(Busy(cluster.url(1 - server), "direct").running()),
        ]
        wait_for_more(cluster, clients)
        began = time.monotonic()
        cluster.stop_server(server)
        cluster.start_server(server)
        cluster.wait_ready()
        away_s = time.monotonic() - began
        wait_for_more(cluster, clients)
    if away_s > STOP_AWAITED_S:
        pytest.skip(f"this machine took {away_s:.0f} s to restart a server")
    for one in clients:
        assert not one.failed, (away_s, one.attempts, one.failed[:5], cluster.output())
        # Had nobody had to wait, this would have proved nothing.
        assert one.slowest_s > 0.3
        # Nearly all waited in the server: a client repeats only what was cut off in the middle.
        assert one.attempts[1] > 0.9 * one.answered


def wait_for_more(cluster: Cluster, clients: list[Busy]) -> None:
    """Wait until each client has had some more answers."""
    enough = [one.answered + 20 for one in clients]
    cluster.wait_until(
        lambda: all(one.answered > goal for one, goal in zip(clients, enough, strict=True)), 90
    )

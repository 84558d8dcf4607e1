"""A server that is restarted in order: clients with an SDK's usual retries see a delay, no error.

Two servers with EC:1, of which neither can do anything without the other one.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from objstore.limits import STOP_AWAITED_S
from tests.e2e.credentials import ACCESS_KEY, REGION, SECRET_KEY
from tests.e2e.forwarder import Forwarder
from tests.e2e.running import Cluster

BUCKET = "busy"
SMALL, LARGE = b"s" * 4_000, b"l" * 3_000_000


def client_of(url: str) -> Any:
    """Return a client as it comes: boto3's standard mode, three attempts in all."""
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
        self.answered = 0
        self.slowest_s = 0.0
        self._name = name
        self._client = client_of(url)
        self._stopping = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(n,)) for n in range(2)]

    @contextmanager
    def running(self) -> Iterator["Busy"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            for thread in self._threads:
                thread.join(60)
            self._client.close()

    def _work(self, number: int) -> None:
        serial = 0
        while not self._stopping.is_set():
            serial += 1
            content = LARGE if serial % 8 == number else SMALL
            named = {"Bucket": BUCKET, "Key": f"{self._name}/{number}/{serial}"}
            prefix = {"Bucket": BUCKET, "Prefix": f"{self._name}/{number}/", "MaxKeys": 10}
            self._do("PUT", lambda: self._client.put_object(**named, Body=content))
            self._do("GET", lambda: self._read(named, content))
            self._do("LIST", lambda: self._client.list_objects_v2(**prefix))
            if serial % 2:
                self._do("DELETE", lambda: self._client.delete_object(**named))

    def _read(self, named: dict[str, str], content: bytes) -> None:
        found = self._client.get_object(**named)["Body"].read()
        assert found == content, f"{len(found)} other bytes"

    def _do(self, what: str, action: Callable[[], Any]) -> None:
        began = time.monotonic()
        try:
            action()
        except (ClientError, BotoCoreError, AssertionError) as error:
            waited_s = time.monotonic() - began
            self.failed.append(f"{what} by {self._name} after {waited_s:.2f} s: {error}")
        else:
            self.answered += 1
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster.running(tmp_path, parity=1, workers=2, buckets=(BUCKET,)) as running:
        yield running


@pytest.mark.slow
def test_restarts_one_after_the_other_fail_no_request(cluster: Cluster) -> None:
    for server, other in ((0, 1), (1, 0)):
        with ExitStack() as stack:
            balancer = Forwarder([cluster.address(one) for one in cluster.servers])
            url = stack.enter_context(balancer.running()).url
            clients = [
                stack.enter_context(Busy(url, "balanced").running()),
                stack.enter_context(Busy(cluster.url(other), "direct").running()),
            ]
            time.sleep(1)
            cluster.stop_server(server)
            stopped = time.monotonic()
            before = [one.answered for one in clients]
            cluster.start_server(server)
            cluster.wait_ready()
            away_s = time.monotonic() - stopped
            cluster.wait_healthy()
            time.sleep(1)
            after = [one.answered for one in clients]
        failed = [problem for one in clients for problem in one.failed]
        assert not failed, (len(failed), away_s, failed[:5], cluster.output())
        print(f"away {away_s:.1f} s", before, after, [one.slowest_s for one in clients])
        assert all(late > early for late, early in zip(after, before, strict=True))
        assert max(one.slowest_s for one in clients) > 0.3, "nobody had to wait"

"""One disk hangs or crawls: clients hardly notice, it is flagged, and it comes back by itself.

F13 and F14. EC:1 on four drives of two servers, one drive on a file system of its own.
"""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from objstore.limits import WRITE_STRAGGLER_S
from tests.e2e import faults
from tests.e2e.content import Content
from tests.e2e.faults import SmallFileSystem, within
from tests.e2e.running import Cluster
from tests.e2e.slow_disk import frozen, throttled

pytestmark = [
    pytest.mark.xdist_group("disks"),
    pytest.mark.root,
    pytest.mark.slow,
]
BUCKET = "slow"
REQUESTS = 1000
HEALTHY_REQUESTS = 400
CLIENTS = 8
FLAGGED_S = 60.0
SIZES = (3000, 3000, 3000, 300_000)
LARGE = (3000, 3000, 3000, 2_000_000)  # more than the slow disk takes
# What meets the disk before it is flagged waits for it as long as WRITE_STRAGGLER_S: at most as
# many as there are clients, of 1,000 requests fewer than the 10 beyond the 99th percentile.
P99_TIMES = 3.0
P99_FLOOR_S = 0.5  # a machine so quick that three times healthy is less than a scheduler's hiccup


class Requests:
    """Clients that share out a number of requests over both servers."""

    def __init__(
        self, cluster: Cluster, count: int, seed: int, sizes: tuple[int, ...] = SIZES
    ) -> None:
        self._cluster = cluster
        self._sizes = sizes
        self._left = count
        self._seed = seed
        self._lock = threading.Lock()
        self.took_s: list[float] = []
        self.failed: list[str] = []

    def run(self) -> "Requests":
        """Do them; returns when all are answered."""
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(CLIENTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(180)
            assert not thread.is_alive(), "a client hangs"
        return self

    @property
    def p99_s(self) -> float:
        """The time within which 99 of 100 were answered."""
        return sorted(self.took_s)[len(self.took_s) * 99 // 100]

    def _next(self) -> int | None:
        with self._lock:
            self._left -= 1
            return self._left if self._left >= 0 else None

    def _work(self, worker: int) -> None:
        client = self._cluster.client(worker % 2)
        held: dict[str, Content] = {}
        while (number := self._next()) is not None:
            key = f"{self._seed}/{worker}/{number % 5}"
            began = time.monotonic()
            try:
                if number % 2 or key not in held:
                    content = Content(self._seed * 1_000_000 + number, self._sizes[number % 4])
                    client.put_object(Bucket=BUCKET, Key=key, Body=content.bytes())
                    held[key] = content
                else:
                    found = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
                    if found != held[key].bytes():
                        self.failed.append(f"GET {key}: wrong bytes")
            except (BotoCoreError, ClientError) as error:
                held.pop(key, None)  # an unanswered PUT: the key holds the old or the new
                self.failed.append(f"{key}: {error}")
            self.took_s.append(time.monotonic() - began)
        client.close()


@pytest.fixture
def slow(
    own_cluster: Callable[..., Cluster], tmp_path: Path
) -> Iterator[tuple[Cluster, SmallFileSystem]]:
    """Return a cluster, and the file system of its second drive."""
    if not faults.loop_devices_work(tmp_path):
        pytest.skip("this machine mounts no loop devices")
    with faults.small_file_systems() as make:
        made: list[SmallFileSystem] = []

        def prepare(cluster: Cluster) -> None:
            made.append(make(cluster.drives[1], size_mib=512))

        cluster = own_cluster(prepare=prepare, buckets=(BUCKET,))
        try:
            yield cluster, made[0]
        finally:
            cluster.close()


def flagged_after(cluster: Cluster, began: float) -> Callable[[], float]:
    """Watch for the drive to be flagged by a server while something else goes on."""
    seen: list[float] = []

    def watch() -> None:
        while not seen and time.monotonic() - began < FLAGGED_S:
            if cluster.state(1, server=0) != "online":
                seen.append(time.monotonic() - began)
            time.sleep(0.2)

    thread = threading.Thread(target=watch)
    thread.start()

    def found() -> float:
        thread.join(FLAGGED_S + 10)
        assert seen, "the drive was not flagged"
        return seen[0]

    return found


def judge(
    healthy: Requests, during: Requests, flagged_s: float, what: str, *, waits_s: float = 0.0
) -> None:
    bound_s = max(P99_TIMES * healthy.p99_s, P99_FLOOR_S, healthy.p99_s + waits_s)
    print(
        f"{what}: p99 {during.p99_s * 1000:.0f} ms, healthy {healthy.p99_s * 1000:.0f} ms, "
        f"slowest {max(during.took_s) * 1000:.0f} ms, {len(during.failed)} of {REQUESTS} failed, "
        f"flagged after {flagged_s:.1f} s"
    )
    assert not healthy.failed, healthy.failed[:5]
    assert len(during.failed) <= REQUESTS // 1000, during.failed[:5]
    assert during.p99_s <= bound_s
    assert flagged_s < FLAGGED_S


def test_a_disk_that_hangs(slow: tuple[Cluster, SmallFileSystem]) -> None:
    """F14: a frozen file system holds its callers in the kernel, and nobody else."""
    cluster, system = slow
    healthy = Requests(cluster, HEALTHY_REQUESTS, 1).run()
    began = time.monotonic()
    with frozen(system.mount_point, at_most_s=90):
        flagged = flagged_after(cluster, began)
        during = Requests(cluster, REQUESTS, 2).run()
        flagged_s = flagged()
    took_s = within(60, cluster.is_healthy, "the drive is back by itself")
    print(f"back after {took_s:.1f} s")
    judge(healthy, during, flagged_s, "frozen")
    after = Requests(cluster, 100, 3).run()
    assert not after.failed, after.failed[:5]


def test_a_disk_at_one_megabyte_a_second(slow: tuple[Cluster, SmallFileSystem]) -> None:
    """F13: throttled by the kernel, in both directions."""
    cluster, system = slow
    healthy = Requests(cluster, HEALTHY_REQUESTS, 1, LARGE).run()
    began = time.monotonic()
    with throttled(system.mount_point, cluster.pids(0), bytes_per_s=1_000_000):
        flagged = flagged_after(cluster, began)
        during = Requests(cluster, REQUESTS, 2, LARGE).run()
        flagged_s = flagged()
    took_s = within(90, cluster.is_healthy, "the drive is back by itself")
    print(f"back after {took_s:.1f} s")
    # It answers, and is tried again after every rest: then a few requests wait for it.
    judge(healthy, during, flagged_s, "1 MB/s", waits_s=WRITE_STRAGGLER_S)

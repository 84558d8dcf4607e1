"""A partition under writers on all sides: nothing that contradicts may be acknowledged.

Writers go on through both sides of a partition, each noting what it was answered. Afterwards every
server has to give the same content of every key, and none that an acknowledged write replaced.
"""

import threading
import time
from dataclasses import dataclass, field
from functools import partial

from objstore.limits import LOST_SERVER_S
from tests.cluster.failures import BUSY_S
from tests.cluster.host_cluster import HostCluster
from tests.cluster.traffic import SERVED, ask
from tests.e2e.faults import within

KEYS = [f"key{number}" for number in range(4)]
_WRITES_EACH = 8


@dataclass(frozen=True)
class Write:
    """One write: what, through which server, when, and whether it was acknowledged."""

    key: str
    body: bytes
    server: int
    began_s: float
    ended_s: float
    code: str


@dataclass
class Writers:
    """One writer for each server, each of them to every key."""

    cluster: HostCluster
    writes: list[Write] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.threads = [
            threading.Thread(target=self._write, args=(server,)) for server in self.cluster.servers
        ]
        for thread in self.threads:
            thread.start()

    def stop(self) -> None:
        self.stopping.set()
        for thread in self.threads:
            thread.join(60)

    def _write(self, server: int) -> None:
        client = self.cluster.client(server)
        count = 0
        while not self.stopping.wait(0.02):
            count += 1
            key = KEYS[count % len(KEYS)]
            # Some lie in the record and some in files.
            body = f"{server}/{count}".encode().ljust(100_000 if count % 3 else 10)
            request = partial(client.put_object, Bucket="bucket", Key=key, Body=body)
            put = ask("put", server, request)
            ended_s = put.began_s + put.took_s
            self.writes.append(Write(key, body, server, put.began_s, ended_s, put.code))


def through_a_partition(
    cluster: HostCluster, away: list[int], *, at_least_s: float = 0.0
) -> dict[int, int]:
    """Partition, write on all sides, heal, compare; return the writes served by server."""
    writers = Writers(cluster)
    try:
        time.sleep(1)
        hosts = cluster.network.hosts
        for one in away:
            for other in set(cluster.servers) - set(away):
                cluster.network.cut(hosts[one], hosts[other])
        cut_s = time.monotonic()
        within(30, lambda: _each_answered(cluster, writers, cut_s), "every server answers writes")
        time.sleep(max(0.0, cut_s + at_least_s - time.monotonic()))
        healed_s = time.monotonic()
        cluster.network.join()
        time.sleep(1)
    finally:
        writers.stop()
    cluster.wait_online(60)
    agree(cluster, writers.writes)
    # What began before, or ended after, may have reached the other side.
    meanwhile = [w for w in writers.writes if w.began_s > cut_s and w.ended_s < healed_s]
    served = [w.server for w in meanwhile if w.code == SERVED]
    counts = {server: served.count(server) for server in cluster.servers}
    print(f"served during the partition, by server: {counts}; refused: "
          f"{len(meanwhile) - len(served)}, slowest "
          f"{max(w.ended_s - w.began_s for w in meanwhile):.2f} s")  # fmt: skip
    # A server that can not even read the bucket says so.
    assert {w.code for w in meanwhile} <= {SERVED, "SlowDownWrite", "SlowDownRead"}
    assert max(w.ended_s - w.began_s for w in meanwhile) <= LOST_SERVER_S + BUSY_S
    return counts


def _each_answered(cluster: HostCluster, writers: Writers, since_s: float) -> bool:
    """Whether every server answered a few writes that began after a moment."""
    answered = [w.server for w in list(writers.writes) if w.began_s > since_s]
    return all(answered.count(server) >= _WRITES_EACH for server in cluster.servers)


def agree(cluster: HostCluster, writes: list[Write]) -> None:
    """Assert that all servers give the same, and that no acknowledged write was lost."""
    for key in KEYS:
        bodies = {
            cluster.client(server).get_object(Bucket="bucket", Key=key)["Body"].read()
            for server in cluster.servers
        }
        assert len(bodies) == 1, f"{key}: servers differ"
        (found,) = [w for w in writes if w.key == key and w.body in bodies]
        replaced_by = [
            w for w in writes if w.key == key and w.code == SERVED and w.began_s > found.ended_s
        ]
        assert not replaced_by, f"{found} was replaced by {replaced_by[0]}"

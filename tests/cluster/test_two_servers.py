"""Two servers with two drives each: what goes on without one, and how fast the rest is refused.

EC:1 needs both servers for everything; EC:2 reads with one and writes with both.
"""

import time

import pytest

from objstore.limits import LOST_SERVER_S
from tests.cluster.failures import READS, returns_by_itself, silent, under_fault
from tests.cluster.host_cluster import HostCluster
from tests.cluster.partitions import through_a_partition
from tests.cluster.traffic import SERVED

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.xdist_group("faults")]
EC1, EC2 = "two-server-ec1.toml", "two-server-ec2.toml"
RETURNS_S = 30.0


@pytest.mark.parametrize("on_hosts", [EC1], indirect=True, ids=["EC:1"])
class TestOneParity:
    @pytest.mark.parametrize("lost", [0, 1])
    def test_without_a_server_everything_is_refused_fast(
        self, layout: HostCluster, lost: int
    ) -> None:
        seen = under_fault(layout, lambda: layout.kill(lost), through=[1 - lost])
        bound_s = LOST_SERVER_S + seen.allowance_s
        assert set(seen.before.codes()) == {SERVED}
        assert seen.during.slowest_s() <= bound_s
        # What was in flight when the server died may have been served before.
        assert set(seen.during.of("put").codes()) <= {"SlowDownWrite", SERVED}
        assert set(seen.during.of("get").codes()) <= {"SlowDownRead", SERVED}
        assert set(seen.late.of("put").codes()) == {"SlowDownWrite"}
        assert set(seen.late.of("get").codes()) == {"SlowDownRead"}
        # Names need fewer slots than contents.
        assert set(seen.during.of("list").codes()) == {SERVED}


@pytest.mark.parametrize("on_hosts", [EC2], indirect=True, ids=["EC:2"])
class TestTwoParity:
    def test_without_a_server_reads_go_on(self, layout: HostCluster) -> None:
        seen = under_fault(layout, lambda: layout.kill(1), through=[0])
        assert set(seen.during.of(*READS).codes()) == {SERVED}
        assert set(seen.late.of("put").codes()) == {"SlowDownWrite"}
        assert seen.during.slowest_s() <= LOST_SERVER_S + seen.allowance_s

    @pytest.mark.parametrize("kind", ["frozen", "unheard"])
    def test_a_silent_server_is_like_a_lost_one(self, layout: HostCluster, kind: str) -> None:
        cause = silent(layout, kind, layout.host(1))
        seen = under_fault(layout, cause, through=[0])
        assert set(seen.during.of(*READS).codes()) == {SERVED}
        assert set(seen.during.of("put").codes()) <= {"SlowDownWrite", SERVED}
        assert seen.during.slowest_s() <= LOST_SERVER_S + seen.allowance_s
        returns_by_itself(layout, within_s=RETURNS_S)
        layout.client(0).put_object(Bucket="bucket", Key="again", Body=b"with both")

    def test_neither_writes_alone(self, layout: HostCluster) -> None:
        assert through_a_partition(layout, [1]) == {0: 0, 1: 0}

    def test_a_slow_server_is_waited_for_by_writes_alone(self, layout: HostCluster) -> None:
        """They need it; reads leave it out as soon as its calls are known to be slow."""
        host = layout.host(1)
        states: set[str] = set()

        def watch() -> None:
            for _ in range(5):
                time.sleep(1)
                states.update(layout.state(drive, 0) for drive in (2, 3))

        seen = under_fault(
            layout, lambda: host.throttle(0.01), through=[0], for_s=5, meanwhile=watch
        )
        assert set(seen.during.of(*READS).codes()) == {SERVED}
        assert set(seen.during.of("put").codes()) <= {"SlowDownWrite", SERVED}
        assert seen.during.of(*READS).slowest_s() <= LOST_SERVER_S + seen.allowance_s
        print(f"seen as {states}")
        returns_by_itself(layout, within_s=RETURNS_S)

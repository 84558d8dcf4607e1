"""Four servers with a full copy each: what goes on without one, two and three of them."""

import time
from functools import partial

import pytest

from objstore.limits import LOST_SERVER_S
from tests.cluster.failures import returns_by_itself, silent, under_fault
from tests.cluster.host_cluster import HostCluster
from tests.cluster.partitions import through_a_partition
from tests.cluster.traffic import SERVED, ask

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.xdist_group("faults"),
    pytest.mark.parametrize("on_hosts", ["quad-full-copy.toml"], indirect=True, ids=["EC:3"]),
]
RETURNS_S = 40.0


def test_reads_and_writes_go_on_down_to_their_quorums(layout: HostCluster) -> None:
    client = layout.client(0)
    client.put_object(Bucket="bucket", Key="key", Body=b"on four")
    expected = [
        ("one lost", SERVED, SERVED),
        ("two lost", SERVED, "SlowDownWrite"),
        ("three lost", "SlowDownRead", "SlowDownWrite"),
    ]
    for lost, (_, reads, writes) in zip((3, 2, 1), expected, strict=True):
        layout.kill(lost)
        put = ask("put", 0, partial(client.put_object, Bucket="bucket", Key="new", Body=b"new"))
        get = ask("get", 0, partial(client.get_object, Bucket="bucket", Key="key"))
        page = ask("list", 0, partial(client.list_objects_v2, Bucket="bucket"))
        print(lost, put, get, page)
        assert (get.code, page.code, put.code) == (reads, reads, writes)
        assert max(get.took_s, page.took_s, put.took_s) <= LOST_SERVER_S


@pytest.mark.parametrize("kind", ["frozen", "deaf"])
def test_a_silent_server_stops_nothing(layout: HostCluster, kind: str) -> None:
    cause = silent(layout, kind, layout.host(3))
    seen = under_fault(layout, cause, through=[0, 1, 2])
    assert set(seen.during.codes()) == {SERVED}
    assert seen.during.slowest_s() <= LOST_SERVER_S + seen.allowance_s
    assert seen.late.slowest_s() <= LOST_SERVER_S / 2 + seen.allowance_s
    returns_by_itself(layout, within_s=RETURNS_S)


def test_a_slow_server_is_taken_out_by_how_long_requests_take(layout: HostCluster) -> None:
    """It answers pings all the time. It comes back by itself when it has rested."""
    host = layout.host(3)
    seen_as = []

    def watch() -> None:
        for _ in range(6):
            time.sleep(1)
            seen_as.append([layout.state(3, server) for server in (0, 1, 2)])

    # 1 % of a network of 100 Mbit/s.
    seen = under_fault(
        layout, lambda: host.slow_link(125_000), through=[0, 1, 2], clients=6, meanwhile=watch
    )
    print(seen_as)
    assert set(seen.during.codes()) == {SERVED}
    assert seen.during.slowest_s() <= LOST_SERVER_S + seen.allowance_s
    assert any("slow" in states for states in seen_as)
    returns_by_itself(layout, within_s=RETURNS_S)


def test_three_go_on_without_the_fourth(layout: HostCluster) -> None:
    counts = through_a_partition(layout, [3])
    assert counts[3] == 0
    assert all(counts[server] for server in (0, 1, 2))


def test_no_half_writes(layout: HostCluster) -> None:
    assert not any(through_a_partition(layout, [2, 3]).values())

"""Health and metrics of real servers: what they say is what is so, while things break.

Two servers with two drives each, EC:2: one server may go and reads go on.
"""

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from botocore.exceptions import ClientError
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.faults import within
from tests.e2e.monitoring_files import metrics_asked_for
from tests.e2e.raw_http import Answer, Shot, send
from tests.e2e.running import Cluster

pytestmark = pytest.mark.xdist_group("monitoring")  # one cluster for all

BUCKET = "watched"
SIZE = 50_000
Page = dict[tuple[str, tuple[tuple[str, str], ...]], float]


TOKEN = "what-prometheus-shows-in-these-tests"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.running(
        tmp_path_factory.mktemp("watched"),
        parity=2,
        buckets=(BUCKET,),
        environment={"OBJSTORE_METRICS_TOKEN": TOKEN},
    ) as cluster:
        yield cluster


def get(cluster: Cluster, path: str, server: int = 0, query: str = "") -> Answer:
    host = "{}:{}".format(*cluster.address(server))
    return send(cluster.address(server), Shot(path=path, query=query, headers=(("Host", host),)))


def scrape(cluster: Cluster, server: int = 0, path: str = "/metrics") -> tuple[set[str], Page]:
    """Return every name that the page declares, and its samples."""
    headers = (
        ("Host", "{}:{}".format(*cluster.address(server))),
        ("Authorization", f"Bearer {TOKEN}"),
    )
    answer = send(cluster.address(server), Shot(path=path, headers=headers))
    assert answer.status == 200
    assert get(cluster, path, server).status != 200
    names, samples = set(), {}
    for line in answer.body.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split()
            names |= (
                {name, *(f"{name}_{part}" for part in ("bucket", "sum", "count"))}
                if (kind == "histogram")
                else {name}
            )
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            names.add(sample.name)
            samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    return names, samples


def value(page: Page, name: str, **labels: str) -> float:
    return page[name, tuple(sorted(labels.items()))]


def operations(cluster: Cluster) -> dict[str, Any]:
    document = json.loads(get(cluster, "/.objstore/health").body)
    return {one["name"]: one for one in document["operations"]}


def put(cluster: Cluster, key: str) -> None:
    client = cluster.client()
    client.put_object(Bucket=BUCKET, Key=key, Body=bytes(SIZE))
    client.close()


def _has_all_metrics(watched: Cluster, server: int, path: str) -> bool:
    names, _ = scrape(watched, server, path)
    return metrics_asked_for() <= names


def test_every_metric_of_the_dashboard_and_the_alerts_is_exported(watched: Cluster) -> None:
    put(watched, "first")
    for server in watched.servers:
        for path in ("/metrics", "/minio/v2/metrics/cluster"):
            # The background process begins its rounds a moment after the servers answer.
            within(20, partial(_has_all_metrics, watched, server, path), "every metric")


def test_requests_drives_and_traffic_are_counted(watched: Cluster) -> None:
    _, before = scrape(watched)
    for number in range(5):
        put(watched, f"counted/{number}")

    def counted() -> bool:
        _, now = scrape(watched)

        def rose(name: str, least: float, **labels: str) -> bool:
            key = name, tuple(sorted(labels.items()))
            return now.get(key, 0) - before.get(key, 0) >= least

        host, port = watched.address(1)
        peer = f"{host}:{port}"
        return (
            rose("objstore_s3_requests_total", 5, operation="PutObject", status="200")
            and rose("minio_s3_requests_total", 5, api="putobject")
            and rose("objstore_s3_received_bytes_total", 5 * SIZE)
            and rose("objstore_peer_calls_total", 10, peer=peer)
            and rose("objstore_peer_sent_bytes_total", 5 * SIZE, peer=peer)  # two of four shards
            and rose("objstore_drive_calls_total", 5, server=peer, drive=str(watched.drives[2]))
        )

    within(10, counted, "everything is counted")
    _, page = scrape(watched)
    assert value(page, "objstore_set_write_slots_to_spare", pool="0", set="0") == 1
    assert value(page, "objstore_set_read_slots_to_spare", pool="0", set="0") == 2
    assert value(page, "minio_cluster_usage_object_total") >= 5


def test_servers_say_which_configuration_they_run(watched: Cluster) -> None:
    for server in watched.servers:
        told = [one["configuration"] for one in watched.info(server)["servers"]]
        assert len(told) == 2
        assert len(set(told)) == 1
        assert told[0]


def test_degraded_objects_are_counted_from_the_first_to_the_last(watched: Cluster) -> None:
    drive = watched.drives[3]
    away = drive.with_name("away")
    drive.rename(away)
    watched.wait_missing(3)
    began = time.time()
    for number in range(4):
        put(watched, f"degraded/{number}")

    def degraded() -> float:
        return value(scrape(watched)[1], "objstore_degraded_objects", pool="0", set="0")

    within(10, lambda: degraded() == 4, "the four are counted")
    _, page = scrape(watched)
    assert value(page, "objstore_degraded_bytes", pool="0", set="0") == 4 * SIZE
    since = value(page, "objstore_degraded_oldest_timestamp_seconds", pool="0", set="0")
    assert began - 1 <= since <= time.time()
    assert value(page, "objstore_set_write_slots_to_spare", pool="0", set="0") == 0
    assert value(page, "minio_cluster_drive_offline_total") == 1
    away.rename(drive)
    within(60, lambda: degraded() == 0, "they are healed")
    _, page = scrape(watched)
    assert value(page, "objstore_degraded_oldest_timestamp_seconds", pool="0", set="0") == 0
    healed = sum(
        value(scrape(watched, server)[1], "objstore_heal_queue_healed_total")
        for server in watched.servers
    )
    assert healed >= 4


def test_maintenance_is_told_before_it_is_done(watched: Cluster) -> None:
    """MinIO: 412 when this server can not be taken down."""
    watched.wait_healthy()
    cluster, read = "/minio/health/cluster", "/minio/health/cluster/read"
    assert get(watched, cluster).status == 200
    assert get(watched, cluster, query="maintenance=true").status == 412
    assert get(watched, read, query="maintenance=true").status == 200
    document = json.loads(get(watched, "/.objstore/health", query="maintenance=true").body)
    assert {one["name"] for one in document["without_this_server"] if one["works"]} == {
        "reads",
        "listings",
    }


@pytest.mark.slow
def test_a_server_that_is_gone_is_said_in_words_and_in_figures(watched: Cluster) -> None:
    put(watched, "kept")
    watched.kill(1)
    within(
        10, lambda: not operations(watched)["writes"]["works"], "it says that writes do not work"
    )
    with pytest.raises(ClientError, match="SlowDown"):
        put(watched, "refused")
    assert watched.client().get_object(Bucket=BUCKET, Key="kept")["Body"].read() == bytes(SIZE)
    told = operations(watched)
    assert {name for name, one in told.items() if one["works"]} == {"reads", "listings"}
    (why,) = told["writes"]["why"]
    assert "2 of 4 slots" in why
    assert "a write needs 3" in why
    assert "127.0.0.1" not in get(watched, "/.objstore/health").body.decode()
    _, page = scrape(watched)
    assert value(page, "objstore_operation_works", operation="writes") == 0
    assert value(page, "objstore_operation_works", operation="reads") == 1
    assert value(page, "minio_cluster_nodes_offline_total") == 1
    assert value(page, "minio_cluster_health_status") == 0
    answer = get(watched, "/minio/health/cluster")
    assert (answer.status, answer.headers["x-minio-write-quorum"]) == (503, "3")
    assert get(watched, "/minio/health/cluster/read").status == 200
    shown = " ".join(watched.admin("info").split())
    host, port = watched.address(1)
    assert f"W{why[1:]}" in shown  # root is told the same, and who it is
    assert f": server {host}:{port} (2 slots: cannot be reached" in shown
    watched.start_server(1)
    within(30, lambda: all(one["works"] for one in operations(watched).values()), "all is back")

"""The metrics page, read back by prometheus_client's own parser."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from objstore.gateway.metrics import Metrics
from objstore.gateway.ports import (
    ClusterInfo,
    DriveInfo,
    ServerInfo,
    SetInfo,
    SetStatus,
    WitnessInfo,
)

SETS = (
    SetStatus(pool=0, index=0, data=3, slots=4, online=3, trusted=3, write_quorum=3, read_quorum=2),
    SetStatus(
        pool=0,
        index=1,
        data=3,
        slots=4,
        online=2,
        trusted=2,
        write_quorum=3,
        read_quorum=2,
        healing_drives=1,
    ),
)


def drive(path: str, state: str, missed: int = 0) -> DriveInfo:
    return DriveInfo(
        server='s"1\n',
        path=path,
        pool=0,
        set_index=0,
        slots=(0,),
        state=state,
        total_bytes=100,
        free_bytes=40,
        missed=missed,
        objects=5,
        object_bytes=50,
    )


INFO = ClusterInfo(
    deployment="d",
    servers=(
        ServerInfo(address="a", state="online", version="1.0", configuration="c0ffee"),
        ServerInfo(address="b", state="offline"),
    ),
    server='s"1\n',
    drives=(drive("/1", "online"), drive("/2", "offline", 7), drive("/3", "rebuilding", 2)),
    sets=(
        SetInfo(
            pool=0,
            index=0,
            scheme="3 + 1",
            slots=4,
            online=3,
            trusted=3,
            write_quorum=3,
            read_quorum=3,
            can_read=True,
            can_write=True,
            degraded=7,
            degraded_bytes=700,
            degraded_since_ms=1_500,
        ),
    ),
)


def samples(page: bytes) -> dict[tuple[str, tuple[str, ...]], float]:
    """Map a sample's name and label values, in the order of the labels' names, to its value."""
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(page.decode())
        for sample in family.samples
    }


def test_requests_are_counted_by_operation_and_status() -> None:
    metrics = Metrics()
    for status in (200, 200, 404):
        metrics.started()
        metrics.finished("GetObject", status, seconds=0.004, received=10, sent=100)
    metrics.started()
    metrics.rejected("AccessDenied")
    metrics.aborted("client")
    found = samples(metrics.render((), None))
    assert found["objstore_s3_requests_total", ("GetObject", "200")] == 2
    assert found["objstore_s3_requests_total", ("GetObject", "404")] == 1
    assert found["objstore_s3_request_seconds_bucket", ("0.005", "GetObject")] == 3
    assert found["objstore_s3_request_seconds_bucket", ("0.0025", "GetObject")] == 0
    assert found["objstore_s3_received_bytes_total", ()] == 30
    assert found["objstore_s3_sent_bytes_total", ()] == 300
    assert found["objstore_s3_requests_in_flight", ()] == 1
    assert found["objstore_s3_rejected_total", ("AccessDenied",)] == 1
    assert found["objstore_s3_aborted_total", ("client",)] == 1


def test_the_cluster_is_shown_under_the_names_of_minio() -> None:
    found = samples(Metrics().render(SETS, INFO))
    assert found["minio_cluster_drive_total", ()] == 3
    assert found["minio_cluster_drive_online_total", ()] == 2
    assert found["minio_cluster_drive_offline_total", ()] == 1
    assert found["minio_cluster_nodes_offline_total", ()] == 1
    assert found["minio_cluster_capacity_raw_free_bytes", ()] == 120
    assert found["minio_cluster_write_quorum", ()] == 3
    assert found["minio_cluster_health_status", ()] == 0
    assert found["minio_cluster_health_erasure_set_status", ("0", "0")] == 1
    assert found["minio_cluster_health_erasure_set_status", ("0", "1")] == 0
    assert found["minio_cluster_health_erasure_set_healing_drives", ("0", "1")] == 1
    assert found["minio_cluster_capacity_usable_total_bytes", ()] == 3 * 100
    assert found["minio_cluster_capacity_usable_free_bytes", ()] == 3 * 40
    assert found["minio_cluster_usage_object_total", ()] == 5
    assert found["minio_node_drive_used_bytes", ("/1", 's"1\n')] == 60
    assert found["minio_node_drive_offline_total", ()] == 1


def test_the_cluster_is_shown_as_this_server_sees_it() -> None:
    found = samples(Metrics().render(SETS, INFO))
    assert found["objstore_drive_missed_notes", ("/2", 's"1\n')] == 7
    assert found["objstore_drive_online", ("/3", 's"1\n')] == 1
    assert found["objstore_drive_online", ("/2", 's"1\n')] == 0
    assert found["objstore_set_write_slots_to_spare", ("0", "0")] == 0
    assert found["objstore_set_write_slots_to_spare", ("0", "1")] == -1
    assert found["objstore_set_read_slots_to_spare", ("0", "1")] == -1
    assert found["objstore_degraded_objects", ("0", "0")] == 7
    assert found["objstore_degraded_bytes", ("0", "0")] == 700
    assert found["objstore_degraded_oldest_timestamp_seconds", ("0", "0")] == 1.5
    assert found["objstore_operation_works", ("writes",)] == 0
    assert found["objstore_operation_works", ("listings",)] == 1
    assert found["objstore_server_online", ("b",)] == 0
    assert found["objstore_server_info", ("c0ffee", "a", "1.0")] == 1


def test_the_epoch_is_shown() -> None:
    told = WitnessInfo(
        answers=True, confirmed=True, asked="a", epoch=5, mode="solo", server="a", other="b"
    )
    page = samples(Metrics().render(SETS, msgspec.structs.replace(INFO, witness=told)))
    assert page["objstore_witness_up", ()] == 1
    assert page["objstore_epoch_number", ()] == 5
    assert [page["objstore_solo", (server,)] for server in "ab"] == [1, 0]
    assert [page["objstore_returning", (server,)] for server in "ab"] == [0, 0]
    back = msgspec.structs.replace(told, answers=False, mode="returning")
    page = samples(Metrics().render(SETS, msgspec.structs.replace(INFO, witness=back)))
    assert page["objstore_witness_up", ()] == 0
    assert [page["objstore_returning", (server,)] for server in "ab"] == [0, 1]


def test_without_a_witness_its_metrics_have_no_value() -> None:
    page = Metrics().render(SETS, INFO)
    assert b"# TYPE objstore_witness_up gauge" in page
    assert ("objstore_witness_up", ()) not in samples(page)


def test_a_scrape_that_knows_less_says_less() -> None:
    found = samples(Metrics().render(SETS, None))
    assert found["minio_cluster_health_status", ()] == 0
    assert not [name for name, _ in found if name.startswith(("objstore_drive", "objstore_degr"))]


def test_requests_have_the_names_of_minio_too() -> None:
    metrics = Metrics()
    for operation, status in (
        ("GetObject", 200), ("GetObject", 206), ("GetObject", 404), ("PutObject", 503),
        ("Service", 200), ("Unknown", 403),
    ):  # fmt: skip
        metrics.started()
        metrics.finished(operation, status, seconds=0.1, received=1, sent=2)
    found = samples(metrics.render((), None))
    assert found["minio_s3_requests_total", ("getobject",)] == 3
    assert found["minio_s3_requests_errors_total", ("getobject",)] == 1
    assert found["minio_s3_requests_4xx_errors_total", ("getobject",)] == 1
    assert found["minio_s3_requests_5xx_errors_total", ("putobject",)] == 1
    assert found["minio_s3_traffic_sent_bytes", ()] == 12
    assert ("minio_s3_requests_total", ("service",)) not in found
    assert ("minio_s3_requests_total", ("unknown",)) not in found


ONE_WORKER = """
import sys
from objstore.gateway.metrics import Metrics
metrics = Metrics(sys.argv[1])
metrics.started()
metrics.finished("GetObject", 200, seconds=0.1, received=1, sent=10)
sys.stdout.buffer.write(metrics.render((), None))
"""


def test_any_worker_answers_for_all(tmp_path: Path) -> None:
    """Workers share the port, so which one a scrape reaches is chance."""
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    pages = [
        subprocess.run(
            [sys.executable, "-c", ONE_WORKER, str(tmp_path)],
            env=environment,
            check=True,
            capture_output=True,
        ).stdout
        for _ in range(2)
    ]
    found = samples(pages[1])
    assert found["objstore_s3_requests_total", ("GetObject", "200")] == 2
    assert found["objstore_s3_sent_bytes_total", ()] == 20

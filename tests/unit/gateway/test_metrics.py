"""The metrics page, read back by prometheus_client's own parser."""

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from objstore.gateway.metrics import Metrics
from objstore.gateway.ports import ClusterInfo, DriveInfo, ServerInfo, SetStatus

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
    )


INFO = ClusterInfo(
    deployment="d",
    servers=(ServerInfo(address="a", state="online"), ServerInfo(address="b", state="offline")),
    drives=(drive("/1", "online"), drive("/2", "offline", 7), drive("/3", "rebuilding", 2)),
    sets=(),
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
    assert found["objstore_missed_objects", ()] == 9
    assert found["objstore_drive_missed_objects", ("/2", 's"1\n')] == 7
    assert found["objstore_drive_online", ("/3", 's"1\n')] == 1


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

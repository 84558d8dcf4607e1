"""The supervisor: what dies is started again, what it started dies with it, what is wrong is said.

One server with four drives of its own: it needs no peer and no cluster secret.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from objstore.cli.local_cluster import LocalCluster
from objstore.cli.local_layout import uniform_layout
from objstore.cli.s3_client import S3Client
from objstore.clock import SystemClock
from objstore.config import Secrets
from tests.e2e.credentials import ACCESS_KEY, CLUSTER_SECRET, REGION, SECRET_KEY
from tests.e2e.running import free_ports

SECRETS = Secrets(ACCESS_KEY, SECRET_KEY, CLUSTER_SECRET)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    local = uniform_layout(tmp_path, servers=1, drives=4, parity=1, base_port=free_ports(1))
    with LocalCluster(tmp_path, local, SECRETS, workers=2) as running:
        running.wait_ready()
        yield running


def until(condition: Callable[[], bool], timeout_s: float = 10) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_a_process_that_dies_is_said_and_started_again(cluster: LocalCluster) -> None:
    client = S3Client(cluster.endpoint(), SECRETS, region=REGION, clock=SystemClock())
    client.create_bucket("kept")
    client.put_object("kept", "a", b"1")
    supervisor, *children = cluster.pids(1)
    assert len(children) == 3
    for child in children:
        os.kill(child, signal.SIGKILL)
    until(lambda: len(set(cluster.pids(1)) - {supervisor, *children}) == 3)
    until(lambda: cluster.is_ready(1))
    assert client.get_object("kept", "a") == b"1"
    assert cluster.log_path(1).read_text().count("started again") == 3
    assert "SIGKILL" in cluster.log_path(1).read_text()


def test_nothing_outlives_a_supervisor_that_was_killed(cluster: LocalCluster) -> None:
    supervisor, *children = cluster.pids(1)
    os.kill(supervisor, signal.SIGKILL)
    until(lambda: not any(map(is_alive, children)), 3)


def test_a_server_stops_on_request_cleanly_and_within_its_bound(cluster: LocalCluster) -> None:
    pids = cluster.pids(1)
    begun = time.monotonic()
    cluster.stop_server(1)
    assert time.monotonic() - begun < 10
    assert cluster.exit_code(1) == 0
    assert not any(map(is_alive, pids))
    assert "Traceback" not in cluster.log_path(1).read_text()


def test_a_second_server_on_the_same_ports_is_refused(cluster: LocalCluster) -> None:
    done = objstore(
        "server", str(cluster.directory / "x{1...4}"), "--address", cluster.endpoint()[7:]
    )
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert cluster.is_ready(1)


def objstore(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    secrets = {"OBJSTORE_ROOT_USER": ACCESS_KEY, "OBJSTORE_ROOT_PASSWORD": SECRET_KEY}
    return subprocess.run(
        [sys.executable, "-m", "objstore", *arguments],
        env=kept | secrets | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


REFUSED: list[tuple[list[str], dict[str, str], str]] = [
    (["server"], {}, "no drives"),
    (["server", "/d{1..4}"], {}, "{1..4}"),
    (["server", "/d{1...4}"], {"OBJSTORE_ROOT_PASSWORD": "minioadmin"}, "ROOT_PASSWORD"),
    (["server", "/d{1...4}"], {"OBJSTORE_ROOT_USER": ""}, "ROOT_USER"),
    (["server", "http://127.0.0.1:9000/{a,b}"], {}, "range"),
    (
        ["server", "http://127.0.0.1:9000/d{1...2}", "http://127.0.0.1:9010/e{1...2}"],
        {},
        "CLUSTER_SECRET",
    ),
    (["server", "/d{1...4}", "--parity", "9"], {}, "EC:"),
    (["server", "/d{1...4}", "--address", "nonsense"], {}, "address"),
    (["server", "--config", "/nowhere.toml"], {}, "/nowhere.toml"),
    (["server", "/d{1...4}"], {"OBJSTORE_WORKERZ": "2"}, "OBJSTORE_WORKERS"),
    (["server", "/d{1...4}"], {"PYTHONOPTIMIZE": "1"}, "assertions"),
]


@pytest.mark.parametrize(("arguments", "environment", "said"), REFUSED)
def test_what_is_wrong_is_said_in_three_lines_and_with_exit_code_2(
    arguments: list[str], environment: dict[str, str], said: str
) -> None:
    done = objstore(*arguments, **environment)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    for word in ("found:", "expected:", "what to do:"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET_KEY not in done.stderr

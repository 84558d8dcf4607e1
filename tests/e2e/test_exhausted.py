"""A server that has run out of descriptors, or of memory: F41, F42."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from objstore.limits import KIB
from tests.e2e.faults import within
from tests.e2e.load import Load
from tests.e2e.running import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("disks")]

BUCKET = "load"
OTHER = "other"
BACK_S = 60.0


@pytest.fixture(scope="module")
def cluster_of_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    root = tmp_path_factory.mktemp("exhausted")
    with Cluster.running(root, parity=2, buckets=(BUCKET, OTHER)) as cluster:
        yield cluster


@pytest.fixture
def cluster(cluster_of_module: Cluster) -> Cluster:
    """Return a cluster that is whole, with nothing of another test in its bucket."""
    client = cluster_of_module.client(0)
    for item in client.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        client.delete_object(Bucket=BUCKET, Key=item["Key"])
    client.close()
    return cluster_of_module


@contextmanager
def without_descriptors(pids: tuple[int, ...]) -> Iterator[None]:
    """Let processes open nothing more; what they have open stays."""
    before = {}
    try:
        for pid in pids:
            soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
            before[pid] = (soft, hard)
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
        yield
    finally:
        for pid, limits in before.items():
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


def is_served(cluster: Cluster, server: int) -> bool:
    client = cluster.client(server)
    try:
        client.put_object(Bucket=OTHER, Key="served", Body=bytes(300_000))
        return len(client.get_object(Bucket=OTHER, Key="served")["Body"].read()) > 0
    except (ClientError, BotoCoreError):
        return False
    finally:
        client.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to set the limits of other processes")
@pytest.mark.root
def test_a_server_without_descriptors_loses_nothing_and_comes_back(
    cluster: Cluster,
) -> None:
    """No request gets a wrong answer; the same processes serve again when there are some."""
    load = Load(cluster, BUCKET, seed=42)
    with load.running():
        load.wait_for(50)
        pids = cluster.pids(0)
        with without_descriptors(pids):
            client = cluster.client(1)
            for _ in range(20):
                with suppress(ClientError):  # 503, as two of four drives may refuse
                    client.put_object(Bucket=OTHER, Key="meanwhile", Body=bytes(300_000))
        within(BACK_S, lambda: is_served(cluster, 0) and is_served(cluster, 1), "both serve")
        load.wait_for(20)
    assert not load.outcome.wrong
    cluster.wait_healthy()
    load.check_everything()
    load.check_everything(server=1)
    assert cluster.pids(0) == pids


MEMORY = Path("/sys/fs/cgroup/memory")
LITTLE_BYTES = 256 * KIB


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """A control group whose memory can be limited (cgroup v1, as in tests/e2e/slow_disk.py)."""
    group = MEMORY / f"objstore-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("-1")
    except OSError as error:
        pytest.skip(f"no control group for memory here: {error}")
    try:
        yield group
    finally:
        with suppress(OSError):
            for pid in (group / "cgroup.procs").read_text().split():
                (MEMORY / "cgroup.procs").write_text(pid)
            group.rmdir()


def kills(group: Path) -> int:
    words = (group / "memory.oom_control").read_text().split()
    return int(words[words.index("oom_kill") + 1]) if "oom_kill" in words else 0


@pytest.mark.root
def test_what_was_acknowledged_survives_when_the_kernel_kills_for_memory(
    cluster: Cluster, cgroup: Path
) -> None:
    """Processes of one server are killed as they ask for memory; then it is started again."""
    load = Load(cluster, BUCKET, seed=41)
    with load.running():
        load.wait_for(50)
        for pid in cluster.pids(0):
            (cgroup / "cgroup.procs").write_text(str(pid))
        (cgroup / "memory.limit_in_bytes").write_text(str(LITTLE_BYTES))
        within(BACK_S, lambda: kills(cgroup), "the kernel kills")
        (cgroup / "memory.limit_in_bytes").write_text("-1")
        cluster.kill(0)  # what the kernel left of it: it may have chosen the supervisor
        cluster.start_server(0)
        within(BACK_S, lambda: is_served(cluster, 0) and is_served(cluster, 1), "both serve")
        load.wait_for(20)
    assert not load.outcome.wrong
    cluster.wait_healthy()
    load.check_everything()
    load.check_everything(server=1)

"""What every test gets: markers that need root are skipped by name, clusters that really run."""

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.e2e.content import fresh_name
from tests.e2e.running import Cluster, S3Client

# How long an example takes says how busy the machine is, and nothing about the property.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def pytest_collection() -> None:
    """Look for no garbage while ten thousand tests are collected: there is none."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Never look through the tests themselves again."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what only root can cause, and say so."""
    if os.geteuid() == 0:
        return
    for item in items:
        if item.get_closest_marker("root"):
            item.add_marker(
                pytest.mark.skip(
                    reason="needs root: it mounts file systems or makes network namespaces"
                )
            )


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Return one healthy cluster that every test shares and none harms."""
    with Cluster.running(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.fixture
def own_cluster(tmp_path: Path) -> Iterator[Callable[..., Cluster]]:
    """Start clusters for one test alone; it may do anything to them."""
    started: list[Cluster] = []

    def start(**options: object) -> Cluster:
        running = Cluster(tmp_path / f"cluster{len(started) + 1}", **options)  # type: ignore[arg-type]
        started.append(running)
        running.start()
        return running

    try:
        yield start
    finally:
        for running in started:
            running.close()


@pytest.fixture(params=[0, 1], ids=["server1", "server2"])
def s3(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[S3Client]:
    """Return a client of each server in turn."""
    client = cluster.client(request.param)
    yield client
    client.close()


@pytest.fixture
def bucket(cluster: Cluster) -> str:
    """Return the name of a new bucket on the shared cluster."""
    name = fresh_name("bucket")
    client = cluster.client(0)
    client.create_bucket(Bucket=name)
    client.close()
    return name


@pytest.fixture
def no_aws_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Hide the user's own configuration from the clients that a test runs."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "RCLONE_", "S3_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path

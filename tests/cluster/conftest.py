"""Clusters on hosts: one of each layout for a module, whole again after every test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.host_cluster import HostCluster
from tests.cluster.hosts import hosts_work

CONFIG = Path(__file__).parents[2] / "config"


@pytest.fixture(scope="module")
def on_hosts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HostCluster]:
    """Run what a file of config/ describes, with a bucket called "bucket"."""
    if not hosts_work():
        pytest.skip("this machine makes no network namespaces")
    root = tmp_path_factory.mktemp("hosts")
    with HostCluster.on_hosts(root, CONFIG / request.param, buckets=("bucket",)) as running:
        yield running


@pytest.fixture
def layout(on_hosts: HostCluster) -> Iterator[HostCluster]:
    """Give the module's cluster, and bring it back afterwards."""
    yield on_hosts
    on_hosts.restore()

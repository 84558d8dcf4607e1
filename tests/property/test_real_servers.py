"""Some of the same sequences against real processes, through two servers in turn."""

import time
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import Phase

from objstore.limits import BUCKET_CACHE_S, PART_BYTES_MIN
from tests.e2e.running import Cluster, S3Client
from tests.property.sequences import Sequences
from tests.property.server import Counts
from tests.property.test_sequences import run


class RealServers:
    """A cluster that one sequence after the other uses; a `Served` whose clock is its own."""

    part_bytes_min = PART_BYTES_MIN

    def __init__(self, cluster: Cluster, client: S3Client) -> None:
        self._cluster = cluster
        for bucket in client.list_buckets()["Buckets"]:
            _remove(client, bucket["Name"])  # what a failed sequence left
        self.settle()

    @property
    def addresses(self) -> Sequence[tuple[str, int]]:
        return [self._cluster.address(server) for server in self._cluster.servers]

    def now_ns(self) -> int:
        return time.time_ns()

    def exact_s(self) -> int | None:
        return None

    def advance(self, seconds: float) -> None:
        """Nobody can."""

    def settle(self) -> None:
        """AWS: "Bucket configurations have an eventual consistency model." Ours takes a second."""
        time.sleep(BUCKET_CACHE_S + 0.05)

    def usage(self, bucket: str) -> list[Counts]:
        return []

    def files(self) -> int:
        return 0

    def close(self) -> None:
        """The next sequence uses it too."""


def _remove(client: S3Client, bucket: str) -> None:
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket):
        for entry in page.get("Versions", []) + page.get("DeleteMarkers", []):
            client.delete_object(Bucket=bucket, Key=entry["Key"], VersionId=entry["VersionId"])
    client.delete_bucket(Bucket=bucket)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.running(tmp_path_factory.mktemp("sequences")) as running:
        yield running


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_real_servers_do_what_the_model_does(servers: Cluster) -> None:
    client = servers.client()
    phases = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking would take long
    run(lambda: Sequences(RealServers(servers, client)), 15, phases=phases)

"""MinIO's names for what means the same here, so that its dashboards and alerts go on working.

A name of MinIO's whose meaning differs is left out rather than filled with something else:
docs/operating/monitoring.md lists both.
"""

from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client.core import GaugeMetricFamily, Metric

from objstore.gateway.explain import AWAY_STATES
from objstore.gateway.ports import ClusterInfo, DriveInfo, SetStatus

_REQUESTS: Final = "objstore_s3_requests"
# What is counted as a request and is none of S3's: probes and scrapes, and what was refused
# before it was known what it asks for.
_NO_API: Final = frozenset({"Service", "Preflight", "Unknown"})
_PEER_SUMS: Final = (
    ("objstore_peer_sent_bytes", "minio_inter_node_traffic_sent_bytes", "Bytes sent to peers"),
    (
        "objstore_peer_received_bytes",
        "minio_inter_node_traffic_received_bytes",
        "Bytes received from peers",
    ),
    ("objstore_peer_failures", "minio_inter_node_traffic_errors_total", "Calls that failed"),
)
_TRAFFIC: Final = (
    ("objstore_s3_received_bytes", "minio_s3_traffic_received_bytes", "Bytes of request bodies"),
    ("objstore_s3_sent_bytes", "minio_s3_traffic_sent_bytes", "Bytes of response bodies"),
)


def s3_families(counted: Iterable[Metric]) -> Iterator[Metric]:
    """Tell what all workers counted under MinIO's names."""
    by_name = {family.name: family for family in counted}
    yield from _requests(by_name.get(_REQUESTS))
    for ours, theirs, meaning in (*_TRAFFIC, *_PEER_SUMS):
        family = by_name.get(ours)
        samples = [] if family is None else family.samples
        total = sum(sample.value for sample in samples if sample.name == f"{ours}_total")
        yield _counter(theirs, meaning, {(): total}, ())


def _requests(family: Metric | None) -> Iterator[Metric]:
    answered: Tally[tuple[str, str]] = Tally()
    for sample in family.samples if family is not None else ():
        operation, status = sample.labels.get("operation", ""), sample.labels.get("status", "")
        if sample.name == f"{_REQUESTS}_total" and operation not in _NO_API:
            answered[operation.lower(), status] += int(sample.value)
    for name, meaning, classes in (
        ("minio_s3_requests_total", "S3 requests", "012345"),
        ("minio_s3_requests_errors_total", "S3 requests with an error", "45"),
        ("minio_s3_requests_4xx_errors_total", "S3 requests with a 4xx error", "4"),
        ("minio_s3_requests_5xx_errors_total", "S3 requests with a 5xx error", "5"),
    ):
        by_api: Tally[tuple[str, ...]] = Tally()
        for (api, status), count in answered.items():
            if status[:1] in classes:
                by_api[api,] += count
        yield _counter(name, meaning, by_api, ("api",))


def _counter(
    name: str, meaning: str, values: dict[tuple[str, ...], float] | Tally[tuple[str, ...]],
    labels: Sequence[str],
) -> Metric:  # fmt: skip
    """Return a counter under exactly this name: the library would add _total to some of them."""
    family = Metric(name, meaning, "unknown")
    for label_values, value in values.items():
        family.add_sample(name, dict(zip(labels, label_values, strict=True)), value)
    return family


def minio_families(sets: Sequence[SetStatus], info: ClusterInfo | None) -> Iterator[Metric]:
    """Tell how the cluster stands under MinIO's names."""
    yield from _sets(sets)
    if info is not None:
        for name, meaning, value in (*_cluster(info), *_capacity(sets, info), *_own(info)):
            yield GaugeMetricFamily(name, meaning, value=value)
        yield from _own_drives(info)


def _sets(sets: Sequence[SetStatus]) -> Iterator[Metric]:
    rows: tuple[tuple[str, str, Iterable[float]], ...] = (
        ("online_drives", "Slots online", (one.online for one in sets)),
        ("healing_drives", "Drives being healed", (one.healing_drives for one in sets)),
        ("read_quorum", "Slots a read needs", (max(s.read_quorum, s.data) for s in sets)),
        ("write_quorum", "Slots a write needs", (one.write_quorum for one in sets)),
        ("status", "1 when the set can be written", (float(one.can_write()) for one in sets)),
        ("read_status", "1 when the set can be read", (float(one.can_read()) for one in sets)),
    )
    for name, meaning, values in rows:
        family = GaugeMetricFamily(
            f"minio_cluster_health_erasure_set_{name}", meaning, labels=("pool", "set")
        )
        for one, value in zip(sets, values, strict=True):
            family.add_metric((str(one.pool), str(one.index)), value)
        yield family
    works = float(all(one.can_write() for one in sets))
    yield GaugeMetricFamily(
        "minio_cluster_health_status", "1 when every set can be written", value=works
    )
    most = max((one.write_quorum for one in sets), default=0)
    yield GaugeMetricFamily(
        "minio_cluster_write_quorum", "Slots a write needs, of the set that needs most", value=most
    )


_Row = tuple[str, str, float]


def _cluster(info: ClusterInfo) -> Iterator[_Row]:
    online = sum(drive.state not in AWAY_STATES for drive in info.drives)
    servers = sum(server.state == "online" for server in info.servers)
    yield "minio_cluster_drive_total", "Drives", len(info.drives)
    yield "minio_cluster_drive_online_total", "Drives that answer", online
    yield "minio_cluster_drive_offline_total", "Drives that do not", len(info.drives) - online
    yield "minio_cluster_nodes_online_total", "Servers that answer", servers
    offline = len(info.servers) - servers
    yield "minio_cluster_nodes_offline_total", "Servers that do not", offline


def _capacity(sets: Sequence[SetStatus], info: ClusterInfo) -> Iterator[_Row]:
    raw, free = "minio_cluster_capacity_raw_total_bytes", "minio_cluster_capacity_raw_free_bytes"
    yield raw, "Size of all drives", sum(drive.total_bytes for drive in info.drives)
    yield free, "Free on all drives", sum(drive.free_bytes for drive in info.drives)
    total_usable = free_usable = objects = object_bytes = 0
    for one in sets:
        known = [
            drive
            for drive in info.drives
            if (drive.pool, drive.set_index) == (one.pool, one.index)
            and drive.slots
            and drive.total_bytes
        ]
        # Every slot of a set fills alike: the smallest decides.
        total_usable += one.data * min((d.total_bytes // len(d.slots) for d in known), default=0)
        free_usable += one.data * min((d.free_bytes // len(d.slots) for d in known), default=0)
        held = _most_agree(known)
        objects, object_bytes = objects + held[0], object_bytes + held[1]
    yield "minio_cluster_capacity_usable_total_bytes", "What objects may take", total_usable
    yield "minio_cluster_capacity_usable_free_bytes", "What objects may still take", free_usable
    yield "minio_cluster_usage_object_total", "Keys with an object", objects
    yield "minio_cluster_usage_total_bytes", "Their sizes, before encoding", object_bytes


def _most_agree(drives: Sequence[DriveInfo]) -> tuple[int, int]:
    """Return keys and bytes of a set, as most of its trusted drives count them."""
    counts = Tally((one.objects, one.object_bytes) for one in drives if one.trusted)
    return max(counts, key=lambda pair: (counts[pair], pair), default=(0, 0))


def _own(info: ClusterInfo) -> Iterator[_Row]:
    own = [drive for drive in info.drives if drive.server == info.server]
    online = sum(drive.state not in AWAY_STATES for drive in own)
    yield "minio_node_drive_total", "Drives of this server", len(own)
    yield "minio_node_drive_online_total", "Those that answer", online
    yield "minio_node_drive_offline_total", "Those that do not", len(own) - online


def _own_drives(info: ClusterInfo) -> Iterator[Metric]:
    own = [drive for drive in info.drives if drive.server == info.server]
    rows: tuple[tuple[str, str, Iterable[float]], ...] = (
        ("total", "Size of a drive of this server", (one.total_bytes for one in own)),
        ("free", "Free on it", (one.free_bytes for one in own)),
        ("used", "Used on it", (one.total_bytes - one.free_bytes for one in own)),
    )
    for name, meaning, values in rows:
        family = GaugeMetricFamily(
            f"minio_node_drive_{name}_bytes", meaning, labels=("server", "drive")
        )
        for one, value in zip(own, values, strict=True):
            family.add_metric((one.server, one.path), value)
        yield family

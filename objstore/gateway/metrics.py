"""Prometheus metrics: what this server's S3 requests did, and how the cluster stands.

Request metrics are counted by each worker. Workers of one server share a port, so a scrape
reaches any of them: with `directory` set (prometheus_client's multi-process mode, which
server.py prepares) whichever answers adds up all of them. Cluster metrics carry MinIO's names
where MinIO has one, so that its dashboards and alerts go on working.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from objstore.gateway.ports import CertificateInfo, ClusterInfo, DriveInfo, SetStatus

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_BUCKETS_S: Final = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05),
    *(0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0),
)


class Metrics:
    """The counters of one worker."""

    def __init__(self, directory: str | None = None) -> None:
        self._directory = directory
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "objstore_s3_requests",
            "S3 requests answered, by operation and HTTP status",
            ("operation", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "objstore_s3_request_seconds",
            "From the request's head to the last byte of its answer",
            ("operation",),
            buckets=_BUCKETS_S,
            registry=self._registry,
        )
        self._received = Counter(
            "objstore_s3_received_bytes", "Bytes of request bodies", registry=self._registry
        )
        self._sent = Counter(
            "objstore_s3_sent_bytes", "Bytes of response bodies", registry=self._registry
        )
        self._rejected = Counter(
            "objstore_s3_rejected",
            "Requests refused before they were an operation, by S3 error code",
            ("reason",),
            registry=self._registry,
        )
        self._aborted = Counter(
            "objstore_s3_aborted",
            "Answers cut short: the client hung up, or the data could not be read",
            ("cause",),
            registry=self._registry,
        )
        self._in_flight = Gauge(
            "objstore_s3_requests_in_flight",
            "Requests being answered now",
            registry=self._registry,
            multiprocess_mode="livesum",
        )
        # One lookup by plain tuple instead of prometheus_client's `labels` for each request.
        self._requests_of: dict[tuple[str, int], Counter] = {}
        self._seconds_of: dict[str, Histogram] = {}

    def started(self) -> None:
        """Count a request as in flight."""
        self._in_flight.inc()

    def finished(
        self, operation: str, status: int, *, seconds: float, received: int, sent: int
    ) -> None:
        """Count an answered request."""
        self._in_flight.dec()
        requests = self._requests_of.get((operation, status))
        if requests is None:
            requests = self._requests.labels(operation, str(status))
            self._requests_of[operation, status] = requests
        requests.inc()
        histogram = self._seconds_of.get(operation)
        if histogram is None:
            histogram = self._seconds_of[operation] = self._seconds.labels(operation)
        histogram.observe(seconds)
        if received:
            self._received.inc(received)
        if sent:
            self._sent.inc(sent)

    def rejected(self, reason: str) -> None:
        """Count a request that was refused before its operation was known."""
        self._rejected.labels(reason).inc()

    def aborted(self, cause: str) -> None:
        """Count an answer that was cut short; `cause` is "client" or "server"."""
        self._aborted.labels(cause).inc()

    def render(self, sets: Sequence[SetStatus], info: ClusterInfo | None) -> bytes:
        """Write everything in Prometheus' text format."""
        registry = self._registry
        if self._directory is not None:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry, self._directory)  # type: ignore[no-untyped-call]
        cluster = CollectorRegistry()
        cluster.register(_ClusterCollector(sets, info))
        return generate_latest(registry) + generate_latest(cluster)


class _ClusterCollector(Collector):
    def __init__(self, sets: Sequence[SetStatus], info: ClusterInfo | None) -> None:
        self._sets = sets
        self._info = info

    def collect(self) -> Iterator[Metric]:
        yield from _set_families(self._sets)
        if self._info is not None:
            yield from _cluster_families(self._info)
            yield from _drive_families(self._info.drives)
            yield _certificate_family(self._info.certificates)


def _set_families(sets: Sequence[SetStatus]) -> Iterator[Metric]:
    labels = ("pool", "set")
    rows: tuple[tuple[str, str, Iterable[float]], ...] = (
        ("online_drives", "Slots online", (one.online for one in sets)),
        ("healing_drives", "Drives being healed", (one.healing_drives for one in sets)),
        ("read_quorum", "Slots a fresh read needs", (one.read_quorum for one in sets)),
        ("write_quorum", "Slots a write needs", (one.write_quorum for one in sets)),
        ("status", "1 when the set can be written", (float(one.can_write()) for one in sets)),
        ("read_status", "1 when the set can be read", (float(one.can_read()) for one in sets)),
    )
    for name, meaning, values in rows:
        family = GaugeMetricFamily(
            f"minio_cluster_health_erasure_set_{name}", meaning, labels=labels
        )
        for one, value in zip(sets, values, strict=True):
            family.add_metric((str(one.pool), str(one.index)), value)
        yield family
    yield GaugeMetricFamily(
        "minio_cluster_health_status",
        "1 when every set can be written",
        value=float(all(one.can_write() for one in sets)),
    )
    yield GaugeMetricFamily(
        "minio_cluster_write_quorum",
        "Slots a write needs, of the set that needs most",
        value=max((one.write_quorum for one in sets), default=0),
    )


def _cluster_families(info: ClusterInfo) -> Iterator[Metric]:
    online = sum(drive.state != "offline" for drive in info.drives)
    servers_online = sum(server.state == "online" for server in info.servers)
    rows: tuple[tuple[str, str, float], ...] = (
        ("minio_cluster_drive_total", "Drives", len(info.drives)),
        ("minio_cluster_drive_online_total", "Drives that answer", online),
        ("minio_cluster_drive_offline_total", "Drives that do not", len(info.drives) - online),
        ("minio_cluster_nodes_online_total", "Servers that answer", servers_online),
        (
            "minio_cluster_nodes_offline_total",
            "Servers that do not",
            len(info.servers) - servers_online,
        ),
        (
            "minio_cluster_capacity_raw_total_bytes",
            "Size of all drives",
            sum(drive.total_bytes for drive in info.drives),
        ),
        (
            "minio_cluster_capacity_raw_free_bytes",
            "Free on all drives",
            sum(drive.free_bytes for drive in info.drives),
        ),
        (
            "objstore_missed_objects",
            "Versions that some drive missed and has not caught up with",
            sum(drive.missed for drive in info.drives),
        ),
    )
    for name, meaning, value in rows:
        yield GaugeMetricFamily(name, meaning, value=value)


def _drive_families(drives: Sequence[DriveInfo]) -> Iterator[Metric]:
    labels = ("server", "drive")
    rows: tuple[tuple[str, str, Iterable[float]], ...] = (
        ("online", "1 when the drive answers", (float(one.state != "offline") for one in drives)),
        ("trusted", "1 when its absence counts", (float(one.trusted) for one in drives)),
        ("total_bytes", "Size", (one.total_bytes for one in drives)),
        ("free_bytes", "Free", (one.free_bytes for one in drives)),
        ("objects", "Versions it holds", (one.objects for one in drives)),
        ("missed_objects", "Versions it missed", (one.missed for one in drives)),
    )
    for name, meaning, values in rows:
        family = GaugeMetricFamily(f"objstore_drive_{name}", meaning, labels=labels)
        for one, value in zip(drives, values, strict=True):
            family.add_metric((one.server, one.path), value)
        yield family


def _certificate_family(certificates: Sequence[CertificateInfo]) -> Metric:
    family = GaugeMetricFamily(
        "objstore_tls_certificate_expiry_seconds",
        "Until the certificate of a port expires; negative once it has",
        labels=("port",),
    )
    for one in certificates:
        family.add_metric((one.port,), one.expires_in_s)
    return family

"""Prometheus metrics: what this server's S3 requests did, and how the cluster stands.

Request metrics are counted by each worker. Workers of one server share a port, so a scrape
reaches any of them: with `directory` set (prometheus_client's multi-process mode, which
the supervisor prepares) whichever answers adds up all of them. docs/operating/monitoring.md says
what to watch; cluster_metrics.py has what is told of the cluster, minio_metrics.py MinIO's names.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from objstore.gateway.cluster_metrics import cluster_families
from objstore.gateway.minio_metrics import s3_families
from objstore.gateway.ports import ClusterInfo, SetStatus

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
        # From 0 on, so that a rate begins with the first.
        for cause in ("client", "server"):
            self._aborted.labels(cause)
        for reason in ("AccessDenied", "SignatureDoesNotMatch", "SlowDown"):
            self._rejected.labels(reason)
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
        counted = list(registry.collect())
        page = CollectorRegistry()
        page.register(_Collected([*counted, *s3_families(counted), *cluster_families(sets, info)]))
        return generate_latest(page)


class _Collected(Collector):
    """What was collected already: the files of all workers are read once for a page."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families

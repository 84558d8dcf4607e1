"""Prometheus metrics of the background process.

It serves no port: its counters lie in the directory that all processes of a server share
(gateway/metrics.py), so that whichever worker answers a scrape adds them to its own.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge

from objstore.background.lifecycle_report import Result, Work
from objstore.clock import Clock
from objstore.drive.job_states import Comparison


class LifecycleMetrics:
    """Implements background's LifecycleCounters."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._actions = Counter(
            "objstore_lifecycle_actions",
            "What lifecycle rules found due, by action and result: done, changed (it was written "
            "meanwhile), locked (by object lock) or failed (too few drives)",
            ("action", "result"),
            registry=registry,
        )
        self._looked_at = Counter(
            "objstore_lifecycle_looked_at",
            "Versions, delete markers and uploads that lifecycle rules were held against",
            registry=registry,
        )
        self._finished = Gauge(
            "objstore_lifecycle_last_pass_timestamp_seconds",
            "When this server last completed a pass over a set",
            registry=registry,
            multiprocess_mode="max",
        )
        for work in Work:  # from 0 on, so that a rate begins with the first action
            for result in Result:
                self._actions.labels(work.value, result.value)

    def looked_at(self, count: int) -> None:
        self._looked_at.inc(count)

    def acted(self, action: str, result: str) -> None:
        self._actions.labels(action, result).inc()

    def finished(self, now_ms: int, *, complete: bool) -> None:
        if complete:
            self._finished.set(now_ms / 1000)


class HealMetrics:
    """Implements background's HealCounters."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        registry = CollectorRegistry()
        self._healed = Counter(
            "objstore_heal_queue_healed",
            "Keys that this server took off the queue of missed writes because they are whole",
            registry=registry,
        )
        self._looked = Gauge(
            "objstore_heal_queue_last_look_timestamp_seconds",
            "When this server last looked at the missed writes of one of its sets",
            registry=registry,
            multiprocess_mode="max",
        )

    def looked(self) -> None:
        self._looked.set(self._clock.now_ns() / 1e9)

    def healed(self, keys: int) -> None:
        self._healed.inc(keys)


class CompareMetrics:
    """Implements background's CompareCounters."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        counted = {
            "differences": "Places where a drive of this server and another one differed",
            "failed": "Differences that could not be healed",
            "bytes": "Exchanged with other drives to compare the trees of this server's drives",
            "mended": "Leaves of the trees of this server's drives that were wrong, and put right",
            "seconds": "Spent on comparing trees and healing what they showed",
        }
        self._counters = {
            name: Counter(f"objstore_compare_{name}", text, registry=registry)
            for name, text in counted.items()
        }
        self._runs = Counter(
            "objstore_compare_runs", "Comparisons of one drive with its set", registry=registry
        )
        self._finished = Gauge(
            "objstore_compare_last_timestamp_seconds",
            "When this server last compared one of its drives",
            registry=registry,
            multiprocess_mode="max",
        )

    def compared(self, result: Comparison) -> None:
        self._runs.inc()
        self._counters["differences"].inc(result.differences)
        self._counters["failed"].inc(result.failed)
        self._counters["bytes"].inc(result.read_bytes)
        self._counters["mended"].inc(result.mended)
        self._counters["seconds"].inc(max(0, result.finished_ms - result.started_ms) / 1000)
        self._finished.set(result.finished_ms / 1000)

"""What the lower layers keep as plain numbers, carried into metrics once a second.

A call to a drive or to a peer costs an addition; what Prometheus reads lies in files that all
processes of a server share, and is at most PUBLISH_S behind.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from objstore.drive.guarded import DriveHealth, GuardedDrive
from objstore.errors import (
    DriveFaulty,
    DriveFull,
    DriveOffline,
    DriveReadOnly,
    DriveTimeout,
    RecordUnknown,
    ShardCorrupt,
)
from objstore.server.assemble import Engine, Node
from objstore.topology.endpoints import DriveAddress

PUBLISH_S: Final = 1.0
# What a drive does to a caller; that it lacks a shard, or knows a newer version, is no fault.
FAULTS: Final = tuple(
    kind.__name__
    for kind in (
        *(DriveOffline, DriveTimeout, DriveFull, DriveReadOnly, DriveFaulty),
        *(RecordUnknown, ShardCorrupt),
    )
)
_PEER_ROWS: Final = (
    ("calls", "Calls to a peer: small ones, shards begun and shards read"),
    ("failures", "Calls to a peer that got no answer: no session, a break, or too late"),
    ("sent_bytes", "Bytes of calls and shards sent to a peer, as its caller"),
    ("received_bytes", "Bytes of answers and shards received from a peer, as its caller"),
)


class _Published:
    """The counters of one process."""

    def __init__(self, node: Node, engine: Engine) -> None:
        self._node = node
        self._engine = engine
        self._shown: dict[tuple[str, ...], int] = {}
        registry = CollectorRegistry()
        self._peers = {
            name: Counter(f"objstore_peer_{name}", meaning, ("peer",), registry=registry)
            for name, meaning in _PEER_ROWS
        }
        self._calls = Counter(
            "objstore_drive_calls",
            "Calls that this server made to a drive, its own or a peer's",
            ("server", "drive"),
            registry=registry,
        )
        self._errors = Counter(
            "objstore_drive_errors",
            "Calls to a drive that failed through the drive's fault, by what went wrong",
            ("server", "drive", "error"),
            registry=registry,
        )
        self._waiting = Gauge(
            "objstore_s3_requests_waiting",
            "Requests that wait for a server which said that it stops",
            registry=registry,
            multiprocess_mode="livesum",
        )

    def publish(self) -> None:
        """Add what was counted since the last time."""
        self._waiting.set(self._engine.absences.waiting)
        for peer, client in self._node.clients.items():
            for name, counter in self._peers.items():
                self._add(counter, getattr(client.traffic, name), name, peer)
        for address, health in self._drives():
            labels = (address.server, address.path)
            self._add(self._calls, health.calls, "drive", *labels)
            for error in FAULTS:
                self._add(self._errors, health.errors.get(error, 0), "error", *labels, error)

    def _drives(self) -> Iterator[tuple[DriveAddress, DriveHealth]]:
        for handle in self._engine.handles:
            for address, drive in zip(handle.layout.drives, handle.drives, strict=True):
                if isinstance(drive, GuardedDrive):
                    yield address, drive.health

    def _add(self, counter: Counter, now: int, family: str, *labels: str) -> None:
        key = family, *labels
        shown = self._shown.get(key)
        if shown != now:  # the first time it is shown even when it is 0
            counter.labels(*labels).inc(now - (shown or 0))
            self._shown[key] = now


@asynccontextmanager
async def publishing(node: Node, engine: Engine) -> AsyncIterator[None]:
    """Publish inside the context, and once more at its end."""
    published = _Published(node, engine)

    async def run() -> None:
        while True:
            published.publish()
            await asyncio.sleep(PUBLISH_S)

    async with asyncio.TaskGroup() as group:
        running = group.create_task(run())
        try:
            yield
        finally:
            running.cancel()
            published.publish()

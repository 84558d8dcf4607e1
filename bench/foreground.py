"""Clients at a constant rate, while something else goes on: how long do they wait?

Requests start when their time has come, whether those before them were answered or not, and each
is timed from that moment: a server that stalls is seen by every request that should have started
meanwhile, not by one.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.traffic import Access, Connection

CONNECTIONS_MAX = 128  # of each server; beyond it requests wait for one, and are timed


@dataclass(frozen=True)
class Waited:
    """How long requests of one kind took."""

    requests: int
    failed: int
    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass
class _Kind:
    heads: list[list[bytes]]  # for each server
    body: memoryview | None
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    sent: int = 0


class Foreground:
    """GETs and PUTs of objects of one size, `per_s` of each, at every server in turn."""

    def __init__(
        self, servers: Sequence[Access], bucket: str, body: memoryview, *, per_s: float
    ) -> None:
        self._servers = servers
        self._body = body
        self._per_s = per_s
        count = max(8, min(400, 64 * 1024**2 // len(body)))
        self._stored = [f"/{bucket}/foreground/get/{number}" for number in range(count)]
        self._written = [f"/{bucket}/foreground/put/{number}" for number in range(count)]
        self._idle: list[list[Connection]] = [[] for _ in servers]
        self._places = [asyncio.Semaphore(CONNECTIONS_MAX) for _ in servers]

    async def prepare(self) -> None:
        """Store what will be read."""
        heads = self._servers[0].requests("PUT", self._stored, len(self._body))
        for head in heads:
            if await self._ask(0, head, self._body) != 200:
                raise RuntimeError("an object for the foreground could not be stored")
        self.close()

    async def run(self, over: asyncio.Event) -> dict[str, Waited]:
        """Send requests until `over` is set; return what the clients saw of each kind."""
        size = len(self._body)
        gets = _Kind([access.requests("GET", self._stored) for access in self._servers], None)
        puts = _Kind(
            [access.requests("PUT", self._written, size) for access in self._servers], self._body
        )
        async with asyncio.TaskGroup() as group:
            began = time.perf_counter()
            number = 0
            while not over.is_set():
                due = began + number / (2 * self._per_s)
                if (early := due - time.perf_counter()) > 0:
                    await asyncio.sleep(early)
                group.create_task(self._one((gets, puts)[number % 2], due))
                number += 1
        self.close()
        return {"GET": _waited(gets), "PUT": _waited(puts)}

    async def _one(self, kind: _Kind, due: float) -> None:
        number, kind.sent = kind.sent, kind.sent + 1
        server = number % len(self._servers)
        heads = kind.heads[server]
        try:
            status = await self._ask(server, heads[number % len(heads)], kind.body)
        except OSError:
            status = 0
        kind.latencies.append(time.perf_counter() - due)
        kind.failed += status != 200

    async def _ask(self, server: int, head: bytes, body: memoryview | None) -> int:
        async with self._places[server]:
            connection = await self._connection(server)
            try:
                status = await connection.ask(head, body)
            except BaseException:
                connection.close()
                raise
            self._idle[server].append(connection)
            return status

    async def _connection(self, server: int) -> Connection:
        if self._idle[server]:
            return self._idle[server].pop()
        access = self._servers[server]
        loop = asyncio.get_running_loop()
        return (await loop.create_connection(Connection, access.host, access.port))[1]

    def close(self) -> None:
        """Hang up."""
        for idle in self._idle:
            while idle:
                idle.pop().close()


def _waited(kind: _Kind) -> Waited:
    latencies = sorted(kind.latencies) or [0.0]
    return Waited(
        requests=len(kind.latencies),
        failed=kind.failed,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
        max_ms=latencies[-1] * 1000,
    )

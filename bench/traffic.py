"""A load generator that costs little: it shares the machine with what it measures.

Requests are presigned before the clock starts, bodies are sent from one buffer that all share,
and answers are counted, not kept. `check` is the exception: outside the measured time it reads
objects back and compares SHA-256.
"""

import asyncio
import hashlib
import hmac
import time
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass

WRITE_BYTES = 1024 * 1024
_READ_BYTES = 512 * 1024


@dataclass(frozen=True)
class Access:
    """Where an S3 endpoint is, and the credential."""

    host: str
    port: int
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def presign(self, methods: Sequence[tuple[str, str]]) -> list[bytes]:
        """Return request targets for (method, path); the body is not part of the signature."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        key = b"AWS4" + self.secret_key.encode()
        for piece in scope.split("/"):
            key = hmac.digest(key, piece.encode(), "sha256")
        credential = urllib.parse.quote(f"{self.access_key}/{scope}", safe="")
        query = (
            f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={credential}&X-Amz-Date={stamp}"
            "&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        )
        head = f"host:{self.host}:{self.port}\n\nhost\nUNSIGNED-PAYLOAD"
        targets = []
        for method, path in methods:
            canonical = hashlib.sha256(f"{method}\n{path}\n{query}\n{head}".encode()).hexdigest()
            text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{canonical}"
            signature = hmac.digest(key, text.encode(), "sha256").hex()
            targets.append(f"{path}?{query}&X-Amz-Signature={signature}".encode())
        return targets

    def requests(self, method: str, paths: Sequence[str], body_bytes: int = 0) -> list[bytes]:
        """Return whole request heads."""
        host = f"Host: {self.host}:{self.port}\r\n".encode()
        length = f"Content-Length: {body_bytes}\r\n".encode() if method == "PUT" else b""
        return [
            b"%s %s HTTP/1.1\r\n%s%s\r\n" % (method.encode(), target, host, length)
            for target in self.presign([(method, path) for path in paths])
        ]


@dataclass(frozen=True)
class Measured:
    """What a burst of requests took."""

    requests: int
    body_bytes: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def mib_per_s(self) -> float:
        """Object bytes moved per second."""
        return self.body_bytes / self.seconds / 1024**2

    @property
    def per_s(self) -> float:
        """Requests answered per second."""
        return self.requests / self.seconds


class Connection(asyncio.BufferedProtocol):
    """One keep-alive connection: a request out, an answer counted."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._transport: asyncio.Transport | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._answered: asyncio.Future[int] | None = None
        self._head = b""
        self._left = -1  # body bytes to come; -1 while the head is not complete
        self._status = 0
        self.kept: list[bytes] | None = None  # set it to keep bodies

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def get_buffer(self, _hint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        data = self._buffer[:count]
        if self._left < 0:
            self._head += bytes(data)
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self._begin(self._head[:end])
            data = memoryview(self._head)[end + 4 :]
        if self.kept is not None:
            self.kept.append(bytes(data))
        self._left -= len(data)
        if self._left == 0 and self._answered and not self._answered.done():
            self._answered.set_result(self._status)

    def connection_lost(self, error: Exception | None) -> None:
        self._may_write.set()
        if self._answered and not self._answered.done():
            self._answered.set_exception(error or ConnectionError("closed by the server"))

    async def ask(self, head: bytes, body: memoryview | None = None) -> int:
        """Send a request and return the answer's status, once its body was read."""
        assert self._transport is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._head, self._left = b"", -1
        if body is None:
            self._transport.write(head)
        elif len(body) <= WRITE_BYTES:
            self._transport.writelines([head, body])
        else:
            self._transport.write(head)
            for at in range(0, len(body), WRITE_BYTES):
                await self._may_write.wait()
                self._transport.write(body[at : at + WRITE_BYTES])
        return await self._answered

    def close(self) -> None:
        """Hang up."""
        if self._transport:
            self._transport.close()

    def _begin(self, head: bytes) -> None:
        lines = head.lower().split(b"\r\n")
        self._status = int(lines[0].split()[1])
        lengths = [line[15:] for line in lines[1:] if line.startswith(b"content-length:")]
        self._left = int(lengths[0]) if lengths else 0


async def burst(
    access: Access,
    heads: Sequence[bytes],
    *,
    concurrency: int,
    body: memoryview | None = None,
    answer_bytes: int = 0,
    expected: int = 200,
) -> Measured:
    """Send all requests over `concurrency` connections and measure.

    Raises:
        RuntimeError: a request was answered otherwise than expected.
    """
    loop = asyncio.get_running_loop()
    connections = [
        (await loop.create_connection(Connection, access.host, access.port))[1]
        for _ in range(concurrency)
    ]
    waiting = iter(heads)
    latencies: list[float] = []

    async def work(connection: Connection) -> None:
        for head in waiting:
            began = time.perf_counter()
            status = await connection.ask(head, body)
            latencies.append(time.perf_counter() - began)
            if status != expected:
                raise RuntimeError(f"status {status} for {head[:80]!r}")

    began = time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for connection in connections:
                group.create_task(work(connection))
    finally:
        for connection in connections:
            connection.close()
    seconds = time.perf_counter() - began
    latencies.sort()
    size = len(body) if body is not None else answer_bytes
    return Measured(
        requests=len(heads),
        body_bytes=size * len(heads),
        seconds=seconds,
        p50_ms=latencies[len(latencies) // 2] * 1000,
        p99_ms=latencies[len(latencies) * 99 // 100] * 1000,
    )


async def check(access: Access, paths: Sequence[str], expected: memoryview) -> None:
    """Read objects back and compare them, byte for byte, by SHA-256."""
    wanted = hashlib.sha256(expected).digest()
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(Connection, access.host, access.port)
    try:
        for path, head in zip(paths, access.requests("GET", paths), strict=True):
            connection.kept = []
            status = await connection.ask(head)
            digest = hashlib.sha256()
            for piece in connection.kept:
                digest.update(piece)
            if status != 200 or digest.digest() != wanted:
                raise RuntimeError(f"{path}: status {status}, or not the bytes that were put")
    finally:
        connection.close()

"""A gateway on a real socket over a store in memory, and a client that signs with botocore."""

import asyncio
import itertools
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar
from xml.etree import ElementTree as ET

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from objstore.clock import SystemClock
from objstore.drive.api import Buffer
from objstore.engine.ports import Location, ObjectReader, ShardPlace
from objstore.gateway.app import Running, serve
from objstore.gateway.context import Deadlines, GatewayContext
from objstore.gateway.ports import (
    ClusterInfo,
    DriveInfo,
    ServerInfo,
    SetStatus,
    UsageInfo,
    WitnessInfo,
)
from objstore.iam.identities import Identities, Identity
from objstore.limits import LIFECYCLE_DAY_SECONDS
from objstore.names import CURRENT, BucketName, ObjectKey, VersionId
from objstore.ondisk.record import Version
from tests.unit.s3.fake_store import FakeStore

T = TypeVar("T")

ACCESS_KEY = "rootuser"
SECRET_KEY = "rootsecret"
ROOT = Identity(ACCESS_KEY, SECRET_KEY, root=True)
ALICE = Identity("alice-key", "alice's secret", display_name="Alice")
BOB = Identity("bob-key", "bob's secret", canonical_id="b0b" * 21)
IDENTITIES = Identities([ROOT, ALICE, BOB])
REGION = "us-east-1"
UNSIGNED = "UNSIGNED-PAYLOAD"


class CountingEntropy:
    """Different bytes each time, the same in every run."""

    def __init__(self) -> None:
        self._next = itertools.count(1)

    def draw(self, count: int) -> bytes:
        return next(self._next).to_bytes(count, "big")


class InlineThreads:
    """Runs everything at once, and remembers the sizes."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def run(self, size: int, work: Callable[[], T]) -> T:
        self.sizes.append(size)
        return work()


class Pieces:
    """An object's bytes, in the pieces that a test wants; an exception is raised in its turn."""

    def __init__(self, version: Version, pieces: Sequence[Buffer | BaseException]) -> None:
        self.version = version
        self._pieces = pieces
        self.closed = False

    async def read(self, start: int, stop: int) -> AsyncIterator[Buffer]:
        try:
            for piece in self._pieces:
                if isinstance(piece, BaseException):
                    raise piece
                yield piece
        finally:
            self.closed = True


class StagedStore(FakeStore):
    """FakeStore whose reads a test may stage, and whose operations may be held up."""

    def __init__(self) -> None:
        super().__init__()
        self.staged: dict[str, Pieces] = {}
        self.gates: dict[str, asyncio.Event] = {}

    async def open_object(
        self, bucket: BucketName, key: ObjectKey, version_id: VersionId = CURRENT
    ) -> ObjectReader:
        if key in self.gates:
            await self.gates[key].wait()
        if key in self.staged:
            return self.staged[key]
        return await super().open_object(bucket, key, version_id)


@dataclass
class FixedCluster:
    """Implements gateway.ports.ClusterStatus and gateway.ports.Admin."""

    store: StagedStore
    is_ready: bool = True
    heals: int = 0
    scrubs: list[bool] = field(default_factory=list)
    status: SetStatus = field(
        default_factory=lambda: SetStatus(
            pool=0, index=0, data=3, slots=4, online=4, trusted=4, write_quorum=3, read_quorum=2
        )
    )

    def ready(self) -> bool:
        return self.is_ready

    def witness(self) -> WitnessInfo | None:
        return None

    def sets(self) -> Sequence[SetStatus]:
        return (self.status,)

    async def info(self) -> ClusterInfo:
        drive = DriveInfo(server="", path="/d1", pool=0, set_index=0, slots=(0,), state="online")
        return ClusterInfo(
            deployment="0f",
            servers=(ServerInfo(address="", state="online"),),
            drives=(drive,),
            sets=(),
        )

    async def heal(self) -> None:
        self.heals += 1

    async def scrub(self, *, full_speed: bool) -> None:
        self.scrubs.append(full_speed)

    async def usage(self) -> UsageInfo:
        return UsageInfo(buckets=())

    async def compare(self) -> None:
        raise NotImplementedError

    async def locate(self, bucket: BucketName, key: ObjectKey) -> Location:
        version = (await self.store.open_object(bucket, key)).version
        place = ShardPlace(shard=0, letter="A", server="", drive="/d1", slot=0, state="ok")
        return Location(bucket, key, version, 0, 0, (place,))


@dataclass
class Answer:
    """An HTTP response, as it came off the socket."""

    status: int
    headers: dict[str, str]  # lower-case names
    body: bytes

    @property
    def code(self) -> str:
        """The S3 error code."""
        return self.text("Code")

    def text(self, element: str) -> str:
        """The text of an element of the error document."""
        found = ET.fromstring(self.body).findtext(element)
        assert found is not None
        return found


@dataclass
class Service:
    """What a test talks to, and what it can look into."""

    port: int
    store: StagedStore
    cluster: FixedCluster
    threads: InlineThreads
    running: Running

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def sign(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        *,
        sha: str,
        by: Identity = ROOT,
    ) -> dict[str, str]:
        """Return the headers of a signed request."""
        request = AWSRequest(method, f"http://{self.host}{target}", headers=dict(headers or {}))
        request.headers["X-Amz-Content-SHA256"] = sha
        request.context["payload_signing_enabled"] = sha != UNSIGNED
        signer = _Signer(Credentials(by.access_key, by.secret), "s3", REGION)
        signer.sha = sha
        signer.add_auth(request)
        return {"Host": self.host, **dict(request.headers.items())}

    def head(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        *,
        sha: str = UNSIGNED,
        signed: bool = True,
        by: Identity = ROOT,
    ) -> bytes:
        """Return the bytes of a request's head."""
        fields = {"Host": self.host, **(headers or {})}
        if signed:
            fields = self.sign(method, target, headers, sha=sha, by=by)
        lines = [f"{method} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    async def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        *,
        sha: str = UNSIGNED,
        signed: bool = True,
        by: Identity = ROOT,
    ) -> Answer:
        """Send one request on a connection of its own."""
        fields = dict(headers or {})
        if body is not None:
            fields["Content-Length"] = str(len(body))
        head = self.head(method, target, fields, sha=sha, signed=signed, by=by)
        return await self.send_raw(head + (body or b""), method)

    async def send_raw(self, request: bytes, method: str) -> Answer:
        """Send bytes on a connection of their own."""
        async with Wire.to(self.port) as wire:
            await wire.send(request)
            return await wire.answer(method)


class _Signer(S3SigV4Auth):  # type: ignore[misc]  # botocore has no types
    """botocore's signer, with a payload hash of the test's choice."""

    sha = UNSIGNED

    def payload(self, request: AWSRequest) -> str:
        return self.sha


class Wire:
    """One connection, spoken by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, port: int) -> "AsyncIterator[Wire]":
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, method: str = "GET", *, wait_s: float = 5.0) -> Answer:
        """Read one response."""
        async with asyncio.timeout(wait_s):
            head = await self.reader.readuntil(b"\r\n\r\n")
            status_line, *lines = head.decode("latin-1").split("\r\n")[:-2]
            status = int(status_line.split(" ")[1])
            headers = {
                name.lower(): value for name, value in (line.split(": ", 1) for line in lines)
            }
            body = b""
            if method != "HEAD" and status not in (204, 304) and status >= 200:
                body = await self.reader.readexactly(int(headers["content-length"]))
            return Answer(status, headers, body)

    async def rest(self, *, wait_s: float = 5.0) -> bytes:
        """Read until the server closes."""
        async with asyncio.timeout(wait_s):
            return await self.reader.read()


@asynccontextmanager
async def gateway(
    *,
    deadlines: Deadlines | None = None,
    requests_max: int = 16,
    connections_max: int = 64,
    metrics_public: bool = False,
    metrics_token: str = "",
    domains: tuple[str, ...] = (),
    access_log: bool = False,
    sigv2_links: bool = True,
    tls: ssl.SSLContext | None = None,
    ssec_over_http: bool = False,
    lifecycle_day_s: int = LIFECYCLE_DAY_SECONDS,
) -> AsyncIterator[Service]:
    """Start a gateway with a bucket named `bucket`, and stop it in the end."""
    store = StagedStore()
    await store.create_bucket(BucketName("bucket"), owner=ACCESS_KEY, region=REGION)
    cluster = FixedCluster(store)
    threads = InlineThreads()
    context = GatewayContext(
        store=store,
        identities=IDENTITIES,
        region=REGION,
        clock=SystemClock(),
        entropy=CountingEntropy(),
        threads=threads,
        admin=cluster,
        cluster_status=cluster,
        domains=domains,
        metrics_public=metrics_public,
        metrics_token=metrics_token,
        ssec_over_http=ssec_over_http,
        access_log=access_log,
        lifecycle_day_s=lifecycle_day_s,
        sigv2_links=sigv2_links,
        requests_max=requests_max,
        connections_max=connections_max,
        deadlines=deadlines or Deadlines(header_s=5.0, stall_s=5.0, linger_s=0.2),
    )
    sock = socket.create_server(("127.0.0.1", 0))
    running = await serve(context, sock, tls=tls)
    try:
        yield Service(sock.getsockname()[1], store, cluster, threads, running)
    finally:
        await running.stop(1.0)

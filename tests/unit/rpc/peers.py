"""Two ends of the internal protocol over real TCP on the loopback, for the tests beside this."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from objstore.clock import SystemClock, SystemEntropy
from objstore.rpc.auth import Keys, ReplayTable, derive_keys
from objstore.rpc.client import PeerClient
from objstore.rpc.server import Method, RpcServer
from objstore.rpc.session import CallFailed, Identity

SECRET = "a cluster secret of more than 32 characters"
KEYS = derive_keys(SECRET)


class SteppedClock:
    """The system's clock, some time off."""

    def __init__(self, offset_s: float = 0.0) -> None:
        self.offset_s = offset_s
        self._system = SystemClock()

    def now_ns(self) -> int:
        return self._system.now_ns() + int(self.offset_s * 1e9)

    def monotonic_s(self) -> float:
        return self._system.monotonic_s()


def identity(
    name: str, keys: Keys = KEYS, admit: Callable[[Mapping[str, str]], str] = lambda _: ""
) -> Identity:
    return Identity(name, keys, lambda: {"server": name, "layout": "L"}, admit)


@dataclass
class Shelf:
    """Keeps shards in memory; can be told to refuse."""

    shards: dict[str, bytes] = field(default_factory=dict)
    pieces: list[int] = field(default_factory=list)
    refuse_after: int | None = None
    cut: int = 0

    async def create(self, resource: str) -> "Receiver":
        if resource == "refused":
            raise CallFailed("Refused", "not here", b"")
        return Receiver(self, resource)

    async def send(self, resource: str, *, offset: int, size: int) -> bytes:
        if resource not in self.shards:
            raise CallFailed("Missing", resource)
        return self.shards[resource][offset : offset + size]


@dataclass
class Receiver:
    """A shard on its way onto the shelf."""

    shelf: Shelf
    resource: str
    got: list[bytes] = field(default_factory=list)

    async def write(self, *pieces: bytes | bytearray | memoryview) -> None:
        self.got.append(b"".join(pieces))
        limit = self.shelf.refuse_after
        if limit is not None and len(self.got) > limit:
            raise CallFailed("Full", "no room", b"\x01\x02")

    async def finish(self) -> None:
        self.shelf.pieces = [len(piece) for piece in self.got]
        self.shelf.shards[self.resource] = b"".join(self.got)

    async def abort(self) -> None:
        self.shelf.cut += 1


def replay_table(size: int = 1 << 16) -> ReplayTable:
    return ReplayTable(memoryview(bytearray(size)))


def listener(port: int = 0) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    return sock


def rpc_server(
    who: Identity,
    methods: Mapping[str, Method] | None = None,
    shelf: Shelf | None = None,
    clock: SteppedClock | None = None,
    replays: ReplayTable | None = None,
) -> RpcServer:
    return RpcServer(
        who,
        methods=methods or {},
        shards=shelf,
        replays=replays or replay_table(),
        clock=clock or SteppedClock(),
        entropy=SystemEntropy(),
    )


def peer_client(port: int, who: Identity, clock: SteppedClock | None = None) -> PeerClient:
    return PeerClient(
        "server-a",
        f"http://127.0.0.1:{port}",
        identity=who,
        clock=clock or SteppedClock(),
        entropy=SystemEntropy(),
    )


@asynccontextmanager
async def running(client: PeerClient) -> AsyncIterator[PeerClient]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(client.run())
        try:
            yield client
        finally:
            task.cancel()


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def pair(
    methods: Mapping[str, Method] | None = None,
    shelf: Shelf | None = None,
    clock: SteppedClock | None = None,
) -> AsyncIterator[PeerClient]:
    """Yield a client with a session to a server that has `methods` and `shelf`."""
    sock = listener()
    server = rpc_server(identity("server-a"), methods, shelf, clock)
    async with (
        server.listening(sock),
        running(peer_client(sock.getsockname()[1], identity("server-b"))) as client,
    ):
        await until(lambda: client.status.up)
        yield client


@asynccontextmanager
async def meddler(
    port: int, meddle: Callable[[bytes], bytes], replies: Callable[[bytes], bytes] = bytes
) -> AsyncIterator[int]:
    """Stand in the way to `port`, and change what goes there or comes back."""

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, change: Callable[[bytes], bytes]
    ) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(change(data))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, back, meddle))
            group.create_task(pump(there, writer, replies))

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()

"""An orderly end: peers hear of it, what they have under way is answered, and it is bounded."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from objstore.errors import RpcError
from objstore.rpc.client import PeerClient
from objstore.rpc.leaving import UnderWay
from objstore.rpc.session import HEARS_LEAVING, Identity
from tests.unit.rpc.peers import (
    Shelf,
    identity,
    listener,
    peer_client,
    rpc_server,
    running,
    until,
)


def who_hears(name: str) -> Identity:
    said = identity(name)
    return replace(said, claims=lambda: {**said.claims(), **dict([HEARS_LEAVING])})


class Slow:
    """A method that answers when it is let."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def call(self, payload: bytes) -> bytes:
        self.begun.set()
        await self.may_end.wait()
        return payload


@asynccontextmanager
async def leaving(
    slow: Slow, who: Identity, *, leave_s: float
) -> AsyncIterator[tuple[PeerClient, "asyncio.Task[bytes]", asyncio.Event]]:
    """Yield a client with a call under way to a server that leaves once the event is set."""
    sock = listener()
    server = rpc_server(identity("server-a"), {"slow": slow.call}, Shelf())
    stop = asyncio.Event()

    async def serve() -> None:
        async with server.listening(sock, leave_s=leave_s):
            await stop.wait()

    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve())
        async with running(peer_client(sock.getsockname()[1], who)) as client:
            await until(lambda: client.status.up)
            under_way = asyncio.create_task(client.call("slow", b"x"))
            await slow.begun.wait()
            try:
                yield client, under_way, stop
            finally:
                stop.set()
                slow.may_end.set()
                await serving


async def test_a_peer_hears_of_it_and_gets_the_answer_it_waits_for() -> None:
    slow = Slow()
    async with leaving(slow, who_hears("server-b"), leave_s=30) as (client, under_way, stop):
        assert not client.status.leaving_s
        stop.set()
        await client.changed()
        assert client.status.up
        assert client.status.leaving_s
        await asyncio.sleep(0.3)
        assert client.status.up, "it left before the answer"
        slow.may_end.set()
        assert await under_way == b"x"
        await until(lambda: not client.status.up)
        assert client.status.leaving_s, "what it said is forgotten when it is gone"
        assert "told to stop" in client.status.reason


async def test_what_takes_too_long_is_cut_off() -> None:
    slow = Slow()
    async with leaving(slow, who_hears("server-b"), leave_s=0.2) as (client, under_way, stop):
        stop.set()
        await until(lambda: not client.status.up)
        await asyncio.wait([under_way])
        assert isinstance(under_way.exception(), RpcError)
        slow.may_end.set()


async def test_a_peer_of_an_earlier_version_is_not_told_and_not_waited_for() -> None:
    slow = Slow()
    async with leaving(slow, identity("server-b"), leave_s=30) as (client, under_way, stop):
        stop.set()
        await until(lambda: not client.status.up)
        await asyncio.wait([under_way])
        assert isinstance(under_way.exception(), RpcError)
        assert not client.status.leaving_s


async def test_a_server_that_is_back_has_not_left() -> None:
    sock = listener()
    port = sock.getsockname()[1]
    client = peer_client(port, who_hears("server-b"))
    async with running(client):
        async with rpc_server(identity("server-a")).listening(sock, leave_s=1):
            await until(lambda: client.status.up)
        await until(lambda: not client.status.up)
        assert client.status.leaving_s
        async with rpc_server(identity("server-a")).listening(listener(port)):
            await until(lambda: client.status.up)
            assert not client.status.leaving_s


async def test_a_server_without_calls_under_way_leaves_at_once() -> None:
    under_way = UnderWay()
    told: list[bool] = []
    with under_way.tells(lambda: told.append(True)):
        began = time.monotonic()
        assert await under_way.leave(30)
    assert told == [True]
    assert time.monotonic() - began < 5


async def test_a_pause_between_two_calls_is_no_end() -> None:
    under_way = UnderWay()

    async def operation() -> None:
        for _ in range(5):
            with under_way.working():
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.02)

    with under_way.tells(lambda: None):
        async with asyncio.TaskGroup() as group:
            task = group.create_task(operation())
            await asyncio.sleep(0)
            assert await under_way.leave(30)
            assert task.done()

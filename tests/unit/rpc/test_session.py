"""Sessions over real TCP: calls, failures, deadlines, refusals, and peers that die."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace

import pytest

from objstore.clock import SystemEntropy
from objstore.errors import RpcError
from objstore.limits import CLOCK_DRIFT_SECONDS_MAX
from objstore.rpc.auth import derive_keys
from objstore.rpc.client import PeerClient
from objstore.rpc.session import CallFailed
from tests.unit.rpc.peers import (
    SteppedClock,
    identity,
    listener,
    pair,
    peer_client,
    rpc_server,
    running,
    until,
)


async def echo(payload: bytes) -> bytes:
    return payload


async def test_answers_belong_to_their_calls_in_any_order() -> None:
    async def slow_if_even(payload: bytes) -> bytes:
        if payload[0] % 2 == 0:
            await asyncio.sleep(0.05)
        return payload * 2

    async with pair({"m": slow_if_even}) as client, asyncio.TaskGroup() as group:
        calls = [group.create_task(client.call("m", bytes([n, 7]))) for n in range(200)]
    assert [task.result() for task in calls] == [bytes([n, 7]) * 2 for n in range(200)]


async def test_a_large_payload_arrives_and_one_above_the_limit_is_refused_here() -> None:
    async with pair({"echo": echo}) as client:
        payload = SystemEntropy().draw(5_000_000)
        assert await client.call("echo", payload) == payload
        with pytest.raises(RpcError, match="limit"):
            await client.call("echo", bytes(9_000_000))
        assert await client.call("echo", b"still there") == b"still there"


async def test_a_failure_keeps_kind_text_and_detail() -> None:
    async def refuse(payload: bytes) -> bytes:
        raise CallFailed("Superseded", "newer", payload)

    async with pair({"refuse": refuse}) as client:
        with pytest.raises(CallFailed) as caught:
            await client.call("refuse", b"\x00\xff")
    assert (caught.value.kind, caught.value.text, caught.value.detail) == (
        "Superseded",
        "newer",
        b"\x00\xff",
    )


async def test_a_bug_in_a_handler_fails_its_call_and_nothing_else() -> None:
    async def broken(payload: bytes) -> bytes:
        raise ZeroDivisionError(payload)

    async def too_large(payload: bytes) -> bytes:
        return bytes(9_000_000)

    async with pair({"broken": broken, "large": too_large, "echo": echo}) as client:
        for method, kind in (("broken", "internal"), ("large", "internal"), ("none", "method")):
            with pytest.raises(CallFailed) as caught:
                await client.call(method, b"")
            assert caught.value.kind == kind
            assert "ZeroDivision" not in str(caught.value)
        assert await client.call("echo", b"x") == b"x"


async def test_a_deadline_that_passes_cancels_the_handler() -> None:
    cancelled = asyncio.Event()

    async def hang(payload: bytes) -> bytes:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return payload

    async with pair({"hang": hang, "echo": echo}) as client:
        with pytest.raises(TimeoutError):
            await client.call("hang", b"", deadline_s=0.05)
        async with asyncio.timeout(2):
            await cancelled.wait()
        assert await client.call("echo", b"x") == b"x"


async def test_a_caller_that_goes_away_cancels_the_handler() -> None:
    cancelled = asyncio.Event()
    started = asyncio.Event()

    async def hang(payload: bytes) -> bytes:
        started.set()
        try:
            await asyncio.sleep(60)
        finally:
            cancelled.set()
        return payload

    async with pair({"hang": hang}) as client:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(client.call("hang", b""))
            await started.wait()
            task.cancel()
        async with asyncio.timeout(2):
            await cancelled.wait()


async def test_without_a_session_calls_fail_at_once_and_say_why() -> None:
    client = peer_client(1, identity("server-b"))
    with pytest.raises(RpcError, match="not connected yet"):
        await client.call("m", b"")
    async with running(client):
        await until(lambda: "cannot be reached" in client.status.reason)
        begun = time.perf_counter()
        with pytest.raises(RpcError, match="cannot be reached"):
            await client.call("m", b"")
        assert time.perf_counter() - begun < 0.1


async def test_a_server_that_restarts_is_found_within_a_second() -> None:
    sock = listener()
    port = sock.getsockname()[1]
    client = peer_client(port, identity("server-b"))
    async with running(client):
        async with rpc_server(identity("server-a"), {"echo": echo}).listening(sock):
            await until(lambda: client.status.up)
        await until(lambda: not client.status.up)
        await asyncio.sleep(0.3)
        async with rpc_server(identity("server-a"), {"echo": echo}).listening(listener(port)):
            await until(lambda: client.status.up, timeout_s=1.2)
            assert await client.call("echo", b"again") == b"again"


async def test_calls_under_way_fail_when_the_session_ends() -> None:
    async def hang(payload: bytes) -> bytes:
        await asyncio.sleep(60)
        return payload

    sock = listener()
    client = peer_client(sock.getsockname()[1], identity("server-b"))

    async def call_and_lose() -> None:
        with pytest.raises(RpcError):
            await client.call("hang", b"", deadline_s=30)

    async with (
        running(client),
        asyncio.TaskGroup() as group,
        rpc_server(identity("server-a"), {"hang": hang}).listening(sock),
    ):
        await until(lambda: client.status.up)
        group.create_task(call_and_lose())
        await asyncio.sleep(0.05)


class Relay:
    """A TCP relay that can fall silent without closing anything, as a dead machine does."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._silent = False
        self._group: asyncio.TaskGroup | None = None
        self.port = 0

    def fall_silent(self) -> None:
        self._silent = True

    async def run(self, ready: asyncio.Event) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with asyncio.TaskGroup() as self._group:
            ready.set()
            try:
                await asyncio.Event().wait()
            finally:
                server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._group is not None
        other_reader, other_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._group.create_task(self._pump(reader, other_writer))
        self._group.create_task(self._pump(other_reader, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not self._silent:
                writer.write(data)
        writer.close()


async def test_a_peer_that_falls_silent_is_noticed_within_three_seconds() -> None:
    async def hang(payload: bytes) -> bytes:
        await asyncio.sleep(60)
        return payload

    sock = listener()
    relay = Relay(sock.getsockname()[1])
    ready = asyncio.Event()
    async with (
        rpc_server(identity("server-a"), {"hang": hang}).listening(sock),
        asyncio.TaskGroup() as group,
    ):
        task = group.create_task(relay.run(ready))
        await ready.wait()
        async with running(peer_client(relay.port, identity("server-b"))) as client:
            await until(lambda: client.status.up)
            relay.fall_silent()
            begun = time.perf_counter()
            with pytest.raises(RpcError, match="does not answer"):
                await client.call("hang", b"", deadline_s=30)
            assert time.perf_counter() - begun < 3.2
            assert not client.status.up
        task.cancel()


# --- who is refused -----------------------------------------------------------------------


async def refusal(client: PeerClient) -> str:
    async with running(client):
        await until(lambda: client.status.refused)
        return client.status.reason


async def test_another_secret_is_refused_fast_and_learns_nothing() -> None:
    sock = listener()
    other = derive_keys("another secret with enough characters!")
    async with rpc_server(identity("server-a")).listening(sock):
        begun = time.perf_counter()
        reason = await refusal(peer_client(sock.getsockname()[1], identity("server-b", keys=other)))
    assert "secrets differ" in reason
    assert time.perf_counter() - begun < 1


def refuse_layout(claims: Mapping[str, str]) -> str:
    return f"layout {claims['layout']}"


async def test_claims_that_one_side_does_not_accept_are_refused_in_words() -> None:
    for who_refuses in ("server", "client"):
        sock = listener()
        port = sock.getsockname()[1]
        server = identity("server-a")
        client = identity("server-b")
        if who_refuses == "server":
            server = identity("server-a", admit=refuse_layout)
        else:
            client = identity("server-b", admit=refuse_layout)
        async with rpc_server(server).listening(sock):
            assert "layout L" in await refusal(peer_client(port, client))


async def test_a_caller_awaits_a_peer_without_taking_it_for_one_that_refuses() -> None:
    ready = False
    caller = replace(identity("server-b"), awaits=lambda _: "" if ready else "it is starting")
    sock = listener()
    async with (
        rpc_server(identity("server-a")).listening(sock),
        running(peer_client(sock.getsockname()[1], caller)) as client,
    ):
        await until(lambda: client.status.reason == "it is starting")
        assert not client.status.up
        assert not client.status.refused
        ready = True
        await until(lambda: client.status.up)


async def test_a_server_under_another_name_is_refused() -> None:
    sock = listener()
    async with rpc_server(identity("server-c")).listening(sock):
        # The token names the server it is for, so it already fails there.
        assert "token" in await refusal(peer_client(sock.getsockname()[1], identity("server-b")))


async def test_a_clock_beyond_the_bound_is_refused_and_within_it_is_measured() -> None:
    sock = listener()
    far = SteppedClock(CLOCK_DRIFT_SECONDS_MAX + 5)
    async with rpc_server(identity("server-a"), clock=far).listening(sock):
        assert await refusal(peer_client(sock.getsockname()[1], identity("server-b")))
    async with pair({"echo": echo}, clock=SteppedClock(100)) as client:
        assert abs(client.status.clock_ahead_ms - 100_000) < 200
        assert await client.call("echo", b"x") == b"x"


async def test_a_clock_that_drifts_away_during_a_session_ends_it() -> None:
    clock = SteppedClock()
    async with pair({"echo": echo}, clock=clock) as client:
        clock.offset_s = CLOCK_DRIFT_SECONDS_MAX + 5
        await until(lambda: client.status.refused)
        assert "clock" in client.status.reason


async def test_a_server_without_the_secret_cannot_pose_as_a_peer() -> None:
    sock = listener()
    sock.listen()
    sock.setblocking(False)

    async def pose() -> None:
        connection, _ = await asyncio.get_running_loop().sock_accept(sock)
        await asyncio.get_running_loop().sock_recv(connection, 65536)
        await asyncio.get_running_loop().sock_sendall(
            connection,
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            b"Connection: upgrade\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
        )
        connection.close()

    async with running(peer_client(sock.getsockname()[1], identity("server-b"))) as client:
        await pose()
        await until(lambda: client.status.reason != "not connected yet")
        assert not client.status.up
    sock.close()

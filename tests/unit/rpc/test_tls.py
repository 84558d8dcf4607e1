"""The internal protocol over TLS: who gets a session, what is said to who does not, what breaks."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from objstore.clock import SystemClock, SystemEntropy
from objstore.errors import RpcError
from objstore.rpc.client import PeerClient
from objstore.rpc.session import Identity
from objstore.server.handshake import ListeningContext, why
from tests.authority import Authority, Pair
from tests.unit.rpc.peers import (
    KEYS,
    Shelf,
    identity,
    listener,
    meddler,
    rpc_server,
    running,
    until,
)

failures: list[ssl.SSLError] = []

# Names as the layout writes them: the certificate is held against the host.
A, B = "server-a", "127.0.0.1:9010"


@pytest.fixture(scope="module")
def ca() -> Authority:
    return Authority()


@pytest.fixture(scope="module")
def other_ca() -> Authority:
    return Authority("Another CA")


def context(
    directory: Path, ca: Authority, pair: Pair | None, *, server: bool = False, mutual: bool = True
) -> ssl.SSLContext:
    made: ssl.SSLContext
    if server:
        made = ListeningContext(ssl.PROTOCOL_TLS_SERVER)
        made.failed = failures.append
    else:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.load_verify_locations(cadata=ca.pem.decode())
    if pair is not None:
        made.load_cert_chain(*pair.put(directory, "server" if server else "client"))
    if server and mutual:
        made.verify_mode = ssl.CERT_REQUIRED
    return made


def named(name: str) -> Identity:
    return Identity(name, KEYS, lambda: {"server": name}, lambda _: "")


def client_of(
    port: int, tls: ssl.SSLContext | None, who: Identity | None = None, scheme: str = "https"
) -> PeerClient:
    return PeerClient(
        A,
        f"{scheme}://127.0.0.1:{port}",
        identity=who or named(B),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        tls=None if tls is None else lambda: tls,
    )


@asynccontextmanager
async def serving(
    tls: ssl.SSLContext | None, shelf: Shelf | None = None, handshake_s: float = 5.0
) -> AsyncIterator[int]:
    async def echo(payload: bytes) -> bytes:
        return payload

    sock = listener()
    server = rpc_server(identity(A), {"echo": echo}, shelf or Shelf())
    async with server.listening(sock, tls, handshake_s=handshake_s):
        yield sock.getsockname()[1]


async def refused_with(client: PeerClient) -> str:
    """Return the reason that the status settles on."""
    async with running(client):
        await until(lambda: client.status.reason not in ("", "not connected yet"))
        assert not client.status.up
        with pytest.raises(RpcError):
            await client.call("echo", b"")
        assert client.status.refused
        return client.status.reason


@pytest.mark.parametrize("mutual", [True, False])
async def test_sessions_and_shards_go_over_tls(tmp_path: Path, ca: Authority, mutual: bool) -> None:
    pair = ca.sign("127.0.0.1")
    shelf = Shelf(shards={"there": b"abcdef"})
    async with serving(context(tmp_path, ca, pair, server=True, mutual=mutual), shelf) as port:
        client = client_of(port, context(tmp_path, ca, pair if mutual else None))
        async with running(client):
            await until(lambda: client.status.up)
            assert await client.call("echo", b"x" * 3_000_000) == b"x" * 3_000_000
            assert await client.fetch("there", offset=2, size=3) == b"cde"
            stream = await client.upload("new")
            await stream.write(b"y" * 5_000_000)
            await stream.finish()
    assert shelf.shards["new"] == b"y" * 5_000_000


async def test_a_peer_of_another_ca_is_refused_with_the_reason(
    tmp_path: Path, ca: Authority, other_ca: Authority
) -> None:
    theirs = context(tmp_path, ca, other_ca.sign("127.0.0.1"), server=True)
    async with serving(theirs) as port:
        reason = await refused_with(client_of(port, context(tmp_path, ca, ca.sign("127.0.0.1"))))
    assert "its certificate is refused" in reason
    assert "internal_tls_ca" in reason


async def test_a_peer_without_its_name_is_refused_with_the_reason(
    tmp_path: Path, ca: Authority
) -> None:
    theirs = context(tmp_path, ca, ca.sign("server1"), server=True)
    async with serving(theirs) as port:
        reason = await refused_with(client_of(port, context(tmp_path, ca, ca.sign("127.0.0.1"))))
    assert "127.0.0.1" in reason
    assert "names" in reason


@pytest.mark.parametrize("shows", ["another ca's", "none"])
async def test_a_caller_without_a_believed_certificate_is_told_so(
    tmp_path: Path, ca: Authority, other_ca: Authority, shows: str
) -> None:
    async with serving(context(tmp_path, ca, ca.sign("127.0.0.1"), server=True)) as port:
        pair = other_ca.sign("127.0.0.1") if shows != "none" else None
        reason = await refused_with(client_of(port, context(tmp_path, ca, pair)))
    assert "it refuses this server's certificate" in reason
    assert "certificate" in why(failures[-1])


async def test_a_certificate_of_one_server_does_not_speak_for_another(
    tmp_path: Path, ca: Authority
) -> None:
    """Not even with the cluster secret, which every server has."""
    async with serving(context(tmp_path, ca, ca.sign("127.0.0.1"), server=True)) as port:
        mine = context(tmp_path, ca, ca.sign("127.0.0.1"))
        reason = await refused_with(client_of(port, mine, named("server-c:9000")))
    assert "its certificate names 127.0.0.1 and not server-c" in reason


async def test_tls_to_a_plain_port_is_refused_with_the_reason(
    tmp_path: Path, ca: Authority
) -> None:
    async with serving(None) as port:
        reason = await refused_with(client_of(port, context(tmp_path, ca, ca.sign("127.0.0.1"))))
    assert "does not speak TLS" in reason


async def test_plain_http_to_a_tls_port_is_refused_with_the_reason(
    tmp_path: Path, ca: Authority
) -> None:
    async with serving(context(tmp_path, ca, ca.sign("127.0.0.1"), server=True)) as port:
        reason = await refused_with(client_of(port, None, scheme="http"))
    assert "it expects TLS" in reason
    assert why(failures[-1]) == "it speaks plain HTTP"


class Flip:
    """Changes one bit of the first large packet after it was told to."""

    def __init__(self) -> None:
        self.armed = False
        self.done = False

    def __call__(self, data: bytes) -> bytes:
        if not self.armed or self.done or len(data) < 20_000:
            return data
        self.done = True
        return data[:10_000] + bytes([data[10_000] ^ 1]) + data[10_001:]


async def test_a_body_that_is_changed_on_the_way_is_not_kept(tmp_path: Path, ca: Authority) -> None:
    """SECURITY.md, "Between servers": body changed. Tokens leave bodies to TLS."""
    flip, shelf = Flip(), Shelf()
    pair = ca.sign("127.0.0.1")
    async with (
        serving(context(tmp_path, ca, pair, server=True), shelf) as port,
        meddler(port, flip) as middle,
    ):
        client = client_of(middle, context(tmp_path, ca, pair))
        async with running(client):
            await until(lambda: client.status.up)
            stream = await client.upload("changed")
            flip.armed = True

            async def send() -> None:
                for _ in range(10):
                    await stream.write(b"z" * 1_000_000)
                await stream.finish()

            with pytest.raises(RpcError):
                await send()
            assert flip.done
            await until(lambda: shelf.cut == 1)
    assert shelf.shards == {}


async def test_strangers_on_a_tls_port_end_in_bounded_time(tmp_path: Path, ca: Authority) -> None:
    """Plain HTTP, noise and an open handshake: closed, and peers are served meanwhile."""
    pair = ca.sign("127.0.0.1")
    async with serving(context(tmp_path, ca, pair, server=True), handshake_s=1.0) as port:
        for sent, begin in (
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 400 "),
            (b"\x16\x03\x01\xff\xff" + b"\0" * 999, b"\x15"),  # an alert
            (b"\0" * 999, b""),
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            async with asyncio.timeout(15):
                answer = await reader.read()
            assert answer.startswith(begin)
            writer.close()
        with socket.create_connection(("127.0.0.1", port)):  # says nothing at all
            client = client_of(port, context(tmp_path, ca, pair))
            async with running(client):
                await until(lambda: client.status.up)

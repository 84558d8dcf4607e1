"""The internal port against strangers (SECURITY.md, "Between servers"): raw bytes over TCP."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.rpc.auth import Target, derive_keys, sign
from objstore.rpc.session import SESSION_PATH
from tests.unit.rpc.peers import (
    KEYS,
    Shelf,
    identity,
    listener,
    meddler,
    peer_client,
    rpc_server,
    running,
    until,
)

PATH = "/v1/shard/0/0/1/ab/1/0"
BODY = b"\x03\x00\x00\x00abc\x00\x00\x00\x00"


@dataclass
class Port:
    number: int
    shelf: Shelf

    async def send(self, raw: bytes) -> bytes:
        """Send raw bytes and return what comes until the server closes, or nothing more comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.number)
        answer = b""
        try:
            writer.write(raw)
            async with asyncio.timeout(1):
                while data := await reader.read(65536):
                    answer += data
                    if b"\r\n\r\n" in answer and b"Content-Length: 0" in answer:
                        break
        except (TimeoutError, ConnectionError):
            pass
        finally:
            writer.close()
        return answer

    async def status(self, raw: bytes) -> int:
        answer = (await self.send(raw)).removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
        return int(answer.split(b" ", 2)[1]) if answer else 0


@asynccontextmanager
async def port() -> AsyncIterator[Port]:
    sock = listener()
    shelf = Shelf(shards={"0/0/1/ab/1/0": b"abcdef"})
    async with rpc_server(identity("server-a"), shelf=shelf).listening(sock):
        yield Port(sock.getsockname()[1], shelf)


def token(
    method: str = "PUT", path: str = PATH, query: str = "", *, nonce: str = "", secret: str = ""
) -> str:
    nonce = nonce or f"{time.time_ns():032x}"
    keys = derive_keys(secret) if secret else KEYS
    target = Target("server-a", method, path, query)
    return sign(keys, target, time_ms=time.time_ns() // 1_000_000, nonce=nonce)


def request(
    authorization: str, method: str = "PUT", target: str = PATH, body: bytes = BODY
) -> bytes:
    auth = f"Authorization: {authorization}\r\n" if authorization else ""
    expect = "Expect: 100-continue\r\n" if method == "PUT" else ""
    head = (
        f"{method} {target} HTTP/1.1\r\nHost: x\r\n{auth}{expect}"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("latin-1") + body


async def test_the_right_token_is_served() -> None:
    async with port() as p:
        assert await p.status(request(token())) == 200
        assert p.shelf.shards["0/0/1/ab/1/0"] == b"abc"


async def test_every_wrong_token_gets_the_same_empty_403_and_stores_nothing() -> None:
    old = sign(
        KEYS, Target("server-a", "PUT", PATH), time_ms=1_000_000_000_000, nonce="00" * 15 + "01"
    )
    wrong = [
        "",
        "objstore-1 1 2 3",
        token(secret="x" * 40),
        token(method="GET"),
        token(path=PATH + "1"),
        old,
        "AWS4-HMAC-SHA256 Credential=root/20260101/us-east-1/s3/aws4_request",
        "Basic cm9vdDpwYXNzd29yZA==",
    ]
    async with port() as p:
        before = dict(p.shelf.shards)
        answers = {await p.send(request(one)) for one in wrong}
        heads = {
            tuple(line for line in answer.split(b"\r\n") if not line.startswith(b"Date"))
            for answer in answers
        }
        assert len(heads) == 1
        (head,) = heads
        assert head[0] == b"HTTP/1.1 403 Forbidden"
        assert b"Content-Length: 0" in head
        assert p.shelf.shards == before
        assert p.shelf.pieces == []


async def test_a_replay_is_refused_also_to_another_method_or_path() -> None:
    async with port() as p:
        once = token(nonce="ab" * 16)
        assert await p.status(request(once)) == 200
        assert await p.status(request(once)) == 403
        assert await p.status(request(once, method="GET")) == 403
        assert await p.status(request(once, target=PATH.replace("/0/0/1/", "/0/0/2/"))) == 403


@pytest.mark.parametrize(
    "path",
    [
        "/v1/shard/../../etc/passwd",
        "/v1/shard/%2e%2e/%2e%2e/etc",
        "/v1/shard/0/0/1/ab/1/0/../../2",
        "/v1/shard/",
        "/v1/shard//0",
        "/v1/shard/" + "a/" * 20,
        "/v1/shard/" + "a" * 65,
        "/v1/other",
        "/",
        "/v1/shard/a%00b",
    ],
)
async def test_a_signed_request_outside_the_grammar_is_400(path: str) -> None:
    async with port() as p:
        before = dict(p.shelf.shards)
        status = await p.status(request(token(path=path), target=path))
        assert status in {400, 403}  # 403 where the HTTP parser itself changed the path
        assert p.shelf.shards == before


@pytest.mark.parametrize(
    "query",
    [
        "",
        "offset=0",
        "size=1",
        "offset=-1&size=1",
        "offset=0&size=1&x=1",
        "size=1&offset=0",
        "offset=0&size=999999999",
        "offset=+0&size=1",
        "offset=0x0&size=1",
    ],
)
async def test_a_read_outside_the_grammar_is_400(query: str) -> None:
    async with port() as p:
        raw = request(token("GET", query=query), "GET", f"{PATH}?{query}" if query else PATH, b"")
        assert await p.status(raw) == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x03\x00\x00\x00abc",  # no end
        b"\x03\x00\x00\x00ab",
        b"\x03\x00",
        b"\xff\xff\xff\x7f" + b"x" * 100,  # a piece of two thousand million bytes
        b"\xff\xff\xff\xff",  # given up
    ],
)
async def test_a_body_that_does_not_say_its_end_is_not_kept(body: bytes) -> None:
    async with port() as p:
        before = dict(p.shelf.shards)
        assert await p.status(request(token(), body=body)) in {400, 409}
        assert p.shelf.shards == before
        assert p.shelf.cut == 1


async def test_a_session_without_a_proof_gets_no_further() -> None:
    """A token that was listened to opens a WebSocket, and then the fresh nonce wants a proof."""
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    )
    authorization = token("GET", SESSION_PATH)
    raw = (
        f"GET {SESSION_PATH} HTTP/1.1\r\nHost: x\r\nAuthorization: {authorization}\r\n{upgrade}\r\n"
    ).encode()
    join = b"\x91\x93\x07\xc4\x01\x80\xc4\x20" + bytes(32)
    frame = bytes([0x82, 0x80 | len(join)]) + bytes(4) + join
    async with port() as p:
        answer = await p.send(raw + frame)
        assert answer.startswith(b"HTTP/1.1 101")
        assert b"\x91\x91\x08" not in answer  # never Ready


async def test_a_session_that_was_listened_to_can_not_be_opened_again() -> None:
    """The upgrade's token may be repeated; the proof covers a nonce that is drawn each time."""
    heard, said = bytearray(), bytearray()

    def listen(data: bytes) -> bytes:
        heard.extend(data)
        return data

    def listen_back(data: bytes) -> bytes:
        said.extend(data)
        return data

    async with port() as p, meddler(p.number, listen, listen_back) as middle:
        async with running(peer_client(middle, identity("server-b"))) as client:
            await until(lambda: client.status.up)
        assert b"\x91\x91\x08" in said
        answer = await p.send(bytes(heard))
        assert answer.startswith(b"HTTP/1.1 101")
        assert b"\x91\x91\x08" not in answer  # never Ready


@settings(max_examples=5, deadline=None)
@given(st.lists(st.binary(max_size=400), min_size=40, max_size=40))
def test_random_bytes_never_crash_it(blobs: list[bytes]) -> None:
    async def run() -> None:
        async with port() as p:
            for blob in blobs:
                reader, writer = await asyncio.open_connection("127.0.0.1", p.number)
                writer.write(blob + b"\r\n\r\n")
                writer.write_eof()
                answer = await reader.read()
                assert b" 500 " not in answer[:20]
                writer.close()
            assert await p.status(request(token())) == 200

    asyncio.run(run())

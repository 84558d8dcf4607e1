"""What a connection does beyond aiohttp, on real sockets."""

import asyncio
import gc
import logging
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from objstore.gateway.connection import Connection, ConnectionFactory

HEAD = b" HTTP/1.1\r\nHost: h\r\n"


@dataclass
class RecordingEdge:
    """Answers what a gateway would, and remembers what it was told."""

    full: bool = False
    escaped: list[BaseException | None] = field(default_factory=list)

    def answer_malformed(self, problem: BaseException | None, status: int) -> web.Response:
        response = web.Response(status=status, text="<Error/>")
        response.force_close()
        return response

    def admits_connection(self) -> bool:
        return not self.full

    def report_escape(self, problem: BaseException | None) -> None:
        self.escaped.append(problem)


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(
    handler: Handler,
    edge: RecordingEdge,
    *,
    header_deadline_s: float = 5.0,
    idle_deadline_s: float = 30.0,
) -> AsyncIterator[tuple[ConnectionFactory, int]]:
    factory = ConnectionFactory(
        handler,
        edge,
        header_deadline_s=header_deadline_s,
        idle_deadline_s=idle_deadline_s,
        linger_s=0.2,
    )
    server = await asyncio.get_running_loop().create_server(factory, "127.0.0.1", 0)
    try:
        yield factory, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await factory.shutdown(timeout=0.5)


async def talk(port: int, *pieces: bytes, half_close: bool = False, wait_s: float = 3.0) -> bytes:
    """Send the pieces, one packet each, and return all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        if half_close:
            writer.write_eof()
        async with asyncio.timeout(wait_s):
            return await reader.read()
    finally:
        writer.close()


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """Answer with the method, the target, the header names and the body."""
    connection = request.protocol
    assert isinstance(connection, Connection)
    connection.begin_body(request.content)
    try:
        body = await request.content.read()
    except web.RequestPayloadError:
        response = web.Response(status=400, text="broken body")
        response.force_close()
        return response
    names = ",".join(request.headers)
    response = web.Response(text=f"[{request.method} {request.raw_path} {names} {body!r}]")
    if "Transfer-Encoding" in request.headers and not connection.ended_without_trailers:
        response.force_close()
    return response


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: -3\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: +3\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
        b"GET / HTTP/1.1\nHost: h\n\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n folded\r\n\r\n",
        b"GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET http://[evil/ HTTP/1.1\r\nHost: h\r\n\r\n",
        b"get / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /" + b"a" * 17_000 + b" HTTP/1.1\r\nHost: h\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\nA: " + b"a" * 17_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 200 + b"\r\n",
    ],
)
async def test_what_is_no_request_gets_one_400_and_the_connection_is_closed(
    head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    edge = RecordingEdge()
    async with serving(echo, edge) as (_, port):
        answer = await talk(port, head + b"GET /next" + HEAD + b"\r\n")
    assert answer.count(b"HTTP/1.") == 1
    assert answer.split(b" ", 2)[1] == b"400"
    assert answer.endswith(b"<Error/>")
    assert not edge.escaped
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize("piece", [b"a" * 1_000, b"X-A: b\r\n" * 125])
async def test_what_a_broken_request_sent_is_held_by_nothing(piece: bytes) -> None:
    """Not even until the garbage collector runs: twenty of them would be 100 MB."""
    body = b"GET / HTTP/1.1\r\nX-A: " + piece * 5_000
    async with serving(echo, RecordingEdge()) as (_, port):
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(20):
                with suppress(ConnectionError):
                    await talk(port, body)
            await asyncio.sleep(0.1)
            held, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
            gc.enable()
    assert held < 2_000_000


async def test_a_chunked_body_that_breaks_in_the_middle_fails_its_reader_at_once() -> None:
    edge = RecordingEdge()
    head = b"PUT /a" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    async with serving(echo, edge) as (_, port):
        answer = await talk(port, head, b"3\r\nabc\r\n", b"zz\r\nabc\r\n0\r\n\r\n", wait_s=1.0)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"broken body" in answer
    assert not edge.escaped


async def test_a_client_that_closed_its_half_is_answered() -> None:
    async def slow(request: web.BaseRequest) -> web.StreamResponse:
        await asyncio.sleep(0.1)
        return await echo(request)

    async with serving(slow, RecordingEdge()) as (_, port):
        answer = await talk(port, b"GET /a" + HEAD + b"\r\n", half_close=True)
    assert b"[GET /a Host b'']" in answer


async def test_a_body_cut_short_by_a_half_close_is_answered_with_400() -> None:
    edge = RecordingEdge()
    head = b"PUT /a" + HEAD + b"Content-Length: 10\r\n\r\n"
    async with serving(echo, edge) as (_, port):
        answer = await talk(port, head, b"short", half_close=True, wait_s=1.0)
        early = await talk(port, head + b"short", half_close=True, wait_s=1.0)
    assert b"broken body" in answer
    assert b"broken body" in early
    assert not edge.escaped


async def test_trailer_fields_never_become_headers_of_the_next_request() -> None:
    chunked = b"PUT /1" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n"
    follow = b"GET /2" + HEAD + b"\r\n"
    async with serving(echo, RecordingEdge()) as (_, port):
        together = await talk(port, chunked + b"X-Evil: 1\r\n\r\n" + follow)
        apart = await talk(port, chunked + b"X-Evil: 1\r\n\r\n", follow)
        with_lie = await talk(port, chunked + b"X-Evil: 0\r\n\r\n", follow)
        byte_by_byte = await talk(port, *(bytes([b]) for b in chunked + b"X-Evil: 1\r\n\r\n"))
    for answer in (together, apart, with_lie, byte_by_byte):
        assert answer.count(b"HTTP/1.1 200") == 1
        assert b"X-Evil" not in answer


async def test_a_chunked_body_without_trailers_keeps_its_connection() -> None:
    chunked = b"PUT /1" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
    follow = b"GET /2" + HEAD + b"Connection: close\r\n\r\n"
    empty = b"PUT /1" + HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    async with serving(echo, RecordingEdge()) as (_, port):
        answer = await talk(port, chunked, follow)
        pieces = await talk(port, chunked[:-3], chunked[-3:-1], chunked[-1:], follow)
        nothing = await talk(port, empty, follow)
    for one in (answer, pieces, nothing):
        assert one.count(b"HTTP/1.1 200") == 2


async def test_bytes_behind_a_body_are_not_the_body() -> None:
    head = b"PUT /1" + HEAD + b"Content-Length: 3\r\n\r\n"
    async with serving(echo, RecordingEdge()) as (_, port):
        apart = await talk(port, head + b"abc", b"GARBAGE\r\n\r\n")
        together = await talk(port, head + b"abcGARBAGE\r\n\r\n")
    assert b"b'abc'" in apart
    assert apart.count(b"HTTP/1.") == 2
    for answer in (apart, together):
        assert b"GARBAGE" not in answer
        assert b" 400 " in answer


async def test_a_head_that_trickles_is_cut_off_at_the_deadline() -> None:
    async with serving(echo, RecordingEdge(), header_deadline_s=0.3) as (factory, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        started = asyncio.get_running_loop().time()
        with suppress(ConnectionError):
            async with asyncio.timeout(3):
                while not reader.at_eof():
                    writer.write(b"G")
                    await writer.drain()
                    await asyncio.sleep(0.02)
        assert asyncio.get_running_loop().time() - started < 1.5
        writer.close()
        await asyncio.sleep(0.05)
        assert factory.connection_count == 0


async def test_a_head_without_end_is_cut_off_by_size() -> None:
    async with serving(echo, RecordingEdge(), header_deadline_s=30.0) as (_, port):
        line = b"A: " + b"a" * 8000 + b"\r\n"
        lines = [line] * 20
        answer = b""
        with suppress(ConnectionError):
            answer = await talk(port, b"GET /" + HEAD, *lines, wait_s=5.0)
    assert answer == b""


async def test_a_connection_that_asks_for_nothing_is_closed() -> None:
    async with serving(echo, RecordingEdge(), header_deadline_s=0.2) as (_, port):
        assert await talk(port) == b""


async def test_an_idle_connection_is_closed() -> None:
    async with serving(echo, RecordingEdge(), idle_deadline_s=0.2) as (_, port):
        kept = await talk(port, b"GET /1" + HEAD + b"\r\n")
    assert kept.count(b"HTTP/1.1 200") == 1


async def test_between_requests_a_client_may_take_longer_than_for_a_head() -> None:
    """Clients keep connections, and see an error when one is closed as they use it again."""
    async with serving(echo, RecordingEdge(), header_deadline_s=0.1) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(3):
            writer.write(b"GET /1" + HEAD + b"\r\n")
            assert (await reader.readuntil(b"b'']")).startswith(b"HTTP/1.1 200")
            await asyncio.sleep(0.3)
        writer.write(b"GET /1")
        async with asyncio.timeout(3):
            assert b"200" not in await reader.read()
        writer.close()


async def test_a_connection_over_the_bound_is_refused() -> None:
    edge = RecordingEdge(full=True)
    async with serving(echo, edge) as (factory, port):
        answer = b""
        with suppress(ConnectionError):
            answer = await talk(port, b"GET /1" + HEAD + b"\r\n")
        assert answer == b""
        assert factory.connection_count == 0


async def test_pipelined_requests_are_answered_in_order() -> None:
    requests = b"".join(b"GET /%d" % n + HEAD + b"\r\n" for n in range(100))
    async with serving(echo, RecordingEdge()) as (_, port):
        last = b"GET /last" + HEAD + b"Connection: close\r\n\r\n"
        answer = await talk(port, requests + last)
    order = [piece.split(b" ")[1] for piece in answer.split(b"[")[1:]]
    assert order == [b"/%d" % n for n in range(100)] + [b"/last"]


@pytest.mark.parametrize("uploads", [1, 40])
@pytest.mark.parametrize("behind", [1, 31, 32, 33, 100])
async def test_requests_behind_late_bodies_are_answered(uploads: int, behind: int) -> None:
    """aiohttp's parser takes a request whose body came late for one that still waits."""
    begun = asyncio.Queue[None]()

    async def handler(request: web.BaseRequest) -> web.StreamResponse:
        begun.put_nowait(None)
        return await echo(request)

    async with serving(handler, RecordingEdge()) as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with closing(writer):
            async with asyncio.timeout(5):
                for number in range(uploads):
                    writer.write(b"PUT /late" + HEAD + b"Content-Length: 4\r\n\r\n")
                    await begun.get()
                    last = number == uploads - 1
                    writer.write(b"body" + (b"GET /behind" + HEAD + b"\r\n") * (behind * last))
                    await reader.readuntil(b"b'body']")
                for _ in range(behind):
                    await reader.readuntil(b"[GET /behind Host b'']")


async def test_a_bug_is_reported_and_answered_without_its_text() -> None:
    async def broken(request: web.BaseRequest) -> web.StreamResponse:
        raise ValueError("secret")

    edge = RecordingEdge()
    async with serving(broken, edge) as (_, port):
        answer = await talk(port, b"GET /" + HEAD + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"secret" not in answer
    assert [type(problem) for problem in edge.escaped] == [ValueError]


async def test_a_compressed_body_is_never_inflated() -> None:
    """`auto_decompress` of aiohttp would hand the handler other bytes than were signed."""
    head = b"PUT /a" + HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
    async with serving(echo, RecordingEdge()) as (_, port):
        answer = await talk(port, head + b"\x1f\x8b\x08\x00", half_close=True)
    assert rb"b'\x1f\x8b\x08\x00'" in answer

"""The internal port: sessions and shard streams of peers. Protocol: docs/protocol/rpc.md.

Nothing is done for anyone before a token was checked. What goes wrong before that is answered
alike, with an empty 403; what goes wrong after it is said in words, to a peer that proved itself.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from typing import Final, Protocol

import aiohttp
import msgspec
import structlog
from aiohttp import web

from objstore.clock import Clock, Entropy
from objstore.errors import RpcError
from objstore.limits import CLOCK_DRIFT_SECONDS_MAX, MIB, SHARD_CALL_DEADLINE_S
from objstore.rpc.auth import (
    NONCE_BYTES,
    REPLAY_KEEP_S,
    SHARD_SKEW_MS,
    ReplayTable,
    Target,
    Token,
    TokenRefused,
    check,
    prove_join,
    prove_welcome,
    same,
)
from objstore.rpc.caller_certificate import certificate_of, wrong_name
from objstore.rpc.frame import (
    FAILURE_INTERNAL,
    FAILURE_METHOD,
    MESSAGE_BYTES_MAX,
    Answer,
    AnyFrame,
    Cancel,
    Failure,
    Join,
    Leaving,
    Ping,
    Pong,
    Ready,
    Refused,
    Request,
    Welcome,
    decode_claims,
    decode_message,
    encode_claims,
    encode_frame,
    join_frames,
)
from objstore.rpc.leaving import UnderWay
from objstore.rpc.session import (
    CALLS_IN_FLIGHT_MAX,
    FAILURE_ABORTED,
    HANDSHAKE_S,
    HEARS_LEAVING,
    PIECE_ABORT,
    PIECE_BYTES_MAX,
    PIECE_END,
    PIECE_LENGTH_BYTES,
    SESSION_PATH,
    SHARD_READ_BYTES_MAX,
    CallFailed,
    Claims,
    Hearing,
    Identity,
    Outbox,
    end_of,
)
from objstore.wire.certificate import Certificate

_log = structlog.get_logger(__name__)

Method = Callable[[bytes], Awaitable[bytes]]
Buffer = bytes | bytearray | memoryview

_RESOURCE: Final = re.compile(r"/v1/shard/([A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_-]{1,64}){0,7})")
_RANGE: Final = re.compile(r"offset=([0-9]{1,15})&size=([0-9]{1,9})")
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LISTEN_TICK_S: Final = 1.0
_LISTEN_TICKS_MAX: Final = 5
_READ_BUFFER_BYTES: Final = 1 * MIB
_LINGER_S: Final = 1.0
_CLOSE_S: Final = 0.1
_BACKLOG: Final = 512


class ShardReceiver(Protocol):
    """A shard that a peer sends."""

    async def write(self, *pieces: Buffer) -> None:
        """Append; raises CallFailed."""
        ...

    async def finish(self) -> None:
        """Make it durable; raises CallFailed."""
        ...

    async def abort(self) -> None:
        """Remove it. Never raises; may follow any other call."""
        ...


class ShardHandler(Protocol):
    """Who keeps the shards that peers send and ask for."""

    async def create(self, resource: str) -> ShardReceiver:
        """Begin a shard; raises CallFailed."""
        ...

    async def send(self, resource: str, *, offset: int, size: int) -> Buffer:
        """Return exactly `size` bytes from `offset`; raises CallFailed."""
        ...


class BodyCut(RpcError):
    """A body ended before it said so."""


class RpcServer:
    """Answers peers."""

    def __init__(
        self,
        identity: Identity,
        *,
        methods: Mapping[str, Method],
        shards: ShardHandler | None,
        replays: ReplayTable,
        clock: Clock,
        entropy: Entropy,
    ) -> None:
        self._identity = identity
        self._methods = methods
        self._shards = shards
        self._replays = replays
        self._clock = clock
        self._entropy = entropy
        self._under_way = UnderWay()

    @asynccontextmanager
    async def listening(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext | None = None,
        *,
        handshake_s: float = HANDSHAKE_S,
        leave_s: float = 0.0,
    ) -> AsyncIterator[None]:
        """Answer on `listener` inside the context; at its end sessions are closed.

        With `leave_s`, peers are told first, and what they have under way has so long to end.
        """
        server = web.Server(
            self._handle,
            access_log=None,
            handler_cancellation=True,
            lingering_time=_LINGER_S,
            read_bufsize=_READ_BUFFER_BYTES,
            auto_decompress=False,
        )
        runner = web.ServerRunner(server, handle_signals=False, shutdown_timeout=_CLOSE_S)
        await runner.setup()
        # Not by aiohttp's SockSite, which gives a stranger a minute for a handshake.
        accepting = await asyncio.get_running_loop().create_server(
            server,
            sock=listener,
            backlog=_BACKLOG,
            ssl=tls,
            ssl_handshake_timeout=None if tls is None else handshake_s,
        )
        try:
            yield
        finally:
            # Before the port is closed: what is under way may need another connection to end.
            if leave_s and not await self._under_way.leave(leave_s):
                _log.warning("calls of peers were cut off")
            accepting.close()
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            token = self._check(request)
        except TokenRefused as error:
            _log.warning("refused a caller", remote=request.remote, reason=str(error))
            return _empty(403)
        if request.rel_url.raw_path == SESSION_PATH and request.method == "GET":
            return await self._serve_session(request, token)
        try:
            with self._under_way.working():
                return await self._serve_shard(request)
        except CallFailed as error:
            failure = msgspec.msgpack.encode((error.kind, error.text, error.detail))
            return web.Response(status=409, body=failure, headers={"Server": "objstore"})
        except BodyCut:
            return _empty(400)

    async def _serve_shard(self, request: web.BaseRequest) -> web.StreamResponse:
        resource = _RESOURCE.fullmatch(request.rel_url.raw_path)
        if resource is None or self._shards is None:
            return _empty(400)
        if request.method == "PUT" and request.headers.get("Expect") == "100-continue":
            receiver = await self._shards.create(resource[1])
            await _receive(request, receiver)
            return _empty(200)
        bounds = _RANGE.fullmatch(request.rel_url.raw_query_string)
        if request.method != "GET" or bounds is None or int(bounds[2]) > SHARD_READ_BYTES_MAX:
            return _empty(400)
        body = await self._shards.send(resource[1], offset=int(bounds[1]), size=int(bounds[2]))
        return web.Response(body=body, headers={"Server": "objstore"})

    def _check(self, request: web.BaseRequest) -> Token:
        session = request.rel_url.raw_path == SESSION_PATH
        now_ms = self._clock.now_ns() // 1_000_000
        token = check(
            self._identity.keys,
            Target(
                self._identity.name,
                request.method,
                request.rel_url.raw_path,
                request.rel_url.raw_query_string,
            ),
            request.headers.get("Authorization", ""),
            now_ms=now_ms,
            skew_ms=CLOCK_DRIFT_SECONDS_MAX * 1000 if session else SHARD_SKEW_MS,
        )
        if not session:
            self._replays.take(token.nonce, now_s=now_ms // 1000, keep_s=REPLAY_KEEP_S)
        return token

    async def _serve_session(self, request: web.BaseRequest, token: Token) -> web.StreamResponse:
        ws = web.WebSocketResponse(compress=False, max_msg_size=MESSAGE_BYTES_MAX, timeout=_CLOSE_S)
        ws.headers["Server"] = "objstore"
        if not ws.can_prepare(request).ok:
            return _empty(400)
        await ws.prepare(request)
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                claims = await self._open(ws, token, certificate_of(request))
            _log.info("session from peer", peer=claims.get("server", ""))
            session = _Session(ws, self._methods, self._clock, self._under_way)
            with ExitStack() as stack:
                if HEARS_LEAVING in claims.items():
                    stack.enter_context(self._under_way.tells(session.leave))
                await session.run()
        except* (RpcError, TimeoutError, ConnectionError, aiohttp.ClientError) as group:
            _log.info("session from peer ended", remote=request.remote, reason=str(end_of(group)))
        finally:
            await _close(ws)
        return ws

    async def _open(
        self, ws: web.WebSocketResponse, token: Token, certificate: Certificate | None
    ) -> Claims:
        """Prove each other; return the peer's claims. `certificate` is its own, if it has one."""
        identity = self._identity
        nonce = self._entropy.draw(NONCE_BYTES).hex()
        mine = encode_claims(dict(identity.claims()))
        now_ms = self._clock.now_ns() // 1_000_000
        proof = prove_welcome(
            identity.keys, caller_nonce=token.nonce, nonce=nonce, time_ms=now_ms, claims=mine
        )
        await _send(ws, Welcome(nonce, now_ms, mine, proof))
        message = await ws.receive()
        if message.type is not aiohttp.WSMsgType.BINARY:
            raise RpcError("the connection ended before the session began")
        frames = decode_message(message.data)
        if len(frames) != 1 or not isinstance(join := frames[0], Join | Refused):
            raise RpcError("the peer broke the protocol")
        if isinstance(join, Refused):
            raise RpcError(f"refused by the peer: {join.reason}")
        same(
            join.proof,
            prove_join(identity.keys, caller_nonce=token.nonce, nonce=nonce, claims=join.claims),
        )
        claims = decode_claims(join.claims)
        if refusal := identity.admit(claims) or wrong_name(certificate, claims):
            await _send(ws, Refused(refusal))
            raise RpcError(f"refused {claims.get('server', 'a peer')}: {refusal}")
        await _send(ws, Ready())
        return claims


class _Session:
    """An open session, from the answerer's side."""

    def __init__(
        self,
        ws: web.WebSocketResponse,
        methods: Mapping[str, Method],
        clock: Clock,
        under_way: UnderWay,
    ) -> None:
        self._ws = ws
        self._methods = methods
        self._clock = clock
        self._under_way = under_way
        self._outbox = Outbox(ws.send_bytes)
        self._running: dict[int, asyncio.Task[None]] = {}
        self._hearing = Hearing(interval_s=_LISTEN_TICK_S, ticks_max=_LISTEN_TICKS_MAX)

    async def run(self) -> None:
        """Answer until the session ends; always raises. No call outlives it."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outbox.run())
            tasks.create_task(self._hearing.watch(lambda: None))
            while True:
                message = await self._ws.receive()
                if message.type is not aiohttp.WSMsgType.BINARY:
                    raise RpcError("the connection ended")
                self._hearing.heard()
                for frame in decode_message(message.data):
                    self._take(frame, tasks)

    def leave(self) -> None:
        """Tell the caller that this server stops."""
        self._outbox.put(Leaving())

    def _take(self, frame: AnyFrame, tasks: asyncio.TaskGroup) -> None:
        match frame:
            case Request():
                if len(self._running) >= CALLS_IN_FLIGHT_MAX or frame.id in self._running:
                    raise RpcError("the peer broke the protocol")
                self._running[frame.id] = tasks.create_task(self._answer(frame))
            case Cancel():
                task = self._running.get(frame.id)
                if task is not None:
                    task.cancel()
            case Ping():
                self._outbox.put(Pong(frame.time_ms, self._clock.now_ns() // 1_000_000))
            case _:
                raise RpcError("the peer broke the protocol")

    async def _answer(self, request: Request) -> None:
        try:
            method = self._methods.get(request.method)
            if method is None:
                self._outbox.put(Failure(request.id, FAILURE_METHOD, request.method[:64], b""))
                return
            await self._outbox.room()
            with self._under_way.working():
                self._outbox.put(Answer(request.id, await method(request.payload)))
        except CallFailed as error:
            self._outbox.put(Failure(request.id, error.kind, error.text, error.detail))
        except Exception:  # noqa: BLE001 - the outermost loop of a call: the bug is logged and answered
            _log.exception("a handler broke", method=request.method)
            self._outbox.put(Failure(request.id, FAILURE_INTERNAL, "", b""))
        finally:
            del self._running[request.id]


async def _receive(request: web.BaseRequest, receiver: ShardReceiver) -> None:
    """Ask for the body and keep it; what does not come whole is removed."""
    finished = False
    try:
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer's headers are still to come
        async for piece in _pieces(request.content):
            await receiver.write(piece)
        await receiver.finish()
        finished = True
    finally:
        if not finished:
            await receiver.abort()


async def _pieces(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Yield the pieces of a body.

    Raises:
        CallFailed: the writer gave up.
        BodyCut: it ended without saying so, stalled, or is none.
    """
    try:
        while True:
            async with asyncio.timeout(SHARD_CALL_DEADLINE_S):
                head = await content.readexactly(PIECE_LENGTH_BYTES)
                if head == PIECE_END:
                    return
                if head == PIECE_ABORT:
                    raise CallFailed(FAILURE_ABORTED)
                size = int.from_bytes(head, "little")
                if size > PIECE_BYTES_MAX:
                    raise BodyCut("a piece above the limit")
                piece = await content.readexactly(size)
            yield piece
    except (asyncio.IncompleteReadError, TimeoutError, ConnectionError, aiohttp.ClientError) as e:
        raise BodyCut("the body was cut off") from e


def _empty(status: int) -> web.Response:
    return web.Response(status=status, headers={"Server": "objstore"})


async def _send(ws: web.WebSocketResponse, frame: AnyFrame) -> None:
    await ws.send_bytes(join_frames([encode_frame(frame)]))


async def _close(ws: web.WebSocketResponse) -> None:
    try:
        async with asyncio.timeout(2 * _CLOSE_S):
            await ws.close()
    except (TimeoutError, ConnectionError, aiohttp.ClientError):
        return  # the connection is cut when the handler returns

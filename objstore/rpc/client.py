"""One peer, as its caller sees it: a session that is kept up, calls, and shard streams.

Protocol: docs/protocol/rpc.md. A `PeerClient` does nothing until `run` runs in somebody's task
group; from then on it connects, pings, and connects anew. While there is no session, calls fail
at once and say why.
"""

import asyncio
import itertools
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

import aiohttp
import structlog

from objstore.clock import Clock, Entropy
from objstore.errors import RpcError
from objstore.limits import (
    CALL_DEADLINE_S,
    CLOCK_DRIFT_SECONDS_MAX,
    MIB,
    PEER_PING_INTERVAL_S,
    PEER_SILENT_PINGS_MAX,
    SHARD_CALL_DEADLINE_S,
)
from objstore.rpc.auth import NONCE_BYTES, Target, prove_join, prove_welcome, same, sign
from objstore.rpc.connect import CLOSE_S, connect
from objstore.rpc.frame import (
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
from objstore.rpc.session import (
    CALLS_IN_FLIGHT_MAX,
    HANDSHAKE_S,
    SESSION_PATH,
    SHARD_PATH,
    CallFailed,
    Claims,
    Hearing,
    Identity,
    Outbox,
    PeerRefused,
    Transport,
    end_of,
)
from objstore.rpc.traffic import Traffic
from objstore.rpc.upload import UploadStream, read_failure

_log = structlog.get_logger(__name__)

CONNECT_S: Final = 2.0
STREAMS_MAX: Final = 512
_PAUSES_S: Final = (0.05, 0.1, 0.2, 0.4, 0.8)
_READ_BUFFER_BYTES: Final = 1 * MIB


@dataclass(frozen=True, slots=True)
class PeerStatus:
    """What is known of a peer.

    `reason` says why there is no session, "" while there is one; `refused` says that the peer was
    reached and that waiting will not help. `leaving_s` is when it said that it stops, by the
    monotonic clock; 0 when it did not, or is back.
    """

    name: str
    reason: str
    since_ns: int
    refused: bool = False
    leaving_s: float = 0.0
    clock_ahead_ms: int = 0
    claims: Claims = field(default_factory=dict)

    @property
    def up(self) -> bool:
        """Whether there is a session."""
        return not self.reason


class PeerClient:
    """The way to one peer."""

    def __init__(
        self,
        name: str,
        url: str,
        *,
        identity: Identity,
        clock: Clock,
        entropy: Entropy,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """Prepare the way to the server `name`, whose internal port is at `url`.

        `tls` returns what an https URL is to be reached with; it is asked for every request, so
        that new connections are made with new certificates.
        """
        self.name = name
        self.traffic = Traffic()
        self._tls = tls
        self._url = url.rstrip("/")
        self._identity = identity
        self._clock = clock
        self._entropy = entropy
        self._session: _Session | None = None
        self._http: aiohttp.ClientSession | None = None
        self._streams: asyncio.TaskGroup | None = None
        self._uploads: set[asyncio.Task[None]] = set()
        self._fetches: set[asyncio.Timeout] = set()
        self._status = PeerStatus(name, "not connected yet", clock.now_ns())
        self._changed = asyncio.Event()

    @property
    def status(self) -> PeerStatus:
        """How it stands with the peer now."""
        if self._session is not None:
            ahead = self._session.clock_ahead_ms
            return replace(self._status, clock_ahead_ms=ahead)
        return self._status

    async def changed(self) -> None:
        """Wait until a session begins or ends, or the peer says that it stops."""
        await self._changed.wait()

    async def run(self) -> None:
        """Keep a session up until cancelled. Streams run as tasks of this call."""
        connector = aiohttp.TCPConnector(limit=STREAMS_MAX, keepalive_timeout=30)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S)
        async with (
            aiohttp.ClientSession(
                connector=connector,
                timeout=timeout,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=_READ_BUFFER_BYTES,
            ) as http,
            asyncio.TaskGroup() as streams,
        ):
            self._http, self._streams = http, streams
            try:
                await self._stay_connected(http)
            finally:
                self._lost(RpcError("stopped"), stopping=True)
                self._http = self._streams = None

    async def call(
        self, method: str, payload: bytes, *, deadline_s: float = CALL_DEADLINE_S
    ) -> bytes:
        """Call `method` and return its answer.

        Raises:
            CallFailed: the peer's handler refused, and says why.
            RpcError: there is no session, or it ended before the answer.
            TimeoutError: no answer within `deadline_s`.
        """
        with self.traffic.call():
            if self._session is None:
                raise RpcError(f"{self.name}: {self._status.reason}")
            return await self._session.call(method, payload, deadline_s)

    async def upload(self, resource: str) -> UploadStream:
        """Begin to send the shard `resource`, and return once the peer has begun it.

        Raises:
            CallFailed: the peer's handler refused, and says why.
            RpcError: there is no session, or the connection ended.
            TimeoutError: no answer within SHARD_CALL_DEADLINE_S.
        """
        with self.traffic.call():
            return await self._upload(resource)

    async def _upload(self, resource: str) -> UploadStream:
        if self._session is None or self._http is None or self._streams is None:
            raise RpcError(f"{self.name}: {self._status.reason}")
        path = SHARD_PATH + resource
        headers = {"Authorization": self._sign("PUT", path)}
        stream = UploadStream(self.name, self.traffic)
        task = self._streams.create_task(
            stream.run(self._http, self._url + path, headers, self._context())
        )
        self._uploads.add(task)
        task.add_done_callback(self._uploads.discard)
        # A task that is cancelled before it began runs nothing, not even what it has in `finally`.
        task.add_done_callback(lambda _: stream.end())
        stream.task = task
        try:
            await stream.accepted()
        except BaseException:
            task.cancel()
            raise
        return stream

    async def fetch(self, resource: str, *, offset: int, size: int) -> bytes:
        """Return `size` bytes of the shard `resource` from `offset`.

        Raises:
            CallFailed: the peer's handler refused, and says why.
            RpcError: there is no session, it ended, or fewer bytes came.
            TimeoutError: not all came within SHARD_CALL_DEADLINE_S.
        """
        with self.traffic.call():
            return await self._fetch(resource, offset=offset, size=size)

    async def _fetch(self, resource: str, *, offset: int, size: int) -> bytes:
        http = self._http
        if self._session is None or http is None:
            raise RpcError(f"{self.name}: {self._status.reason}")
        session = self._session
        path, query = SHARD_PATH + resource, f"offset={offset}&size={size}"
        headers = {"Authorization": self._sign("GET", path, query)}
        try:
            async with asyncio.timeout(SHARD_CALL_DEADLINE_S) as scope:
                self._fetches.add(scope)
                try:
                    async with http.get(
                        f"{self._url}{path}?{query}", headers=headers, ssl=self._context()
                    ) as response:
                        body = await response.read()
                finally:
                    self._fetches.discard(scope)
        except TimeoutError:
            if self._session is not session:
                raise RpcError(f"{self.name}: {self._status.reason}") from None
            raise
        except aiohttp.ClientError as error:
            raise RpcError(f"{self.name}: {error}") from error
        self.traffic.received_bytes += len(body)
        if response.status != 200:
            raise read_failure(self.name, response.status, body)
        if len(body) != size:
            raise RpcError(f"{self.name}: {len(body)} bytes came, {size} were asked for")
        return body

    # --- staying connected ------------------------------------------------------------

    async def _stay_connected(self, http: aiohttp.ClientSession) -> None:
        failures = 0
        while True:
            end = RpcError("the session ended")
            try:
                await self._hold_session(http)
            except* (RpcError, aiohttp.ClientError, OSError, TimeoutError) as group:
                end = end_of(group)
            # A session that was up starts the pauses anew: a peer that restarts is found fast.
            failures = 0 if self._session is not None else failures + 1
            self._lost(end)
            pause_s = _PAUSES_S[min(failures, len(_PAUSES_S) - 1)]
            await asyncio.sleep(pause_s * (0.5 + self._entropy.draw(1)[0] / 512))

    def _lost(self, end: RpcError, *, stopping: bool = False) -> None:
        """Fail everything under way: its answers would never come."""
        reason = f"it was told to stop; {end}" if self._status.leaving_s else str(end)
        if (self._session is not None or self._status.reason != reason) and not stopping:
            _log.warning("no session with peer", peer=self.name, reason=reason)
        now_ns = self._clock.now_ns()
        since_ns = now_ns if self._session is not None else self._status.since_ns
        session, self._session = self._session, None
        self._status = PeerStatus(
            self.name,
            reason,
            since_ns,
            refused=isinstance(end, PeerRefused),
            leaving_s=self._status.leaving_s,
        )
        if session is not None:
            self._note_change()
            session.fail(RpcError(f"{self.name}: {reason}"))
        for task in self._uploads:
            task.cancel()
        now_s = asyncio.get_running_loop().time()
        for scope in self._fetches:
            scope.reschedule(now_s)

    def _leaves(self) -> None:
        """Remember that the peer said that it stops; the session goes on until it does."""
        _log.info("a peer stops", peer=self.name)
        self._status = replace(self._status, leaving_s=self._clock.monotonic_s())
        self._note_change()

    def _note_change(self) -> None:
        """Wake those who wait for a change now; those who come later wait for the next one."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def _hold_session(self, http: aiohttp.ClientSession) -> None:
        nonce = self._entropy.draw(NONCE_BYTES).hex()
        headers = {"Authorization": self._sign("GET", SESSION_PATH, nonce=nonce, ahead_ms=0)}
        async with asyncio.timeout(HANDSHAKE_S):
            ws = await connect(http, self._url + SESSION_PATH, headers, self._context())
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                ahead_ms, claims = await self._open(ws, nonce)
            session = _Session(self.name, ws, self._clock, ahead_ms, self.traffic, self._leaves)
            self._session = session
            self._status = PeerStatus(self.name, "", self._clock.now_ns(), claims=claims)
            self._note_change()
            _log.info("session with peer", peer=self.name, clock_ahead_ms=ahead_ms)
            await session.run()
        finally:
            await _close(ws)

    async def _open(self, ws: aiohttp.ClientWebSocketResponse, nonce: str) -> tuple[int, Claims]:
        """Prove each other; return how far the peer's clock is ahead, and its claims."""
        identity = self._identity
        welcome = await _receive_one(ws)
        if isinstance(welcome, Refused):
            raise PeerRefused(f"refused by the peer: {welcome.reason}")
        if not isinstance(welcome, Welcome):
            raise RpcError("the peer broke the protocol")
        same(
            welcome.proof,
            prove_welcome(
                identity.keys,
                caller_nonce=nonce,
                nonce=welcome.nonce,
                time_ms=welcome.time_ms,
                claims=welcome.claims,
            ),
        )
        claims = decode_claims(welcome.claims)
        ahead_ms = welcome.time_ms - self._clock.now_ns() // 1_000_000
        refusal = identity.admit(claims)
        if claims.get("server") != self.name:
            refusal = f"it says that it is {claims.get('server')}"
        if abs(ahead_ms) > CLOCK_DRIFT_SECONDS_MAX * 1000:
            refusal = f"its clock is {ahead_ms / 1000:+.0f} s from this one"
        if refusal:
            await ws.send_bytes(join_frames([encode_frame(Refused(refusal))]))
            raise PeerRefused(refusal)
        if awaited := identity.awaits(claims):
            raise RpcError(awaited)
        mine = encode_claims(dict(identity.claims()))
        proof = prove_join(identity.keys, caller_nonce=nonce, nonce=welcome.nonce, claims=mine)
        await ws.send_bytes(join_frames([encode_frame(Join(mine, proof))]))
        ready = await _receive_one(ws)
        if isinstance(ready, Refused):
            raise PeerRefused(f"refused by the peer: {ready.reason}")
        if not isinstance(ready, Ready):
            raise RpcError("the peer broke the protocol")
        return ahead_ms, claims

    def _context(self) -> Transport:
        return True if self._tls is None else self._tls()

    def _sign(
        self,
        method: str,
        path: str,
        query: str = "",
        *,
        nonce: str | None = None,
        ahead_ms: int | None = None,
    ) -> str:
        if ahead_ms is None:
            ahead_ms = self._session.clock_ahead_ms if self._session is not None else 0
        return sign(
            self._identity.keys,
            Target(self.name, method, path, query),
            time_ms=self._clock.now_ns() // 1_000_000 + ahead_ms,
            nonce=nonce or self._entropy.draw(NONCE_BYTES).hex(),
        )


class _Session:
    """An open session, from the caller's side."""

    def __init__(
        self,
        name: str,
        ws: aiohttp.ClientWebSocketResponse,
        clock: Clock,
        ahead_ms: int,
        traffic: Traffic,
        leaves: Callable[[], None],
    ) -> None:
        self.clock_ahead_ms = ahead_ms
        self._leaves = leaves
        self._name = name
        self._ws = ws
        self._clock = clock
        self._traffic = traffic
        self._outbox = Outbox(self._send)
        self._pending: dict[int, asyncio.Future[bytes]] = {}
        self._ids = itertools.count(1)
        self._places = asyncio.Semaphore(CALLS_IN_FLIGHT_MAX)
        self._hearing = Hearing(interval_s=PEER_PING_INTERVAL_S, ticks_max=PEER_SILENT_PINGS_MAX)
        self._loop = asyncio.get_running_loop()

    async def call(self, method: str, payload: bytes, deadline_s: float) -> bytes:
        async with asyncio.timeout(deadline_s), self._places:
            await self._outbox.room()
            number = next(self._ids)
            answer: asyncio.Future[bytes] = self._loop.create_future()
            self._outbox.put(Request(number, method, payload))
            self._pending[number] = answer
            try:
                return await answer
            finally:
                del self._pending[number]
                if answer.cancelled():
                    self._outbox.put(Cancel(number))

    async def run(self) -> None:
        """Receive until the session ends; always raises."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._outbox.run())
            tasks.create_task(self._hearing.watch(self._ping))
            await self._receive()

    def fail(self, error: RpcError) -> None:
        """Fail every call under way."""
        for answer in self._pending.values():
            if not answer.done():
                answer.set_exception(error)

    async def _send(self, message: bytes) -> None:
        self._traffic.sent_bytes += len(message)
        await self._ws.send_bytes(message)

    def _ping(self) -> None:
        self._outbox.put(Ping(self._clock.now_ns() // 1_000_000))

    async def _receive(self) -> None:
        while True:
            message = await self._ws.receive()
            if message.type is not aiohttp.WSMsgType.BINARY:
                raise RpcError("the connection ended")
            self._hearing.heard()
            self._traffic.received_bytes += len(message.data)
            for frame in decode_message(message.data):
                self._take(frame)

    def _take(self, frame: AnyFrame) -> None:
        match frame:
            case Answer():
                answer = self._pending.get(frame.id)
                if answer is not None and not answer.done():
                    answer.set_result(frame.payload)
            case Failure():
                answer = self._pending.get(frame.id)
                if answer is not None and not answer.done():
                    answer.set_exception(CallFailed(frame.kind, frame.text, frame.detail))
            case Pong():
                now_ms = self._clock.now_ns() // 1_000_000
                self.clock_ahead_ms = frame.time_ms - (now_ms + frame.ping_ms) // 2
                if abs(self.clock_ahead_ms) > CLOCK_DRIFT_SECONDS_MAX * 1000:
                    raise PeerRefused(
                        f"its clock is {self.clock_ahead_ms / 1000:+.0f} s from this one"
                    )
            case Leaving():
                self._leaves()
            case _:
                raise RpcError("the peer broke the protocol")


async def _receive_one(ws: aiohttp.ClientWebSocketResponse) -> AnyFrame:
    message = await ws.receive()
    if message.type is not aiohttp.WSMsgType.BINARY:
        raise RpcError("the connection ended before the session began")
    frames = decode_message(message.data)
    if len(frames) != 1:
        raise RpcError("the peer broke the protocol")
    return frames[0]


async def _close(ws: aiohttp.ClientWebSocketResponse) -> None:
    try:
        async with asyncio.timeout(2 * CLOSE_S):
            await ws.close()
    except (TimeoutError, aiohttp.ClientError, OSError):
        return  # it is closed hard by now

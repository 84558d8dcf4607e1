"""The network of a simulated cluster: messages that take time, connections that break, partitions.

What is cut: `SimPeer` stands in the place of rpc's PeerClient, below the real RemoteDrive and above
the real DriveServer. So calls are encoded and decoded as on the wire, deadlines and errors are the
real ones, and silence is noticed by rpc's own `Hearing`; WebSockets, HTTP and their signatures are
not simulated.

Each way between two servers can be cut by itself. What is sent on a way that is cut is gone, as
when the connection dies before it is sent again; a message that is lost otherwise comes late, as
TCP has it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final, Protocol, TypeVar

from objstore.drive.api import Buffer
from objstore.drive.serve import DriveServer
from objstore.errors import RpcError
from objstore.limits import (
    CLOCK_DRIFT_SECONDS_MAX,
    PEER_PING_INTERVAL_S,
    PEER_SILENT_PINGS_MAX,
    SHARD_CALL_DEADLINE_S,
)
from objstore.rpc.session import HANDSHAKE_S, CallFailed, Hearing

T = TypeVar("T")

WAY_S: Final = 0.001  # the mean time of a message
_NEXT_S: Final = 1e-6  # between two messages on one connection
_AGAIN_S: Final = 0.2  # after which what was lost is sent again
_PAUSE_S: Final = 0.3  # between two attempts to connect
_FORGOTTEN_S: Final = 2.0  # until a server notices that a caller went without a word


class SimNetwork:
    """Which ways are open, and how long messages take."""

    def __init__(self, loop: asyncio.AbstractEventLoop, random: Random) -> None:
        self._loop = loop
        self._random = random
        self.cut: set[tuple[str, str]] = set()  # (from, to)
        self.loss = 0.0  # share of messages that have to be sent again
        self.slowness = 1.0

    def is_cut(self, sender: str, receiver: str) -> bool:
        """Whether nothing gets from one to the other."""
        return (sender, receiver) in self.cut

    def send(
        self, sender: str, receiver: str, deliver: Callable[[], object], *, after_s: float = 0.0
    ) -> float:
        """Send a message, which arrives after `after_s` at the earliest; return when it does."""
        takes_s = self._random.expovariate(1 / WAY_S) * self.slowness
        while self._random.random() < self.loss:
            takes_s += _AGAIN_S
        arrives_s = max(self._loop.time() + takes_s, after_s)
        if not self.is_cut(sender, receiver):
            self._loop.call_at(arrives_s, self._arrive, sender, receiver, deliver)
        return arrives_s

    def _arrive(self, sender: str, receiver: str, deliver: Callable[[], object]) -> None:
        if not self.is_cut(sender, receiver):
            deliver()


class Host(Protocol):
    """A server's process as its peers see it: something that may be gone at any moment."""

    name: str
    group: asyncio.TaskGroup
    drives: DriveServer

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        ...

    def wall_s(self) -> float:
        """What its clock shows."""
        ...


class _Session:
    """A connection from one process to another, and all that is under way on it."""

    def __init__(self, network: SimNetwork, caller: Host, host: Host) -> None:
        self.network = network
        self.caller = caller
        self.host = host
        self.waiting: dict[asyncio.Future[bytes], None] = {}
        self.serving: dict[asyncio.Task[None], None] = {}
        self.over = False
        self._asked_s = 0.0  # when the last message to the host arrives
        self._answered_s = 0.0

    def ask(self, deliver: Callable[[], object]) -> None:
        """Send something to the host; what is sent on one connection arrives in order."""
        self._asked_s = self.network.send(
            self.caller.name,
            self.host.name,
            lambda: self._at_host(deliver),
            after_s=self._asked_s + _NEXT_S,
        )

    def answer(self, deliver: Callable[[], object]) -> None:
        """Send something to the caller, in order too."""
        self._answered_s = self.network.send(
            self.host.name,
            self.caller.name,
            lambda: None if self.over else deliver(),
            after_s=self._answered_s + _NEXT_S,
        )

    def serve(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Run something at the host until it has ended or the session has."""

        async def run() -> None:
            await work

        task = self.host.group.create_task(run())
        self.serving[task] = None
        task.add_done_callback(lambda done: self.serving.pop(done, None))
        return task

    def _at_host(self, deliver: Callable[[], object]) -> None:
        if self.host.alive and not self.over:
            deliver()

    def end(self, error: RpcError) -> None:
        """Fail what waits for an answer; the host notices sooner or later."""
        if self.over:
            return
        self.over = True
        for future in tuple(self.waiting):
            if not future.done():
                future.set_exception(error)
        told = not self.network.is_cut(self.caller.name, self.host.name)
        loop = asyncio.get_running_loop()
        loop.call_later(WAY_S if told else _FORGOTTEN_S, self._end_serving)

    def _end_serving(self) -> None:
        for task in tuple(self.serving):
            task.cancel()


class SimPeer:
    """The way from one process to a peer server; has what RemoteDrive needs of a PeerClient."""

    def __init__(
        self,
        network: SimNetwork,
        caller: Host,
        name: str,
        find: Callable[[], Host | None],
        random: Random,
    ) -> None:
        """`find` returns a process of the peer that takes connections, if one runs."""
        self.name = name
        self._network = network
        self._caller = caller
        self._find = find
        self._random = random
        self._session: _Session | None = None
        self._reason = "not connected yet"

    def is_with(self, host: Host) -> bool:
        """Whether there is a session, with this very process."""
        return self._session is not None and self._session.host is host

    async def run(self) -> None:
        """Keep a session up until cancelled."""
        while True:
            try:
                await self._hold_session()
            except (RpcError, TimeoutError) as error:
                self.lost(RpcError(f"{self.name}: {str(error) or 'it does not answer'}"))
            await asyncio.sleep(_PAUSE_S * (0.5 + self._random.random()))

    def lost(self, error: RpcError) -> None:
        """End the session, if there is one."""
        self._reason = str(error)
        session, self._session = self._session, None
        if session is not None:
            session.end(error)

    async def _hold_session(self) -> None:
        session = await self._connect()
        hearing = Hearing(interval_s=PEER_PING_INTERVAL_S, ticks_max=PEER_SILENT_PINGS_MAX)

        def ping() -> None:
            if session.over:
                raise RpcError(self._reason)
            self._admit(session.host)
            session.ask(lambda: session.answer(hearing.heard))

        self._session = session
        await hearing.watch(ping)

    async def _connect(self) -> _Session:
        host = self._find()
        if host is None:
            await asyncio.sleep(WAY_S)
            raise RpcError("nobody listens there")
        session = _Session(self._network, self._caller, host)
        met: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        session.ask(lambda: session.answer(lambda: _resolve(met, None)))
        async with asyncio.timeout(HANDSHAKE_S):
            await met
        self._admit(host)
        return session

    def _admit(self, host: Host) -> None:
        """Refuse a peer whose clock is too far off, at the beginning and with every ping."""
        ahead_s = host.wall_s() - self._caller.wall_s()
        if abs(ahead_s) > CLOCK_DRIFT_SECONDS_MAX:
            raise RpcError(f"its clock is {ahead_s:+.0f} s from this one")

    # --- what RemoteDrive asks for -------------------------------------------------------

    async def call(self, method: str, payload: bytes, *, deadline_s: float) -> bytes:
        """Make a call; see PeerClient."""
        assert method == "drive"
        return await self._exchange(lambda host: host.drives.call(payload), deadline_s)

    async def fetch(self, resource: str, *, offset: int, size: int) -> bytes:
        """Read from a shard; see PeerClient."""

        async def send(host: Host) -> bytes:
            return bytes(await host.drives.send(resource, offset=offset, size=size))

        return await self._exchange(send, SHARD_CALL_DEADLINE_S)

    async def upload(self, resource: str) -> "SimUpload":
        """Begin to send a shard; see PeerClient."""
        stream = SimUpload(self._require())
        await stream.begin(resource)
        return stream

    def _require(self) -> _Session:
        if self._session is None:
            raise RpcError(self._reason)
        return self._session

    async def _exchange(self, work: Callable[[Host], Awaitable[bytes]], deadline_s: float) -> bytes:
        session = self._require()
        answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        task: list[asyncio.Task[None]] = []

        async def serve() -> None:
            try:
                answer = await work(session.host)
            except CallFailed as failed:
                refused = CallFailed(failed.kind, failed.text, failed.detail)
                session.answer(lambda: _reject(answered, refused))
            else:
                session.answer(lambda: _resolve(answered, answer))

        session.waiting[answered] = None
        answered.add_done_callback(_look_at)
        session.ask(lambda: task.append(session.serve(serve())))
        try:
            async with asyncio.timeout(deadline_s):
                return await answered
        except (TimeoutError, asyncio.CancelledError):
            session.ask(lambda: task[0].cancel() if task else None)
            raise
        finally:
            del session.waiting[answered]


class SimUpload:
    """A shard that is being sent, piece after piece in order; has what UploadStream has."""

    def __init__(self, session: _Session) -> None:
        loop = asyncio.get_running_loop()
        self._session = session
        self._accepted: asyncio.Future[bytes] = loop.create_future()
        self._done: asyncio.Future[bytes] = loop.create_future()
        self._pieces: asyncio.Queue[bytes | None] = asyncio.Queue()  # None: the end
        self._aborted = False
        for future in (self._accepted, self._done):
            session.waiting[future] = None
            future.add_done_callback(_look_at)

    async def begin(self, resource: str) -> None:
        """Wait until the peer has begun the shard."""
        self._send(lambda: self._session.serve(self._receive(resource)))
        try:
            async with asyncio.timeout(SHARD_CALL_DEADLINE_S):
                await self._accepted
        except BaseException:
            self._end()
            raise

    async def write(self, *pieces: Buffer) -> None:
        """Send one piece made of `pieces`."""
        self._raise_if_over()
        piece = b"".join(pieces)
        if not piece:
            return  # an empty one is the word for giving up
        self._send(lambda: self._pieces.put_nowait(piece))

    async def finish(self) -> None:
        """Send the end, and wait until the shard is durable."""
        self._raise_if_over()
        self._send(lambda: self._pieces.put_nowait(None))
        async with asyncio.timeout(SHARD_CALL_DEADLINE_S):
            await self._done
        self._end()

    async def abort(self) -> None:
        """Give it up."""
        self._aborted = True
        if not self._done.done():
            self._end()

    # --- how it travels ----------------------------------------------------------------

    def _send(self, deliver: Callable[[], object]) -> None:
        self._session.ask(deliver)

    def _end(self) -> None:
        """Close the connection of this stream: the peer gives up what it has not finished."""
        for future in (self._accepted, self._done):
            self._session.waiting.pop(future, None)
            future.cancel()
        self._send(lambda: self._pieces.put_nowait(b""))

    def _raise_if_over(self) -> None:
        if self._aborted or self._session.over:
            raise RpcError("the shard was given up")
        if self._done.done():
            self._done.result()
            raise RpcError("it answered before the end")

    def _tell(self, future: asyncio.Future[bytes], error: CallFailed | None = None) -> None:
        if error is None:
            self._session.answer(lambda: _resolve(future, b""))
        else:
            again = CallFailed(error.kind, error.text, error.detail)
            self._session.answer(lambda: _reject(future, again))

    async def _receive(self, resource: str) -> None:
        """At the host: write what comes."""
        try:
            sink = await self._session.host.drives.create(resource)
        except CallFailed as failed:
            self._tell(self._accepted, failed)
            return
        finished = False
        try:
            self._tell(self._accepted)
            while piece := await self._pieces.get():
                await sink.write(piece)
            if piece is None:
                await sink.finish()
                finished = True
                self._tell(self._done)
        except CallFailed as failed:
            self._tell(self._done, failed)
        finally:
            if not finished:
                await sink.abort()


def _resolve(future: asyncio.Future[T], value: T) -> None:
    if not future.done():
        future.set_result(value)


def _reject(future: asyncio.Future[bytes], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _look_at(future: asyncio.Future[bytes]) -> None:
    """Take an exception that nobody waits for any more."""
    if not future.cancelled():
        future.exception()

"""What both ends of a session share: who they are, how they hear, how they send, how they fail."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from objstore.errors import RpcError
from objstore.limits import MIB, RPC_FRAME_BYTES_MAX
from objstore.rpc.auth import Keys
from objstore.rpc.frame import (
    FRAMES_PER_MESSAGE_MAX,
    MESSAGE_BYTES_AIM,
    AnyFrame,
    encode_frame,
    join_frames,
)

SESSION_PATH: Final = "/v1/session"
SHARD_PATH: Final = "/v1/shard/"
HANDSHAKE_S: Final = 5.0
CALLS_IN_FLIGHT_MAX: Final = 4096

PIECE_LENGTH_BYTES: Final = 4
PIECE_BYTES_MAX: Final = RPC_FRAME_BYTES_MAX
PIECE_END: Final = (0).to_bytes(PIECE_LENGTH_BYTES, "little")
PIECE_ABORT: Final = (2**32 - 1).to_bytes(PIECE_LENGTH_BYTES, "little")
FAILURE_ABORTED: Final = "aborted"
SHARD_READ_BYTES_MAX: Final = 64 * MIB

_BACKLOG_BYTES_MAX: Final = 2 * RPC_FRAME_BYTES_MAX

# A caller that claims this knows the frame Leaving; those of earlier versions do not.
HEARS_LEAVING: Final = ("hears", "leaving")

Claims = Mapping[str, str]
Transport = ssl.SSLContext | bool  # as aiohttp's `ssl`: a context, or True for an http URL


class PeerRefused(RpcError):
    """The peer was reached, and this server and it will not talk: the operator has to act."""


class CallFailed(RpcError):
    """The peer was reached and its handler refused: `kind` and `detail` belong to the method."""

    def __init__(self, kind: str, text: str = "", detail: bytes = b"") -> None:
        super().__init__(f"{kind}: {text}" if text else kind)
        self.kind = kind
        self.text = text
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this server is towards its peers, and whom it accepts.

    `admit` is given a peer's claims, after their proof, and returns why that peer is not one to
    talk to, in words, or "" when it is. `awaits` does the same for what time will mend: a caller
    hangs up and tries again.
    """

    name: str
    keys: Keys
    claims: Callable[[], Claims]
    admit: Callable[[Claims], str]
    awaits: Callable[[Claims], str] = lambda _: ""


class Outbox:
    """Frames queued during one turn of the event loop leave as one message."""

    def __init__(self, send: Callable[[bytes], Awaitable[None]]) -> None:
        self._send = send
        self._queue: list[bytes] = []
        self._bytes = 0
        self._filled = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()

    def put(self, frame: AnyFrame) -> None:
        """Queue a frame; raises RpcError when it is too large."""
        encoded = encode_frame(frame)
        self._queue.append(encoded)
        self._bytes += len(encoded)
        if self._bytes > _BACKLOG_BYTES_MAX:
            self._drained.clear()
        self._filled.set()

    async def room(self) -> None:
        """Wait while too much is queued because the peer takes it slowly."""
        if not self._drained.is_set():
            await self._drained.wait()

    async def run(self) -> None:
        """Send what is queued, for as long as the session lasts."""
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._queue:
                await self._send(self._next_message())

    def _next_message(self) -> bytes:
        if self._bytes <= MESSAGE_BYTES_AIM and len(self._queue) <= FRAMES_PER_MESSAGE_MAX:
            batch, self._queue = self._queue, []
        else:
            count, size = 1, len(self._queue[0])
            for encoded in self._queue[1:FRAMES_PER_MESSAGE_MAX]:
                size += len(encoded)
                if size > MESSAGE_BYTES_AIM:
                    break
                count += 1
            batch = self._queue[:count]
            del self._queue[:count]
        self._bytes -= sum(map(len, batch))
        if self._bytes <= _BACKLOG_BYTES_MAX:
            self._drained.set()
        return join_frames(batch)


class Hearing:
    """Notices that nothing was heard for a while.

    It counts ticks and not seconds: when this process itself was held up, what the peer sent
    meanwhile is read before the next tick, and no peer is declared dead for it.
    """

    def __init__(self, *, interval_s: float, ticks_max: int) -> None:
        self._interval_s = interval_s
        self._ticks_max = ticks_max
        self._silent = 0
        self._heard = True

    def heard(self) -> None:
        """Something came from the peer."""
        self._heard = True

    async def watch(self, each_tick: Callable[[], None]) -> None:
        """Call `each_tick` at every tick.

        Raises:
            RpcError: nothing was heard for `ticks_max` ticks.
        """
        while True:
            self._silent = 0 if self._heard else self._silent + 1
            self._heard = False
            if self._silent >= self._ticks_max:
                raise RpcError("it does not answer")
            each_tick()
            await asyncio.sleep(self._interval_s)


def end_of(error: BaseException) -> RpcError:
    """Return why a session ended, in words, given what its task group raised.

    Of several reasons the first that is ours counts: the others follow from it.
    """
    leaves = _leaves(error)
    for leaf in leaves:
        if isinstance(leaf, RpcError):
            return leaf
    if isinstance(leaves[0], TimeoutError):
        return RpcError("it does not answer")
    return RpcError(f"the connection broke: {leaves[0]}")


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for inner in error.exceptions for leaf in _leaves(inner)]
    return [error]

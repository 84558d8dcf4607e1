"""One shard on its way to a peer: pieces in a bounded queue, sent as one chunked HTTP body."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

import aiohttp
import msgspec

from objstore.errors import RpcError
from objstore.limits import MIB, SHARD_CALL_DEADLINE_S
from objstore.rpc.session import (
    PIECE_ABORT,
    PIECE_BYTES_MAX,
    PIECE_END,
    PIECE_LENGTH_BYTES,
    CallFailed,
    Transport,
)
from objstore.rpc.traffic import Traffic

_QUEUE_BYTES_MAX: Final = 2 * MIB
_ABORT_S: Final = 1.0
_failure_decoder = msgspec.msgpack.Decoder(tuple[str, str, bytes])

Buffer = bytes | bytearray | memoryview


def read_failure(peer: str, status: int, body: bytes) -> RpcError:
    """Return the exception that an answer other than 200 stands for."""
    if status == 409:
        try:
            return CallFailed(*_failure_decoder.decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return RpcError(f"{peer}: answered {status} on its internal port")


class UploadStream:
    """Sends the pieces it is given; `PeerClient.upload` makes it and runs `run` as a task."""

    def __init__(self, peer: str, traffic: Traffic) -> None:
        self._peer = peer
        self._traffic = traffic
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._accepted = asyncio.Event()
        self._done = asyncio.Event()
        self._aborted = False
        # Until a good answer came.
        self._failure: RpcError | None = RpcError(f"{peer}: the connection was given up")
        self.task: asyncio.Task[None] | None = None

    async def accepted(self) -> None:
        """Wait until the peer has begun the shard and wants its bytes.

        Raises:
            CallFailed: the peer's handler refused, and says why.
            RpcError: the connection ended.
            TimeoutError: no answer within SHARD_CALL_DEADLINE_S.
        """
        async with asyncio.timeout(SHARD_CALL_DEADLINE_S):
            await self._accepted.wait()
        self._raise_if_over()

    async def write(self, *pieces: Buffer) -> None:
        """Queue one piece, made of `pieces`; wait while the queue is full. Raises as `accepted`."""
        self._raise_if_over()
        size = sum(map(len, pieces))
        if size > PIECE_BYTES_MAX:
            whole = memoryview(b"".join(pieces))
            for start in range(0, size, PIECE_BYTES_MAX):
                await self.write(whole[start : start + PIECE_BYTES_MAX])
            return
        if size:
            # Joining copies: the caller may reuse its buffers as soon as this returns.
            self._put(b"".join((size.to_bytes(PIECE_LENGTH_BYTES, "little"), *pieces)))
        if not self._room.is_set():
            async with asyncio.timeout(SHARD_CALL_DEADLINE_S):
                await self._room.wait()
            self._raise_if_over()

    async def finish(self) -> None:
        """Send the end and wait until the peer says that the shard is durable.

        Raises as `accepted`; the peer then removes the file.
        """
        self._raise_if_over()
        self._put(PIECE_END)
        async with asyncio.timeout(SHARD_CALL_DEADLINE_S):
            await self._done.wait()
        if self._failure is not None:
            raise self._failure

    async def abort(self) -> None:
        """Tell the peer to remove what it has, unless it has all of it. Never raises."""
        self._aborted = True
        if self._done.is_set() or self.task is None:
            return
        self._queue.clear()
        self._put(PIECE_ABORT)
        try:
            async with asyncio.timeout(_ABORT_S):
                await self._done.wait()
        except TimeoutError:
            pass
        finally:
            self.task.cancel()

    async def run(
        self,
        http: aiohttp.ClientSession,
        url: str,
        headers: dict[str, str],
        tls: Transport,
    ) -> None:
        """Send the body and take the answer, which may come before the body has ended."""
        try:
            async with http.put(
                url, data=self._body(), headers=headers, expect100=True, ssl=tls
            ) as response:
                body = await response.read()
                ok = response.status == 200
                self._failure = None if ok else read_failure(self._peer, response.status, body)
        except (aiohttp.ClientError, OSError) as error:
            self._failure = RpcError(f"{self._peer}: {error}")
        finally:
            self.end()

    def end(self) -> None:
        """Let nobody wait any more: `run` has ended, or was given up before it began."""
        self._done.set()
        self._accepted.set()
        self._room.set()

    def _raise_if_over(self) -> None:
        if self._aborted:
            raise RpcError(f"{self._peer}: the shard was given up")
        if self._done.is_set():
            raise self._failure or RpcError(f"{self._peer}: answered before the end")

    def _put(self, piece: bytes) -> None:
        self._queue.append(piece)
        self._queued_bytes += len(piece)
        if self._queued_bytes > _QUEUE_BYTES_MAX and not self._done.is_set():
            self._room.clear()
        self._changed.set()

    async def _body(self) -> AsyncIterator[bytes]:
        self._accepted.set()  # the body is asked for once the peer has said "100 Continue"
        while True:
            await self._changed.wait()
            self._changed.clear()
            while self._queue:
                piece = self._queue.popleft()
                self._traffic.sent_bytes += len(piece)
                yield piece
                if piece in (PIECE_END, PIECE_ABORT):
                    return
                self._queued_bytes -= len(piece)
                if self._queued_bytes <= _QUEUE_BYTES_MAX:
                    self._room.set()

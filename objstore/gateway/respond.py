"""From a reply to bytes on the connection.

A small body goes out in one write with its head. A stream has a Content-Length, waits for the
connection to take each piece before it asks for the next one, and is never ended cleanly short:
when its source fails, the connection is aborted, so that no client takes a part for the whole.
A piece is on its way in full before the next is asked for, so its source may reuse the buffer.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from aiohttp import web

from objstore.drive.api import Buffer
from objstore.s3.call import Reply

_ONE_WRITE_BYTES_MAX: Final = 64 * 1024


class AnswerCut(Exception):
    """The answer ended early. `cause` is "client" (it hung up or stalled) or "server"."""

    def __init__(self, cause: str, sent: int) -> None:
        super().__init__(cause)
        self.cause = cause
        self.sent = sent


async def send(
    http: web.BaseRequest, reply: Reply, *, close: bool, stall_s: float
) -> tuple[web.StreamResponse, int]:
    """Send `reply` and return the response with the number of body bytes sent.

    Whatever the source of a stream raises before its first piece is passed on, so that it can
    still become an error document.

    Raises:
        AnswerCut: the head or a part was sent, and the rest cannot be.
    """
    body = reply.body
    if isinstance(body, bytes):
        return await _send_whole(http, reply, body, close=close), len(body)
    try:
        length = int(reply.headers["Content-Length"])
        if http.method == "HEAD":
            return await _send_whole(http, reply, b"", close=close), 0
        first = await anext(body, None)
        if first is None:
            _require_whole(reply, 0)
        elif len(first) == length <= _ONE_WRITE_BYTES_MAX:
            return await _send_whole(http, reply, bytes(first), close=close), length
        return await _send_stream(http, reply, first, body, close=close, stall_s=stall_s), length
    finally:
        if isinstance(body, AsyncGenerator):
            await body.aclose()


async def _send_whole(
    http: web.BaseRequest, reply: Reply, body: bytes, *, close: bool
) -> web.StreamResponse:
    response = web.Response(
        status=reply.status, headers=reply.headers, body=None if http.method == "HEAD" else body
    )
    if close:
        response.force_close()
    try:
        await response.prepare(http)
        await response.write_eof()
    except ConnectionError as error:
        raise AnswerCut("client", 0) from error
    return response


async def _send_stream(
    http: web.BaseRequest,
    reply: Reply,
    first: Buffer | None,
    rest: AsyncIterator[Buffer],
    *,
    close: bool,
    stall_s: float,
) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    if close:
        response.force_close()
    sent = 0
    cause = "client"
    watch: _StallWatch | None = None
    try:
        await response.prepare(http)
        watch = _StallWatch(http, stall_s)
        piece = first
        while piece is not None:
            cause = "client"
            await response.write(piece)
            await http.writer.drain()
            sent += len(piece)
            cause = "server"
            piece = await anext(rest, None)
        _require_whole(reply, sent)
        cause = "client"
        await response.write_eof()
    except Exception as error:
        _abort(http)
        raise AnswerCut(cause, sent) from error
    finally:
        if watch is not None:
            watch.stop()
    return response


def _require_whole(reply: Reply, sent: int) -> None:
    """Refuse a source that ended before, or went on after, the length it announced."""
    announced = reply.headers["Content-Length"]
    if str(sent) != announced:
        raise RuntimeError(f"a body of {announced} bytes ended after {sent}")


def _abort(http: web.BaseRequest) -> None:
    transport = http.transport
    if transport is not None:
        transport.abort()


class _StallWatch:
    """Aborts a connection whose client takes no byte for `stall_s` while some wait for it."""

    def __init__(self, http: web.BaseRequest, stall_s: float) -> None:
        transport = http.transport
        if transport is None:
            raise ConnectionResetError
        # From now on `drain` returns only when the kernel has taken everything. TLS transports
        # compare with "at least", so for them a bound of 0 would mean never to write again.
        secure = transport.get_extra_info("sslcontext") is not None
        transport.set_write_buffer_limits(high=1 if secure else 0, low=0)
        self._http = http
        self._transport = transport
        self._stall_s = stall_s
        self._taken_before = -1
        self._timer = self._arm()

    def _arm(self) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(self._stall_s, self._look)

    def _look(self) -> None:
        waiting = self._transport.get_write_buffer_size()
        taken = self._http.writer.output_size - waiting
        if waiting and taken == self._taken_before:
            self._transport.abort()
            return
        self._taken_before = taken
        self._timer = self._arm()

    def stop(self) -> None:
        """End the watch."""
        self._timer.cancel()

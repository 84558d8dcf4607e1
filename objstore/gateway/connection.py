"""One client connection: aiohttp's HTTP/1.1 protocol with the edges an object store needs.

aiohttp's own answers to broken requests are plain text, with a traceback in the log; a client
that sends its request and closes its half of the connection gets no answer at all; a chunked
body that breaks in the middle leaves its reader waiting; trailer fields of one request become
header fields of the next; requests behind many uploads are forgotten. This subclass is the one
place that knows aiohttp's inside (`_messages`, `_parser`, `_waiter`, `_request_count`);
tests/unit/gateway/test_connection.py holds every behaviour that depends on it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol, cast

from aiohttp import StreamReader, web

from objstore import limits

# A head is at most some long lines; whoever sends more without finishing one is cut off.
_HEAD_BYTES_MAX: Final = 8 * limits.HEADER_LINE_BYTES_MAX
_HEADER_FIELDS_MAX: Final = 128
# How a chunked body ends when it has no trailer fields.
_PLAIN_END: Final = b"\r\n0\r\n\r\n"
_FLUSH_INTERVAL_S: Final = 0.01


class Edge(Protocol):
    """What a connection asks of the gateway."""

    def answer_malformed(self, problem: BaseException | None, status: int) -> web.Response:
        """Return the S3 error document for bytes that are no HTTP request."""
        ...

    def admits_connection(self) -> bool:
        """Tell whether one more connection may be opened."""
        ...

    def report_escape(self, problem: BaseException | None) -> None:
        """Log an exception that escaped a request: a bug."""
        ...


class Connection(web.RequestHandler):
    """One connection. aiohttp handles its requests one after the other."""

    __slots__ = (
        "_body",
        "_broken",
        "_edge",
        "_head_bytes",
        "_head_timer",
        "_header_deadline_s",
        "_last_bytes",
        "_newest_body",
        "input_ended",
        "said_continue",
    )

    def __init__(
        self,
        server: web.Server,
        edge: Edge,
        *,
        header_deadline_s: float,
        idle_deadline_s: float,
        linger_s: float,
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=idle_deadline_s,
            access_log=cast("Any", None),
            auto_decompress=False,
            max_line_size=limits.HEADER_LINE_BYTES_MAX,
            max_field_size=limits.HEADER_LINE_BYTES_MAX,
            max_headers=_HEADER_FIELDS_MAX,
            lingering_time=linger_s,
        )
        self._edge = edge
        self._header_deadline_s = header_deadline_s
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._last_bytes = b""
        self._broken = False  # whether what came was no HTTP
        self._body: StreamReader | None = None
        self._newest_body: StreamReader | None = None  # of the request that was parsed last
        self.input_ended = False
        # Whether "100 Continue" went ahead of this request's answer. botocore takes the status of
        # an answer that came without it for the next answer's too, and waits for ever for its
        # body: such an answer must be the connection's last.
        self.said_continue = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._edge.admits_connection():
            super().connection_made(transport)
            self._expect_head()
        else:
            cast("asyncio.Transport", transport).abort()

    def begin_body(self, body: StreamReader) -> None:
        """Name the body that is being received, to be told when its framing breaks."""
        self._body = body
        self.said_continue = False
        if self.input_ended:
            self._break_body()

    @property
    def ended_without_trailers(self) -> bool:
        """Whether the last bytes received are the end of a chunked body without trailers.

        aiohttp's parser carries trailer fields over into the head of the next request, so a
        connection on which they may have come is not used again.
        """
        return self._last_bytes == _PLAIN_END

    def data_received(self, data: bytes) -> None:
        if self._broken:
            return  # the parser would complain of every further piece, and keep each
        late = self._late_body()
        super().data_received(data)
        if late is not None and late.is_eof():
            self._uncount_late()
        if self._messages:
            newest, self._newest_body = self._messages[-1]
            complaint = getattr(newest, "exc", None)
            if complaint is not None:
                self._broken = True
                complaint.__traceback__ = None  # its frames hold what was received
        if len(data) >= len(_PLAIN_END):
            self._last_bytes = data[-len(_PLAIN_END) :]
        elif data:
            self._last_bytes = (self._last_bytes + data)[-len(_PLAIN_END) :]
        if self._messages and self._body is not None and not self._body.is_eof():
            # Nothing can follow a body that is not whole, except the parser's complaint.
            self._break_body()
        if self._idle and not self._messages:
            self._head_bytes += len(data)
            self._expect_head()
        else:
            self._head_bytes = 0
            self._forget_head()
        if self._head_bytes > _HEAD_BYTES_MAX:
            self.force_close()

    def _late_body(self) -> StreamReader | None:
        """Return a body whose request is being answered already, while it is still coming."""
        body = self._newest_body
        return body if body is not None and not self._messages and not body.is_eof() else None

    def _uncount_late(self) -> None:
        """Take a request that is being answered off those that wait.

        aiohttp 3.14.5 stops parsing when 32 requests wait, and goes on when some were begun. Its
        parser counts a request when its body is whole, which for a late body is after it was
        begun: it would count for ever, and what is behind 32 of them would never be parsed.
        """
        if self._parser is not None:
            self._parser.message_consumed()
            super().data_received(b"")  # it may have stopped too early

    def connection_lost(self, exc: BaseException | None) -> None:
        super().connection_lost(exc)
        self._forget_head()
        self._newest_body = None

    def _expect_head(self) -> None:
        """Close unless a head is whole in time. aiohttp's own timer only knows idle connections."""
        if self._head_timer is None:
            loop = asyncio.get_running_loop()
            self._head_timer = loop.call_later(self._header_deadline_s, self.close_if_idle)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    @property
    def _idle(self) -> bool:
        """Whether no request is whole enough to be answered, or being answered."""
        waiter = self._waiter
        return self._request_count == 0 or (waiter is not None and not waiter.done())

    def eof_received(self) -> bool | None:  # type: ignore[override]  # aiohttp: returns None
        """Go on answering a client that has closed only its half of the connection."""
        transport = self.transport
        if self._idle or transport is None or transport.get_extra_info("sslcontext") is not None:
            return None
        self.input_ended = True
        self._break_body()
        self.close()
        return True

    def close_if_idle(self) -> None:
        """Close unless a request is being answered; its answer will close the connection."""
        if self._idle:
            self.force_close()

    def _break_body(self) -> None:
        body = self._body
        if body is not None and not body.is_eof() and body.exception() is None:
            body.set_exception(web.RequestPayloadError("the body's framing broke"))

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what never reached the gateway's handler, or escaped from it."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionResetError from exc
        if status >= 500:
            self._edge.report_escape(exc)
        return self._edge.answer_malformed(exc, status)

    def log_exception(self, *args: object, **kw: object) -> None:
        problem = kw.get("exc_info")
        if isinstance(problem, (web.RequestPayloadError, OSError)):
            return  # the client went away, or broke its own body, and was answered
        self._edge.report_escape(problem if isinstance(problem, BaseException) else None)


class ConnectionFactory(web.Server):
    """aiohttp's server, with our connections."""

    def __init__(
        self,
        handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        edge: Edge,
        *,
        header_deadline_s: float,
        idle_deadline_s: float,
        linger_s: float,
    ) -> None:
        super().__init__(handler)
        self._edge = edge
        self._header_deadline_s = header_deadline_s
        self._idle_deadline_s = idle_deadline_s
        self._linger_s = linger_s

    def __call__(self) -> Connection:
        return Connection(
            self,
            self._edge,
            header_deadline_s=self._header_deadline_s,
            idle_deadline_s=self._idle_deadline_s,
            linger_s=self._linger_s,
        )

    @property
    def connection_count(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def close_idle(self) -> None:
        """Close every connection on which no request is being answered."""
        for connection in self.connections:
            cast("Connection", connection).close_if_idle()

    async def close_all(self, timeout_s: float) -> None:
        """Cancel what is still being answered, flush what was answered, close every connection."""
        transports = list(self._connections.values())
        await self.shutdown(timeout_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                # A transport says that its buffer is empty to nobody but its protocol.
                while any(one.get_write_buffer_size() for one in transports):  # noqa: ASYNC110
                    await asyncio.sleep(_FLUSH_INTERVAL_S)
        for transport in transports:
            transport.abort()

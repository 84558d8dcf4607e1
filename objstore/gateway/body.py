"""The body of a request, as the engine reads it.

Bytes come off the connection in large pieces. An aws-chunked body goes through its decoder,
with the hashing of signed chunks in a thread once pieces are large. Nothing is asked of a client
that waits for "100 Continue" before a handler wants the first byte, so that a request that is
refused costs no upload.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from functools import partial
from typing import Final

from aiohttp import StreamReader, web

from objstore.drive.api import Buffer
from objstore.errors import RequestRefused
from objstore.gateway.connection import Connection
from objstore.gateway.context import GatewayContext, Threads
from objstore.wire.aws_chunked import Decoder, open_decoder
from objstore.wire.digests import Digests
from objstore.wire.headers import CHECKSUM_HEADERS, decode_checksum
from objstore.wire.request import Request
from objstore.wire.sigv4 import Verified

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_ALGORITHMS: Final = {header: name for name, header in CHECKSUM_HEADERS.items()}


def open_body(
    http: web.BaseRequest, request: Request, verified: Verified, context: GatewayContext
) -> "HttpBody":
    """Return the body of a request, framed as its signature says.

    Raises:
        RequestRefused: what the headers say about its framing contradicts itself.
    """
    return _body(http, open_decoder(request, verified), context)


def open_plain_body(http: web.BaseRequest, context: GatewayContext) -> "HttpBody":
    """Return the body of a request that is not verified yet, as it is."""
    return _body(http, None, context)


def _body(http: web.BaseRequest, decoder: Decoder | None, context: GatewayContext) -> "HttpBody":
    return HttpBody(
        http,
        size=http.content_length if decoder is None else decoder.decoded_bytes,
        decoder=decoder,
        threads=context.threads,
        stall_s=context.deadlines.stall_s,
    )


class HttpBody:
    """One request's body; an engine.ports.Body."""

    __slots__ = (
        "_continue_due",
        "_decoded",
        "_decoder",
        "_digests",
        "_ended",
        "_http",
        "_pieces",
        "_stall_s",
        "_threads",
        "size",
    )

    def __init__(
        self,
        http: web.BaseRequest,
        *,
        size: int | None,
        decoder: Decoder | None,
        threads: Threads,
        stall_s: float,
    ) -> None:
        self.size = size
        self._http = http
        self._decoder = decoder
        self._threads = threads
        self._stall_s = stall_s
        self._pieces: deque[Buffer] = deque()
        self._digests: Digests | None = None
        self._ended = False
        self._continue_due = http.headers.get("Expect") is not None

    def hand_trailers_to(self, digests: Digests) -> None:
        """Name the digests that checksums in the trailer are expectations of."""
        self._digests = digests

    async def read(self) -> Buffer:
        """Return the next piece; empty at the end. See engine.ports.Body."""
        if self._decoder is None:
            return await self._receive()
        while not self._pieces:
            if self._ended:
                return b""
            await self._decode_more(self._decoder)
        return self._pieces.popleft()

    async def _decode_more(self, decoder: Decoder) -> None:
        framed = await self._receive()
        if not framed:
            decoder.finish()
            self._ended = True
            self._expect_trailers(decoder.trailers)
        elif decoder.hashes:
            self._pieces.extend(await self._threads.run(len(framed), partial(decoder.feed, framed)))
        else:
            self._pieces.extend(decoder.feed(framed))

    def _expect_trailers(self, trailers: Mapping[str, str]) -> None:
        for header, value in trailers.items():
            algorithm = _ALGORITHMS[header]
            if self._digests is None or algorithm not in self._digests.algorithms:
                raise RequestRefused("InvalidRequest", "This operation takes no trailer.")
            self._digests.expect(algorithm, decode_checksum(algorithm, value))

    async def _receive(self) -> bytes:
        """Return what the connection brought, waiting for some; empty at the end."""
        if self._continue_due:
            await self._send_continue()
        stream = self._http.content
        try:
            piece = stream.read_nowait()
            if piece or stream.is_eof():
                return piece
            if self._http.transport is None:
                raise RequestRefused("IncompleteBody")
            return await self._wait_for_more(stream)
        except (web.RequestPayloadError, OSError) as error:
            raise RequestRefused("IncompleteBody") from error

    async def _wait_for_more(self, stream: StreamReader) -> bytes:
        deadline = asyncio.timeout(self._stall_s)
        try:
            async with deadline:
                return await stream.readany()
        except TimeoutError as error:
            if deadline.expired():
                raise RequestRefused("RequestTimeout") from error
            raise

    async def _send_continue(self) -> None:
        self._continue_due = False
        connection = self._http.protocol
        assert isinstance(connection, Connection)
        connection.said_continue = True
        # Also when nothing is to come: see Connection.said_continue.
        try:
            await self._http.writer.write(_CONTINUE)
        except ConnectionError as error:
            raise RequestRefused("IncompleteBody") from error
        # aiohttp takes an answer for begun once bytes were written; this one is still to come.
        self._http.writer.output_size = 0

"""A form that a browser posts, off the connection: its fields first, then its file as a body.

Nothing of the file is held but what one read of the connection brought. How long it is shows only
at its end, so its bounds are checked while it passes.
"""

import asyncio
from collections import deque
from typing import Final

from aiohttp import web

from objstore.drive.api import Buffer
from objstore.engine.ports import Body
from objstore.errors import RequestRefused
from objstore.gateway.body import HttpBody
from objstore.gateway.context import GatewayContext
from objstore.limits import OBJECT_PUT_BYTES_MAX, POST_FIELDS_BYTES_MAX
from objstore.wire.post_fields import FieldCollector
from objstore.wire.post_form import (
    Event,
    FileData,
    FileStart,
    FormField,
    FormParser,
    read_boundary,
)
from objstore.wire.post_policy import SizeRange
from objstore.wire.request import Request

# In front of the file and behind it there is at most so much that counts.
_FORM_BYTES_MAX: Final = OBJECT_PUT_BYTES_MAX + 2 * POST_FIELDS_BYTES_MAX


def open_form(http: web.BaseRequest, request: Request, context: GatewayContext) -> "FormBody":
    """Return the form that a request posts. Nothing of it has been read.

    Raises:
        RequestRefused: MissingContentLength, EntityTooLarge, MalformedPOSTRequest.
    """
    boundary = read_boundary(request.headers.get("content-type") or "")
    if boundary is None:
        raise RequestRefused("MalformedPOSTRequest")
    size = http.content_length
    if size is None:
        raise RequestRefused("MissingContentLength")
    if size > _FORM_BYTES_MAX:
        raise RequestRefused(
            "EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed=str(OBJECT_PUT_BYTES_MAX)
        )
    source = HttpBody(
        http,
        size=size,
        decoder=None,
        threads=context.threads,
        stall_s=context.deadlines.stall_s,
    )
    return FormBody(source, FormParser(boundary))


class FormBody:
    """A form's file; an engine.ports.Body once `read_fields` has returned."""

    __slots__ = ("_events", "_parser", "_sizes", "_source", "_taken", "size")

    def __init__(self, source: Body, parser: FormParser) -> None:
        self.size = None
        self._source = source
        self._parser = parser
        self._events: deque[Event] = deque()
        self._sizes = SizeRange()
        self._taken = 0

    def limit(self, sizes: SizeRange) -> None:
        """Say how long the file may be."""
        self._sizes = sizes

    async def read_fields(self, deadline_s: float) -> dict[str, str]:
        """Read up to where the file begins, and return the fields by lower-case name.

        Until then nobody knows who sends them, so like a request's head they have to be there
        soon: a client that sends one now and then would hold a request for hours.

        Raises:
            RequestRefused: see FormParser, FieldCollector and HttpBody.
            TimeoutError: the file has not begun after `deadline_s` seconds.
        """
        collector = FieldCollector()
        async with asyncio.timeout(deadline_s):
            while True:
                event = await self._next()
                assert event is not None  # a form without a file is never complete
                if isinstance(event, FormField):
                    collector.add(event)
                elif isinstance(event, FileStart):
                    return collector.close(event.filename)

    async def read(self) -> Buffer:
        """Return the next piece of the file; empty once the whole form was read.

        Raises:
            RequestRefused: EntityTooLarge or EntityTooSmall, and as `read_fields`.
        """
        while (event := await self._next()) is not None:
            if isinstance(event, FileData):
                self._taken += len(event.data)
                self._sizes.check_most(self._taken)
                return event.data
        self._sizes.check_least(self._taken)
        return b""

    async def _next(self) -> Event | None:
        """Return the next event; None at the end of a form that is complete."""
        while not self._events:
            data = await self._source.read()
            if not data:
                self._parser.finish()
                return None
            self._events.extend(self._parser.feed(bytes(data)))
        return self._events.popleft()

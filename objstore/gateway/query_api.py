"""IAM and STS: requests signed for these services, which share the endpoint with S3.

A signature's scope names its service, and is believed for no other: a request signed for S3
never gets here, and one signed for IAM or STS is never taken for one of S3's.
"""

import asyncio
import hashlib

from aiohttp import web

from objstore.errors import RequestRefused
from objstore.gateway.authenticate import Authenticator
from objstore.gateway.body import open_plain_body
from objstore.gateway.context import GatewayContext
from objstore.limits import QUERY_BODY_BYTES_MAX
from objstore.s3.call import Reply
from objstore.wire.query_protocol import action_of
from objstore.wire.request import Query, Request


async def answer_query(
    http: web.BaseRequest,
    request: Request,
    service: str,
    *,
    authenticator: Authenticator,
    context: GatewayContext,
) -> Reply:
    """Answer a request to `service`, once its signature holds.

    Raises:
        RequestRefused: its signature does not hold, it is malformed, or, for all that remains,
            NotImplemented.
    """
    if request.bucket is not None:
        raise RequestRefused("InvalidRequest", f"Requests to {service} go to the path /.")
    body = await _read_form(http, context)
    authenticator.authenticate(request, query_body=hashlib.sha256(body).hexdigest())
    try:
        form = Query(body.decode())
    except UnicodeDecodeError as error:
        raise RequestRefused("InvalidRequest", "The form is not UTF-8.") from error
    action = action_of(request.query, form)
    raise RequestRefused(
        "NotImplemented",
        f"{action} is not implemented: identities are declared in the servers' configuration file"
        " (docs/operating/identities.md).",
    )


async def _read_form(http: web.BaseRequest, context: GatewayContext) -> bytes:
    """Return the whole body. Nobody has signed for it yet, so it is short and has to come soon."""
    body = open_plain_body(http, context)
    if body.size is not None and body.size > QUERY_BODY_BYTES_MAX:
        raise RequestRefused("MaxMessageLengthExceeded")
    pieces: list[bytes] = []
    size = 0
    deadline = asyncio.timeout(context.deadlines.header_s)
    try:
        async with deadline:
            while piece := await body.read():
                size += len(piece)
                if size > QUERY_BODY_BYTES_MAX:
                    raise RequestRefused("MaxMessageLengthExceeded")
                pieces.append(bytes(piece))
    except TimeoutError as error:
        if deadline.expired():
            raise RequestRefused("RequestTimeout") from error
        raise
    return b"".join(pieces)

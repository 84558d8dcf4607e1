"""What a request line and its framing headers have to be before anything else is looked at.

aiohttp's parser (llhttp, strict) already refuses what is ambiguous between two parsers; these
are the requests it lets through that an object store has no use for.
"""

from typing import Final

from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.http_exceptions import InvalidURLError, LineTooLong

from objstore.errors import RequestRefused

_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
_VERSIONS: Final = frozenset({HttpVersion10, HttpVersion11})


def check_framing(http: web.BaseRequest) -> str:
    """Return the request line's target, exactly as it was sent.

    Raises:
        RequestRefused: the method is none of S3's, the target names another host or a fragment,
            or the body is framed in a way that is not plain `chunked`.
    """
    if http.method not in _METHODS:
        raise RequestRefused("MethodNotAllowed", Method=http.method)
    if http.version not in _VERSIONS:
        raise RequestRefused("BadRequest", "This server speaks HTTP/1.1.")
    target = http.raw_path
    if not target.startswith("/"):
        raise RequestRefused("BadRequest", "The request target has to be a path.")
    if "#" in target:
        raise RequestRefused("InvalidURI")
    framing = http.headers.get("Transfer-Encoding")
    if framing is not None and framing.lower() != "chunked":
        raise RequestRefused("NotImplemented", Header="Transfer-Encoding")
    return target


def malformed_reason(problem: BaseException | None) -> str:
    """Return the S3 error code for what aiohttp's parser refused."""
    if isinstance(problem, LineTooLong):
        return "RequestHeaderSectionTooLarge"
    return "InvalidURI" if isinstance(problem, InvalidURLError) else "BadRequest"

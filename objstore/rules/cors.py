"""CORS: what a browser is told about a bucket, before a request (preflight) and with its answer.

A rule fits a request when one of its origins, one of its methods and, for a preflight, an allowed
header for each header asked for fit; the first rule that fits speaks.
"""

import re
from collections.abc import Sequence
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import CORS_REQUEST_HEADERS_MAX
from objstore.wire.config_documents.cors import METHODS, CorsRule, CorsRules

VARY: Final = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
_ANY: Final = "*"
# An origin comes back in a header.
_ORIGIN: Final = re.compile(r"[\x21-\x7e]{1,2048}")
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_NOT_ALLOWED: Final = (
    "CORSResponse: This CORS request is not allowed. This is usually because the evalution of"
    " Origin, request method / Access-Control-Request-Method or Access-Control-Request-Headers are"
    " not whitelisted by the resource's CORS spec."
)


def match(
    rules: CorsRules, *, origin: str, method: str, headers: Sequence[str] = ()
) -> CorsRule | None:
    """Return the first rule that lets a page of `origin` send `method` with `headers`.

    The names of headers are in lower case.
    """
    if _ORIGIN.fullmatch(origin) is None:
        return None
    for rule in rules:
        if (
            method in rule.methods
            and any(fits(pattern, origin) for pattern in rule.origins)
            and all(_allows_header(rule, header) for header in headers)
        ):
            return rule
    return None


def fits(pattern: str, text: str) -> bool:
    """Whether `text` is `pattern`, of which one "*" stands for any text."""
    start, star, end = pattern.partition(_ANY)
    if not star:
        return text == pattern
    return len(text) >= len(start) + len(end) and text.startswith(start) and text.endswith(end)


def _allows_header(rule: CorsRule, header: str) -> bool:
    return any(fits(pattern.lower(), header) for pattern in rule.allowed_headers)


def preflight(
    rules: CorsRules,
    *,
    origin: str | None,
    method: str | None,
    headers: str | None,
    resource: str = "OBJECT",
) -> dict[str, str]:
    """Return the headers that answer an OPTIONS request.

    Args:
        rules: the bucket's; empty when it has no CORS configuration.
        origin: the Origin header.
        method: Access-Control-Request-Method.
        headers: Access-Control-Request-Headers.
        resource: what is addressed, as a refusal calls it: OBJECT, BUCKET or SERVICE.

    Raises:
        RequestRefused: BadRequest for what is no preflight; AccessForbidden for one that no rule
            fits.
    """
    if origin is None:
        raise RequestRefused(
            "BadRequest", "Insufficient information. Origin request header needed."
        )
    if method not in METHODS:
        raise RequestRefused(
            "BadRequest", f"Invalid Access-Control-Request-Method: {(method or 'null')[:100]}"
        )
    wanted = _requested_headers(headers or "")
    if not rules:
        raise RequestRefused("AccessForbidden", Method=method, ResourceType=resource)
    rule = match(rules, origin=origin, method=method, headers=wanted)
    if rule is None:
        raise RequestRefused("AccessForbidden", _NOT_ALLOWED, Method=method, ResourceType=resource)
    answer = _headers(rule, origin)
    if wanted:
        answer["Access-Control-Allow-Headers"] = ", ".join(wanted)
    return answer


def _requested_headers(text: str) -> list[str]:
    """Return the names in Access-Control-Request-Headers, in lower case, each once."""
    wanted = list(dict.fromkeys(name for item in text.split(",") if (name := item.strip().lower())))
    if len(wanted) > CORS_REQUEST_HEADERS_MAX:
        raise RequestRefused(
            "BadRequest",
            "Access-Control-Request-Headers can have no more than"
            f" {CORS_REQUEST_HEADERS_MAX} names.",
        )
    for name in wanted:
        if _HEADER_NAME.fullmatch(name) is None:
            raise RequestRefused(
                "BadRequest",
                f'Access-Control-Request-Headers "{name[:100]}" contains invalid character.',
            )
    return wanted


def response_headers(
    rules: CorsRules, *, origin: str | None, method: str, requested_method: str | None = None
) -> dict[str, str]:
    """Return the headers that CORS adds to the answer of an actual request.

    A bucket with rules always answers with Vary, with or without an Origin, so that no cache
    gives one origin what another was answered.

    Args:
        rules: the bucket's; empty when it has no CORS configuration.
        origin: the Origin header, which browsers send with cross-origin requests.
        method: the request's.
        requested_method: Access-Control-Request-Method, which stands for it when it is sent.
    """
    if not rules:
        return {}
    rule = None
    if origin is not None:
        rule = match(rules, origin=origin, method=requested_method or method)
    return {"Vary": VARY} if rule is None or origin is None else _headers(rule, origin)


def _headers(rule: CorsRule, origin: str) -> dict[str, str]:
    """Return what every answer says. Any origin at all is told "*", and gets no credentials."""
    headers = {"Access-Control-Allow-Origin": origin}
    if _ANY in rule.origins:
        headers["Access-Control-Allow-Origin"] = _ANY
    else:
        headers["Access-Control-Allow-Credentials"] = "true"
    headers["Access-Control-Allow-Methods"] = ", ".join(rule.methods)
    if rule.exposed_headers:
        headers["Access-Control-Expose-Headers"] = ", ".join(rule.exposed_headers)
    if rule.max_age_s is not None:
        headers["Access-Control-Max-Age"] = str(rule.max_age_s)
    return {**headers, "Vary": VARY}

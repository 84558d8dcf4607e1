"""What a request claims about its signature: the Authorization header, or a presigned URL's query.

Grammar and time only: whether the signature holds is sigv4.verify's to say. Each refusal has the
code that AWS answers; docs/protocol/sigv4.md has the table.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import CLOCK_SKEW_SECONDS_MAX, PRESIGN_SECONDS_MAX
from objstore.wire.request import Query, Request
from objstore.wire.signing import (
    ALGORITHM,
    GLOBAL_REGION,
    QUERY_SERVICES,
    SERVICE,
    TERMINATOR,
    UNSIGNED_PAYLOAD,
    Scope,
    canonical_query,
    read_timestamp,
    write_timestamp,
)
from objstore.wire.sigv2 import signed_by_v2

_DATE: Final = re.compile(r"[0-9]{8}")
_EXPIRES: Final = re.compile(r"[0-9]{1,9}")
_NOT_EXPIRES: Final = re.compile(r"-[0-9]+")
_HEADER_FIELDS: Final = ("Credential", "SignedHeaders", "Signature")
_QUERY_FIELDS: Final = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Date",
    "X-Amz-Expires",
    "X-Amz-SignedHeaders",
    "X-Amz-Signature",
)
# Any one of these means that the query is meant to be a signature.
_QUERY_MARKS: Final = ("X-Amz-Signature", "X-Amz-Algorithm", "X-Amz-Credential")
_UNSUPPORTED: Final = (
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
)
_QUERY_SCOPE: Final = re.compile(rf"/({'|'.join(sorted(QUERY_SERVICES))})/{TERMINATOR}(?:,| |$)")
_CREDENTIAL_SHAPE: Final = f'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/{TERMINATOR}"'


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says about its signature."""

    access_key: str
    scope: Scope
    timestamp: str
    signed_headers: tuple[str, ...]
    signature: str
    payload: str
    query: str  # canonical


def signed_in_query(query: Query) -> bool:
    """Whether a query is meant to be a signature, a whole one or not."""
    if not query.pairs:
        return False
    return signed_by_v2(query) or any(query.has(name) for name in _QUERY_MARKS)


def claimed_service(request: Request) -> str:
    """Return which service a request seems to be for: "s3", unless its scope names another here.

    A look, no proof: a request is verified for this service and no other, so one that looks like
    something else than it is does not get past its signature.
    """
    for text in (*request.headers.all("authorization"), *request.query.all("X-Amz-Credential")):
        found = _QUERY_SCOPE.search(text)
        if found is not None:
            return found[1]
    return SERVICE


# --- the Authorization header ---------------------------------------------------------


def read_header(
    request: Request, text: str, region: str, now_s: int, *, query_body: str | None = None
) -> Claim:
    """Return what an Authorization header, `text`, claims.

    Args:
        request: the request.
        text: the header.
        region: the deployment's region.
        now_s: the current time, in seconds since the epoch.
        query_body: None for a request to S3; the SHA-256 of the whole body of one to iam or sts,
            whose clients sign it without saying it.

    Raises:
        RequestRefused: AuthorizationHeaderMalformed, RequestTimeTooSkewed, AccessDenied (empty,
            or no date), InvalidRequest or InvalidArgument (another mechanism, no payload hash).
    """
    fields = _authorization_fields(text)
    access_key, scope = _read_credential(
        fields["Credential"], region, _malformed_header, services=_services(query_body)
    )
    timestamp, signed_at_s = _header_date(request)
    if scope.date != timestamp[:8]:
        raise _malformed_header(
            f'Invalid credential date "{scope.date}". This date is not the same as X-Amz-Date:'
            f' "{timestamp[:8]}".'
        )
    if abs(now_s - signed_at_s) > CLOCK_SKEW_SECONDS_MAX:
        raise RequestRefused(
            "RequestTimeTooSkewed",
            RequestTime=timestamp,
            ServerTime=_iso(now_s),
            MaxAllowedSkewMilliseconds=str(CLOCK_SKEW_SECONDS_MAX * 1000),
        )
    payload = query_body or request.headers.get("x-amz-content-sha256")
    if payload is None:
        raise RequestRefused(
            "InvalidRequest", "Missing required header for this request: x-amz-content-sha256"
        )
    return Claim(
        access_key=access_key,
        scope=scope,
        timestamp=timestamp,
        signed_headers=tuple(fields["SignedHeaders"].split(";")),
        signature=fields["Signature"],
        payload=payload,
        query=canonical_query(request.query.pairs),
    )


def _authorization_fields(text: str) -> dict[str, str]:
    """Split `AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...`."""
    scheme, space, rest = text.strip(" \t").partition(" ")
    if not scheme:
        raise RequestRefused("AccessDenied")
    if scheme != ALGORITHM:
        if scheme == "AWS" or scheme.startswith("AWS4-"):
            raise RequestRefused("InvalidRequest", _UNSUPPORTED)
        raise RequestRefused(
            "InvalidArgument", "Unsupported Authorization Type", ArgumentName="Authorization"
        )
    if not space or rest.startswith(" "):
        raise _malformed_header("")
    fields: dict[str, str] = {}
    for item in rest.split(","):
        name, equals, value = item.strip(" ").partition("=")
        if not equals or not value or " " in value or name in fields:
            raise _malformed_header("")
        fields[name] = value
    if len(fields) != len(_HEADER_FIELDS) or any(name not in fields for name in _HEADER_FIELDS):
        raise _malformed_header("")
    return fields


def _header_date(request: Request) -> tuple[str, int]:
    """Return when the request says it was signed, as SigV4 writes it and in seconds."""
    sent = request.headers.get("x-amz-date")
    if sent is None:
        sent = _http_date(request.headers.get("date") or "")
    signed_at_s = read_timestamp(sent)
    if signed_at_s is None:
        raise RequestRefused(
            "AccessDenied", "AWS authentication requires a valid Date or x-amz-date header"
        )
    return sent, signed_at_s


def _http_date(text: str) -> str:
    """Return a Date header as SigV4 writes times; text that is no HTTP date as it is."""
    try:
        moment = datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return text
    return write_timestamp(int(moment.timestamp()))


def _malformed_header(detail: str, **more: str) -> RequestRefused:
    message = "The authorization header is malformed"
    return RequestRefused(
        "AuthorizationHeaderMalformed", f"{message}; {detail}" if detail else f"{message}.", **more
    )


# --- the query of a presigned URL -----------------------------------------------------


def read_query(
    request: Request, region: str, now_s: int, *, query_body: str | None = None
) -> Claim:
    """Return what the query of a presigned URL claims; the arguments are read_header's.

    Raises:
        RequestRefused: AuthorizationQueryParametersError, AccessDenied (expired, not yet valid,
            or a credential without signature), InvalidRequest (version 2).
    """
    fields = _query_fields(request.query)
    access_key, scope = _read_credential(
        fields["X-Amz-Credential"], region, _malformed_credential, services=_services(query_body)
    )
    timestamp = fields["X-Amz-Date"]
    signed_at_s = read_timestamp(timestamp)
    if signed_at_s is None:
        raise _malformed_query(
            "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    if scope.date != timestamp[:8]:
        raise _malformed_credential(
            f'incorrect date "{scope.date}". This date is not the same as X-Amz-Date:'
            f' "{timestamp[:8]}".'
        )
    _require_current(signed_at_s, _read_expires(fields["X-Amz-Expires"]), now_s)
    return Claim(
        access_key=access_key,
        scope=scope,
        timestamp=timestamp,
        signed_headers=tuple(fields["X-Amz-SignedHeaders"].split(";")),
        signature=fields["X-Amz-Signature"],
        payload=query_body or _query_payload(request),
        query=canonical_query(pair for pair in request.query.pairs if pair[0] != "X-Amz-Signature"),
    )


def _query_fields(query: Query) -> dict[str, str]:
    """Return the parameters of a signature; each is there once."""
    if not query.has("X-Amz-Algorithm") and not query.has("X-Amz-Signature"):
        if query.has("Signature"):
            raise RequestRefused("InvalidRequest", _UNSUPPORTED)
        raise RequestRefused("AccessDenied")  # a credential alone proves nothing
    fields: dict[str, str] = {}
    for name in _QUERY_FIELDS:
        values = query.all(name)
        if len(values) != 1 or not values[0]:
            raise _malformed_query(
                "Query-string authentication version 4 requires the X-Amz-Algorithm,"
                " X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and"
                " X-Amz-Expires parameters, each of them once."
            )
        fields[name] = values[0]
    if fields["X-Amz-Algorithm"] != ALGORITHM:
        raise _malformed_query(f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    return fields


def _read_expires(text: str) -> int:
    if _EXPIRES.fullmatch(text) is None:
        negative = _NOT_EXPIRES.fullmatch(text) is not None
        raise _malformed_query(
            "X-Amz-Expires must be non-negative"
            if negative
            else "X-Amz-Expires should be a number of seconds, at most a week"
        )
    expires_s = int(text)
    if expires_s > PRESIGN_SECONDS_MAX:
        raise _malformed_query(
            f"X-Amz-Expires must be less than a week (in seconds) that is {PRESIGN_SECONDS_MAX}"
        )
    return expires_s


def _require_current(signed_at_s: int, expires_s: int, now_s: int) -> None:
    if signed_at_s - now_s > CLOCK_SKEW_SECONDS_MAX:
        raise RequestRefused("AccessDenied", "Request is not yet valid", ServerTime=_iso(now_s))
    if now_s >= signed_at_s + expires_s:
        detail = {
            "X-Amz-Expires": str(expires_s),
            "Expires": _iso(signed_at_s + expires_s),
            "ServerTime": _iso(now_s),
        }
        raise RequestRefused("AccessDenied", "Request has expired", **detail)


def _query_payload(request: Request) -> str:
    """Return the payload a presigned URL signs: unsigned, unless it says something else."""
    in_query = request.query.all("X-Amz-Content-Sha256")
    said = {*in_query, *request.headers.all("x-amz-content-sha256")}
    if len(said) > 1:
        raise RequestRefused(
            "InvalidRequest", "x-amz-content-sha256 is there more than once, with other values."
        )
    return said.pop() if said else UNSIGNED_PAYLOAD


def _malformed_query(message: str, **more: str) -> RequestRefused:
    return RequestRefused("AuthorizationQueryParametersError", message, **more)


def _malformed_credential(detail: str, **more: str) -> RequestRefused:
    return _malformed_query(f"Error parsing the X-Amz-Credential parameter; {detail}", **more)


# --- the fields of a form -------------------------------------------------------------


def read_form_credential(text: str, region: str) -> tuple[str, Scope]:
    """Return the access key and the scope that a form's X-Amz-Credential names.

    Raises:
        RequestRefused: InvalidArgument.
    """
    return _read_credential(text, region, _malformed_field, services=_services(None))


def _malformed_field(detail: str, **more: str) -> RequestRefused:
    message = f"Error parsing the X-Amz-Credential field; {detail}"
    return RequestRefused("InvalidArgument", message, ArgumentName="X-Amz-Credential", **more)


# --- what all have --------------------------------------------------------------------


def _services(query_body: str | None) -> frozenset[str]:
    return frozenset({SERVICE}) if query_body is None else QUERY_SERVICES


def _read_credential(
    text: str,
    region: str,
    malformed: Callable[..., RequestRefused],
    *,
    services: frozenset[str],
) -> tuple[str, Scope]:
    """Return the access key and the scope; every part of the scope but the date is known."""
    parts = text.rsplit("/", 4)  # an access key may have slashes
    if len(parts) != 5 or not parts[0]:
        raise malformed(f"the Credential is mal-formed; {_CREDENTIAL_SHAPE}.")
    access_key, date, named_region, service, terminator = parts
    if terminator != TERMINATOR:
        raise malformed(f'incorrect terminal; this endpoint uses "{TERMINATOR}".')
    if service not in services:
        raise malformed(f'incorrect service; this endpoint belongs to "{SERVICE}".')
    if named_region != region and (service == SERVICE or named_region != GLOBAL_REGION):
        raise malformed(f"the region is wrong; expecting '{region}'", Region=region)
    if _DATE.fullmatch(date) is None:
        raise malformed("incorrect date format; this date is to be in the form YYYYMMDD.")
    return access_key, Scope(date, named_region, service)


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

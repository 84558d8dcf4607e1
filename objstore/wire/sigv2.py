"""Links signed by Signature Version 2, which boto3 and the AWS CLI make unless they are told.

docs/protocol/sigv2.md has the grammar, and why so little may stand in such a link uncovered.
"""

import base64
import hmac
import re
from collections.abc import Callable
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.headers import parameters
from objstore.wire.request import Query, Request
from objstore.wire.signing import signatures_equal

_FIELDS: Final = ("AWSAccessKeyId", "Signature", "Expires")
_EXPIRES: Final = re.compile(r"[0-9]{1,12}")
# "If the request addresses a subresource, ... append the subresource"; and the overrides of
# response headers.
_COVERED: Final = frozenset(
    {
        *("accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory"),
        *("lifecycle", "location", "logging", "metrics", "notification", "object-lock"),
        *("partNumber", "policy", "replication", "requestPayment", "restore", "select"),
        *("select-type", "storageClass", "tagging", "torrent", "uploadId", "uploads"),
        *("versionId", "versioning", "versions", "website"),
        *("response-cache-control", "response-content-disposition", "response-content-encoding"),
        *("response-content-language", "response-content-type", "response-expires"),
    }
)
_MOVED_HEADERS: Final = frozenset({"content-type", "content-md5"})
# They choose a part of a listing, which the link shows anyway; x-id names the SDK's operation.
_UNCOVERED: Final = frozenset(
    {
        *("prefix", "delimiter", "marker", "max-keys", "encoding-type", "list-type"),
        *("continuation-token", "start-after", "fetch-owner"),
        *("key-marker", "upload-id-marker", "version-id-marker", "max-uploads"),
        *("max-parts", "part-number-marker", "x-id"),
    }
)
# What a link's query says about the link, and not about the operation.
LINK_QUERY: Final = frozenset(_FIELDS) | _MOVED_HEADERS


def signed_by_v2(query: Query) -> bool:
    """Whether a query is meant to be a signature of version 2."""
    return query.has("AWSAccessKeyId") and query.has("Signature")


def verify_link(request: Request, *, secret_of: Callable[[str], str | None], now_s: int) -> str:
    """Return the access key that signed a link.

    Raises:
        RequestRefused: AccessDenied, InvalidAccessKeyId, InvalidToken, SignatureDoesNotMatch.
    """
    query = request.query
    if any(len(query.all(name)) != 1 for name in _FIELDS):
        raise RequestRefused(
            "AccessDenied",
            "Query-string authentication requires the Signature, Expires and AWSAccessKeyId"
            " parameters",
        )
    _require_current(query.all("Expires")[0], now_s)
    _require_covered(query)
    access_key = query.all("AWSAccessKeyId")[0]
    secret = secret_of(access_key)
    if secret is None:
        raise RequestRefused("InvalidAccessKeyId")
    if "x-amz-security-token" in _amz_headers(request):
        raise RequestRefused("InvalidToken")  # none are given out
    text = string_to_sign(request)
    digest = hmac.new(secret.encode(), text.encode("utf-8", "surrogateescape"), "sha1").digest()
    if not signatures_equal(base64.b64encode(digest).decode(), query.all("Signature")[0]):
        raise RequestRefused("SignatureDoesNotMatch", StringToSign=text)
    return access_key


def string_to_sign(request: Request) -> str:
    """Return what the signature of a link signs."""
    amz = "".join(f"{name}:{value}\n" for name, value in sorted(_amz_headers(request).items()))
    lines = (
        request.method,
        _moved(request, "content-md5"),
        _moved(request, "content-type"),
        request.query.get("Expires") or "",
    )
    return "\n".join(lines) + "\n" + amz + _resource(request)


def _require_current(expires: str, now_s: int) -> None:
    if _EXPIRES.fullmatch(expires) is None:
        raise RequestRefused(
            "AccessDenied", f"Invalid date (should be seconds since epoch): {expires}"
        )
    if now_s > int(expires):
        raise RequestRefused("AccessDenied", "Request has expired")


def _require_covered(query: Query) -> None:
    for name, _ in query.pairs:
        covered = name in _COVERED or name in LINK_QUERY or name.lower().startswith("x-amz-")
        if not covered and name not in _UNCOVERED:
            raise RequestRefused(
                "AccessDenied",
                f"The query parameter {name} is not covered by a signature of version 2."
                " Please sign by AWS4-HMAC-SHA256.",
            )


def _amz_headers(request: Request) -> dict[str, str]:
    """Return x-amz- headers by lower-case name, also those that stand in the query."""
    return {
        name: value.strip(" \t") for name, value in parameters(request) if name.startswith("x-amz-")
    }


def _moved(request: Request, name: str) -> str:
    value = request.headers.get(name)
    return (value if value is not None else request.query.get(name) or "").strip(" \t")


def _resource(request: Request) -> str:
    bucket = f"/{request.bucket}" if request.virtual_host else ""
    covered = sorted((pair for pair in request.query.pairs if pair[0] in _COVERED), key=_name)
    text = "&".join(f"{name}={value}" if value else name for name, value in covered)
    return f"{bucket}{request.raw_path}" + (f"?{text}" if text else "")


def _name(pair: tuple[str, str]) -> str:
    return pair[0]

"""CORS at the edge: preflights are answered here, and real answers get the headers of a rule.

A browser sends a preflight without credentials, so nobody is asked for any. A request without an
Origin costs nothing: no bucket is looked up for it. What a bucket's rules mean is rules/cors.py's
to say.
"""

from objstore.errors import QuorumError, RequestRefused
from objstore.rules.cors import preflight, response_headers
from objstore.s3.call import Reply
from objstore.s3.cors import cors_rules
from objstore.s3.object_store import ObjectStore
from objstore.wire.config_documents.cors import CorsRules
from objstore.wire.request import Request

_METHOD = "access-control-request-method"


async def answer_preflight(store: ObjectStore, request: Request) -> Reply:
    """Answer OPTIONS.

    "A browser can send this preflight request to Amazon S3 to determine if it can send an actual
    request with the specific origin, HTTP method, and headers."

    Raises:
        RequestRefused: BadRequest, AccessForbidden; NoSuchBucket.
    """
    fields = request.headers
    rules: CorsRules = ()
    if request.bucket is not None and "origin" in fields:
        rules = cors_rules(await store.head_bucket(request.bucket))
    headers = preflight(
        rules,
        origin=fields.get("origin"),
        method=fields.get(_METHOD),
        headers=fields.get("access-control-request-headers"),
        resource=_resource(request),
    )
    return Reply(200, headers)


def _resource(request: Request) -> str:
    if request.bucket is None:
        return "SERVICE"
    return "BUCKET" if request.key is None else "OBJECT"


async def cross_origin_headers(store: ObjectStore, request: Request) -> dict[str, str]:
    """Return what CORS adds to the answer of a request, whatever that answer is.

    Nothing is added when the bucket cannot be read: no answer fails for these headers' sake.
    """
    fields = request.headers
    if "origin" not in fields or request.bucket is None or request.method == "OPTIONS":
        return {}
    try:
        rules = cors_rules(await store.head_bucket(request.bucket))
    except (RequestRefused, QuorumError):
        return {}
    return response_headers(
        rules,
        origin=fields.get("origin"),
        method=request.method,
        requested_method=fields.get(_METHOD),
    )

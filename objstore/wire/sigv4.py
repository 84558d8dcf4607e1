"""AWS Signature Version 4: who signed a request, and how its body is covered.

`verify` reads the Authorization header or a presigned URL's query (also one by version 2: see
sigv2.py); exactly one of them. Nothing
it returns was taken from a part of the request that the signature does not cover. The refusals
are those that AWS answers; docs/protocol/sigv4.md has the table.

`sign` and `presign` are the client's side, for objstore's own commands.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import PRESIGN_SECONDS_MAX
from objstore.wire.request import Query, Request
from objstore.wire.signature_claim import Claim, read_header, read_query, signed_in_query
from objstore.wire.signing import (
    ALGORITHM,
    SERVICE,
    UNSIGNED_PAYLOAD,
    ChunkSigner,
    Scope,
    SigningKeys,
    canonical_path,
    canonical_query,
    canonical_request,
    derive_key,
    signature,
    signatures_equal,
    string_to_sign,
    uri_encode,
    write_timestamp,
)
from objstore.wire.sigv2 import signed_by_v2, verify_link

_SHA256: Final = re.compile(r"[0-9a-f]{64}")


class PayloadMode(Enum):
    """How a body is framed and what covers it."""

    UNSIGNED = UNSIGNED_PAYLOAD
    SIGNED = "the SHA-256 of the body"
    STREAMING_SIGNED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
    STREAMING_SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    STREAMING_UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

    @property
    def chunked(self) -> bool:
        """Whether the body is aws-chunked."""
        return self not in (PayloadMode.UNSIGNED, PayloadMode.SIGNED)

    @property
    def chunks_signed(self) -> bool:
        """Whether every chunk carries a signature."""
        return self in (PayloadMode.STREAMING_SIGNED, PayloadMode.STREAMING_SIGNED_TRAILER)

    @property
    def has_trailer(self) -> bool:
        """Whether a trailer follows the last chunk."""
        return self in (
            PayloadMode.STREAMING_SIGNED_TRAILER,
            PayloadMode.STREAMING_UNSIGNED_TRAILER,
        )


_MODES: Final = {mode.value: mode for mode in PayloadMode if mode is not PayloadMode.SIGNED}


@dataclass(frozen=True, slots=True)
class Verified:
    """A request whose signature holds."""

    access_key: str
    service: str
    region: str
    payload: PayloadMode
    payload_sha256: bytes | None  # what the body's SHA-256 must be, in mode SIGNED
    seed: ChunkSigner | None  # for the modes with signed chunks; good for one body
    presigned: bool


@dataclass(frozen=True, slots=True)
class Anonymous:
    """A request that nobody signed, nor tried to."""

    payload: PayloadMode
    payload_sha256: bytes | None


def verify(
    request: Request,
    *,
    secret_of: Callable[[str], str | None],
    region: str,
    now_s: int,
    keys: SigningKeys | None = None,
    sigv2_links: bool = True,
    query_body: str | None = None,
) -> Verified | Anonymous:
    """Return who signed a request.

    Args:
        request: the request, as parse_request made it.
        secret_of: the secret of an access key; None for one that is unknown or disabled.
        region: the only region that a signature may be for.
        now_s: the current time, in seconds since the epoch.
        keys: signing keys to reuse; without it the key is derived anew.
        sigv2_links: whether links by version 2 are believed; see wire/sigv2.py.
        query_body: None: only a signature for S3 holds. Otherwise the SHA-256, in hexadecimal,
            of the whole body of a request to iam or sts, and only a signature for these holds.

    Raises:
        RequestRefused: with AWS's code for what is wrong; see docs/protocol/sigv4.md.
    """
    authorizations = request.headers.all("authorization")
    in_query = signed_in_query(request.query)
    if len(authorizations) + in_query > 1:
        raise RequestRefused(
            "InvalidArgument",
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature"
            " query string parameter or the Authorization header should be specified",
            ArgumentName="Authorization",
        )
    if authorizations:
        claim = read_header(request, authorizations[0], region, now_s, query_body=query_body)
    elif sigv2_links and query_body is None and signed_by_v2(request.query):
        return _verify_v2(request, secret_of, region, now_s)
    elif in_query:
        claim = read_query(request, region, now_s, query_body=query_body)
    else:
        return _anonymous(request)
    mode, payload_sha256 = _read_payload(claim.payload, in_query=in_query)
    _require_signed_headers(request, claim.signed_headers)
    key = _key_of(claim, secret_of, keys)
    _require_no_token(request)
    _check_signature(request, claim, key)
    return Verified(
        access_key=claim.access_key,
        service=claim.scope.service,
        region=claim.scope.region,
        payload=mode,
        payload_sha256=payload_sha256,
        seed=_chunk_signer(claim, key) if mode.chunks_signed else None,
        presigned=in_query,
    )


def _verify_v2(
    request: Request, secret_of: Callable[[str], str | None], region: str, now_s: int
) -> Verified:
    access_key = verify_link(request, secret_of=secret_of, now_s=now_s)
    sent = request.headers.get("x-amz-content-sha256")
    mode, payload_sha256 = _read_payload(sent or UNSIGNED_PAYLOAD, in_query=True)
    return Verified(access_key, SERVICE, region, mode, payload_sha256, seed=None, presigned=True)


def _anonymous(request: Request) -> Anonymous:
    if any(name.startswith("response-") for name, _ in request.query.pairs):
        raise RequestRefused(
            "InvalidRequest",
            "Request specific response headers cannot be used for anonymous GET requests.",
        )
    sent = request.headers.get("x-amz-content-sha256")
    mode, payload_sha256 = _read_payload(UNSIGNED_PAYLOAD if sent is None else sent)
    if mode.chunked:  # R8: the framing is believed only when a seed signature covers it
        raise RequestRefused("AccessDenied")
    return Anonymous(mode, payload_sha256)


def _read_payload(text: str, *, in_query: bool = False) -> tuple[PayloadMode, bytes | None]:
    """Return what x-amz-content-sha256 says; a body under a link is never aws-chunked."""
    if _SHA256.fullmatch(text) is not None:
        return PayloadMode.SIGNED, bytes.fromhex(text)
    mode = _MODES.get(text)
    if mode is None:
        raise RequestRefused(
            "InvalidArgument",
            f"x-amz-content-sha256 must be {', '.join(_MODES)}, or a valid sha256 value.",
            ArgumentName="x-amz-content-sha256",
        )
    if in_query and mode.chunked:
        raise RequestRefused("AccessDenied", "An aws-chunked body needs an Authorization header.")
    return mode, None


def _require_signed_headers(request: Request, signed: tuple[str, ...]) -> None:
    """Refuse headers that act and that nobody signed.

    "The CanonicalHeaders list must include: the HTTP host header; if the Content-Type header is
    present in the request, you must add it; any x-amz-* headers that you plan to include." AWS
    does not hold clients to the part about Content-Type: the SDK for JavaScript before version 3
    and minio-js sign it never, and browsers and curl add one of their own to a presigned URL.
    """
    covered = frozenset(signed)
    unsigned = [
        name
        for name in request.headers
        if name not in covered and (name == "host" or name.startswith("x-amz-"))
    ]
    if unsigned:
        raise RequestRefused(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(unsigned),
        )


def _key_of(
    claim: Claim, secret_of: Callable[[str], str | None], keys: SigningKeys | None
) -> bytes:
    secret = secret_of(claim.access_key)
    if secret is None:
        raise RequestRefused("InvalidAccessKeyId")
    return derive_key(secret, claim.scope) if keys is None else keys.key(secret, claim.scope)


def _require_no_token(request: Request) -> None:
    """Refuse a session token: no temporary credentials are given out, so none can be valid."""
    name = "x-amz-security-token"
    if name in request.headers or any(key.lower() == name for key, _ in request.query.pairs):
        raise RequestRefused("InvalidToken")


def _check_signature(request: Request, claim: Claim, key: bytes) -> None:
    """Compute the signature and compare.

    Clients differ in what they take for the path: what is in the request line (botocore), or the
    key encoded in AWS's one way even when the request line has it less encoded (a client whose
    HTTP library rewrites escapes). Both name the same key, so either may have been signed.
    """
    names = claim.signed_headers
    signed = [(name, request.headers.all(name)) for name in names]
    # In order and once each: a name repeated would make the canonical form as long as one likes.
    ordered = all(one < other for one, other in pairwise(names))
    if not ordered or any(not values for _, values in signed):
        raise RequestRefused("SignatureDoesNotMatch")
    text = ""
    for path in dict.fromkeys((request.raw_path, canonical_path(request.raw_path))):
        canonical = canonical_request(
            method=request.method,
            path=path,
            query=claim.query,
            headers=signed,
            payload=claim.payload,
        )
        text = string_to_sign(claim.timestamp, claim.scope, canonical)
        if signatures_equal(signature(key, text), claim.signature):
            return
    raise RequestRefused("SignatureDoesNotMatch", StringToSign=text)


def _chunk_signer(claim: Claim, key: bytes) -> ChunkSigner:
    return ChunkSigner(key=key, timestamp=claim.timestamp, scope=claim.scope, seed=claim.signature)


# --- the client's side ----------------------------------------------------------------


def sign(  # noqa: PLR0913 - keyword-only: the parts of one request and of one credential
    *,
    method: str,
    raw_target: str,
    headers: Mapping[str, str],
    access_key: str,
    secret_key: str,
    region: str,
    now_s: int,
    payload: str = UNSIGNED_PAYLOAD,
) -> dict[str, str]:
    """Return `headers` with x-amz-date, x-amz-content-sha256 and authorization added.

    Args:
        method: the request's method.
        raw_target: path and query as they will be in the request line.
        headers: every header to sign, "host" among them. What the HTTP client adds on its own
            afterwards is unsigned; a Content-Type that it would add must be here.
        access_key: who signs.
        secret_key: the access key's secret.
        region: the server's region.
        now_s: the current time, in seconds since the epoch.
        payload: the value of x-amz-content-sha256.
    """
    timestamp = write_timestamp(now_s)
    scope = Scope(timestamp[:8], region, SERVICE)
    named = {name.lower(): value for name, value in headers.items()}
    named["x-amz-date"] = timestamp
    named["x-amz-content-sha256"] = payload
    assert "host" in named
    raw_path, _, raw_query = raw_target.partition("?")
    canonical = canonical_request(
        method=method,
        path=raw_path,
        query=canonical_query(Query(raw_query).pairs),
        headers=[(name, [named[name]]) for name in sorted(named)],
        payload=payload,
    )
    key = derive_key(secret_key, scope)
    named["authorization"] = (
        f"{ALGORITHM} Credential={access_key}/{scope},"
        f" SignedHeaders={';'.join(sorted(named))},"
        f" Signature={signature(key, string_to_sign(timestamp, scope, canonical))}"
    )
    return named


def presign(  # noqa: PLR0913 - as sign
    *,
    method: str,
    raw_target: str,
    headers: Mapping[str, str],
    access_key: str,
    secret_key: str,
    region: str,
    now_s: int,
    expires_s: int,
) -> str:
    """Return `raw_target` with a signature in its query.

    Args are those of `sign`; `headers` are "host" and whatever else the one who uses the URL will
    send exactly so. The URL is good for `expires_s` seconds, at most a week.
    """
    assert 0 < expires_s <= PRESIGN_SECONDS_MAX
    timestamp = write_timestamp(now_s)
    scope = Scope(timestamp[:8], region, SERVICE)
    named = {name.lower(): value for name, value in headers.items()}
    assert "host" in named
    raw_path, _, raw_query = raw_target.partition("?")
    added = {
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{access_key}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-SignedHeaders": ";".join(sorted(named)),
    }
    query = "&".join(
        [
            *filter(None, [raw_query]),
            *(f"{name}={uri_encode(text)}" for name, text in added.items()),
        ]
    )
    canonical = canonical_request(
        method=method,
        path=raw_path,
        query=canonical_query(Query(query).pairs),
        headers=[(name, [named[name]]) for name in sorted(named)],
        payload=UNSIGNED_PAYLOAD,
    )
    signed = signature(derive_key(secret_key, scope), string_to_sign(timestamp, scope, canonical))
    return f"{raw_path}?{query}&X-Amz-Signature={signed}"

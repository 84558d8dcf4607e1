"""What signing and verifying share: canonical forms, signing keys, and the chain of chunks.

    signing key       = HMAC over date, region, service, "aws4_request", each with the key before
    string to sign    = algorithm LF timestamp LF scope LF sha256(canonical request)
    canonical request = method LF path LF query LF headers LF LF signed headers LF payload

docs/protocol/sigv4.md has the grammar; docs/protocol/aws_chunked.md the chain.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol
from urllib.parse import quote

from objstore.errors import RequestRefused
from objstore.limits import SIGNING_KEYS_MAX

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"
SERVICE: Final = "s3"
# The services that share S3's endpoint: `?Action=` requests, told apart by the signature's scope.
QUERY_SERVICES: Final = frozenset({"iam", "sts"})
# Where AWS signs requests to its global services, whatever region a client is in.
GLOBAL_REGION: Final = "us-east-1"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
EMPTY_SHA256: Final = hashlib.sha256(b"").hexdigest()
_CHUNK_ALGORITHM: Final = f"{ALGORITHM}-PAYLOAD"
_TRAILER_ALGORITHM: Final = f"{ALGORITHM}-TRAILER"
_TIMESTAMP: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SPACES: Final = re.compile(r"[ \t]+")
# RFC 3986's unreserved characters: all that a canonical form leaves as it is.
_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_UNRESERVED_PATH: Final = _UNRESERVED | {"/"}


@dataclass(frozen=True, slots=True)
class Scope:
    """Where and when a signing key is good: a day (YYYYMMDD), a region, a service."""

    date: str
    region: str
    service: str

    def __str__(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/{TERMINATOR}"


def derive_key(secret: str, scope: Scope) -> bytes:
    """Return the signing key of a secret for a scope."""
    key = b"AWS4" + secret.encode()
    for step in (scope.date, scope.region, scope.service, TERMINATOR):
        key = hmac.digest(key, step.encode(), "sha256")
    return key


class SigningKeys:
    """Signing keys that were derived already, at most `limit` of them.

    Only keys of known secrets and accepted dates get in, so a client cannot fill it. The secret
    is part of what a key is found by: one that was changed never finds the old key.
    """

    __slots__ = ("_keys", "_limit")

    def __init__(self, limit: int = SIGNING_KEYS_MAX) -> None:
        assert limit >= 1
        self._limit = limit
        self._keys: dict[tuple[str, Scope], bytes] = {}

    def key(self, secret: str, scope: Scope) -> bytes:
        """Return the signing key, derived once while it is remembered."""
        name = (secret, scope)
        key = self._keys.get(name)
        if key is None:
            key = derive_key(secret, scope)
            while len(self._keys) >= self._limit:
                del self._keys[next(iter(self._keys))]  # the oldest: dates only go forward
            self._keys[name] = key
        return key

    def __len__(self) -> int:
        return len(self._keys)


def signature(key: bytes, text: str) -> str:
    """Return the signature of a string to sign, in lower-case hex."""
    # Not hmac.digest: it gives up the interpreter, and gets it back when threads are done with it.
    return hmac.new(key, text.encode("utf-8", "surrogateescape"), "sha256").hexdigest()


def signatures_equal(one: str, other: str) -> bool:
    """Compare in constant time; either may be anything that a client sent."""
    return hmac.compare_digest(
        one.encode("utf-8", "surrogateescape"), other.encode("utf-8", "surrogateescape")
    )


def string_to_sign(timestamp: str, scope: Scope, canonical_request: str) -> str:
    """Return what the signature of a request signs."""
    digest = hashlib.sha256(canonical_request.encode("utf-8", "surrogateescape")).hexdigest()
    return f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"


# --- canonical forms ------------------------------------------------------------------


def canonical_request(
    *,
    method: str,
    path: str,
    query: str,
    headers: Iterable[tuple[str, Sequence[str]]],
    payload: str,
) -> str:
    """Return the canonical form of a request from the canonical forms of its parts.

    Args:
        method: as in the request line.
        path: as in the request line, or `canonical_path` of it.
        query: from `canonical_query`.
        headers: the signed headers in order: lower-case name and the values of its fields.
        payload: the value of x-amz-content-sha256, or what stands for it.
    """
    signed = list(headers)
    lines = "".join(
        f"{name}:{','.join([canonical_value(value) for value in values])}\n"
        for name, values in signed
    )
    names = ";".join([name for name, _ in signed])
    return f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"


def canonical_path(raw_path: str) -> str:
    """Write a path's escapes the one way that AWS's UriEncode does.

    Each character that is not unreserved becomes %XX in upper case, and no unreserved one stays
    escaped. An escaped slash stays one: segments are neither merged nor split. The path must be
    free of broken escapes, as parse_request makes sure.
    """
    if _UNRESERVED_PATH.issuperset(raw_path):
        return raw_path
    return "/".join([uri_encode(_unescaped(segment)) for segment in raw_path.split("/")])


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return decoded parameters encoded again and sorted by name.

    Values of one name stay in the order they were sent: no S3 parameter repeats, and sorting them
    would let a request be reordered after it was signed.
    """
    encoded = [(uri_encode(name), uri_encode(value)) for name, value in pairs]
    encoded.sort(key=lambda pair: pair[0])
    return "&".join([f"{name}={value}" for name, value in encoded])


def canonical_value(value: str) -> str:
    """Trim a header's value, and make runs of spaces inside one space."""
    value = value.strip(" \t")
    return _SPACES.sub(" ", value) if "  " in value or "\t" in value else value


def uri_encode(text: str | bytes) -> str:
    """Return AWS's UriEncode of a string: every byte but the unreserved ones as %XX."""
    if isinstance(text, str) and _UNRESERVED.issuperset(text):
        return text
    return quote(text, safe="-._~")


def _unescaped(segment: str) -> bytes:
    head, *rest = segment.encode("ascii").split(b"%")
    return head + b"".join([bytes.fromhex(item[:2].decode()) + item[2:] for item in rest])


# --- time -----------------------------------------------------------------------------


def write_timestamp(seconds: int) -> str:
    """Return a time as SigV4 writes it: 20130524T000000Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def read_timestamp(text: str) -> int | None:
    """Return the seconds since the epoch of a SigV4 timestamp, or None when it is none."""
    if _TIMESTAMP.fullmatch(text) is None:
        return None
    try:
        moment = datetime(
            int(text[0:4]),
            int(text[4:6]),
            int(text[6:8]),
            int(text[9:11]),
            int(text[11:13]),
            int(text[13:15]),
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return int(moment.timestamp())


# --- chunks ---------------------------------------------------------------------------


class Digest(Protocol):
    """A running hash, as hashlib makes them."""

    def hexdigest(self) -> str:
        """Return the digest of what was hashed so far, in lower-case hex."""
        ...


class ChunkSigner:
    """The chain of signatures of a body: each one signs the one before it.

    The first follows the seed, the signature of the request itself.
    """

    __slots__ = ("_key", "_place", "_previous")

    def __init__(self, *, key: bytes, timestamp: str, scope: Scope, seed: str) -> None:
        self._key = key
        self._place = f"{timestamp}\n{scope}"
        self._previous = seed

    def sign_chunk(self, data: Digest) -> str:
        """Return the signature of the next chunk, and go on from it."""
        text = (
            f"{_CHUNK_ALGORITHM}\n{self._place}\n{self._previous}\n{EMPTY_SHA256}\n"
            f"{data.hexdigest()}"
        )
        self._previous = signature(self._key, text)
        return self._previous

    def sign_trailer(self, trailer: Digest) -> str:
        """Return the signature of the trailer, and go on from it."""
        text = f"{_TRAILER_ALGORITHM}\n{self._place}\n{self._previous}\n{trailer.hexdigest()}"
        self._previous = signature(self._key, text)
        return self._previous

    def check_chunk(self, claimed: str, data: Digest) -> None:
        """Hold the next chunk's claimed signature against its data.

        Raises:
            RequestRefused: SignatureDoesNotMatch.
        """
        _require_equal(claimed, self.sign_chunk(data))

    def check_trailer(self, claimed: str, trailer: Digest) -> None:
        """Hold the trailer's claimed signature against its lines.

        Raises:
            RequestRefused: SignatureDoesNotMatch.
        """
        _require_equal(claimed, self.sign_trailer(trailer))


def _require_equal(claimed: str, computed: str) -> None:
    if not signatures_equal(claimed, computed):
        raise RequestRefused("SignatureDoesNotMatch")

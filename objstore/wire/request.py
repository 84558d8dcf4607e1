"""An S3 request as data: its target decoded once, its headers, and what it addresses.

The target is taken from the raw request line and percent-decoded exactly once; the key that comes
out is the one that is authorised and stored. Dots, slashes and backslashes in a key mean nothing.
A bucket is addressed by the first segment of the path, or by the Host header when that is
`bucket.domain` for a configured domain. docs/protocol/sigv4.md says how the raw path is signed.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from objstore.errors import RequestRefused
from objstore.limits import KEY_BYTES_MAX
from objstore.names import BucketName, ObjectKey

# RFC 3986 leaves only printable ASCII in a target, and "%" only before two hex digits.
_TARGET: Final = re.compile(r"/[!-~]*")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(r"(?P<name>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
# AWS: "Bucket names can consist only of lowercase letters, numbers, periods, and hyphens", "must
# begin and end with a letter or number" and "must not contain two adjacent periods". A hyphen
# beside a period makes no host name, so no bucket could be addressed that way.
_BUCKET_NAME: Final = re.compile(
    r"(?=.{3,63}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*"
)
_IPV4: Final = re.compile(r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+")
# "Bucket names must not start with the prefix" and "must not end with the suffix".
_RESERVED_PREFIXES: Final = ("xn--", "sthree-", "amzn-s3-demo-")
_RESERVED_SUFFIXES: Final = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
# Ours: below /minio lie the health and metrics paths that probes of MinIO ask for.
_RESERVED_NAMES: Final = frozenset({"minio"})


class Query:
    """A query string, decoded once. Names and values are text; "+" is a space, as in S3."""

    __slots__ = ("_first", "amz", "pairs", "raw")

    def __init__(self, raw: str) -> None:
        """Decode `raw`, the part of the target after "?".

        Raises:
            RequestRefused: InvalidURI, for an escape without two hex digits or bytes that are
                not UTF-8.
        """
        self.raw = raw
        self.pairs: tuple[tuple[str, str], ...] = tuple(_decode_pairs(raw)) if raw else ()
        self._first: dict[str, str] = {}
        # What stands for x-amz- headers in a presigned URL: lower-case name, first value.
        self.amz: dict[str, str] = {}
        for name, value in self.pairs:
            self._first.setdefault(name, value)
            lower = name.lower()
            if lower.startswith("x-amz-"):
                self.amz.setdefault(lower, value)

    def get(self, name: str) -> str | None:
        """Return the first value of a parameter; "" when it has none; None without it."""
        return self._first.get(name)

    def has(self, name: str) -> bool:
        """Whether the parameter is there, with a value or without."""
        return name in self._first

    def all(self, name: str) -> list[str]:
        """Return every value of a parameter, in order."""
        return [value for key, value in self.pairs if key == name]

    def __repr__(self) -> str:
        return f"Query({sorted(self._first)})"  # never values: a signature may be among them


class Headers:
    """Header fields, by lower-case name. Repeated fields keep their order."""

    __slots__ = ("_values",)

    def __init__(self, fields: Iterable[tuple[str, str]]) -> None:
        """Take the fields as they came.

        A value is the field's bytes decoded as UTF-8 with `surrogateescape`, so that signatures
        see the bytes that were sent.
        """
        values: dict[str, list[str]] = {}
        for name, value in fields:
            values.setdefault(name.lower(), []).append(value)
        self._values = values

    def get(self, name: str) -> str | None:
        """Return the value of a field; several are joined by a comma."""
        found = self._values.get(name.lower())
        if found is None:
            return None
        return found[0] if len(found) == 1 else ",".join(found)

    def all(self, name: str) -> list[str]:
        """Return the values of every field of that name, in order."""
        return list(self._values.get(name.lower(), ()))

    def items(self) -> Iterator[tuple[str, str]]:
        """Yield each lower-case name once, with its joined value."""
        for name, found in self._values.items():
            yield name, found[0] if len(found) == 1 else ",".join(found)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({sorted(self._values)})"  # never values: Authorization is among them


@dataclass(frozen=True, slots=True)
class Request:
    """One request, before anybody knows who sent it."""

    method: str
    raw_path: str  # as in the request line, without the query
    query: Query
    headers: Headers
    bucket: BucketName | None
    key: ObjectKey | None
    host: str  # as in the Host header
    secure: bool  # it came over TLS
    remote: str
    request_id: str
    virtual_host: bool  # the bucket came from the Host header


def parse_request(
    *,
    method: str,
    raw_target: str,
    headers: Iterable[tuple[str, str]],
    domains: tuple[str, ...],
    secure: bool,
    remote: str,
    request_id: str,
) -> Request:
    """Take a request apart.

    Args:
        method: the request line's method.
        raw_target: the request line's target, exactly as sent.
        headers: every header field in order; see `Headers`.
        domains: lower-case domains below which the Host header names a bucket.
        secure: whether the connection is TLS.
        remote: the client's address.
        request_id: the id that answers and logs carry.

    Raises:
        RequestRefused: InvalidURI (no path, a broken escape, not UTF-8, a NUL),
            InvalidRequest (no Host, two, or a malformed one), InvalidBucketName,
            KeyTooLongError.
    """
    fields = Headers(headers)
    host = _only_host(fields)
    raw_path, _, raw_query = raw_target.partition("?")
    if _TARGET.fullmatch(raw_target) is None or "#" in raw_target:
        raise RequestRefused("InvalidURI")
    bucket_text = bucket_of_host(host, domains)
    virtual_host = bucket_text is not None
    if bucket_text is None:
        raw_bucket, _, raw_key = raw_path[1:].partition("/")
        bucket_text = _decode_path(raw_bucket)
    else:
        raw_key = raw_path[1:]
    service = raw_path == "/" and not virtual_host
    return Request(
        method=method,
        raw_path=raw_path,
        query=Query(raw_query),
        headers=fields,
        bucket=None if service else check_bucket_name(bucket_text),
        key=_decode_key(raw_key) if raw_key else None,
        host=host,
        secure=secure,
        remote=remote,
        request_id=request_id,
        virtual_host=virtual_host,
    )


def bucket_of_host(host: str, domains: Iterable[str]) -> str | None:
    """Return the bucket's name that a Host header holds, or None for path style.

    The longest domain that fits decides; a Host that is a domain itself, or below none of them,
    means path style. Letters of a host name have no case.

    Raises:
        RequestRefused: InvalidRequest, when it is no host at all.
    """
    found = _HOST.fullmatch(host)
    if found is None:
        raise RequestRefused("InvalidRequest", "The Host header is not valid.")
    name = found["name"].lower().removesuffix(".")
    below = ""
    for domain in domains:
        if name == domain:
            return None
        if len(domain) > len(below) and name.endswith(f".{domain}"):
            below = domain
    return name[: -len(below) - 1] if below else None


def check_bucket_name(name: str | None) -> BucketName:
    """Return a bucket's name that keeps AWS's rules for general purpose buckets.

    Raises:
        RequestRefused: InvalidBucketName. No bucket can have such a name, so looking one up is
            refused in the same way.
    """
    if (
        name is None
        or _BUCKET_NAME.fullmatch(name) is None
        or _IPV4.fullmatch(name) is not None
        or name.startswith(_RESERVED_PREFIXES)
        or name.endswith(_RESERVED_SUFFIXES)
        or name in _RESERVED_NAMES
    ):
        raise RequestRefused("InvalidBucketName", BucketName=_shown(name or ""))
    return BucketName(name)


def _shown(name: str) -> str:
    """Return the beginning of a refused name with nothing in it that XML could not carry."""
    return name[:64].encode("ascii", "backslashreplace").decode() if name.isprintable() else ""


def _only_host(headers: Headers) -> str:
    hosts = headers.all("host")
    if len(hosts) != 1:
        raise RequestRefused(
            "InvalidRequest", "A request has exactly one Host header.", Header="Host"
        )
    return hosts[0].strip(" \t")


def _decode_key(raw: str) -> ObjectKey:
    key = _decode_path(raw)
    size = len(key.encode())
    if size > KEY_BYTES_MAX:
        raise RequestRefused("KeyTooLongError", Size=str(size), MaxSizeAllowed=str(KEY_BYTES_MAX))
    return ObjectKey(key)


def _decode_path(raw: str) -> str:
    """Percent-decode part of a path once."""
    text = _decode(raw)
    if "\x00" in text:
        raise RequestRefused("InvalidURI")
    return text


def _decode_pairs(raw: str) -> Iterator[tuple[str, str]]:
    for item in raw.split("&"):
        if item:
            name, _, value = item.replace("+", " ").partition("=")
            yield _decode(name), _decode(value)


def _decode(raw: str) -> str:
    if "%" not in raw:
        return raw
    if _BROKEN_ESCAPE.search(raw) is not None:
        raise RequestRefused("InvalidURI")
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError as error:
        raise RequestRefused("InvalidURI") from error

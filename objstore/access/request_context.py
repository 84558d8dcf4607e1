"""The condition keys of a request: which of its parts each key is taken from.

Every key comes from exactly one place, and no header or parameter names a key: a header called
`aws:userid` is a header, and satisfies no condition.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

from objstore.access.condition_values import read_date
from objstore.access.facts import Context
from objstore.access.principals import Principal
from objstore.wire.conditions import iso_date
from objstore.wire.headers import parameter, text_of
from objstore.wire.request import Request

_MS_PER_DAY: Final = 86_400_000
# Key by the header, or the query parameter of a presigned URL, that gives its value.
_FROM_HEADERS: Final[Mapping[str, str]] = {
    "referer": "aws:referer",
    "user-agent": "aws:useragent",
    "if-match": "s3:if-match",
    "if-none-match": "s3:if-none-match",
    "x-amz-object-lock-legal-hold": "s3:object-lock-legal-hold",
    "x-amz-object-lock-mode": "s3:object-lock-mode",
    "x-amz-object-lock-retain-until-date": "s3:object-lock-retain-until-date",
    **{
        name: f"s3:{name}"
        for name in (
            "x-amz-acl",
            "x-amz-content-sha256",
            "x-amz-grant-full-control",
            "x-amz-grant-read",
            "x-amz-grant-read-acp",
            "x-amz-grant-write",
            "x-amz-grant-write-acp",
            "x-amz-metadata-directive",
            "x-amz-object-ownership",
            "x-amz-server-side-encryption",
            "x-amz-server-side-encryption-aws-kms-key-id",
            "x-amz-server-side-encryption-customer-algorithm",
            "x-amz-storage-class",
            "x-amz-website-redirect-location",
        )
    },
}
_FROM_QUERY: Final[Mapping[str, str]] = {
    "delimiter": "s3:delimiter",
    "max-keys": "s3:max-keys",
    "prefix": "s3:prefix",
    "versionId": "s3:versionid",
}


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """How a request was signed, as conditions ask for it; of an unsigned one nothing is known."""

    auth_type: str = ""  # REST-HEADER, REST-QUERY-STRING or POST
    version: str = ""  # AWS4-HMAC-SHA256, or AWS for version 2
    age_ms: int | None = None  # of a presigned URL


UNSIGNED: Final = SignatureFacts()


def request_context(
    request: Request,
    principal: Principal,
    *,
    now_ms: int,
    region: str,
    bucket_account: str,
    signature: SignatureFacts = UNSIGNED,
    tls_version: str = "",
) -> dict[str, tuple[str, ...]]:
    """Return the keys of every request, by lower-case name.

    `request.remote` has to be the client's address: of a proxy that the operator trusts, what
    that proxy says; of anybody else, the socket's. `tls_version` is "1.2", "1.3" or "".
    What the handler alone knows is added with the functions below.
    """
    found = {
        "aws:currenttime": iso_date(now_ms),
        "aws:epochtime": str(now_ms // 1000),
        "aws:principalisawsservice": "false" if principal.canonical_id else "",
        "aws:requestedregion": region,
        "aws:resourceaccount": bucket_account,
        "aws:securetransport": "true" if request.secure else "false",
        "aws:viaawsservice": "false",
        "s3:authtype": signature.auth_type,
        "s3:resourceaccount": bucket_account,
        "s3:signatureage": "" if signature.age_ms is None else str(signature.age_ms),
        "s3:signatureversion": signature.version,
        "s3:tlsversion": tls_version,
        **_principal_keys(principal),
    }
    context: dict[str, tuple[str, ...]] = {key: (value,) for key, value in found.items() if value}
    # Always there: an address that is not known satisfies neither IpAddress nor NotIpAddress.
    context["aws:sourceip"] = (request.remote,)
    context.update(_request_keys(request))
    retain_until = context.get("s3:object-lock-retain-until-date")
    if retain_until is not None:
        context.update(retention_keys(retain_until[0], now_ms=now_ms))
    return context


def _principal_keys(principal: Principal) -> dict[str, str]:
    """Return what AWS says of an account, of a user, and of anybody ("Principal key values")."""
    if principal.anonymous:
        return {"aws:principaltype": "Anonymous", "aws:userid": "anonymous"}
    known = {"aws:principalaccount": principal.account, "aws:principalarn": principal.arn}
    if principal.arn.endswith(":root"):
        return {**known, "aws:principaltype": "Account", "aws:userid": principal.account}
    return {
        **known,
        "aws:principaltype": "User",
        "aws:userid": principal.canonical_id,
        "aws:username": principal.name,
    }


def _request_keys(request: Request) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for name, key in _FROM_HEADERS.items():
        value = parameter(request, name)
        if value is not None:
            found[key] = (text_of(value),)
    for name, key in _FROM_QUERY.items():
        value = request.query.get(name)
        if value is not None:
            found[key] = (value,)
    source = parameter(request, "x-amz-copy-source")
    if source is not None:
        found["s3:x-amz-copy-source"] = (_copied(source),)
    return found


def _copied(source: str) -> str:
    """Return `bucket/key` of a copy's source, decoded: another spelling evades no Deny."""
    encoded, _, _ = text_of(source).partition("?versionId=")
    return unquote(encoded).removeprefix("/")


def retention_keys(retain_until: str, *, mode: str = "", now_ms: int) -> Context:
    """Return the keys of a retention asked for; `retain_until` is its ISO 8601 date.

    A day that has begun counts as a whole one, so that a retention of ten days from now has ten
    remaining.
    """
    found = {"s3:object-lock-retain-until-date": (retain_until,)}
    if mode:
        found["s3:object-lock-mode"] = (mode,)
    until_ms = read_date(retain_until)
    if until_ms is not None:
        days = -((now_ms - until_ms) // _MS_PER_DAY)
        found["s3:object-lock-remaining-retention-days"] = (str(days),)
    return found


def form_keys(fields: Mapping[str, str]) -> Context:
    """Return the keys of an upload by a form, whose fields stand for headers.

    `fields` have lower-case names; "acl" is the form's name for x-amz-acl.
    """
    named = {**fields, **({"x-amz-acl": fields["acl"]} if "acl" in fields else {})}
    return {key: (named[name],) for name, key in _FROM_HEADERS.items() if name in named}


def version_keys(version_id: str) -> Context:
    """Return the key of a version that is not in the query: a copy's source, a key to delete."""
    return {"s3:versionid": (version_id,)}


def legal_hold_keys(status: str) -> Context:
    """Return the key of a legal hold asked for in a document: ON or OFF."""
    return {"s3:object-lock-legal-hold": (status,)}


def location_keys(location: str) -> Context:
    """Return the key of CreateBucket's LocationConstraint."""
    return {"s3:locationconstraint": (location,)}


def existing_tag_keys(tags: Iterable[tuple[str, str]]) -> Context:
    """Return the keys of the tags that an object has."""
    return _by_tag("s3:existingobjecttag/", tags)


def request_tag_keys(tags: Iterable[tuple[str, str]]) -> Context:
    """Return the keys of the tags that a request sets."""
    given = list(tags)
    found = _by_tag("s3:requestobjecttag/", given)
    if given:
        found["s3:requestobjecttagkeys"] = tuple(name for name, _ in given)
    return found


def _by_tag(prefix: str, tags: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    """Keys have no case, and tags have: those that differ in it alone are values of one key."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in tags:
        key = f"{prefix}{name.lower()}"
        found[key] = (*found.get(key, ()), value)
    return found

"""AccessControlPolicy: the ACL of a bucket or of an object, as a document and as headers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import ACL_GRANTS_MAX
from objstore.wire.config_documents.grantees import (
    ALL_USERS,
    AUTHENTICATED_USERS,
    CANONICAL_USER,
    GRANT_RULE,
    GROUP,
    LOG_DELIVERY,
    Grant,
    Grantee,
    grant_elements,
    read_grant_header,
    read_grants,
)
from objstore.wire.documents import Owner
from objstore.wire.leaf_values import malformed, required
from objstore.wire.xml_reader import Element, read_document
from objstore.wire.xml_writer import document

FULL_CONTROL: Final = "FULL_CONTROL"
PERMISSIONS: Final = (FULL_CONTROL, "READ", "WRITE", "READ_ACP", "WRITE_ACP")
GRANT_HEADERS: Final[Mapping[str, str]] = {
    f"x-amz-grant-{permission.lower().replace('_', '-')}": permission for permission in PERMISSIONS
}
BUCKET_CANNED: Final = frozenset(
    {"private", "public-read", "public-read-write", "authenticated-read", "log-delivery-write"}
)
OBJECT_CANNED: Final = frozenset(
    {
        "private",
        "public-read",
        "public-read-write",
        "authenticated-read",
        "bucket-owner-read",
        "bucket-owner-full-control",
    }
)
# Of each canned ACL, who besides the owner gets what.
_CANNED_GROUPS: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "private": (),
    "public-read": ((ALL_USERS, "READ"),),
    "public-read-write": ((ALL_USERS, "READ"), (ALL_USERS, "WRITE")),
    "authenticated-read": ((AUTHENTICATED_USERS, "READ"),),
    "log-delivery-write": ((LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")),
    "bucket-owner-read": (),
    "bucket-owner-full-control": (),
}
_BUCKET_OWNER: Final = {"bucket-owner-read": "READ", "bucket-owner-full-control": FULL_CONTROL}
assert set(_CANNED_GROUPS) == BUCKET_CANNED | OBJECT_CANNED
_POLICY: Final = Element(
    "AccessControlPolicy",
    (
        Element("Owner", (Element("ID"), Element("DisplayName"))),
        Element("AccessControlList", (GRANT_RULE,)),
    ),
)


@dataclass(frozen=True, slots=True)
class AccessControlPolicy:
    """Who owns something, and who else may do what with it."""

    owner: Owner
    grants: tuple[Grant, ...]


def read_acl(data: bytes) -> AccessControlPolicy:
    """Read what PutBucketAcl and PutObjectAcl ask for: at most 100 grants.

    Whether the ids and e-mail addresses belong to anybody the caller looks up: an unknown id is
    InvalidArgument ("Invalid id"), an unknown address UnresolvableGrantByEmailAddress.

    Raises:
        RequestRefused: MalformedACLError; InvalidArgument for an unknown group.
    """
    try:
        return _read(data)
    except RequestRefused as refusal:
        if refusal.reason != "MalformedXML":
            raise
        raise RequestRefused("MalformedACLError", **refusal.detail) from refusal


def _read(data: bytes) -> AccessControlPolicy:
    node = read_document(data, _POLICY)
    owner = required(node, "Owner")
    grants = read_grants(required(node, "AccessControlList"), PERMISSIONS)
    if len(grants) > ACL_GRANTS_MAX:
        raise malformed(f"more than {ACL_GRANTS_MAX} grants")
    owner_id = (owner.text_of("ID") or "").strip()
    if not owner_id:
        raise malformed("Owner needs ID")
    return AccessControlPolicy(Owner(owner_id, owner.text_of("DisplayName") or ""), grants)


def write_acl(policy: AccessControlPolicy) -> bytes:
    """Write what GetBucketAcl and GetObjectAcl answer."""
    grants = grant_elements(policy.grants)
    return document(
        "AccessControlPolicy",
        f"{policy.owner.element()}<AccessControlList>{grants}</AccessControlList>",
    )


def read_grant_headers(lookup: Callable[[str], str | None]) -> tuple[Grant, ...]:
    """Read all x-amz-grant- headers; empty without any.

    Raises:
        RequestRefused: InvalidArgument; InvalidRequest for more than 100 grants.
    """
    grants: list[Grant] = []
    for name, permission in GRANT_HEADERS.items():
        value = lookup(name)
        if value is not None:
            grants += read_grant_header(name, value, permission)
    if len(grants) > ACL_GRANTS_MAX:
        raise RequestRefused("InvalidRequest", f"An ACL can have up to {ACL_GRANTS_MAX} grants.")
    return tuple(grants)


def canned_grants(name: str, owner: Owner, *, bucket_owner: Owner | None) -> tuple[Grant, ...]:
    """Return what a canned ACL grants. `bucket_owner` is None for the ACL of a bucket.

    Raises:
        RequestRefused: InvalidArgument for a name that is none, NotImplemented for aws-exec-read.
    """
    if name == "aws-exec-read":
        raise RequestRefused(
            "NotImplemented",
            "The canned ACL aws-exec-read grants access to Amazon EC2, which is not here.",
        )
    if name not in (BUCKET_CANNED if bucket_owner is None else OBJECT_CANNED):
        raise RequestRefused("InvalidArgument", ArgumentName="x-amz-acl", ArgumentValue=name[:100])
    grants = [Grant(_user(owner), FULL_CONTROL)]
    grants += [
        Grant(Grantee(GROUP, group), permission) for group, permission in _CANNED_GROUPS[name]
    ]
    if name in _BUCKET_OWNER and bucket_owner is not None and bucket_owner != owner:
        grants.append(Grant(_user(bucket_owner), _BUCKET_OWNER[name]))
    return tuple(grants)


def _user(owner: Owner) -> Grantee:
    return Grantee(CANONICAL_USER, owner.canonical_id, owner.display_name)

"""Access control lists: who was granted what, as values, and as the bytes that records hold.

"Amazon S3 ACLs are a legacy access control mechanism": they count only in buckets whose ownership
setting lets them (access/ownership.py). Grantees are canonical ids and the three groups; an email
address is replaced by its canonical id before it gets here.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

import msgspec

from objstore.access.principals import Principal
from objstore.errors import RecordUnknown, RequestRefused
from objstore.limits import ACL_GRANTS_MAX


class Permission(IntEnum):
    """What a grant gives. The numbers are stored."""

    READ = 1
    WRITE = 2
    READ_ACP = 3
    WRITE_ACP = 4
    FULL_CONTROL = 5


class Group(IntEnum):
    """A predefined group. The numbers are stored."""

    ALL_USERS = 1
    AUTHENTICATED_USERS = 2
    LOG_DELIVERY = 3


GROUP_URIS: Final[Mapping[Group, str]] = {
    Group.ALL_USERS: "http://acs.amazonaws.com/groups/global/AllUsers",
    Group.AUTHENTICATED_USERS: "http://acs.amazonaws.com/groups/global/AuthenticatedUsers",
    Group.LOG_DELIVERY: "http://acs.amazonaws.com/groups/s3/LogDelivery",
}
GROUPS: Final[Mapping[str, Group]] = {uri: group for group, uri in GROUP_URIS.items()}
assert set(GROUP_URIS) == set(Group)
# Whom the canned ACL aws-exec-read names: Amazon EC2, which is nobody here.
EC2_ID: Final = "6aa5a366c34c1cbe25dc49211496e913e0351eb0e8c37aa3477e40942ec6b97c"


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """One permission for one grantee: a group, or a canonical id. Fields are only appended."""

    permission: Permission
    canonical_id: str = ""
    group: Group | None = None

    @property
    def is_public(self) -> bool:
        """Whether it gives anything to "AllUsers or AuthenticatedUsers"."""
        return self.group in (Group.ALL_USERS, Group.AUTHENTICATED_USERS)

    def is_for(self, principal: Principal) -> bool:
        """Whether `principal` is, or is of, the grantee."""
        match self.group:
            case None:
                return principal.is_owner(self.canonical_id)
            case Group.ALL_USERS:
                return True
            case Group.AUTHENTICATED_USERS:
                return not principal.anonymous
            case Group.LOG_DELIVERY:  # a service of AWS's, which has no credentials here
                return False


class Acl(msgspec.Struct, frozen=True, array_like=True):
    """Grants in the order they were given. Fields are only appended."""

    grants: tuple[Grant, ...]

    @property
    def is_public(self) -> bool:
        """Whether it gives anything to everyone, or to everyone with credentials."""
        return any(grant.is_public for grant in self.grants)


def acl_of(grants: Iterable[Grant]) -> Acl:
    """Make an ACL of grants that a client sent.

    Raises:
        RequestRefused: MalformedACLError. "An ACL can have up to 100 grants."
    """
    given = tuple(grants)
    if len(given) > ACL_GRANTS_MAX:
        raise RequestRefused("MalformedACLError", f"An ACL can have up to {ACL_GRANTS_MAX} grants.")
    return Acl(given)


def private(owner: str) -> Acl:
    """Return the default: "Owner gets FULL_CONTROL. No one else has access rights"."""
    return Acl((Grant(Permission.FULL_CONTROL, owner),))


# --- canned ACLs ----------------------------------------------------------------------

_READ_BY_ALL: Final = Grant(Permission.READ, group=Group.ALL_USERS)
_WRITE_BY_ALL: Final = Grant(Permission.WRITE, group=Group.ALL_USERS)
# What each adds to the owner's full control.
_CANNED: Final[Mapping[str, tuple[Grant, ...]]] = {
    "private": (),
    "public-read": (_READ_BY_ALL,),
    "public-read-write": (_READ_BY_ALL, _WRITE_BY_ALL),
    "authenticated-read": (Grant(Permission.READ, group=Group.AUTHENTICATED_USERS),),
    "aws-exec-read": (Grant(Permission.READ, EC2_ID),),
    "log-delivery-write": (
        Grant(Permission.WRITE, group=Group.LOG_DELIVERY),
        Grant(Permission.READ_ACP, group=Group.LOG_DELIVERY),
    ),
}
_FOR_BUCKET_OWNER: Final[Mapping[str, Permission]] = {
    "bucket-owner-read": Permission.READ,
    "bucket-owner-full-control": Permission.FULL_CONTROL,
}
CANNED_ACLS: Final = frozenset(_CANNED) | frozenset(_FOR_BUCKET_OWNER)


def canned_acl(name: str, *, owner: str, bucket_owner: str | None) -> Acl:
    """Expand a canned ACL for something of `owner`'s; `bucket_owner` is None for a bucket itself.

    The two that name the bucket's owner are for objects: "If you specify this canned ACL when
    creating a bucket, Amazon S3 ignores it."

    Raises:
        RequestRefused: InvalidArgument, when there is none of that name.
    """
    added = _CANNED.get(name, ())
    if name in _FOR_BUCKET_OWNER:
        if bucket_owner is not None and bucket_owner != owner:
            added = (Grant(_FOR_BUCKET_OWNER[name], bucket_owner),)
    elif name not in _CANNED:
        raise RequestRefused("InvalidArgument", ArgumentName="x-amz-acl", ArgumentValue=name)
    return Acl(private(owner).grants + added)


# --- what permissions allow -----------------------------------------------------------

# "The following table shows how each ACL permission maps to the corresponding access policy
# permissions." Two tables, as WRITE on an object means nothing. Whoever may WRITE to a bucket
# may replace its objects, and so also delete them, but not delete a version for ever.
ON_BUCKET: Final[Mapping[str, Permission]] = {
    "s3:ListBucket": Permission.READ,
    "s3:ListBucketVersions": Permission.READ,
    "s3:ListBucketMultipartUploads": Permission.READ,
    "s3:PutObject": Permission.WRITE,
    "s3:DeleteObject": Permission.WRITE,
    "s3:GetBucketAcl": Permission.READ_ACP,
    "s3:PutBucketAcl": Permission.WRITE_ACP,
}
ON_OBJECT: Final[Mapping[str, Permission]] = {
    "s3:GetObject": Permission.READ,
    "s3:GetObjectVersion": Permission.READ,
    "s3:GetObjectTorrent": Permission.READ,
    "s3:GetObjectVersionTorrent": Permission.READ,
    "s3:GetObjectAcl": Permission.READ_ACP,
    "s3:GetObjectVersionAcl": Permission.READ_ACP,
    "s3:PutObjectAcl": Permission.WRITE_ACP,
    "s3:PutObjectVersionAcl": Permission.WRITE_ACP,
}
assert not set(ON_BUCKET) & set(ON_OBJECT)


def grants(acl: Acl, principal: Principal, needed: Permission, *, ignore_public: bool) -> bool:
    """Whether `acl` gives `principal` a permission; `ignore_public` is IgnorePublicAcls."""
    return any(
        grant.permission in (needed, Permission.FULL_CONTROL)
        and grant.is_for(principal)
        and not (ignore_public and grant.is_public)
        for grant in acl.grants
    )


# --- at rest --------------------------------------------------------------------------

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Acl)


def encode_acl(acl: Acl, *, owner: str) -> bytes:
    """Encode the ACL of something of `owner`'s: nothing at all when only the owner has access."""
    return b"" if acl == private(owner) else _encoder.encode(acl)


def decode_acl(data: bytes, *, owner: str) -> Acl:
    """Decode what `encode_acl` made.

    Raises:
        RecordUnknown: it is something else; who has access is not known.
    """
    if not data:
        return private(owner)
    try:
        return _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RecordUnknown(f"access control list does not decode: {error}") from error

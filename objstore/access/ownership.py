"""Object ownership: whether a bucket's ACLs count, and who owns what is written to it.

"BucketOwnerEnforced: ACLs are disabled, and the bucket owner automatically owns and has full
control over every object in the bucket." It is the default.
"""

from typing import Final

from objstore.access.principals import Principal
from objstore.errors import RequestRefused

ENFORCED: Final = "BucketOwnerEnforced"
PREFERRED: Final = "BucketOwnerPreferred"
WRITER: Final = "ObjectWriter"
OWNERSHIPS: Final = (ENFORCED, PREFERRED, WRITER)
# Canned ACLs that say what is so anyway where ACLs are disabled. "Requests that specify bucket
# owner full control ACLs [...] or that don't specify an ACL" are accepted; "private" gives the
# owner, who is the bucket's, the same.
_WITHOUT_EFFECT: Final = frozenset({"", "private", "bucket-owner-full-control"})


def owner_of_new_object(
    ownership: str, writer: Principal, *, bucket_owner: str, canned: str = ""
) -> str:
    """Return the canonical id of whoever owns what `writer` writes; `canned` is its x-amz-acl.

    "The bucket owner owns and has full control over new objects that other accounts write to
    the bucket with the bucket-owner-full-control canned ACL" is BucketOwnerPreferred's addition.
    What nobody signed for is the bucket owner's.
    """
    preferred = ownership == PREFERRED and canned == "bucket-owner-full-control"
    if writer.anonymous or preferred or ownership not in (PREFERRED, WRITER):
        return bucket_owner
    return writer.canonical_id


def refuse_acl_when_disabled(ownership: str, *, canned: str = "", granted: bool = False) -> None:
    """Refuse a write that sets an ACL where ACLs are disabled. Call it for PutObject and its kin.

    For PutBucketAcl and PutObjectAcl pass `granted`: "Requests to set ACLs or update ACLs fail",
    unless they are the bucket owner's full control in a document.

    Raises:
        RequestRefused: AccessControlListNotSupported.
    """
    if ownership not in (PREFERRED, WRITER) and (granted or canned not in _WITHOUT_EFFECT):
        raise RequestRefused("AccessControlListNotSupported")


def refuse_acl_of_new_bucket(ownership: str, *, canned: str = "", granted: bool = False) -> None:
    """Refuse CreateBucket with an ACL that the ownership asked for would disable.

    Raises:
        RequestRefused: InvalidBucketAclWithObjectOwnership.
    """
    if ownership not in (PREFERRED, WRITER) and (granted or canned not in ("", "private")):
        raise RequestRefused("InvalidBucketAclWithObjectOwnership")

"""Object ownership: who owns what is written, and where ACLs may be set."""

import pytest

from objstore.access.ownership import (
    ENFORCED,
    PREFERRED,
    WRITER,
    owner_of_new_object,
    refuse_acl_of_new_bucket,
    refuse_acl_when_disabled,
)
from objstore.access.principals import ANONYMOUS, Principal
from objstore.errors import RequestRefused
from tests.unit.access.policies import ALICE, OWNER

FULL_CONTROL = "bucket-owner-full-control"


@pytest.mark.parametrize(
    ("ownership", "writer", "canned", "owner"),
    [
        (ENFORCED, ALICE, "", OWNER),
        (ENFORCED, ALICE, FULL_CONTROL, OWNER),
        (PREFERRED, ALICE, "", ALICE),
        (PREFERRED, ALICE, "bucket-owner-read", ALICE),
        (PREFERRED, ALICE, FULL_CONTROL, OWNER),
        (WRITER, ALICE, FULL_CONTROL, ALICE),
        (WRITER, ALICE, "", ALICE),
        (WRITER, OWNER, "", OWNER),
        (WRITER, ANONYMOUS, "", OWNER),
    ],
)
def test_who_owns_what_is_written(
    ownership: str, writer: Principal, canned: str, owner: Principal
) -> None:
    found = owner_of_new_object(ownership, writer, bucket_owner=OWNER.canonical_id, canned=canned)
    assert found == owner.canonical_id


@pytest.mark.parametrize("canned", ["public-read", "authenticated-read", "bucket-owner-read"])
def test_acls_where_they_are_disabled(canned: str) -> None:
    """AWS: "PUT requests that contain other ACLs (for example, custom grants to certain AWS
    accounts) fail and return a 400 error with the error code AccessControlListNotSupported"."""
    with pytest.raises(RequestRefused, match="AccessControlListNotSupported"):
        refuse_acl_when_disabled(ENFORCED, canned=canned)
    with pytest.raises(RequestRefused, match="InvalidBucketAclWithObjectOwnership"):
        refuse_acl_of_new_bucket(ENFORCED, canned=canned)
    for ownership in (PREFERRED, WRITER):
        refuse_acl_when_disabled(ownership, canned=canned)
        refuse_acl_of_new_bucket(ownership, canned=canned)


def test_grants_where_acls_are_disabled() -> None:
    with pytest.raises(RequestRefused, match="AccessControlListNotSupported"):
        refuse_acl_when_disabled(ENFORCED, granted=True)
    with pytest.raises(RequestRefused, match="InvalidBucketAclWithObjectOwnership"):
        refuse_acl_of_new_bucket(ENFORCED, granted=True)
    refuse_acl_when_disabled(WRITER, granted=True)
    refuse_acl_of_new_bucket(PREFERRED, granted=True)


def test_what_says_nothing_new_is_accepted() -> None:
    for canned in ("", "private", FULL_CONTROL):
        refuse_acl_when_disabled(ENFORCED, canned=canned)
    refuse_acl_of_new_bucket(ENFORCED, canned="private")

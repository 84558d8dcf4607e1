"""Access control lists: canned ones, what they allow, and their bytes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.access.acl import (
    CANNED_ACLS,
    EC2_ID,
    GROUP_URIS,
    ON_BUCKET,
    ON_OBJECT,
    Acl,
    Grant,
    Group,
    Permission,
    acl_of,
    canned_acl,
    decode_acl,
    encode_acl,
    grants,
    private,
)
from objstore.access.actions import ACTIONS
from objstore.access.principals import ANONYMOUS, Principal
from objstore.errors import RecordUnknown, RequestRefused
from objstore.limits import ACL_GRANTS_MAX
from tests.unit.access.policies import ALICE, BOB, OWNER

READ, WRITE, READ_ACP, WRITE_ACP, FULL = Permission
ALL, AUTHENTICATED, LOGS = Group

GRANTS = st.builds(Grant, st.sampled_from(Permission), st.text(max_size=64)) | st.builds(
    lambda permission, group: Grant(permission, group=group),
    st.sampled_from(Permission),
    st.sampled_from(Group),
)
ACLS = st.builds(lambda given: Acl(tuple(given)), st.lists(GRANTS, max_size=6))


@pytest.mark.parametrize(
    ("name", "added"),
    [
        ("private", []),
        ("public-read", [Grant(READ, group=ALL)]),
        ("public-read-write", [Grant(READ, group=ALL), Grant(WRITE, group=ALL)]),
        ("authenticated-read", [Grant(READ, group=AUTHENTICATED)]),
        ("aws-exec-read", [Grant(READ, EC2_ID)]),
        ("bucket-owner-read", [Grant(READ, OWNER.canonical_id)]),
        ("bucket-owner-full-control", [Grant(FULL, OWNER.canonical_id)]),
        ("log-delivery-write", [Grant(WRITE, group=LOGS), Grant(READ_ACP, group=LOGS)]),
    ],
)
def test_canned(name: str, added: list[Grant]) -> None:
    """AWS's table of canned ACLs: the owner gets full control, and what the table adds."""
    assert name in CANNED_ACLS
    acl = canned_acl(name, owner=ALICE.canonical_id, bucket_owner=OWNER.canonical_id)
    assert acl.grants == (Grant(FULL, ALICE.canonical_id), *added)


@pytest.mark.parametrize("name", ["bucket-owner-read", "bucket-owner-full-control"])
def test_what_is_given_to_the_bucket_owner(name: str) -> None:
    """AWS: "If you specify this canned ACL when creating a bucket, Amazon S3 ignores it." """
    owner = OWNER.canonical_id
    assert canned_acl(name, owner=owner, bucket_owner=None) == private(owner)
    assert canned_acl(name, owner=owner, bucket_owner=owner) == private(owner)


@pytest.mark.parametrize("name", ["", "Private", "public", "public-write", "private "])
def test_no_canned_acl(name: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        canned_acl(name, owner=ALICE.canonical_id, bucket_owner=None)
    assert refused.value.reason == "InvalidArgument"
    assert refused.value.detail == {"ArgumentName": "x-amz-acl", "ArgumentValue": name}


def test_at_most_a_hundred_grants() -> None:
    """AWS: "An ACL can have up to 100 grants." """
    grant = Grant(READ, group=ALL)
    assert len(acl_of([grant] * ACL_GRANTS_MAX).grants) == 100
    with pytest.raises(RequestRefused, match="MalformedACLError"):
        acl_of([grant] * (ACL_GRANTS_MAX + 1))


@pytest.mark.parametrize(
    ("grant", "who", "granted"),
    [
        (Grant(READ, group=ALL), ANONYMOUS, True),
        (Grant(READ, group=ALL), ALICE, True),
        (Grant(READ, group=AUTHENTICATED), ANONYMOUS, False),
        (Grant(READ, group=AUTHENTICATED), ALICE, True),
        (Grant(READ, group=LOGS), ALICE, False),
        (Grant(READ, ALICE.canonical_id), ALICE, True),
        (Grant(READ, ALICE.canonical_id), BOB, False),
        (Grant(READ, ""), ANONYMOUS, False),
        (Grant(FULL, ALICE.canonical_id), ALICE, True),
        (Grant(WRITE, ALICE.canonical_id), ALICE, False),
        (Grant(READ_ACP, ALICE.canonical_id), ALICE, False),
    ],
)
def test_who_may_read(grant: Grant, who: Principal, granted: bool) -> None:
    assert grants(Acl((grant,)), who, READ, ignore_public=False) is granted


@given(ACLS, st.sampled_from([ALICE, BOB, ANONYMOUS]), st.sampled_from(Permission))
@settings(max_examples=200, deadline=None)
def test_ignoring_public_grants_is_as_if_they_were_not_there(
    acl: Acl, who: Principal, needed: Permission
) -> None:
    """AWS: "causes Amazon S3 to ignore all public ACLs on a bucket and any objects"."""
    kept = Acl(tuple(grant for grant in acl.grants if not grant.is_public))
    assert not kept.is_public
    ignoring = grants(acl, who, needed, ignore_public=True)
    assert ignoring is grants(kept, who, needed, ignore_public=False)


def test_what_is_public() -> None:
    """AWS: "grants any permissions to members of the predefined AllUsers or AuthenticatedUsers
    groups"."""
    canned = {name: canned_acl(name, owner="o", bucket_owner="b") for name in CANNED_ACLS}
    public = {name for name, acl in canned.items() if acl.is_public}
    assert public == {"public-read", "public-read-write", "authenticated-read"}
    assert Acl((Grant(WRITE_ACP, group=AUTHENTICATED),)).is_public


def test_permissions_are_of_actions_that_there_are() -> None:
    assert set(ON_BUCKET) | set(ON_OBJECT) <= set(ACTIONS)
    assert WRITE not in ON_OBJECT.values()  # "Not applicable"


@given(ACLS, st.sampled_from([ALICE.canonical_id, BOB.canonical_id]))
@settings(max_examples=300, deadline=None)
def test_what_is_encoded_is_decoded(acl: Acl, owner: str) -> None:
    assert decode_acl(encode_acl(acl, owner=owner), owner=owner) == acl


def test_bytes() -> None:
    """Nothing for the ACL that nearly everything has; few for the others; these for ever."""
    owner = ALICE.canonical_id
    assert encode_acl(private(owner), owner=owner) == b""
    assert decode_acl(b"", owner=owner) == private(owner)
    assert encode_acl(private(owner), owner=BOB.canonical_id) != b""
    assert encode_acl(Acl((Grant(READ, group=ALL),)), owner=owner) == bytes.fromhex("9191 9301a001")
    acl = Acl((Grant(FULL, "ab"), Grant(READ_ACP, group=LOGS)))
    assert encode_acl(acl, owner=owner) == bytes.fromhex("9192 9305a26162c0 9303a003")


@pytest.mark.parametrize("data", ["90", "78", "c1", "9191 9309a001", "9191 9301a009"])
def test_what_does_not_decode_is_unknown_and_not_private(data: str) -> None:
    with pytest.raises(RecordUnknown):
        decode_acl(bytes.fromhex(data), owner=ALICE.canonical_id)


def test_later_releases_may_append_fields() -> None:
    longer = bytes.fromhex("92 91 94 01a00109 05")
    assert decode_acl(longer, owner="o") == Acl((Grant(READ, group=ALL),))


def test_group_uris() -> None:
    assert set(GROUP_URIS) == set(Group)
    assert all(uri.startswith("http://acs.amazonaws.com/groups/") for uri in GROUP_URIS.values())

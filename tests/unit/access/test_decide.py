"""The one decision, row by row, and its laws."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.access import decide as decisions
from objstore.access.acl import Acl, Grant, Group, Permission, canned_acl, private
from objstore.access.actions import ALL_ACTIONS, DECIDED_BY_BUCKET
from objstore.access.decide import Resource, may_know_absence
from objstore.access.operation_actions import OPERATION_ACTIONS
from objstore.access.ownership import ENFORCED, OWNERSHIPS, PREFERRED, WRITER
from objstore.access.policy_document import Policy
from objstore.access.principals import ANONYMOUS, Principal
from objstore.access.public_access import NO_BLOCK, PublicAccessBlock
from tests.unit.access.policies import (
    ALICE,
    BOB,
    BUCKET_ARN,
    OBJECTS_ARN,
    OWNER,
    ROOT,
    ask,
    policy,
    resource,
    statement,
)

EVERYTHING = statement(Action="*", Resource=[BUCKET_ARN, OBJECTS_ARN])
ALLOW_ALL = policy(EVERYTHING)
DENY_ALL = policy({**EVERYTHING, "Effect": "Deny"})
OF_ACCOUNTS = {"s3:CreateBucket", "s3:ListAllMyBuckets"}
OF_POLICIES = {"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"}
ACTIONS = st.sampled_from(sorted(ALL_ACTIONS))
PEOPLE = (ROOT, OWNER, ALICE, BOB, ANONYMOUS)
KEYS = st.sampled_from([None, "key"])


def bucket_acl(canned: str) -> Acl:
    return canned_acl(canned, owner=OWNER.canonical_id, bucket_owner=None)


def object_acl(canned: str, owner: Principal = OWNER) -> Acl:
    return canned_acl(canned, owner=owner.canonical_id, bucket_owner=OWNER.canonical_id)


def granted(permission: Permission, who: Principal) -> Acl:
    grants = private(OWNER.canonical_id).grants
    return Acl((*grants, Grant(permission, who.canonical_id)))


# --- rows of the authorisation part of the negative cases ------------------------------


@pytest.mark.parametrize("action", sorted(set(OPERATION_ACTIONS.values())))
def test_others_have_no_access_to_what_is_private(action: str) -> None:
    """N130, N132: every operation there is, anonymous or as another user."""
    for who in (ALICE, ANONYMOUS):
        for ownership in OWNERSHIPS:
            for what in (resource(), resource(None), resource(object_acl=object_acl("private"))):
                decision = ask(who, action, what, ownership=ownership)
                assert decision.allowed is (action in OF_ACCOUNTS and who is ALICE)
                assert decision.allowed or decision.code == "AccessDenied"


@pytest.mark.parametrize("action", sorted(set(OPERATION_ACTIONS.values())))
def test_the_owner_and_the_operator_may_do_everything(action: str) -> None:
    for who in (OWNER, ROOT):
        for ownership in OWNERSHIPS:
            assert ask(who, action, resource(), ownership=ownership).allowed
            assert ask(who, action, resource(None), ownership=ownership).allowed


def test_a_missing_key_is_told_to_those_who_may_list() -> None:
    """N131: "anonymous on missing key without ListBucket -> 403, not 404"."""
    settings_: dict[str, Any] = {"ownership": WRITER, "block": NO_BLOCK}
    listing = policy(statement(Action="s3:ListBucket", Resource=BUCKET_ARN))
    public = resource(bucket_acl=bucket_acl("public-read"))
    for who in (ALICE, ANONYMOUS):
        assert not may_know_absence(who, resource(), {}, policy=None, **settings_)
        assert may_know_absence(who, resource(), {}, policy=listing, **settings_)
        assert may_know_absence(who, public, {}, policy=None, **settings_)
    assert may_know_absence(OWNER, resource(), {}, policy=None, **settings_)


def test_reading_a_version_needs_its_own_permission() -> None:
    """N137."""
    read = policy(statement(Action="s3:GetObject"), statement(Action="s3:DeleteObject"))
    assert ask(ALICE, "s3:GetObject", resource(), policy=read).allowed
    assert not ask(ALICE, "s3:GetObjectVersion", resource(), policy=read).allowed
    assert ask(ALICE, "s3:DeleteObject", resource(), policy=read).allowed
    assert not ask(ALICE, "s3:DeleteObjectVersion", resource(), policy=read).allowed


def test_bypassing_governance_needs_its_own_permission() -> None:
    """N143."""
    delete = statement(Action="s3:DeleteObject*")
    bypass = statement(Action="s3:BypassGovernanceRetention")
    action = "s3:BypassGovernanceRetention"
    assert not ask(ALICE, action, resource(), policy=policy(delete)).allowed
    assert ask(ALICE, action, resource(), policy=policy(delete, bypass)).allowed


@pytest.mark.parametrize(
    ("block", "public_acl", "public_policy"),
    [
        (NO_BLOCK, True, True),
        (PublicAccessBlock(block_public_acls=True, block_public_policy=True), True, True),
        (PublicAccessBlock(ignore_public_acls=True), False, True),
        (PublicAccessBlock(restrict_public_buckets=True), True, False),
        (PublicAccessBlock(ignore_public_acls=True, restrict_public_buckets=True), False, False),
    ],
)
def test_public_access_block(
    block: PublicAccessBlock, public_acl: bool, public_policy: bool
) -> None:
    """N144: "public-access-block beats public policy/ACL". The two that refuse new settings
    leave those that are there: "doesn't affect existing policies or ACLs"."""
    readable = resource(object_acl=object_acl("public-read"))
    public = policy(statement())
    for who in (ALICE, ANONYMOUS):
        by_acl = ask(who, "s3:GetObject", readable, ownership=WRITER, block=block)
        by_policy = ask(who, "s3:GetObject", resource(), policy=public, block=block)
        assert (by_acl.allowed, by_policy.allowed) == (public_acl, public_policy)
    assert ask(OWNER, "s3:GetObject", readable, policy=public, block=block).allowed


def test_a_restricted_bucket_is_its_owner_s_alone() -> None:
    """AWS: "This setting blocks all cross-account access to the access point or bucket"."""
    block = PublicAccessBlock(restrict_public_buckets=True)
    public = policy(statement())
    for what in (
        resource(object_acl=granted(Permission.READ, ALICE)),
        resource(object_owner=ALICE.canonical_id, object_acl=private(ALICE.canonical_id)),
    ):
        decision = ask(ALICE, "s3:GetObject", what, policy=public, ownership=WRITER, block=block)
        assert decision is decisions.RESTRICTED
        narrow = policy(statement(Principal={"AWS": BOB.account}))
        assert ask(
            ALICE, "s3:GetObject", what, policy=narrow, ownership=WRITER, block=block
        ).allowed


def test_restricting_leaves_the_owner_s_account_alone() -> None:
    """AWS: "only AWS service principals and authorized users within the bucket owner's account"."""
    block = PublicAccessBlock(restrict_public_buckets=True)
    shared = resource(
        object_owner=ALICE.canonical_id, object_acl=object_acl("bucket-owner-read", ALICE)
    )
    read = ask(OWNER, "s3:GetObject", shared, policy=ALLOW_ALL, ownership=WRITER, block=block)
    assert read is decisions.GRANTED
    for action in sorted(OF_POLICIES):
        others = ask(ALICE, action, resource(None), policy=ALLOW_ALL, block=block)
        assert others is decisions.RESTRICTED
        assert ask(OWNER, action, resource(None), policy=ALLOW_ALL, block=block).allowed


# --- explicit denials -----------------------------------------------------------------


@given(st.sampled_from(PEOPLE), ACTIONS, KEYS, st.sampled_from(OWNERSHIPS))
@settings(max_examples=300, deadline=None)
def test_an_explicit_deny_binds_everybody(
    who: Principal, action: str, key: str | None, ownership: str
) -> None:
    """But for an account's own matters, and the policy itself for those who must mend it."""
    public = resource(
        key, bucket_acl=bucket_acl("public-read-write"), object_acl=object_acl("public-read")
    )
    decision = ask(who, action, public, policy=DENY_ALL, ownership=ownership)
    if action in OF_ACCOUNTS:
        assert decision.allowed is not who.anonymous
    elif action in OF_POLICIES and who in (ROOT, OWNER):
        assert decision.allowed
    else:
        assert decision is decisions.DENIED_BY_POLICY


@pytest.mark.parametrize("action", sorted(OF_POLICIES))
def test_the_policy_is_the_owner_s_account_s_alone(action: str) -> None:
    """AWS: "If you have the correct permissions, but you're not using an identity that belongs
    to the bucket owner's account, Amazon S3 returns a 405 Method Not Allowed error." """
    decision = ask(ALICE, action, resource(None), policy=ALLOW_ALL)
    assert (decision.allowed, decision.code) == (False, "MethodNotAllowed")
    assert ask(ALICE, action, resource(None)).code == "AccessDenied"
    assert ask(ANONYMOUS, action, resource(None), policy=ALLOW_ALL).code == "MethodNotAllowed"


# --- policies -------------------------------------------------------------------------


@pytest.mark.parametrize("who", [ALICE, ANONYMOUS])
def test_the_policy_allows(who: Principal) -> None:
    for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:GetObjectTagging"):
        assert ask(who, action, resource(), policy=ALLOW_ALL) is decisions.ALLOWED_BY_POLICY
    assert ask(who, "s3:ListBucket", resource(None), policy=ALLOW_ALL).allowed


def test_a_policy_does_not_give_away_what_is_another_s() -> None:
    """AWS: "A bucket policy applies only to objects that are owned by the bucket owner." """
    of_alice = resource(object_owner=ALICE.canonical_id, object_acl=private(ALICE.canonical_id))
    for ownership in (PREFERRED, WRITER):
        read = ask(BOB, "s3:GetObject", of_alice, policy=ALLOW_ALL, ownership=ownership)
        assert read is decisions.NOT_ALLOWED
        delete = ask(BOB, "s3:DeleteObject", of_alice, policy=ALLOW_ALL, ownership=ownership)
        assert delete.allowed
    assert ask(BOB, "s3:GetObject", of_alice, policy=ALLOW_ALL, ownership=ENFORCED).allowed


# --- owners ---------------------------------------------------------------------------


@pytest.mark.parametrize("ownership", [PREFERRED, WRITER])
def test_objects_of_others_in_ones_bucket(ownership: str) -> None:
    """AWS: "The bucket owner [...] can deny access to any objects, or delete any objects in the
    bucket, regardless of who owns them." """
    of_alice = resource(object_owner=ALICE.canonical_id, object_acl=private(ALICE.canonical_id))
    for action in ("s3:GetObject", "s3:GetObjectAcl", "s3:PutObjectAcl", "s3:GetObjectTagging"):
        assert not ask(OWNER, action, of_alice, ownership=ownership).allowed
        assert ask(ALICE, action, of_alice, ownership=ownership) is decisions.OBJECT_OWNER
        assert ask(OWNER, action, of_alice, ownership=ENFORCED) is decisions.BUCKET_OWNER
        assert not ask(ALICE, action, of_alice, ownership=ENFORCED).allowed
    for action in sorted(DECIDED_BY_BUCKET):
        assert ask(OWNER, action, of_alice, ownership=ownership) is decisions.BUCKET_OWNER
    given = object_acl("bucket-owner-read", ALICE)
    shared = replace(of_alice, object_acl=given)
    assert ask(OWNER, "s3:GetObject", shared, ownership=ownership) is decisions.GRANTED
    assert not ask(OWNER, "s3:GetObjectAcl", shared, ownership=ownership).allowed
    # A Deny of the bucket's owner binds the object's owner too.
    assert not ask(ALICE, "s3:GetObject", of_alice, policy=DENY_ALL, ownership=ownership).allowed


def test_who_began_an_upload_may_list_and_abort_it() -> None:
    """AWS: "By default, the bucket owner and the initiator of the multipart upload are allowed
    to perform this action." """
    upload = resource(object_owner=ALICE.canonical_id)
    for action in ("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"):
        for ownership in OWNERSHIPS:
            assert ask(ALICE, action, upload, ownership=ownership) is decisions.INITIATOR
            assert ask(OWNER, action, upload, ownership=ownership).allowed
            assert not ask(BOB, action, upload, ownership=ownership).allowed
    assert not ask(ANONYMOUS, "s3:AbortMultipartUpload", resource()).allowed


@given(ACTIONS, KEYS, st.sampled_from(OWNERSHIPS))
@settings(max_examples=100, deadline=None)
def test_what_has_no_owner_is_nobody_s(action: str, key: str | None, ownership: str) -> None:
    """Neither of somebody without credentials nor of anybody else but the operator."""
    ownerless = Resource("bkt", key, "", "", Acl(()), Acl(()))
    for who in (ANONYMOUS, ALICE):
        allowed = ask(who, action, ownerless, ownership=ownership).allowed
        assert allowed is (action in OF_ACCOUNTS and who is ALICE)
    assert ask(ROOT, action, ownerless, ownership=ownership).allowed


# --- access control lists -------------------------------------------------------------


@pytest.mark.parametrize(
    ("permission", "on_bucket", "on_object"),
    [
        (
            Permission.READ,
            {"s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketMultipartUploads"},
            {
                "s3:GetObject",
                "s3:GetObjectVersion",
                "s3:GetObjectTorrent",
                "s3:GetObjectVersionTorrent",
            },
        ),
        (Permission.WRITE, {"s3:PutObject", "s3:DeleteObject"}, set()),
        (Permission.READ_ACP, {"s3:GetBucketAcl"}, {"s3:GetObjectAcl", "s3:GetObjectVersionAcl"}),
        (Permission.WRITE_ACP, {"s3:PutBucketAcl"}, {"s3:PutObjectAcl", "s3:PutObjectVersionAcl"}),
    ],
)
@pytest.mark.parametrize("ownership", [PREFERRED, WRITER])
def test_what_permissions_allow(
    ownership: str, permission: Permission, on_bucket: set[str], on_object: set[str]
) -> None:
    """AWS's table "Mapping of ACL permissions and access policy permissions"."""
    acl = granted(permission, ALICE)
    candidates = ALL_ACTIONS - OF_ACCOUNTS
    for what, expected in (
        (resource(bucket_acl=acl, object_acl=private(OWNER.canonical_id)), on_bucket),
        (resource(object_acl=acl), on_object),
    ):
        found = {name for name in candidates if ask(ALICE, name, what, ownership=ownership).allowed}
        assert found == expected
        assert not any(ask(BOB, name, what, ownership=ownership).allowed for name in candidates)
        assert not any(ask(ALICE, name, what, ownership=ENFORCED).allowed for name in candidates)


@pytest.mark.parametrize(
    ("canned", "who", "read", "write"),
    [
        ("private", ANONYMOUS, False, False),
        ("public-read", ANONYMOUS, True, False),
        ("public-read-write", ANONYMOUS, True, True),
        ("authenticated-read", ANONYMOUS, False, False),
        ("authenticated-read", ALICE, True, False),
        ("log-delivery-write", ALICE, False, False),
    ],
)
def test_canned_acls_of_buckets(canned: str, who: Principal, read: bool, write: bool) -> None:
    what = resource(bucket_acl=bucket_acl(canned), object_acl=object_acl("private"))
    assert ask(who, "s3:ListBucket", what, ownership=WRITER).allowed is read
    assert ask(who, "s3:PutObject", what, ownership=WRITER).allowed is write
    # A bucket's list says nothing of its objects.
    assert not ask(who, "s3:GetObject", what, ownership=WRITER).allowed


@given(
    st.sampled_from(PEOPLE),
    ACTIONS,
    KEYS,
    st.sampled_from(OWNERSHIPS),
    st.sampled_from([None, ALLOW_ALL, DENY_ALL]),
    st.lists(st.sampled_from(Permission), max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_one_more_grant_takes_nothing_away(
    who: Principal,
    action: str,
    key: str | None,
    ownership: str,
    written: Policy | None,
    added: list[Permission],
) -> None:
    acl = private(OWNER.canonical_id)
    more = Acl((*acl.grants, *(Grant(one, group=Group.ALL_USERS) for one in added)))
    before = ask(who, action, resource(key, object_acl=acl), policy=written, ownership=ownership)
    wider = resource(key, bucket_acl=more, object_acl=more)
    after = ask(who, action, wider, policy=written, ownership=ownership)
    assert after.allowed or not before.allowed
    assert not (after.allowed and ownership == ENFORCED and not before.allowed)


def test_unknown_actions_are_nobody_s() -> None:
    for action in ("", "s3:Nothing", "GetObject", "s3:getobject"):
        assert ask(ROOT, action, resource(), policy=ALLOW_ALL) is decisions.UNKNOWN_ACTION


def test_a_condition_decides_with_the_context_that_is_given() -> None:
    tagged = policy(statement(Condition={"StringEquals": {"s3:ExistingObjectTag/Team": "red"}}))
    red = {"s3:existingobjecttag/team": ("red",)}
    assert ask(ALICE, "s3:GetObject", resource(), red, policy=tagged).allowed
    assert not ask(ALICE, "s3:GetObject", resource(), policy=tagged).allowed

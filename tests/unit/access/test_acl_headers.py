"""x-amz-acl and x-amz-grant-*, read as AWS documents them."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.access.acl import Acl, Grant, Group, Permission, canned_acl
from objstore.access.acl_headers import GRANT_HEADERS, Directory, requested_acl
from objstore.errors import RequestRefused
from tests.unit.access.policies import ALICE, BOB, OWNER

PEOPLE = {"alice@example.com": ALICE.canonical_id, "bob@example.com": BOB.canonical_id}
DIRECTORY = Directory(
    by_id=lambda given: given if given in PEOPLE.values() else None,
    by_email=PEOPLE.get,
)
ALL_URI = "http://acs.amazonaws.com/groups/global/AllUsers"


def requested(headers: Mapping[str, str]) -> Acl | None:
    return requested_acl(
        headers.get,
        owner=ALICE.canonical_id,
        bucket_owner=OWNER.canonical_id,
        directory=DIRECTORY,
    )


def test_nothing_asked_for() -> None:
    assert requested({}) is None


def test_canned() -> None:
    owners = {"owner": ALICE.canonical_id, "bucket_owner": OWNER.canonical_id}
    for name in ("private", "public-read", "bucket-owner-read"):
        assert requested({"x-amz-acl": name}) == canned_acl(name, **owners)


@pytest.mark.parametrize(
    "header",
    [
        f'emailAddress="alice@example.com", id="{BOB.canonical_id}",uri="{ALL_URI}"',
        f"emailaddress=alice@example.com,id={BOB.canonical_id},uri={ALL_URI}",
        f' EmailAddress = "alice@example.com" , ID = {BOB.canonical_id} , URI="{ALL_URI}" ',
    ],
)
def test_grants(header: str) -> None:
    """AWS: "You specify each grantee as a type=value pair"."""
    acl = requested({"x-amz-grant-read": header})
    assert acl == Acl(
        (
            Grant(Permission.READ, ALICE.canonical_id),
            Grant(Permission.READ, BOB.canonical_id),
            Grant(Permission.READ, group=Group.ALL_USERS),
        )
    )


def test_each_header_has_its_permission() -> None:
    headers = dict.fromkeys(GRANT_HEADERS, f"id={BOB.canonical_id}")
    acl = requested(headers)
    assert acl is not None
    assert {grant.permission for grant in acl.grants} == set(Permission)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"x-amz-acl": "private", "x-amz-grant-read": f"id={BOB.canonical_id}"}, "InvalidRequest"),
        ({"x-amz-acl": "nobody"}, "InvalidArgument"),
        ({"x-amz-grant-read": "id=nobody"}, "InvalidArgument"),
        ({"x-amz-grant-read": "uri=http://acs.amazonaws.com/groups/Nobody"}, "InvalidArgument"),
        ({"x-amz-grant-read": "emailAddress=eve@example.com"}, "UnresolvableGrantByEmailAddress"),
        ({"x-amz-grant-read": ""}, "InvalidArgument"),
        ({"x-amz-grant-read": "alice"}, "InvalidArgument"),
        ({"x-amz-grant-read": "name=alice"}, "InvalidArgument"),
        ({"x-amz-grant-read": 'id="unclosed'}, "InvalidArgument"),
        ({"x-amz-grant-read": f"id={BOB.canonical_id},"}, "InvalidArgument"),
        ({"x-amz-grant-read": f"id={BOB.canonical_id};id=x"}, "InvalidArgument"),
        ({"x-amz-grant-read": ",".join([f"id={BOB.canonical_id}"] * 101)}, "MalformedACLError"),
        ({"x-amz-grant-read": ",".join([f"id={BOB.canonical_id}"] * 999)}, "InvalidArgument"),
    ],
)
def test_refusals(headers: dict[str, str], reason: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        requested(headers)
    assert refused.value.reason == reason


@given(st.text(alphabet='id=",uri \\x;\x00emailAddress', max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_header_is_read_or_refused(header: str) -> None:
    try:
        acl = requested({"x-amz-grant-write": header})
    except RequestRefused:
        return
    assert acl is not None
    assert acl.grants

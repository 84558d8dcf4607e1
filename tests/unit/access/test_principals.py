"""Who is named by which words of a policy."""

from dataclasses import replace
from typing import Any

import pytest

from objstore.access.principals import ANONYMOUS, Principal, read_principals
from objstore.errors import RequestRefused
from tests.unit.access.policies import ALICE, BOB, OWNER, ROOT

EVERYBODY = (ALICE, BOB, OWNER, ROOT, ANONYMOUS)
SIGNED = EVERYBODY[:-1]


@pytest.mark.parametrize(
    ("element", "named"),
    [
        ("*", EVERYBODY),
        ({"AWS": "*"}, EVERYBODY),
        ({"AWS": ["*"]}, EVERYBODY),
        ({"AWS": ALICE.account}, (ALICE,)),
        ({"AWS": f"arn:aws:iam::{ALICE.account}:root"}, (ALICE,)),
        ({"AWS": f"arn:aws-cn:iam::{ALICE.account}:root"}, (ALICE,)),
        ({"AWS": f"arn:aws:iam::{ALICE.account}:user/alice"}, (ALICE,)),
        ({"AWS": f"arn:aws:iam::{BOB.account}:user/alice"}, ()),
        ({"AWS": "arn:aws:iam:::user/alice"}, (ALICE,)),  # as Ceph's and MinIO's users write it
        ({"AWS": "arn:aws:iam:::user/Alice"}, ()),
        ({"AWS": ["arn:aws:iam:::user/alice", BOB.account]}, (ALICE, BOB)),
        ({"AWS": "arn:aws:iam::tenant:user/alice"}, ()),
        ({"AWS": "arn:aws:iam::tenant1:root"}, ()),
        ({"AWS": f"arn:aws:iam::{ALICE.account}:role/alice"}, ()),
        ({"AWS": f"arn:aws:sts::{ALICE.account}:assumed-role/role/alice"}, ()),
        ({"CanonicalUser": BOB.canonical_id}, (BOB,)),
        ({"CanonicalUser": [BOB.canonical_id], "AWS": ALICE.account}, (ALICE, BOB)),
        ({"Service": "logging.s3.amazonaws.com"}, ()),
        ({"Federated": "cognito-identity.amazonaws.com"}, ()),
        ({"Federated": f"arn:aws:iam::{ALICE.account}:saml-provider/x"}, ()),
    ],
)
def test_who_is_named(element: object, named: tuple[Principal, ...]) -> None:
    """An anonymous request is nobody's: "*" alone means it, however it is written."""
    meant = read_principals(element, negated=False)
    assert {who for who in EVERYBODY if meant.include(who)} == set(named)
    others = read_principals(element, negated=True)
    assert {who for who in EVERYBODY if others.include(who)} == set(EVERYBODY) - set(named)


def test_a_session_is_named_by_its_whole_arn() -> None:
    arn = f"arn:aws:sts::{ALICE.account}:assumed-role/role/alice"
    session = replace(ALICE, arn=arn)
    assert read_principals({"AWS": arn}, negated=False).include(session)


@pytest.mark.parametrize(
    "element",
    [
        "",
        "alice",
        ["*"],
        [],
        {},
        None,
        5,
        {"AWS": ""},
        {"AWS": []},
        {"AWS": [""]},
        {"AWS": None},
        {"AWS": {"AWS": "*"}},
        {"AWS": ["*", "alice"]},
        {"AWS": "alice"},
        {"AWS": "12345678901"},
        {"AWS": "1234567890123"},
        {"AWS": "１２３４５６７８９０１２"},  # noqa: RUF001 -- digits of another script
        {"AWS": "arn:aws:iam::12345678901:root"},
        {"AWS": "arn:aws:iam::*:root"},
        {"AWS": "arn:aws:iam::123456789012:user/*"},
        {"AWS": "arn:aws:iam::123456789012:user/a?"},
        {"AWS": "arn:aws:iam::123456789012:user/"},
        {"AWS": "arn:aws:iam::123456789012:root/x"},
        {"AWS": "arn:aws:iam::123456789012:group/admins"},
        {"AWS": "arn:aws:iam:::root"},
        {"AWS": "arn:aws:iam:::role/x"},
        {"AWS": "arn:aws:iam::123456789012:root\n"},
        {"AWS": "arn:aws:s3:::bucket"},
        {"CanonicalUser": "*"},
        {"CanonicalUser": ""},
        {"Service": "*"},
        {"Service": "logging.example.com"},
        {"Federated": "*"},
        {"Nobody": "x"},
        {"aws": "*"},
    ],
)
def test_what_names_nobody_is_refused(element: Any) -> None:
    """AWS: "You cannot use a wildcard to match part of a principal name or ARN." """
    with pytest.raises(RequestRefused) as refused:
        read_principals(element, negated=False)
    assert refused.value.reason == "MalformedPolicy"
    assert refused.value.message == "Invalid principal in policy"


def test_who_signed_nothing_is_named_by_nothing_else() -> None:
    nobody = replace(ALICE, canonical_id="")
    for element in (ALICE.account, ALICE.arn, "arn:aws:iam:::user/alice"):
        assert not read_principals({"AWS": element}, negated=False).include(nobody)
    assert read_principals("*", negated=False).include(nobody)


def test_nobody_is_the_owner_of_what_has_none() -> None:
    assert not ANONYMOUS.is_owner("")
    assert not ALICE.is_owner("")
    assert ALICE.is_owner(ALICE.canonical_id)


def test_everyone_is_said_by_a_star_or_by_leaving_some_out() -> None:
    assert read_principals({"AWS": ["*", ALICE.account]}, negated=False).everyone
    assert read_principals({"AWS": ALICE.account}, negated=True).everyone
    assert not read_principals({"AWS": [ALICE.account, BOB.account]}, negated=False).everyone
    assert len({who.account for who in SIGNED}) == len(SIGNED)

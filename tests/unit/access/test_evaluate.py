"""What a policy says: a small twin, and the laws that hold of every policy."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from time import process_time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.access.actions import ALL_ACTIONS
from objstore.access.evaluate import Verdict, evaluate
from objstore.access.principals import ANONYMOUS, Principal
from objstore.limits import HEADER_LINE_BYTES_MAX, POLICY_BYTES_MAX
from tests.unit.access.policies import (
    ALICE,
    BOB,
    BUCKET,
    BUCKET_ARN,
    OBJECTS_ARN,
    document,
    policy,
    statement,
)

Statement = Mapping[str, Any]
Context = dict[str, tuple[str, ...]]
GET = "s3:GetObject"


def verdict(
    *statements: Statement,
    who: Principal = ALICE,
    action: str = GET,
    path: str = "bkt/key",
    context: Context | None = None,
    version: str = "2012-10-17",
) -> Verdict:
    return evaluate(policy(*statements, version=version), who, action, path, context or {})


# --- the twin -------------------------------------------------------------------------

PEOPLE = (ALICE, BOB, ANONYMOUS)
PATHS = ("bkt/a", "bkt/a/b", "bkt/secret", "bkt")
ACTIONS_ASKED = (GET, "s3:PutObject", "s3:GetObjectAcl", "s3:ListBucket")
NAMED = {"*": PEOPLE, ALICE.account: (ALICE,), "arn:aws:iam:::user/bob": (BOB,)}


def slow_verdict(
    statements: list[Statement], who: Principal, action: str, path: str, address: str
) -> Verdict:
    """AWS: "By default, all requests are implicitly denied [...] An explicit allow overrides the
    default [...] An explicit deny in any policy overrides any allows." """
    effects = {
        one["Effect"] for one in statements if _slowly_applies(one, who, action, path, address)
    }
    if "Deny" in effects:
        return Verdict.DENIED
    return Verdict.ALLOWED if effects else Verdict.SILENT


def _slowly_applies(one: Statement, who: Principal, action: str, path: str, address: str) -> bool:
    def one_of(name: str) -> list[str]:
        value = one[name]
        return value if isinstance(value, list) else [value]

    about: dict[str, bool] = {}
    if "Principal" in one:
        about["who"] = any(who in NAMED[name] for name in one["Principal"]["AWS"])
    else:
        about["who"] = not any(who in NAMED[name] for name in one["NotPrincipal"]["AWS"])
    for name, asked in (("Action", action), ("Resource", f"arn:aws:s3:::{path}")):
        if name in one:
            about[name] = any(fnmatchcase(asked, pattern) for pattern in one_of(name))
        else:
            about[name] = not any(fnmatchcase(asked, pattern) for pattern in one_of(f"Not{name}"))
    inside = address.startswith("10.")
    for operator in one.get("Condition", {}):
        about[operator] = inside == (operator == "IpAddress")
    return all(about.values())


RESOURCES = (OBJECTS_ARN, [BUCKET_ARN, OBJECTS_ARN], f"{OBJECTS_ARN}t", f"{BUCKET_ARN}/a/*")


@st.composite
def statements(draw: st.DrawFn, effects: tuple[str, ...] = ("Allow", "Deny")) -> Statement:
    effect = draw(st.sampled_from(effects))
    principals = {"AWS": draw(st.lists(st.sampled_from(sorted(NAMED)), min_size=1, max_size=2))}
    not_ = ("", "Not")
    who = "Principal" if effect == "Allow" else draw(st.sampled_from(not_)) + "Principal"
    action = draw(st.sampled_from(not_)) + "Action"
    resource = draw(st.sampled_from(not_)) + "Resource"
    written: dict[str, Any] = {
        "Effect": effect,
        who: principals,
        action: draw(st.sampled_from([GET, "s3:Get*", "s3:*", "*", [GET, "s3:PutObject"]])),
        resource: draw(st.sampled_from(RESOURCES)),
    }
    operator = draw(st.sampled_from(["", "IpAddress", "NotIpAddress"]))
    if operator:
        written["Condition"] = {operator: {"aws:SourceIp": "10.0.0.0/8"}}
    return written


SEVERAL = st.lists(statements(), min_size=1, max_size=3)
ASKED = {
    "who": st.sampled_from(PEOPLE),
    "action": st.sampled_from(ACTIONS_ASKED),
    "path": st.sampled_from(PATHS),
    "address": st.sampled_from(["10.1.2.3", "11.1.2.3"]),
}


def ask(written: list[Statement], who: Principal, action: str, path: str, address: str) -> Verdict:
    return verdict(
        *written, who=who, action=action, path=path, context={"aws:sourceip": (address,)}
    )


@given(SEVERAL, st.fixed_dictionaries(ASKED))
@settings(max_examples=300, deadline=None)
def test_a_policy_says_what_its_twin_says(written: list[Statement], asked: dict[str, Any]) -> None:
    assert ask(written, **asked) is slow_verdict(written, **asked)


@given(SEVERAL, statements(("Deny",)), st.fixed_dictionaries(ASKED))
@settings(max_examples=100, deadline=None)
def test_a_deny_that_applies_wins_wherever_it_stands(
    written: list[Statement], deny: Statement, asked: dict[str, Any]
) -> None:
    """N133: "explicit Deny + Allow -> deny"."""
    if ask([deny], **asked) is Verdict.DENIED:
        assert ask([deny, *written], **asked) is Verdict.DENIED
        assert ask([*written, deny], **asked) is Verdict.DENIED


@given(SEVERAL, statements(("Allow",)), st.fixed_dictionaries(ASKED))
@settings(max_examples=100, deadline=None)
def test_one_more_allow_takes_nothing_away(
    written: list[Statement], allow: Statement, asked: dict[str, Any]
) -> None:
    before, after = ask(written, **asked), ask([*written, allow], **asked)
    assert after is before or (before is Verdict.SILENT and after is Verdict.ALLOWED)


# --- rows -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("resource", "path", "applies"),
    [
        (OBJECTS_ARN, "bkt/a", True),
        (OBJECTS_ARN, "bkt/", True),
        (OBJECTS_ARN, "bkt/a/b", True),
        (f"{BUCKET_ARN}/a", "bkt/a", True),
        (f"{BUCKET_ARN}/a", "bkt/a/b", False),
        (f"{BUCKET_ARN}/a", "bkt/A", False),
        (f"{BUCKET_ARN}/a/*", "bkt/a", False),
        (f"{BUCKET_ARN}/a/*", "bkt/ab/c", False),
        (f"{BUCKET_ARN}/../a", "bkt/../a", True),
        (f"{BUCKET_ARN}/../a", "bkt/a", False),
        (f"{BUCKET_ARN}/%61", "bkt/a", False),
    ],
)
def test_resources_are_the_bytes_of_a_key(resource: str, path: str, applies: bool) -> None:
    """R4: "the same decoded key goes to policy and storage"; N133: no wrong crossing of "/"."""
    expected = Verdict.ALLOWED if applies else Verdict.SILENT
    assert verdict(statement(Resource=resource), path=path) is expected


def test_a_pattern_of_objects_is_not_about_the_bucket() -> None:
    both = statement(Action="s3:*", Resource=OBJECTS_ARN)
    assert verdict(both, action="s3:ListBucket", path=BUCKET) is Verdict.SILENT
    assert verdict(both, action=GET, path="bkt/x") is Verdict.ALLOWED


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:KeyOfTomorrow": "x"}},
        {"StringNotEquals": {"aws:KeyOfTomorrow": "x"}},
        {"StringLikeIfExists": {"aws:KeyOfTomorrow": "x"}},
        {"Null": {"aws:KeyOfTomorrow": "true"}},
        {"ForAllValues:StringEquals": {"jwt:groups": "admin"}},
        {"StringEquals": {"aws:UserAgent": "x", "jwt:sub": "me"}},
        {"NumericLessThan": {"s3:signatureAge": "10"}},  # below: a value that is no number
        {"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}},  # an address that is none
        {"StringEquals": {"aws:userid": "${jwt:sub}"}},
        {"StringNotEquals": {"s3:RequestObjectTagKeys": "a"}},  # several, where one is expected
    ],
)
def test_what_can_not_be_known_fails_closed(condition: dict[str, Any]) -> None:
    """R10: "deny in Allow and match in Deny (fail closed)"."""
    context: Context = {
        "aws:useragent": ("x",),
        "aws:keyoftomorrow": ("x",),
        "jwt:sub": ("me",),
        "jwt:groups": ("admin",),
        "aws:userid": ("me",),
        "s3:signatureage": ("soon",),
        "aws:sourceip": ("unknown",),
        "s3:requestobjecttagkeys": ("a", "b"),
    }
    asked: dict[str, Any] = {"action": "s3:PutObject", "context": context}
    allow = statement(Action="s3:PutObject", Condition=condition)
    deny = {**allow, "Effect": "Deny"}
    assert verdict(allow, **asked) is Verdict.SILENT
    assert verdict(statement(Action="s3:PutObject"), deny, **asked) is Verdict.DENIED


def test_a_condition_that_is_known_to_fail_settles_it() -> None:
    condition = {"StringEquals": {"aws:KeyOfTomorrow": "x", "aws:UserAgent": "y"}}
    context: Context = {"aws:useragent": ("x",)}
    assert verdict(statement(Effect="Deny", Condition=condition), context=context) is Verdict.SILENT


def test_variables_in_resources() -> None:
    home = statement(Resource=f"{BUCKET_ARN}/home/${{aws:username}}/*")
    alice: Context = {"aws:username": ("alice",)}
    assert verdict(home, path="bkt/home/alice/x", context=alice) is Verdict.ALLOWED
    assert verdict(home, path="bkt/home/bob/x", context=alice) is Verdict.SILENT
    assert verdict(home, path="bkt/home//x") is Verdict.SILENT
    star: Context = {"aws:username": ("*",)}
    assert verdict(home, path="bkt/home/bob/x", context=star) is Verdict.SILENT
    # "Version 2008-10-17 doesn't support policy variables [...] treated as literal strings".
    literal = "bkt/home/${aws:username}/x"
    assert verdict(home, path=literal, context=alice, version="2008-10-17") is Verdict.ALLOWED


def test_a_resource_whose_variable_is_unknown_fails_closed() -> None:
    unknown = f"{BUCKET_ARN}/${{jwt:sub}}/*"
    context: Context = {"jwt:sub": ("me",)}
    assert verdict(statement(Resource=unknown), path="bkt/me/x", context=context) is Verdict.SILENT
    for name in ("Resource", "NotResource"):
        deny = statement(Effect="Deny", **{"Resource": None, name: unknown})
        assert verdict(statement(), deny, context=context) is Verdict.DENIED


@pytest.mark.parametrize(
    ("address", "who", "expected"),
    [
        ("192.0.2.77", ANONYMOUS, Verdict.ALLOWED),
        ("192.0.2.188", ANONYMOUS, Verdict.DENIED),
        ("192.0.3.1", ANONYMOUS, Verdict.SILENT),
        ("2001:db8::77", ANONYMOUS, Verdict.ALLOWED),
        ("2001:db9::77", ANONYMOUS, Verdict.SILENT),
        ("::ffff:192.0.2.188", ANONYMOUS, Verdict.DENIED),
    ],
)
def test_addresses(address: str, who: Principal, expected: Verdict) -> None:
    """The example of "Managing access based on specific IP addresses", both families mixed."""
    inside = {"IpAddress": {"aws:SourceIp": ["192.0.2.0/24", "2001:DB8::/32"]}}
    outside = {"IpAddress": {"aws:SourceIp": "192.0.2.188/32"}}
    written = [statement(Condition=inside), statement(Effect="Deny", Condition=outside)]
    assert verdict(*written, who=who, context={"aws:sourceip": (address,)}) is expected


def test_referer_example() -> None:
    """AWS: "allow the s3:GetObject permission with a condition that the get request must
    originate from specific webpages"; with IfExists also from none at all."""
    condition = {"StringLikeIfExists": {"aws:Referer": "http://www.example.com/*"}}
    read = statement(Condition=condition)
    assert verdict(read) is Verdict.ALLOWED
    referer: Context = {"aws:referer": ("http://www.example.com/index.html",)}
    assert verdict(read, context=referer) is Verdict.ALLOWED
    assert verdict(read, context={"aws:referer": ("http://e.com/",)}) is Verdict.SILENT


def test_not_principal_denies_everybody_else() -> None:
    deny = statement(Effect="Deny", Principal=None, NotPrincipal={"AWS": ALICE.account})
    assert verdict(statement(), deny, who=ALICE) is Verdict.ALLOWED
    assert verdict(statement(), deny, who=BOB) is Verdict.DENIED
    assert verdict(statement(), deny, who=ANONYMOUS) is Verdict.DENIED


@given(st.sampled_from(sorted(ALL_ACTIONS)))
@settings(max_examples=50, deadline=None)
def test_not_action_is_every_other_action(action: str) -> None:
    """AWS: "NotAction [...] matches everything except the specified list of actions"."""
    allow = statement(Action=None, NotAction=["s3:Put*", "s3:Delete*"])
    changes = action.startswith(("s3:Put", "s3:Delete"))
    assert verdict(allow, action=action) is (Verdict.SILENT if changes else Verdict.ALLOWED)


HOSTILE = [
    statement(Resource=[f"{OBJECTS_ARN}a?{number}ab*" for number in range(500)]),
    statement(Condition={"StringLike": {"aws:UserAgent": [f"*a?{n}" for n in range(1_900)]}}),
    statement(Condition={"StringLike": {"aws:UserAgent": ["*" + "a?" * 4_000 + "b*"]}}),
    statement(Condition={"StringLike": {"aws:UserAgent": [f"*{'a' * n}b*" for n in range(190)]}}),
    statement(Condition={"StringLike": {"aws:UserAgent": "${aws:UserAgent}*" * 1_000}}),
    statement(Condition={"IpAddress": {"aws:UserAgent": [f"10.0.{n}.0/24" for n in range(256)]}}),
    statement(Condition={"NumericEquals": {"aws:UserAgent": [str(n) for n in range(2_500)]}}),
]  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_policy_takes_long_to_ask(hostile: Statement) -> None:
    """N117: "regex bombs -> < 100 ms", of the longest policy and the longest header."""
    assert len(document(hostile)) <= POLICY_BYTES_MAX
    read = policy(hostile)
    context = {"aws:useragent": ("a" * HEADER_LINE_BYTES_MAX,)}
    began = process_time()
    evaluate(read, ALICE, GET, "bkt/" + "a" * 1_024, context)
    assert process_time() - began < 0.1

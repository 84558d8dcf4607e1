"""Condition keys come from where they belong, and from nowhere else."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.access.condition_keys import ABSENT_GLOBAL_KEYS, KNOWN_KEYS, is_known
from objstore.access.principals import ANONYMOUS, Principal
from objstore.access.request_context import (
    SignatureFacts,
    existing_tag_keys,
    form_keys,
    legal_hold_keys,
    location_keys,
    request_context,
    request_tag_keys,
    retention_keys,
    version_keys,
)
from objstore.wire.request import parse_request
from tests.unit.access.policies import ALICE, OBJECTS_ARN, ROOT, ask, policy, resource, statement

COPIED = "x-amz-copy-source"
LOCK = "x-amz-object-lock"
REMAINING = "s3:object-lock-remaining-retention-days"
DAY_MS = 86_400_000
NOW_MS = 20_000 * DAY_MS + 12 * 3_600_000  # 2024-10-04T12:00:00Z


def context(
    target: str = "/bkt/key",
    headers: tuple[tuple[str, str], ...] = (),
    who: Principal = ALICE,
    remote: str = "192.0.2.1",
    **more: Any,
) -> dict[str, tuple[str, ...]]:
    request = parse_request(
        method="GET",
        raw_target=target,
        headers=[("Host", "s3.test"), *headers],
        domains=(),
        secure=True,
        remote=remote,
        request_id="ID",
    )
    return request_context(
        request, who, now_ms=NOW_MS, region="us-east-1", bucket_account="0" * 12, **more
    )


def test_what_every_request_has() -> None:
    assert context() == {
        "aws:currenttime": ("2024-10-04T12:00:00.000Z",),
        "aws:epochtime": (str(NOW_MS // 1000),),
        "aws:principalaccount": (ALICE.account,),
        "aws:principalarn": (ALICE.arn,),
        "aws:principalisawsservice": ("false",),
        "aws:principaltype": ("User",),
        "aws:requestedregion": ("us-east-1",),
        "aws:resourceaccount": ("0" * 12,),
        "aws:securetransport": ("true",),
        "aws:sourceip": ("192.0.2.1",),
        "aws:userid": (ALICE.canonical_id,),
        "aws:username": ("alice",),
        "aws:viaawsservice": ("false",),
        "s3:resourceaccount": ("0" * 12,),
    }


def test_principals() -> None:
    """AWS's table of principal key values: an account has no user name, and nobody has no ARN."""
    root = context(who=ROOT)
    assert root["aws:principaltype"] == ("Account",)
    assert root["aws:userid"] == (ROOT.account,)
    assert "aws:username" not in root
    nobody = context(who=ANONYMOUS)
    assert nobody["aws:principaltype"] == ("Anonymous",)
    assert nobody["aws:userid"] == ("anonymous",)
    assert not {"aws:username", "aws:principalarn", "aws:principalaccount"} & set(nobody)


@pytest.mark.parametrize(
    ("target", "headers", "key", "value"),
    [
        ("/bkt?prefix=a%2Fb&delimiter=/&max-keys=5", (), "s3:prefix", "a/b"),
        ("/bkt?prefix=a%2Fb&delimiter=/&max-keys=5", (), "s3:delimiter", "/"),
        ("/bkt?prefix=a%2Fb&delimiter=/&max-keys=5", (), "s3:max-keys", "5"),
        ("/bkt?prefix=", (), "s3:prefix", ""),
        ("/bkt/key?versionId=v1", (), "s3:versionid", "v1"),
        ("/bkt/key", (("X-Amz-Acl", "public-read"),), "s3:x-amz-acl", "public-read"),
        ("/bkt/key?x-amz-acl=public-read", (), "s3:x-amz-acl", "public-read"),
        ("/bkt/key", (("x-amz-grant-read", "id=x"),), "s3:x-amz-grant-read", "id=x"),
        ("/bkt/key", (("If-None-Match", "*"),), "s3:if-none-match", "*"),
        ("/bkt/key", (("Referer", "http://a/"),), "aws:referer", "http://a/"),
        ("/bkt/key", (("User-Agent", "x"),), "aws:useragent", "x"),
        ("/bkt/key", ((COPIED, "/src/a%20b?versionId=1"),), "s3:x-amz-copy-source", "src/a b"),
        ("/bkt/key", ((COPIED, "src/a%2Fb"),), "s3:x-amz-copy-source", "src/a/b"),
        ("/bkt/key", (("x-amz-storage-class", "X"),), "s3:x-amz-storage-class", "X"),
        ("/bkt/key", ((f"{LOCK}-mode", "GOVERNANCE"),), "s3:object-lock-mode", "GOVERNANCE"),
        ("/bkt/key", ((f"{LOCK}-retain-until-date", "2024-10-14"),), REMAINING, "10"),
    ],
)  # fmt: skip
def test_keys_of_parameters(
    target: str, headers: tuple[tuple[str, str], ...], key: str, value: str
) -> None:
    assert context(target, headers)[key] == (value,)


@given(
    st.sampled_from(sorted(KNOWN_KEYS | {"userid", "groups", "jwt:sub", "jwt:groups"})),
    st.sampled_from(["", "x-amz-", "x-amz-meta-", "X-Forwarded-"]),
)
@settings(max_examples=300, deadline=None)
def test_no_header_and_no_parameter_is_a_condition_key(key: str, prefix: str) -> None:
    """N136: "header named userid/groups/jwt:sub must not satisfy conditions"."""
    name = prefix + key
    spoofed = context(f"/bkt/key?{name.replace('/', '%2F')}=forged", ((name, "forged"),))
    assert "forged" not in {value for values in spoofed.values() for value in values}


def test_a_forwarded_address_is_no_source_address() -> None:
    """N134: "aws:SourceIp with forged X-Forwarded-For -> 403"."""
    headers = (("X-Forwarded-For", "10.0.0.1"), ("X-Real-IP", "10.0.0.1"))
    inside = policy(statement(Condition={"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    assert not ask(
        ALICE, "s3:GetObject", resource(), context(headers=headers), policy=inside
    ).allowed
    assert ask(ALICE, "s3:GetObject", resource(), context(remote="10.9.9.9"), policy=inside).allowed


@pytest.mark.parametrize("remote", ["", "unix:", "unknown"])
def test_an_address_that_is_not_known_is_neither_inside_nor_outside(remote: str) -> None:
    for operator in ("IpAddress", "NotIpAddress"):
        condition = {operator: {"aws:SourceIp": "10.0.0.0/8"}}
        allow = statement(Condition=condition)
        facts = context(remote=remote)
        assert not ask(ALICE, "s3:GetObject", resource(), facts, policy=policy(allow)).allowed
        denied = policy(statement(), {**allow, "Effect": "Deny"})
        assert not ask(ALICE, "s3:GetObject", resource(), facts, policy=denied).allowed


def test_signatures() -> None:
    signature = SignatureFacts("REST-QUERY-STRING", "AWS4-HMAC-SHA256", 1500)
    found = context(signature=signature, tls_version="1.3")
    assert found["s3:authtype"] == ("REST-QUERY-STRING",)
    assert found["s3:signatureversion"] == ("AWS4-HMAC-SHA256",)
    assert found["s3:signatureage"] == ("1500",)
    assert found["s3:tlsversion"] == ("1.3",)


@pytest.mark.parametrize(
    ("retain_until", "days"),
    [
        ("2024-10-14T12:00:00Z", "10"),
        ("2024-10-14T12:00:01Z", "11"),
        ("2024-10-14T11:59:59.000Z", "10"),
        ("2024-10-04T12:00:00Z", "0"),
        ("2024-10-03T11:00:00Z", "-1"),
    ],
)
def test_remaining_days(retain_until: str, days: str) -> None:
    found = retention_keys(retain_until, mode="COMPLIANCE", now_ms=NOW_MS)
    assert found["s3:object-lock-remaining-retention-days"] == (days,)
    assert found["s3:object-lock-mode"] == ("COMPLIANCE",)


def test_tags() -> None:
    """Keys have no case and tags have, so two tags may be two values of one key."""
    tags = [("Team", "red"), ("team", "blue"), ("x/y", "z")]
    assert existing_tag_keys(tags) == {
        "s3:existingobjecttag/team": ("red", "blue"),
        "s3:existingobjecttag/x/y": ("z",),
    }
    found = request_tag_keys(tags)
    assert found["s3:requestobjecttagkeys"] == ("Team", "team", "x/y")
    assert request_tag_keys([]) == {}
    one = policy(statement(Condition={"StringEquals": {"s3:ExistingObjectTag/TEAM": "red"}}))
    assert ask(ALICE, "s3:GetObject", resource(), existing_tag_keys(tags[:1]), policy=one).allowed
    assert not ask(ALICE, "s3:GetObject", resource(), existing_tag_keys(tags), policy=one).allowed


def test_forms() -> None:
    """A form's fields are what headers are elsewhere, and no Deny is evaded by them."""
    found = form_keys({"acl": "public-read", "x-amz-storage-class": "STANDARD", "key": "x"})
    assert found == {"s3:x-amz-acl": ("public-read",), "s3:x-amz-storage-class": ("STANDARD",)}


def test_every_key_that_is_filled_in_is_a_known_one() -> None:
    found = {
        **context(headers=(("x-amz-copy-source", "a/b"),)),
        **legal_hold_keys("ON"),
        **version_keys("v1"),
        **location_keys("eu-west-1"),
        **request_tag_keys([("a", "b")]),
    }
    assert all(is_known(key) for key in found)
    assert not set(found) & ABSENT_GLOBAL_KEYS


def test_a_copy_s_source_can_not_be_spelt_otherwise() -> None:
    outside = {"StringNotLike": {"s3:x-amz-copy-source": "src/public/*"}}
    allow = statement(Action="s3:PutObject")
    deny = {**allow, "Effect": "Deny", "Resource": OBJECTS_ARN, "Condition": outside}
    written = policy(allow, deny)
    for source, allowed in (
        ("src/public/x", True),
        ("/src/public/x", True),
        ("src%2Fpublic%2Fx", True),
        ("src/secret/x", False),
        ("src/%73ecret/x", False),
        ("src/secret/x?versionId=src/public/x", False),
    ):
        facts = context(headers=(("x-amz-copy-source", source),))
        assert ask(ALICE, "s3:PutObject", resource(), facts, policy=written).allowed is allowed

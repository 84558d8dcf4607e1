"""What AWS calls public, and what the public access block refuses."""

from typing import Any

import pytest

from objstore.access.acl import canned_acl, private
from objstore.access.public_access import (
    NO_BLOCK,
    PublicAccessBlock,
    is_public_policy,
    refuse_public_acl,
    refuse_public_policy,
)
from objstore.errors import RequestRefused
from tests.unit.access.policies import ALICE, OWNER, policy, statement

KMS = "s3:x-amz-server-side-encryption-aws-kms-key-id"
POINT = "s3:DataAccessPointArn"


def with_condition(operator: str, key: str, value: Any) -> dict[str, Any]:
    return statement(Action="s3:PutObject", Condition={operator: {key: value}})


@pytest.mark.parametrize(
    "fields",
    [
        {"Principal": {"AWS": ALICE.account}},
        {"Principal": {"CanonicalUser": ALICE.canonical_id}},
        {"Principal": {"Service": "cloudtrail.amazonaws.com"}},
        {"Effect": "Deny"},
        {"Effect": "Deny", "Principal": None, "NotPrincipal": {"AWS": ALICE.account}},
    ],
)
def test_fixed_principals_and_denials_are_not_public(fields: dict[str, Any]) -> None:
    assert not is_public_policy(policy(statement(**fields)))


@pytest.mark.parametrize("element", ["*", {"AWS": "*"}, {"AWS": [ALICE.account, "*"]}])
def test_everyone_is_public(element: object) -> None:
    assert is_public_policy(policy(statement(Principal=element)))


@pytest.mark.parametrize(
    ("operator", "key", "value", "public"),
    [
        # AWS's own examples: "Under these rules, the following example policies are public",
        ("StringLike", "aws:SourceVpc", "vpc-*", True),
        # and "You can make these policies nonpublic by including any of the condition keys".
        ("StringEquals", "aws:SourceVpc", "vpc-91237329", False),
        ("StringLike", "aws:SourceVpc", "vpc-91237329", False),
        ("StringEquals", "aws:SourceVpc", ["vpc-91237329", "vpc-*"], True),
        ("StringEquals", "aws:SourceVpc", "${aws:username}", True),
        ("StringNotEquals", "aws:SourceVpc", "vpc-91237329", True),
        ("StringEqualsIfExists", "aws:SourceVpc", "vpc-91237329", True),
        ("ForAllValues:StringEquals", "aws:SourceVpc", "vpc-91237329", True),
        ("ForAnyValue:StringEquals", "aws:SourceVpc", "vpc-91237329", False),
        ("Null", "aws:SourceVpc", "false", True),
        ("ArnEquals", "aws:SourceArn", "arn:aws:s3:::bucket", False),
        ("ArnLike", "aws:SourceArn", "arn:aws:s3:::*", True),
        ("StringEquals", "aws:SourceAccount", "123456789012", False),
        ("StringEquals", "aws:PrincipalOrgID", "o-1", False),
        ("ArnLike", "aws:PrincipalArn", "arn:aws:iam::123456789012:user/a", False),
        ("StringEquals", "aws:userid", "AIDAEXAMPLE", False),
        ("StringLike", "aws:userid", "AROAEXAMPLE:*", True),
        ("StringEquals", KMS, "arn:aws:kms:r:123456789012:key/1", False),
        ("StringLike", POINT, "arn:aws:s3:r:123456789012:accesspoint/*", False),
        ("StringLike", POINT, "arn:aws:s3:r:*:accesspoint/x", True),
        ("StringLike", POINT, "*", True),
        # Keys that say nothing about where a request comes from.
        ("StringEquals", "aws:UserAgent", "x", True),
        ("StringEquals", "aws:Referer", "http://example.com/", True),
        ("StringEquals", "s3:x-amz-acl", "private", True),
        ("Bool", "aws:SecureTransport", "true", True),
        # Addresses.
        ("IpAddress", "aws:SourceIp", "192.0.2.0/24", False),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/32", False),
        ("IpAddress", "aws:SourceIp", "0.0.0.0/1", True),
        ("IpAddress", "aws:SourceIp", "0.0.0.0/0", True),
        ("IpAddress", "aws:SourceIp", "44.0.0.0/8", False),
        ("IpAddress", "aws:SourceIp", "44.0.0.0/7", True),
        ("IpAddress", "aws:SourceIp", "10.0.0.0/7", True),
        ("IpAddress", "aws:SourceIp", ["192.0.2.0/24", "0.0.0.0/0"], True),
        ("IpAddress", "aws:SourceIp", "2001:db8::/32", False),
        ("IpAddress", "aws:SourceIp", "2001:db8::/31", True),
        ("NotIpAddress", "aws:SourceIp", "192.0.2.0/24", True),
        ("IpAddressIfExists", "aws:SourceIp", "192.0.2.0/24", True),
        ("StringEquals", "aws:SourceIp", "192.0.2.1", True),
    ],
)
def test_conditions(operator: str, key: str, value: Any, public: bool) -> None:
    """AWS: "a bucket policy must grant access only to fixed values [...] of one or more of"."""
    assert is_public_policy(policy(with_condition(operator, key, value))) is public


def test_one_condition_that_narrows_is_enough_and_one_public_statement_is_too_many() -> None:
    condition = {
        "StringEquals": {"aws:SourceVpc": "vpc-1", "aws:UserAgent": "*"},
        "IpAddress": {"aws:SourceIp": "0.0.0.0/0"},
    }
    narrow = statement(Condition=condition)
    assert not is_public_policy(policy(narrow))
    assert is_public_policy(policy(narrow, statement()))


@pytest.mark.parametrize("canned", ["public-read", "public-read-write", "authenticated-read"])
def test_public_acls_are_refused_where_they_are_blocked(canned: str) -> None:
    acl = canned_acl(canned, owner=OWNER.canonical_id, bucket_owner=None)
    with pytest.raises(RequestRefused) as refused:
        refuse_public_acl(PublicAccessBlock(block_public_acls=True), acl)
    assert refused.value.reason == "AccessDenied"
    refuse_public_acl(NO_BLOCK, acl)
    refuse_public_acl(PublicAccessBlock(ignore_public_acls=True), acl)
    refuse_public_acl(PublicAccessBlock(block_public_acls=True), private(OWNER.canonical_id))


def test_public_policies_are_refused_where_they_are_blocked() -> None:
    block = PublicAccessBlock(block_public_policy=True)
    with pytest.raises(RequestRefused) as refused:
        refuse_public_policy(block, policy(statement()))
    assert refused.value.reason == "AccessDenied"
    refuse_public_policy(NO_BLOCK, policy(statement()))
    refuse_public_policy(block, policy(statement(Principal={"AWS": ALICE.account})))

"""Block public access: its four switches, and what "public" means.

"When evaluating a bucket policy, Amazon S3 begins by assuming that the policy is public. It then
evaluates the policy to determine whether it qualifies as nonpublic."
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from objstore.access.acl import Acl
from objstore.access.condition_values import read_network
from objstore.access.conditions import Condition, Qualifier
from objstore.access.policy_document import Effect, Policy, Statement
from objstore.errors import RequestRefused


@dataclass(frozen=True, slots=True)
class PublicAccessBlock:
    """A bucket's public access block; without one all four are off."""

    block_public_acls: bool = False
    ignore_public_acls: bool = False
    block_public_policy: bool = False
    restrict_public_buckets: bool = False


NO_BLOCK: Final = PublicAccessBlock()


def refuse_public_acl(block: PublicAccessBlock, acl: Acl) -> None:
    """Refuse to set a public ACL under BlockPublicAcls.

    "PUT Bucket acl and PUT Object acl calls fail if the specified ACL is public. PUT Object
    calls fail if the request includes a public ACL."

    Raises:
        RequestRefused: AccessDenied.
    """
    if block.block_public_acls and acl.is_public:
        raise RequestRefused(
            "AccessDenied",
            "Access Denied: public access control lists are prevented by the BlockPublicAcls"
            " setting of this bucket.",
        )


def refuse_public_policy(block: PublicAccessBlock, policy: Policy) -> None:
    """Refuse to set a public policy under BlockPublicPolicy.

    "Setting this option to TRUE causes Amazon S3 to reject calls to PUT bucket policy if the
    specified bucket policy allows public access."

    Raises:
        RequestRefused: AccessDenied.
    """
    if block.block_public_policy and is_public_policy(policy):
        raise RequestRefused(
            "AccessDenied",
            "Access Denied: public policies are prevented by the BlockPublicPolicy setting of"
            " this bucket.",
        )


def is_public_policy(policy: Policy) -> bool:
    """Whether a policy allows anything to the public.

    "To be considered nonpublic, a bucket policy must grant access only to fixed values (values
    that don't contain a wildcard or an AWS Identity and Access Management policy variable)" of a
    principal, or of a condition key that says where a request comes from. What it denies to
    whom does not matter.
    """
    return any(_is_public(statement) for statement in policy.statements)


def _is_public(statement: Statement) -> bool:
    return (
        statement.effect is Effect.ALLOW
        and statement.principals.everyone
        and not any(_narrows(condition) for condition in statement.conditions)
    )


def _narrows(condition: Condition) -> bool:
    """Whether a condition lets in nobody but those whom its fixed values name."""
    if condition.if_exists or condition.qualifier is Qualifier.ALL:
        return False
    is_fixed = _FIXED.get(condition.key)
    return (
        is_fixed is not None
        and condition.operator in _POSITIVE[is_fixed]
        and all(is_fixed(text) for text in condition.texts)
    )


def _has_no_wildcard(text: str) -> bool:
    return bool(text) and not any(sign in text for sign in ("*", "?", "${"))


def _is_access_point(text: str) -> bool:
    """Whether an access point's ARN names one account.

    "This value can contain a wildcard for the access point name without rendering the policy
    public, as long as the account ID is fixed."
    """
    parts = text.split(":", 5)
    return len(parts) == 6 and _has_no_wildcard(parts[4])


def _is_narrow_range(text: str) -> bool:
    """Whether a range of addresses is no "very broad" one.

    "This includes values broader than /8 for IPv4 and /32 for IPv6 (excluding RFC1918 private
    ranges)", which are evaluated as public.
    """
    network = read_network(text)
    if network is None:
        return False
    if isinstance(network, IPv4Network):
        private = any(network.subnet_of(block) for block in _RFC1918)
        return private or network.prefixlen >= 8
    return network.prefixlen >= 32


_RFC1918: Final = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))
_Fixed = Callable[[str], bool]
_FIXED: Final[Mapping[str, _Fixed]] = {
    **dict.fromkeys(
        (
            "aws:principalaccount",
            "aws:principalarn",
            "aws:principalorgid",
            "aws:principalorgpaths",
            "aws:sourceaccount",
            "aws:sourcearn",
            "aws:sourceowner",
            "aws:sourcevpc",
            "aws:sourcevpce",
            "aws:userid",
            "s3:dataaccesspointaccount",
            "s3:x-amz-server-side-encryption-aws-kms-key-id",
        ),
        _has_no_wildcard,
    ),
    "s3:dataaccesspointarn": _is_access_point,
    "aws:sourceip": _is_narrow_range,
}
_TEXTUAL: Final = frozenset(
    {"StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike"}
)
_POSITIVE: Final[Mapping[_Fixed, frozenset[str]]] = {
    _has_no_wildcard: _TEXTUAL,
    _is_access_point: _TEXTUAL,
    _is_narrow_range: frozenset({"IpAddress"}),
}
assert set(_FIXED.values()) == set(_POSITIVE)

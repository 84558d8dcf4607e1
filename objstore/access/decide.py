"""The one decision: may this principal do this, here and now?

docs/protocol/authorization.md tells the order in words and a table. Nothing else decides: what
a request asks for beyond its operation (the source of a copy, tags, a lock) is asked here too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from objstore.access.acl import ON_BUCKET, ON_OBJECT, Acl, grants
from objstore.access.actions import (
    ACTIONS,
    DECIDED_BY_BUCKET,
    OF_ACCOUNTS,
    OF_POLICIES,
    OF_UPLOADS,
    Target,
)
from objstore.access.evaluate import Verdict, evaluate
from objstore.access.facts import Context
from objstore.access.ownership import ENFORCED, OWNERSHIPS
from objstore.access.policy_document import Policy
from objstore.access.principals import Principal
from objstore.access.public_access import PublicAccessBlock, is_public_policy


@dataclass(frozen=True, slots=True)
class Resource:
    """What is asked for, and whose it is. Owners are canonical ids.

    `object_owner` is "" where there is no object yet or any more; for an upload's actions it is
    who began it.
    """

    bucket: str
    key: str | None
    bucket_owner: str
    object_owner: str
    bucket_acl: Acl
    object_acl: Acl | None

    @property
    def path(self) -> str:
        """What policies call it, without "arn:aws:s3:::"."""
        return self.bucket if self.key is None else f"{self.bucket}/{self.key}"


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided, and why. `code` is the error that a refusal answers."""

    allowed: bool
    reason: str
    code: str = ""


def _allow(reason: str) -> Decision:
    return Decision(allowed=True, reason=reason)


def _refuse(reason: str, code: str = "AccessDenied") -> Decision:
    return Decision(allowed=False, reason=reason, code=code)


# Every decision there is.
UNKNOWN_ACTION: Final = _refuse("no such action")
DENIED_BY_POLICY: Final = _refuse("explicit deny in the bucket policy")
ROOT: Final = _allow("the operator's own identity")
SIGNED: Final = _allow("signed, and a matter of the signer's own account")
UNSIGNED: Final = _refuse("a matter of accounts, and nobody signed")
BUCKET_OWNER: Final = _allow("the bucket's owner")
RESTRICTED: Final = _refuse("RestrictPublicBuckets, and the bucket policy is public")
OTHER_ACCOUNT: Final = _refuse("only the bucket owner's account may", "MethodNotAllowed")
OBJECT_OWNER: Final = _allow("the object's owner")
INITIATOR: Final = _allow("the upload's initiator")
ALLOWED_BY_POLICY: Final = _allow("allowed by the bucket policy")
GRANTED: Final = _allow("granted by an access control list")
NOT_ALLOWED: Final = _refuse("nothing allows it")


def decide(
    principal: Principal,
    action: str,
    resource: Resource,
    context: Context,
    *,
    policy: Policy | None,
    ownership: str,
    block: PublicAccessBlock,
) -> Decision:
    """Decide whether `principal` may perform `action` ("s3:...") on `resource`.

    `context` has the request's condition keys; it is read only where there is a policy.
    """
    assert ownership in OWNERSHIPS
    if action not in ACTIONS:
        return UNKNOWN_ACTION
    verdict = Verdict.SILENT
    if policy is not None and action not in OF_ACCOUNTS:
        verdict = evaluate(policy, principal, action, resource.path, context)
    question = _Question(principal, action, resource, policy, verdict, ownership, block)
    for step in _STEPS:
        decision = step(question)
        if decision is not None:
            return decision
    return NOT_ALLOWED


def may_know_absence(
    principal: Principal,
    resource: Resource,
    context: Context,
    *,
    policy: Policy | None,
    ownership: str,
    block: PublicAccessBlock,
) -> bool:
    """Whether `principal` is told that a key is not there, or is refused instead.

    "If you have the s3:ListBucket permission on the bucket, Amazon S3 returns an HTTP status code
    404 (Not Found) error. If you don't have the s3:ListBucket permission, Amazon S3 returns an
    HTTP status code 403 (Access Denied) error."
    """
    bucket = Resource(
        resource.bucket, None, resource.bucket_owner, "", resource.bucket_acl, object_acl=None
    )
    return decide(
        principal,
        "s3:ListBucket",
        bucket,
        context,
        policy=policy,
        ownership=ownership,
        block=block,
    ).allowed


@dataclass(frozen=True, slots=True)
class _Question:
    principal: Principal
    action: str
    resource: Resource
    policy: Policy | None
    verdict: Verdict
    ownership: str
    block: PublicAccessBlock

    @property
    def owner(self) -> str:
        """The canonical id of whoever's account decides about the action."""
        of_bucket = (
            self.ownership == ENFORCED
            or not self.resource.object_owner
            or self.action in DECIDED_BY_BUCKET
            or ACTIONS[self.action].target is not Target.OBJECT
        )
        return self.resource.bucket_owner if of_bucket else self.resource.object_owner

    @property
    def owns_bucket(self) -> bool:
        """Whether the bucket's owner asks."""
        return self.principal.is_owner(self.resource.bucket_owner)


# The steps; the first that decides does.


def _denied(question: _Question) -> Decision | None:
    # Else a policy could lock everybody out for ever.
    exempt = question.action in OF_POLICIES and (question.owns_bucket or question.principal.root)
    return DENIED_BY_POLICY if question.verdict is Verdict.DENIED and not exempt else None


def _root(question: _Question) -> Decision | None:
    return ROOT if question.principal.root else None


def _own_account(question: _Question) -> Decision | None:
    if question.action not in OF_ACCOUNTS:
        return None
    return UNSIGNED if question.principal.anonymous else SIGNED


def _bucket_owner(question: _Question) -> Decision | None:
    owns = question.owns_bucket and question.owner == question.resource.bucket_owner
    return BUCKET_OWNER if owns else None


def _restricted(question: _Question) -> Decision | None:
    """RestrictPublicBuckets "blocks all cross-account access" where the policy is public."""
    restricted = (
        question.block.restrict_public_buckets
        and not question.owns_bucket
        and question.policy is not None
        and is_public_policy(question.policy)
    )
    return RESTRICTED if restricted else None


def _others_policy(question: _Question) -> Decision | None:
    """Refuse "an identity that doesn't belong to the bucket owner's account"."""
    if question.action not in OF_POLICIES:
        return None
    return OTHER_ACCOUNT if question.verdict is Verdict.ALLOWED else NOT_ALLOWED


def _object_owner(question: _Question) -> Decision | None:
    if question.principal.is_owner(question.owner):
        return OBJECT_OWNER
    began = question.principal.is_owner(question.resource.object_owner)
    return INITIATOR if began and question.action in OF_UPLOADS else None


def _allowed(question: _Question) -> Decision | None:
    """Count an Allow: "A bucket policy applies only to objects owned by the bucket owner"."""
    counts = question.owner == question.resource.bucket_owner
    return ALLOWED_BY_POLICY if counts and question.verdict is Verdict.ALLOWED else None


def _granted(question: _Question) -> Decision | None:
    if question.ownership == ENFORCED:
        return None
    action, resource = question.action, question.resource
    acl = resource.bucket_acl if action in ON_BUCKET else resource.object_acl
    needed = ON_BUCKET.get(action) or ON_OBJECT.get(action)
    if acl is None or needed is None:
        return None
    ignore_public = question.block.ignore_public_acls
    return GRANTED if grants(acl, question.principal, needed, ignore_public=ignore_public) else None


_STEPS: Final[tuple[Callable[[_Question], Decision | None], ...]] = (
    _denied,
    _root,
    _own_account,
    _bucket_owner,
    _restricted,
    _others_policy,
    _object_owner,
    _allowed,
    _granted,
)

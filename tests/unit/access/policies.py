"""Principals, policies and resources for the tests of access."""

import json
from collections.abc import Mapping
from typing import Any

from objstore.access.acl import Acl, private
from objstore.access.decide import Decision, Resource, decide
from objstore.access.facts import Context
from objstore.access.policy_document import Policy, parse_policy
from objstore.access.principals import Principal
from objstore.access.public_access import NO_BLOCK, PublicAccessBlock

BUCKET = "bkt"
BUCKET_ARN = f"arn:aws:s3:::{BUCKET}"
OBJECTS_ARN = f"{BUCKET_ARN}/*"


def principal(name: str, number: int, *, root: bool = False) -> Principal:
    account = f"{number:012}"
    arn = f"arn:aws:iam::{account}:{'root' if root else f'user/{name}'}"
    return Principal(f"{number:x}" * 64, account, name, arn, root)


ROOT = principal("operator", 1, root=True)
OWNER = principal("olga", 2)
ALICE = principal("alice", 3)
BOB = principal("bob", 4)


def statement(**fields: Any) -> dict[str, Any]:
    """A statement that allows everybody to read objects, but for what `fields` says.

    A field that is None is left out.
    """
    written = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": OBJECTS_ARN,
        **fields,
    }
    return {name: value for name, value in written.items() if value is not None}


def document(*statements: Mapping[str, Any], version: str = "2012-10-17") -> bytes:
    return json.dumps({"Version": version, "Statement": list(statements)}).encode()


def policy(*statements: Mapping[str, Any], version: str = "2012-10-17") -> Policy:
    return parse_policy(document(*statements, version=version), bucket=BUCKET)


def resource(
    key: str | None = "key",
    *,
    object_owner: str = "",
    bucket_acl: Acl | None = None,
    object_acl: Acl | None = None,
) -> Resource:
    return Resource(
        BUCKET,
        key,
        OWNER.canonical_id,
        object_owner,
        bucket_acl or private(OWNER.canonical_id),
        object_acl,
    )


def ask(
    who: Principal,
    action: str,
    what: Resource,
    context: Context | None = None,
    *,
    policy: Policy | None = None,
    ownership: str = "BucketOwnerEnforced",
    block: PublicAccessBlock = NO_BLOCK,
) -> Decision:
    return decide(who, action, what, context or {}, policy=policy, ownership=ownership, block=block)

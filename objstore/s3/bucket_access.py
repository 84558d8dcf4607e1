"""What a bucket's record says about who may use it: policy, ownership, public access block, ACL.

Documents are parsed when they change and not for every request: each reader keeps what it read
last, by the document's bytes. What cannot be read closes the bucket rather than opening it.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from objstore.access.acl import Acl, decode_acl, private
from objstore.access.ownership import ENFORCED, WRITER
from objstore.access.policy_document import Policy
from objstore.access.public_access import NO_BLOCK, PublicAccessBlock
from objstore.access.stored_policy import stored_policy
from objstore.errors import RecordUnknown, RequestRefused
from objstore.iam.identities import Identities
from objstore.limits import POLICIES_PARSED_MAX
from objstore.ondisk.record import Bucket
from objstore.s3.owners import owner_of
from objstore.wire.config_documents.ownership_controls import read_ownership_controls
from objstore.wire.config_documents.public_access import read_public_access_block
from objstore.wire.documents import Owner

# The names of the settings, as sub-resources are called.
POLICY: Final = "policy"
OWNERSHIP: Final = "ownershipControls"
BLOCK: Final = "publicAccessBlock"
ACL: Final = "acl"
# Stored in place of ownership controls that were deleted. AWS: without any, objects belong to
# their writer and ACLs act; a new bucket has BucketOwnerEnforced.
NO_CONTROLS: Final = b""


@dataclass(frozen=True, slots=True)
class BucketAccess:
    """Who may use a bucket, as far as its record says."""

    owner: str  # a canonical id
    policy: Policy | None
    ownership: str
    block: PublicAccessBlock
    acl: Acl

    @property
    def acls_act(self) -> bool:
        """Whether ACLs grant anything, and objects may be another's than the bucket's owner."""
        return self.ownership != ENFORCED


def access_of(bucket: Bucket, identities: Identities) -> BucketAccess:
    """Read a bucket's record."""
    settings = bucket.settings
    owner = owner_of(bucket.owner, identities).canonical_id
    policy = settings.get(POLICY)
    return BucketAccess(
        owner,
        None if policy is None else stored_policy(policy, bucket.name),
        ownership_of(bucket),
        block_of(bucket),
        acl_held(settings.get(ACL, b""), owner),
    )


def ownership_of(bucket: Bucket) -> str:
    """Return a bucket's object ownership."""
    return _ownership(bucket.settings.get(OWNERSHIP))


def block_of(bucket: Bucket) -> PublicAccessBlock:
    """Return a bucket's public access block; without one nothing is blocked."""
    stored = bucket.settings.get(BLOCK)
    return NO_BLOCK if stored is None else _block(stored)


def acl_held(stored: bytes, owner: str) -> Acl:
    """Return the ACL of something of `owner`'s, for a decision: one that is damaged grants nothing.

    "" as the owner is nobody: then, without a stored ACL, nobody has access by it.
    """
    if not stored:
        return private(owner)
    return _acl(stored)


def mentions(bucket: Bucket, name: str) -> bool:
    """Whether a bucket's policy may have something to do with a condition key.

    `name` is the beginning of a lower-case key without "s3:". It errs on the side of yes: a
    policy that has the word anywhere mentions it.
    """
    stored = bucket.settings.get(POLICY)
    return stored is not None and name in _words(stored)


def owners_in(bucket: Bucket, identities: Identities) -> Callable[[str], Owner]:
    """Return what names the owner of each object in a bucket, given what its record says.

    "The bucket owner automatically owns and has full control over every object in the bucket"
    where ACLs are disabled, whatever was stored when they were not.
    """
    of_bucket = owner_of(bucket.owner, identities)
    if ownership_of(bucket) == ENFORCED:
        return lambda _: of_bucket
    found = {"": of_bucket}

    def owner(stored: str) -> Owner:
        if stored not in found:
            found[stored] = owner_of(stored, identities)
        return found[stored]

    return owner


@lru_cache(maxsize=POLICIES_PARSED_MAX)
def _words(policy: bytes) -> str:
    """Return a policy's text in lower case, however its JSON escapes characters."""
    try:
        return json.dumps(json.loads(policy), ensure_ascii=False).lower()
    except (ValueError, RecursionError):
        return ""


@lru_cache(maxsize=16)
def _ownership(stored: bytes | None) -> str:
    if stored is None:
        return ENFORCED
    if stored == NO_CONTROLS:
        return WRITER
    try:
        return read_ownership_controls(stored).ownership
    except RequestRefused:
        return ENFORCED  # the bucket's owner alone


@lru_cache(maxsize=32)
def _block(stored: bytes) -> PublicAccessBlock:
    try:
        found = read_public_access_block(stored)
    except RequestRefused:
        return PublicAccessBlock(
            block_public_acls=True,
            ignore_public_acls=True,
            block_public_policy=True,
            restrict_public_buckets=True,
        )
    return PublicAccessBlock(
        block_public_acls=found.block_acls,
        ignore_public_acls=found.ignore_acls,
        block_public_policy=found.block_policy,
        restrict_public_buckets=found.restrict_buckets,
    )


@lru_cache(maxsize=POLICIES_PARSED_MAX)
def _acl(stored: bytes) -> Acl:
    try:
        return decode_acl(stored, owner="")
    except RecordUnknown:
        return Acl(())

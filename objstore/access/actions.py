"""Every action that a bucket policy may name: one row each, and what each operation asks for.

Rows follow AWS's service authorization reference for Amazon S3: what an action is performed on,
and which condition keys of S3 it takes besides those that every action takes.
"""
# ruff: noqa: E501 - a row of a table is one line

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from objstore.access import condition_keys as keys
from objstore.access.wildcard import Words


class Target(Enum):
    """What an action is performed on."""

    BUCKET = auto()
    OBJECT = auto()
    NEITHER = auto()  # the account, an access point, a job: nothing a bucket policy can name


@dataclass(frozen=True, slots=True)
class Action:
    """One action. `keys` are its condition keys, those of every action left out."""

    name: str  # as AWS writes it
    target: Target
    keys: frozenset[str]

    def takes(self, key: str) -> bool:
        """Whether a statement on this action may have a condition on a lower-case key."""
        return (
            not key.startswith("s3:")
            or key in keys.COMMON_S3_KEYS
            or keys.key_family(key) in self.keys
        )


_NONE: Final[frozenset[str]] = frozenset()
_CREATE: Final = keys.CREATION_KEYS
_TAGGED: Final = keys.EXISTING_TAG_KEYS
_TAGGED_VERSION: Final = _TAGGED | keys.VERSION_KEYS
_ACL: Final = keys.ACL_KEYS
_ANY_BUCKET: Final = keys.BUCKET_TAG_KEYS

_OF_OBJECTS: Final[Mapping[str, frozenset[str]]] = {
    "AbortMultipartUpload": _NONE,
    "BypassGovernanceRetention": _CREATE | keys.VERSION_KEYS,
    "DeleteObject": keys.PRECONDITION_KEYS,
    "DeleteObjectAnnotation": _TAGGED,
    "DeleteObjectTagging": _TAGGED,
    "DeleteObjectVersion": keys.VERSION_KEYS | keys.PRECONDITION_KEYS,
    "DeleteObjectVersionTagging": _TAGGED_VERSION,
    "GetObject": _TAGGED | keys.PRECONDITION_KEYS,
    "GetObjectAcl": _TAGGED,
    "GetObjectAnnotation": _TAGGED,
    "GetObjectAttributes": _TAGGED,
    "GetObjectLegalHold": _NONE,
    "GetObjectRetention": _NONE,
    "GetObjectTagging": _TAGGED,
    "GetObjectTorrent": _NONE,
    "GetObjectVersion": _TAGGED_VERSION | keys.PRECONDITION_KEYS,
    "GetObjectVersionAcl": _TAGGED_VERSION,
    "GetObjectVersionAttributes": _TAGGED_VERSION,
    "GetObjectVersionForReplication": _NONE,
    "GetObjectVersionTagging": _TAGGED_VERSION,
    "GetObjectVersionTorrent": keys.VERSION_KEYS,
    "InitiateReplication": _NONE,
    "ListMultipartUploadParts": _NONE,
    "ListObjectAnnotations": _TAGGED,
    "ObjectOwnerOverrideToBucketOwner": _NONE,
    "PutObject": _CREATE | keys.PRECONDITION_KEYS,
    "PutObjectAcl": _TAGGED | _ACL | keys.STORAGE_CLASS_KEYS,
    "PutObjectAnnotation": _TAGGED,
    "PutObjectLegalHold": keys.LEGAL_HOLD_KEYS,
    "PutObjectRetention": keys.RETENTION_KEYS,
    "PutObjectTagging": _TAGGED | keys.REQUEST_TAG_KEYS,
    "PutObjectVersionAcl": _TAGGED_VERSION | _ACL | keys.STORAGE_CLASS_KEYS,
    "PutObjectVersionTagging": _TAGGED_VERSION | keys.REQUEST_TAG_KEYS,
    "ReplicateDelete": _NONE,
    "ReplicateObject": _CREATE,
    "ReplicateTags": _CREATE,
    "RestoreObject": _NONE,
    "UpdateObjectEncryption": _CREATE | _TAGGED_VERSION,
}
_OF_BUCKETS: Final[Mapping[str, frozenset[str]]] = {
    "CreateBucket": keys.LOCATION_KEYS | _ACL | keys.OWNERSHIP_KEYS,
    "CreateBucketMetadataTableConfiguration": _NONE,
    "DeleteBucket": _NONE,
    "DeleteBucketMetadataTableConfiguration": _NONE,
    "DeleteBucketPolicy": _NONE,
    "DeleteBucketWebsite": _NONE,
    "GetAccelerateConfiguration": _NONE,
    "GetAnalyticsConfiguration": _NONE,
    "GetBucketAbac": _NONE,
    "GetBucketAcl": _NONE,
    "GetBucketCORS": _NONE,
    "GetBucketLocation": _NONE,
    "GetBucketLogging": _NONE,
    "GetBucketMetadataTableConfiguration": _NONE,
    "GetBucketNotification": _NONE,
    "GetBucketObjectLockConfiguration": _NONE,
    "GetBucketOwnershipControls": _NONE,
    "GetBucketPolicy": _NONE,
    "GetBucketPolicyStatus": _NONE,
    "GetBucketPublicAccessBlock": _NONE,
    "GetBucketRequestPayment": _NONE,
    "GetBucketTagging": _NONE,
    "GetBucketVersioning": _NONE,
    "GetBucketWebsite": _NONE,
    "GetEncryptionConfiguration": _NONE,
    "GetIntelligentTieringConfiguration": _NONE,
    "GetInventoryConfiguration": _NONE,
    "GetLifecycleConfiguration": _NONE,
    "GetMetricsConfiguration": _NONE,
    "GetReplicationConfiguration": _NONE,
    "ListBucket": keys.LISTING_KEYS,
    "ListBucketMultipartUploads": keys.LISTING_KEYS,
    "ListBucketVersions": keys.LISTING_KEYS,
    "ListTagsForResource": _NONE,
    "PauseReplication": _NONE,
    "PutAccelerateConfiguration": _NONE,
    "PutAnalyticsConfiguration": _NONE,
    "PutBucketAbac": _NONE,
    "PutBucketAcl": _ACL,
    "PutBucketCORS": _NONE,
    "PutBucketLogging": _NONE,
    "PutBucketNotification": _NONE,
    "PutBucketObjectLockConfiguration": _NONE,
    "PutBucketOwnershipControls": keys.OWNERSHIP_KEYS,
    "PutBucketPolicy": _NONE,
    "PutBucketPublicAccessBlock": _NONE,
    "PutBucketRequestPayment": _NONE,
    "PutBucketTagging": _NONE,
    "PutBucketVersioning": _NONE,
    "PutBucketWebsite": _NONE,
    "PutEncryptionConfiguration": _NONE,
    "PutIntelligentTieringConfiguration": _NONE,
    "PutInventoryConfiguration": keys.INVENTORY_KEYS,
    "PutLifecycleConfiguration": _NONE,
    "PutMetricsConfiguration": _NONE,
    "PutReplicationConfiguration": _NONE,
    "TagResource": _NONE,
    "UntagResource": _NONE,
    "UpdateBucketMetadataAnnotationTableConfiguration": _NONE,
    "UpdateBucketMetadataInventoryTableConfiguration": _NONE,
    "UpdateBucketMetadataJournalTableConfiguration": _NONE,
}
_ELSEWHERE: Final = (
    "AssociateAccessGrantsIdentityCenter CreateAccessGrant CreateAccessGrantsInstance CreateAccessGrantsLocation"
    " CreateAccessPoint CreateAccessPointForObjectLambda CreateJob CreateMultiRegionAccessPoint CreateStorageLensGroup"
    " DeleteAccessGrant DeleteAccessGrantsInstance DeleteAccessGrantsInstanceResourcePolicy DeleteAccessGrantsLocation"
    " DeleteAccessPoint DeleteAccessPointForObjectLambda DeleteAccessPointPolicy DeleteAccessPointPolicyForObjectLambda"
    " DeleteJobTagging DeleteMultiRegionAccessPoint DeleteStorageLensConfiguration DeleteStorageLensConfigurationTagging"
    " DeleteStorageLensGroup DescribeJob DescribeMultiRegionAccessPointOperation DissociateAccessGrantsIdentityCenter"
    " GetAccessGrant GetAccessGrantsInstance GetAccessGrantsInstanceForPrefix GetAccessGrantsInstanceResourcePolicy"
    " GetAccessGrantsLocation GetAccessPoint GetAccessPointConfigurationForObjectLambda GetAccessPointForObjectLambda"
    " GetAccessPointPolicy GetAccessPointPolicyForObjectLambda GetAccessPointPolicyStatus"
    " GetAccessPointPolicyStatusForObjectLambda GetAccountPublicAccessBlock GetDataAccess GetJobTagging"
    " GetMultiRegionAccessPoint GetMultiRegionAccessPointPolicy GetMultiRegionAccessPointPolicyStatus"
    " GetMultiRegionAccessPointRoutes GetStorageLensConfiguration GetStorageLensConfigurationTagging"
    " GetStorageLensDashboard GetStorageLensGroup ListAccessGrants ListAccessGrantsInstances ListAccessGrantsLocations"
    " ListAccessPoints ListAccessPointsForObjectLambda ListAllMyBuckets ListCallerAccessGrants ListJobs"
    " ListMultiRegionAccessPoints ListStorageLensConfigurations ListStorageLensGroups"
    " PutAccessGrantsInstanceResourcePolicy PutAccessPointConfigurationForObjectLambda PutAccessPointPolicy"
    " PutAccessPointPolicyForObjectLambda PutAccessPointPublicAccessBlock PutAccountPublicAccessBlock PutJobTagging"
    " PutMultiRegionAccessPointPolicy PutStorageLensConfiguration PutStorageLensConfigurationTagging"
    " SubmitMultiRegionAccessPointRoutes UpdateAccessGrantsLocation UpdateJobPriority UpdateJobStatus"
    " UpdateStorageLensGroup"
)


def _rows() -> Iterator[Action]:
    for name, taken in _OF_OBJECTS.items():
        yield Action(f"s3:{name}", Target.OBJECT, taken | _ANY_BUCKET)
    for name, taken in _OF_BUCKETS.items():
        yield Action(f"s3:{name}", Target.BUCKET, taken | _ANY_BUCKET)
    for name in _ELSEWHERE.split():
        yield Action(f"s3:{name}", Target.NEITHER, _NONE)


ACTIONS: Final[Mapping[str, Action]] = {row.name: row for row in _rows()}
assert len(ACTIONS) == len(_OF_OBJECTS) + len(_OF_BUCKETS) + len(_ELSEWHERE.split())
ALL_ACTIONS: Final = frozenset(ACTIONS)
_BY_FOLDED_NAME: Final = {name.lower(): name for name in ACTIONS}
_FOLDED_NAMES: Final = Words(_BY_FOLDED_NAME)


@lru_cache(maxsize=256)
def matching_actions(pattern: str) -> frozenset[str]:
    """Return the actions that an Action element stands for; case does not matter.

    None for what is no action at all: an unknown name, another service's, a pattern of nothing.
    """
    folded = pattern.lower()
    if folded == "*":
        return ALL_ACTIONS
    if folded in _BY_FOLDED_NAME:
        return frozenset({_BY_FOLDED_NAME[folded]})
    if not folded.startswith("s3:") or not ("*" in folded or "?" in folded):
        return frozenset()
    return frozenset(_BY_FOLDED_NAME[found] for found in _FOLDED_NAMES.matching(folded))


# What the bucket's owner may do with objects whoever owns them, and what a grant or policy on
# the bucket decides. "The bucket owner [...] can deny access to any objects, or delete any
# objects in the bucket, regardless of who owns them" and "restore archived objects regardless".
DECIDED_BY_BUCKET: Final = frozenset(
    f"s3:{name}"
    for name in (
        "AbortMultipartUpload",
        "BypassGovernanceRetention",
        "DeleteObject",
        "DeleteObjectVersion",
        "ListMultipartUploadParts",
        "PutObject",
        "ReplicateDelete",
        "ReplicateObject",
        "ReplicateTags",
        "RestoreObject",
    )
)
# "By default, the bucket owner and the initiator of the multipart upload are allowed".
OF_UPLOADS: Final = frozenset({"s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"})
# "As a security precaution, the root user of the AWS account that owns a bucket can always
# perform this action, even if the policy explicitly denies": and nobody of another account can.
OF_POLICIES: Final = frozenset(
    {"s3:GetBucketPolicy", "s3:PutBucketPolicy", "s3:DeleteBucketPolicy"}
)
# What needs no bucket that is there.
OF_ACCOUNTS: Final = frozenset({"s3:CreateBucket", "s3:ListAllMyBuckets"})
assert DECIDED_BY_BUCKET | OF_UPLOADS | OF_POLICIES | OF_ACCOUNTS <= ALL_ACTIONS

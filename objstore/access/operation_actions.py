"""Which action a policy has to allow for each operation of the S3 API."""

from collections.abc import Mapping
from typing import Final

from objstore.access.actions import ALL_ACTIONS
from objstore.wire.route import Operation

_OP = Operation
# Operations whose action has not their own name.
_OTHERWISE: Final[Mapping[Operation, str]] = {
    _OP.LIST_BUCKETS: "ListAllMyBuckets",
    _OP.HEAD_BUCKET: "ListBucket",
    _OP.LIST_OBJECTS: "ListBucket",
    _OP.LIST_OBJECTS_V2: "ListBucket",
    _OP.LIST_OBJECT_VERSIONS: "ListBucketVersions",
    _OP.LIST_MULTIPART_UPLOADS: "ListBucketMultipartUploads",
    _OP.LIST_PARTS: "ListMultipartUploadParts",
    _OP.HEAD_OBJECT: "GetObject",
    _OP.SELECT_OBJECT_CONTENT: "GetObject",
    _OP.DELETE_OBJECTS: "DeleteObject",
    _OP.POST_OBJECT: "PutObject",
    _OP.COPY_OBJECT: "PutObject",
    _OP.RENAME_OBJECT: "PutObject",
    _OP.CREATE_MULTIPART_UPLOAD: "PutObject",
    _OP.UPLOAD_PART: "PutObject",
    _OP.UPLOAD_PART_COPY: "PutObject",
    _OP.COMPLETE_MULTIPART_UPLOAD: "PutObject",
    _OP.DELETE_BUCKET_TAGGING: "PutBucketTagging",
    _OP.GET_BUCKET_CORS: "GetBucketCORS",
    _OP.PUT_BUCKET_CORS: "PutBucketCORS",
    _OP.DELETE_BUCKET_CORS: "PutBucketCORS",
    _OP.GET_BUCKET_ENCRYPTION: "GetEncryptionConfiguration",
    _OP.PUT_BUCKET_ENCRYPTION: "PutEncryptionConfiguration",
    _OP.DELETE_BUCKET_ENCRYPTION: "PutEncryptionConfiguration",
    _OP.GET_BUCKET_LIFECYCLE: "GetLifecycleConfiguration",
    _OP.PUT_BUCKET_LIFECYCLE: "PutLifecycleConfiguration",
    _OP.DELETE_BUCKET_LIFECYCLE: "PutLifecycleConfiguration",
    _OP.GET_BUCKET_NOTIFICATION: "GetBucketNotification",
    _OP.PUT_BUCKET_NOTIFICATION: "PutBucketNotification",
    _OP.DELETE_BUCKET_OWNERSHIP_CONTROLS: "PutBucketOwnershipControls",
    _OP.GET_PUBLIC_ACCESS_BLOCK: "GetBucketPublicAccessBlock",
    _OP.PUT_PUBLIC_ACCESS_BLOCK: "PutBucketPublicAccessBlock",
    _OP.DELETE_PUBLIC_ACCESS_BLOCK: "PutBucketPublicAccessBlock",
    _OP.GET_BUCKET_REPLICATION: "GetReplicationConfiguration",
    _OP.PUT_BUCKET_REPLICATION: "PutReplicationConfiguration",
    _OP.DELETE_BUCKET_REPLICATION: "PutReplicationConfiguration",
    _OP.GET_BUCKET_ACCELERATE: "GetAccelerateConfiguration",
    _OP.PUT_BUCKET_ACCELERATE: "PutAccelerateConfiguration",
    _OP.GET_BUCKET_ANALYTICS: "GetAnalyticsConfiguration",
    _OP.LIST_BUCKET_ANALYTICS: "GetAnalyticsConfiguration",
    _OP.PUT_BUCKET_ANALYTICS: "PutAnalyticsConfiguration",
    _OP.DELETE_BUCKET_ANALYTICS: "PutAnalyticsConfiguration",
    _OP.GET_BUCKET_INTELLIGENT_TIERING: "GetIntelligentTieringConfiguration",
    _OP.LIST_BUCKET_INTELLIGENT_TIERING: "GetIntelligentTieringConfiguration",
    _OP.PUT_BUCKET_INTELLIGENT_TIERING: "PutIntelligentTieringConfiguration",
    _OP.DELETE_BUCKET_INTELLIGENT_TIERING: "PutIntelligentTieringConfiguration",
    _OP.GET_BUCKET_INVENTORY: "GetInventoryConfiguration",
    _OP.LIST_BUCKET_INVENTORY: "GetInventoryConfiguration",
    _OP.PUT_BUCKET_INVENTORY: "PutInventoryConfiguration",
    _OP.DELETE_BUCKET_INVENTORY: "PutInventoryConfiguration",
    _OP.GET_BUCKET_METRICS: "GetMetricsConfiguration",
    _OP.LIST_BUCKET_METRICS: "GetMetricsConfiguration",
    _OP.PUT_BUCKET_METRICS: "PutMetricsConfiguration",
    _OP.DELETE_BUCKET_METRICS: "PutMetricsConfiguration",
    _OP.CREATE_BUCKET_METADATA: "CreateBucketMetadataTableConfiguration",
    _OP.GET_BUCKET_METADATA: "GetBucketMetadataTableConfiguration",
    _OP.DELETE_BUCKET_METADATA: "DeleteBucketMetadataTableConfiguration",
    _OP.GET_OBJECT_LOCK_CONFIGURATION: "GetBucketObjectLockConfiguration",
    _OP.PUT_OBJECT_LOCK_CONFIGURATION: "PutBucketObjectLockConfiguration",
    # Sessions are of directory buckets, of which there are none; AWS names them in another
    # service. Whoever may read the bucket is told so.
    _OP.CREATE_SESSION: "ListBucket",
}
OPERATION_ACTIONS: Final[Mapping[Operation, str]] = {
    operation: f"s3:{_OTHERWISE.get(operation, operation.value)}" for operation in Operation
}
assert set(OPERATION_ACTIONS.values()) <= ALL_ACTIONS
# "To [read] a specific version, you need s3:GetObjectVersion permission", and so on.
VERSION_ACTIONS: Final[Mapping[str, str]] = {
    "s3:DeleteObject": "s3:DeleteObjectVersion",
    "s3:DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "s3:GetObject": "s3:GetObjectVersion",
    "s3:GetObjectAcl": "s3:GetObjectVersionAcl",
    "s3:GetObjectAttributes": "s3:GetObjectVersionAttributes",
    "s3:GetObjectTagging": "s3:GetObjectVersionTagging",
    "s3:GetObjectTorrent": "s3:GetObjectVersionTorrent",
    "s3:PutObjectAcl": "s3:PutObjectVersionAcl",
    "s3:PutObjectTagging": "s3:PutObjectVersionTagging",
}
assert set(VERSION_ACTIONS) | set(VERSION_ACTIONS.values()) <= ALL_ACTIONS


def action_of(operation: Operation, *, versioned: bool) -> str:
    """Return the action that `operation` asks for; `versioned` when it names a version.

    Some requests ask for more than one: GetObjectAttributes for s3:GetObject too, a copy for
    s3:GetObject on its source, a write with tags, an ACL or a lock for the action that sets it.
    """
    action = OPERATION_ACTIONS[operation]
    return VERSION_ACTIONS.get(action, action) if versioned else action

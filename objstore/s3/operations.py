"""The S3 API as a table: one row for each operation there is.

To serve an operation: its shape in wire/route.py, a row here, a handler in the file of its
family, and a test file of the same name. docs/protocol/s3-support.md is generated from here.
"""
# ruff: noqa: E501 - a row of a table is one line

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from objstore.access.operation_actions import OPERATION_ACTIONS
from objstore.s3 import (
    acls,
    annotations,
    bucket_exposure,
    bucket_policy,
    buckets,
    copy_object,
    cors,
    delete_object,
    get_object,
    get_object_attributes,
    idle_settings,
    lifecycle,
    list_objects,
    multipart,
    object_lock,
    post_object,
    put_object,
    restore_object,
    tagging,
    unserved,
    versioning,
)
from objstore.s3.call import Call, Reply
from objstore.s3.listed_settings import ANALYTICS, INTELLIGENT_TIERING, INVENTORY, METRICS
from objstore.wire.route import SHAPES, Operation

Handler = Callable[[Call], Awaitable[Reply]]


class BodyKind(Enum):
    """What the request's body is, and so who may hold it in memory."""

    NONE = auto()  # not read
    DOCUMENT = auto()  # at most limits.DOCUMENT_BYTES_MAX; the handler reads it whole
    STREAM = auto()  # never held whole


@dataclass(frozen=True, slots=True)
class Spec:
    """How one operation is authorised, read and answered."""

    action: str  # what a policy calls it
    body: BodyKind
    handler: Handler
    note: str = ""  # what is particular about it here
    copies: bool = False  # whether it reads the object that x-amz-copy-source names
    creates: bool = False  # whether it makes an object, and may say its tags, ACL and lock
    per_key: bool = False  # whether its handler decides about each key of its document
    needs_digest: bool = False  # whether its document comes with Content-MD5 or a checksum
    served: bool = True  # whether it does anything but refuse


_NOT_CONFIGURED: Final = 'answers "not configured"'
_EMPTY_LIST: Final = "an empty list"
_REFUSED: Final = "checked, and refused: nothing would act on it"
_VALID_IS_REFUSED: Final = "a valid document is refused, for nothing acts on it"
_OP = Operation
_NONE, _DOCUMENT, _STREAM = BodyKind
_SERVED: Final[Mapping[Operation, Spec]] = {
    _OP.LIST_BUCKETS: Spec("s3:ListAllMyBuckets", _NONE, buckets.list_buckets),
    _OP.CREATE_BUCKET: Spec("s3:CreateBucket", _DOCUMENT, buckets.create_bucket, "LocationConstraint: the deployment's region or none; its Tags become the bucket's"),
    _OP.HEAD_BUCKET: Spec("s3:ListBucket", _NONE, buckets.head_bucket),
    _OP.DELETE_BUCKET: Spec("s3:DeleteBucket", _NONE, buckets.delete_bucket),
    _OP.GET_BUCKET_LOCATION: Spec("s3:GetBucketLocation", _NONE, buckets.get_bucket_location),
    _OP.LIST_OBJECTS: Spec("s3:ListBucket", _NONE, list_objects.list_objects),
    _OP.LIST_OBJECTS_V2: Spec("s3:ListBucket", _NONE, list_objects.list_objects_v2),
    _OP.DELETE_OBJECTS: Spec("s3:DeleteObject", _DOCUMENT, delete_object.delete_objects, "each key is decided on its own", per_key=True, needs_digest=True),
    _OP.POST_OBJECT: Spec("s3:PutObject", _STREAM, post_object.post_object, "a form of media type multipart/form-data, signed by its policy; its fields are in post_form.md", creates=True),
    _OP.PUT_OBJECT: Spec("s3:PutObject", _STREAM, put_object.put_object, "without a checksum CRC64NVME is computed and stored, as on AWS", creates=True),
    _OP.GET_OBJECT: Spec("s3:GetObject", _NONE, get_object.get_object, "several ranges: the whole object answers, as on AWS"),
    _OP.HEAD_OBJECT: Spec("s3:GetObject", _NONE, get_object.head_object),
    _OP.GET_OBJECT_ATTRIBUTES: Spec("s3:GetObjectAttributes", _NONE, get_object_attributes.get_object_attributes),
    _OP.DELETE_OBJECT: Spec("s3:DeleteObject", _NONE, delete_object.delete_object),
    _OP.COPY_OBJECT: Spec("s3:PutObject", _NONE, copy_object.copy_object, copies=True, creates=True),
    _OP.CREATE_MULTIPART_UPLOAD: Spec("s3:PutObject", _NONE, multipart.create_multipart_upload, creates=True),
    _OP.UPLOAD_PART: Spec("s3:PutObject", _STREAM, multipart.upload_part),
    _OP.UPLOAD_PART_COPY: Spec("s3:PutObject", _NONE, multipart.upload_part_copy, copies=True),
    _OP.LIST_PARTS: Spec("s3:ListMultipartUploadParts", _NONE, multipart.list_parts),
    _OP.LIST_MULTIPART_UPLOADS: Spec("s3:ListBucketMultipartUploads", _NONE, multipart.list_multipart_uploads),
    _OP.COMPLETE_MULTIPART_UPLOAD: Spec("s3:PutObject", _DOCUMENT, multipart.complete_multipart_upload),
    _OP.ABORT_MULTIPART_UPLOAD: Spec("s3:AbortMultipartUpload", _NONE, multipart.abort_multipart_upload),
    _OP.GET_BUCKET_ACL: Spec("s3:GetBucketAcl", _NONE, acls.get_bucket_acl),
    _OP.PUT_BUCKET_ACL: Spec("s3:PutBucketAcl", _DOCUMENT, acls.put_bucket_acl, "where ownership controls let ACLs act"),
    _OP.GET_OBJECT_ACL: Spec("s3:GetObjectAcl", _NONE, acls.get_object_acl),
    _OP.PUT_OBJECT_ACL: Spec("s3:PutObjectAcl", _DOCUMENT, acls.put_object_acl, "where ownership controls let ACLs act"),
    _OP.GET_BUCKET_POLICY: Spec("s3:GetBucketPolicy", _NONE, bucket_policy.get_bucket_policy),
    _OP.PUT_BUCKET_POLICY: Spec("s3:PutBucketPolicy", _DOCUMENT, bucket_policy.put_bucket_policy, "no policy locks its setter out, so `x-amz-confirm-remove-self-bucket-access` has nothing to confirm"),
    _OP.DELETE_BUCKET_POLICY: Spec("s3:DeleteBucketPolicy", _NONE, bucket_policy.delete_bucket_policy),
    _OP.GET_BUCKET_POLICY_STATUS: Spec("s3:GetBucketPolicyStatus", _NONE, bucket_policy.get_bucket_policy_status),
    _OP.GET_PUBLIC_ACCESS_BLOCK: Spec("s3:GetBucketPublicAccessBlock", _NONE, bucket_exposure.get_public_access_block),
    _OP.PUT_PUBLIC_ACCESS_BLOCK: Spec("s3:PutBucketPublicAccessBlock", _DOCUMENT, bucket_exposure.put_public_access_block),
    _OP.DELETE_PUBLIC_ACCESS_BLOCK: Spec("s3:PutBucketPublicAccessBlock", _NONE, bucket_exposure.delete_public_access_block),
    _OP.GET_BUCKET_OWNERSHIP_CONTROLS: Spec("s3:GetBucketOwnershipControls", _NONE, bucket_exposure.get_bucket_ownership_controls, "BucketOwnerEnforced until something else is set"),
    _OP.PUT_BUCKET_OWNERSHIP_CONTROLS: Spec("s3:PutBucketOwnershipControls", _DOCUMENT, bucket_exposure.put_bucket_ownership_controls),
    _OP.DELETE_BUCKET_OWNERSHIP_CONTROLS: Spec("s3:PutBucketOwnershipControls", _NONE, bucket_exposure.delete_bucket_ownership_controls, "the bucket is then as one of ObjectWriter"),
    _OP.LIST_OBJECT_VERSIONS: Spec("s3:ListBucketVersions", _NONE, versioning.list_object_versions),
    _OP.GET_BUCKET_VERSIONING: Spec("s3:GetBucketVersioning", _NONE, versioning.get_bucket_versioning),
    _OP.PUT_BUCKET_VERSIONING: Spec("s3:PutBucketVersioning", _DOCUMENT, versioning.put_bucket_versioning, "MFA delete is refused"),
    _OP.GET_BUCKET_TAGGING: Spec("s3:GetBucketTagging", _NONE, tagging.get_bucket_tagging),
    _OP.PUT_BUCKET_TAGGING: Spec("s3:PutBucketTagging", _DOCUMENT, tagging.put_bucket_tagging, needs_digest=True),
    _OP.DELETE_BUCKET_TAGGING: Spec("s3:PutBucketTagging", _NONE, tagging.delete_bucket_tagging),
    _OP.GET_OBJECT_TAGGING: Spec("s3:GetObjectTagging", _NONE, tagging.get_object_tagging),
    _OP.PUT_OBJECT_TAGGING: Spec("s3:PutObjectTagging", _DOCUMENT, tagging.put_object_tagging, needs_digest=True),
    _OP.DELETE_OBJECT_TAGGING: Spec("s3:DeleteObjectTagging", _NONE, tagging.delete_object_tagging),
    _OP.GET_OBJECT_LOCK_CONFIGURATION: Spec("s3:GetBucketObjectLockConfiguration", _NONE, object_lock.get_object_lock_configuration),
    _OP.PUT_OBJECT_LOCK_CONFIGURATION: Spec("s3:PutBucketObjectLockConfiguration", _DOCUMENT, object_lock.put_object_lock_configuration, needs_digest=True),
    _OP.GET_OBJECT_RETENTION: Spec("s3:GetObjectRetention", _NONE, object_lock.get_object_retention),
    _OP.PUT_OBJECT_RETENTION: Spec("s3:PutObjectRetention", _DOCUMENT, object_lock.put_object_retention, needs_digest=True),
    _OP.GET_OBJECT_LEGAL_HOLD: Spec("s3:GetObjectLegalHold", _NONE, object_lock.get_object_legal_hold),
    _OP.PUT_OBJECT_LEGAL_HOLD: Spec("s3:PutObjectLegalHold", _DOCUMENT, object_lock.put_object_legal_hold, needs_digest=True),
    _OP.GET_BUCKET_CORS: Spec("s3:GetBucketCORS", _NONE, cors.get_bucket_cors),
    _OP.PUT_BUCKET_CORS: Spec("s3:PutBucketCORS", _DOCUMENT, cors.put_bucket_cors, "preflights (OPTIONS) and every answer to a request with Origin follow its rules", needs_digest=True),
    _OP.DELETE_BUCKET_CORS: Spec("s3:PutBucketCORS", _NONE, cors.delete_bucket_cors),
    _OP.GET_BUCKET_LIFECYCLE: Spec("s3:GetLifecycleConfiguration", _NONE, lifecycle.get_bucket_lifecycle, "GetBucketLifecycle too"),
    _OP.PUT_BUCKET_LIFECYCLE: Spec("s3:PutLifecycleConfiguration", _DOCUMENT, lifecycle.put_bucket_lifecycle, "PutBucketLifecycle too; transitions are refused", needs_digest=True),
    _OP.DELETE_BUCKET_LIFECYCLE: Spec("s3:PutLifecycleConfiguration", _NONE, lifecycle.delete_bucket_lifecycle),
    _OP.GET_BUCKET_ENCRYPTION: Spec("s3:GetEncryptionConfiguration", _NONE, idle_settings.get_bucket_encryption, _NOT_CONFIGURED),
    _OP.PUT_BUCKET_ENCRYPTION: Spec("s3:PutEncryptionConfiguration", _DOCUMENT, idle_settings.put_bucket_encryption, _VALID_IS_REFUSED),
    _OP.DELETE_BUCKET_ENCRYPTION: Spec("s3:PutEncryptionConfiguration", _NONE, idle_settings.delete_bucket_encryption),
    _OP.GET_BUCKET_NOTIFICATION: Spec("s3:GetBucketNotification", _NONE, idle_settings.get_bucket_notification, _NOT_CONFIGURED),
    _OP.PUT_BUCKET_NOTIFICATION: Spec("s3:PutBucketNotification", _DOCUMENT, idle_settings.put_bucket_notification, f"PutBucketNotification too; {_VALID_IS_REFUSED}, an empty one taken"),
    _OP.GET_BUCKET_LOGGING: Spec("s3:GetBucketLogging", _NONE, idle_settings.get_bucket_logging, _NOT_CONFIGURED),
    _OP.PUT_BUCKET_LOGGING: Spec("s3:PutBucketLogging", _DOCUMENT, idle_settings.put_bucket_logging, f"{_VALID_IS_REFUSED}, an empty one taken"),
    _OP.GET_BUCKET_WEBSITE: Spec("s3:GetBucketWebsite", _NONE, idle_settings.get_bucket_website, _NOT_CONFIGURED),
    _OP.PUT_BUCKET_WEBSITE: Spec("s3:PutBucketWebsite", _DOCUMENT, idle_settings.put_bucket_website, _VALID_IS_REFUSED),
    _OP.DELETE_BUCKET_WEBSITE: Spec("s3:DeleteBucketWebsite", _NONE, idle_settings.delete_bucket_website),
    _OP.GET_BUCKET_REPLICATION: Spec("s3:GetReplicationConfiguration", _NONE, idle_settings.get_bucket_replication, _NOT_CONFIGURED),
    _OP.PUT_BUCKET_REPLICATION: Spec("s3:PutReplicationConfiguration", _DOCUMENT, idle_settings.put_bucket_replication, _VALID_IS_REFUSED, needs_digest=True),
    _OP.DELETE_BUCKET_REPLICATION: Spec("s3:PutReplicationConfiguration", _NONE, idle_settings.delete_bucket_replication),
    _OP.GET_BUCKET_REQUEST_PAYMENT: Spec("s3:GetBucketRequestPayment", _NONE, idle_settings.get_bucket_request_payment),
    _OP.PUT_BUCKET_REQUEST_PAYMENT: Spec("s3:PutBucketRequestPayment", _DOCUMENT, idle_settings.put_bucket_request_payment, "Payer: BucketOwner; Requester is refused"),
    _OP.GET_BUCKET_ACCELERATE: Spec("s3:GetAccelerateConfiguration", _NONE, idle_settings.get_bucket_accelerate),
    _OP.PUT_BUCKET_ACCELERATE: Spec("s3:PutAccelerateConfiguration", _DOCUMENT, idle_settings.put_bucket_accelerate, "Status: Suspended; Enabled is refused"),
    _OP.GET_BUCKET_ABAC: Spec("s3:GetBucketAbac", _NONE, idle_settings.get_bucket_abac),
    _OP.PUT_BUCKET_ABAC: Spec("s3:PutBucketAbac", _DOCUMENT, idle_settings.put_bucket_abac, "Status: Disabled; Enabled is refused"),
    _OP.GET_BUCKET_METADATA: Spec("s3:GetBucketMetadataTableConfiguration", _NONE, idle_settings.missing_metadata_configuration, _NOT_CONFIGURED),
    _OP.DELETE_BUCKET_METADATA: Spec("s3:DeleteBucketMetadataTableConfiguration", _NONE, idle_settings.missing_metadata_configuration, _NOT_CONFIGURED),
    _OP.GET_BUCKET_METADATA_TABLE: Spec("s3:GetBucketMetadataTableConfiguration", _NONE, idle_settings.missing_metadata_configuration, _NOT_CONFIGURED),
    _OP.DELETE_BUCKET_METADATA_TABLE: Spec("s3:DeleteBucketMetadataTableConfiguration", _NONE, idle_settings.missing_metadata_configuration, _NOT_CONFIGURED),
    _OP.GET_BUCKET_ANALYTICS: Spec("s3:GetAnalyticsConfiguration", _NONE, ANALYTICS.get, _NOT_CONFIGURED),
    _OP.LIST_BUCKET_ANALYTICS: Spec("s3:GetAnalyticsConfiguration", _NONE, ANALYTICS.list_all, _EMPTY_LIST),
    _OP.PUT_BUCKET_ANALYTICS: Spec("s3:PutAnalyticsConfiguration", _DOCUMENT, ANALYTICS.put, _REFUSED),
    _OP.DELETE_BUCKET_ANALYTICS: Spec("s3:PutAnalyticsConfiguration", _NONE, ANALYTICS.delete, _NOT_CONFIGURED),
    _OP.GET_BUCKET_INTELLIGENT_TIERING: Spec("s3:GetIntelligentTieringConfiguration", _NONE, INTELLIGENT_TIERING.get, _NOT_CONFIGURED),
    _OP.LIST_BUCKET_INTELLIGENT_TIERING: Spec("s3:GetIntelligentTieringConfiguration", _NONE, INTELLIGENT_TIERING.list_all, _EMPTY_LIST),
    _OP.PUT_BUCKET_INTELLIGENT_TIERING: Spec("s3:PutIntelligentTieringConfiguration", _DOCUMENT, INTELLIGENT_TIERING.put, _REFUSED),
    _OP.DELETE_BUCKET_INTELLIGENT_TIERING: Spec("s3:PutIntelligentTieringConfiguration", _NONE, INTELLIGENT_TIERING.delete, _NOT_CONFIGURED),
    _OP.GET_BUCKET_INVENTORY: Spec("s3:GetInventoryConfiguration", _NONE, INVENTORY.get, _NOT_CONFIGURED),
    _OP.LIST_BUCKET_INVENTORY: Spec("s3:GetInventoryConfiguration", _NONE, INVENTORY.list_all, _EMPTY_LIST),
    _OP.PUT_BUCKET_INVENTORY: Spec("s3:PutInventoryConfiguration", _DOCUMENT, INVENTORY.put, _REFUSED),
    _OP.DELETE_BUCKET_INVENTORY: Spec("s3:PutInventoryConfiguration", _NONE, INVENTORY.delete, _NOT_CONFIGURED),
    _OP.GET_BUCKET_METRICS: Spec("s3:GetMetricsConfiguration", _NONE, METRICS.get, _NOT_CONFIGURED),
    _OP.LIST_BUCKET_METRICS: Spec("s3:GetMetricsConfiguration", _NONE, METRICS.list_all, _EMPTY_LIST),
    _OP.PUT_BUCKET_METRICS: Spec("s3:PutMetricsConfiguration", _DOCUMENT, METRICS.put, _REFUSED),
    _OP.DELETE_BUCKET_METRICS: Spec("s3:PutMetricsConfiguration", _NONE, METRICS.delete, _NOT_CONFIGURED),
    _OP.GET_OBJECT_ANNOTATION: Spec("s3:GetObjectAnnotation", _NONE, annotations.get_object_annotation, "objects have none"),
    _OP.LIST_OBJECT_ANNOTATIONS: Spec("s3:ListObjectAnnotations", _NONE, annotations.list_object_annotations, _EMPTY_LIST),
    _OP.DELETE_OBJECT_ANNOTATION: Spec("s3:DeleteObjectAnnotation", _NONE, annotations.delete_object_annotation),
    _OP.RESTORE_OBJECT: Spec("s3:RestoreObject", _DOCUMENT, restore_object.restore_object, "no object is in an archive: `InvalidObjectState`"),
}  # fmt: skip


def _spec_of(operation: Operation) -> Spec:
    if operation in _SERVED:
        return _SERVED[operation]
    action = OPERATION_ACTIONS[operation]
    handler, remedy = unserved.refuse(operation), unserved.remedy_of(operation)
    return Spec(action, BodyKind.NONE, handler, remedy, served=False)


OPERATIONS: Final[Mapping[Operation, Spec]] = {
    operation: _spec_of(operation) for operation in Operation
}
assert {operation: spec.action for operation, spec in OPERATIONS.items()} == OPERATION_ACTIONS
# The route checks the parameters of exactly the operations that are served.
assert {shape.operation for shape in SHAPES if shape.served} == {
    operation for operation, spec in OPERATIONS.items() if spec.served
}
assert {shape.operation for shape in SHAPES if shape.copies} == {
    operation for operation, spec in OPERATIONS.items() if spec.copies
}

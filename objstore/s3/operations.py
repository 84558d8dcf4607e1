"""The S3 API as a table: one row for each operation there is.

To serve an operation: its shape in wire/route.py, a row here, a handler in the file of its
family, and a test file of the same name. docs/protocol/s3-support.md is generated from here.
"""
# ruff: noqa: E501 - a row of a table is one line

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from objstore.errors import RequestRefused
from objstore.s3 import (
    bucket_settings,
    buckets,
    copy_object,
    delete_object,
    get_object,
    get_object_attributes,
    list_objects,
    multipart,
    object_lock,
    post_object,
    put_object,
    tagging,
    versioning,
)
from objstore.s3.call import Call, Reply
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

    @property
    def served(self) -> bool:
        """Whether it does anything but refuse."""
        return self.handler is not not_implemented


async def not_implemented(call: Call) -> Reply:
    """Refuse an operation that S3 has and objstore does not serve yet."""
    raise RequestRefused(
        "NotImplemented",
        "This operation is not implemented here; docs/protocol/s3-support.md lists what is.",
        Method=call.request.method,
    )


_OP = Operation
_NONE, _DOCUMENT, _STREAM = BodyKind
_SERVED: Final[Mapping[Operation, Spec]] = {
    _OP.LIST_BUCKETS: Spec("s3:ListAllMyBuckets", _NONE, buckets.list_buckets),
    _OP.CREATE_BUCKET: Spec("s3:CreateBucket", _DOCUMENT, buckets.create_bucket, "LocationConstraint: the deployment's region or none"),
    _OP.HEAD_BUCKET: Spec("s3:ListBucket", _NONE, buckets.head_bucket),
    _OP.DELETE_BUCKET: Spec("s3:DeleteBucket", _NONE, buckets.delete_bucket),
    _OP.GET_BUCKET_LOCATION: Spec("s3:GetBucketLocation", _NONE, buckets.get_bucket_location),
    _OP.LIST_OBJECTS: Spec("s3:ListBucket", _NONE, list_objects.list_objects),
    _OP.LIST_OBJECTS_V2: Spec("s3:ListBucket", _NONE, list_objects.list_objects_v2),
    _OP.DELETE_OBJECTS: Spec("s3:DeleteObject", _DOCUMENT, delete_object.delete_objects),
    _OP.POST_OBJECT: Spec("s3:PutObject", _STREAM, post_object.post_object, "a form of media type multipart/form-data, signed by its policy; its fields are in post_form.md"),
    _OP.PUT_OBJECT: Spec("s3:PutObject", _STREAM, put_object.put_object, "without a checksum CRC64NVME is computed and stored, as on AWS"),
    _OP.GET_OBJECT: Spec("s3:GetObject", _NONE, get_object.get_object, "several ranges: the whole object answers, as on AWS"),
    _OP.HEAD_OBJECT: Spec("s3:GetObject", _NONE, get_object.head_object),
    _OP.GET_OBJECT_ATTRIBUTES: Spec("s3:GetObjectAttributes", _NONE, get_object_attributes.get_object_attributes),
    _OP.DELETE_OBJECT: Spec("s3:DeleteObject", _NONE, delete_object.delete_object),
    _OP.COPY_OBJECT: Spec("s3:PutObject", _NONE, copy_object.copy_object, copies=True),
    _OP.CREATE_MULTIPART_UPLOAD: Spec("s3:PutObject", _NONE, multipart.create_multipart_upload),
    _OP.UPLOAD_PART: Spec("s3:PutObject", _STREAM, multipart.upload_part),
    _OP.UPLOAD_PART_COPY: Spec("s3:PutObject", _NONE, multipart.upload_part_copy, copies=True),
    _OP.LIST_PARTS: Spec("s3:ListMultipartUploadParts", _NONE, multipart.list_parts),
    _OP.LIST_MULTIPART_UPLOADS: Spec("s3:ListBucketMultipartUploads", _NONE, multipart.list_multipart_uploads),
    _OP.COMPLETE_MULTIPART_UPLOAD: Spec("s3:PutObject", _DOCUMENT, multipart.complete_multipart_upload),
    _OP.ABORT_MULTIPART_UPLOAD: Spec("s3:AbortMultipartUpload", _NONE, multipart.abort_multipart_upload),
    _OP.GET_BUCKET_ACL: Spec("s3:GetBucketAcl", _NONE, bucket_settings.get_bucket_acl, "full control for the owner"),
    _OP.GET_OBJECT_ACL: Spec("s3:GetObjectAcl", _NONE, bucket_settings.get_object_acl, "full control for the bucket's owner"),
    _OP.LIST_OBJECT_VERSIONS: Spec("s3:ListBucketVersions", _NONE, versioning.list_object_versions),
    _OP.GET_BUCKET_VERSIONING: Spec("s3:GetBucketVersioning", _NONE, versioning.get_bucket_versioning),
    _OP.PUT_BUCKET_VERSIONING: Spec("s3:PutBucketVersioning", _DOCUMENT, versioning.put_bucket_versioning, "MFA delete is refused"),
    _OP.GET_BUCKET_TAGGING: Spec("s3:GetBucketTagging", _NONE, tagging.get_bucket_tagging),
    _OP.PUT_BUCKET_TAGGING: Spec("s3:PutBucketTagging", _DOCUMENT, tagging.put_bucket_tagging),
    _OP.DELETE_BUCKET_TAGGING: Spec("s3:PutBucketTagging", _NONE, tagging.delete_bucket_tagging),
    _OP.GET_OBJECT_TAGGING: Spec("s3:GetObjectTagging", _NONE, tagging.get_object_tagging),
    _OP.PUT_OBJECT_TAGGING: Spec("s3:PutObjectTagging", _DOCUMENT, tagging.put_object_tagging),
    _OP.DELETE_OBJECT_TAGGING: Spec("s3:DeleteObjectTagging", _NONE, tagging.delete_object_tagging),
    _OP.GET_OBJECT_LOCK_CONFIGURATION: Spec("s3:GetBucketObjectLockConfiguration", _NONE, object_lock.get_object_lock_configuration),
    _OP.PUT_OBJECT_LOCK_CONFIGURATION: Spec("s3:PutBucketObjectLockConfiguration", _DOCUMENT, object_lock.put_object_lock_configuration),
    _OP.GET_OBJECT_RETENTION: Spec("s3:GetObjectRetention", _NONE, object_lock.get_object_retention),
    _OP.PUT_OBJECT_RETENTION: Spec("s3:PutObjectRetention", _DOCUMENT, object_lock.put_object_retention),
    _OP.GET_OBJECT_LEGAL_HOLD: Spec("s3:GetObjectLegalHold", _NONE, object_lock.get_object_legal_hold),
    _OP.PUT_OBJECT_LEGAL_HOLD: Spec("s3:PutObjectLegalHold", _DOCUMENT, object_lock.put_object_legal_hold),
}  # fmt: skip
# Where a policy's name for the action is not "s3:" and the operation's name.
_ACTIONS: Final[Mapping[Operation, str]] = {
    _OP.GET_BUCKET_ENCRYPTION: "s3:GetEncryptionConfiguration",
    _OP.GET_BUCKET_LIFECYCLE: "s3:GetLifecycleConfiguration",
    _OP.GET_BUCKET_NOTIFICATION: "s3:GetBucketNotification",
    _OP.GET_BUCKET_REPLICATION: "s3:GetReplicationConfiguration",
    _OP.GET_BUCKET_ACCELERATE: "s3:GetAccelerateConfiguration",
    _OP.GET_BUCKET_CORS: "s3:GetBucketCORS",
    _OP.GET_PUBLIC_ACCESS_BLOCK: "s3:GetBucketPublicAccessBlock",
}


def _spec_of(operation: Operation) -> Spec:
    if operation in _SERVED:
        return _SERVED[operation]
    action = _ACTIONS.get(operation, f"s3:{operation.value}")
    if operation in bucket_settings.UNCONFIGURED:
        handler = bucket_settings.unconfigured(operation)
        return Spec(action, BodyKind.NONE, handler, 'answers "not configured"')
    return Spec(action, BodyKind.NONE, not_implemented)


OPERATIONS: Final[Mapping[Operation, Spec]] = {
    operation: _spec_of(operation) for operation in Operation
}
assert not set(_SERVED) & bucket_settings.UNCONFIGURED
# The route checks the parameters of exactly the operations that are served.
assert {shape.operation for shape in SHAPES if shape.served} == {
    operation for operation, spec in OPERATIONS.items() if spec.served
}
assert {shape.operation for shape in SHAPES if shape.copies} == {
    operation for operation, spec in OPERATIONS.items() if spec.copies
}

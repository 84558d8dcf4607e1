"""Which S3 operation a request asks for: one table of shapes.

A shape is a method, what is addressed (service, bucket or object), at most one sub-resource, and
whether the request copies. Operations that S3 has and objstore does not are in the table too, so
that a request for one is never mistaken for another.
"""
# ruff: noqa: E501 - a row of a table is one line

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.customer_key import KEY_HEADERS, SOURCE_KEY_HEADERS
from objstore.wire.headers import METADATA_PREFIX, REDIRECT_LOCATION, parameter
from objstore.wire.parameters import (
    BODY_CHECKSUMS,
    refuse_unknown_headers,
    refuse_unknown_query,
)
from objstore.wire.request import Request

# Whose bucket a request expects; s3/authorize.py holds it against the bucket's owner.
EXPECTED_OWNER: Final = "x-amz-expected-bucket-owner"
EXPECTED_SOURCE_OWNER: Final = "x-amz-source-expected-bucket-owner"


class Operation(Enum):
    """Every operation of the S3 API, under AWS's name."""

    LIST_BUCKETS = "ListBuckets"
    CREATE_BUCKET = "CreateBucket"
    HEAD_BUCKET = "HeadBucket"
    DELETE_BUCKET = "DeleteBucket"
    GET_BUCKET_LOCATION = "GetBucketLocation"
    LIST_OBJECTS = "ListObjects"
    LIST_OBJECTS_V2 = "ListObjectsV2"
    LIST_OBJECT_VERSIONS = "ListObjectVersions"
    DELETE_OBJECTS = "DeleteObjects"
    POST_OBJECT = "PostObject"
    PUT_OBJECT = "PutObject"
    GET_OBJECT = "GetObject"
    HEAD_OBJECT = "HeadObject"
    DELETE_OBJECT = "DeleteObject"
    COPY_OBJECT = "CopyObject"
    RENAME_OBJECT = "RenameObject"
    GET_OBJECT_ATTRIBUTES = "GetObjectAttributes"
    CREATE_MULTIPART_UPLOAD = "CreateMultipartUpload"
    UPLOAD_PART = "UploadPart"
    UPLOAD_PART_COPY = "UploadPartCopy"
    LIST_PARTS = "ListParts"
    LIST_MULTIPART_UPLOADS = "ListMultipartUploads"
    COMPLETE_MULTIPART_UPLOAD = "CompleteMultipartUpload"
    ABORT_MULTIPART_UPLOAD = "AbortMultipartUpload"
    GET_BUCKET_VERSIONING = "GetBucketVersioning"
    PUT_BUCKET_VERSIONING = "PutBucketVersioning"
    GET_BUCKET_ACL = "GetBucketAcl"
    PUT_BUCKET_ACL = "PutBucketAcl"
    GET_OBJECT_ACL = "GetObjectAcl"
    PUT_OBJECT_ACL = "PutObjectAcl"
    GET_BUCKET_TAGGING = "GetBucketTagging"
    PUT_BUCKET_TAGGING = "PutBucketTagging"
    DELETE_BUCKET_TAGGING = "DeleteBucketTagging"
    GET_OBJECT_TAGGING = "GetObjectTagging"
    PUT_OBJECT_TAGGING = "PutObjectTagging"
    DELETE_OBJECT_TAGGING = "DeleteObjectTagging"
    GET_BUCKET_POLICY = "GetBucketPolicy"
    GET_BUCKET_POLICY_STATUS = "GetBucketPolicyStatus"
    PUT_BUCKET_POLICY = "PutBucketPolicy"
    DELETE_BUCKET_POLICY = "DeleteBucketPolicy"
    GET_BUCKET_CORS = "GetBucketCors"
    PUT_BUCKET_CORS = "PutBucketCors"
    DELETE_BUCKET_CORS = "DeleteBucketCors"
    GET_BUCKET_ENCRYPTION = "GetBucketEncryption"
    PUT_BUCKET_ENCRYPTION = "PutBucketEncryption"
    DELETE_BUCKET_ENCRYPTION = "DeleteBucketEncryption"
    GET_BUCKET_LIFECYCLE = "GetBucketLifecycleConfiguration"
    PUT_BUCKET_LIFECYCLE = "PutBucketLifecycleConfiguration"
    DELETE_BUCKET_LIFECYCLE = "DeleteBucketLifecycle"
    GET_BUCKET_LOGGING = "GetBucketLogging"
    PUT_BUCKET_LOGGING = "PutBucketLogging"
    GET_BUCKET_NOTIFICATION = "GetBucketNotificationConfiguration"
    PUT_BUCKET_NOTIFICATION = "PutBucketNotificationConfiguration"
    GET_BUCKET_OWNERSHIP_CONTROLS = "GetBucketOwnershipControls"
    PUT_BUCKET_OWNERSHIP_CONTROLS = "PutBucketOwnershipControls"
    DELETE_BUCKET_OWNERSHIP_CONTROLS = "DeleteBucketOwnershipControls"
    GET_PUBLIC_ACCESS_BLOCK = "GetPublicAccessBlock"
    PUT_PUBLIC_ACCESS_BLOCK = "PutPublicAccessBlock"
    DELETE_PUBLIC_ACCESS_BLOCK = "DeletePublicAccessBlock"
    GET_BUCKET_REPLICATION = "GetBucketReplication"
    PUT_BUCKET_REPLICATION = "PutBucketReplication"
    DELETE_BUCKET_REPLICATION = "DeleteBucketReplication"
    GET_BUCKET_REQUEST_PAYMENT = "GetBucketRequestPayment"
    PUT_BUCKET_REQUEST_PAYMENT = "PutBucketRequestPayment"
    GET_BUCKET_WEBSITE = "GetBucketWebsite"
    PUT_BUCKET_WEBSITE = "PutBucketWebsite"
    DELETE_BUCKET_WEBSITE = "DeleteBucketWebsite"
    GET_BUCKET_ACCELERATE = "GetBucketAccelerateConfiguration"
    PUT_BUCKET_ACCELERATE = "PutBucketAccelerateConfiguration"
    GET_BUCKET_ANALYTICS = "GetBucketAnalyticsConfiguration"
    LIST_BUCKET_ANALYTICS = "ListBucketAnalyticsConfigurations"
    PUT_BUCKET_ANALYTICS = "PutBucketAnalyticsConfiguration"
    DELETE_BUCKET_ANALYTICS = "DeleteBucketAnalyticsConfiguration"
    GET_BUCKET_INTELLIGENT_TIERING = "GetBucketIntelligentTieringConfiguration"
    LIST_BUCKET_INTELLIGENT_TIERING = "ListBucketIntelligentTieringConfigurations"
    PUT_BUCKET_INTELLIGENT_TIERING = "PutBucketIntelligentTieringConfiguration"
    DELETE_BUCKET_INTELLIGENT_TIERING = "DeleteBucketIntelligentTieringConfiguration"
    GET_BUCKET_INVENTORY = "GetBucketInventoryConfiguration"
    LIST_BUCKET_INVENTORY = "ListBucketInventoryConfigurations"
    PUT_BUCKET_INVENTORY = "PutBucketInventoryConfiguration"
    DELETE_BUCKET_INVENTORY = "DeleteBucketInventoryConfiguration"
    GET_BUCKET_METRICS = "GetBucketMetricsConfiguration"
    LIST_BUCKET_METRICS = "ListBucketMetricsConfigurations"
    PUT_BUCKET_METRICS = "PutBucketMetricsConfiguration"
    DELETE_BUCKET_METRICS = "DeleteBucketMetricsConfiguration"
    GET_BUCKET_ABAC = "GetBucketAbac"
    PUT_BUCKET_ABAC = "PutBucketAbac"
    CREATE_BUCKET_METADATA = "CreateBucketMetadataConfiguration"
    GET_BUCKET_METADATA = "GetBucketMetadataConfiguration"
    DELETE_BUCKET_METADATA = "DeleteBucketMetadataConfiguration"
    CREATE_BUCKET_METADATA_TABLE = "CreateBucketMetadataTableConfiguration"
    GET_BUCKET_METADATA_TABLE = "GetBucketMetadataTableConfiguration"
    DELETE_BUCKET_METADATA_TABLE = "DeleteBucketMetadataTableConfiguration"
    UPDATE_METADATA_ANNOTATION_TABLE = "UpdateBucketMetadataAnnotationTableConfiguration"
    UPDATE_METADATA_INVENTORY_TABLE = "UpdateBucketMetadataInventoryTableConfiguration"
    UPDATE_METADATA_JOURNAL_TABLE = "UpdateBucketMetadataJournalTableConfiguration"
    CREATE_SESSION = "CreateSession"
    GET_OBJECT_LOCK_CONFIGURATION = "GetObjectLockConfiguration"
    PUT_OBJECT_LOCK_CONFIGURATION = "PutObjectLockConfiguration"
    GET_OBJECT_RETENTION = "GetObjectRetention"
    PUT_OBJECT_RETENTION = "PutObjectRetention"
    GET_OBJECT_LEGAL_HOLD = "GetObjectLegalHold"
    PUT_OBJECT_LEGAL_HOLD = "PutObjectLegalHold"
    GET_OBJECT_ANNOTATION = "GetObjectAnnotation"
    LIST_OBJECT_ANNOTATIONS = "ListObjectAnnotations"
    PUT_OBJECT_ANNOTATION = "PutObjectAnnotation"
    DELETE_OBJECT_ANNOTATION = "DeleteObjectAnnotation"
    GET_OBJECT_TORRENT = "GetObjectTorrent"
    RESTORE_OBJECT = "RestoreObject"
    SELECT_OBJECT_CONTENT = "SelectObjectContent"
    UPDATE_OBJECT_ENCRYPTION = "UpdateObjectEncryption"


class Level(Enum):
    """What a request addresses."""

    SERVICE = auto()
    BUCKET = auto()
    OBJECT = auto()


@dataclass(frozen=True, slots=True)
class Shape:
    """The one form of request that asks for an operation, and what else it may say."""

    operation: Operation
    method: str
    level: Level
    selector: str = ""  # the sub-resource
    needs: str = ""  # a query parameter that tells two operations of one sub-resource apart
    copies: bool = False  # whether x-amz-copy-source is there
    query: frozenset[str] = frozenset()  # other query parameters it reads
    headers: frozenset[str] = frozenset()  # the x-amz- headers it reads
    served: bool = True


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OVERRIDES: Final = _names(
    "response-cache-control response-content-disposition response-content-encoding"
    " response-content-language response-content-type response-expires"
)
_READ_OBJECT: Final = _OVERRIDES | {"versionId", "partNumber"}
_LIST: Final = _names("delimiter encoding-type max-keys prefix")
_UPLOADS: Final = _names("delimiter encoding-type key-marker max-uploads prefix upload-id-marker")
_WRITE_HEADERS: Final = _names(
    "x-amz-storage-class x-amz-tagging x-amz-object-lock-mode"
    " x-amz-object-lock-retain-until-date x-amz-object-lock-legal-hold"
) | {METADATA_PREFIX, REDIRECT_LOCATION, *KEY_HEADERS}
# The ACL of what is made, or set.
_ACL: Final = _names(
    "x-amz-acl x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write"
    " x-amz-grant-write-acp"
)
_WRITE_CONDITIONS: Final = _names("if-match if-none-match")
_BYPASS: Final = _names("x-amz-bypass-governance-retention")
_SOURCE_HEADERS: Final = (
    _names(
        "x-amz-copy-source x-amz-copy-source-if-match x-amz-copy-source-if-none-match"
        " x-amz-copy-source-if-modified-since x-amz-copy-source-if-unmodified-since"
    )
    | SOURCE_KEY_HEADERS
)
# What a new upload chooses. Some SDKs repeat it with Put, UploadPart and Complete, where the
# checksum that comes along, or the upload, says the same.
_CHECKSUM_CHOICE: Final = _names("x-amz-checksum-algorithm x-amz-checksum-type")
_COMPLETE_HEADERS: Final = (
    BODY_CHECKSUMS
    | KEY_HEADERS
    | _CHECKSUM_CHOICE
    | _WRITE_CONDITIONS
    | _names("x-amz-mp-object-size")
)

_S, _B, _O = Level
_OP = Operation
_SERVED: Final = (
    Shape(_OP.LIST_BUCKETS, "GET", _S, query=_names("max-buckets continuation-token prefix bucket-region")),
    Shape(_OP.CREATE_BUCKET, "PUT", _B, headers=BODY_CHECKSUMS | _ACL | _names("x-amz-object-ownership x-amz-bucket-object-lock-enabled")),
    Shape(_OP.HEAD_BUCKET, "HEAD", _B),
    Shape(_OP.DELETE_BUCKET, "DELETE", _B),
    Shape(_OP.GET_BUCKET_LOCATION, "GET", _B, "location"),
    Shape(_OP.LIST_OBJECTS, "GET", _B, query=_LIST | {"marker"}),
    Shape(_OP.LIST_OBJECTS_V2, "GET", _B, "list-type", query=_LIST | _names("continuation-token fetch-owner start-after")),
    Shape(_OP.DELETE_OBJECTS, "POST", _B, "delete", headers=BODY_CHECKSUMS | _BYPASS),
    Shape(_OP.POST_OBJECT, "POST", _B),
    Shape(_OP.PUT_OBJECT, "PUT", _O, headers=_WRITE_HEADERS | _ACL | _WRITE_CONDITIONS | BODY_CHECKSUMS | _CHECKSUM_CHOICE),
    Shape(_OP.GET_OBJECT, "GET", _O, query=_READ_OBJECT, headers=KEY_HEADERS | _names("x-amz-checksum-mode")),
    Shape(_OP.HEAD_OBJECT, "HEAD", _O, query=_READ_OBJECT, headers=KEY_HEADERS | _names("x-amz-checksum-mode")),
    Shape(_OP.GET_OBJECT_ATTRIBUTES, "GET", _O, "attributes", query=_names("versionId"), headers=KEY_HEADERS | _names("x-amz-object-attributes x-amz-max-parts x-amz-part-number-marker")),
    Shape(_OP.DELETE_OBJECT, "DELETE", _O, query=_names("versionId"), headers=_names("if-match x-amz-if-match-last-modified-time x-amz-if-match-size") | _BYPASS),
    Shape(_OP.COPY_OBJECT, "PUT", _O, copies=True, headers=_WRITE_HEADERS | _ACL | _WRITE_CONDITIONS | _SOURCE_HEADERS | _names("x-amz-metadata-directive x-amz-tagging-directive x-amz-checksum-algorithm")),
    Shape(_OP.CREATE_MULTIPART_UPLOAD, "POST", _O, "uploads", headers=_WRITE_HEADERS | _ACL | _CHECKSUM_CHOICE),
    Shape(_OP.UPLOAD_PART, "PUT", _O, "uploadId", query=_names("partNumber"), headers=BODY_CHECKSUMS | _CHECKSUM_CHOICE | KEY_HEADERS),
    Shape(_OP.UPLOAD_PART_COPY, "PUT", _O, "uploadId", copies=True, query=_names("partNumber"), headers=_SOURCE_HEADERS | KEY_HEADERS | _names("x-amz-copy-source-range")),
    Shape(_OP.LIST_PARTS, "GET", _O, "uploadId", query=_names("max-parts part-number-marker"), headers=KEY_HEADERS),
    Shape(_OP.LIST_MULTIPART_UPLOADS, "GET", _B, "uploads", query=_UPLOADS),
    Shape(_OP.COMPLETE_MULTIPART_UPLOAD, "POST", _O, "uploadId", headers=_COMPLETE_HEADERS),
    Shape(_OP.ABORT_MULTIPART_UPLOAD, "DELETE", _O, "uploadId"),
    Shape(_OP.GET_BUCKET_VERSIONING, "GET", _B, "versioning"),
    Shape(_OP.GET_BUCKET_ACL, "GET", _B, "acl"),
    Shape(_OP.PUT_BUCKET_ACL, "PUT", _B, "acl", headers=BODY_CHECKSUMS | _ACL),
    Shape(_OP.GET_OBJECT_ACL, "GET", _O, "acl", query=_names("versionId")),
    Shape(_OP.PUT_OBJECT_ACL, "PUT", _O, "acl", query=_names("versionId"), headers=BODY_CHECKSUMS | _ACL),
    Shape(_OP.GET_BUCKET_TAGGING, "GET", _B, "tagging"),
    Shape(_OP.GET_OBJECT_TAGGING, "GET", _O, "tagging", query=_names("versionId")),
    Shape(_OP.GET_BUCKET_POLICY, "GET", _B, "policy"),
    Shape(_OP.PUT_BUCKET_POLICY, "PUT", _B, "policy", headers=BODY_CHECKSUMS | _names("x-amz-confirm-remove-self-bucket-access")),
    Shape(_OP.DELETE_BUCKET_POLICY, "DELETE", _B, "policy"),
    Shape(_OP.GET_BUCKET_POLICY_STATUS, "GET", _B, "policyStatus"),
    Shape(_OP.GET_BUCKET_CORS, "GET", _B, "cors"),
    Shape(_OP.GET_BUCKET_ENCRYPTION, "GET", _B, "encryption"),
    Shape(_OP.GET_BUCKET_LIFECYCLE, "GET", _B, "lifecycle"),
    Shape(_OP.GET_BUCKET_LOGGING, "GET", _B, "logging"),
    Shape(_OP.GET_BUCKET_NOTIFICATION, "GET", _B, "notification"),
    Shape(_OP.GET_BUCKET_OWNERSHIP_CONTROLS, "GET", _B, "ownershipControls"),
    Shape(_OP.PUT_BUCKET_OWNERSHIP_CONTROLS, "PUT", _B, "ownershipControls", headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_OWNERSHIP_CONTROLS, "DELETE", _B, "ownershipControls"),
    Shape(_OP.GET_PUBLIC_ACCESS_BLOCK, "GET", _B, "publicAccessBlock"),
    Shape(_OP.PUT_PUBLIC_ACCESS_BLOCK, "PUT", _B, "publicAccessBlock", headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_PUBLIC_ACCESS_BLOCK, "DELETE", _B, "publicAccessBlock"),
    Shape(_OP.GET_BUCKET_REPLICATION, "GET", _B, "replication"),
    Shape(_OP.GET_BUCKET_REQUEST_PAYMENT, "GET", _B, "requestPayment"),
    Shape(_OP.GET_BUCKET_WEBSITE, "GET", _B, "website"),
    Shape(_OP.GET_BUCKET_ACCELERATE, "GET", _B, "accelerate"),
    Shape(_OP.GET_OBJECT_LOCK_CONFIGURATION, "GET", _B, "object-lock"),
    Shape(_OP.LIST_OBJECT_VERSIONS, "GET", _B, "versions", query=_LIST | _names("key-marker version-id-marker")),
    Shape(_OP.PUT_BUCKET_VERSIONING, "PUT", _B, "versioning", headers=BODY_CHECKSUMS),
    Shape(_OP.PUT_BUCKET_TAGGING, "PUT", _B, "tagging", headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_TAGGING, "DELETE", _B, "tagging"),
    Shape(_OP.PUT_OBJECT_LOCK_CONFIGURATION, "PUT", _B, "object-lock", headers=BODY_CHECKSUMS),
    Shape(_OP.PUT_OBJECT_TAGGING, "PUT", _O, "tagging", query=_names("versionId"), headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_OBJECT_TAGGING, "DELETE", _O, "tagging", query=_names("versionId")),
    Shape(_OP.GET_OBJECT_RETENTION, "GET", _O, "retention", query=_names("versionId")),
    Shape(_OP.PUT_OBJECT_RETENTION, "PUT", _O, "retention", query=_names("versionId"), headers=BODY_CHECKSUMS | _BYPASS),
    Shape(_OP.GET_OBJECT_LEGAL_HOLD, "GET", _O, "legal-hold", query=_names("versionId")),
    Shape(_OP.PUT_OBJECT_LEGAL_HOLD, "PUT", _O, "legal-hold", query=_names("versionId"), headers=BODY_CHECKSUMS),
    Shape(_OP.PUT_BUCKET_CORS, "PUT", _B, "cors", headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_CORS, "DELETE", _B, "cors"),
    Shape(_OP.PUT_BUCKET_LIFECYCLE, "PUT", _B, "lifecycle", headers=BODY_CHECKSUMS | _names("x-amz-transition-default-minimum-object-size")),
    Shape(_OP.DELETE_BUCKET_LIFECYCLE, "DELETE", _B, "lifecycle"),
    Shape(_OP.PUT_BUCKET_ENCRYPTION, "PUT", _B, "encryption", headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_ENCRYPTION, "DELETE", _B, "encryption"),
    Shape(_OP.PUT_BUCKET_NOTIFICATION, "PUT", _B, "notification", headers=BODY_CHECKSUMS | _names("x-amz-skip-destination-validation")),
    Shape(_OP.PUT_BUCKET_LOGGING, "PUT", _B, "logging", headers=BODY_CHECKSUMS),
    Shape(_OP.PUT_BUCKET_WEBSITE, "PUT", _B, "website", headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_WEBSITE, "DELETE", _B, "website"),
    Shape(_OP.PUT_BUCKET_REPLICATION, "PUT", _B, "replication", headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_REPLICATION, "DELETE", _B, "replication"),
    Shape(_OP.PUT_BUCKET_REQUEST_PAYMENT, "PUT", _B, "requestPayment", headers=BODY_CHECKSUMS),
    Shape(_OP.PUT_BUCKET_ACCELERATE, "PUT", _B, "accelerate", headers=BODY_CHECKSUMS),
    Shape(_OP.GET_BUCKET_ABAC, "GET", _B, "abac"),
    Shape(_OP.PUT_BUCKET_ABAC, "PUT", _B, "abac", headers=BODY_CHECKSUMS),
    Shape(_OP.GET_BUCKET_METADATA, "GET", _B, "metadataConfiguration"),
    Shape(_OP.DELETE_BUCKET_METADATA, "DELETE", _B, "metadataConfiguration"),
    Shape(_OP.GET_BUCKET_METADATA_TABLE, "GET", _B, "metadataTable"),
    Shape(_OP.DELETE_BUCKET_METADATA_TABLE, "DELETE", _B, "metadataTable"),
    Shape(_OP.GET_BUCKET_ANALYTICS, "GET", _B, "analytics", "id"),
    Shape(_OP.LIST_BUCKET_ANALYTICS, "GET", _B, "analytics", query=_names("continuation-token")),
    Shape(_OP.PUT_BUCKET_ANALYTICS, "PUT", _B, "analytics", query=_names("id"), headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_ANALYTICS, "DELETE", _B, "analytics", query=_names("id")),
    Shape(_OP.GET_BUCKET_INTELLIGENT_TIERING, "GET", _B, "intelligent-tiering", "id"),
    Shape(_OP.LIST_BUCKET_INTELLIGENT_TIERING, "GET", _B, "intelligent-tiering", query=_names("continuation-token")),
    Shape(_OP.PUT_BUCKET_INTELLIGENT_TIERING, "PUT", _B, "intelligent-tiering", query=_names("id"), headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_INTELLIGENT_TIERING, "DELETE", _B, "intelligent-tiering", query=_names("id")),
    Shape(_OP.GET_BUCKET_INVENTORY, "GET", _B, "inventory", "id"),
    Shape(_OP.LIST_BUCKET_INVENTORY, "GET", _B, "inventory", query=_names("continuation-token")),
    Shape(_OP.PUT_BUCKET_INVENTORY, "PUT", _B, "inventory", query=_names("id"), headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_INVENTORY, "DELETE", _B, "inventory", query=_names("id")),
    Shape(_OP.GET_BUCKET_METRICS, "GET", _B, "metrics", "id"),
    Shape(_OP.LIST_BUCKET_METRICS, "GET", _B, "metrics", query=_names("continuation-token")),
    Shape(_OP.PUT_BUCKET_METRICS, "PUT", _B, "metrics", query=_names("id"), headers=BODY_CHECKSUMS),
    Shape(_OP.DELETE_BUCKET_METRICS, "DELETE", _B, "metrics", query=_names("id")),
    Shape(_OP.GET_OBJECT_ANNOTATION, "GET", _O, "annotation", "annotationName", query=_names("versionId"), headers=_names("x-amz-checksum-mode")),
    Shape(_OP.LIST_OBJECT_ANNOTATIONS, "GET", _O, "annotation", query=_names("versionId max-annotation-results annotation-prefix continuation-token")),
    Shape(_OP.DELETE_OBJECT_ANNOTATION, "DELETE", _O, "annotation", query=_names("annotationName versionId")),
    Shape(_OP.RESTORE_OBJECT, "POST", _O, "restore", query=_names("versionId"), headers=BODY_CHECKSUMS),
)  # fmt: skip


# Operations that S3 has and objstore does not serve yet: method, sub-resource, and the query
# parameter that tells two of them apart.
_UNSERVED: Final[Mapping[Level, tuple[tuple[Operation, str, str, str], ...]]] = {
    Level.BUCKET: (
        (_OP.CREATE_BUCKET_METADATA, "POST", "metadataConfiguration", ""),
        (_OP.CREATE_BUCKET_METADATA_TABLE, "POST", "metadataTable", ""),
        (_OP.UPDATE_METADATA_ANNOTATION_TABLE, "PUT", "metadataAnnotationTable", ""),
        (_OP.UPDATE_METADATA_INVENTORY_TABLE, "PUT", "metadataInventoryTable", ""),
        (_OP.UPDATE_METADATA_JOURNAL_TABLE, "PUT", "metadataJournalTable", ""),
        (_OP.CREATE_SESSION, "GET", "session", ""),
    ),
    Level.OBJECT: (
        (_OP.RENAME_OBJECT, "PUT", "renameObject", ""),
        (_OP.PUT_OBJECT_ANNOTATION, "PUT", "annotation", ""),
        (_OP.GET_OBJECT_TORRENT, "GET", "torrent", ""),
        (_OP.SELECT_OBJECT_CONTENT, "POST", "select", ""),
        (_OP.UPDATE_OBJECT_ENCRYPTION, "PUT", "encryption", ""),
    ),
}


def _with_expected_owners(shape: Shape) -> Shape:
    """Let a request for a bucket that is there say whose bucket it expects."""
    if shape.level is Level.SERVICE or shape.operation is Operation.CREATE_BUCKET:
        return shape
    headers = {EXPECTED_OWNER, EXPECTED_SOURCE_OWNER} if shape.copies else {EXPECTED_OWNER}
    return replace(shape, headers=shape.headers | headers)


SHAPES: Final = tuple(map(_with_expected_owners, _SERVED)) + tuple(
    Shape(operation, method, level, selector, needs, served=False)
    for level, rows in _UNSERVED.items()
    for operation, method, selector, needs in rows
)
assert {shape.operation for shape in SHAPES} == set(Operation)
assert len(SHAPES) == len(Operation)

_Key = tuple[str, Level, str, str, bool]
_BY_SHAPE: Final[Mapping[_Key, Shape]] = {
    (shape.method, shape.level, shape.selector, shape.needs, shape.copies): shape
    for shape in SHAPES
}
assert len(_BY_SHAPE) == len(SHAPES)
# A sub-resource is one at any level: `?policy` on an object is no way to read the object.
_SELECTORS: Final = frozenset(shape.selector for shape in SHAPES if shape.selector)
_NEEDS: Final = {shape.selector: shape.needs for shape in SHAPES if shape.needs}
_KNOWN_QUERY: Final = frozenset().union(*(shape.query for shape in SHAPES)) | {"id"}


def route(request: Request) -> Operation:
    """Return the operation a request asks for.

    An operation that objstore does not serve is returned like any other; its row in
    s3/operations.py refuses it, after the request was authenticated.

    Raises:
        RequestRefused: MethodNotAllowed, when S3 has no such operation; InvalidArgument, when
            sub-resources contradict each other or a parameter belongs elsewhere; NotImplemented,
            for a parameter that S3 has and objstore does not, and for an unknown sub-resource.
    """
    shape = shape_of(request)
    if shape.served:
        accepted = shape.query | {shape.selector, shape.needs}
        refuse_unknown_query(request, accepted, _KNOWN_QUERY)
        refuse_unknown_headers(request, shape.headers)
    return shape.operation


def shape_of(request: Request) -> Shape:
    """Return the shape a request has, whatever else it says.

    Raises:
        RequestRefused: MethodNotAllowed or InvalidArgument, as `route`.
    """
    level = _level_of(request)
    selector = _selector_of(request)
    needs = _NEEDS.get(selector, "")
    if needs and not request.query.has(needs):
        needs = ""
    copies = level is Level.OBJECT and parameter(request, "x-amz-copy-source") is not None
    # Only two operations copy; elsewhere the header is one more that has no meaning there.
    for key in (
        (request.method, level, selector, needs, copies),
        (request.method, level, selector, "", False),
    ):
        if key in _BY_SHAPE:
            return _BY_SHAPE[key]
    raise RequestRefused(
        "MethodNotAllowed", Method=request.method, ResourceType=selector or level.name
    )


def _level_of(request: Request) -> Level:
    if request.bucket is None:
        return Level.SERVICE
    return Level.BUCKET if request.key is None else Level.OBJECT


def _selector_of(request: Request) -> str:
    """Return the sub-resource, "" for none."""
    found = {name for name, _ in request.query.pairs if name in _SELECTORS}
    if len(found) > 1:
        raise RequestRefused(
            "InvalidArgument",
            f"Conflicting query string parameters: {', '.join(sorted(found))}",
            ArgumentName="ResourceType",
            ArgumentValue=", ".join(sorted(found)),
        )
    selector = found.pop() if found else ""
    if selector == "list-type" and request.query.get(selector) != "2":
        raise RequestRefused(
            "InvalidArgument",
            "list-type must be 2; leave it out for the first version of ListObjects",
            ArgumentName="list-type",
            ArgumentValue=request.query.get(selector) or "",
        )
    return selector

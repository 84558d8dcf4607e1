"""What each failure looks like to an S3 client: one table, checked to be total.

A refused request carries its reason, which is S3's error code; every other failure is mapped to
one here. Messages are those AWS sends where AWS has one.
"""
# ruff: noqa: E501 - a row of a table is one line

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from objstore import errors
from objstore.wire.documents import error_document as write_error


@dataclass(frozen=True, slots=True)
class Row:
    """The status and default message of one error code."""

    status: int
    message: str


ERROR_CODES: Final[Mapping[str, Row]] = {
    "AccessControlListNotSupported": Row(400, "The bucket does not allow ACLs"),
    "AccessDenied": Row(403, "Access Denied"),
    "AccessForbidden": Row(403, "CORSResponse: CORS is not enabled for this bucket."),
    "AmbiguousGrantByEmailAddress": Row(400, "The email address that you provided is associated with more than one account."),
    "AnnotationNameTooLong": Row(400, "The annotation name exceeds 512 bytes."),
    "AuthorizationHeaderMalformed": Row(400, "The authorization header you provided is invalid."),
    "AuthorizationQueryParametersError": Row(400, "The authorization query parameters are invalid."),
    "BadDigest": Row(400, "The Content-MD5 or checksum value that you specified did not match what the server received."),
    "BadRequest": Row(400, "Bad Request"),
    "BucketAlreadyExists": Row(409, "The requested bucket name is not available. The bucket namespace is shared by all users of the system. Select a different name and try again."),
    "BucketAlreadyOwnedByYou": Row(409, "The bucket that you tried to create already exists, and you own it."),
    "BucketNotEmpty": Row(409, "The bucket that you tried to delete is not empty."),
    "ConditionalRequestConflict": Row(409, "A conflicting operation occurred during the upload. Try again."),
    "EntityTooLarge": Row(400, "Your proposed upload exceeds the maximum allowed object size."),
    "EntityTooSmall": Row(400, "Your proposed upload is smaller than the minimum allowed object size."),
    "ExpiredToken": Row(400, "The provided token has expired."),
    "IllegalLocationConstraintException": Row(400, "The location constraint is incompatible for the region specific endpoint this request was sent to."),
    "IllegalVersioningConfigurationException": Row(400, "The Versioning element must be specified"),
    "IncompleteBody": Row(400, "You did not provide the number of bytes specified by the Content-Length HTTP header."),
    "InternalError": Row(500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": Row(403, "The AWS access key ID that you provided does not exist in our records."),
    "InvalidAnnotationName": Row(400, "The annotation name you provided is invalid."),
    "InvalidArgument": Row(400, "Invalid Argument"),
    "InvalidBucketAclWithObjectOwnership": Row(400, "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting"),
    "InvalidBucketName": Row(400, "The specified bucket is not valid."),
    "InvalidBucketState": Row(409, "The request is not valid for the current state of the bucket."),
    "InvalidChunkSizeError": Row(400, "Only the last chunk is allowed to have a size less than 8192 bytes"),
    "InvalidDigest": Row(400, "The Content-MD5 or checksum value that you specified is not valid."),
    "InvalidEncryptionAlgorithmError": Row(400, "The encryption request that you specified is not valid. The valid value is AES256."),
    "InvalidLocationConstraint": Row(400, "The specified location constraint is not valid."),
    "InvalidObjectState": Row(403, "The operation is not valid for the current state of the object."),
    "InvalidPart": Row(400, "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified entity tag may not match the part's entity tag."),
    "InvalidPartNumber": Row(416, "The requested partnumber is not satisfiable"),
    "InvalidPartOrder": Row(400, "The list of parts was not in ascending order. Parts must be ordered by part number."),
    "InvalidPolicyDocument": Row(400, "The content of the form does not meet the conditions specified in the policy document."),
    "InvalidRange": Row(416, "The requested range is not satisfiable"),
    "InvalidRedirectLocation": Row(400, "The website redirect location must have a prefix of 'http://' or 'https://' or '/'."),
    "InvalidRequest": Row(400, "Invalid Request"),
    "InvalidRetentionPeriod": Row(400, "Default retention period must be a positive integer value."),
    "InvalidStorageClass": Row(400, "The storage class you specified is not valid"),
    "InvalidTag": Row(400, "Your request contains tag input that is not valid."),
    "InvalidTargetBucketForLogging": Row(400, "The target bucket for logging does not exist, is not owned by you, or does not have the appropriate grants for the log-delivery group."),
    "InvalidToken": Row(400, "The provided token is malformed or otherwise not valid."),
    "InvalidURI": Row(400, "The specified URI couldn't be parsed."),
    "KeyTooLongError": Row(400, "Your key is too long"),
    "MalformedACLError": Row(400, "The XML you provided was not well-formed or did not validate against our published schema"),
    "MalformedPOSTRequest": Row(400, "The body of your POST request is not well-formed multipart/form-data."),
    "MalformedPolicy": Row(400, "This policy contains invalid Json"),
    "MalformedTrailerError": Row(400, "The request contained trailing data that was not well-formed or did not conform to our published schema."),
    "MalformedXML": Row(400, "The XML you provided was not well-formed or did not validate against our published schema"),
    "MaxMessageLengthExceeded": Row(400, "Your request was too large."),
    "MaxPostPreDataLengthExceededError": Row(400, "Your POST request fields preceding the upload file were too large."),
    "MetadataConfigurationNotFound": Row(404, "The metadata configuration was not found"),
    "MetadataTooLarge": Row(400, "Your metadata headers exceed the maximum allowed metadata size"),
    "MethodNotAllowed": Row(405, "The specified method is not allowed against this resource."),
    "MissingContentLength": Row(411, "You must provide the Content-Length HTTP header."),
    "MissingSecurityHeader": Row(400, "Your request was missing a required header."),
    "NoSuchAnnotation": Row(404, "The specified annotation does not exist on this object."),
    "NoSuchBucket": Row(404, "The specified bucket does not exist"),
    "NoSuchBucketPolicy": Row(404, "The bucket policy does not exist"),
    "NoSuchCORSConfiguration": Row(404, "The CORS configuration does not exist"),
    "NoSuchConfiguration": Row(404, "The specified configuration does not exist."),
    "NoSuchKey": Row(404, "The specified key does not exist."),
    "NoSuchLifecycleConfiguration": Row(404, "The lifecycle configuration does not exist"),
    "NoSuchObjectLockConfiguration": Row(404, "The specified object does not have a ObjectLock configuration"),
    "NoSuchPublicAccessBlockConfiguration": Row(404, "The public access block configuration was not found"),
    "NoSuchTagSet": Row(404, "The TagSet does not exist"),
    "NoSuchUpload": Row(404, "The specified multipart upload does not exist. The upload ID might be invalid, or the multipart upload might have been aborted or completed."),
    "NoSuchVersion": Row(404, "The specified version does not exist."),
    "NoSuchWebsiteConfiguration": Row(404, "The specified bucket does not have a website configuration"),
    "NotImplemented": Row(501, "A header or query parameter you provided implies functionality that is not implemented."),
    "ObjectLockConfigurationNotFoundError": Row(404, "Object Lock configuration does not exist for this bucket"),
    "OperationAborted": Row(409, "A conflicting conditional operation is currently in progress against this resource. Try again."),
    "OwnershipControlsNotFoundError": Row(404, "The bucket ownership controls were not found"),
    "PreconditionFailed": Row(412, "At least one of the pre-conditions you specified did not hold"),
    "ReplicationConfigurationNotFoundError": Row(404, "The replication configuration was not found"),
    "RequestHeaderSectionTooLarge": Row(400, "Your request header section exceeds the maximum allowed size."),
    "RequestTimeTooSkewed": Row(403, "The difference between the request time and the current time is too large."),
    "RequestTimeout": Row(400, "Your socket connection to the server was not read from or written to within the timeout period."),
    "ServerSideEncryptionConfigurationNotFoundError": Row(404, "The server side encryption configuration was not found"),
    "ServiceUnavailable": Row(503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": Row(403, "The request signature that the server calculated does not match the signature that you provided. Check your secret access key and signing method."),
    "SlowDown": Row(503, "Please reduce your request rate."),
    "SlowDownRead": Row(503, "Too few drives can be read at the moment. Please try again."),
    "SlowDownWrite": Row(503, "Too few drives can be written at the moment. Please try again."),
    "TooManyParts": Row(400, "You have attempted to upload more than the maximum number of parts."),
    "UnexpectedContent": Row(400, "This request contains unsupported content."),
    "UnresolvableGrantByEmailAddress": Row(400, "The e-mail address you provided does not match any account on record."),
    "XAmzContentSHA256Mismatch": Row(400, "The provided 'x-amz-content-sha256' header does not match what was computed."),
}  # fmt: skip

# Failures that are not the client's. The most specific class decides; whatever is not here, a
# drive's failure that nobody handled included, is a bug: InternalError, and the gateway logs it.
EXCEPTIONS: Final[Mapping[type[Exception], str]] = {
    errors.ReadQuorumLost: "SlowDownRead",
    errors.WriteQuorumLost: "SlowDownWrite",
    errors.BucketMissing: "NoSuchBucket",
    errors.BucketNotEmpty: "BucketNotEmpty",
    errors.UploadMissing: "NoSuchUpload",
    TimeoutError: "RequestTimeout",
}
assert set(EXCEPTIONS.values()) <= set(ERROR_CODES)


@dataclass(frozen=True, slots=True)
class S3Error:
    """A failure as the client sees it."""

    code: str
    status: int
    message: str
    detail: Mapping[str, str]
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_bug(self) -> bool:
        """Whether somebody should be told."""
        return self.code == "InternalError"


def s3_error_of(error: BaseException) -> S3Error:
    """Return what a client is told about `error`. Total: anything unexpected is InternalError."""
    if isinstance(error, errors.RequestRefused) and error.reason in ERROR_CODES:
        row = ERROR_CODES[error.reason]
        message = error.message or row.message
        return S3Error(error.reason, row.status, message, error.detail, error.headers)
    code = next(
        (EXCEPTIONS[cls] for cls in type(error).__mro__ if cls in EXCEPTIONS), "InternalError"
    )
    return S3Error(code, ERROR_CODES[code].status, ERROR_CODES[code].message, {})


def error_document(error: S3Error, *, resource: str, request_id: str, host_id: str = "") -> bytes:
    """Write the body of an error response. `resource` is the request's path as it was sent."""
    return write_error(
        [
            ("Code", error.code),
            ("Message", error.message),
            *error.detail.items(),
            ("Resource", resource),
            ("RequestId", request_id),
            ("HostId", host_id),
        ]
    )


def error_headers(error: S3Error) -> dict[str, str]:
    """Return the headers that an error response has beyond those of every response."""
    headers = {"Content-Type": "application/xml", **error.headers}
    if error.code == "InvalidRange" and "ActualObjectSize" in error.detail:
        headers["Content-Range"] = f"bytes */{error.detail['ActualObjectSize']}"
    if error.status == 503:
        headers["Retry-After"] = "1"
    return headers

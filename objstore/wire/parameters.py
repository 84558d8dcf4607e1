"""What a request may say to an operation, and the refusal of everything else.

Nothing that would change what a request means is dropped in silence. A parameter that S3 has and
objstore does not is refused with NotImplemented and a sentence that helps; a value that is what
objstore does anyway (`x-amz-acl: private`) is accepted. A name that S3 does not know at all is
ignored on reads, as AWS does, and refused on writes.
"""
# ruff: noqa: E501 - a row of a table is one line

from collections.abc import Set as AbstractSet
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.headers import CHECKSUM_HEADERS, METADATA_PREFIX, parameters
from objstore.wire.request import Request
from objstore.wire.sigv2 import LINK_QUERY, signed_by_v2

# Part of a presigned URL; sigv4 reads them.
_AUTHENTICATION: Final = frozenset(
    f"x-amz-{name}"
    for name in ("algorithm", "credential", "date", "expires", "signedheaders", "signature")
)
# Headers that any request may carry: transport, signatures, tracing, and what is trivially true
# (no bucket is requester-pays, so saying that one would pay changes nothing).
NEUTRAL_HEADERS: Final = _AUTHENTICATION | {
    "x-amz-cf-id",
    "x-amz-content-sha256",
    "x-amz-decoded-content-length",
    "x-amz-request-payer",
    "x-amz-sdk-checksum-algorithm",
    "x-amz-security-token",
    "x-amz-te",
    "x-amz-trailer",
    "x-amz-user-agent",
}
BODY_CHECKSUMS: Final = frozenset(CHECKSUM_HEADERS.values())
# Values that ask for what happens anyway.
_HARMLESS: Final = {
    "x-amz-api-version": frozenset({"2006-03-01"}),  # the only one; the SDK for C++ says it always
    "x-amz-acl": frozenset({"private", "bucket-owner-full-control"}),
    "x-amz-bucket-namespace": frozenset({"global"}),
    "x-amz-object-ownership": frozenset({"BucketOwnerEnforced"}),
    "x-amz-storage-class": frozenset({"STANDARD"}),
    "x-amz-object-annotation-directive": frozenset({"COPY", "REPLACE"}),
    "x-amz-server-side-encryption-bucket-key-enabled": frozenset({"false", "False"}),
    "x-amz-optional-object-attributes": frozenset({"RestoreStatus"}),
}
# Why a header is refused, by the beginning of its name. The first that fits speaks.
_REMEDIES: Final = (
    ("x-amz-server-side-encryption-customer", "This operation takes no key; a key goes with requests that write or read an object's bytes."),
    ("x-amz-server-side-encryption", "Of server-side encryption only customer-provided keys (SSE-C) are implemented: send the x-amz-server-side-encryption-customer- headers instead, store the object without encryption, or encrypt it in the client."),
    ("x-amz-copy-source-server-side-encryption", "This operation copies nothing, so there is no source that could have a key."),
    ("x-amz-tagging", "Tags come with an object that is made: by PutObject, CopyObject, CreateMultipartUpload, PostObject."),
    ("x-amz-object-lock", "A lock comes with an object that is made: by PutObject, CopyObject, CreateMultipartUpload, PostObject."),
    ("x-amz-bucket-object-lock-token", "No token is needed for object lock here; leave it out."),
    ("x-amz-bucket-object-lock", "This is for CreateBucket."),
    ("x-amz-bucket-namespace", "Buckets have one namespace, which all accounts share; leave this out."),
    ("x-amz-bypass-governance", "This operation has nothing to bypass."),
    ("x-amz-acl", "An ACL comes with a bucket or an object that is made, or by PutBucketAcl and PutObjectAcl."),
    ("x-amz-grant-", "An ACL comes with a bucket or an object that is made, or by PutBucketAcl and PutObjectAcl."),
    ("x-amz-object-ownership", "This is for CreateBucket; PutBucketOwnershipControls changes it later."),
    ("x-amz-confirm-remove-self-bucket-access", "This is for PutBucketPolicy."),
    ("x-amz-website-redirect-location", "A redirect location is kept with objects: send it with PutObject, CopyObject or CreateMultipartUpload."),
    ("x-amz-write-offset-bytes", "Appending is only supported for objects in the Amazon S3 Express One Zone storage class in directory buckets; upload the object again, or copy it as the first part of a multipart upload."),
    ("x-amz-expected-bucket-owner", "This operation addresses no bucket that is there already, so no owner can be expected."),
    ("x-amz-source-expected-bucket-owner", "This operation copies nothing, so there is no source whose owner can be expected."),
    ("x-amz-mfa", "MFA delete is not implemented."),
    ("if-match", "This operation has no condition If-Match."),
    ("if-none-match", "This operation has no condition If-None-Match."),
    ("x-amz-if-match-", "This operation has no such condition."),
    ("x-amz-checksum-", f"This checksum is not implemented; use one of {', '.join(sorted(BODY_CHECKSUMS))}."),
)  # fmt: skip
# Headers without the x-amz- prefix that change what a write means.
_WRITE_CONDITIONS: Final = frozenset({"if-match", "if-none-match"})
_READS: Final = frozenset({"GET", "HEAD"})
# Query names that other object stores give a meaning on a plain S3 path. A client that sends one
# means it, so answering as if it were not there would be wrong even on a read.
_FOREIGN_QUERY: Final = frozenset(
    {"append", "events", "fanout", "lambdaArn", "position", "replication-metrics", "ping"}
)


def refuse_unknown_headers(request: Request, accepted: AbstractSet[str]) -> None:
    """Refuse x-amz- headers and write conditions that are neither `accepted` nor harmless.

    Raises:
        RequestRefused: NotImplemented, naming the header and what to do.
    """
    reads = request.method in _READS
    for name, value in parameters(request):
        if name in accepted or name in NEUTRAL_HEADERS or not _matters(name, reads=reads):
            continue
        if value in _HARMLESS.get(name, ()):
            continue
        if name.startswith(METADATA_PREFIX) and (METADATA_PREFIX in accepted or reads):
            continue
        remedy = next((text for start, text in _REMEDIES if name.startswith(start)), None)
        if remedy is None and reads:
            continue
        raise RequestRefused(
            "NotImplemented",
            remedy or f"The header {name} has no meaning for this operation here; remove it.",
            Header=name,
        )


def _matters(name: str, *, reads: bool) -> bool:
    return name.startswith("x-amz-") or (not reads and name in _WRITE_CONDITIONS)


def refuse_unknown_query(
    request: Request, accepted: AbstractSet[str], known: AbstractSet[str]
) -> None:
    """Refuse query parameters the operation does not read.

    Args:
        request: the request.
        accepted: the names the operation reads, its sub-resource included.
        known: every name that some S3 operation reads.

    Raises:
        RequestRefused: InvalidArgument for a parameter of other operations; NotImplemented for
            an unknown sub-resource, and on writes for any unknown name. AWS: "Amazon S3 ignores
            query-string parameters that begin with x-".
    """
    for name, value in request.query.pairs:
        if name in accepted or name.lower().startswith("x-"):
            continue
        if name in LINK_QUERY and signed_by_v2(request.query):
            continue
        if name == "versionId":
            raise RequestRefused(
                "InvalidArgument",
                "This operation does not accept a version-id.",
                ArgumentName=name,
                ArgumentValue=value,
            )
        if name in known:
            raise RequestRefused(
                "InvalidArgument",
                f"The query parameter {name} does not belong to this operation.",
                ArgumentName=name,
                ArgumentValue=value,
            )
        if not value or name in _FOREIGN_QUERY or request.method not in _READS:
            raise RequestRefused(
                "NotImplemented",
                f"The sub-resource or query parameter {name} is not implemented.",
                ArgumentName=name,
            )

"""Which digests of a body are needed, and what the client said they are."""

from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.customer_key import names_key
from objstore.wire.digests import Digests
from objstore.wire.headers import (
    DEFAULT_CHECKSUM,
    ChecksumClaim,
    read_checksum,
    read_content_md5,
)
from objstore.wire.request import Request
from objstore.wire.route import Operation

# The body becomes (part of) an object, whose ETag is its MD5 (of its ciphertext, under a key).
_STORING: Final = frozenset({Operation.PUT_OBJECT, Operation.UPLOAD_PART})
# Complete's checksum headers speak of the object that is made, not of the document sent.
_ABOUT_THE_OBJECT: Final = frozenset({Operation.COMPLETE_MULTIPART_UPLOAD})


def prepare_digests(
    request: Request, operation: Operation, payload_sha256: bytes | None
) -> Digests:
    """Return the digests of a body, with every expectation that the headers hold.

    A checksum that is declared as a trailer is computed; its expectation is for the reader of
    the body to add, once the trailer arrived (`wire.headers.decode_checksum` reads its value).

    Args:
        request: the request.
        operation: what it was routed to.
        payload_sha256: x-amz-content-sha256, when it is the digest of the whole body.

    Raises:
        RequestRefused: InvalidDigest or InvalidRequest for headers that are no digests.
    """
    claim = body_claim(request, operation)
    content_md5 = read_content_md5(request)
    algorithms: dict[str, None] = {}  # a set that keeps its order
    plain = operation in _STORING and not names_key(request)
    if plain or content_md5 is not None:
        algorithms["MD5"] = None
    if claim.algorithm:
        algorithms[claim.algorithm] = None
    elif operation is Operation.PUT_OBJECT:
        algorithms[DEFAULT_CHECKSUM] = None
    if payload_sha256 is not None:
        algorithms["SHA256"] = None
    digests = Digests(algorithms)
    if content_md5 is not None:
        digests.expect_content_md5(content_md5)
    if claim.value is not None:
        digests.expect(claim.algorithm, claim.value)
    if payload_sha256 is not None:
        _expect_payload(digests, claim, payload_sha256)
    return digests


def _expect_payload(digests: Digests, claim: ChecksumClaim, payload_sha256: bytes) -> None:
    if claim.algorithm == "SHA256" and claim.value is not None:
        if claim.value != payload_sha256:  # they cannot both hold
            raise RequestRefused("BadDigest")
        return
    digests.expect("SHA256", payload_sha256, reason="XAmzContentSHA256Mismatch")


def body_claim(request: Request, operation: Operation) -> ChecksumClaim:
    """Return the checksum of the body that the client named; see wire.headers.read_checksum."""
    return ChecksumClaim() if operation in _ABOUT_THE_OBJECT else read_checksum(request)


def require_digest(request: Request) -> None:
    """Refuse a document without a digest, of an operation that needs one.

    "This header must be used as a message integrity check to verify that the request body was not
    corrupted in transit." SDKs send a digest with other documents too; older clients do not, and
    AWS takes those.

    Raises:
        RequestRefused: InvalidRequest.
    """
    claim = read_checksum(request)
    if claim.value is None and not claim.trailing and read_content_md5(request) is None:
        raise RequestRefused(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )

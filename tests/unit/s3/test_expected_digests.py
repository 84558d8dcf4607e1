"""Which digests a body needs, and what is expected of them."""

import base64
import hashlib
import zlib

import pytest

from objstore.errors import RequestRefused
from objstore.s3.expected_digests import prepare_digests, require_digest
from objstore.s3.operations import OPERATIONS
from objstore.wire.headers import CHECKSUM_BYTES
from objstore.wire.route import Operation
from tests.unit.s3.client import MODEL, make_request

BODY = b"some bytes"
PUT, PART = Operation.PUT_OBJECT, Operation.UPLOAD_PART
DELETE, COMPLETE = Operation.DELETE_OBJECTS, Operation.COMPLETE_MULTIPART_UPLOAD


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


SHA = hashlib.sha256(BODY).digest()
MD5 = hashlib.md5(BODY).digest()
CRC = zlib.crc32(BODY).to_bytes(4, "big")


def verdict(
    operation: Operation, headers: dict[str, str], payload_sha256: bytes | None = None
) -> str:
    request = make_request("PUT", "/bucket/key", headers)
    try:
        digests = prepare_digests(request, operation, payload_sha256)
        digests.update(BODY)
        digests.verify()
    except RequestRefused as refusal:
        return refusal.reason
    return "ok"


@pytest.mark.parametrize(
    ("operation", "headers", "payload", "expected"),
    [
        (PUT, {}, None, "ok"),
        (PUT, {}, SHA, "ok"),
        (PUT, {}, bytes(32), "XAmzContentSHA256Mismatch"),  # N029
        (PUT, {"x-amz-checksum-crc32": b64(CRC)}, SHA, "ok"),
        (PUT, {"x-amz-checksum-crc32": b64(CRC)}, bytes(32), "XAmzContentSHA256Mismatch"),
        (PUT, {"x-amz-checksum-crc32": b64(bytes(4))}, SHA, "BadDigest"),
        (PUT, {"x-amz-checksum-sha256": b64(SHA)}, SHA, "ok"),
        (PUT, {"x-amz-checksum-sha256": b64(bytes(32))}, SHA, "BadDigest"),
        (PUT, {"x-amz-checksum-sha256": b64(SHA)}, bytes(32), "BadDigest"),
        (PUT, {"x-amz-checksum-sha256": b64(bytes(32))}, None, "BadDigest"),
        (PART, {"Content-MD5": b64(MD5)}, None, "ok"),
        (PART, {"Content-MD5": b64(bytes(16))}, None, "BadDigest"),
        (DELETE, {"Content-MD5": b64(bytes(16))}, None, "BadDigest"),
        (DELETE, {"x-amz-checksum-crc32": b64(CRC)}, None, "ok"),
        (DELETE, {}, bytes(32), "XAmzContentSHA256Mismatch"),
        # Complete's checksum is that of the object, not of the document it sends.
        (COMPLETE, {"x-amz-checksum-crc32": b64(bytes(4))}, None, "ok"),
        (COMPLETE, {"x-amz-checksum-crc32": f"{b64(bytes(4))}-3"}, SHA, "ok"),
        (COMPLETE, {}, bytes(32), "XAmzContentSHA256Mismatch"),
    ],
)
def test_expectations(
    operation: Operation, headers: dict[str, str], payload: bytes | None, expected: str
) -> None:
    assert verdict(operation, headers, payload) == expected


@pytest.mark.parametrize(
    ("operation", "headers", "computed"),
    [
        (PUT, {}, {"MD5", "CRC64NVME"}),
        (PUT, {"x-amz-trailer": "x-amz-checksum-crc32c"}, {"MD5", "CRC32C"}),
        (PUT, {"x-amz-checksum-crc32": b64(CRC)}, {"MD5", "CRC32"}),
        (PART, {}, {"MD5"}),
        (DELETE, {}, set()),
    ],
)
def test_what_is_computed(
    operation: Operation, headers: dict[str, str], computed: set[str]
) -> None:
    digests = prepare_digests(make_request("PUT", "/bucket/key", headers), operation, None)
    digests.update(BODY)
    assert {name for name in computed if digests.value(name)} == computed
    others = set(CHECKSUM_BYTES) - computed
    for name in others:
        with pytest.raises(KeyError):
            digests.value(name)


# Those whose requests AWS's reference shows with Content-MD5.
NEEDING_DIGEST = """DeleteObjects PutBucketCors PutBucketLifecycleConfiguration PutBucketReplication
PutBucketTagging PutObjectTagging PutObjectLockConfiguration PutObjectRetention
PutObjectLegalHold"""


def test_which_documents_need_a_digest() -> None:
    """Older clients send others, of which the model says the same, without one; AWS takes them."""
    needing = {operation.value for operation, spec in OPERATIONS.items() if spec.needs_digest}
    assert needing == set(NEEDING_DIGEST.split())
    for name in needing:
        assert MODEL.operation_model(name).http_checksum["requestChecksumRequired"]


def test_a_document_without_a_digest() -> None:
    """AWS: "This header must be used as a message integrity check"; any checksum will do."""
    for headers in ({}, {"x-amz-content-sha256": SHA.hex()}):
        with pytest.raises(RequestRefused) as refusal:
            require_digest(make_request("PUT", "/bucket", headers))
        assert refusal.value.reason == "InvalidRequest"
        assert refusal.value.message == (
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
        )
    for headers in (
        {"Content-MD5": b64(MD5)},
        {"x-amz-checksum-crc32": b64(CRC)},
        {"x-amz-trailer": "x-amz-checksum-crc32c"},
    ):
        require_digest(make_request("PUT", "/bucket", headers))

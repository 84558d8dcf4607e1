"""Which digests a body needs, and what is expected of them."""

import base64
import hashlib
import zlib

import pytest

from objstore.errors import RequestRefused
from objstore.s3.expected_digests import prepare_digests
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
        (DELETE, {"Content-MD5": b64(MD5)}, bytes(32), "XAmzContentSHA256Mismatch"),
        (DELETE, {}, SHA, "InvalidRequest"),
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
        (DELETE, {"Content-MD5": b64(MD5)}, {"MD5"}),
        (Operation.PUT_BUCKET_VERSIONING, {}, set()),
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


@pytest.mark.parametrize("name", NEEDING_DIGEST.split())
def test_documents_that_need_a_digest(name: str) -> None:
    """AWS: "This header must be used as a message integrity check"; any checksum will do."""
    model = MODEL.operation_model(name)
    assert model.http_checksum["requestChecksumRequired"]
    operation = Operation(name)
    with pytest.raises(RequestRefused) as refusal:
        prepare_digests(make_request("PUT", "/bucket", {}), operation, SHA)
    assert refusal.value.reason == "InvalidRequest"
    assert refusal.value.message == (
        "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
    )
    for headers in (
        {"Content-MD5": b64(MD5)},
        {"x-amz-checksum-crc32": b64(CRC)},
        {"x-amz-trailer": "x-amz-checksum-crc32c"},
    ):
        prepare_digests(make_request("PUT", "/bucket", headers), operation, SHA)


@pytest.mark.parametrize(
    "name", ["PutBucketVersioning", "PutBucketAcl", "PutBucketPolicy", "PutBucketWebsite"]
)
def test_documents_that_older_clients_send_without_a_digest(name: str) -> None:
    prepare_digests(make_request("PUT", "/bucket", {}), Operation(name), None)

"""Encryption with customers' keys through the handlers, on the real engine in memory."""

import base64
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from objstore.errors import RequestRefused
from objstore.limits import PART_BYTES_MIN
from objstore.names import Scheme
from objstore.testing.memory_set import memory_set
from tests.unit.s3.client import Client, Failure

DATA = bytes(range(256)) * 300
WHERE = {"Bucket": "bucket2", "Key": "k"}
NEEDS_KEY = (
    400,
    "InvalidRequest",
    (
        "The object was stored using a form of Server Side Encryption. The correct parameters must"
        " be provided to retrieve the object."
    ),
)
NEEDS_NONE = (
    400,
    "InvalidRequest",
    "The encryption parameters are not applicable to this object.",
)
OVER_HTTP = (
    400,
    "InvalidRequest",
    (
        "Requests specifying Server Side Encryption with Customer provided keys must be made over a"
        " secure connection."
    ),
)
WRONG_KEY = (403, "AccessDenied", "Access Denied")


def key_of(seed: str, prefix: str = "") -> dict[str, str]:
    """A key, as boto3 sends it."""
    secret = hashlib.sha256(seed.encode()).digest()
    return {
        f"{prefix}SSECustomerAlgorithm": "AES256",
        f"{prefix}SSECustomerKey": base64.b64encode(secret).decode(),
        f"{prefix}SSECustomerKeyMD5": base64.b64encode(hashlib.md5(secret).digest()).decode(),
    }


KEY, OTHER = key_of("key"), key_of("other")
SOURCE_KEY, SOURCE_OTHER = key_of("key", "CopySource"), key_of("other", "CopySource")


@asynccontextmanager
async def client_with_bucket(
    *, secure: bool = True, ssec_over_http: bool = False
) -> AsyncIterator[Client]:
    async with memory_set(Scheme(3, 1), bracketing=0.0) as m:
        client = Client(real_store=m.store, secure=secure, ssec_over_http=ssec_over_http)
        await client("CreateBucket", Bucket="bucket2")
        yield client


async def refused(client: Client, operation: str, **arguments: Any) -> tuple[int, str, str]:
    with pytest.raises(Failure) as failure:
        await client(operation, **{**WHERE, **arguments})
    return failure.value.status, failure.value.code, failure.value.error["Message"]


def told(answer: dict[str, Any]) -> tuple[Any, Any]:
    return answer.get("SSECustomerAlgorithm"), answer.get("SSECustomerKeyMD5")


TOLD = ("AES256", KEY["SSECustomerKeyMD5"])


async def read(client: Client, key: dict[str, str], **arguments: Any) -> bytes:
    answer = await client("GetObject", **{**WHERE, **arguments}, **key)
    assert told(answer) == (("AES256", key["SSECustomerKeyMD5"]) if key else (None, None))
    body: bytes = answer["Body"]
    return body


async def test_put_get_head() -> None:
    """AWS: the response includes the algorithm and the key's MD5, to confirm what was used."""
    async with client_with_bucket() as client:
        put = await client("PutObject", **WHERE, Body=DATA, **KEY)
        assert told(put) == TOLD
        assert put["ETag"] != f'"{hashlib.md5(DATA).hexdigest()}"'
        assert await read(client, KEY) == DATA
        head = await client("HeadObject", **WHERE, **KEY, ChecksumMode="ENABLED")
        assert told(head) == TOLD
        assert head["ContentLength"] == len(DATA)
        assert head["ETag"] == put["ETag"]
        assert head["ChecksumCRC64NVME"] == put["ChecksumCRC64NVME"]
        (listed,) = (await client("ListObjectsV2", Bucket="bucket2"))["Contents"]
        assert (listed["Size"], listed["ETag"]) == (len(DATA), put["ETag"])


async def test_ranges_and_the_one_part() -> None:
    async with client_with_bucket() as client:
        await client("PutObject", **WHERE, Body=DATA, **KEY)
        assert await read(client, KEY, Range="bytes=5-1004") == DATA[5:1005]
        assert await read(client, KEY, Range="bytes=-17") == DATA[-17:]
        assert await read(client, KEY, PartNumber=1) == DATA


async def test_checksums_are_of_the_plaintext() -> None:
    plain = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    md5 = base64.b64encode(hashlib.md5(DATA).digest()).decode()
    async with client_with_bucket() as client:
        put = await client(
            "PutObject", **WHERE, Body=DATA, ContentMD5=md5, ChecksumSHA256=plain, **KEY
        )
        assert put["ChecksumSHA256"] == plain
        found = await client(
            "GetObjectAttributes", **WHERE, ObjectAttributes=["Checksum", "ObjectSize"], **KEY
        )
        assert found["Checksum"]["ChecksumSHA256"] == plain
        assert found["ObjectSize"] == len(DATA)
        for wrong in ({"ContentMD5": TOLD[1]}, {"ChecksumSHA256": plain[:-3] + "aa="}):
            status, code, _ = await refused(client, "PutObject", Body=DATA, **wrong, **KEY)
            assert (status, code) == (400, "BadDigest")


NAMED = {"Parts": [{"PartNumber": 1, "ETag": "0" * 32}]}
READS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("GetObject", {}),
    ("HeadObject", {}),
    ("GetObjectAttributes", {"ObjectAttributes": ["ETag"]}),
)


@pytest.mark.parametrize(("operation", "more"), READS)
@pytest.mark.parametrize("size", [0, 1, len(DATA)])
async def test_reads_need_the_key(operation: str, more: dict[str, Any], size: int) -> None:
    """ "You must provide the same encryption key as part of your request" to read the object."""
    async with client_with_bucket() as client:
        await client("PutObject", **WHERE, Body=DATA[:size], **KEY)
        assert await refused(client, operation, **more) == NEEDS_KEY
        assert await refused(client, operation, **more, **OTHER) == WRONG_KEY
        assert (await client(operation, **WHERE, **more, **KEY))["Status"] == 200


@pytest.mark.parametrize(("operation", "more"), READS)
async def test_a_key_for_what_is_plain(operation: str, more: dict[str, Any]) -> None:
    async with client_with_bucket() as client:
        await client("PutObject", **WHERE, Body=DATA)
        assert await refused(client, operation, **more, **KEY) == NEEDS_NONE


@pytest.mark.parametrize(
    ("operation", "arguments"),
    [
        ("PutObject", {"Body": b"x"}),
        ("CreateMultipartUpload", {}),
        ("UploadPart", {"UploadId": "u", "PartNumber": 1, "Body": b"x"}),
        ("UploadPartCopy", {"UploadId": "u", "PartNumber": 1, "CopySource": "bucket2/k"}),
        ("CompleteMultipartUpload", {"UploadId": "u", "MultipartUpload": NAMED}),
        ("ListParts", {"UploadId": "u"}),
        ("CopyObject", {"CopySource": "bucket2/k"}),
        *READS,
    ],
)  # fmt: skip
async def test_every_operation_needs_all_three_over_tls(
    operation: str, arguments: dict[str, Any]
) -> None:
    async with client_with_bucket() as client:
        client.secure = False
        assert await refused(client, operation, **arguments, **KEY) == OVER_HTTP
        client.secure = True
        for lacking in KEY:
            some = {name: value for name, value in KEY.items() if name != lacking}
            status, code, message = await refused(client, operation, **arguments, **some)
            assert (status, code) == (400, "InvalidArgument")
            assert "Server Side Encryption with Customer provided keys must provide" in message
        wrong = KEY | {"SSECustomerAlgorithm": "AES128"}
        status, code, _ = await refused(client, operation, **arguments, **wrong)
        assert (status, code) == (400, "InvalidEncryptionAlgorithmError")


async def test_nothing_is_stored_under_a_key_that_is_refused() -> None:
    async with client_with_bucket(secure=False) as client:
        await refused(client, "PutObject", Body=DATA, **KEY)
        assert (await refused(client, "GetObject"))[1] == "NoSuchKey"


async def test_the_switch_for_tests() -> None:
    async with client_with_bucket(secure=False, ssec_over_http=True) as client:
        await client("PutObject", **WHERE, Body=DATA, **KEY)
        assert await read(client, KEY) == DATA


@pytest.mark.parametrize("value", ["AES256", "aws:kms", "aws:kms:dsse"])
@pytest.mark.parametrize("operation", ["PutObject", "CreateMultipartUpload"])
async def test_other_encryption_is_refused_with_what_helps(operation: str, value: str) -> None:
    async with client_with_bucket() as client:
        status, code, message = await refused(client, operation, ServerSideEncryption=value)
        assert (status, code) == (501, "NotImplemented")
        assert "SSE-C" in message


# --- multipart -----------------------------------------------------------------------------

PARTS = (DATA * 70, b"the end")
assert len(PARTS[0]) >= PART_BYTES_MIN


async def begin(client: Client, **key: str) -> dict[str, Any]:
    created = await client("CreateMultipartUpload", **WHERE, **key)
    assert told(created) == (("AES256", key["SSECustomerKeyMD5"]) if key else (None, None))
    return {"UploadId": created["UploadId"]}


async def test_a_multipart_upload() -> None:
    async with client_with_bucket() as client:
        upload = await begin(client, **KEY)
        named = []
        for number, data in enumerate(PARTS, 1):
            part = await client(
                "UploadPart", **WHERE, **upload, PartNumber=number, Body=data, **KEY
            )
            assert told(part) == TOLD
            named.append({"PartNumber": number, "ETag": part["ETag"]})
        listed = await client("ListParts", **WHERE, **upload, **KEY)
        assert [part["Size"] for part in listed["Parts"]] == [len(data) for data in PARTS]
        done = {"MultipartUpload": {"Parts": named}}
        assert (await refused(client, "CompleteMultipartUpload", **upload, **done, **OTHER))[1] == (
            "InvalidRequest"
        )
        await client("CompleteMultipartUpload", **WHERE, **upload, **done, **KEY)
        # "repeating it": the answer may have been lost
        await client("CompleteMultipartUpload", **WHERE, **upload, **done, **KEY)
        assert await read(client, KEY) == b"".join(PARTS)
        assert await read(client, KEY, PartNumber=2) == PARTS[1]
        border = len(PARTS[0])
        asked = f"bytes={border - 3}-{border + 2}"
        assert await read(client, KEY, Range=asked) == PARTS[0][-3:] + PARTS[1][:3]


async def test_complete_needs_no_key() -> None:
    """AWS: needed "only when the object was created using a checksum algorithm or if your bucket
    policy requires the use of SSE-C"; it changes nothing here."""
    async with client_with_bucket() as client:
        upload = await begin(client, **KEY)
        part = await client("UploadPart", **WHERE, **upload, PartNumber=1, Body=DATA, **KEY)
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        await client("CompleteMultipartUpload", **WHERE, **upload, MultipartUpload={"Parts": parts})
        assert await read(client, KEY) == DATA


@pytest.mark.parametrize(
    ("begun", "sent", "message"),
    [
        (KEY, {}, "The multipart upload initiate requested encryption. Subsequent part"),
        (KEY, OTHER, "The provided encryption parameters did not match the ones used originally."),
        ({}, KEY, "The multipart upload initiate did not request encryption. Please resend"),
    ],
)  # fmt: skip
async def test_a_part_has_the_key_of_its_upload(
    begun: dict[str, str], sent: dict[str, str], message: str
) -> None:
    async with client_with_bucket() as client:
        await client("PutObject", Bucket="bucket2", Key="source", Body=DATA)
        upload = await begin(client, **begun) | {"PartNumber": 1}
        copied = {"CopySource": "bucket2/source"}
        for operation, more in (("UploadPart", {"Body": b"x"}), ("UploadPartCopy", copied)):
            status, code, found = await refused(client, operation, **upload, **more, **sent)
            assert (status, code) == (400, "InvalidRequest")
            assert found.startswith(message)


async def test_parts_that_are_copied() -> None:
    async with client_with_bucket() as client:
        await client("PutObject", Bucket="bucket2", Key="source", Body=PARTS[0] + PARTS[1], **KEY)
        upload = await begin(client, **OTHER)
        named = []
        for number, asked in (
            (1, f"bytes=0-{len(PARTS[0]) - 1}"),
            (2, f"bytes={len(PARTS[0])}-{len(PARTS[0]) + 6}"),
        ):
            copied = await client(
                "UploadPartCopy",
                **WHERE,
                **upload,
                PartNumber=number,
                CopySource="bucket2/source",
                CopySourceRange=asked,
                **SOURCE_KEY,
                **OTHER,
            )
            assert told(copied) == ("AES256", OTHER["SSECustomerKeyMD5"])
            named.append({"PartNumber": number, "ETag": copied["CopyPartResult"]["ETag"]})
        done = {"MultipartUpload": {"Parts": named}}
        await client("CompleteMultipartUpload", **WHERE, **upload, **done)
        assert await read(client, OTHER) == PARTS[0] + PARTS[1]


# --- copies --------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [{}, KEY, OTHER], ids=["plain", "same", "other"])
@pytest.mark.parametrize("source", [{}, KEY], ids=["plain", "encrypted"])
@pytest.mark.parametrize("algorithm", [None, "MD5", "SHA256"])
async def test_a_copy_from_and_to_any_key(
    source: dict[str, str], to: dict[str, str], algorithm: str | None
) -> None:
    async with client_with_bucket() as client:
        put = await client("PutObject", Bucket="bucket2", Key="source", Body=DATA, **source)
        copy = await client(
            "CopyObject",
            **WHERE,
            CopySource="bucket2/source",
            **(SOURCE_KEY if source else {}),
            **to,
            **({"ChecksumAlgorithm": algorithm} if algorithm else {}),
        )
        assert told(copy) == (("AES256", to["SSECustomerKeyMD5"]) if to else (None, None))
        assert await read(client, to) == DATA
        result = copy["CopyObjectResult"]
        if algorithm is None:
            assert result["ChecksumCRC64NVME"] == put["ChecksumCRC64NVME"]
        if algorithm == "MD5":
            expected = base64.b64encode(hashlib.md5(DATA).digest()).decode()
            assert result["ChecksumMD5"] == expected
        if not to:
            assert result["ETag"] == f'"{hashlib.md5(DATA).hexdigest()}"'


async def test_copies_need_the_key_of_the_source() -> None:
    async with client_with_bucket() as client:
        await client("PutObject", Bucket="bucket2", Key="secret", Body=DATA, **KEY)
        await client("PutObject", Bucket="bucket2", Key="plain", Body=DATA)
        upload = await begin(client) | {"PartNumber": 1}
        for operation, more in (("CopyObject", {}), ("UploadPartCopy", upload)):
            secret = {**more, "CopySource": "bucket2/secret"}
            assert await refused(client, operation, **secret) == NEEDS_KEY
            assert await refused(client, operation, **secret, **SOURCE_OTHER) == WRONG_KEY
            plain = {**more, "CopySource": "bucket2/plain"}
            assert await refused(client, operation, **plain, **SOURCE_KEY) == NEEDS_NONE
            client.secure = False
            assert await refused(client, operation, **secret, **SOURCE_KEY) == OVER_HTTP
            client.secure = True


async def test_a_copy_onto_itself_may_change_the_key() -> None:
    """AWS: it may not be "without changing the object's [...] encryption attributes"."""
    async with client_with_bucket() as client:
        await client("PutObject", **WHERE, Body=DATA, **KEY, Metadata={"a": "b"})
        await client("CopyObject", **WHERE, CopySource="bucket2/k", **SOURCE_KEY, **OTHER)
        assert await refused(client, "GetObject", **KEY) == WRONG_KEY
        assert await read(client, OTHER) == DATA
        await client("CopyObject", **WHERE, CopySource="bucket2/k", **SOURCE_OTHER)
        assert await read(client, {}) == DATA
        assert (await client("HeadObject", **WHERE))["Metadata"] == {"a": "b"}


async def test_tags_and_deletion_need_no_key() -> None:
    async with client_with_bucket() as client:
        await client("PutObject", **WHERE, Body=DATA, **KEY)
        tagging = {"TagSet": [{"Key": "a", "Value": "b"}]}
        await client("PutObjectTagging", **WHERE, Tagging=tagging)
        assert await read(client, KEY) == DATA
        await client("DeleteObject", **WHERE)
        assert (await refused(client, "GetObject", **KEY))[1] == "NoSuchKey"


async def test_no_refusal_repeats_a_key() -> None:
    key = KEY["SSECustomerKey"]
    async with client_with_bucket() as client:
        for lacking in KEY:
            headers = {
                f"x-amz-server-side-encryption-customer-{header}": KEY[name]
                for name, header in (
                    ("SSECustomerAlgorithm", "algorithm"),
                    ("SSECustomerKey", "key"),
                    ("SSECustomerKeyMD5", "key-MD5"),
                )
                if name != lacking
            }
            for method in ("PUT", "GET", "DELETE"):
                with pytest.raises(RequestRefused) as refusal:
                    await client.raw(method, "/bucket2/k", headers)
                assert key not in f"{refusal.value} {refusal.value.detail}"

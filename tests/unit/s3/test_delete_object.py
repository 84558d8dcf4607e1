"""DeleteObject and DeleteObjects."""

import base64
import hashlib
from typing import Any

import pytest
from botocore.serialize import create_serializer

from objstore.errors import RequestRefused, WriteQuorumLost
from objstore.iam.identities import Identity
from tests.unit.s3.client import MODEL, ROOT, Client, Failure


async def bucket(*keys: str) -> Client:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    for key in keys:
        await client("PutObject", Bucket="bucket", Key=key, Body=b"x")
    return client


def left(client: Client) -> list[str]:
    return [key for _, key in client.store.objects]


async def delete(client: Client, body: bytes, headers: dict[str, str] | None = None) -> Any:
    if headers is None:
        headers = {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}
    return await client.raw("POST", "/bucket?delete", headers, body)


async def delete_many(
    client: Client,
    objects: list[dict[str, Any]],
    caller: Identity = ROOT,
    bucket: str = "bucket",
    **more: Any,
) -> Any:
    """Call DeleteObjects with the Content-MD5 that an SDK adds."""
    model = MODEL.operation_model("DeleteObjects")
    arguments = {"Bucket": bucket, "Delete": {"Objects": objects} | more}
    body = create_serializer("rest-xml").serialize_to_request(arguments, model)["body"]
    digest = base64.b64encode(hashlib.md5(body).digest()).decode()
    headers = {"Content-MD5": digest}
    return await client("DeleteObjects", **arguments, Headers=headers, Caller=caller)


async def call(client: Client, objects: list[dict[str, Any]], *, quiet: bool = False) -> Any:
    return await delete_many(client, objects, Quiet=quiet)


async def test_delete_and_delete_again() -> None:
    client = await bucket("a")
    for _ in range(2):
        answer = await client("DeleteObject", Bucket="bucket", Key="a")
        assert answer["Status"] == 204
    assert left(client) == []


async def test_delete_many() -> None:
    keys = [f"k{number:04d} <&>" for number in range(200)]
    client = await bucket(*keys, "kept")
    answer = await call(client, [{"Key": key} for key in [*keys, "missing"]])
    assert [entry["Key"] for entry in answer["Deleted"]] == [*keys, "missing"]
    assert "Errors" not in answer
    assert left(client) == ["kept"]


async def test_quiet() -> None:
    client = await bucket("a")
    answer = await call(client, [{"Key": "a"}], quiet=True)
    assert "Deleted" not in answer
    assert left(client) == []


async def test_each_key_fails_on_its_own() -> None:
    client = await bucket("a", "b", "c", "d", "e")
    client.store.broken_keys["b"] = WriteQuorumLost("1 of 4")
    answer = await call(
        client,
        [
            {"Key": "a"},
            {"Key": "b"},
            {"Key": "c", "VersionId": "abc"},
            {"Key": "d", "ETag": "x"},
            {"Key": "e", "VersionId": "null"},
            {"Key": "x" * 1025},
        ],
    )
    assert [entry["Key"] for entry in answer["Deleted"]] == ["a", "e"]
    assert [(error["Key"][:1], error["Code"]) for error in answer["Errors"]] == [
        ("b", "SlowDownWrite"),
        ("c", "NoSuchVersion"),
        ("d", "PreconditionFailed"),
        ("x", "KeyTooLongError"),
    ]
    assert all(error["Message"] for error in answer["Errors"])
    assert left(client) == ["b", "c", "d"]


async def test_a_bug_is_not_hidden_in_the_answer() -> None:
    client = await bucket("a")
    client.store.broken_keys["a"] = ZeroDivisionError()
    with pytest.raises(ExceptionGroup):
        await call(client, [{"Key": "a"}])


BODY = b"<Delete><Object><Key>a</Key></Object></Delete>"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "InvalidRequest"),  # N114
        ({"Content-MD5": base64.b64encode(bytes(16)).decode()}, "BadDigest"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, "BadDigest"),
    ],
)
async def test_the_document_is_protected(headers: dict[str, str], reason: str) -> None:
    client = await bucket("a")
    with pytest.raises(RequestRefused) as refusal:
        await delete(client, BODY, headers)
    assert refusal.value.reason == reason
    assert left(client) == ["a"]


async def test_any_checksum_will_do() -> None:
    client = await bucket("a")
    digest = base64.b64encode(hashlib.sha256(BODY).digest()).decode()
    await delete(client, BODY, {"x-amz-checksum-sha256": digest})
    assert left(client) == []


async def test_malformed_documents_delete_nothing() -> None:
    client = await bucket("a")
    for body in (b"", b"<Delete/>", BODY + b"<x/>", BODY.replace(b"Key", b"Name")):
        with pytest.raises(RequestRefused) as refusal:
            await delete(client, body)
        assert refusal.value.reason == "MalformedXML"
    assert left(client) == ["a"]


async def test_a_bucket_that_is_not_there() -> None:
    with pytest.raises(Failure) as failure:
        await call(Client(), [{"Key": "a"}])
    assert failure.value.code == "NoSuchBucket"

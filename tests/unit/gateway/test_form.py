"""Forms on a connection: authenticated by their fields, streamed, bounded, and nothing besides."""
# ruff: noqa: E501 - a row of a table is one line

import asyncio
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from objstore.gateway.context import Deadlines
from objstore.limits import OBJECT_PUT_BYTES_MAX, POST_FIELDS_BYTES_MAX
from objstore.names import BucketName, ObjectKey
from objstore.wire.signing import write_timestamp
from tests.unit.gateway.running import (
    ALICE,
    REGION,
    ROOT,
    SECRET_KEY,
    Answer,
    Service,
    Wire,
    gateway,
)
from tests.unit.wire.posted_forms import (
    BOUNDARY,
    Part,
    encode,
    field,
    file,
    policy_text,
    sign_v2,
    sign_v4,
)

CONTENT_TYPE = f"multipart/form-data; boundary={BOUNDARY}"
DATA = bytes(range(256)) * 1000
CONDITIONS: list[Any] = [{"bucket": "bucket"}, ["starts-with", "$key", ""]]


def signed(
    fields: Mapping[str, str] | None = None,
    *conditions: Any,
    v2: bool = False,
    access_key: str = ROOT.access_key,
    secret: str = SECRET_KEY,
    expires_s: int = 600,
) -> dict[str, str]:
    """Return the fields of a form that a policy of these conditions covers."""
    now_s = int(time.time())
    stamp = write_timestamp(now_s)
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now_s + expires_s))
    amz = {"x-amz-algorithm": "AWS4-HMAC-SHA256", "x-amz-date": stamp}
    scope = f"{stamp[:8]}/{REGION}/s3/aws4_request"
    credential = {"x-amz-credential": f"{access_key}/{scope}"}
    own = [] if v2 else [amz, credential]
    each = [{name: value} for group in own for name, value in group.items()]
    policy = policy_text([*CONDITIONS, *each, *conditions], moment)
    made = (
        sign_v2(policy, access_key=access_key, secret=secret)
        if v2
        else sign_v4(policy, access_key=access_key, secret=secret, stamp=stamp, scope=scope)
    )
    return {"key": "k", **(fields or {}), **made}


def form(fields: Mapping[str, str], data: bytes = DATA, *more: Part) -> bytes:
    return encode([*(field(name, value) for name, value in fields.items()), file(data), *more])


def head(service: Service, size: int | None, target: str = "/bucket", **headers: str) -> bytes:
    named = {"Content-Type": CONTENT_TYPE, **{k.replace("_", "-"): v for k, v in headers.items()}}
    if size is not None:
        named["Content-Length"] = str(size)
    return service.head("POST", target, named, signed=False)


async def post(service: Service, body: bytes, target: str = "/bucket", **headers: str) -> Answer:
    request = head(service, len(body), target, **headers) + body
    return await service.send_raw(request, "POST")


def held(service: Service, key: str = "k") -> bytes:
    return service.store.objects[BucketName("bucket"), ObjectKey(key)].data


@pytest.mark.parametrize("v2", [False, True])
@pytest.mark.parametrize("data", [b"", b"x", b"\r\n--" + BOUNDARY[:-1].encode(), DATA])
async def test_a_file_is_stored(data: bytes, v2: bool) -> None:
    async with gateway() as service:
        answer = await post(service, form(signed(v2=v2), data))
        assert (answer.status, answer.body) == (204, b"")
        assert held(service) == data
        (version,) = [item.version for item in service.store.objects.values()]
        assert version.owner == ROOT.canonical_id
        assert answer.headers["etag"] == f'"{version.etag}"'
        assert answer.headers["x-amz-request-id"]


@pytest.mark.parametrize("packet_bytes", [1, 7, 1000, 65_536])
async def test_in_any_packets(packet_bytes: int) -> None:
    data = DATA[: 300 * packet_bytes]
    body = form(signed(), data)
    async with gateway() as service, Wire.to(service.port) as wire:
        await wire.send(head(service, len(body)))
        for at in range(0, len(body), packet_bytes):
            await wire.send(body[at : at + packet_bytes])
        assert (await wire.answer("POST")).status == 204
        assert held(service) == data


async def test_a_connection_carries_one_form_after_another() -> None:
    async with gateway() as service, Wire.to(service.port) as wire:
        for key in ("a", "b"):
            body = form(signed({"key": key}), DATA, field("behind", "x" * 100_000))
            await wire.send(head(service, len(body)) + body)
            assert (await wire.answer("POST")).status == 204
        assert held(service, "a") == held(service, "b") == DATA


async def test_key_from_the_files_name_and_a_virtual_host() -> None:
    async with gateway(domains=("s3.test",)) as service:
        body = form(signed({"key": "a/${filename}"}))
        answer = await post(service, body, "/", Host="bucket.s3.test")
        assert answer.status == 204
        assert answer.headers["location"] == "http://bucket.s3.test/a/cat.png"
        assert held(service, "a/cat.png") == DATA


async def test_a_client_that_waits_is_told_to_go_on() -> None:
    body = form(signed())
    async with gateway() as service, Wire.to(service.port) as wire:
        await wire.send(head(service, len(body), Expect="100-continue"))
        assert (await wire.answer("POST")).status == 100
        await wire.send(body)
        assert (await wire.answer("POST")).status == 204


# --- who may ---------------------------------------------------------------------------


def without_policy() -> dict[str, str]:
    return {"key": "k"}


def wrong_signature() -> dict[str, str]:
    return signed() | {"x-amz-signature": "0" * 64}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        # N145: missing condition, wrong key prefix, expired, size over and under, extra field,
        # wrong bucket, bad signature
        (lambda: signed({}, {"acl": "private"}), "403 AccessDenied"),
        (lambda: signed({}, ["starts-with", "$key", "a/"]), "403 AccessDenied"),
        (lambda: signed(expires_s=-1), "403 AccessDenied"),
        (lambda: signed({}, ["content-length-range", 0, len(DATA) - 1]), "400 EntityTooLarge"),
        (lambda: signed({}, ["content-length-range", len(DATA) + 1, 10**9]), "400 EntityTooSmall"),
        (lambda: signed({"x-amz-meta-a": "1"}), "403 AccessDenied"),
        (lambda: signed({}, {"bucket": "other"}), "403 AccessDenied"),
        (wrong_signature, "403 SignatureDoesNotMatch"),
        (lambda: signed(secret="other"), "403 SignatureDoesNotMatch"),
        (lambda: signed(secret="other", v2=True), "403 SignatureDoesNotMatch"),
        (lambda: signed(v2=True) | {"awsaccesskeyid": "foo"}, "403 InvalidAccessKeyId"),
        (without_policy, "403 AccessDenied"),
        # whoever signed it has to be allowed to put the object
        (lambda: signed(access_key=ALICE.access_key, secret=ALICE.secret), "403 AccessDenied"),
        (lambda: signed() | {"signature": "x"}, "400 InvalidArgument"),
        (lambda: {**signed(), "key": ""}, "400 InvalidArgument"),
        (lambda: signed({"acl": "public-read"}, {"acl": "public-read"}), "400 AccessControlListNotSupported"),
        (lambda: signed({"x-amz-meta-a": "x" * POST_FIELDS_BYTES_MAX}),
         "400 MaxPostPreDataLengthExceededError"),
    ],
)  # fmt: skip
async def test_refusals_store_nothing(fields: Any, expected: str) -> None:
    async with gateway() as service:
        answer = await post(service, form(fields()))
        assert f"{answer.status} {answer.code}" == expected
        assert not service.store.objects


async def test_sizes_at_their_bounds() -> None:
    async with gateway() as service:
        exact = ["content-length-range", len(DATA), len(DATA)]
        assert (await post(service, form(signed({}, exact)))).status == 204


async def test_version_2_that_is_off() -> None:
    async with gateway(sigv2_links=False) as service:
        assert (await post(service, form(signed(v2=True)))).code == "InvalidRequest"
        assert (await post(service, form(signed()))).status == 204


@pytest.mark.parametrize(
    ("target", "headers", "expected"),
    [
        # R2, N025: one mechanism
        ("/bucket", {"Authorization": "AWS4-HMAC-SHA256 Credential=x"}, "400 InvalidArgument"),
        ("/bucket", {"Authorization": "Bearer x"}, "400 InvalidArgument"),
        ("/bucket?X-Amz-Signature=x", {}, "400 InvalidArgument"),
        ("/bucket?AWSAccessKeyId=x&Signature=y", {}, "400 InvalidArgument"),
        # N076, N016
        ("/bucket", {"x_amz_content_sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, "403 AccessDenied"),
        ("/bucket", {"x_amz_acl": "public-read"}, "403 AccessDenied"),
        ("/bucket?x-amz-acl=public-read", {}, "403 AccessDenied"),
        ("/bucket", {"Content_MD5": "x"}, "400 InvalidRequest"),
        ("/bucket", {"Content_Encoding": "gzip"}, "400 InvalidRequest"),
        ("/bucket", {"If_None_Match": "*"}, "501 NotImplemented"),
        ("/bucket?versionId=x", {}, "400 InvalidArgument"),
        ("/bucket?fanout", {}, "501 NotImplemented"),
        # not a form's place: what they are is not for the form to say
        ("/bucket?delete", {}, "403 AccessDenied"),
        ("/bucket/key", {}, "405 MethodNotAllowed"),
        ("/", {}, "405 MethodNotAllowed"),
        ("/bucket", {"Content_Type": "text/plain"}, "403 AccessDenied"),
        ("/bucket", {"Content_Type": "multipart/form-data"}, "400 MalformedPOSTRequest"),
        ("/bucket", {"Content_Type": "multipart/form-data; boundary=y"}, "400 MalformedPOSTRequest"),
        ("/other-bucket", {}, "403 AccessDenied"),
    ],
)  # fmt: skip
async def test_what_a_form_cannot_come_with(
    target: str, headers: dict[str, str], expected: str
) -> None:
    async with gateway() as service:
        answer = await post(service, form(signed()), target, **headers)
        assert f"{answer.status} {answer.code}" == expected
        assert not service.store.objects


async def test_a_signed_request_with_a_form_is_refused_unread() -> None:
    async with gateway() as service:
        headers = {"Content-Type": CONTENT_TYPE}
        answer = await service.ask("POST", "/bucket", headers, form(signed()))
        assert f"{answer.status} {answer.code}" == "400 InvalidArgument"
        plain = await service.ask("POST", "/bucket", {"Content-Type": "text/plain"}, b"x")
        assert f"{plain.status} {plain.code}" == "412 PreconditionFailed"


# --- what ends badly -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ([field("key", "k")], "InvalidArgument"),
        ([], "InvalidArgument"),
    ],
)
async def test_forms_without_a_file(parts: Sequence[Part], code: str) -> None:
    async with gateway() as service:
        answer = await post(service, encode(parts))
        assert (answer.code, answer.text("Message")) == (
            code,
            "POST requires exactly one file upload per request.",
        )


async def test_two_files_store_none() -> None:
    async with gateway() as service:
        answer = await post(service, form(signed(), DATA, file(b"second")))
        assert (answer.status, answer.code) == (400, "InvalidArgument")
        assert not service.store.objects


@pytest.mark.parametrize("missing", [1, 3, 30, len(DATA), len(DATA) + 200])
async def test_a_form_that_ends_early(missing: int) -> None:
    body = form(signed())
    async with gateway() as service:
        answer = await post(service, body.rstrip()[:-missing])
        assert (answer.status, answer.code) == (400, "MalformedPOSTRequest")
        async with Wire.to(service.port) as wire:
            await wire.send(head(service, len(body)) + body[:-missing])
            wire.writer.write_eof()
            answer = await wire.answer("POST")
        assert (answer.status, answer.code) == (400, "IncompleteBody")
        assert not service.store.objects


async def test_a_length_is_needed_and_bounded() -> None:
    body = form(signed())
    async with gateway() as service:
        chunked = head(service, None, Transfer_Encoding="chunked")
        framed = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        answer = await service.send_raw(chunked + framed, "POST")
        assert (answer.status, answer.code) == (411, "MissingContentLength")
        large = OBJECT_PUT_BYTES_MAX + 3 * POST_FIELDS_BYTES_MAX
        answer = await service.send_raw(head(service, large), "POST")
        assert (answer.status, answer.code) == (400, "EntityTooLarge")


async def test_a_file_that_is_too_long_is_refused_before_its_end() -> None:
    body = form(signed({}, ["content-length-range", 0, 1000]), bytes(2000))
    async with gateway() as service, Wire.to(service.port) as wire:
        await wire.send(head(service, 10**9) + body[: body.index(bytes(100)) + 1500])
        answer = await wire.answer("POST")
        assert (answer.status, answer.code) == (400, "EntityTooLarge")
        assert answer.headers["connection"] == "close"


async def test_a_form_that_nobody_may_post_is_refused_before_its_file() -> None:
    body = form(without_policy())
    async with gateway() as service, Wire.to(service.port) as wire:
        await wire.send(head(service, 10**9) + body[: body.index(DATA[:100])])
        assert (await wire.answer("POST")).code == "AccessDenied"


async def test_a_form_that_stalls() -> None:
    deadlines = Deadlines(header_s=5.0, stall_s=0.2, linger_s=0.1)
    body = form(signed())
    for sent in (100, len(body) - 10):
        async with gateway(deadlines=deadlines) as service, Wire.to(service.port) as wire:
            await wire.send(head(service, len(body)) + body[:sent])
            assert (await wire.answer("POST")).code == "RequestTimeout"
            assert not service.store.objects


async def test_fields_that_trickle_in_are_cut_off() -> None:
    """Before its fields are there nobody knows who posts a form."""
    deadlines = Deadlines(header_s=0.5, stall_s=5.0, linger_s=0.1)
    body = form(signed())
    async with gateway(deadlines=deadlines) as service, Wire.to(service.port) as wire:
        await wire.send(head(service, len(body)))
        async with asyncio.timeout(3), asyncio.TaskGroup() as group:
            answer = group.create_task(wire.answer("POST"))
            for at in range(40):
                if answer.done():
                    break
                await wire.send(body[at : at + 1])
                await asyncio.sleep(0.05)
        assert answer.result().code == "RequestTimeout"


async def test_refusals_give_nothing_away() -> None:
    async with gateway(access_log=True) as service:
        answer = await post(service, form(wrong_signature()))
        assert SECRET_KEY.encode() not in answer.body
        assert answer.text("Resource") == "/bucket"
        assert answer.text("RequestId") == answer.headers["x-amz-request-id"]


async def test_the_file_is_never_held() -> None:
    """A body is passed on as it comes; tracemalloc sees what the gateway keeps of it."""
    from objstore.gateway.form import FormBody
    from objstore.wire.post_form import FormParser

    piece = bytes(100_000)

    class Source:
        size = None

        def __init__(self) -> None:
            self.left = [*[piece] * 200, b"\r\n--" + BOUNDARY.encode() + b"--"]
            self.left.insert(0, form(signed(), b"").rpartition(b"\r\n--")[0])

        async def read(self) -> bytes:
            return self.left.pop(0) if self.left else b""

    body = FormBody(Source(), FormParser(BOUNDARY))
    assert (await body.read_fields(5.0))["key"] == "k"
    tracemalloc.start()
    size = 0
    while data := await body.read():
        size += len(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 200 * len(piece)
    assert peak < 10_000

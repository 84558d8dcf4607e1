"""The whole gateway on a socket: framing, order of checks, bodies, streams, errors."""

import asyncio
import base64
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import pytest
from structlog.testing import capture_logs

from objstore.drive.api import Buffer
from objstore.errors import ReadQuorumLost, WriteQuorumLost
from objstore.gateway.context import Deadlines
from objstore.names import BucketName, ObjectKey
from objstore.wire.config_documents.lifecycle import (
    Expiration,
    Filter,
    LifecycleRule,
    write_lifecycle,
)
from tests.unit.gateway.running import ROOT, Pieces, Service, Wire, gateway

BUCKET = BucketName("bucket")


async def stored(service: Service, key: str) -> bytes:
    return service.store.objects[BUCKET, ObjectKey(key)].data


async def put(service: Service, key: str, data: bytes) -> None:
    answer = await service.ask("PUT", f"/bucket/{key}", body=data)
    assert answer.status == 200, answer.body


# --- every answer ------------------------------------------------------------------------


async def test_every_answer_says_who_and_which_request() -> None:
    async with gateway() as service:
        await put(service, "k", b"data")
        answers = [
            await service.ask("GET", "/bucket/k"),
            await service.ask("GET", "/bucket/none"),
            await service.ask("GET", "/bucket/k", signed=False),
            await service.ask("HEAD", "/bucket/none"),
            await service.ask("GET", "/minio/health/live", signed=False),
        ]
        async with Wire.to(service.port) as wire:
            await wire.send(b"nonsense\r\n\r\n")
            answers.append(await wire.answer())
    assert [answer.status for answer in answers] == [200, 404, 403, 404, 200, 400]
    for answer in answers:
        assert answer.headers["server"] == "objstore"
        assert answer.headers["date"].endswith(" GMT")
        assert answer.headers["x-amz-id-2"]
        assert len(answer.headers["x-amz-request-id"]) == 16
    assert len({answer.headers["x-amz-request-id"] for answer in answers}) == len(answers)


async def test_errors_are_documents_of_s3() -> None:
    async with gateway() as service:
        answer = await service.ask("GET", "/bucket/a%20b?x=y")
    assert answer.status == 404
    assert answer.code == "NoSuchKey"
    assert answer.headers["content-type"] == "application/xml"
    assert answer.text("Resource") == "/bucket/a%20b"
    assert answer.text("RequestId") == answer.headers["x-amz-request-id"]
    assert answer.text("HostId") == answer.headers["x-amz-id-2"]


async def test_the_answer_to_a_head_has_no_body() -> None:
    async with gateway() as service:
        await put(service, "k", b"12345")
        async with Wire.to(service.port) as wire:
            await wire.send(service.head("HEAD", "/bucket/k"))
            found = await wire.answer("HEAD")
            await wire.send(service.head("HEAD", "/bucket/none"))
            missing = await wire.answer("HEAD")
            await wire.send(service.head("GET", "/bucket/k"))
            again = await wire.answer()
    assert (found.status, found.headers["content-length"]) == (200, "5")
    assert missing.status == 404
    assert again.body == b"12345"


async def test_a_304_has_no_body_and_keeps_the_connection() -> None:
    async with gateway() as service:
        await put(service, "k", b"12345")
        etag = (await service.ask("GET", "/bucket/k")).headers["etag"]
        async with Wire.to(service.port) as wire:
            for _ in range(2):
                await wire.send(service.head("GET", "/bucket/k", {"If-None-Match": etag}))
                answer = await wire.answer()
                assert (answer.status, answer.headers["etag"]) == (304, etag)


async def test_how_long_a_lifecycles_day_is() -> None:
    """The switch for tests reaches the answers that say when an object expires."""
    rule = LifecycleRule("r", enabled=True, filter=Filter(""), expiration=Expiration(days=1))
    async with gateway(lifecycle_day_s=3) as service:
        bucket = BucketName("bucket")
        await service.store.delete_bucket(bucket)
        await service.store.create_bucket(
            bucket,
            owner=ROOT.access_key,
            region="",
            settings={"lifecycle": write_lifecycle((rule,))},
        )
        answer = await service.ask("PUT", "/bucket/k", body=b"x")
    assert answer.headers["x-amz-expiration"] == (
        'expiry-date="Tue, 14 Nov 2023 22:13:23 GMT", rule-id="r"'
    )


# --- framing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET http://evil/bucket/k HTTP/1.1\r\nHost: h\r\n\r\n", 400, "BadRequest"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "BadRequest"),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 400, "BadRequest"),
        (b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 400, "BadRequest"),
        (b"GET /a#b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "InvalidURI"),
        (b"GET /a\0b HTTP/1.1\r\nHost: h\r\n\r\n", 400, "InvalidURI"),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n", 400, "RequestHeaderSectionTooLarge"),
        (b"PATCH /a HTTP/1.1\r\nHost: h\r\n\r\n", 405, "MethodNotAllowed"),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: h\r\n\r\n", 405, "MethodNotAllowed"),
        (
            b"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            400,
            "BadRequest",
        ),
        (
            b"PUT /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            501,
            "NotImplemented",
        ),
    ],
)
async def test_bad_framing_is_refused_in_s3_s_words(head: bytes, status: int, code: str) -> None:
    async with gateway() as service, Wire.to(service.port) as wire:
        with capture_logs() as logs:
            await wire.send(head)
            answer = await wire.answer()
    assert (answer.status, answer.code) == (status, code)
    assert not logs


@pytest.mark.parametrize(
    ("target", "key"),
    [
        ("/bucket/a%2Fb", "a/b"),
        ("/bucket/a//b", "a//b"),
        ("/bucket//", "/"),
        ("/bucket/../other/k", "../other/k"),
        ("/bucket/%2e%2e/k", "../k"),
        ("/bucket/%252e", "%2e"),
        ("/bucket/%25ff", "%ff"),
        ("/bucket/a+b", "a+b"),
        ("/bucket/%C3%A9", "é"),
        ("/bucket/a%3Fb%23c", "a?b#c"),
        ("/bucket/.", "."),
    ],
)
async def test_the_path_is_decoded_exactly_once(target: str, key: str) -> None:
    async with gateway() as service:
        answer = await service.ask("PUT", target, body=b"x")
        assert answer.status == 200, answer.body
        assert set(service.store.objects) == {(BUCKET, ObjectKey(key))}


# --- the order of checks -----------------------------------------------------------------


async def test_nobody_is_denied_before_anything_is_looked_up() -> None:
    async with gateway() as service:
        for method, target in (
            ("GET", "/"),
            ("GET", "/bucket/none"),
            ("PUT", "/bucket/k"),
            ("DELETE", "/bucket/k?uploadId=1"),
        ):
            answer = await service.ask(method, target, signed=False)
            assert (answer.status, answer.code) == (403, "AccessDenied"), target


async def test_continue_is_sent_once_the_body_is_wanted() -> None:
    async with gateway() as service, Wire.to(service.port) as wire:
        headers = {"Expect": "100-continue", "Content-Length": "4"}
        await wire.send(service.head("PUT", "/bucket/k", headers))
        interim = await wire.answer()
        assert (interim.status, interim.headers) == (100, {})
        await wire.send(b"data")
        final = await wire.answer()
        assert final.status == 200
        assert await stored(service, "k") == b"data"
        await wire.send(service.head("GET", "/bucket/k"))
        assert (await wire.answer()).body == b"data"


async def test_continue_is_sent_for_an_empty_body_too() -> None:
    """botocore waits for ever on a connection that had an answer without it."""
    async with gateway() as service, Wire.to(service.port) as wire:
        headers = {"Expect": "100-continue", "Content-Length": "0"}
        for _ in range(2):
            await wire.send(service.head("PUT", "/bucket/k", headers))
            assert (await wire.answer()).status == 100
            assert (await wire.answer()).status == 200
        await wire.send(service.head("PUT", "/nobucket/k", headers))
        answer = await wire.answer()
        assert (answer.code, answer.headers["connection"]) == ("NoSuchBucket", "close")
        assert await wire.rest() == b""


@pytest.mark.parametrize(
    ("target", "signed", "code"),
    [
        ("/bucket/k", False, "AccessDenied"),
        ("/nobucket/k", True, "NoSuchBucket"),
        ("/bucket/k?renameObject", True, "NotImplemented"),
        ("/bucket?policy", False, "AccessDenied"),
    ],
)
async def test_a_refused_request_is_never_asked_for_its_body(
    target: str, signed: bool, code: str
) -> None:
    async with gateway() as service, Wire.to(service.port) as wire:
        headers = {"Expect": "100-continue", "Content-Length": "4"}
        await wire.send(service.head("PUT", target, headers, signed=signed))
        answer = await wire.answer()
        assert answer.code == code
        assert answer.headers["connection"] == "close"
        # The client may have sent its body all the same: it is no request.
        await wire.send(b"GET /bucket/k HTTP/1.1\r\nHost: h\r\n\r\n")
        assert await wire.rest() == b""


async def test_leftovers_of_a_refused_body_are_never_a_request() -> None:
    async with gateway() as service:
        smuggled = service.head("PUT", "/bucket/smuggled", {"Content-Length": "0"})
        for signed in (True, False):
            async with Wire.to(service.port) as wire:
                head = service.head(
                    "PUT", "/nobucket/k", {"Content-Length": "1000000"}, signed=signed
                )
                await wire.send(head + smuggled)
                assert (await wire.answer()).status in (403, 404)
                await wire.send(smuggled)
                assert await wire.rest() == b""
        assert not service.store.objects


async def test_a_refused_body_that_is_there_keeps_the_connection() -> None:
    async with gateway() as service, Wire.to(service.port) as wire:
        await wire.send(service.head("PUT", "/nobucket/k", {"Content-Length": "4"}) + b"data")
        assert (await wire.answer()).code == "NoSuchBucket"
        await wire.send(service.head("GET", "/bucket/none"))
        assert (await wire.answer()).code == "NoSuchKey"


async def test_more_requests_than_the_bound_are_told_to_slow_down() -> None:
    async with gateway(requests_max=1) as service:
        await put(service, "k", b"data")
        gate = service.store.gates["k"] = asyncio.Event()
        async with Wire.to(service.port) as first:
            await first.send(service.head("GET", "/bucket/k"))
            await asyncio.sleep(0.05)
            refused = await service.ask("GET", "/bucket/k")
            ready = await service.ask("GET", "/minio/health/ready", signed=False)
            live = await service.ask("GET", "/minio/health/live", signed=False)
            gate.set()
            assert (await first.answer()).status == 200
        assert (refused.status, refused.code) == (503, "SlowDown")
        assert (ready.status, live.status) == (503, 200)
        assert (await service.ask("GET", "/bucket/k")).status == 200


# --- bodies in ---------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 4096, 1_000_001])
async def test_a_body_arrives_as_it_was_sent(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    async with gateway() as service:
        sha = hashlib.sha256(data).hexdigest()
        assert (await service.ask("PUT", "/bucket/k", body=data, sha=sha)).status == 200
        assert await stored(service, "k") == data
        assert (await service.ask("GET", "/bucket/k")).body == data


async def test_a_body_that_is_not_what_was_signed_is_not_stored() -> None:
    async with gateway() as service:
        sha = hashlib.sha256(b"other").hexdigest()
        answer = await service.ask("PUT", "/bucket/k", body=b"data", sha=sha)
        assert answer.code == "XAmzContentSHA256Mismatch"
        assert not service.store.objects


async def test_a_slow_body_is_read_and_a_stalled_one_refused() -> None:
    deadlines = Deadlines(header_s=5.0, stall_s=0.2, linger_s=0.1)
    async with gateway(deadlines=deadlines) as service:
        async with Wire.to(service.port) as wire:
            await wire.send(service.head("PUT", "/bucket/slow", {"Content-Length": "6"}))
            for piece in (b"ab", b"cd", b"ef"):
                await asyncio.sleep(0.12)
                await wire.send(piece)
            assert (await wire.answer()).status == 200
        async with Wire.to(service.port) as wire:
            await wire.send(service.head("PUT", "/bucket/stalled", {"Content-Length": "6"}))
            await wire.send(b"ab")
            answer = await wire.answer()
            assert (answer.status, answer.code) == (400, "RequestTimeout")
            await wire.send(b"cdef")
            assert await wire.rest() == b""
        assert set(service.store.objects) == {(BUCKET, ObjectKey("slow"))}


async def test_a_body_that_ends_early_is_not_stored() -> None:
    async with gateway() as service:
        async with Wire.to(service.port) as wire:
            await wire.send(service.head("PUT", "/bucket/k", {"Content-Length": "6"}) + b"abc")
            wire.writer.write_eof()
            answer = await wire.answer()
            assert (answer.status, answer.code) == (400, "IncompleteBody")
        with capture_logs() as logs:
            async with Wire.to(service.port) as wire:
                await wire.send(service.head("PUT", "/bucket/k", {"Content-Length": "6"}) + b"abc")
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)
        assert not service.store.objects
        assert not logs


async def test_a_put_needs_a_length() -> None:
    async with gateway() as service, Wire.to(service.port) as wire:
        await wire.send(service.head("PUT", "/bucket/k"))
        answer = await wire.answer()
        assert (answer.status, answer.code) == (411, "MissingContentLength")
        await wire.send(service.head("PUT", "/bucket/k", {"Transfer-Encoding": "chunked"}))
        answer = await wire.answer()
        assert (answer.status, answer.code) == (411, "MissingContentLength")


async def test_a_compressed_body_is_stored_as_it_came() -> None:
    """N081: stored byte-exact; a bomb is never inflated."""
    data = b"\x1f\x8b\x08\x00 not even gzip"
    async with gateway() as service:
        answer = await service.ask("PUT", "/bucket/k", {"Content-Encoding": "gzip"}, data)
        assert answer.status == 200
        assert await stored(service, "k") == data
        got = await service.ask("GET", "/bucket/k")
        assert (got.body, got.headers["content-encoding"]) == (data, "gzip")


async def test_a_document_is_read_whole_and_bounded() -> None:
    async with gateway() as service:
        await put(service, "a", b"1")
        document = b"<Delete><Object><Key>a</Key></Object></Delete>"
        md5 = "Content-MD5"
        digest = base64.b64encode(hashlib.md5(document).digest()).decode()
        answer = await service.ask("POST", "/bucket?delete", {md5: digest}, document)
        assert answer.status == 200, answer.body
        assert not service.store.objects
        async with Wire.to(service.port) as wire:
            headers = {md5: digest, "Content-Length": "5000000"}
            await wire.send(service.head("POST", "/bucket?delete", headers))
            refused = await wire.answer()
        assert refused.code == "MalformedXML"


# --- bodies out --------------------------------------------------------------------------


async def stage(service: Service, size: int, *pieces: bytes | bytearray | BaseException) -> Pieces:
    """Store what claims to be an object of `size` bytes, and whose reads give `pieces`."""
    await put(service, "k", b"")
    version = service.store.objects[BUCKET, ObjectKey("k")].version
    staged = Pieces(msgspec.structs.replace(version, size=size), pieces)
    service.store.staged["k"] = staged
    return staged


async def test_a_stream_is_sent_piece_by_piece() -> None:
    pieces = [bytes([n]) * 300_000 for n in range(10)]
    async with gateway() as service:
        staged = await stage(service, 3_000_000, *pieces)
        async with Wire.to(service.port) as wire:
            for _ in range(2):
                await wire.send(service.head("GET", "/bucket/k"))
                answer = await wire.answer()
                assert answer.body == b"".join(pieces)
        assert staged.closed


async def test_a_failure_before_the_first_byte_is_an_error_document() -> None:
    async with gateway() as service:
        await stage(service, 100_000, ReadQuorumLost("two of three"))
        answer = await service.ask("GET", "/bucket/k")
    assert (answer.status, answer.code) == (503, "SlowDownRead")


@pytest.mark.parametrize("ending", ["raises", "ends short", "too long"])
async def test_an_answer_that_cannot_be_finished_is_never_ended_cleanly(ending: str) -> None:
    pieces: list[bytes | BaseException] = [bytes(60_000), bytes(20_000)]
    if ending == "raises":
        pieces.append(ReadQuorumLost("gone"))
    if ending == "too long":
        pieces.append(bytes(60_000))
    async with gateway() as service:
        staged = await stage(service, 100_000, *pieces)
        with capture_logs() as logs:
            async with Wire.to(service.port) as wire:
                await wire.send(service.head("GET", "/bucket/k"))
                received = b""
                with suppress(ConnectionError):
                    received = await wire.rest()
                _, _, body = received.partition(b"\r\n\r\n")
                # A body that is too long is cut at its length, and the connection is lost.
                assert (len(body) == 100_000) == (ending == "too long")
            await asyncio.sleep(0.05)
        assert staged.closed
    assert [entry["event"] for entry in logs] == ["answer cut short"]


async def test_a_client_that_hangs_up_is_quiet_and_frees_the_object() -> None:
    pieces = [bytes(1_000_000)] * 50
    async with gateway() as service:
        staged = await stage(service, 50_000_000, *pieces)
        with capture_logs() as logs:
            async with Wire.to(service.port) as wire:
                await wire.send(service.head("GET", "/bucket/k"))
                await wire.reader.readexactly(10)
                wire.writer.transport.abort()
            async with asyncio.timeout(5):
                while not staged.closed:
                    await asyncio.sleep(0.01)
        assert not logs


async def test_a_client_that_stops_reading_is_cut_off() -> None:
    deadlines = Deadlines(header_s=5.0, stall_s=0.2, linger_s=0.1)
    pieces = [bytes(1_000_000)] * 40
    async with gateway(deadlines=deadlines) as service:
        staged = await stage(service, 40_000_000, *pieces)
        async with Wire.to(service.port) as wire:
            await wire.send(service.head("GET", "/bucket/k"))
            async with asyncio.timeout(5):
                while not staged.closed:
                    await asyncio.sleep(0.02)


async def test_a_source_may_reuse_its_buffer_for_the_next_piece() -> None:
    """A piece has left the process when the next one is asked for."""
    buffer = bytearray(2_000_000)

    class Reusing(Pieces):
        async def read(self, start: int, stop: int) -> AsyncIterator[Buffer]:
            for n in range(8):
                buffer[:] = bytes([n]) * len(buffer)
                yield memoryview(buffer)

    async with gateway() as service:
        staged = await stage(service, 8 * len(buffer))
        service.store.staged["k"] = Reusing(staged.version, ())
        async with Wire.to(service.port) as wire:
            await wire.send(service.head("GET", "/bucket/k"))
            await asyncio.sleep(0.2)  # let the socket fill before anything is read
            answer = await wire.answer(wait_s=20.0)
    expected = b"".join(bytes([n]) * len(buffer) for n in range(8))
    assert answer.body == expected


# --- failures below ----------------------------------------------------------------------


async def test_failures_of_the_cluster_are_typed_503s() -> None:
    async with gateway() as service:
        service.store.broken_keys = {
            "r": ReadQuorumLost("x"),
            "w": WriteQuorumLost("y"),
        }
        read = await service.ask("GET", "/bucket/r")
        write = await service.ask("DELETE", "/bucket/w")
    assert (read.status, read.code) == (503, "SlowDownRead")
    assert (write.status, write.code) == (503, "SlowDownWrite")


async def test_a_bug_is_logged_and_answered_without_its_text() -> None:
    async with gateway() as service:
        service.store.broken_keys = {"k": ValueError("a secret path")}
        with capture_logs() as logs:
            answer = await service.ask("GET", "/bucket/k")
    assert (answer.status, answer.code) == (500, "InternalError")
    assert b"secret" not in answer.body
    assert isinstance(logs[0]["exc_info"], ValueError)
    assert logs[0]["request_id"] == answer.headers["x-amz-request-id"]


async def test_the_access_log_has_no_signature(caplog: pytest.LogCaptureFixture) -> None:
    """R14: no Authorization, X-Amz-Signature or token in any log."""
    async with gateway(access_log=True) as service:
        with capture_logs() as logs, caplog.at_level(logging.DEBUG):
            target = "/bucket/k?X-Amz-Signature=abc123&X-Amz-Security-Token=tok"
            await service.ask("GET", target)
            await service.ask("GET", target, signed=False)
            async with Wire.to(service.port) as wire:
                await wire.send(b"GET /bucket/k?X-Amz-Signature=abc123 HTTP/3\r\n\r\n")
                await wire.answer()
    ours = [record for record in caplog.records if not record.name.startswith("botocore")]
    text = repr(logs) + repr([record.getMessage() for record in ours])
    for secret in ("abc123", "tok", "AWS4-HMAC", "rootsecret"):
        assert secret not in text
    assert [entry["path"] for entry in logs] == ["/bucket/k", "/bucket/k"]


# --- stopping ----------------------------------------------------------------------------


async def test_stopping_lets_requests_finish_and_closes_the_rest() -> None:
    async with gateway() as service:
        await put(service, "k", b"data")
        gate = service.store.gates["k"] = asyncio.Event()
        async with (
            Wire.to(service.port) as idle,
            Wire.to(service.port) as busy,
            Wire.to(service.port) as uploading,
        ):
            await busy.send(service.head("GET", "/bucket/k"))
            await uploading.send(service.head("PUT", "/bucket/up", {"Content-Length": "4"}))
            await asyncio.sleep(0.05)
            async with asyncio.TaskGroup() as group:
                stopping = group.create_task(service.running.stop(3.0))
                await asyncio.sleep(0.05)
                assert await idle.rest() == b""
                with pytest.raises(ConnectionError):
                    await asyncio.open_connection("127.0.0.1", service.port)
                await uploading.send(b"data")
                assert (await uploading.answer()).status == 200
                gate.set()
                answer = await busy.answer()
            assert stopping.result()
        assert (answer.body, answer.headers["connection"]) == (b"data", "close")


async def test_stopping_gives_up_on_a_request_after_its_time() -> None:
    async with gateway() as service:
        service.store.gates["k"] = asyncio.Event()
        async with Wire.to(service.port) as wire:
            await wire.send(service.head("GET", "/bucket/k"))
            await asyncio.sleep(0.05)
            assert not await service.running.stop(0.1)
            assert await wire.rest() == b""


async def test_connections_over_the_bound_are_dropped() -> None:
    async with gateway(connections_max=1) as service, Wire.to(service.port) as first:
        await asyncio.sleep(0.02)
        async with Wire.to(service.port) as second:
            answer = b""
            with suppress(ConnectionError):
                await second.send(service.head("GET", "/bucket/k"))
                answer = await second.rest()
            assert answer == b""
        await first.send(service.head("GET", "/bucket/k"))
        assert (await first.answer()).code == "NoSuchKey"

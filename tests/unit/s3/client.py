"""A client of the handlers: botocore makes the requests and reads the answers.

Requests go through botocore's serializer with its real model, then through route, the operation
table and the handler; what comes back is read by botocore's parser. So a shape that is not
AWS's fails here, in either direction.
"""

import base64
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

import botocore.session
from botocore.awsrequest import HeadersDict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from objstore.drive.api import Buffer
from objstore.errors import RequestRefused
from objstore.iam.identities import Identities, Identity
from objstore.limits import LIFECYCLE_DAY_SECONDS
from objstore.s3.authorize import answer
from objstore.s3.call import Call, Reply
from objstore.s3.error_codes import error_document, error_headers, s3_error_of
from objstore.s3.expected_digests import prepare_digests
from objstore.s3.object_store import ObjectStore
from objstore.s3.operations import OPERATIONS, BodyKind
from objstore.wire.request import Request, parse_request
from objstore.wire.route import route
from tests.unit.s3.fake_store import NOW_MS, FakeStore

MODEL = botocore.session.get_session().get_service_model("s3")
_SERIALIZER = create_serializer("rest-xml")
_PARSER = create_parser("rest-xml")
ACCESS_KEY = "AKIDTEST"
ROOT = Identity(ACCESS_KEY, "root's secret", display_name="Root", root=True)
ALICE = Identity("AKIDALICE", "alice's secret", display_name="Alice", canonical_id="a1" * 32)
BOB = Identity("AKIDBOB", "bob's secret", email="bob@example.com")
IDENTITIES = Identities([ROOT, ALICE, BOB])


class BytesBody:
    """A whole body, in pieces."""

    def __init__(self, data: bytes, size: int | None) -> None:
        self.size = size
        self._pieces = [data[at : at + 1000] for at in range(0, len(data), 1000)]

    async def read(self) -> Buffer:
        return self._pieces.pop(0) if self._pieces else b""


class Failure(Exception):
    """An error response, as botocore read it."""

    def __init__(self, status: int, error: Mapping[str, str], headers: Mapping[str, str]) -> None:
        super().__init__(f"{status} {error}")
        self.status = status
        self.code = error["Code"]
        self.error = error
        self.headers = headers


def make_request(
    method: str,
    target: str,
    headers: Mapping[str, str] | None = None,
    *,
    host: str = "s3.test",
    domains: tuple[str, ...] = (),
    secure: bool = False,
) -> Request:
    fields = [("Host", host), *(headers or {}).items()]
    return parse_request(
        method=method,
        raw_target=target,
        headers=fields,
        domains=domains,
        secure=secure,
        remote="127.0.0.1",
        request_id="REQUEST1",
    )


class Client:
    """Calls operations on a store of its own."""

    def __init__(
        self,
        *,
        region: str = "eu-test-1",
        virtual_host: str = "",
        real_store: ObjectStore | None = None,
        secure: bool = False,
        ssec_over_http: bool = False,
        lifecycle_day_s: int = LIFECYCLE_DAY_SECONDS,
    ) -> None:
        self.store = FakeStore()
        self._real_store = real_store
        self.region = region
        self.secure = secure  # as if it came over TLS
        self.ssec_over_http = ssec_over_http
        self._lifecycle_day_s = lifecycle_day_s
        self._virtual_host = virtual_host  # the bucket that Host names

    async def raw(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        *,
        size: int | None = -1,
        caller: Identity | None = ROOT,
    ) -> Reply:
        """Dispatch as the gateway does; failures come out as they are raised."""
        host = f"{self._virtual_host}.s3.test".removeprefix(".")
        request = make_request(
            method, target, headers, host=host, domains=("s3.test",), secure=self.secure
        )
        operation = route(request)
        spec = OPERATIONS[operation]
        digests = None
        if spec.body is not BodyKind.NONE:
            digests = prepare_digests(request, operation, None)
        call = Call(
            store=self._real_store or self.store,
            request=request,
            body=BytesBody(body, len(body) if size == -1 else size),
            caller=caller,
            identities=IDENTITIES,
            region=self.region,
            digests=digests,
            now_ms=NOW_MS,
            ssec_over_http=self.ssec_over_http,
            lifecycle_day_s=self._lifecycle_day_s,
        )
        return await answer(call, spec)

    async def __call__(self, operation: str, /, **arguments: Any) -> dict[str, Any]:
        """Call an operation by AWS's name; `Headers` adds raw ones, `Caller` signs."""
        extra = arguments.pop("Headers", {})
        caller = arguments.pop("Caller", ROOT)
        method, target, headers, body = serialized(operation, arguments)
        model = MODEL.operation_model(operation)
        try:
            reply = await self.raw(method, target, {**headers, **extra}, body, caller=caller)
        except RequestRefused as refusal:
            raise _failure(refusal, target, model) from refusal
        return await _parse(reply, model)

    async def reply(self, operation: str, /, **arguments: Any) -> Reply:
        """Call an operation by AWS's name, for the reply as it is; refusals come out as raised."""
        return await self.raw(*serialized(operation, arguments))


def serialized(
    operation: str, arguments: Mapping[str, Any]
) -> tuple[str, str, dict[str, str], bytes]:
    """Return what botocore makes of arguments: method, target, headers, body."""
    model = MODEL.operation_model(operation)
    wire = _SERIALIZER.serialize_to_request(dict(arguments), model)
    pairs = wire["query_string"]
    listed = pairs.items() if isinstance(pairs, dict) else pairs
    path, _, fixed = wire["url_path"].partition("?")
    query = "&".join(filter(None, [fixed, urlencode(list(listed), quote_via=quote)]))
    body = wire["body"].encode() if isinstance(wire["body"], str) else bytes(wire["body"])
    headers = dict(wire["headers"])
    if (model.http_checksum or {}).get("requestChecksumRequired"):  # as SDKs do
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest())
        headers.setdefault("Content-MD5", digest.decode())
    return wire["method"], f"{path}?{query}" if query else path, headers, body


def _failure(refusal: RequestRefused, target: str, model: Any) -> Failure:
    error = s3_error_of(refusal)
    document = error_document(error, resource=target, request_id="REQUEST1", host_id="HOST1")
    headers = error_headers(error)
    parsed = _PARSER.parse(
        {"status_code": error.status, "headers": headers, "body": document}, model.output_shape
    )
    return Failure(error.status, parsed["Error"], headers)


async def body_of(reply: Reply) -> bytes:
    if isinstance(reply.body, bytes):
        return reply.body
    return b"".join([bytes(piece) async for piece in _pieces(reply.body)])


async def _pieces(body: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    async for piece in body:
        yield piece


async def _parse(reply: Reply, model: Any) -> dict[str, Any]:
    body = await body_of(reply)
    headers = HeadersDict(reply.headers)
    if not isinstance(reply.body, bytes):
        assert int(headers["content-length"]) == len(body)
    if model.has_streaming_output:
        parsed = _PARSER.parse(
            {"status_code": reply.status, "headers": headers, "body": b""}, model.output_shape
        )
        parsed["Body"] = body
    else:
        parsed = _PARSER.parse(
            {"status_code": reply.status, "headers": headers, "body": body}, model.output_shape
        )
    answer: dict[str, Any] = dict(parsed)
    answer.setdefault("Status", reply.status)  # some documents have a Status of their own
    answer["Headers"] = headers
    return answer

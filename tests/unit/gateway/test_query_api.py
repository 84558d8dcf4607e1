"""IAM and STS on S3's endpoint: told apart by the signature, and answered as their clients read."""

import asyncio
import hashlib
from contextlib import closing
from typing import Any

import boto3
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from objstore.gateway.context import Deadlines
from objstore.iam.identities import Identity
from objstore.limits import QUERY_BODY_BYTES_MAX
from tests.unit.gateway.running import ALICE, REGION, ROOT, Service, Wire, gateway

FORM = b"Action=ListUsers&Version=2010-05-08"


def client_of(service: Service, name: str, by: Identity, secret: str | None = None) -> Any:
    return boto3.session.Session(
        aws_access_key_id=by.access_key,
        aws_secret_access_key=secret or by.secret,
        region_name=REGION,
    ).client(
        name,
        endpoint_url=f"http://{service.host}",
        config=Config(retries={"total_max_attempts": 1}),
    )


async def refusal_of(client: Any, operation: str) -> dict[str, Any]:
    def call() -> dict[str, Any]:
        with closing(client), pytest.raises(ClientError) as refused:
            getattr(client, operation)()
        return dict(refused.value.response)

    return await asyncio.to_thread(call)


def signed_head(
    service: Service, body: bytes, *, name: str = "iam", target: str = "/", length: str = ""
) -> bytes:
    """Return the head of a form that is signed for `name`."""
    request = AWSRequest("POST", f"http://{service.host}{target}", data=body)
    request.headers["Content-Type"] = "application/x-www-form-urlencoded"
    SigV4Auth(Credentials(ROOT.access_key, ROOT.secret), name, REGION).add_auth(request)
    fields = {"Host": service.host, **dict(request.headers.items())}
    fields["Content-Length"] = length or str(len(body))
    lines = [f"POST {target} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode()


@pytest.mark.parametrize(
    ("name", "operation"), [("iam", "list_users"), ("sts", "get_caller_identity")]
)
@pytest.mark.parametrize("by", [ROOT, ALICE], ids=["root", "alice"])
async def test_every_action_says_that_it_is_not_implemented(
    name: str, operation: str, by: Identity
) -> None:
    async with gateway() as service:
        response = await refusal_of(client_of(service, name, by), operation)
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert response["Error"]["Code"] == "NotImplemented"
    assert response["Error"]["Type"] == "Sender"
    assert operation.replace("_", "") in response["Error"]["Message"].lower()
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    assert response["ResponseMetadata"]["RequestId"] == headers["x-amz-request-id"]
    assert headers["content-type"] == "text/xml"


async def test_who_did_not_sign_learns_nothing_else() -> None:
    async with gateway() as service:
        wrong = await refusal_of(client_of(service, "sts", ROOT, "wrong"), "get_caller_identity")
        stranger = Identity("stranger", "stranger's secret")
        unknown = await refusal_of(client_of(service, "iam", stranger), "list_users")
    assert wrong["Error"]["Code"] == "SignatureDoesNotMatch"
    assert unknown["Error"]["Code"] == "InvalidClientTokenId"
    for response in (wrong, unknown):
        assert response["ResponseMetadata"]["HTTPStatusCode"] == 403


async def test_a_form_is_covered_by_its_signature() -> None:
    async with gateway() as service:
        answer = await service.send_raw(signed_head(service, FORM) + FORM, "POST")
        assert answer.status == 501
        other = FORM.replace(b"ListUsers", b"ListRoles")
        answer = await service.send_raw(signed_head(service, FORM) + other, "POST")
        assert (answer.status, b"SignatureDoesNotMatch" in answer.body) == (403, True)


@pytest.mark.parametrize("form", [b"", b"Action=", b"Action=A&Action=B", b"Action=\xff"])
async def test_a_form_names_one_action(form: bytes) -> None:
    async with gateway() as service:
        answer = await service.send_raw(signed_head(service, form) + form, "POST")
    assert answer.status == 400
    assert b"<ErrorResponse" in answer.body


async def test_a_body_without_a_verified_signature_is_short_and_soon() -> None:
    async with gateway(deadlines=Deadlines(header_s=0.3, stall_s=5.0, linger_s=0.1)) as service:
        long = signed_head(service, b"", length=str(QUERY_BODY_BYTES_MAX + 1))
        answer = await service.send_raw(long, "POST")
        assert (answer.status, b"MaxMessageLengthExceeded" in answer.body) == (400, True)
        async with Wire.to(service.port) as wire:
            await wire.send(signed_head(service, b"", length="10") + b"Action")
            answer = await wire.answer("POST")
            assert (answer.status, b"RequestTimeout" in answer.body) == (400, True)
        chunk = b"%x\r\n" % (1 << 16) + bytes(1 << 16) + b"\r\n"
        head = signed_head(service, b"").replace(
            b"Content-Length: 0", b"Transfer-Encoding: chunked"
        )
        async with Wire.to(service.port) as wire:
            await wire.send(head + chunk * 5)
            answer = await wire.answer("POST")
            assert (answer.status, b"MaxMessageLengthExceeded" in answer.body) == (400, True)


@pytest.mark.parametrize("target", ["/bucket", "/bucket/key", "/bucket/key?Action=ListUsers"])
async def test_a_signature_for_iam_is_none_for_s3(target: str) -> None:
    """Neither a bucket nor an object is reached by it."""
    async with gateway() as service:
        answer = await service.send_raw(
            signed_head(service, b"", target=target).replace(b"POST", b"PUT", 1), "PUT"
        )
        assert answer.status == 400
        assert b"<ErrorResponse" in answer.body
        assert not service.store.objects


async def test_a_signature_for_s3_is_none_for_iam() -> None:
    """The same requests, signed for S3, are S3's: a listing, and what S3 has no operation for."""
    async with gateway() as service:
        listing = await service.ask("GET", "/?Action=ListUsers")
        assert b"<ListAllMyBucketsResult" in listing.body
        sha = hashlib.sha256(FORM).hexdigest()
        answer = await service.ask("POST", "/", body=FORM, sha=sha)
        assert (answer.status, answer.code) == (405, "MethodNotAllowed")
        other = await service.send_raw(signed_head(service, FORM, name="ec2") + FORM, "POST")
        assert (other.status, other.code) == (400, "AuthorizationHeaderMalformed")


async def test_the_operator_s_routes_take_no_signature_for_iam() -> None:
    async with gateway() as service:
        head = signed_head(service, b"", target="/.objstore/admin/v1/heal")
        answer = await service.send_raw(head, "POST")
        assert (answer.status, answer.code) == (400, "AuthorizationHeaderMalformed")
        assert service.cluster.heals == 0

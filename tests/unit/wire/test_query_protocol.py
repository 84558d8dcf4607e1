"""The query protocol of IAM and STS: its signatures, its actions and its errors."""

import hashlib
from typing import Any

import botocore.session
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.parsers import create_parser

from objstore.clock import SystemClock
from objstore.errors import RequestRefused
from objstore.wire.query_protocol import action_of, query_error
from objstore.wire.request import Query, Request, parse_request
from objstore.wire.signature_claim import claimed_service
from objstore.wire.sigv4 import Verified, verify
from tests.unit.wire.signed_requests import ACCESS_KEY, SECRET, Shot, Signer

FORM = b"Action=GetCallerIdentity&Version=2011-06-15"


def signed(
    service: str, *, region: str = "eu-x", body: bytes = FORM, link: bool = False
) -> Request:
    """Return a request as botocore's clients of IAM and STS sign it: no payload header."""
    request = AWSRequest("POST", "http://s3.test/", data=body)
    request.headers["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
    if link:
        request = AWSRequest("GET", "http://s3.test/", params={"Action": "GetCallerIdentity"})
        signer = SigV4QueryAuth(Credentials(ACCESS_KEY, SECRET), service, region, expires=60)
    else:
        signer = SigV4Auth(Credentials(ACCESS_KEY, SECRET), service, region)
    signer.add_auth(request)
    return parse_request(
        method=request.method,
        raw_target=request.url.removeprefix("http://s3.test"),
        headers=[("Host", "s3.test"), *request.headers.items()],
        domains=(),
        secure=False,
        remote="",
        request_id="",
    )


def check(request: Request, body: bytes | None) -> Verified:
    verdict = verify(
        request,
        secret_of={ACCESS_KEY: SECRET}.get,
        region="eu-x",
        now_s=SystemClock().now_ns() // 1_000_000_000,  # botocore signs at its own time
        query_body=None if body is None else hashlib.sha256(body).hexdigest(),
    )
    assert isinstance(verdict, Verified)
    return verdict


@pytest.mark.parametrize("service", ["iam", "sts"])
@pytest.mark.parametrize("region", ["eu-x", "us-east-1"])
def test_botocore_s_signatures_hold(service: str, region: str) -> None:
    """In the deployment's region, or in AWS's for its global services."""
    for request, body in (
        (signed(service, region=region), FORM),
        (signed(service, region=region, link=True), b""),
    ):
        assert claimed_service(request) == service
        verified = check(request, body)
        assert (verified.service, verified.region) == (service, region)
        assert verified.payload_sha256 == hashlib.sha256(body).digest()
        assert verified.seed is None


def test_another_body_does_not_hold() -> None:
    with pytest.raises(RequestRefused) as refused:
        check(signed("sts"), FORM + b"&x=y")
    assert refused.value.reason == "SignatureDoesNotMatch"


@pytest.mark.parametrize("link", [False, True])
def test_a_signature_is_good_for_its_kind_of_service_alone(link: bool) -> None:
    """N009: neither IAM's for S3, nor S3's for IAM, nor another service's for either."""
    code = "AuthorizationQueryParametersError" if link else "AuthorizationHeaderMalformed"
    for service, body in (("iam", None), ("sts", None), ("s3", FORM), ("ec2", FORM), ("ec2", None)):
        with pytest.raises(RequestRefused) as refused:
            check(signed(service, link=link), body)
        assert refused.value.reason == code


@pytest.mark.parametrize("region", ["us-west-2", "", "eu-x/eu-x"])
def test_a_signature_is_good_for_its_regions_alone(region: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        check(signed("iam", region=region), FORM)
    assert refused.value.reason == "AuthorizationHeaderMalformed"


def test_s3_s_signatures_stay_in_the_deployment_s_region() -> None:
    with pytest.raises(RequestRefused) as refused:
        check(signed("s3", region="us-east-1"), None)
    assert refused.value.reason == "AuthorizationHeaderMalformed"


@pytest.mark.parametrize(
    "request_",
    [
        Shot().parse(),
        Signer().sign(Shot()).parse(),
        Signer(service="ec2").sign(Shot()).parse(),
        Signer(access_key="x/iam").sign(Shot()).parse(),
        Signer(access_key="x/iam/aws4_requests").sign(Shot()).parse(),
        Shot(target="/bucket/iam/aws4_request?Action=iam/aws4_request").parse(),
    ],
)
def test_everything_else_seems_to_be_s3_s(request_: Request) -> None:
    assert claimed_service(request_) == "s3"


def test_actions() -> None:
    assert action_of(Query("Action=ListUsers"), Query("")) == "ListUsers"
    assert action_of(Query(""), Query("Version=1&Action=ListUsers")) == "ListUsers"
    for query, form in (
        ("", ""),
        ("Action=A", "Action=A"),
        ("", "Action=A&Action=B"),
        ("", "Action="),
        ("Action=a%0Ab", ""),
        ("", "Action=" + "A" * 65),
    ):
        with pytest.raises(RequestRefused) as refused:
            action_of(Query(query), Query(form))
        assert refused.value.reason == "InvalidRequest"


@pytest.mark.parametrize("service", ["iam", "sts"])
@pytest.mark.parametrize(
    ("code", "status", "shown", "kind"),
    [
        ("NotImplemented", 501, "NotImplemented", "Sender"),
        ("InvalidAccessKeyId", 403, "InvalidClientTokenId", "Sender"),
        ("SignatureDoesNotMatch", 403, "SignatureDoesNotMatch", "Sender"),
        ("InternalError", 500, "InternalFailure", "Receiver"),
    ],
)
def test_errors_are_what_clients_of_the_service_read(
    service: str, code: str, status: int, shown: str, kind: str
) -> None:
    document = query_error(service, code, "a < b", status=status, request_id="REQUEST1")
    model: Any = botocore.session.get_session().get_service_model(service)
    operation = model.operation_model(model.operation_names[0])
    parsed = create_parser("query").parse(
        {"status_code": status, "headers": {}, "body": document}, operation.output_shape
    )
    assert parsed["Error"] == {"Type": kind, "Code": shown, "Message": "a < b"}
    assert parsed["ResponseMetadata"]["RequestId"] == "REQUEST1"

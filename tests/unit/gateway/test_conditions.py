"""What conditions of policies learn of a connection: its TLS, its peer, how it was signed."""

import asyncio
import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.unit.gateway.certificates import certificate
from tests.unit.gateway.running import ACCESS_KEY, REGION, SECRET_KEY, gateway

Condition = dict[str, dict[str, str]]
# Each with whether it holds for a request over TLS, and without.
ROWS: list[tuple[Condition, bool, bool]] = [
    ({"Bool": {"aws:SecureTransport": "true"}}, True, False),
    ({"Bool": {"aws:SecureTransport": "false"}}, False, True),
    ({"NumericGreaterThanEquals": {"s3:TlsVersion": "1.2"}}, True, False),
    ({"NumericLessThan": {"s3:TlsVersion": "1.2"}}, False, False),
    ({"IpAddress": {"aws:SourceIp": "127.0.0.1/32"}}, True, True),
    ({"StringEquals": {"s3:authType": "REST-HEADER"}}, True, True),
    ({"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}}, True, True),
    ({"StringLike": {"aws:UserAgent": "*Boto3*"}}, True, True),
    ({"StringEquals": {"aws:PrincipalType": "Account"}}, True, True),
    ({"StringEquals": {"aws:RequestedRegion": REGION}}, True, True),
]


def denied(endpoint: str, verify: str | bool) -> list[bool]:
    """Return, of each condition, whether a Deny with it applies to root's HeadBucket."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        verify=verify,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    found = []
    for condition, _, _ in ROWS:
        statement = {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::bucket",
            "Condition": condition,
        }
        client.put_bucket_policy(Bucket="bucket", Policy=json.dumps({"Statement": statement}))
        try:
            client.head_bucket(Bucket="bucket")
            found.append(False)
        except ClientError as error:
            found.append(error.response["Error"]["Code"] == "403")
    client.close()
    return found


@pytest.mark.parametrize("encrypted", [False, True])
async def test_what_a_connection_tells(encrypted: bool, tmp_path: Path) -> None:
    context = certificate(tmp_path) if encrypted else None
    verify = str(tmp_path / "both.pem") if encrypted else True
    scheme = "https" if encrypted else "http"
    async with gateway(tls=context) as service:
        found = await asyncio.to_thread(denied, f"{scheme}://localhost:{service.port}", verify)
    assert found == [with_tls if encrypted else without for _, with_tls, without in ROWS]

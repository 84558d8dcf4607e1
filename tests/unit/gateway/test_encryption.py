"""Customers' keys on the wire: taken over TLS alone, and written down nowhere."""

import asyncio
import base64
import hashlib
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from structlog.testing import capture_logs

from tests.unit.gateway.certificates import certificate
from tests.unit.gateway.running import ACCESS_KEY, REGION, SECRET_KEY, gateway

SECRET = hashlib.sha256(b"a customer's key").digest()
KEY = base64.b64encode(SECRET).decode()
HEADERS = {
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": KEY,
    "x-amz-server-side-encryption-customer-key-MD5": base64.b64encode(
        hashlib.md5(SECRET).digest()
    ).decode(),
}


def read_with_key(endpoint: str, verify: str | bool) -> str:
    """Put an object, ask for it with a key that it does not need, and return why not."""
    client: Any = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        verify=verify,
        config=Config(s3={"addressing_style": "path"}, retries={"max_attempts": 1}),
    )
    client.put_object(Bucket="bucket", Key="k", Body=b"plain")
    with pytest.raises(ClientError) as refused:
        client.get_object(
            Bucket="bucket", Key="k", SSECustomerAlgorithm="AES256", SSECustomerKey=SECRET
        )
    client.close()
    error = refused.value.response["Error"]
    assert error["Code"] == "InvalidRequest"
    return str(error["Message"])


@pytest.mark.parametrize("over", ["http", "https", "http by the switch"])
async def test_keys_come_over_tls(over: str, tmp_path: Path) -> None:
    """AWS: "When using SSE-C, you must use HTTPS.". What gets through is held to the object."""
    encrypted = over == "https"
    context = certificate(tmp_path) if encrypted else None
    verify = str(tmp_path / "both.pem") if encrypted else True
    scheme = "https" if encrypted else "http"
    async with gateway(tls=context, ssec_over_http=over.endswith("switch")) as service:
        endpoint = f"{scheme}://localhost:{service.port}"
        message = await asyncio.to_thread(read_with_key, endpoint, verify)
    if over == "http":
        assert message == (
            "Requests specifying Server Side Encryption with Customer provided keys must be made"
            " over a secure connection."
        )
    else:
        assert message == "The encryption parameters are not applicable to this object."


async def test_no_key_is_logged(capfd: pytest.CaptureFixture[str]) -> None:
    """N147: no key in any log, whatever becomes of the request that brings it, bugs included."""
    query = "&".join(f"{name}={value.replace('+', '%2B')}" for name, value in HEADERS.items())
    async with gateway(access_log=True, ssec_over_http=True) as service:
        service.store.broken_keys["broken"] = ZeroDivisionError("a bug")
        with capture_logs() as logs:
            for method, target, headers in (
                ("GET", "/bucket/none", HEADERS),
                ("GET", "/bucket/broken", HEADERS),
                ("PUT", "/bucket/k", HEADERS),  # the store here knows no keys: a bug
                ("PUT", "/bucket/k", HEADERS | {"x-amz-server-side-encryption": "AES256"}),
                ("DELETE", "/bucket/k", HEADERS),
                ("GET", f"/bucket/k?{query}", {}),
                ("GET", "/bucket/k", HEADERS | {"x-amz-checksum-mode": "ä"}),
            ):
                answer = await service.ask(
                    method, target, headers, b"x" if method == "PUT" else None
                )
                assert answer.status >= 400, target
            await service.ask("GET", "/bucket/k", HEADERS, signed=False)
    assert {line["event"] for line in logs} == {"request", "request failed"}
    said = f"{logs} {capfd.readouterr()}"
    for told in (KEY, KEY.replace("+", "%2B"), SECRET.hex(), repr(SECRET)):
        assert told not in said

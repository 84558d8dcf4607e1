"""Forms as bytes that a test can break anywhere, and policies signed by hand."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.unit.wire.signed_requests import ACCESS_KEY, REGION, SECRET, STAMP

BOUNDARY = "----WebKitFormBoundaryx1Y2"
LATER = "2013-05-25T00:00:00.000Z"


@dataclass(frozen=True)
class Part:
    """One part; `headers` are whole lines."""

    headers: tuple[str, ...]
    content: bytes


def field(name: str, value: str | bytes) -> Part:
    """Return a field as browsers send it."""
    content = value if isinstance(value, bytes) else value.encode()
    return Part((f'Content-Disposition: form-data; name="{name}"',), content)


def file(content: bytes, filename: str = "cat.png", name: str = "file") -> Part:
    """Return a file as browsers send it."""
    disposition = f'Content-Disposition: form-data; name="{name}"; filename="{filename}"'
    return Part((disposition, "Content-Type: image/png"), content)


def encode(
    parts: Sequence[Part],
    *,
    boundary: str = BOUNDARY,
    preamble: bytes = b"",
    padding: bytes = b"",
    end: bytes = b"--\r\n",
) -> bytes:
    """Return the body of a form."""
    out = bytearray(preamble)
    for number, part in enumerate(parts):
        out += b"\r\n" if number or preamble else b""
        out += f"--{boundary}".encode() + padding + b"\r\n"
        out += "".join(f"{line}\r\n" for line in part.headers).encode()
        out += b"\r\n" + part.content
    return bytes(out + f"\r\n--{boundary}".encode() + end)


def policy_text(conditions: Sequence[Any], expiration: str = LATER) -> str:
    """Return a policy as a form carries it."""
    document = json.dumps({"expiration": expiration, "conditions": conditions})
    return base64.b64encode(document.encode()).decode()


def sign_v2(policy: str, *, access_key: str = ACCESS_KEY, secret: str = SECRET) -> dict[str, str]:
    """Return the fields of a signature by version 2."""
    digest = hmac.digest(secret.encode(), policy.encode(), "sha1")
    signature = base64.b64encode(digest).decode()
    return {"awsaccesskeyid": access_key, "policy": policy, "signature": signature}


def sign_v4(
    policy: str,
    *,
    access_key: str = ACCESS_KEY,
    secret: str = SECRET,
    stamp: str = STAMP,
    scope: str = f"{STAMP[:8]}/{REGION}/s3/aws4_request",
) -> dict[str, str]:
    """Return the fields of a signature by version 4."""
    key = b"AWS4" + secret.encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return {
        "x-amz-algorithm": "AWS4-HMAC-SHA256",
        "x-amz-credential": f"{access_key}/{scope}",
        "x-amz-date": stamp,
        "policy": policy,
        "x-amz-signature": hmac.new(key, policy.encode(), hashlib.sha256).hexdigest(),
    }


def without(fields: Mapping[str, str], *names: str) -> dict[str, str]:
    """Return the fields that are not named."""
    return {name: value for name, value in fields.items() if name not in names}

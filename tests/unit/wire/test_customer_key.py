"""The three headers of a customer's key: all of them, over TLS, right, or a refusal as AWS's."""

import base64
import hashlib

import pytest

from objstore.errors import RequestRefused
from objstore.wire.customer_key import CustomerKey, names_key, read_customer_key
from objstore.wire.request import Request, parse_request

SECRET = bytes(range(32))
KEY = base64.b64encode(SECRET).decode()
MD5 = base64.b64encode(hashlib.md5(SECRET).digest()).decode()
PREFIX = "x-amz-server-side-encryption-customer-"
SOURCE = "x-amz-copy-source-server-side-encryption-customer-"
GOOD = {"algorithm": "AES256", "key": KEY, "key-MD5": MD5}
ABOUT = "Requests specifying Server Side Encryption with Customer provided keys must"


def request(
    headers: dict[str, str], *, prefix: str = PREFIX, secure: bool = True, query: str = ""
) -> Request:
    return parse_request(
        method="GET",
        raw_target="/bucket/key" + query,
        headers=[("Host", "s3.test"), *((prefix + name, text) for name, text in headers.items())],
        domains=(),
        secure=secure,
        remote="127.0.0.1",
        request_id="R",
    )


def test_a_key() -> None:
    assert read_customer_key(request(GOOD), over_http=False) == CustomerKey(SECRET, MD5)
    assert names_key(request(GOOD))


def test_no_key() -> None:
    assert read_customer_key(request({}), over_http=False) is None
    assert not names_key(request({}))
    assert read_customer_key(request({}, secure=False), over_http=False) is None


def test_the_key_of_a_source_is_another() -> None:
    both = request(GOOD, prefix=SOURCE)
    assert read_customer_key(both, over_http=False) is None
    found = read_customer_key(both, over_http=False, source=True)
    assert found == CustomerKey(SECRET, MD5)


def test_a_key_in_a_presigned_url_is_read_too() -> None:
    """boto3's links by Signature Version 2 have every x-amz- header in their query."""
    query = "?" + "&".join(
        f"{PREFIX}{name}={text.replace('+', '%2B').replace('=', '%3D').replace('/', '%2F')}"
        for name, text in GOOD.items()
    )
    assert read_customer_key(request({}, query=query), over_http=False) == CustomerKey(SECRET, MD5)


def test_a_repr_does_not_tell_the_key() -> None:
    assert KEY not in repr(CustomerKey(SECRET, MD5))
    assert repr(SECRET) not in repr(CustomerKey(SECRET, MD5))


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize("over_http", [False, True])
def test_over_http_only_by_the_switch(secure: bool, over_http: bool) -> None:
    """AWS: "Amazon S3 rejects any requests made over HTTP when using SSE-C." """
    asked = request(GOOD, secure=secure)
    if secure or over_http:
        assert read_customer_key(asked, over_http=over_http) is not None
        return
    with pytest.raises(RequestRefused, match="made over a secure connection") as refusal:
        read_customer_key(asked, over_http=over_http)
    assert refusal.value.reason == "InvalidRequest"


@pytest.mark.parametrize(
    ("headers", "reason", "message"),
    [
        ({"key": KEY, "key-MD5": MD5}, "InvalidArgument", f"{ABOUT} provide a valid encryption"),
        ({"key": KEY}, "InvalidArgument", f"{ABOUT} provide a valid encryption algorithm."),
        ({"algorithm": "AES256"}, "InvalidArgument", f"{ABOUT} provide an appropriate secret key."),
        (GOOD | {"key": ""}, "InvalidArgument", f"{ABOUT} provide an appropriate secret key."),
        (
            {"algorithm": "AES256", "key": KEY},
            "InvalidArgument",
            f"{ABOUT} provide the client calculated MD5 of the secret key.",
        ),
        (GOOD | {"algorithm": "aes256"}, "InvalidEncryptionAlgorithmError", ""),
        (GOOD | {"algorithm": "aws:kms"}, "InvalidEncryptionAlgorithmError", ""),
        (GOOD | {"algorithm": ""}, "InvalidEncryptionAlgorithmError", ""),
        *(
            (
                GOOD | {"key": key},
                "InvalidArgument",
                "The secret key was invalid for the specified algorithm.",
            )
            for key in (
                base64.b64encode(SECRET[:31]).decode(),
                base64.b64encode(SECRET + b"x").decode(),
                base64.b64encode(SECRET[:16]).decode(),
                "*" * 44,
                KEY[:-1],
                KEY + "\n",
                KEY * 1000,
                "ä" * 44,
                SECRET.hex(),
            )
        ),
        *(
            (
                GOOD | {"key-MD5": md5},
                "InvalidArgument",
                "The calculated MD5 hash of the key did not match the hash that was provided.",
            )
            for md5 in (
                base64.b64encode(hashlib.md5(b"").digest()).decode(),
                hashlib.md5(SECRET).hexdigest(),
                MD5[:-1],
                "*" * 24,
                KEY,
            )
        ),
    ],
)
@pytest.mark.parametrize("source", [False, True])
def test_refusals(headers: dict[str, str], reason: str, message: str, source: bool) -> None:
    asked = request(headers, prefix=SOURCE if source else PREFIX)
    with pytest.raises(RequestRefused) as refusal:
        read_customer_key(asked, over_http=False, source=source)
    assert refusal.value.reason == reason
    assert message in str(refusal.value)
    assert KEY not in f"{refusal.value} {refusal.value.__dict__}"

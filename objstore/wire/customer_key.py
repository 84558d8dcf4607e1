"""The key that a customer sends with a request: server-side encryption with SSE-C.

Three headers, for the object that is addressed, or with the prefix x-amz-copy-source- for the one
that is copied. A key is never part of an error, a log line or a repr.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.headers import parameter
from objstore.wire.request import Request

_PREFIX: Final = "x-amz-server-side-encryption-customer-"
_SOURCE_PREFIX: Final = "x-amz-copy-source-server-side-encryption-customer-"
_NAMES: Final = ("algorithm", "key", "key-md5")
KEY_HEADERS: Final = frozenset(_PREFIX + name for name in _NAMES)
SOURCE_KEY_HEADERS: Final = frozenset(_SOURCE_PREFIX + name for name in _NAMES)
ALGORITHM: Final = "AES256"
_KEY_BYTES: Final = 32
_KEY_CHARACTERS: Final = 44  # of 32 bytes in base64
_MD5_CHARACTERS: Final = 24
_ABOUT: Final = "Requests specifying Server Side Encryption with Customer provided keys must"


@dataclass(frozen=True, slots=True)
class CustomerKey:
    """A key of 256 bits, and its MD5 in base64, as answers repeat it."""

    secret: bytes = field(repr=False)
    md5: str


def names_key(request: Request) -> bool:
    """Tell whether a request says anything about a key for the object that it addresses."""
    return any(parameter(request, name) is not None for name in KEY_HEADERS)


def read_customer_key(
    request: Request, *, over_http: bool, source: bool = False
) -> CustomerKey | None:
    """Return the key that a request brings, None when it says nothing about one.

    Args:
        request: the request.
        over_http: believe one that came without TLS.
        source: the key of the object that is copied, instead of that which is addressed.

    Raises:
        RequestRefused: InvalidRequest without TLS; InvalidArgument for one of the three that is
            missing, not what it should be, or not of the others; InvalidEncryptionAlgorithmError.
    """
    prefix = _SOURCE_PREFIX if source else _PREFIX
    algorithm, key, md5 = (parameter(request, prefix + name) for name in _NAMES)
    if algorithm is None and key is None and md5 is None:
        return None
    if not request.secure and not over_http:
        raise RequestRefused("InvalidRequest", f"{_ABOUT} be made over a secure connection.")
    if algorithm is None:
        raise _refusal(prefix + "algorithm", f"{_ABOUT} provide a valid encryption algorithm.")
    if algorithm != ALGORITHM:
        raise RequestRefused(
            "InvalidEncryptionAlgorithmError",
            ArgumentName=prefix + "algorithm",
            ArgumentValue=algorithm[:100],
        )
    if not key:
        raise _refusal(prefix + "key", f"{_ABOUT} provide an appropriate secret key.")
    if not md5:
        raise _refusal(
            prefix + "key-MD5",
            f"{_ABOUT} provide the client calculated MD5 of the secret key.",
        )
    return _checked(prefix, key, md5)


def _checked(prefix: str, key: str, md5: str) -> CustomerKey:
    secret = _decode(key, _KEY_CHARACTERS)
    if secret is None or len(secret) != _KEY_BYTES:
        raise _refusal(prefix + "key", "The secret key was invalid for the specified algorithm.")
    computed = hashlib.md5(secret, usedforsecurity=False).digest()
    sent = _decode(md5, _MD5_CHARACTERS)
    if sent is None or not hmac.compare_digest(sent, computed):
        raise _refusal(
            prefix + "key-MD5",
            "The calculated MD5 hash of the key did not match the hash that was provided.",
        )
    return CustomerKey(secret, base64.b64encode(computed).decode("ascii"))


def _decode(text: str, characters: int) -> bytes | None:
    if len(text) != characters:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _refusal(name: str, message: str) -> RequestRefused:
    """Return the refusal of a header; its value may be a key and is not repeated."""
    return RequestRefused("InvalidArgument", message, ArgumentName=name)

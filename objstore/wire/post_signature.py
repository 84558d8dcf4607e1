"""Who signed a form that a browser posts: its policy, by Signature Version 4 or 2.

    version 4    x-amz-algorithm, x-amz-credential, x-amz-date, policy, x-amz-signature
                 signature = hex(HMAC-SHA256(signing key of the credential's scope, policy))
    version 2    AWSAccessKeyId, policy, signature
                 signature = base64(HMAC-SHA1(secret, policy))

What is signed is the `policy` field exactly as it was sent, in base64. Nothing else of the form is
covered: the policy says what the other fields may be.
"""

import base64
import hmac
from collections.abc import Callable
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import CLOCK_SKEW_SECONDS_MAX, PRESIGN_SECONDS_MAX
from objstore.wire.post_fields import POLICY_FIELD, Fields, missing_field, two_mechanisms
from objstore.wire.signature_claim import read_form_credential
from objstore.wire.signing import (
    ALGORITHM,
    SigningKeys,
    derive_key,
    read_timestamp,
    signature,
    signatures_equal,
)

_V4: Final = {
    "x-amz-algorithm": "X-Amz-Algorithm",
    "x-amz-credential": "X-Amz-Credential",
    "x-amz-date": "X-Amz-Date",
    "x-amz-signature": "X-Amz-Signature",
}
_V2: Final = {"awsaccesskeyid": "AWSAccessKeyId", "signature": "Signature"}
# What a form says about its signature, and not about the object.
SIGNATURE_FIELDS: Final = frozenset({*_V4, *_V2, POLICY_FIELD, "x-amz-security-token"})

SecretOf = Callable[[str], str | None]


def verify_post(
    fields: Fields,
    *,
    secret_of: SecretOf,
    region: str,
    now_s: int,
    keys: SigningKeys | None = None,
    sigv2: bool = True,
) -> str:
    """Return the access key that signed a form's policy, "" when nobody did nor tried to.

    Args:
        fields: the form's fields by lower-case name.
        secret_of: the secret of an access key; None for one that is unknown or disabled.
        region: the only region that a signature may be for.
        now_s: the current time, in seconds since the epoch.
        keys: signing keys to reuse; without it the key is derived anew.
        sigv2: whether signatures by version 2 are believed.

    Raises:
        RequestRefused: InvalidArgument (a field is missing or malformed, or there are two
            signatures), InvalidRequest (version 2, which is off), AccessDenied (made in the
            future), InvalidAccessKeyId, InvalidToken, SignatureDoesNotMatch.
    """
    by_v4 = any(name in fields for name in _V4)
    by_v2 = any(name in fields for name in _V2)
    if by_v4 and by_v2:
        raise two_mechanisms()
    if by_v2 and not sigv2:
        raise RequestRefused(
            "InvalidRequest",
            "The authorization mechanism you have provided is not supported. Please use"
            " AWS4-HMAC-SHA256.",
        )
    if not by_v4 and not by_v2:
        if POLICY_FIELD in fields:
            raise missing_field(_V2["awsaccesskeyid"] if sigv2 else _V4["x-amz-credential"])
        access_key = ""
    elif by_v4:
        access_key = _verify_v4(fields, secret_of, region, now_s, keys)
    else:
        access_key = _verify_v2(fields, secret_of)
    if "x-amz-security-token" in fields:
        raise RequestRefused("InvalidToken")  # none are given out
    return access_key


def _verify_v4(
    fields: Fields, secret_of: SecretOf, region: str, now_s: int, keys: SigningKeys | None
) -> str:
    policy = _required(fields, POLICY_FIELD, POLICY_FIELD)
    algorithm, credential, date, claimed = (_required(fields, *item) for item in _V4.items())
    if algorithm != ALGORITHM:
        raise _malformed("x-amz-algorithm", f'X-Amz-Algorithm only supports "{ALGORITHM}"')
    access_key, scope = read_form_credential(credential, region)
    signed_at_s = read_timestamp(date)
    if signed_at_s is None:
        raise _malformed(
            "x-amz-date", "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        )
    if scope.date != date[:8]:
        raise _malformed("x-amz-date", "X-Amz-Date is not of the day that X-Amz-Credential names.")
    if signed_at_s - now_s > CLOCK_SKEW_SECONDS_MAX:
        raise RequestRefused("AccessDenied", "Request is not yet valid")
    secret = _secret(access_key, secret_of)
    # A form may be old, and its date is anybody's choice: only those of a week are remembered.
    recent = now_s - signed_at_s <= PRESIGN_SECONDS_MAX
    key = keys.key(secret, scope) if keys is not None and recent else derive_key(secret, scope)
    _require_equal(signature(key, policy), claimed, policy)
    return access_key


def _verify_v2(fields: Fields, secret_of: SecretOf) -> str:
    access_key, claimed = (_required(fields, *item) for item in _V2.items())
    policy = _required(fields, POLICY_FIELD, POLICY_FIELD)
    digest = hmac.new(_secret(access_key, secret_of).encode(), policy.encode(), "sha1").digest()
    _require_equal(base64.b64encode(digest).decode("ascii"), claimed, policy)
    return access_key


def _required(fields: Fields, name: str, shown: str) -> str:
    value = fields.get(name)
    if not value:
        raise missing_field(shown)
    return value


def _secret(access_key: str, secret_of: SecretOf) -> str:
    secret = secret_of(access_key)
    if secret is None:
        raise RequestRefused("InvalidAccessKeyId")
    return secret


def _require_equal(computed: str, claimed: str, policy: str) -> None:
    if not signatures_equal(computed, claimed):
        raise RequestRefused("SignatureDoesNotMatch", StringToSign=policy)


def _malformed(name: str, message: str) -> RequestRefused:
    return RequestRefused("InvalidArgument", message, ArgumentName=_V4[name])

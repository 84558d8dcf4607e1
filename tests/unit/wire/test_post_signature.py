"""Who signed a form: botocore's forms hold, and no change to one survives."""

from collections.abc import Callable

import pytest
from botocore.auth import HmacV1PostAuth, S3SigV4PostAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.wire.post_signature import verify_post
from objstore.wire.signing import SigningKeys
from tests.unit.wire.posted_forms import policy_text, sign_v2, sign_v4, without
from tests.unit.wire.signed_requests import ACCESS_KEY, NOW, REGION, SECRET, STAMP

POLICY = policy_text([{"bucket": "bucket"}])
FIELDS = {"key": "k"}
V4 = FIELDS | sign_v4(POLICY)
V2 = FIELDS | sign_v2(POLICY)
MISSING = (
    "Bucket POST must contain a field named '{}'.  If it is specified, please check the order of"
    " the fields."
)


def check(
    fields: dict[str, str], *, now: int = NOW, sigv2: bool = True, keys: SigningKeys | None = None
) -> str:
    return verify_post(
        fields,
        secret_of={ACCESS_KEY: SECRET}.get,
        region=REGION,
        now_s=now,
        keys=keys,
        sigv2=sigv2,
    )


def refusal(fields: dict[str, str], *, sigv2: bool = True) -> RequestRefused:
    with pytest.raises(RequestRefused) as refused:
        check(fields, sigv2=sigv2)
    return refused.value


def test_what_is_signed_holds() -> None:
    assert check(V4) == ACCESS_KEY
    assert check(V2) == ACCESS_KEY


def test_nobody_signed() -> None:
    assert check(FIELDS) == ""


@pytest.mark.parametrize("signer", [S3SigV4PostAuth, HmacV1PostAuth])
@pytest.mark.parametrize("prefix", ["", "a/${filename}", "ü"])
def test_botocores_forms_hold(signer: Callable[..., object], prefix: str) -> None:
    request = AWSRequest("POST", "http://s3.test/bucket")
    request.context["s3-presign-post-fields"] = {"key": prefix}
    request.context["s3-presign-post-policy"] = {
        "expiration": "2030-01-01T00:00:00Z",
        "conditions": [["starts-with", "$key", prefix]],
    }
    arguments = ("s3", REGION) if signer is S3SigV4PostAuth else ()
    made = signer(Credentials(ACCESS_KEY, SECRET), *arguments)
    made.add_auth(request)  # type: ignore[attr-defined]
    fields = request.context["s3-presign-post-fields"]
    named = {name.lower(): value for name, value in fields.items()}
    assert check(named, now=4_000_000_000) == ACCESS_KEY


@given(st.sampled_from([V4, V2]), st.data())
def test_no_change_to_a_signed_field_survives(fields: dict[str, str], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(set(fields) - {"key"})))
    # The time of day is signed only if the policy names it: the key is that of a day.
    signed = len("yyyymmdd") if name == "x-amz-date" else len(fields[name])
    at = data.draw(st.integers(0, signed - 1))
    new = data.draw(st.characters(codec="utf-8").filter(lambda one: one != fields[name][at]))
    changed = fields[name][:at] + new + fields[name][at + 1 :]
    refusal({**fields, name: changed})


@pytest.mark.parametrize(
    ("fields", "reason", "message"),
    [
        (FIELDS | {"policy": POLICY}, "InvalidArgument", MISSING.format("AWSAccessKeyId")),
        (without(V2, "signature"), "InvalidArgument", MISSING.format("Signature")),
        (without(V2, "awsaccesskeyid"), "InvalidArgument", MISSING.format("AWSAccessKeyId")),
        (without(V2, "policy"), "InvalidArgument", MISSING.format("policy")),
        (V2 | {"policy": ""}, "InvalidArgument", MISSING.format("policy")),
        (without(V4, "policy"), "InvalidArgument", MISSING.format("policy")),
        (without(V4, "x-amz-signature"), "InvalidArgument", MISSING.format("X-Amz-Signature")),
        (without(V4, "x-amz-credential"), "InvalidArgument", MISSING.format("X-Amz-Credential")),
        (without(V4, "x-amz-date"), "InvalidArgument", MISSING.format("X-Amz-Date")),
        (without(V4, "x-amz-algorithm"), "InvalidArgument", MISSING.format("X-Amz-Algorithm")),
        (V4 | {"x-amz-algorithm": "AWS4-HMAC-SHA1"}, "InvalidArgument", ""),
        (V4 | {"x-amz-date": "20130524"}, "InvalidArgument", ""),
        (V4 | {"x-amz-date": "20130525T000000Z"}, "InvalidArgument", ""),
        (V4 | {"x-amz-credential": "x"}, "InvalidArgument", ""),
        (V2 | V4, "InvalidArgument", ""),  # R2: exactly one mechanism
        (V4 | {"signature": "x"}, "InvalidArgument", ""),
        (V4 | {"x-amz-security-token": "t"}, "InvalidToken", ""),
        (V2 | {"x-amz-security-token": "t"}, "InvalidToken", ""),
        (FIELDS | {"x-amz-security-token": "t"}, "InvalidToken", ""),
        (V2 | {"signature": V2["signature"][::-1]}, "SignatureDoesNotMatch", ""),
        (V4 | {"x-amz-signature": V4["x-amz-signature"].upper()}, "SignatureDoesNotMatch", ""),
        (FIELDS | sign_v2(POLICY, access_key="foo"), "InvalidAccessKeyId", ""),
        (FIELDS | sign_v4(POLICY, access_key="foo"), "InvalidAccessKeyId", ""),
        (FIELDS | sign_v2(POLICY, secret="x"), "SignatureDoesNotMatch", ""),
        (FIELDS | sign_v4(POLICY, secret="x"), "SignatureDoesNotMatch", ""),
        *[
            (FIELDS | sign_v4(POLICY, scope=scope), "InvalidArgument", "")
            for scope in (
                f"{STAMP[:8]}/eu-west-1/s3/aws4_request",
                f"{STAMP[:8]}/{REGION}/iam/aws4_request",
                f"{STAMP[:8]}/{REGION}/s3/aws4",
                f"20130523/{REGION}/s3/aws4_request",
                f"2013052/{REGION}/s3/aws4_request",
            )
        ],
    ],
)
def test_refusals(fields: dict[str, str], reason: str, message: str) -> None:
    refused = refusal(fields)
    assert refused.reason == reason
    assert message in (refused.message, "")


def test_version_2_can_be_switched_off() -> None:
    assert refusal(V2, sigv2=False).reason == "InvalidRequest"
    assert refusal(FIELDS | {"policy": POLICY}, sigv2=False).message == MISSING.format(
        "X-Amz-Credential"
    )
    assert check(V4, sigv2=False) == ACCESS_KEY


@pytest.mark.parametrize(("ahead_s", "early"), [(900, False), (901, True)])
def test_a_form_from_the_future(ahead_s: int, early: bool) -> None:
    if early:
        with pytest.raises(RequestRefused) as refused:
            check(V4, now=NOW - ahead_s)
        assert refused.value.reason == "AccessDenied"
    else:
        assert check(V4, now=NOW - ahead_s) == ACCESS_KEY


def test_old_dates_cannot_crowd_the_signing_keys() -> None:
    keys = SigningKeys()
    assert check(V4, now=NOW + 8 * 86_400, keys=keys) == ACCESS_KEY
    assert len(keys) == 0
    assert check(V4, now=NOW + 86_400, keys=keys) == ACCESS_KEY
    assert len(keys) == 1


def test_the_refusal_says_what_was_signed() -> None:
    assert refusal(V4 | {"x-amz-signature": "0" * 64}).detail["StringToSign"] == POLICY


def test_unknown_keys_are_not_told_from_known_ones_by_the_form() -> None:
    """Every other check of the form comes first, so nothing but the key differs."""
    wrong = {**V4, "x-amz-credential": V4["x-amz-credential"].replace(ACCESS_KEY, "foo")}
    assert refusal(wrong | {"x-amz-date": "x"}).reason == refusal(V4 | {"x-amz-date": "x"}).reason

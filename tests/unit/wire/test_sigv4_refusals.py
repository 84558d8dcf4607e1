"""SECURITY.md's negative cases of signatures, each with the one code that is answered."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.wire.sigv4 import verify
from tests.unit.wire.signed_requests import (
    EMPTY,
    NOW,
    SECRET,
    UNSIGNED,
    Shot,
    Signer,
    check,
)

MISMATCH = "SignatureDoesNotMatch"
MALFORMED = "AuthorizationHeaderMalformed"
BAD_QUERY = "AuthorizationQueryParametersError"
DENIED = "AccessDenied"
STREAMING = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


def authorized(text: str) -> Shot:
    return Shot().adding(("x-amz-date", "20130524T000000Z"), ("Authorization", text))


def edited(old: str, new: str) -> Shot:
    """Return a request whose Authorization header was changed after signing."""
    return Signer().sign(Shot()).changing("authorization", old, new)


def cut(pattern: str) -> Shot:
    shot = Signer().sign(Shot())
    value = re.sub(pattern, "", shot.header("authorization"))
    return shot.without("authorization").adding(("authorization", value))


def link(**wrong: str) -> Shot:
    """Return a presigned request with something wrong in its scope."""
    return Signer(**wrong).presign(Shot())  # type: ignore[arg-type]


def link_without(name: str) -> Shot:
    shot = Signer().presign(Shot())
    path, _, query = shot.target.partition("?")
    kept = [item for item in query.split("&") if not item.startswith(f"{name}=")]
    return replace(shot, target=f"{path}?{'&'.join(kept)}")


SIGNATURE = Signer().sign(Shot()).header("authorization").rpartition("=")[2]
FLIPPED = SIGNATURE[:-1] + ("0" if SIGNATURE[-1] != "0" else "1")

HEADER_CASES: dict[str, tuple[Callable[[], Shot], str]] = {
    "N002 empty": (lambda: authorized(""), DENIED),
    "N002 blank": (lambda: authorized("  "), DENIED),
    "N003 unknown key": (lambda: Signer(access_key="nobody").sign(Shot()), "InvalidAccessKeyId"),
    "N004 wrong secret": (lambda: Signer(secret="wrong").sign(Shot()), MISMATCH),
    "N005 one digit": (lambda: edited(SIGNATURE, FLIPPED), MISMATCH),
    "N005 upper case": (lambda: edited(SIGNATURE, SIGNATURE.upper()), MISMATCH),
    "N006 truncated": (lambda: edited(SIGNATURE, SIGNATURE[:-8]), MISMATCH),
    "N006 longer": (lambda: edited(SIGNATURE, SIGNATURE + "0"), MISMATCH),
    "N006 no ASCII": (lambda: edited(SIGNATURE, "é" * 64), MISMATCH),
    "N006 raw bytes": (lambda: edited(SIGNATURE, "\udcff" * 64), MISMATCH),
    "N006 empty": (lambda: edited(SIGNATURE, ""), MALFORMED),
    "N007 no equals sign": (lambda: edited("Credential=", "Credential"), MALFORMED),
    "N007 two spaces": (lambda: edited("SHA256 ", "SHA256  "), MALFORMED),
    "N007 nothing else": (lambda: authorized("AWS4-HMAC-SHA256"), MALFORMED),
    "N007 nothing but a space": (lambda: authorized("AWS4-HMAC-SHA256 ,"), MALFORMED),
    "N007 no SignedHeaders": (lambda: cut(r" SignedHeaders=[^,]*,"), MALFORMED),
    "N007 no Credential": (lambda: cut(r"Credential=[^,]*, "), MALFORMED),
    "N007 no Signature": (lambda: cut(r", Signature=.*"), MALFORMED),
    "N007 a field twice": (lambda: edited(", Signature", ", Credential=x, Signature"), MALFORMED),
    "N007 another field": (lambda: edited(", Signature", ", Other=x, Signature"), MALFORMED),
    "N007 a space inside": (lambda: edited("/us-east-1", "/us-ea st-1"), MALFORMED),
    "N007 no scope": (lambda: cut(r"/20130524/us-east-1/s3/aws4_request"), MALFORMED),
    "N007 no access key": (lambda: edited("AKIDEXAMPLE/", "/"), MALFORMED),
    "N008 region": (lambda: Signer(region="eu-west-7").sign(Shot()), MALFORMED),
    "N009 service": (lambda: Signer(service="ec2").sign(Shot()), MALFORMED),
    "N010 terminator": (lambda: Signer(terminator="aws5_request").sign(Shot()), MALFORMED),
    "N011 day of scope": (lambda: Signer(date="20130523").sign(Shot()), MALFORMED),
    "N011 no day": (lambda: Signer(date="2013052x").sign(Shot()), MALFORMED),
    "N011 non-ASCII digits": (lambda: Signer(date="\uff12\uff10130524").sign(Shot()), MALFORMED),
    "N014 no date": (lambda: Signer().sign(Shot()).without("x-amz-date"), DENIED),
    "N014 bad date": (lambda: Signer(stamp="20130524").sign(Shot()), DENIED),
    "N014 bad Date": (lambda: Signer().sign(Shot().adding(("date", "yesterday"))), DENIED),
    "N015 host": (lambda: Signer(unsigned=("host",)).sign(Shot()), DENIED),
    "R3 payload hash": (lambda: Signer(unsigned=("x-amz-content-sha256",)).sign(Shot()), DENIED),
    "R3 date": (lambda: Signer(unsigned=("x-amz-date",)).sign(Shot()), DENIED),
    "N016 acl": (
        lambda: Signer().sign(Shot("PUT")).adding(("x-amz-acl", "public-read")),
        DENIED,
    ),
    "N017 copy source": (
        lambda: Signer().sign(Shot("PUT")).adding(("X-Amz-Copy-Source", "other/secret")),
        DENIED,
    ),
    "N018 not sent": (
        lambda: Signer().sign(Shot().adding(("x-amz-meta-a", "b"))).without("x-amz-meta-a"),
        MISMATCH,
    ),
    "N018 a name twice": (lambda: edited("=host;", "=host;host;"), MISMATCH),
    "N018 not in order": (
        lambda: edited("=host;x-amz-content-sha256", "=x-amz-content-sha256;host"),
        MISMATCH,
    ),
    "N018 upper case": (lambda: edited("=host;", "=Host;"), DENIED),
    "N018 empty": (lambda: cut(r"(?<=SignedHeaders=)[^,]*"), MALFORMED),
    "N019 header changed": (
        lambda: (
            Signer().sign(Shot().adding(("x-amz-meta-a", "b"))).changing("x-amz-meta-a", "b", "c")
        ),
        MISMATCH,
    ),
    "N019 field added": (
        lambda: Signer().sign(Shot().adding(("x-amz-meta-a", "b"))).adding(("x-amz-meta-a", "c")),
        MISMATCH,
    ),
    "N019 host changed": (lambda: Signer().sign(Shot()).changing("host", "s3", "s4"), MISMATCH),
    "N020 added": (lambda: Signer().sign(Shot()).retarget("key", "key?acl"), MISMATCH),
    "N020 changed": (
        lambda: Signer().sign(Shot(target="/bucket?prefix=a")).retarget("=a", "=b"),
        MISMATCH,
    ),
    "N020 removed": (
        lambda: Signer().sign(Shot(target="/bucket?prefix=a")).retarget("?prefix=a", ""),
        MISMATCH,
    ),
    "N020 values reordered": (
        lambda: (
            Signer()
            .sign(Shot(target="/b-1?prefix=a&prefix=b"))
            .retarget("prefix=a&prefix=b", "prefix=b&prefix=a")
        ),
        MISMATCH,
    ),
    "N021 slash decoded": (
        lambda: Signer().sign(Shot(target="/bucket/a%2Fb")).retarget("%2F", "/"),
        MISMATCH,
    ),
    "N021 slash encoded": (
        lambda: Signer().sign(Shot(target="/bucket/a/b")).retarget("a/b", "a%2Fb"),
        MISMATCH,
    ),
    "N021 escaped twice": (
        lambda: Signer().sign(Shot(target="/bucket/a%20b")).retarget("%20", "%2520"),
        MISMATCH,
    ),
    "N021 slashes merged": (
        lambda: Signer().sign(Shot(target="/bucket//a")).retarget("//", "/"),
        MISMATCH,
    ),
    "N021 dots resolved": (
        lambda: Signer().sign(Shot(target="/bucket/x/../a")).retarget("x/../", ""),
        MISMATCH,
    ),
    "N022 method": (lambda: replace(Signer().sign(Shot()), method="DELETE"), MISMATCH),
    "N023 SHA1": (lambda: edited("SHA256", "SHA1"), "InvalidRequest"),
    "N023 ECDSA": (lambda: edited("HMAC-SHA256", "ECDSA-P256-SHA256"), "InvalidRequest"),
    "N024 version 2": (lambda: authorized("AWS AKID:c2lnbmF0dXJl"), "InvalidRequest"),
    "N025 header and query": (
        lambda: Signer().presign(Shot()).adding(("Authorization", "x")),
        "InvalidArgument",
    ),
    "N025 header and a credential": (
        lambda: Signer().sign(Shot(target="/bucket/key?X-Amz-Credential=x")),
        "InvalidArgument",
    ),
    "N025 header and version 2": (
        lambda: Signer().sign(Shot(target="/bucket/key?AWSAccessKeyId=x&Signature=y")),
        "InvalidArgument",
    ),
    "N025 two headers": (
        lambda: Signer().sign(Shot()).adding(("Authorization", "x")),
        "InvalidArgument",
    ),
    "N026 Basic": (lambda: authorized("Basic dTpw"), "InvalidArgument"),
    "N026 Bearer": (lambda: authorized("Bearer abc"), "InvalidArgument"),
    "N027 no payload hash": (
        lambda: Signer().sign(Shot()).without("x-amz-content-sha256"),
        "InvalidRequest",
    ),
    "N028 no hash": (lambda: Signer(payload="abc").sign(Shot()), "InvalidArgument"),
    "N028 upper case": (lambda: Signer(payload=EMPTY.upper()).sign(Shot()), "InvalidArgument"),
    "N028 ECDSA": (
        lambda: Signer(payload="STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD").sign(Shot()),
        "InvalidArgument",
    ),
    "N028 a mode's description": (
        lambda: Signer(payload="the SHA-256 of the body").sign(Shot()),
        "InvalidArgument",
    ),
    "N030 lower case": (lambda: Signer(payload=UNSIGNED.lower()).sign(Shot()), "InvalidArgument"),
    "N033 token": (
        lambda: Signer().sign(Shot().adding(("x-amz-security-token", "t"))),
        "InvalidToken",
    ),
    "N074 bad seed": (lambda: Signer(secret="x", payload=STREAMING).sign(Shot("PUT")), MISMATCH),
    "N075 nobody": (
        lambda: Shot("PUT").adding(("x-amz-content-sha256", STREAMING)),
        DENIED,
    ),
    "N075 a credential in the query": (
        lambda: Shot("PUT", "/bucket/key?X-Amz-Credential=AKIDEXAMPLE%2F20130524").adding(
            ("x-amz-content-sha256", STREAMING)
        ),
        DENIED,
    ),
}

QUERY_CASES: dict[str, tuple[Callable[[], Shot], str]] = {
    "N003 unknown key": (lambda: link(access_key="nobody"), "InvalidAccessKeyId"),
    "N004 wrong secret": (lambda: link(secret="wrong"), MISMATCH),
    "N008 region": (lambda: link(region="eu-west-7"), BAD_QUERY),
    "N009 service": (lambda: link(service="ec2"), BAD_QUERY),
    "N010 terminator": (lambda: link(terminator="aws5_request"), BAD_QUERY),
    "N011 day of scope": (lambda: link(date="20130523"), BAD_QUERY),
    "N014 bad date": (lambda: link(stamp="20130524"), BAD_QUERY),
    "N023 algorithm": (lambda: Signer().presign(Shot()).retarget("SHA256", "SHA1"), BAD_QUERY),
    "N033 token": (
        lambda: Signer().presign(Shot(), more={"X-Amz-Security-Token": "t"}),
        "InvalidToken",
    ),
    "N041 over a week": (lambda: Signer().presign(Shot(), expires="604801"), BAD_QUERY),
    **{
        f"N042 expires {text!r}": (
            lambda text=text: Signer().presign(Shot(), expires=text),  # type: ignore[misc]
            BAD_QUERY,
        )
        for text in ("-1", "ten", "0x10", "+5", "1_0", " 5", "5.0", "", "\uff19", "9" * 400)
    },
    "N040 no time at all": (lambda: Signer().presign(Shot(), expires="0"), DENIED),
    **{
        f"N044 no {name}": (
            lambda name=name: link_without(f"X-Amz-{name}"),  # type: ignore[misc]
            BAD_QUERY,
        )
        for name in ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
    },
    "N045 PUT": (lambda: replace(Signer().presign(Shot()), method="PUT"), MISMATCH),
    "N045 DELETE": (lambda: replace(Signer().presign(Shot()), method="DELETE"), MISMATCH),
    **{
        f"N046, N047 {name}": (
            lambda name=name: Signer().presign(Shot("PUT")).adding((name, "x")),  # type: ignore[misc]
            DENIED,
        )
        for name in (
            "x-amz-copy-source",
            "X-Amz-Acl",
            "x-amz-tagging",
            "x-amz-meta-a",
            "x-amz-object-lock-mode",
        )
    },
    "N048 acl": (lambda: Signer().presign(Shot()).retarget("?", "?acl&"), MISMATCH),
    "N048 version": (
        lambda: Signer().presign(Shot()).retarget("&X-Amz-Sig", "&versionId=1&X-Amz-Sig"),
        MISMATCH,
    ),
    "N049 signature twice": (
        lambda: Signer().presign(Shot()).retarget("?", f"?X-Amz-Signature={'0' * 64}&"),
        BAD_QUERY,
    ),
    "N049 credential twice": (
        lambda: Signer().presign(Shot()).retarget("?", "?X-Amz-Credential=a%2Fb&"),
        BAD_QUERY,
    ),
    "N050 override, anonymous": (
        lambda: Shot(target="/bucket/key?response-content-type=text%2Fhtml"),
        "InvalidRequest",
    ),
    "N075 streaming in a presigned URL": (
        lambda: Signer().presign(Shot("PUT").adding(("x-amz-content-sha256", STREAMING))),
        DENIED,
    ),
    "N075 streaming, unsigned": (
        lambda: Signer().presign(Shot("PUT")).adding(("x-amz-content-sha256", STREAMING)),
        DENIED,
    ),
    "two payload hashes": (
        lambda: Signer().presign(
            Shot("PUT").adding(("x-amz-content-sha256", EMPTY)),
            more={"X-Amz-Content-Sha256": UNSIGNED},
        ),
        "InvalidRequest",
    ),
    "host unsigned": (
        lambda: Signer(unsigned=("host",)).presign(Shot().adding(("a", "b"))),
        DENIED,
    ),
    "no header signed": (lambda: Signer(unsigned=("host",)).presign(Shot()), BAD_QUERY),
}


@pytest.mark.parametrize("name", HEADER_CASES)
def test_a_wrong_header(name: str) -> None:
    build, reason = HEADER_CASES[name]
    assert refusal(build()).reason == reason


@pytest.mark.parametrize("name", QUERY_CASES)
def test_a_wrong_presigned_url(name: str) -> None:
    build, reason = QUERY_CASES[name]
    assert refusal(build()).reason == reason


def refusal(shot: Shot, now: int = NOW) -> RequestRefused:
    with pytest.raises(RequestRefused) as refused:
        check(shot, now)
    everything = f"{refused.value} {refused.value.detail}"
    assert SECRET not in everything
    return refused.value


@pytest.mark.parametrize("late", [901, 16 * 60, -901, -16 * 60, 10**9])
def test_n012_n013_a_skewed_clock(late: int) -> None:
    refused = refusal(Signer().sign(Shot()), NOW + late)
    assert refused.reason == "RequestTimeTooSkewed"
    assert refused.detail["RequestTime"] == "20130524T000000Z"
    assert refused.detail["MaxAllowedSkewMilliseconds"] == "900000"


def test_n040_n043_a_link_has_its_time() -> None:
    expired = refusal(Signer().presign(Shot()), NOW + 600)
    assert (expired.reason, expired.message) == (DENIED, "Request has expired")
    assert expired.detail["Expires"] == "2013-05-24T00:10:00Z"
    early = refusal(Signer().presign(Shot()), NOW - 901)
    assert (early.reason, early.message) == (DENIED, "Request is not yet valid")


def test_a_wrong_region_names_the_right_one() -> None:
    assert refusal(Signer(region="eu-west-7").sign(Shot())).detail["Region"] == "us-east-1"
    assert refusal(link(region="eu-west-7")).detail["Region"] == "us-east-1"


def test_unsigned_headers_are_named() -> None:
    shot = Signer().sign(Shot("PUT")).adding(("x-amz-acl", "private"), ("x-amz-meta-a", "b"))
    assert refusal(shot).detail["HeadersNotSigned"] == "x-amz-acl, x-amz-meta-a"


def test_n031_a_disabled_key_is_an_unknown_one() -> None:
    with pytest.raises(RequestRefused) as refused:
        verify(
            Signer().sign(Shot()).parse(),
            secret_of=lambda _: None,
            region="us-east-1",
            now_s=NOW,
        )
    assert refused.value.reason == "InvalidAccessKeyId"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
@settings(max_examples=300)
def test_any_authorization_header_is_refused(text: str) -> None:
    for value in (text, f"AWS4-HMAC-SHA256 {text}", f"AWS4-HMAC-SHA256 Credential={text}"):
        refusal(authorized(value))


@given(st.data())
@settings(max_examples=300)
def test_no_single_change_keeps_a_signature(data: st.DataObject) -> None:
    """Change one character of target, method or a signed header: never verified."""
    shot = Signer().sign(Shot("PUT", "/bucket/key?prefix=a").adding(("x-amz-meta-a", "b c")))
    field = data.draw(st.sampled_from(["target", *[name for name, _ in shot.headers]]))
    value = shot.target if field == "target" else shot.header(field)
    at = data.draw(st.integers(0, len(value) - 1))
    letter = data.draw(st.characters(min_codepoint=0x21, max_codepoint=0x7E))
    if letter == value[at]:
        return
    changed = value[:at] + letter + value[at + 1 :]
    if field == "target":
        wrong = replace(shot, target=changed)
        if changed.replace("+", " ") == value:
            return
    else:
        wrong = shot.without(field).adding((field, changed))
    with pytest.raises(RequestRefused):
        check(wrong)

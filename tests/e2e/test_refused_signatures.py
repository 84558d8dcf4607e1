"""Requests whose signature or authorisation is wrong in one way each (SigV4 and presigned)."""

import datetime as dt
import hashlib
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.e2e.raw_http import EMPTY_SHA256, UNSIGNED, Shot, Signer, send
from tests.e2e.refusals import Row, Target, check_row, new_target
from tests.e2e.running import Cluster

DENIED = "403 AccessDenied"
MISMATCH = "403 SignatureDoesNotMatch"
MALFORMED = "400 AuthorizationHeaderMalformed"
BAD_QUERY = "400 AuthorizationQueryParametersError"
MINUTES_16 = 16 * 60.0


def signed(target: Target, **wrong: object) -> Shot:
    """Return a GET signed by a signer that has something wrong."""
    return Signer(**wrong).sign(target.shot())  # type: ignore[arg-type]


def authorization(target: Target, change: Callable[[str], str]) -> Shot:
    """Return a GET whose Authorization header was changed after signing."""
    shot = Signer().sign(target.shot())
    return shot.with_header("Authorization", change(shot.header("authorization") or ""))


def sign_then(shot: Shot, **changes: object) -> Shot:
    """Return a request that was changed after signing."""
    return replace(Signer().sign(shot), **changes)  # type: ignore[arg-type]


def unsigned_header(target: Target, name: str, value: str) -> Shot:
    """Return a PUT with a header that the signature does not cover."""
    return Signer(unsigned=(name,)).sign(target.put().adding(name, value))


def presigned_then(target: Target, change: Callable[[str], str]) -> Shot:
    """Return a presigned GET whose query was changed afterwards."""
    shot = Signer().presign(target.shot())
    return replace(shot, query=change(shot.query))


def presigned_put(target: Target, name: str, value: str) -> Shot:
    """Return a presigned PUT with an extra unsigned header."""
    return Signer().presign(target.put()).adding(name, value)


def no_date(target: Target) -> Shot:
    return Signer().sign(target.shot()).without("x-amz-date")


def missing_sha256(target: Target) -> Shot:
    """Sign with everything but x-amz-content-sha256."""
    shot = Signer(unsigned=("x-amz-content-sha256",)).sign(target.put())
    return shot.without("x-amz-content-sha256")


def without_field(target: Target, name: str) -> Shot:
    def drop(query: str) -> str:
        return "&".join(item for item in query.split("&") if not item.startswith(f"{name}="))

    return presigned_then(target, drop)


def both_mechanisms(target: Target) -> Shot:
    header = Signer().sign(target.shot()).header("authorization") or ""
    return Signer().presign(target.shot()).adding("Authorization", header)


def names_header_not_sent(target: Target) -> Shot:
    shot = Signer().sign(target.put().adding("x-amz-meta-a", "b"))
    return shot.without("x-amz-meta-a")


def yesterday() -> str:
    moment = dt.datetime.fromtimestamp(time.time() - 86_400, dt.UTC)
    return moment.strftime("%Y%m%d")


def other_sha(target: Target) -> Shot:
    return Signer().sign(target.put(), hashlib.sha256(b"something else").hexdigest())


def future(target: Target) -> Shot:
    return Signer(age_s=-MINUTES_16).presign(target.shot())


HEADER_ROWS = [
    Row("N001 no Authorization", lambda t: t.shot(), DENIED),
    Row("N001 no Authorization, PUT", lambda t: t.put(), DENIED),
    Row("N002 empty", lambda t: t.shot().adding("Authorization", ""), DENIED),
    Row("N003 unknown key", lambda t: signed(t, access_key="nobody"), "403 InvalidAccessKeyId"),
    Row("N004 wrong secret", lambda t: signed(t, secret_key="wrong"), MISMATCH),
    Row(
        "N005 one digit",
        lambda t: authorization(t, lambda a: a[:-1] + ("0" if a[-1] != "0" else "1")),
        MISMATCH,
    ),
    Row(
        "N006 truncated", lambda t: authorization(t, lambda a: a[:-8]), f"{MISMATCH} | {MALFORMED}"
    ),
    Row(
        "N006 empty signature",
        lambda t: authorization(t, lambda a: a.partition("Signature=")[0] + "Signature="),
        f"{MISMATCH} | {MALFORMED}",
    ),
    Row(
        "N007 no equals sign",
        lambda t: authorization(t, lambda a: a.replace("Credential=", "Credential")),
        MALFORMED,
    ),
    Row(
        "N007 fields missing",
        lambda t: authorization(t, lambda a: a.partition(", SignedHeaders")[0]),
        MALFORMED,
    ),
    Row("N008 wrong region", lambda t: signed(t, region="eu-west-7"), MALFORMED),
    Row("N009 wrong service", lambda t: signed(t, service="ec2"), MALFORMED),
    Row("N010 wrong terminator", lambda t: signed(t, terminator="aws5_request"), MALFORMED),
    Row(
        "N011 day of scope",
        lambda t: signed(t, scope_day=yesterday()),
        f"{MISMATCH} | {MALFORMED}",
    ),
    Row("N012 too old", lambda t: signed(t, age_s=MINUTES_16), "403 RequestTimeTooSkewed"),
    Row("N013 future", lambda t: signed(t, age_s=-MINUTES_16), "403 RequestTimeTooSkewed"),
    Row("N014 no date", no_date, DENIED),
    Row("N015 host unsigned", lambda t: signed(t, unsigned=("host",)), f"{DENIED} | {MISMATCH}"),
    Row("N016 acl unsigned", lambda t: unsigned_header(t, "x-amz-acl", "public-read"), DENIED),
    Row(
        "N017 copy source unsigned",
        lambda t: unsigned_header(t, "x-amz-copy-source", f"{t.other}/secret"),
        DENIED,
    ),
    Row("N018 header not sent", names_header_not_sent, MISMATCH),
    Row(
        "N019 header changed",
        lambda t: (
            Signer().sign(t.put().adding("x-amz-meta-a", "b")).with_header("x-amz-meta-a", "c")
        ),
        MISMATCH,
    ),
    Row("N020 query added", lambda t: sign_then(t.shot(), query="x=1"), MISMATCH),
    Row(
        "N020 query changed",
        lambda t: sign_then(replace(t.shot(key=None), query="prefix=a"), query="prefix=b"),
        MISMATCH,
    ),
    Row(
        "N021 path re-encoded",
        lambda t: sign_then(t.shot(key="a%2Fb"), path=f"/{t.bucket}/a/b"),
        MISMATCH,
    ),
    Row("N022 method changed", lambda t: sign_then(t.shot(), method="DELETE"), MISMATCH),
    Row(
        "N023 other algorithm",
        lambda t: authorization(t, lambda a: a.replace("SHA256", "SHA1", 1)),
        f"400 InvalidRequest | {MALFORMED}",
    ),
    Row(
        "N024 SigV2",
        lambda t: t.shot().adding("Authorization", "AWS key:c2lnbmF0dXJl"),
        "400 InvalidRequest",
    ),
    Row(
        "N024 a SigV2 link",
        lambda t: replace(t.shot(), query="AWSAccessKeyId=a&Signature=YQ%3D%3D&Expires=9999999999"),
        "403 InvalidAccessKeyId",
    ),
    Row("N025 two mechanisms", both_mechanisms, "400 InvalidArgument | 400 InvalidRequest"),
    Row(
        "N026 Basic",
        lambda t: t.shot().adding("Authorization", "Basic dTpw"),
        "400 InvalidArgument",
    ),
    Row(
        "N026 Bearer",
        lambda t: t.shot().adding("Authorization", "Bearer abc"),
        "400 InvalidArgument",
    ),
    Row("N027 no sha256", missing_sha256, "400 InvalidRequest"),
    Row("N028 not a sha256", lambda t: Signer().sign(t.put(), "abc"), "400 InvalidArgument"),
    Row("N029 sha256 of other bytes", other_sha, "400 XAmzContentSHA256Mismatch"),
    Row(
        "N030 lower case",
        lambda t: Signer().sign(t.put(), UNSIGNED.lower()),
        "400 InvalidArgument",
    ),
    Row(
        "N029 sha256 of no bytes",
        lambda t: Signer().sign(t.put(), EMPTY_SHA256),
        "400 XAmzContentSHA256Mismatch",
    ),
]

FIELDS = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")

PRESIGNED_ROWS = [
    Row("N040 expired", lambda t: Signer(age_s=700).presign(t.shot()), DENIED),
    Row("N041 too long", lambda t: Signer().presign(t.shot(), expires="604801"), BAD_QUERY),
    Row("N042 negative", lambda t: Signer().presign(t.shot(), expires="-1"), BAD_QUERY),
    Row("N042 no number", lambda t: Signer().presign(t.shot(), expires="ten"), BAD_QUERY),
    Row("N042 hex", lambda t: Signer().presign(t.shot(), expires="0x10"), BAD_QUERY),
    Row("N043 future", future, DENIED),
    *(
        Row(
            f"N044 no X-Amz-{name}",
            lambda t, name=name: without_field(t, f"X-Amz-{name}"),  # type: ignore[misc]
            # Without Algorithm or Signature nothing says that the query is a signature.
            f"{BAD_QUERY} | {DENIED}" if name in ("Algorithm", "Signature") else BAD_QUERY,
        )
        for name in FIELDS
    ),
    Row(
        "N045 GET used for PUT",
        lambda t: replace(Signer().presign(t.shot()), method="PUT", body=b"x"),
        MISMATCH,
    ),
    Row(
        "N045 GET used for DELETE",
        lambda t: replace(Signer().presign(t.shot()), method="DELETE"),
        MISMATCH,
    ),
    Row(
        "N046 copy source",
        lambda t: presigned_put(t, "x-amz-copy-source", f"{t.other}/secret"),
        DENIED,
    ),
    Row("N047 acl", lambda t: presigned_put(t, "x-amz-acl", "public-read"), DENIED),
    Row("N047 tagging", lambda t: presigned_put(t, "x-amz-tagging", "a=b"), DENIED),
    Row("N047 metadata", lambda t: presigned_put(t, "x-amz-meta-a", "b"), DENIED),
    Row(
        "N047 object lock",
        lambda t: presigned_put(t, "x-amz-object-lock-mode", "COMPLIANCE"),
        DENIED,
    ),
    Row("N048 acl added", lambda t: presigned_then(t, lambda q: f"acl&{q}"), MISMATCH),
    Row("N048 version added", lambda t: presigned_then(t, lambda q: f"{q}&versionId=1"), MISMATCH),
    Row(
        "N049 signature twice",
        lambda t: presigned_then(t, lambda q: f"{q}&X-Amz-Signature={'0' * 64}"),
        f"{BAD_QUERY} | 400 InvalidArgument",
    ),
    Row(
        "N049 credential twice",
        lambda t: presigned_then(t, lambda q: f"X-Amz-Credential=a%2Fb&{q}"),
        f"{BAD_QUERY} | 400 InvalidArgument",
    ),
    Row(
        "N050 response override, anonymous",
        lambda t: replace(t.shot(), query="response-content-type=text%2Fhtml"),
        f"400 InvalidRequest | {DENIED}",
    ),
    Row(
        "N051 CR LF in an override",
        lambda t: Signer().presign(
            replace(t.shot(), query="response-content-disposition=a%0D%0ASet-Cookie%3A%20b")
        ),
        "400 InvalidArgument",
    ),
]

ROWS = HEADER_ROWS + PRESIGNED_ROWS


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Target:
    return new_target(cluster)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_a_wrong_signature_is_refused(target: Target, row: Row) -> None:
    check_row(target, row)


def test_the_same_requests_signed_rightly_are_answered(target: Target) -> None:
    """Without this the tables above would also pass against a server that refuses everything."""
    address = target.cluster.address(0)
    assert send(address, Signer().sign(target.shot())).status == 200
    assert send(address, Signer().presign(target.shot())).status == 200
    assert send(address, Signer(age_s=14 * 60).sign(target.shot())).status == 200
    assert send(address, Signer(age_s=500).presign(target.shot())).status == 200
    put = Signer().sign(target.shot("PUT", "right", b"x"))
    assert send(address, put).status == 200
    unsigned = Signer().sign(target.shot("PUT", "right", b"y"), UNSIGNED)
    assert send(address, unsigned).status == 200
    presigned = Signer().presign(target.shot("PUT", "right", b"z"))
    assert send(address, presigned).status == 200
    assert send(address, Signer().sign(target.shot(key="right"))).body == b"z"


def test_a_wrong_region_names_the_right_one(target: Target) -> None:
    answer = send(target.cluster.address(0), signed(target, region="eu-west-7"))
    assert b"<Region>us-east-1</Region>" in answer.body


def test_an_expired_link_says_so(target: Target) -> None:
    answer = send(target.cluster.address(0), Signer(age_s=700).presign(target.shot()))
    assert b"Request has expired" in answer.body

"""Signatures: those of AWS's documentation, of botocore and of our own signer hold."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import SIGNING_KEYS_MAX
from objstore.wire.request import Query, parse_request
from objstore.wire.signing import (
    Scope,
    SigningKeys,
    canonical_path,
    canonical_query,
    derive_key,
    read_timestamp,
    write_timestamp,
)
from objstore.wire.sigv4 import Anonymous, PayloadMode, Verified, presign, sign, verify
from tests.unit.wire.signed_requests import (
    ACCESS_KEY,
    EMPTY,
    NOW,
    REGION,
    SECRET,
    STAMP,
    UNSIGNED,
    Shot,
    Signer,
    check,
)

NASTY = ["a b", "a+b", "a%b", "a//b", "/a", "../k", "./k", "~a", "a?b", "a#b", "ü/ß", "日本",
         "a=b&c", "!'()*", "a\\b", "%2F", "😀", "a:b@c", "\x7f\x01", " ", "a/"]  # fmt: skip
KEYS = st.one_of(
    st.sampled_from(NASTY),
    st.text(
        st.characters(exclude_characters="\x00", exclude_categories=["Cs"]),
        min_size=1,
        max_size=30,
    ),
)
VALUES = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PARAMETERS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
        lambda name: not name.lower().startswith(("x-amz", "response-"))
    ),
    VALUES,
    max_size=4,
)
HEADER_VALUES = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=0, max_size=30
)


def botocore_request(method: str, key: str, parameters: dict[str, str], meta: str) -> AWSRequest:
    query = "&".join(
        f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
        for name, value in parameters.items()
    )
    url = f"http://s3.test:9000/bucket/{quote(key, safe='/~')}"
    headers = {"x-amz-meta-a": meta, "Content-Type": "text/plain"}
    return AWSRequest(method, url + (f"?{query}" if query else ""), headers, b"body")


def shot_of(request: AWSRequest) -> Shot:
    parts = urlsplit(request.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    fields = [("host", "s3.test:9000"), *request.headers.items()]
    return Shot(request.method, target, tuple(fields))


@given(KEYS, PARAMETERS, HEADER_VALUES, st.sampled_from(["GET", "PUT", "DELETE"]))
@settings(max_examples=150)
def test_botocore_signs_and_we_agree(
    key: str, parameters: dict[str, str], meta: str, method: str
) -> None:
    request = botocore_request(method, key, parameters, meta)
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET), "s3", REGION).add_auth(request)
    now = read_timestamp(request.context["timestamp"])
    assert now is not None
    verified = check(shot_of(request), now)
    assert isinstance(verified, Verified)
    assert verified.access_key == ACCESS_KEY
    assert verified.payload is PayloadMode.SIGNED
    assert verified.payload_sha256 == hashlib.sha256(b"body").digest()
    assert not verified.presigned


@given(KEYS, PARAMETERS, HEADER_VALUES, st.sampled_from(["GET", "PUT", "DELETE"]))
@settings(max_examples=150)
def test_botocore_presigns_and_we_agree(
    key: str, parameters: dict[str, str], meta: str, method: str
) -> None:
    request = botocore_request(method, key, parameters, meta)
    request.data = b""
    S3SigV4QueryAuth(Credentials(ACCESS_KEY, SECRET), "s3", REGION, expires=600).add_auth(request)
    now = read_timestamp(request.context["timestamp"])
    assert now is not None
    verified = check(shot_of(request), now)
    assert isinstance(verified, Verified)
    assert verified.payload is PayloadMode.UNSIGNED
    assert verified.presigned


@given(KEYS, PARAMETERS)
@settings(max_examples=100)
def test_our_own_signatures_hold(key: str, parameters: dict[str, str]) -> None:
    query = "&".join(
        f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in parameters.items()
    )
    target = f"/bucket/{quote(key, safe='/~')}" + (f"?{query}" if query else "")
    headers = {"Host": "s3.test", "x-amz-meta-a": " b  c "}
    signed = sign(
        method="PUT",
        raw_target=target,
        headers=headers,
        access_key=ACCESS_KEY,
        secret_key=SECRET,
        region=REGION,
        now_s=NOW,
    )
    verified = check(Shot("PUT", target, tuple(signed.items())))
    assert isinstance(verified, Verified)
    url = presign(
        method="GET",
        raw_target=target,
        headers={"host": "s3.test"},
        access_key=ACCESS_KEY,
        secret_key=SECRET,
        region=REGION,
        now_s=NOW,
        expires_s=60,
    )
    assert isinstance(check(Shot("GET", url), NOW + 59), Verified)


def test_our_signature_is_botocores() -> None:
    request = botocore_request("PUT", "a b/ü", {"x": "y z"}, "m")
    S3SigV4Auth(Credentials(ACCESS_KEY, SECRET), "s3", REGION).add_auth(request)
    now = read_timestamp(request.context["timestamp"])
    assert now is not None
    shot = shot_of(request)
    fields = {
        name: value
        for name, value in shot.headers
        if name.lower() not in ("authorization", "x-amz-date", "x-amz-content-sha256")
    }
    ours = sign(
        method="PUT",
        raw_target=shot.target,
        headers=fields,
        access_key=ACCESS_KEY,
        secret_key=SECRET,
        region=REGION,
        now_s=now,
        payload=hashlib.sha256(b"body").hexdigest(),
    )
    assert ours["authorization"] == shot.header("authorization")


# --- the worked examples of AWS's documentation ----------------------------------------

EXAMPLE_KEY = "AKIAIOSFODNN7EXAMPLE"
EXAMPLE_SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
EXAMPLE_HOST = ("Host", "examplebucket.s3.amazonaws.com")
EXAMPLE_SCOPE = "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"


def example(target: str, names: str, signature: str, *fields: tuple[str, str]) -> Shot:
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={EXAMPLE_SCOPE},SignedHeaders={names},Signature={signature}"
    )
    date = ("x-amz-date", STAMP)
    return Shot("GET", target, (EXAMPLE_HOST, date, *fields, ("Authorization", authorization)))


NO_BODY = ("x-amz-content-sha256", EMPTY)
EXAMPLES = {
    "GET object": example(
        "/test.txt",
        "host;range;x-amz-content-sha256;x-amz-date",
        "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        NO_BODY,
        ("Range", "bytes=0-9"),
    ),
    "PUT object": replace(
        example(
            "/test%24file.text",
            "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
            ("Date", "Fri, 24 May 2013 00:00:00 GMT"),
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
            (
                "x-amz-content-sha256",
                "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072",
            ),
        ),
        method="PUT",
    ),
    "GET bucket lifecycle": example(
        "/?lifecycle",
        "host;x-amz-content-sha256;x-amz-date",
        "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        NO_BODY,
    ),
    "GET bucket": example(
        "/?max-keys=2&prefix=J",
        "host;x-amz-content-sha256;x-amz-date",
        "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        NO_BODY,
    ),
    "presigned GET": Shot(
        "GET",
        "/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        f"&X-Amz-Credential={quote(EXAMPLE_SCOPE, safe='')}"
        "&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host"
        "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        (EXAMPLE_HOST,),
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_awss_worked_examples(name: str) -> None:
    shot = EXAMPLES[name]
    request = parse_request(
        method=shot.method,
        raw_target=shot.target,
        headers=shot.headers,
        domains=("s3.amazonaws.com",),
        secure=False,
        remote="",
        request_id="",
    )
    assert request.bucket == "examplebucket"
    verified = verify(
        request,
        secret_of={EXAMPLE_KEY: EXAMPLE_SECRET}.get,
        region="us-east-1",
        now_s=NOW + 60,
    )
    assert isinstance(verified, Verified)
    assert (verified.access_key, verified.service) == (EXAMPLE_KEY, "s3")


# --- what else is accepted --------------------------------------------------------------


def test_an_unsigned_request_is_anonymous() -> None:
    assert check(Shot()) == Anonymous(PayloadMode.UNSIGNED, None)
    hashed = Shot().adding(("x-amz-content-sha256", EMPTY))
    assert check(hashed) == Anonymous(PayloadMode.SIGNED, bytes.fromhex(EMPTY))


@pytest.mark.parametrize("mode", [mode for mode in PayloadMode if mode is not PayloadMode.SIGNED])
def test_every_payload_mode(mode: PayloadMode) -> None:
    verified = check(Signer(payload=mode.value).sign(Shot("PUT")))
    assert isinstance(verified, Verified)
    assert verified.payload is mode
    assert verified.payload_sha256 is None
    assert (verified.seed is not None) == mode.chunks_signed


def test_a_date_header_stands_in_for_x_amz_date() -> None:
    shot = Shot().adding(("date", "Fri, 24 May 2013 00:00:00 GMT"))
    assert isinstance(check(Signer().sign(shot)), Verified)


def test_the_edges_of_the_time_allowed() -> None:
    signed = Signer().sign(Shot())
    assert isinstance(check(signed, NOW + 900), Verified)
    assert isinstance(check(signed, NOW - 900), Verified)
    link = Signer().presign(Shot())
    assert isinstance(check(link, NOW + 599), Verified)
    assert isinstance(check(link, NOW - 900), Verified)
    week = Signer().presign(Shot(), expires="604800")
    assert isinstance(check(week, NOW + 604_799), Verified)


def test_an_access_key_may_have_slashes() -> None:
    shot = Signer(access_key="team/a").sign(Shot())
    verified = verify(shot.parse(), secret_of={"team/a": SECRET}.get, region=REGION, now_s=NOW)
    assert isinstance(verified, Verified)
    assert verified.access_key == "team/a"


def test_the_path_may_be_less_encoded_than_what_was_signed() -> None:
    """A client's HTTP library may undo escapes that are not needed; the key is the same."""
    signed = Signer().sign(Shot(target="/bucket/a%28b%29%21%2F"))
    assert isinstance(check(signed.retarget("%28b%29%21", "(b)!")), Verified)
    assert isinstance(check(signed.retarget("%2F", "%2f")), Verified)


def test_a_path_that_was_signed_as_sent() -> None:
    for target in ("/bucket/a(b)", "/bucket/%2e%2e%2fa", "/bucket/%7Ea", "/bucket//a/./b"):
        assert isinstance(check(Signer().sign(Shot(target=target))), Verified)


def test_a_presigned_payload_hash() -> None:
    shot = Shot("PUT").adding(("x-amz-content-sha256", EMPTY))
    verified = check(Signer().presign(shot))
    assert isinstance(verified, Verified)
    assert verified.payload_sha256 == bytes.fromhex(EMPTY)
    said = check(Signer().presign(Shot(), more={"X-Amz-Content-Sha256": UNSIGNED}))
    assert isinstance(said, Verified)
    assert said.payload is PayloadMode.UNSIGNED


@pytest.mark.parametrize("make", [Signer.sign, Signer.presign])
def test_a_content_type_that_nobody_signed_is_let_through(
    make: Callable[[Signer, Shot], Shot],
) -> None:
    """As AWS does: minio-js never signs it, and browsers add their own to a presigned URL."""
    shot = make(Signer(), Shot("PUT")).adding(("content-type", "application/x-test"))
    assert isinstance(check(shot), Verified)
    signed = make(Signer(), Shot("PUT").adding(("content-type", "application/x-test")))
    with pytest.raises(RequestRefused, match="SignatureDoesNotMatch"):
        check(signed.changing("content-type", "application/x-test", "text/html"))


def test_repeated_header_fields_are_joined() -> None:
    shot = Shot().adding(("x-amz-meta-a", "1"), ("x-amz-meta-a", "2"))
    joined = Signer().sign(Shot().adding(("x-amz-meta-a", "1,2")))
    fields = [*shot.headers, *[f for f in joined.headers if f not in Shot().headers]]
    fields.remove(("x-amz-meta-a", "1,2"))
    assert isinstance(check(Shot(headers=tuple(fields))), Verified)


def test_raw_bytes_in_a_header_are_signed_as_they_are() -> None:
    for raw in (b"caf\xe9", "café".encode()):
        value = raw.decode("utf-8", "surrogateescape")
        named = sign(
            method="GET",
            raw_target="/bucket/key",
            headers={"host": "s3.test", "x-amz-meta-a": value},
            access_key=ACCESS_KEY,
            secret_key=SECRET,
            region=REGION,
            now_s=NOW,
        )
        assert isinstance(check(Shot(headers=tuple(named.items()))), Verified)


# --- parts ------------------------------------------------------------------------------


def test_signing_keys_are_bounded_and_follow_the_secret() -> None:
    keys = SigningKeys(limit=3)
    scopes = [Scope(f"201305{day:02}", REGION, "s3") for day in range(1, 10)]
    for scope in scopes:
        assert keys.key(SECRET, scope) == derive_key(SECRET, scope)
        assert keys.key(SECRET, scope) == derive_key(SECRET, scope)
        assert len(keys) <= 3
    assert keys.key("changed", scopes[-1]) == derive_key("changed", scopes[-1])
    assert SIGNING_KEYS_MAX >= 1


def test_cached_keys_change_nothing() -> None:
    keys = SigningKeys()
    for _ in range(2):
        verified = verify(
            Signer().sign(Shot()).parse(),
            secret_of={ACCESS_KEY: SECRET}.get,
            region=REGION,
            now_s=NOW,
            keys=keys,
        )
        assert isinstance(verified, Verified)
    assert len(keys) == 1


@given(st.integers(0, 253_402_300_799))
@settings(max_examples=100)
def test_timestamps(seconds: int) -> None:
    assert read_timestamp(write_timestamp(seconds)) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "20130524", "20130524T000000", "20131324T000000Z", "20130524T250000Z", "2013052 T000000Z",
     "20130524T000000Z ", "+0130524T000000Z", "\uff12\uff10130524T000000Z", "20130524T0000_0Z"],
)  # fmt: skip
def test_bad_timestamps(text: str) -> None:
    assert read_timestamp(text) is None


def test_canonical_forms() -> None:
    assert canonical_path("/a/%2f/%7e/(b)/%c3%BC//./..") == "/a/%2F/~/%28b%29/%C3%BC//./.."
    assert canonical_query(Query("b=2&a=x%20y&a=+&c&B=%2f").pairs) == "B=%2F&a=x%20y&a=%20&b=2&c="

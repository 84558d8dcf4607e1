"""Links by Signature Version 2: those botocore makes hold, and no change to one survives."""

import time
from dataclasses import replace
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.wire.request import parse_request
from objstore.wire.sigv4 import Anonymous, PayloadMode, Verified, verify
from tests.unit.wire.signed_requests import ACCESS_KEY, REGION, SECRET, Shot

NOW = int(time.time())
KEYS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1)


def link(
    method: str = "GET",
    path: str = "/bucket/key",
    query: str = "",
    *,
    secret: str = SECRET,
    auth_path: str | None = None,
    **headers: str,
) -> Shot:
    """Return a request by a link that botocore signed; its headers moved into the query."""
    url = f"http://s3.test{path}" + (f"?{query}" if query else "")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = AWSRequest(method=method, url=url, headers=named, auth_path=auth_path)
    HmacV1QueryAuth(Credentials(ACCESS_KEY, secret), expires=600).add_auth(request)
    target = urlsplit(request.url)
    return Shot(method=method, target=f"{target.path}?{target.query}")


def check(shot: Shot, *, now: int = NOW, sigv2_links: bool = True) -> Verified:
    verdict = verify(
        shot.parse(),
        secret_of={ACCESS_KEY: SECRET}.get,
        region=REGION,
        now_s=now,
        sigv2_links=sigv2_links,
    )
    assert isinstance(verdict, Verified)
    return verdict


def refusal(shot: Shot, *, now: int = NOW, sigv2_links: bool = True) -> str:
    with pytest.raises(RequestRefused) as refused:
        check(shot, now=now, sigv2_links=sigv2_links)
    return refused.value.reason


@given(KEYS)
def test_botocores_links_hold_whatever_the_key(key: str) -> None:
    verdict = check(link(path=f"/bucket/{quote(key, safe='/~')}"))
    assert (verdict.access_key, verdict.presigned) == (ACCESS_KEY, True)
    assert verdict.payload is PayloadMode.UNSIGNED


@pytest.mark.parametrize(
    "shot",
    [
        link("PUT"),
        link("PUT", Content_Type="text/plain", Content_MD5="1B2M2Y8AsgTpgAmY7PhCfg=="),
        link("PUT", x_amz_meta_color="dark  blue", x_amz_storage_class="STANDARD"),
        link(query="response-content-disposition=attachment%3B%20filename%3D%22a%20b.txt%22"),
        link("POST", query="uploads"),
        link("PUT", query="uploadId=abc&partNumber=7"),
        link(path="/bucket", query="prefix=a%2F&max-keys=5"),
        link("DELETE"),
    ],
    ids=lambda shot: f"{shot.method} {shot.target.partition('AWSAccessKeyId')[0]}",
)
def test_botocores_links_hold_whatever_they_ask_for(shot: Shot) -> None:
    assert check(shot).access_key == ACCESS_KEY


def test_headers_may_be_sent_as_headers_or_stay_in_the_link() -> None:
    signed = link("PUT", Content_Type="text/plain")
    assert check(signed.adding(("Content-Type", "text/plain"))).presigned
    assert refusal(signed.adding(("Content-Type", "text/html"))) == "SignatureDoesNotMatch"


def test_spaces_inside_a_header_are_signed_as_they_are() -> None:
    spaced = "dark  blue"
    signed = link("PUT", x_amz_meta_color=spaced)
    assert check(signed.adding(("x-amz-meta-color", spaced))).presigned


def test_the_bucket_of_a_virtual_host_is_part_of_what_is_signed() -> None:
    shot = link(path="/key", auth_path="/bucket/key")

    def at(host: str) -> Verified | Anonymous:
        request = parse_request(
            method="GET",
            raw_target=shot.target,
            headers=[("host", host)],
            domains=("s3.test",),
            secure=False,
            remote="",
            request_id="",
        )
        return verify(request, secret_of={ACCESS_KEY: SECRET}.get, region=REGION, now_s=NOW)

    assert isinstance(at("bucket.s3.test"), Verified)
    with pytest.raises(RequestRefused, match="SignatureDoesNotMatch"):
        at("other.s3.test")


@pytest.mark.parametrize(
    ("shot", "code"),
    [
        (replace(link(), method="PUT"), "SignatureDoesNotMatch"),
        (link().retarget("/key", "/kez"), "SignatureDoesNotMatch"),
        (link(secret="wrong"), "SignatureDoesNotMatch"),
        (link().retarget("Expires=", "Expires=1"), "SignatureDoesNotMatch"),
        (link().retarget("?", "?acl&"), "SignatureDoesNotMatch"),
        (link().retarget("?", "?uploadId=x&"), "SignatureDoesNotMatch"),
        (link().retarget("?", "?x-amz-meta-a=b&"), "SignatureDoesNotMatch"),
        (link().adding(("x-amz-meta-a", "b")), "SignatureDoesNotMatch"),
        (link(x_amz_meta_a="b").adding(("x-amz-meta-a", "c")), "SignatureDoesNotMatch"),
        (link().retarget(ACCESS_KEY, "AKIDOTHER"), "InvalidAccessKeyId"),
        (link(x_amz_security_token="t"), "InvalidToken"),
        (link().retarget("?", "?Expires=1&"), "AccessDenied"),
        (link().retarget("Expires=", "Expired="), "AccessDenied"),
        (link().retarget("Expires=", "Expires=x"), "AccessDenied"),
        (link().retarget("Expires=", "Expires=-"), "AccessDenied"),
        *(
            (link("PUT").retarget("?", f"?{name}&"), "AccessDenied")
            for name in ("retention", "legal-hold", "attributes", "encryption", "publicAccessBlock")
        ),
        (
            link("PUT", x_amz_content_sha256="STREAMING-UNSIGNED-PAYLOAD-TRAILER").adding(
                ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER")
            ),
            "AccessDenied",
        ),
    ],
)
def test_what_is_changed_or_uncovered_is_refused(shot: Shot, code: str) -> None:
    assert refusal(shot) == code


def test_a_link_ends() -> None:
    shot = link()
    expires = int(shot.parse().query.get("Expires") or "")
    assert check(shot, now=expires).presigned
    assert refusal(shot, now=expires + 1) == "AccessDenied"


def test_links_can_be_switched_off() -> None:
    assert refusal(link(), sigv2_links=False) == "InvalidRequest"


@given(st.integers(min_value=0), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_single_change_of_the_link_survives(at: int, char: str) -> None:
    shot = link("PUT", "/bucket/some/key", "uploadId=abc&partNumber=7")
    place = 1 + at % (len(shot.target) - 1)
    changed = replace(shot, target=shot.target[:place] + char + shot.target[place + 1 :])
    try:
        request = changed.parse()
        verdict = verify(request, secret_of={ACCESS_KEY: SECRET}.get, region=REGION, now_s=NOW)
    except RequestRefused:
        return
    if isinstance(verdict, Anonymous):
        return  # too broken to be a link at all
    same = shot.parse()
    # What holds still means the same: an escape in another case, say.
    assert (request.bucket, request.key) == (same.bucket, same.key)
    assert sorted(request.query.pairs) == sorted(same.query.pairs)

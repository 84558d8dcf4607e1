"""Targets, hosts and names: decoded once, addressed once, refused with AWS's codes."""

from contextlib import suppress
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.wire.request import Headers, Query, Request, check_bucket_name, parse_request

DOMAINS = ("example.com", "s3.example.com")


def parse(
    target: str,
    *,
    host: str = "127.0.0.1:9000",
    domains: tuple[str, ...] = (),
    headers: tuple[tuple[str, str], ...] = (),
) -> Request:
    return parse_request(
        method="GET",
        raw_target=target,
        headers=[("Host", host), *headers],
        domains=domains,
        secure=False,
        remote="127.0.0.1",
        request_id="ID",
    )


def refusal(target: str, host: str = "s3.test", domains: tuple[str, ...] = ()) -> str:
    with pytest.raises(RequestRefused) as refused:
        parse(target, host=host, domains=domains)
    return refused.value.reason


@pytest.mark.parametrize(
    ("target", "bucket", "key"),
    [
        ("/", None, None),
        ("/?x-id=ListBuckets", None, None),
        ("/bucket", "bucket", None),
        ("/bucket/", "bucket", None),
        ("/bucket?location", "bucket", None),
        ("/bucket/key", "bucket", "key"),
        ("/bucket//key", "bucket", "/key"),
        ("/bucket/a/", "bucket", "a/"),
        ("/bucket/../other/k", "bucket", "../other/k"),
        ("/bucket/%2e%2e%2fother%2Fk", "bucket", "../other/k"),
        ("/bucket/..%5ck", "bucket", "..\\k"),
        ("/bucket/%252e%252e%252f", "bucket", "%2e%2e%2f"),
        ("/bucket/%25ff", "bucket", "%ff"),
        ("/bucket/./a", "bucket", "./a"),
        ("/bucket/a+b%2Bc%20d", "bucket", "a+b+c d"),
        ("/bucket/%C3%BC", "bucket", "ü"),
        ("/bucket/a%3Fb%23c", "bucket", "a?b#c"),
        ("/b%75cket/k", "bucket", "k"),
    ],
)
def test_path_style(target: str, bucket: str | None, key: str | None) -> None:
    request = parse(target)
    assert (request.bucket, request.key) == (bucket, key)
    assert not request.virtual_host
    assert request.raw_path == target.partition("?")[0]


@pytest.mark.parametrize(
    ("host", "target", "bucket", "key"),
    [
        ("bucket.s3.example.com", "/", "bucket", None),
        ("bucket.s3.example.com:9000", "/a/b", "bucket", "a/b"),
        ("a.b.s3.example.com", "/k", "a.b", "k"),
        ("BUCKET.S3.Example.com", "/k", "bucket", "k"),
        ("bucket.example.com.", "/k", "bucket", "k"),
        ("bucket.example.com", "//k", "bucket", "/k"),
        ("s3.example.com", "/bucket/k", "bucket", "k"),
        ("example.com", "/bucket/k", "bucket", "k"),
        ("evil-s3.example.org", "/bucket/k", "bucket", "k"),
        ("bucket.s3.example.com.evil.org", "/other/k", "other", "k"),
        ("[::1]:9000", "/bucket/k", "bucket", "k"),
    ],
)
def test_virtual_host_style(host: str, target: str, bucket: str, key: str | None) -> None:
    request = parse(target, host=host, domains=DOMAINS)
    assert (request.bucket, request.key) == (bucket, key)
    assert request.host == host


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("", "InvalidURI"),
        ("*", "InvalidURI"),
        ("http://other/bucket/k", "InvalidURI"),
        ("bucket/k", "InvalidURI"),
        ("/bucket/k#f", "InvalidURI"),
        ("/bucket/a b", "InvalidURI"),
        ("/bucket/\x00", "InvalidURI"),
        ("/bucket/a\r\nb", "InvalidURI"),
        ("/bucket/a\n", "InvalidURI"),
        ("/bucket/ü", "InvalidURI"),
        ("/bucket/%", "InvalidURI"),
        ("/bucket/%2", "InvalidURI"),
        ("/bucket/%zz", "InvalidURI"),
        ("/bucket/%+1", "InvalidURI"),
        ("/bucket/%00", "InvalidURI"),
        ("/bucket/a%00b", "InvalidURI"),
        ("/bucket/%ff", "InvalidURI"),
        ("/bucket/%c0%af", "InvalidURI"),
        ("/bucket/%ed%a0%80", "InvalidURI"),
        ("/bucket?prefix=%ff", "InvalidURI"),
        ("/bucket?prefix=%f", "InvalidURI"),
        ("/%ff/k", "InvalidURI"),
        ("//k", "InvalidBucketName"),
        ("//", "InvalidBucketName"),
        ("/..", "InvalidBucketName"),
        ("/../bucket/k", "InvalidBucketName"),
        ("/a%2Fb/k", "InvalidBucketName"),
        ("/.sys/k", "InvalidBucketName"),
        ("/A_b", "InvalidBucketName"),
        ("/minio", "InvalidBucketName"),
        ("/minio/k", "InvalidBucketName"),
        ("/bucket/" + "k" * 1025, "KeyTooLongError"),
        ("/bucket/" + "%E2%82%AC" * 342, "KeyTooLongError"),
    ],
)
def test_a_bad_target(target: str, reason: str) -> None:
    assert refusal(target) == reason


def test_a_key_of_1024_bytes() -> None:
    assert len(parse("/bucket/" + "k" * 1024).key or "") == 1024


@pytest.mark.parametrize(
    "host", ["", "a b", "[::1", "h:x", "h:123456", "h/..", "user@h", "h\n", "a,b", "ü.example.com"]
)
def test_a_bad_host(host: str) -> None:
    assert refusal("/", host) == "InvalidRequest"


def test_a_bucket_in_the_host_keeps_the_grammar() -> None:
    assert refusal("/k", "a_b.example.com", DOMAINS) == "InvalidBucketName"
    assert refusal("/k", ".example.com", DOMAINS) == "InvalidBucketName"
    assert refusal("/k", "127.0.0.1.example.com", DOMAINS) == "InvalidBucketName"


def test_one_host_only() -> None:
    with pytest.raises(RequestRefused) as two:
        parse("/", headers=(("host", "other"),))
    assert two.value.reason == "InvalidRequest"


def test_no_host() -> None:
    with pytest.raises(RequestRefused) as none:
        parse_request(
            method="GET",
            raw_target="/",
            headers=[],
            domains=(),
            secure=False,
            remote="",
            request_id="",
        )
    assert none.value.reason == "InvalidRequest"


@pytest.mark.parametrize("name", ["abc", "a" * 63, "a-b", "a.b.c", "123", "1.2.3", "a--b", "0-0"])
def test_good_bucket_names(name: str) -> None:
    assert check_bucket_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        None, "", "ab", "a" * 64, "A_b", "Upper", "1.2.3.4", "xn--x", "a..b", "a.-b", "a-.b", "-ab",
        "ab-", ".sys", "sys.", "a b", "a%b", "ümlaut", "x-s3alias", "x--ol-s3", "x.mrap", "x--x-s3",
        "x--table-s3", "sthree-x", "amzn-s3-demo-x", "..", "abc\n", "a/b", "aꟿb", "²³¹",
    ],
)  # fmt: skip
def test_bad_bucket_names(name: str | None) -> None:
    with pytest.raises(RequestRefused) as refused:
        check_bucket_name(name)
    assert refused.value.reason == "InvalidBucketName"


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), min_size=1))
@settings(max_examples=200)
def test_a_key_comes_out_as_it_went_in(key: str) -> None:
    for safe in ("", "/", "/~+!'()*"):
        target = "/bucket/" + quote(key, safe=safe)
        if len(key.encode()) <= 1024:
            assert parse(target).key == key


@given(st.text(max_size=12), st.text(max_size=12))
@settings(max_examples=100)
def test_any_target_and_host_is_parsed_or_refused(target: str, host: str) -> None:
    for text in (target, "/" + target, "/bucket/%" + target):
        for named in ("s3.test", host):
            with suppress(RequestRefused):
                parse(text, host=named, domains=("example.com",))


def test_query() -> None:
    query = Query("acl&a=1&b=x%20y+z&a=2&=e&c=p=q&&%C3%BC=%2B")
    assert query.pairs == (
        ("acl", ""),
        ("a", "1"),
        ("b", "x y z"),
        ("a", "2"),
        ("", "e"),
        ("c", "p=q"),
        ("ü", "+"),
    )
    assert query.get("a") == "1"
    assert query.all("a") == ["1", "2"]
    assert query.get("acl") == ""
    assert query.has("acl")
    assert query.get("none") is None
    assert Query("").pairs == ()


def test_headers() -> None:
    headers = Headers([("X-A", "1"), ("x-a", "2"), ("Host", "h")])
    assert headers.get("X-a") == "1,2"
    assert headers.all("x-A") == ["1", "2"]
    assert "HOST" in headers
    assert "other" not in headers
    assert headers.get("other") is None
    assert dict(headers.items()) == {"x-a": "1,2", "host": "h"}
    assert len(headers) == 2


def test_no_secret_in_a_repr() -> None:
    request = parse("/?X-Amz-Signature=5ec3e7", headers=(("Authorization", "5ec3e7"),))
    assert "5ec3e7" not in repr(request)

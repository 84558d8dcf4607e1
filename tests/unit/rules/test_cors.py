"""CORS: which rule fits, and what a browser is told."""

import fnmatch
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import CORS_REQUEST_HEADERS_MAX
from objstore.rules.cors import VARY, fits, match, preflight, response_headers
from objstore.wire.config_documents.cors import METHODS, CorsRule

ANY = CorsRule(("GET",), ("*",))
SUFFIX = CorsRule(("GET",), ("*suffix",))
FULL = CorsRule(
    ("GET", "PUT"),
    ("https://*.example.com", "https://a.example"),
    ("x-amz-*", "Content-Type"),
    ("ETag", "x-amz-version-id"),
    3000,
)


@settings(max_examples=300)
@given(st.text("ab.*", max_size=6).filter(lambda p: p.count("*") <= 1), st.text("ab.", max_size=8))
def test_one_star_stands_for_any_text(pattern: str, text: str) -> None:
    twin = re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), text) is not None
    assert fits(pattern, text) == twin == fnmatch.fnmatchcase(text, pattern)


@pytest.mark.parametrize(
    ("pattern", "origin", "fit"),
    [
        ("*suffix", "foo.suffix", True),
        ("*suffix", "foo.suffix.get", False),
        ("start*end", "startend", True),
        ("start*end", "start12end", True),
        ("start*end", "0start12end", False),
        ("prefix*", "prefix.suffix", True),
        ("prefix*", "bla.prefix", False),
        ("aba*aba", "aba", False),  # the ends may not overlap
        ("https://a.example", "https://A.example", False),
    ],
)
def test_origins(pattern: str, origin: str, fit: bool) -> None:
    assert (
        match((CorsRule(("GET",), (pattern,)),), origin=origin, method="GET") is not None
    ) is fit


def test_the_first_rule_that_fits_speaks() -> None:
    rules = (CorsRule(("PUT",), ("*",)), SUFFIX, ANY)
    assert match(rules, origin="a.suffix", method="GET") is SUFFIX
    assert match(rules, origin="other", method="GET") is ANY
    assert match(rules, origin="other", method="DELETE") is None


def test_any_origin_gets_a_star_and_no_credentials() -> None:
    assert response_headers((ANY,), origin="https://a.example", method="GET") == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET",
        "Vary": VARY,
    }


def test_a_named_origin_is_told_everything() -> None:
    headers = response_headers((FULL,), origin="https://b.example.com", method="PUT")
    assert headers == {
        "Access-Control-Allow-Origin": "https://b.example.com",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, PUT",
        "Access-Control-Expose-Headers": "ETag, x-amz-version-id",
        "Access-Control-Max-Age": "3000",
        "Vary": VARY,
    }


def test_answers_without_a_rule_that_fits() -> None:
    # A cache that keeps one of these must not give it to a page of another origin.
    assert response_headers((FULL,), origin=None, method="GET") == {"Vary": VARY}
    assert response_headers((FULL,), origin="https://evil", method="GET") == {"Vary": VARY}
    assert response_headers((), origin="https://a.example", method="GET") == {}


def test_the_method_asked_for_stands_for_the_requests() -> None:
    told = response_headers((SUFFIX,), origin="a.suffix", method="PUT", requested_method="GET")
    assert told["Access-Control-Allow-Origin"] == "a.suffix"
    assert response_headers((SUFFIX,), origin="a.suffix", method="PUT") == {"Vary": VARY}


def test_preflight() -> None:
    told = preflight(
        (FULL,),
        origin="https://a.example",
        method="PUT",
        headers="X-Amz-Date, content-type,, x-amz-acl",
    )
    assert told["Access-Control-Allow-Headers"] == "x-amz-date, content-type, x-amz-acl"
    assert told["Access-Control-Allow-Origin"] == "https://a.example"
    plain = preflight((ANY,), origin="x", method="GET", headers=None)
    assert "Access-Control-Allow-Headers" not in plain


@pytest.mark.parametrize(
    ("rules", "origin", "method", "headers", "code", "message"),
    [
        ((ANY,), None, "GET", None, "BadRequest", "Origin request header needed."),
        ((ANY,), "x", None, None, "BadRequest", "Invalid Access-Control-Request-Method: null"),
        ((ANY,), "x", "PATCH", None, "BadRequest", "Request-Method: PATCH"),
        ((), "x", "GET", None, "AccessForbidden", ""),
        ((ANY,), "x", "PUT", None, "AccessForbidden", "This CORS request is not allowed."),
        ((ANY,), "x", "GET", "x-amz-meta-a", "AccessForbidden", "not allowed"),
        ((SUFFIX,), "foo.bar", "GET", None, "AccessForbidden", "not allowed"),
        ((FULL,), "https://a.example", "GET", "x-amz-a, cookie", "AccessForbidden", "not allowed"),
    ],
)
def test_refused_preflights(
    rules: tuple[CorsRule, ...],
    origin: str | None,
    method: str | None,
    headers: str | None,
    code: str,
    message: str,
) -> None:
    with pytest.raises(RequestRefused) as refusal:
        preflight(rules, origin=origin, method=method, headers=headers)
    assert refusal.value.reason == code
    assert message in refusal.value.message


@settings(max_examples=200)
@given(st.text(max_size=20), st.text(max_size=20))
def test_nothing_that_is_sent_back_can_split_a_header(origin: str, header: str) -> None:
    rules = (CorsRule(("GET",), ("a*", "*"), ("*",)), CorsRule(("GET",), ("*",), ("*",)))
    try:
        told = preflight(rules, origin=origin, method="GET", headers=header)
    except RequestRefused:
        return
    for value in told.values():
        assert value.isascii()
        assert value.isprintable()


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ("a b", 'Access-Control-Request-Headers "a b" contains invalid character.'),
        ("x-a, \u00e9", "contains invalid character"),
        (",".join(f"x{at}" for at in range(CORS_REQUEST_HEADERS_MAX + 1)), "no more than 100"),
    ],
)
def test_what_cannot_be_asked_for(headers: str, message: str) -> None:
    """Whatever the rules say: the work that a preflight may cause is bounded."""
    for rules in ((), (ANY,)):
        with pytest.raises(RequestRefused) as refusal:
            preflight(rules, origin="x", method="GET", headers=headers)
        assert refusal.value.reason == "BadRequest"
        assert message in refusal.value.message
    again = "Content-Type, " * 200  # one name
    told = preflight((FULL,), origin="https://a.example", method="GET", headers=again)
    assert told["Access-Control-Allow-Headers"] == "content-type"


def test_a_refusal_says_what_is_addressed() -> None:
    for rules in ((), (SUFFIX,)):
        with pytest.raises(RequestRefused) as refusal:
            preflight(rules, origin="x", method="GET", headers=None, resource="BUCKET")
        assert refusal.value.detail == {"Method": "GET", "ResourceType": "BUCKET"}


ORIGINS = st.sampled_from(["*", "http://a", "http://*", "https://*.b", "null"])


@given(
    st.lists(
        st.builds(
            CorsRule,
            st.lists(st.sampled_from(METHODS), min_size=1).map(tuple),
            st.lists(ORIGINS, min_size=1).map(tuple),
        ),
        max_size=3,
    ).map(tuple),
    st.sampled_from(["http://a", "http://evil", "https://x.b", "null", "*"]),
    st.sampled_from(METHODS),
)
def test_no_origin_that_is_anybodys_gets_credentials(
    rules: tuple[CorsRule, ...], origin: str, method: str
) -> None:
    """A rule for "*" never answers with the origin that asked, nor lets it send credentials."""
    told = response_headers(rules, origin=origin, method=method)
    rule = match(rules, origin=origin, method=method)
    if rule is None:
        assert set(told) <= {"Vary"}
    elif "*" in rule.origins:
        assert told["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in told
    else:
        assert told["Access-Control-Allow-Origin"] == origin
        assert told["Access-Control-Allow-Credentials"] == "true"

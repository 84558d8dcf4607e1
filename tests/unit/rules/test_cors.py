"""CORS: which rule speaks, and what a browser is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import CORS_REQUEST_HEADERS_MAX
from objstore.rules.cors import VARY, fits, match, preflight, response_headers
from objstore.wire.config_documents.cors import METHODS, CorsRule

RULES = (
    CorsRule(("PUT", "POST"), ("http://www.example1.com",), ("*",), rule_id="first"),
    CorsRule(
        ("GET", "HEAD"),
        ("https://*.example.org",),
        ("x-amz-*", "Range"),
        ("ETag", "x-amz-meta-a"),
        300,
        "second",
    ),
    CorsRule(("GET",), ("*",), rule_id="third"),
)


@pytest.mark.parametrize(
    ("origin", "method", "headers", "rule"),
    [
        ("http://www.example1.com", "PUT", ["anything"], "first"),
        ("http://www.example1.com", "GET", [], "third"),
        ("http://www.example1.com", "DELETE", [], None),
        ("https://a.example.org", "GET", ["x-amz-date", "range"], "second"),
        ("https://a.b.example.org", "HEAD", [], "second"),
        ("https://.example.org", "HEAD", [], "second"),
        ("https://example.org", "HEAD", [], None),
        ("http://a.example.org", "HEAD", [], None),
        ("https://a.example.org:8080", "HEAD", [], None),
        ("https://a.example.org", "GET", ["cookie"], None),
        ("https://elsewhere", "GET", [], "third"),
        ("null", "GET", [], "third"),
        ("HTTP://WWW.EXAMPLE1.COM", "PUT", [], None),
        ("", "GET", [], None),
        ("a\r\nb", "GET", [], None),
        ("\udce4", "GET", [], None),
    ],
)
def test_the_first_rule_that_fits(
    origin: str, method: str, headers: list[str], rule: str | None
) -> None:
    """AWS: it "uses the first CORSRule rule that matches the incoming browser request"."""
    found = match(RULES, origin=origin, method=method, headers=headers)
    assert (found.rule_id if found else None) == rule


@given(st.text("ab*", max_size=6).filter(lambda text: text.count("*") <= 1), st.text("ab"))
def test_one_wildcard_stands_for_any_text(pattern: str, text: str) -> None:
    ends = range(len(text) + 1)
    possible = {pattern.replace("*", text[start:end]) for start in ends for end in ends}
    assert fits(pattern, text) == (text in possible)


def test_a_preflight_that_is_allowed() -> None:
    """AWS: "In response to any preflight OPTIONS request, Amazon S3 returns any requested headers
    that are allowed."
    """
    told = preflight(
        RULES, origin="https://a.example.org", method="GET", headers="X-Amz-Date, range,range"
    )
    assert told == {
        "Access-Control-Allow-Origin": "https://a.example.org",
        "Access-Control-Allow-Credentials": "true",
        "Access-Control-Allow-Methods": "GET, HEAD",
        "Access-Control-Allow-Headers": "x-amz-date, range",
        "Access-Control-Expose-Headers": "ETag, x-amz-meta-a",
        "Access-Control-Max-Age": "300",
        "Vary": VARY,
    }
    assert preflight(RULES, origin="https://x", method="GET", headers=None) == {
        "Access-Control-Allow-Origin": "*",
        "Access-Control-Allow-Methods": "GET",
        "Vary": VARY,
    }


NOT_ALLOWED = "CORSResponse: This CORS request is not allowed."


@pytest.mark.parametrize(
    ("origin", "method", "headers", "reason", "message"),
    [
        (
            None,
            "GET",
            None,
            "BadRequest",
            "Insufficient information. Origin request header needed.",
        ),
        ("http://a", None, None, "BadRequest", "Invalid Access-Control-Request-Method: null"),
        ("http://a", "PATCH", None, "BadRequest", "Invalid Access-Control-Request-Method: PATCH"),
        ("http://a", "OPTIONS", None, "BadRequest", "Invalid Access-Control-Request-Method"),
        ("http://a", "GET", "a b", "BadRequest", "contains invalid character"),
        ("http://a", "GET", "é", "BadRequest", "contains invalid character"),
        (
            "http://a",
            "GET",
            ",".join(f"x{number}" for number in range(CORS_REQUEST_HEADERS_MAX + 1)),
            "BadRequest",
            "no more than 100",
        ),
        ("http://a", "PUT", None, "AccessForbidden", NOT_ALLOWED),
        ("http://a", "GET", "x-any", "AccessForbidden", NOT_ALLOWED),
        ("a\nb", "GET", None, "AccessForbidden", NOT_ALLOWED),
    ],
)
def test_a_preflight_that_is_refused(
    origin: str | None, method: str | None, headers: str | None, reason: str, message: str
) -> None:
    with pytest.raises(RequestRefused) as refusal:
        preflight(RULES, origin=origin, method=method, headers=headers)
    assert refusal.value.reason == reason
    assert message in refusal.value.message


def test_a_bucket_without_rules() -> None:
    with pytest.raises(RequestRefused) as refusal:
        preflight((), origin="http://a", method="GET", headers=None, resource="BUCKET")
    assert refusal.value.reason == "AccessForbidden"
    assert refusal.value.message == ""  # the code's own: CORS is not enabled for this bucket.
    assert refusal.value.detail == {"Method": "GET", "ResourceType": "BUCKET"}
    assert response_headers((), origin="http://a", method="GET") == {}


def test_an_actual_answer() -> None:
    assert response_headers(RULES, origin=None, method="GET") == {"Vary": VARY}
    assert response_headers(RULES, origin="http://a", method="DELETE") == {"Vary": VARY}
    told = response_headers(RULES, origin="http://www.example1.com", method="PUT")
    assert told["Access-Control-Allow-Origin"] == "http://www.example1.com"
    # The method that is asked for stands for the request's own.
    told = response_headers(RULES, origin="http://a", method="PUT", requested_method="GET")
    assert told["Access-Control-Allow-Origin"] == "*"


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

"""Conditional requests: RFC 9110 section 13, each row against the sentence it proves."""

from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.wire.conditions import (
    Conditions,
    Outcome,
    evaluate,
    http_date,
    iso_date,
    parse_http_date,
    range_still_applies,
    read_conditions,
)

ETAG = "9b2cf535f27731c974343645a3985328"
MODIFIED_MS = 1_700_000_000_900  # the fraction is not part of what headers say
AT = http_date(MODIFIED_MS)
BEFORE = http_date(MODIFIED_MS - 5000)
AFTER = http_date(MODIFIED_MS + 5000)
GO, SAME, NO = Outcome.PROCEED, Outcome.NOT_MODIFIED, Outcome.FAILED


@pytest.mark.parametrize(
    ("conditions", "outcome"),
    [
        (Conditions(), GO),
        (Conditions(if_match=f'"{ETAG}"'), GO),
        (Conditions(if_match=ETAG), GO),  # S3 takes it without quotes
        (Conditions(if_match="*"), GO),
        (Conditions(if_match=f'"x", "{ETAG}"'), GO),
        (Conditions(if_match='"x"'), NO),
        (Conditions(if_match=""), NO),
        # 13.1.1: "MUST use the strong comparison function"
        (Conditions(if_match=f'W/"{ETAG}"'), NO),
        (Conditions(if_none_match=f'"{ETAG}"'), SAME),
        (Conditions(if_none_match="*"), SAME),
        (Conditions(if_none_match='"x"'), GO),
        # 13.1.2: "MUST use the weak comparison function"
        (Conditions(if_none_match=f'W/"{ETAG}"'), SAME),
        (Conditions(if_modified_since=BEFORE), GO),
        (Conditions(if_modified_since=AT), SAME),
        (Conditions(if_modified_since=AFTER), SAME),
        (Conditions(if_modified_since="yesterday"), GO),
        (Conditions(if_unmodified_since=BEFORE), NO),
        (Conditions(if_unmodified_since=AT), GO),
        (Conditions(if_unmodified_since=AFTER), GO),
        (Conditions(if_unmodified_since="yesterday"), GO),
        # AWS says: "If-Match condition evaluates to true, and; If-Unmodified-Since condition
        # evaluates to false; then, S3 returns 200 OK"
        (Conditions(if_match=ETAG, if_unmodified_since=BEFORE), GO),
        (Conditions(if_match="x", if_unmodified_since=AFTER), NO),
        # AWS says: "If-None-Match condition evaluates to false, and; If-Modified-Since condition
        # evaluates to true; then, S3 returns 304 Not Modified"
        (Conditions(if_none_match=ETAG, if_modified_since=BEFORE), SAME),
        (Conditions(if_none_match="x", if_modified_since=AFTER), GO),
        # 13.2.2: If-Match and If-Unmodified-Since come first
        (Conditions(if_match="x", if_none_match=ETAG), NO),
        (Conditions(if_unmodified_since=BEFORE, if_none_match=ETAG), NO),
        (Conditions(if_match=ETAG, if_none_match=ETAG), SAME),
    ],
)
def test_precedence(conditions: Conditions, outcome: Outcome) -> None:
    assert evaluate(conditions, etag=ETAG, modified_ms=MODIFIED_MS).outcome is outcome


def test_the_failed_condition_is_named() -> None:
    verdict = evaluate(Conditions(if_match="x"), etag=ETAG, modified_ms=MODIFIED_MS)
    assert verdict.condition == "If-Match"


def test_a_long_list_of_tags_is_cheap() -> None:
    header = ",".join(['"' + "a" * 30 + '"'] * 500) + "," * 5000
    assert evaluate(Conditions(if_match=header), etag=ETAG, modified_ms=0).outcome is NO


def test_reading_with_a_prefix() -> None:
    sent = {"x-amz-copy-source-if-match": "a", "if-none-match": "b"}
    assert read_conditions(sent.get) == Conditions(if_none_match="b")
    assert read_conditions(sent.get, "x-amz-copy-source-") == Conditions(if_match="a")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        # The three forms that RFC 9110, 5.6.7 gives for one moment.
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228799),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("Sun, 06 Nov 1994 08:49:37 PST", None),
        ("Sun, 36 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Foo 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 25:49:37 GMT", None),
        ("1994-11-06T08:49:37Z", None),
        ("784111777", None),
        ("", None),
        (None, None),
    ],
)
def test_dates(text: str | None, seconds: int | None) -> None:
    assert parse_http_date(text) == seconds


@settings(max_examples=100)
@given(st.integers(0, 4_000_000_000))
def test_dates_agree_with_the_standard_library(seconds: int) -> None:
    assert http_date(seconds * 1000 + 999) == formatdate(seconds, usegmt=True)
    assert parse_http_date(http_date(seconds * 1000)) == seconds
    at = datetime.fromtimestamp(seconds, UTC)
    assert parse_http_date(format_datetime(at, usegmt=True)) == seconds
    assert datetime.fromisoformat(iso_date(seconds * 1000)) == at


@pytest.mark.parametrize(
    ("if_range", "applies"),
    [
        (None, True),
        (f'"{ETAG}"', True),
        ('"x"', False),
        (f'W/"{ETAG}"', False),
        (AT, True),
        (AFTER, False),
        (BEFORE, False),
    ],
)
def test_if_range(if_range: str | None, *, applies: bool) -> None:
    assert range_still_applies(if_range, etag=ETAG, modified_ms=MODIFIED_MS) is applies

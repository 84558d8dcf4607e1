"""Dates in documents: by grammar, the same moment in every spelling, refused otherwise."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.wire.timestamps import exact_date, parse_date, parse_iso_date

NEW_YEAR_MS = 1_893_456_000_000  # 2030-01-01T00:00:00Z


@pytest.mark.parametrize(
    "text",
    [
        "2030-01-01",
        "2030-01-01T00:00Z",
        "2030-01-01T00:00:00Z",
        "2030-01-01T00:00:00",
        "2030-01-01T00:00:00.000Z",
        "2030-01-01T00:00:00.000999Z",  # finer than a millisecond
        "2030-01-01T01:00:00+01:00",
        "2029-12-31T19:00:00-0500",
        "Tue, 01 Jan 2030 00:00:00 GMT",
    ],
)
def test_spellings(text: str) -> None:
    assert parse_date(text) == NEW_YEAR_MS


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "20300101",
        "1893456000",
        "2030-1-1",
        "2030-13-01",
        "2030-02-30",
        "0000-01-01",
        "2030-01-01T24:00:00Z",
        "2030-01-01T00:00:60Z",
        "2030-01-01T00:00:00.Z",
        "2030-01-01T00:00:00+15:00",
        "2030-01-01T00:00:00 Z",
        "\u0662\u0660\u0663\u0660-01-01",
    ],
)
def test_no_date(text: str) -> None:
    assert parse_date(text) is None


@settings(max_examples=200)
@given(
    st.datetimes(datetime(1970, 1, 2), datetime(9999, 1, 1)),  # noqa: DTZ001 - zones come below
    st.integers(-14 * 60, 14 * 60),
)
def test_any_moment_reads_back(moment: datetime, minutes: int) -> None:
    aware = moment.replace(
        microsecond=moment.microsecond // 1000 * 1000,
        tzinfo=timezone(timedelta(minutes=minutes)),
    )
    milliseconds = (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    assert parse_iso_date(aware.isoformat()) == milliseconds
    assert parse_iso_date(exact_date(milliseconds)) == milliseconds

"""Conditional requests: RFC 9110, section 13, and the dates that HTTP and S3 write.

The four conditions and their order of precedence are the same for reads and for the source of a
copy; only what a false one answers differs.
"""
# ruff: noqa: E501 - a row of a table is one line

import re
from calendar import timegm
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import Enum, auto
from functools import lru_cache
from typing import Final

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "Jan",
    "Feb",
    "Mar",
    "Apr",
    "May",
    "Jun",
    "Jul",
    "Aug",
    "Sep",
    "Oct",
    "Nov",
    "Dec",
)
_DAY_S: Final = 86_400
_EPOCH_ORDINAL: Final = date(1970, 1, 1).toordinal()
_MONTH_NUMBER: Final = {name: number for number, name in enumerate(_MONTHS, 1)}
_CLOCK: Final = r"(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
# RFC 9110, 5.6.7: the fixed form that is sent, and the two old ones that are still accepted.
_DATE_FORMS: Final = (
    re.compile(rf"[A-Za-z]{{3}}, (?P<day>[0-9]{{2}}) (?P<month>[A-Za-z]{{3}}) (?P<year>[0-9]{{4}}) {_CLOCK} (?:GMT|UTC|[+]0000)"),
    re.compile(rf"[A-Za-z]{{6,9}}, (?P<day>[0-9]{{2}})-(?P<month>[A-Za-z]{{3}})-(?P<year>[0-9]{{2}}) {_CLOCK} GMT"),
    re.compile(rf"[A-Za-z]{{3}} (?P<month>[A-Za-z]{{3}}) (?P<day>[ 0-9][0-9]) {_CLOCK} (?P<year>[0-9]{{4}})"),
)  # fmt: skip


class Outcome(Enum):
    """What the conditions of a request say."""

    PROCEED = auto()
    NOT_MODIFIED = auto()
    FAILED = auto()


@dataclass(frozen=True, slots=True)
class Verdict:
    """An outcome, and the name of the condition that decided it ("" when none did)."""

    outcome: Outcome
    condition: str = ""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions as sent, None where one was not."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None


def read_conditions(lookup: Callable[[str], str | None], prefix: str = "") -> Conditions:
    """Collect the conditions; `prefix` is "x-amz-copy-source-" for those on a copy's source."""
    return Conditions(
        lookup(f"{prefix}if-match"),
        lookup(f"{prefix}if-none-match"),
        lookup(f"{prefix}if-modified-since"),
        lookup(f"{prefix}if-unmodified-since"),
    )


def evaluate(conditions: Conditions, *, etag: str, modified_ms: int) -> Verdict:
    """Decide in the order of RFC 9110, 13.2.2. `etag` is without quotes.

    A date that does not parse makes its condition absent, as 13.1.3 and 13.1.4 ask.
    """
    modified_s = modified_ms // 1000
    if conditions.if_match is not None:
        if not _lists(conditions.if_match, etag, weak_matches=False):
            return Verdict(Outcome.FAILED, "If-Match")
    else:
        until = parse_http_date(conditions.if_unmodified_since)
        if until is not None and modified_s > until:
            return Verdict(Outcome.FAILED, "If-Unmodified-Since")
    if conditions.if_none_match is not None:
        if _lists(conditions.if_none_match, etag, weak_matches=True):
            return Verdict(Outcome.NOT_MODIFIED, "If-None-Match")
    else:
        since = parse_http_date(conditions.if_modified_since)
        if since is not None and modified_s <= since:
            return Verdict(Outcome.NOT_MODIFIED, "If-Modified-Since")
    return Verdict(Outcome.PROCEED)


def range_still_applies(if_range: str | None, *, etag: str, modified_ms: int) -> bool:
    """Whether a Range header counts: If-Range is absent, or names exactly this representation.

    RFC 9110, 13.1.5: "If the HTTP-date validator provided exactly matches [...]"; a weak entity
    tag never matches.
    """
    if if_range is None:
        return True
    moment = parse_http_date(if_range)
    if moment is not None:
        return moment == modified_ms // 1000
    return _lists(if_range, etag, weak_matches=False)


def names_etag(header: str, etag: str) -> bool:
    """Whether the If-Match of a write names `etag`, or is "*"."""
    return _lists(header, etag, weak_matches=False)


def _lists(header: str, etag: str, *, weak_matches: bool) -> bool:
    """Whether a list of entity tags names `etag`. S3 accepts a tag without its quotes too."""
    for item in header.split(","):
        tag = item.strip()
        if tag == "*":
            return True
        if tag.startswith("W/"):
            if not weak_matches:
                continue
            tag = tag[2:]
        if tag.removeprefix('"').removesuffix('"') == etag:
            return True
    return False


def parse_http_date(text: str | None) -> int | None:
    """Return seconds since the epoch, or None for what is no HTTP date."""
    if text is None:
        return None
    found = next((match for form in _DATE_FORMS if (match := form.fullmatch(text.strip()))), None)
    month = _MONTH_NUMBER.get(found["month"].title()) if found is not None else None
    if found is None or month is None:
        return None
    year = int(found["year"])
    if year < 100:
        year += 2000 if year < 70 else 1900
    try:
        moment = datetime(
            year,
            month,
            int(found["day"]),
            int(found["hour"]),
            int(found["minute"]),
            min(int(found["second"]), 59),  # a leap second is a date too
            tzinfo=UTC,
        )
    except ValueError:
        return None
    return timegm(moment.utctimetuple())


def http_date(milliseconds: int) -> str:
    """Write the fixed form: `Sun, 06 Nov 1994 08:49:37 GMT`."""
    at = datetime.fromtimestamp(milliseconds // 1000, UTC)
    return (
        f"{_DAYS[at.weekday()]}, {at.day:02d} {_MONTHS[at.month - 1]} {at.year:04d}"
        f" {at.hour:02d}:{at.minute:02d}:{at.second:02d} GMT"
    )


def iso_date(milliseconds: int) -> str:
    """Write a date as S3's documents have it: whole seconds, `2009-10-12T17:50:30.000Z`."""
    days, second = divmod(milliseconds // 1000, _DAY_S)
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    return f"{_iso_day(days)}T{hour:02d}:{minute:02d}:{second:02d}.000Z"


@lru_cache(maxsize=1024)  # a listing has many objects of one day
def _iso_day(days: int) -> str:
    return date.fromordinal(_EPOCH_ORDINAL + days).isoformat()

"""Dates as S3's documents carry them: ISO 8601, read by grammar and written to the millisecond."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from objstore.wire.conditions import iso_date, parse_http_date

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# XML Schema's date and dateTime, and the compact zone that some SDKs write. ASCII digits only.
_ISO: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"(?:[Tt](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})"
    r"(?:\.(?P<fraction>[0-9]{1,9}))?)?)?"
    r"(?P<zone>[Zz]|[+-][0-9]{2}:?[0-9]{2})?"
)


def parse_iso_date(text: str) -> int | None:
    """Return milliseconds since the epoch, or None for what is no date.

    A date without a zone is in UTC.
    """
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    fraction = (found["fraction"] or "")[:3].ljust(3, "0")
    try:
        moment = datetime(
            int(found["year"]),
            int(found["month"]),
            int(found["day"]),
            int(found["hour"] or "0"),
            int(found["minute"] or "0"),
            int(found["second"] or "0"),
            tzinfo=UTC,
        )
        zone = _zone(found["zone"])
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(milliseconds=1) + int(fraction) - zone


def _zone(text: str | None) -> int:
    """Return how far a zone is ahead of UTC, in milliseconds."""
    if text is None or text in "Zz":
        return 0
    hours, minutes = int(text[1:3]), int(text[-2:])
    if hours > 14 or minutes > 59:
        raise ValueError(text)
    ahead = (hours * 60 + minutes) * 60_000
    return -ahead if text[0] == "-" else ahead


def parse_date(text: str) -> int | None:
    """Return milliseconds since the epoch of an ISO 8601 or an HTTP date, or None."""
    parsed = parse_iso_date(text)
    if parsed is not None:
        return parsed
    seconds = parse_http_date(text)
    return None if seconds is None else seconds * 1000


def exact_date(milliseconds: int) -> str:
    """Write a date to the millisecond: `2030-01-01T00:00:00.250Z`."""
    return f"{iso_date(milliseconds)[:-4]}{milliseconds % 1000:03d}Z"

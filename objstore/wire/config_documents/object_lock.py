"""Object lock as documents and headers: a bucket's configuration, retention and legal hold."""

from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import RETENTION_DAYS_MAX, RETENTION_YEARS_MAX
from objstore.wire.leaf_values import (
    choice,
    date_ms,
    malformed,
    number,
    required,
    required_choice,
)
from objstore.wire.timestamps import exact_date, parse_iso_date
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaf

GOVERNANCE: Final = "GOVERNANCE"
COMPLIANCE: Final = "COMPLIANCE"
MODES: Final = (GOVERNANCE, COMPLIANCE)
_PERIOD: Final = (Element("Days"), Element("Years"))
_CONFIGURATION: Final = Element(
    "ObjectLockConfiguration",
    (
        Element("ObjectLockEnabled"),
        Element(
            "Rule",
            (
                Element(
                    "DefaultRetention",
                    (Element("Mode"), *_PERIOD, Element("DefaultEventHold", _PERIOD)),
                ),
            ),
        ),
    ),
)
_RETENTION: Final = Element(
    "Retention",
    (
        Element("Mode"),
        Element("RetainUntilDate"),
        Element("EventHold"),
        Element("EventHoldDuration", _PERIOD),
    ),
)
_LEGAL_HOLD: Final = Element("LegalHold", (Element("Status", required=True),))
_NO_EVENT_HOLD: Final = "Event holds are not implemented; use a retention period or a legal hold."


@dataclass(frozen=True, slots=True)
class DefaultRetention:
    """How long new objects of a bucket are kept: so many days, or so many years."""

    mode: str
    days: int = 0
    years: int = 0


@dataclass(frozen=True, slots=True)
class ObjectLock:
    """The configuration of a bucket that has object lock."""

    default: DefaultRetention | None = None


@dataclass(frozen=True, slots=True)
class Retention:
    """Until when one version is kept, and whether anybody may shorten that."""

    mode: str
    until_ms: int


def read_object_lock(data: bytes) -> ObjectLock:
    """Read what PutObjectLockConfiguration asks for.

    "The DefaultRetention settings require both a mode and a period. The DefaultRetention period
    can be either Days or Years but you must select one."

    Raises:
        RequestRefused: MalformedXML; InvalidRetentionPeriod; NotImplemented for event holds.
    """
    node = read_document(data, _CONFIGURATION)
    required_choice(node, "ObjectLockEnabled", ("Enabled",))
    rule = node.one("Rule")
    return ObjectLock(None if rule is None else _default(required(rule, "DefaultRetention")))


def _default(node: Node) -> DefaultRetention:
    if node.all("DefaultEventHold"):
        raise RequestRefused("NotImplemented", _NO_EVENT_HOLD)
    mode = required_choice(node, "Mode", MODES)
    days, years = number(node, "Days"), number(node, "Years")
    if (days is None) == (years is None):
        raise malformed("either Days or Years is needed")
    for period, most in ((days, RETENTION_DAYS_MAX), (years, RETENTION_YEARS_MAX)):
        if period is not None and period < 1:
            raise RequestRefused("InvalidRetentionPeriod")
        if period is not None and period > most:
            raise RequestRefused(
                "InvalidRetentionPeriod", f"Default retention period must be at most {most}."
            )
    return DefaultRetention(mode, days or 0, years or 0)


def write_object_lock(lock: ObjectLock) -> bytes:
    """Write what GetObjectLockConfiguration answers for a bucket that has object lock."""
    pieces = [leaf("ObjectLockEnabled", "Enabled")]
    if (default := lock.default) is not None:
        inner = leaf("Mode", default.mode)
        period = ("Days", default.days) if default.days else ("Years", default.years)
        inner += leaf(period[0], str(period[1]))
        pieces.append(f"<Rule><DefaultRetention>{inner}</DefaultRetention></Rule>")
    return document("ObjectLockConfiguration", "".join(pieces))


def read_retention(data: bytes) -> Retention | None:
    """Read what PutObjectRetention asks for; None is an empty document, which ends a retention.

    Whether the date lies in the future, and whether the change is allowed, rules/retention says.

    Raises:
        RequestRefused: MalformedXML; NotImplemented for event holds.
    """
    node = read_document(data, _RETENTION)
    if node.all("EventHold") or node.all("EventHoldDuration"):
        raise RequestRefused("NotImplemented", _NO_EVENT_HOLD)
    mode = choice(node, "Mode", MODES)
    until_ms = date_ms(node, "RetainUntilDate")
    if mode is None and until_ms is None:
        return None
    if mode is None or until_ms is None:
        raise malformed("Mode and RetainUntilDate go together")
    return Retention(mode, until_ms)


def write_retention(retention: Retention) -> bytes:
    """Write what GetObjectRetention answers."""
    until = leaf("RetainUntilDate", exact_date(retention.until_ms))
    return document("Retention", leaf("Mode", retention.mode) + until)


def read_legal_hold(data: bytes) -> bool:
    """Return whether PutObjectLegalHold puts a legal hold in place or lifts it.

    Raises:
        RequestRefused: MalformedXML.
    """
    return required_choice(read_document(data, _LEGAL_HOLD), "Status", ("ON", "OFF")) == "ON"


def write_legal_hold(*, on: bool) -> bytes:
    """Write what GetObjectLegalHold answers."""
    return document("LegalHold", leaf("Status", "ON" if on else "OFF"))


def read_retention_headers(mode: str | None, until: str | None) -> Retention | None:
    """Read x-amz-object-lock-mode and x-amz-object-lock-retain-until-date of a new object.

    Raises:
        RequestRefused: InvalidArgument.
    """
    if mode is None and until is None:
        return None
    if mode is None or until is None:
        raise RequestRefused(
            "InvalidArgument",
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            ArgumentName="x-amz-object-lock-retain-until-date"
            if until is None
            else "x-amz-object-lock-mode",
        )
    if mode not in MODES:
        raise RequestRefused(
            "InvalidArgument",
            "Unknown wormMode directive.",
            ArgumentName="x-amz-object-lock-mode",
            ArgumentValue=mode[:100],
        )
    until_ms = parse_iso_date(until.strip())
    if until_ms is None:
        raise RequestRefused(
            "InvalidArgument",
            "The retain until date must be provided in ISO 8601 format",
            ArgumentName="x-amz-object-lock-retain-until-date",
            ArgumentValue=until[:100],
        )
    return Retention(mode, until_ms)


def read_legal_hold_header(value: str | None) -> bool | None:
    """Read x-amz-object-lock-legal-hold of a new object; None was not sent.

    Raises:
        RequestRefused: InvalidArgument.
    """
    if value not in (None, "ON", "OFF"):
        raise RequestRefused(
            "InvalidArgument",
            "Legal Hold must be either of 'ON' or 'OFF'",
            ArgumentName="x-amz-object-lock-legal-hold",
            ArgumentValue=value[:100],
        )
    return None if value is None else value == "ON"


def retention_headers(retention: Retention | None, *, hold: bool | None) -> dict[str, str]:
    """Return the headers by which a response tells of a version's lock; None was never set."""
    headers = {}
    if retention is not None:
        headers["x-amz-object-lock-mode"] = retention.mode
        headers["x-amz-object-lock-retain-until-date"] = exact_date(retention.until_ms)
    if hold is not None:
        headers["x-amz-object-lock-legal-hold"] = "ON" if hold else "OFF"
    return headers

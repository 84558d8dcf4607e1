"""Object lock: whether a version may be deleted, and whether its retention may be changed.

It fails closed: a lock that can not be read protects its version, whoever asks. A decision is
None, which allows, or the sentence that refuses; the code is AccessDenied each time.
"""

from calendar import isleap
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from objstore.errors import RequestRefused
from objstore.ondisk.record import Version
from objstore.wire.config_documents.object_lock import (
    GOVERNANCE,
    MODES,
    DefaultRetention,
    Retention,
)
from objstore.wire.timestamps import parse_iso_date

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
PROTECTED: Final = "Access Denied because object protected by object lock."
UNREADABLE_LOCK: Final = (
    "Access Denied because the object lock of this version can not be read; it counts as locked."
)


@dataclass(frozen=True, slots=True)
class Lock:
    """What is known of a version's lock. One that is not `readable` locks for ever."""

    retention: Retention | None = None
    legal_hold: bool = False
    readable: bool = True


UNLOCKED: Final = Lock()
UNREADABLE: Final = Lock(readable=False)


def stored_lock(mode: str | None, until: str | None, hold: str | None) -> Lock:
    """Return the lock that a record's fields say, each None where it was never set.

    Whatever is not exactly what was once accepted makes the lock unreadable.
    """
    if hold not in (None, "ON", "OFF"):
        return UNREADABLE
    if mode is None and until is None:
        return Lock(None, hold == "ON")
    if mode not in MODES or until is None:
        return UNREADABLE
    until_ms = parse_iso_date(until)
    return UNREADABLE if until_ms is None else Lock(Retention(mode, until_ms), hold == "ON")


def lock_of(version: Version) -> Lock:
    """Return the lock of a version; one that makes no sense is unreadable, and so binds."""
    if not version.retention_mode:
        return UNREADABLE if version.retain_until_ms else Lock(None, version.legal_hold)
    if version.retention_mode not in MODES or version.retain_until_ms <= 0:
        return UNREADABLE
    return Lock(Retention(version.retention_mode, version.retain_until_ms), version.legal_hold)


def refuse_delete(lock: Lock, *, now_ms: int, bypass: bool) -> str | None:
    """Decide whether the version may be deleted for good, or overwritten where it is.

    `bypass` is whether the request asks to bypass governance and its sender may:
    s3:BypassGovernanceRetention. Delete markers hide a version and are always allowed; no
    lifecycle rule ever passes `bypass`.

    A legal hold protects whatever the retention says, and nobody bypasses compliance: "a protected
    object version can't be overwritten or deleted by any user, including the root user".
    """
    if not lock.readable:
        return UNREADABLE_LOCK
    if lock.legal_hold:
        return PROTECTED
    held = _held(lock, now_ms)
    if held is None or (held.mode == GOVERNANCE and bypass):
        return None
    return PROTECTED


def refuse_retention(
    lock: Lock, wanted: Retention | None, *, now_ms: int, bypass: bool
) -> str | None:
    """Decide whether a version's retention may become `wanted` (None: no retention).

    Whoever may set a retention may extend one. "When an object is locked in compliance mode, its
    retention mode can't be changed, and its retention period can't be shortened"; governance
    gives way to `bypass`, as in `refuse_delete`. A legal hold has no part in it.
    """
    if not lock.readable:
        return UNREADABLE_LOCK
    held = _held(lock, now_ms)
    if held is None:
        return None
    extends = wanted is not None and wanted.mode == held.mode and wanted.until_ms >= held.until_ms
    if extends or (held.mode == GOVERNANCE and bypass):
        return None
    return PROTECTED


def refuse_legal_hold(lock: Lock) -> str | None:
    """Decide whether a legal hold may be put in place or lifted: when the lock can be read."""
    return None if lock.readable else UNREADABLE_LOCK


def _held(lock: Lock, now_ms: int) -> Retention | None:
    """Return the retention that still binds."""
    held = lock.retention
    return None if held is None or held.until_ms <= now_ms else held


def check_future(retention: Retention, *, now_ms: int) -> None:
    """Accept a retention that a request asks for when it ends later than now.

    Raises:
        RequestRefused: InvalidArgument.
    """
    if retention.until_ms <= now_ms:
        raise RequestRefused(
            "InvalidArgument",
            "The retain until date must be in the future!",
            ArgumentName="RetainUntilDate",
        )


def default_retention(default: DefaultRetention, *, created_ms: int) -> Retention:
    """Return the retention of a version made in a bucket with that default.

    It ends so long after the version's creation, to the millisecond. A year is a calendar year:
    from 29 February it ends on 1 March where there is no 29 February.
    """
    created = _EPOCH + timedelta(milliseconds=created_ms)
    if default.years:
        year = created.year + default.years
        leap_day = (created.month, created.day) == (2, 29) and not isleap(year)
        until = (
            created.replace(year=year, month=3, day=1) if leap_day else created.replace(year=year)
        )
    else:
        until = created + timedelta(days=default.days)
    return Retention(default.mode, (until - _EPOCH) // timedelta(milliseconds=1))

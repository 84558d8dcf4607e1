"""Object lock: nothing that is protected is deleted, and what can not be read is protected."""

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.rules.retention import (
    UNLOCKED,
    UNREADABLE,
    Lock,
    check_future,
    default_retention,
    refuse_delete,
    refuse_legal_hold,
    refuse_retention,
    stored_lock,
)
from objstore.wire.config_documents.object_lock import (
    COMPLIANCE,
    GOVERNANCE,
    MODES,
    DefaultRetention,
    Retention,
    retention_headers,
)

NOW = 1_000_000
PAST, FUTURE, LATER = NOW - 1, NOW + 1, NOW + 2


@pytest.mark.parametrize(
    ("lock", "plain", "bypassing"),
    [
        (UNLOCKED, True, True),
        (Lock(Retention(GOVERNANCE, PAST)), True, True),
        (Lock(Retention(GOVERNANCE, NOW)), True, True),
        (Lock(Retention(GOVERNANCE, FUTURE)), False, True),
        # "a protected object version can't be overwritten or deleted by any user, including the
        # root user"
        (Lock(Retention(COMPLIANCE, FUTURE)), False, False),
        (Lock(Retention(COMPLIANCE, PAST)), True, True),
        (Lock(legal_hold=True), False, False),
        (Lock(Retention(GOVERNANCE, FUTURE), legal_hold=True), False, False),
        (Lock(Retention(GOVERNANCE, PAST), legal_hold=True), False, False),
        (UNREADABLE, False, False),
    ],
)
def test_deletes(lock: Lock, plain: bool, bypassing: bool) -> None:
    assert (refuse_delete(lock, now_ms=NOW, bypass=False) is None) is plain
    assert (refuse_delete(lock, now_ms=NOW, bypass=True) is None) is bypassing


@pytest.mark.parametrize(
    ("held", "wanted", "plain", "bypassing"),
    [
        (None, Retention(GOVERNANCE, FUTURE), True, True),
        (None, None, True, True),
        (Retention(COMPLIANCE, PAST), None, True, True),
        (Retention(COMPLIANCE, PAST), Retention(GOVERNANCE, FUTURE), True, True),
        (Retention(GOVERNANCE, FUTURE), Retention(GOVERNANCE, LATER), True, True),
        (Retention(GOVERNANCE, FUTURE), Retention(GOVERNANCE, FUTURE), True, True),
        (Retention(GOVERNANCE, LATER), Retention(GOVERNANCE, FUTURE), False, True),
        (Retention(GOVERNANCE, FUTURE), Retention(COMPLIANCE, LATER), False, True),
        (Retention(GOVERNANCE, FUTURE), None, False, True),
        (Retention(COMPLIANCE, FUTURE), Retention(COMPLIANCE, LATER), True, True),
        (Retention(COMPLIANCE, LATER), Retention(COMPLIANCE, FUTURE), False, False),
        (Retention(COMPLIANCE, FUTURE), Retention(GOVERNANCE, LATER), False, False),
        (Retention(COMPLIANCE, FUTURE), None, False, False),
    ],
)
def test_changes(
    held: Retention | None, wanted: Retention | None, plain: bool, bypassing: bool
) -> None:
    for legal_hold in (False, True):
        lock = Lock(held, legal_hold)
        assert (refuse_retention(lock, wanted, now_ms=NOW, bypass=False) is None) is plain
        assert (refuse_retention(lock, wanted, now_ms=NOW, bypass=True) is None) is bypassing


def test_what_cannot_be_read_is_locked() -> None:
    for bypass in (False, True):
        for wanted in (None, Retention(GOVERNANCE, LATER)):
            assert refuse_retention(UNREADABLE, wanted, now_ms=NOW, bypass=bypass)
    assert refuse_legal_hold(UNREADABLE)
    assert refuse_legal_hold(UNLOCKED) is None


def test_no_series_of_allowed_changes_frees_a_version_in_compliance_mode() -> None:
    held = Retention(COMPLIANCE, FUTURE)
    choices = [None, *(Retention(mode, at) for mode, at in product(MODES, (PAST, FUTURE, LATER)))]
    reached = {held}
    for _ in choices:
        reached |= {
            wanted
            for lock in list(reached)
            for wanted in choices
            if wanted is not None
            and refuse_retention(Lock(lock), wanted, now_ms=NOW, bypass=True) is None
        }
        for lock in reached:
            assert refuse_retention(Lock(lock), None, now_ms=NOW, bypass=True)
    assert reached == {held, Retention(COMPLIANCE, LATER)}


@pytest.mark.parametrize(
    ("mode", "until", "hold"),
    [
        ("GOVERNANCE", None, None),
        (None, "2030-01-01T00:00:00.000Z", None),
        ("governance", "2030-01-01T00:00:00.000Z", None),
        ("", "", None),
        ("COMPLIANCE", "never", None),
        ("COMPLIANCE", "", "ON"),
        (None, None, "on"),
        (None, None, ""),
    ],
)
def test_fields_that_were_never_accepted(
    mode: str | None, until: str | None, hold: str | None
) -> None:
    assert stored_lock(mode, until, hold) == UNREADABLE


@settings(max_examples=200)
@given(
    st.none() | st.builds(Retention, st.sampled_from(MODES), st.integers(0, 4_000_000_000_000)),
    st.sampled_from([None, True, False]),
)
def test_a_lock_that_is_stored_is_read_back(retention: Retention | None, hold: bool | None) -> None:
    headers = retention_headers(retention, hold=hold)
    names = ("mode", "retain-until-date", "legal-hold")
    fields = [headers.get(f"x-amz-object-lock-{name}") for name in names]
    assert stored_lock(*fields) == Lock(retention, bool(hold))


@settings(max_examples=200)
@given(st.none() | st.text(max_size=6), st.none() | st.text(max_size=6), st.none() | st.text())
def test_rotten_fields_never_unlock(mode: str | None, until: str | None, hold: str | None) -> None:
    if (mode, until) == (None, None) and hold in (None, "OFF"):
        return
    assert refuse_delete(stored_lock(mode, until, hold), now_ms=10**15, bypass=True)


def test_the_date_lies_in_the_future() -> None:
    check_future(Retention(GOVERNANCE, FUTURE), now_ms=NOW)
    with pytest.raises(RequestRefused) as refusal:
        check_future(Retention(GOVERNANCE, NOW), now_ms=NOW)
    assert refusal.value.reason == "InvalidArgument"
    assert refusal.value.message == "The retain until date must be in the future!"


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("default", "created", "until"),
    [
        (DefaultRetention(GOVERNANCE, 1), "2024-02-28T10:00:00.250", "2024-02-29T10:00:00.250"),
        (DefaultRetention(GOVERNANCE, 365), "2024-01-01T00:00:00", "2024-12-31T00:00:00"),
        (DefaultRetention(COMPLIANCE, years=1), "2024-01-01T00:00:00", "2025-01-01T00:00:00"),
        (DefaultRetention(COMPLIANCE, years=1), "2024-02-29T12:00:00", "2025-03-01T12:00:00"),
        (DefaultRetention(COMPLIANCE, years=4), "2024-02-29T12:00:00", "2028-02-29T12:00:00"),
    ],
)
def test_defaults(default: DefaultRetention, created: str, until: str) -> None:
    assert default_retention(default, created_ms=ms(created)) == Retention(default.mode, ms(until))

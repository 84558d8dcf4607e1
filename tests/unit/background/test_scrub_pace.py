"""The scrub keeps its pace, gives way to other work, and never stops for long."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.background.scrub_pace import Pace
from objstore.limits import MIB, SCRUB_BYTES_PER_S, SCRUB_PAUSE_S_MAX

DAY_S = 86_400


def rate_of(pace: Pace, *, took_s: float, latency_s: float = 0.0, pieces: int = 2000) -> float:
    """Return bytes a second, over many pieces of a MiB."""
    elapsed_s = sum(took_s + pace.pause_s(MIB, took_s, latency_s=latency_s) for _ in range(pieces))
    return pieces * MIB / elapsed_s


@pytest.mark.parametrize("took_s", [0.001, 0.01, 0.05])
def test_a_drive_that_rests_is_read_at_the_pace_that_was_set(took_s: float) -> None:
    assert rate_of(Pace(16 * MIB), took_s=took_s) == pytest.approx(16 * MIB, rel=0.02)


def test_small_files_are_read_at_the_same_pace() -> None:
    pace = Pace(16 * MIB)
    size, took_s, files = 20_000, 0.0005, 20_000
    elapsed_s = sum(took_s + pace.pause_s(size, took_s) for _ in range(files))
    assert files * size / elapsed_s == pytest.approx(16 * MIB, rel=0.02)


def test_by_default_ten_terabytes_take_a_week() -> None:
    assert 10e12 / SCRUB_BYTES_PER_S < 7.1 * DAY_S


def test_a_drive_whose_calls_take_long_is_given_way() -> None:
    usual = rate_of(Pace(16 * MIB), took_s=0.005)
    assert rate_of(Pace(16 * MIB), took_s=0.005, latency_s=0.2) < usual / 8


def test_a_drive_that_reads_slower_than_it_did_is_given_way_and_then_not_for_ever() -> None:
    pace = Pace(16 * MIB)
    usual = rate_of(pace, took_s=0.002)
    assert rate_of(pace, took_s=0.06, pieces=20) < usual / 4
    # What is slow all the time is how the drive is.
    rate_of(pace, took_s=0.06)
    assert rate_of(pace, took_s=0.06) == pytest.approx(16 * MIB, rel=0.05)


@settings(max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, 4 * MIB), st.floats(0, 30), st.floats(0, 100), st.booleans()),
        max_size=50,
    ),
    st.floats(1, 1e12),
)
def test_no_pause_is_longer_than_the_longest(
    pieces: list[tuple[int, float, float, bool]], bytes_per_s: float
) -> None:
    pace = Pace(bytes_per_s)
    for size, took_s, latency_s, full_speed in pieces:
        pause_s = pace.pause_s(size, took_s, latency_s=latency_s, full_speed=full_speed)
        assert 0 <= pause_s <= SCRUB_PAUSE_S_MAX


def test_at_full_speed_only_a_busy_drive_rests() -> None:
    pace = Pace(1.0)
    assert pace.pause_s(MIB, 0.01, full_speed=True) == 0
    assert 0 < pace.pause_s(MIB, 0.01, latency_s=0.1, full_speed=True) < 0.1

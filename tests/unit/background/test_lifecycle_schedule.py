"""When passes begin, and that the servers of a set share them."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from objstore.background.lifecycle_schedule import Schedule, first_readable
from objstore.limits import LIFECYCLE_DAY_SECONDS, LIFECYCLE_RETRY_S, LIFECYCLE_TICK_S
from objstore.names import Scheme
from objstore.testing.memory_set import memory_set

DAY_MS = LIFECYCLE_DAY_SECONDS * 1000


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_a_pass_begins_five_minutes_after_midnight() -> None:
    schedule = Schedule(LIFECYCLE_DAY_SECONDS)
    assert schedule.is_due(at("2026-03-01T15:00"))  # just started: nobody knows what was done
    schedule.finished(at("2026-03-01T15:00"), at("2026-03-01T15:30"), complete=True)
    assert not schedule.is_due(at("2026-03-02T00:04:59"))
    assert schedule.is_due(at("2026-03-02T00:05"))
    # One that goes on past midnight is not the next day's too.
    schedule.finished(at("2026-03-02T00:05"), at("2026-03-03T02:00"), complete=True)
    assert schedule.is_due(at("2026-03-03T02:00"))


def test_a_short_day_has_two_passes() -> None:
    schedule = Schedule(10)
    schedule.finished(100_000, 100_100, complete=True)
    assert not schedule.is_due(104_999)
    assert schedule.is_due(105_000)
    shortest = Schedule(1)
    shortest.finished(100_000, 100_100, complete=True)
    assert not shortest.is_due(100_999)
    assert shortest.is_due(101_000)


def test_a_pass_that_was_not_complete_is_made_again_later_and_later() -> None:
    schedule, now_ms = Schedule(LIFECYCLE_DAY_SECONDS), at("2026-03-01T00:05")
    for wait_s in (LIFECYCLE_RETRY_S, 2 * LIFECYCLE_RETRY_S, 4 * LIFECYCLE_RETRY_S):
        schedule.finished(now_ms, now_ms, complete=False)
        assert not schedule.is_due(now_ms + wait_s * 1000 - 1)
        now_ms += wait_s * 1000
        assert schedule.is_due(now_ms)
    schedule.finished(now_ms, now_ms, complete=True)
    assert not schedule.is_due(now_ms)


@given(
    st.sampled_from([1, 2, 7, 100, LIFECYCLE_DAY_SECONDS]),
    st.lists(st.tuples(st.integers(0, 3 * DAY_MS), st.booleans()), max_size=30),
    st.integers(0, 2**41),
)
def test_no_clock_stops_the_passes(day_s: int, passes: list[tuple[int, bool]], now_ms: int) -> None:
    """Whatever was, wherever the clock is now: soon one is due; pauses are never long."""
    schedule = Schedule(day_s)
    for began_ms, complete in passes:
        schedule.finished(began_ms, began_ms + 10, complete=complete)
    assert 0 < schedule.pause_s(now_ms) <= LIFECYCLE_TICK_S
    every_ms = max(1000, DAY_MS if day_s == LIFECYCLE_DAY_SECONDS else day_s * 500)
    assert any(schedule.is_due(now_ms + times * every_ms) for times in range(4))
    assert 0 <= schedule.start_s(0) <= schedule.start_s(1) <= max(1, day_s)


async def test_a_set_is_walked_by_one_server_and_by_another_when_that_is_away() -> None:
    """Two servers with two drives each, as endpoints are spread: they alternate."""
    async with memory_set(Scheme(3, 1)) as m:
        first, second = (replace(m.background, own=m.background.own[part::2]) for part in (0, 1))

        def whose() -> list[bool]:
            drive = first_readable(m.handle)
            return [drive in server.own_of(m.handle) for server in (first, second)]

        assert whose() == [True, False]
        m.drives[0].pull()
        assert whose() == [False, True]
        m.drives[1].pull()
        assert whose() == [True, False]
        m.drives[2].pull()
        m.drives[3].pull()
        assert first_readable(m.handle) is None
        assert whose() == [False, False]
        m.drives[3].bring_back()
        assert whose() == [False, True]


async def test_sets_share_the_servers() -> None:
    async with memory_set(Scheme(3, 1)) as m:
        firsts = [
            first_readable(replace(m.handle, layout=replace(m.handle.layout, index=index)))
            for index in range(6)
        ]
        assert firsts == [0, 1, 2, 3, 0, 1]

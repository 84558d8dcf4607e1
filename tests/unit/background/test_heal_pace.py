"""How many keys are healed at once follows what waits, not what is quick enough."""

import pytest

from objstore.background.heal_pace import HealPace
from objstore.limits import HEALS_AT_ONCE_MAX


def settle(pace: HealPace, alone_s: float, each_s: float, *, keys: int = 400) -> int:
    """Heal by a machine that needs `alone_s` for a key, of which `each_s` for one at a time."""
    for _ in range(keys):
        pace.took(max(alone_s, each_s * pace.at_once))
    return pace.at_once


def test_where_nothing_waits_as_many_as_may() -> None:
    assert settle(HealPace(), 0.010, 0.0) == HEALS_AT_ONCE_MAX


@pytest.mark.parametrize("scale", [1.0, 10.0, 100.0])
def test_one_processor_is_kept_busy_without_a_long_queue(scale: float) -> None:
    """Of 3 ms, 1 ms is work for one processor: from three at once on the others wait."""
    at_once = settle(HealPace(), 0.003 * scale, 0.001 * scale)
    assert 3 <= at_once <= 8


def test_when_everything_becomes_slow_few_are_left_and_later_more_again() -> None:
    pace = HealPace()
    settle(pace, 0.010, 0.0)
    for _ in range(200):
        pace.took(0.5)
    assert 1 <= pace.at_once <= 4
    assert settle(pace, 0.010, 0.0) == HEALS_AT_ONCE_MAX


def test_no_time_at_all_is_no_error() -> None:
    pace = HealPace()
    for _ in range(400):
        pace.took(0.0)
    assert pace.at_once == HEALS_AT_ONCE_MAX

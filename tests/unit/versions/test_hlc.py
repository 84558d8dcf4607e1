"""A later write gets a greater stamp, whatever the clocks do."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.limits import CLOCK_DRIFT_SECONDS_MAX
from objstore.names import Stamp
from objstore.versions.hlc import (
    Hlc,
    floor_of,
    parse_version_id,
    version_id_of,
    wall_ms_of,
    within_drift,
)

A, B = b"node-AAA", b"node-BBB"
DRIFT_MS = CLOCK_DRIFT_SECONDS_MAX * 1000
NOON = 1_800_000_000_000
CLOCK = st.integers(NOON - 10 * DRIFT_MS, NOON + 10 * DRIFT_MS)


@given(st.lists(CLOCK, min_size=2, max_size=50))
def test_later_is_greater_even_when_the_clock_jumps(walls: list[int]) -> None:
    hlc = Hlc(A)
    stamps = [hlc.now(wall_ms) for wall_ms in walls]
    assert stamps == sorted(set(stamps))


@given(st.lists(st.tuples(st.booleans(), CLOCK), max_size=50))
def test_what_a_node_has_heard_of_it_goes_above(steps: list[tuple[bool, int]]) -> None:
    """Two nodes whose clocks have nothing to do with each other, taking turns at one key."""
    nodes = {True: Hlc(A), False: Hlc(B)}
    held = nodes[True].now(NOON)
    for who, wall_ms in steps:
        stamp = nodes[who].above(held, wall_ms)
        assert stamp > held
        held = stamp


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["now", "observe", "above"]), CLOCK, CLOCK, st.integers(0, 65_535)
        ),
        max_size=60,
    )
)
@settings(max_examples=300)
def test_no_stamp_is_drawn_twice(steps: list[tuple[str, int, int, int]]) -> None:
    hlc = Hlc(A)
    drawn: list[Stamp] = []
    for what, wall_ms, other_ms, counter in steps:
        other = Stamp(other_ms.to_bytes(6, "big") + counter.to_bytes(2, "big") + B)
        if what == "now":
            drawn.append(hlc.now(wall_ms))
        elif what == "above":
            drawn.append(hlc.above(other, wall_ms))
        else:
            hlc.observe(other, wall_ms)
    assert len(set(drawn)) == len(drawn)


def test_a_stamp_drawn_far_ahead_is_not_drawn_again_when_its_time_comes() -> None:
    hlc, year = Hlc(A), 365 * 86_400_000
    far = Stamp((NOON + year).to_bytes(6, "big") + bytes(2) + B)
    ahead = {hlc.above(far, NOON) for _ in range(100)}
    assert len(ahead) == 100
    then = {hlc.now(NOON + year) for _ in range(70_000)}
    assert not ahead & then


def test_one_wrong_clock_does_not_take_the_others_along() -> None:
    hlc = Hlc(A)
    wrong = Hlc(B).now(NOON + DRIFT_MS + 1)
    assert not hlc.observe(wrong, NOON)
    assert wall_ms_of(hlc.now(NOON)) == NOON
    later = hlc.above(wrong, NOON)
    assert later > wrong
    assert wall_ms_of(hlc.now(NOON)) == NOON


def test_a_clock_within_the_drift_raises() -> None:
    hlc = Hlc(A)
    ahead = Hlc(B).now(NOON + DRIFT_MS)
    assert within_drift(ahead, NOON)
    assert hlc.observe(ahead, NOON)
    assert hlc.now(NOON) > ahead


def test_observing_the_past_changes_nothing() -> None:
    hlc = Hlc(A)
    first = hlc.now(NOON)
    assert hlc.observe(Hlc(B).now(0), NOON)
    assert hlc.now(NOON) > first


def test_a_stamp_is_wall_counter_node() -> None:
    hlc = Hlc(A)
    assert hlc.now(NOON).hex() == "01a3185c5000" + "0000" + A.hex()
    assert hlc.now(NOON - 5).hex() == "01a3185c5000" + "0001" + A.hex()
    assert hlc.now(NOON + 1).hex() == "01a3185c5001" + "0000" + A.hex()


def test_a_full_counter_goes_a_millisecond_ahead() -> None:
    hlc = Hlc(A)
    stamps = [hlc.now(NOON) for _ in range(0x8001)]
    assert wall_ms_of(stamps[-2]) == NOON
    assert wall_ms_of(stamps[-1]) == NOON + 1
    assert stamps == sorted(set(stamps))


@given(CLOCK)
def test_the_floor_is_below_every_stamp_of_its_millisecond(wall_ms: int) -> None:
    assert floor_of(wall_ms) < Hlc(A).now(wall_ms) < floor_of(wall_ms + 1)


@given(CLOCK)
def test_version_ids_are_stamps(wall_ms: int) -> None:
    stamp = Hlc(A).now(wall_ms)
    assert parse_version_id(version_id_of(stamp)) == stamp


@pytest.mark.parametrize(
    "text",
    ["", "null", "0" * 31, "0" * 33, "A" * 32, "0x" + "0" * 30, "0" * 32 + "\n", "\u0660" * 32],
)
def test_other_version_ids_are_none(text: str) -> None:
    assert parse_version_id(text) is None


@pytest.mark.parametrize("node", [b"", b"1234567", b"123456789"])
def test_a_node_has_eight_bytes(node: bytes) -> None:
    with pytest.raises(AssertionError):
        Hlc(node)

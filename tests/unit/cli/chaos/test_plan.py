"""No round takes more than the layout survives, whatever the seed."""

from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.cli.chaos.plan import (
    DAMAGING,
    Fault,
    How,
    Kind,
    Shape,
    damaged_by,
    draw_round,
    is_survived,
    missing_to,
    serves,
    shape_of,
)
from objstore.cli.layout import QUORUMS
from objstore.cli.local_layout import uniform_layout

LAYOUTS = [(2, 2, 1), (2, 2, 2), (4, 1, 1), (2, 3, 2), (1, 4, 2), (4, 4, 4)]


def shape(servers: int, drives: int, parity: int) -> Shape:
    return shape_of(
        uniform_layout(
            Path("/there"), servers=servers, drives=drives, parity=parity, base_port=20_000
        )
    )


def kinds_of(servers: int) -> tuple[Kind, ...]:
    return tuple(kind for kind in Kind if kind is not Kind.PARTITION or servers > 1)


@settings(max_examples=200)
@given(st.sampled_from(LAYOUTS), st.integers(0, 2**32), st.booleans())
def test_a_round_takes_nothing_for_good(
    layout: tuple[int, int, int], seed: int, beyond: bool
) -> None:
    """Whatever W slots acknowledged a write, k of them are left undamaged by overlapping faults."""
    here = shape(*layout)
    random = Random(seed)
    for _ in range(10):
        faults = draw_round(random, here, kinds_of(layout[0]), beyond=beyond, hold_s_max=5)
        assert faults
        damaged = frozenset().union(*(damaged_by(here, one) for one in faults))
        for position, scheme in enumerate(here.schemes):
            lost = sum(place == position for place, _ in damaged)
            assert lost <= scheme.m
            if len(faults) > 1:
                assert QUORUMS.write(scheme, 0) - lost >= scheme.k
        assert all(0 <= one.at_s <= 5 and 0 < one.hold_s <= 5 for one in faults)


@given(st.sampled_from(LAYOUTS), st.integers(0, 2**32))
def test_drives_alone_never_stop_reads_unless_beyond(
    layout: tuple[int, int, int], seed: int
) -> None:
    here = shape(*layout)
    faults = draw_round(Random(seed), here, (Kind.DRIVE, Kind.BITROT), beyond=False, hold_s_max=5)
    for asked in here.servers:
        missing = frozenset().union(*(missing_to(here, one, asked) for one in faults))
        assert serves(here, missing, write=False)


def test_beyond_goes_beyond_and_damages_nothing_then() -> None:
    here = shape(2, 2, 1)
    random = Random(7)
    rounds = [draw_round(random, here, tuple(Kind), beyond=True, hold_s_max=5) for _ in range(200)]
    further = [one for one in rounds if not is_survived(here, one)]
    assert further
    assert not any(fault.how in DAMAGING for one in further for fault in one)


def test_a_seed_draws_the_same_again() -> None:
    def draw() -> list[tuple[Fault, ...]]:
        random = Random(3)
        here = shape(2, 2, 2)
        return [draw_round(random, here, tuple(Kind), beyond=False, hold_s_max=5) for _ in range(9)]

    assert draw() == draw()


def test_every_way_to_hurt_is_drawn() -> None:
    random, here = Random(1), shape(2, 2, 2)
    drawn = {
        fault.how
        for _ in range(300)
        for fault in draw_round(random, here, tuple(Kind), beyond=False, hold_s_max=5)
    }
    assert drawn == set(How)


@pytest.mark.parametrize("parity", [1, 2])
def test_a_second_empty_drive_is_never_survived_beside_another_fault(parity: int) -> None:
    """A write that met the first fault is on W = 3 slots; EC:2 needs two of them."""
    here = shape(2, 2, parity)
    one, other = (Fault(Kind.DRIVE, How.REPLACED, server, 1) for server in (1, 2))
    assert is_survived(here, [one])
    assert not is_survived(here, [one, other])
    away = Fault(Kind.DRIVE, How.RETURNED, 2, 1)
    assert is_survived(here, [one, away]) == (parity == 2)


def test_a_partition_takes_the_other_side_from_each() -> None:
    here = shape(2, 2, 2)
    cut = Fault(Kind.PARTITION, How.CUT, 1, other=2)
    assert missing_to(here, cut, 1) == here.of_server(2)
    assert missing_to(here, cut, 2) == here.of_server(1)
    assert serves(here, missing_to(here, cut, 1), write=False)
    assert not serves(here, missing_to(here, cut, 1), write=True)

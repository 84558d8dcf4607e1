"""Quorums against brute force: every pair of sets of slots, not the formula."""

import itertools

import pytest

from objstore.names import Scheme
from objstore.quorum.thresholds import (
    degraded_scheme,
    read_quorum,
    read_quorum_any,
    schemes_up_to,
    write_quorum,
    write_quorum_least,
)


@pytest.mark.parametrize(
    ("k", "m", "w", "r"),
    [
        (3, 1, 3, 2),  # two servers, EC:1
        (2, 2, 3, 2),  # two servers, EC:2: k + 1 when k = m
        (1, 1, 2, 1),  # mirror of two drives
        (1, 3, 3, 2),  # quad full copy
        (4, 1, 4, 2),
        (4, 2, 4, 3),
        (12, 4, 12, 5),
        (8, 8, 9, 8),
        (2, 0, 2, 1),
    ],
)
def test_the_thresholds_people_know(k: int, m: int, w: int, r: int) -> None:
    scheme = Scheme(k, m)
    assert (write_quorum(scheme), read_quorum(scheme)) == (w, r)


@pytest.mark.parametrize("scheme", schemes_up_to(7), ids=str)
def test_every_read_quorum_meets_every_write_quorum(scheme: Scheme) -> None:
    slots = range(scheme.slots)
    writes = list(itertools.combinations(slots, write_quorum(scheme)))
    reads = list(itertools.combinations(slots, read_quorum(scheme)))
    assert all(set(write) & set(read) for write in writes for read in reads)
    assert all(set(write) & set(other) for write in writes for other in writes)


@pytest.mark.parametrize("scheme", schemes_up_to(7), ids=str)
def test_the_read_quorum_is_no_larger_than_it_has_to_be(scheme: Scheme) -> None:
    slots = range(scheme.slots)
    writes = list(itertools.combinations(slots, write_quorum(scheme)))
    fewer = itertools.combinations(slots, read_quorum(scheme) - 1)
    assert any(not set(write) & set(read) for write in writes for read in fewer)


@pytest.mark.parametrize("scheme", schemes_up_to(16), ids=str)
def test_a_write_that_is_acknowledged_can_be_decoded(scheme: Scheme) -> None:
    assert write_quorum(scheme) >= scheme.k


@pytest.mark.parametrize("scheme", schemes_up_to(16), ids=str)
def test_degraded_writes_are_seen_by_whoever_hears_any_quorum(scheme: Scheme) -> None:
    n = scheme.slots
    for missing in range(n + 1):
        degraded = degraded_scheme(scheme, missing)
        assert write_quorum(degraded) >= write_quorum_least(n)
        assert write_quorum(degraded) + read_quorum_any(n) > n


@pytest.mark.parametrize("scheme", schemes_up_to(16), ids=str)
def test_degraded_schemes_take_one_parity_for_each_missing_slot_up_to_half(scheme: Scheme) -> None:
    n = scheme.slots
    assert degraded_scheme(scheme, 0) == scheme
    for missing in range(1, n + 1):
        degraded = degraded_scheme(scheme, missing)
        assert degraded.slots == n
        assert degraded.k >= 1
        assert degraded.m >= scheme.m
        if scheme.m + missing <= n // 2:
            assert degraded.m == scheme.m + missing
        else:
            assert degraded.m == max(scheme.m, n // 2)


def test_a_degraded_write_never_needs_more_slots_than_a_whole_one() -> None:
    for scheme in schemes_up_to(16):
        for missing in range(scheme.slots + 1):
            assert write_quorum(degraded_scheme(scheme, missing)) <= write_quorum(scheme)


def test_every_scheme_is_enumerated() -> None:
    assert len(schemes_up_to(16)) == sum(range(1, 17)) == 136
    assert len(set(schemes_up_to(16))) == 136

"""Reliability against closed forms, a chain without any merging of states, and a simulation."""

import math
import random
from itertools import product

import numpy as np
import pytest

from objstore.cli.layout import QUORUMS
from objstore.errors import ConfigError
from objstore.names import Scheme
from objstore.topology.layout import DriveAddress, SetLayout
from objstore.topology.reliability import (
    HOURS_PER_YEAR,
    Assumptions,
    Reliability,
    reliability,
    set_shape,
)
from objstore.topology.survival import can_read, can_write

# Everything fails so often that a simulation sees it.
ROUGH = Assumptions(
    drive_afr=0.6,
    rebuild_h=300.0,
    server_failures_per_year=6.0,
    server_repair_h=100.0,
    server_loss_ratio=0.05,
)


def set_of(scheme: Scheme, slots: tuple[int, ...], servers: tuple[str, ...]) -> SetLayout:
    drives = tuple(DriveAddress(server, f"/d{n}") for n, server in enumerate(servers))
    return SetLayout(0, 0, scheme, drives, slots, rotate=False)


MIRROR = set_of(Scheme(1, 1), (0, 1), ("", ""))
EC1 = set_of(Scheme(3, 1), (0, 1, 2, 3), ("a", "b", "a", "b"))
EC2 = set_of(Scheme(2, 2), (0, 1, 2, 3), ("a", "b", "a", "b"))
GUIDE = set_of(Scheme(4, 1), (0, 1, 0, 2, 3), ("a", "a", "b", "b"))
GUIDE_THREE = set_of(Scheme(4, 1), (0, 1, 0, 2, 1), ("a", "a", "b", "b"))
REPAIRED = set_of(Scheme(4, 2), (0, 1, 0, 2, 1, 3), ("a", "a", "b", "b"))
QUAD = set_of(Scheme(1, 3), (0, 1, 2, 3), ("a", "b", "c", "d"))
SMALL = {
    "mirror": MIRROR,
    "ec1": EC1,
    "ec2": EC2,
    "guide": GUIDE,
    "guide three": GUIDE_THREE,
    "repaired": REPAIRED,
    "quad": QUAD,
}


# --- closed forms ----------------------------------------------------------------------


@pytest.mark.parametrize(("afr", "rebuild_h"), [(0.02, 24.0), (0.3, 500.0), (0.9, 4000.0)])
def test_a_mirror_of_two_drives(afr: float, rebuild_h: float) -> None:
    """2 up -(2a)-> 1 up -(a)-> lost, rebuilt at rate r: the textbook's two exponentials."""
    given = Assumptions(drive_afr=afr, rebuild_h=rebuild_h, server_failures_per_year=0.0)
    a, r = given.drive_rate, 1 / rebuild_h
    root = math.sqrt(a * a + 6 * a * r + r * r)
    fast = (-(3 * a + r) - root) / 2
    slow = 2 * a * a / fast  # the product of the two is 2 a a; this way nothing cancels
    t = HOURS_PER_YEAR
    expected = -(fast * math.expm1(slow * t) - slow * math.expm1(fast * t)) / (fast - slow)
    found = reliability(MIRROR, given, QUORUMS)
    assert found.loss == pytest.approx(expected, rel=1e-8)
    assert found.states == 2


def test_a_mirror_that_is_not_rebuilt() -> None:
    """Without rebuilding both drives fail independently: loss is AFR squared."""
    given = Assumptions(drive_afr=0.02, rebuild_h=87_000.0, server_failures_per_year=0.0)
    assert reliability(MIRROR, given, QUORUMS).loss == pytest.approx(0.02**2, rel=0.05)


def test_no_parity_is_lost_with_the_first_drive() -> None:
    plain = set_of(Scheme(4, 0), (0, 1, 2, 3), ("", "", "", ""))
    given = Assumptions(drive_afr=0.02, server_failures_per_year=0.0)
    found = reliability(plain, given, QUORUMS)
    assert found.loss == pytest.approx(1 - 0.98**4, rel=1e-9)
    assert found.unreadable == found.unwritable == 0.0  # there is no time with a drive gone


def test_one_server_is_away_for_its_repair_time() -> None:
    """Up a mean of U, down a mean of D, started up: the two-state chain's time in "down"."""
    given = Assumptions(drive_afr=0.0, server_loss_ratio=0.0)
    up, down, t = 1 / given.server_rate, given.server_repair_h, HOURS_PER_YEAR
    both = 1 / up + 1 / down
    expected = down / (up + down) * (1 - -math.expm1(-both * t) / (both * t))
    found = reliability(MIRROR, given, QUORUMS)
    assert found.loss == 0.0
    assert found.unreadable == pytest.approx(expected, rel=1e-9)
    assert found.unwritable == pytest.approx(expected, rel=1e-9)


def test_a_destroyed_server_takes_its_drives_along() -> None:
    given = Assumptions(drive_afr=0.0, server_failures_per_year=2.0, server_loss_ratio=1.0)
    one_server = reliability(MIRROR, given, QUORUMS)
    assert one_server.loss == pytest.approx(-math.expm1(-2.0), rel=1e-9)


def test_nothing_ever_fails() -> None:
    given = Assumptions(drive_afr=0.0, server_failures_per_year=0.0)
    assert reliability(EC1, given, QUORUMS) == Reliability(0.0, 0.0, 0.0, 1)


# --- the slow twin: one state for each drive and each server ----------------------------


def twin(layout: SetLayout, given: Assumptions) -> tuple[float, float, float]:
    servers = sorted({drive.server for drive in layout.drives})
    drives = len(layout.drives)
    held = [len(layout.slots_of_drive(drive)) for drive in range(drives)]
    owner = [servers.index(drive.server) for drive in layout.drives]
    scheme = layout.scheme
    states = list(product((False, True), repeat=drives + len(servers)))
    index = {state: number for number, state in enumerate(states)}
    size = len(states)
    rates = np.zeros((size + 1, size + 1))  # the last one: lost
    rewards = np.zeros((size + 1, 3))

    def gone(state: tuple[bool, ...]) -> int:
        return sum(held[d] for d in range(drives) if state[d])

    def missing(state: tuple[bool, ...]) -> int:
        return sum(held[d] for d in range(drives) if state[d] or state[drives + owner[d]])

    for state in states:
        here = index[state]
        if gone(state) > scheme.m:
            continue
        rewards[here] = (
            1.0,
            not can_read(scheme, missing(state), QUORUMS),
            not can_write(scheme, missing(state), QUORUMS),
        )
        moves: list[tuple[float, set[int]]] = []
        for d in range(drives):
            if not state[d]:
                moves.append((given.drive_rate, {d}))
            elif not state[drives + owner[d]] and missing(state) <= scheme.m:
                moves.append((1 / given.rebuild_h, {d}))
        for s in range(len(servers)):
            if state[drives + s]:
                moves.append((1 / given.server_repair_h, {drives + s}))
            else:
                burnt = {d for d in range(drives) if owner[d] == s and not state[d]}
                rate, ratio = given.server_rate, given.server_loss_ratio
                moves.append((rate * (1 - ratio), {drives + s}))
                moves.append((rate * ratio, {drives + s} | burnt))
        for rate, flipped in moves:
            there = tuple(bit != (n in flipped) for n, bit in enumerate(state))
            target = size if gone(there) > scheme.m else index[there]
            rates[here, target] += rate
            rates[here, here] -= rate
    whole = np.zeros((size + 4, size + 4))
    whole[: size + 1, : size + 1] = rates
    whole[: size + 1, size + 1 :] = rewards
    moved = exponential(whole * HOURS_PER_YEAR)
    alive, unreadable, unwritable = moved[0, size + 1 :]
    return moved[0, size], unreadable / alive, unwritable / alive


def exponential(matrix: np.ndarray) -> np.ndarray:
    halvings = max(0, math.ceil(math.log2(np.abs(matrix).sum(axis=1).max())) + 4)
    small = matrix / 2**halvings
    term = total = np.eye(len(matrix))
    for n in range(1, 20):
        term = term @ small / n
        total = total + term
    for _ in range(halvings):
        total = total @ total
    return total


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("given", [ROUGH, Assumptions()], ids=["rough", "default"])
def test_merging_like_states_changes_nothing(name: str, given: Assumptions) -> None:
    found = reliability(SMALL[name], given, QUORUMS)
    loss, unreadable, unwritable = twin(SMALL[name], given)
    assert found.loss == pytest.approx(loss, rel=1e-6, abs=1e-11)
    assert found.unreadable == pytest.approx(unreadable, rel=1e-6, abs=1e-11)
    assert found.unwritable == pytest.approx(unwritable, rel=1e-6, abs=1e-11)


# --- Monte Carlo: no matrix at all -------------------------------------------------------


class Trial:
    """One year of one set, event by event."""

    def __init__(self, layout: SetLayout, given: Assumptions, chance: random.Random) -> None:
        self.layout, self.given, self.chance = layout, given, chance
        self.failed = [False] * len(layout.drives)
        self.down = dict.fromkeys((drive.server for drive in layout.drives), False)
        self.lost = False
        self.alive_h = self.unreadable_h = 0.0

    def slots(self, drives: list[int]) -> int:
        return sum(len(self.layout.slots_of_drive(drive)) for drive in drives)

    def missing(self) -> int:
        addresses = self.layout.drives
        return self.slots(
            [d for d, bad in enumerate(self.failed) if bad or self.down[addresses[d].server]]
        )

    def run(self) -> None:
        now = 0.0
        while now < HOURS_PER_YEAR and not self.lost:
            missing = self.missing()
            events = self.events(missing)
            wait = self.chance.expovariate(sum(rate for rate, _, _ in events))
            spent = min(wait, HOURS_PER_YEAR - now)
            self.alive_h += spent
            self.unreadable_h += spent * (not can_read(self.layout.scheme, missing, QUORUMS))
            now += wait
            if now < HOURS_PER_YEAR:
                _, what, which = self.chance.choices(events, [rate for rate, _, _ in events])[0]
                self.happen(what, which)

    def events(self, missing: int) -> list[tuple[float, str, int | str]]:
        given, found = self.given, list[tuple[float, str, int | str]]()
        drives = zip(self.layout.drives, self.failed, strict=True)
        for drive, (address, bad) in enumerate(drives):
            if not bad:
                found.append((given.drive_rate, "fail", drive))
            elif missing <= self.layout.scheme.m and not self.down[address.server]:
                found.append((1 / given.rebuild_h, "rebuilt", drive))
        for server, down in self.down.items():
            rate = 1 / given.server_repair_h if down else given.server_rate
            found.append((rate, "back" if down else "down", server))
        return found

    def happen(self, what: str, which: int | str) -> None:
        if isinstance(which, int):
            self.failed[which] = what == "fail"
        else:
            self.down[which] = what == "down"
            if what == "down" and self.chance.random() < self.given.server_loss_ratio:
                for drive, address in enumerate(self.layout.drives):
                    self.failed[drive] |= address.server == which
        gone = [drive for drive, bad in enumerate(self.failed) if bad]
        self.lost = self.slots(gone) > self.layout.scheme.m


@pytest.mark.parametrize("name", ["ec2", "guide", "repaired"])
def test_a_simulation_agrees(name: str) -> None:
    chance = random.Random(20260101)
    runs = 1200
    trials = [Trial(SMALL[name], ROUGH, chance) for _ in range(runs)]
    for trial in trials:
        trial.run()
    found = reliability(SMALL[name], ROUGH, QUORUMS)
    lost = sum(trial.lost for trial in trials) / runs
    spread = math.sqrt(found.loss * (1 - found.loss) / runs)
    assert abs(lost - found.loss) < 4 * spread
    unreadable = sum(t.unreadable_h for t in trials) / sum(t.alive_h for t in trials)
    assert unreadable == pytest.approx(found.unreadable, rel=0.15)


# --- what one expects of the figures ------------------------------------------------------


def test_more_parity_loses_less_and_the_repaired_layout_is_better_than_the_guide() -> None:
    given = Assumptions()
    figures = {name: reliability(layout, given, QUORUMS) for name, layout in SMALL.items()}
    assert figures["quad"].loss < figures["ec2"].loss < figures["ec1"].loss
    assert figures["repaired"].loss < figures["ec1"].loss < figures["guide"].loss
    assert figures["guide"].loss < figures["guide three"].loss
    assert figures["guide"].loss > 0.02  # drive 1 alone is enough
    assert figures["ec2"].unreadable < figures["ec1"].unreadable
    for name in ("mirror", "ec1", "ec2", "quad"):
        assert figures[name].unreadable <= figures[name].unwritable


def test_the_numbering_of_drives_and_servers_does_not_matter() -> None:
    swapped = set_of(Scheme(3, 1), (3, 0, 2, 1), ("y", "x", "x", "y"))
    assert set_shape(swapped) == set_shape(EC1)
    assert reliability(swapped, ROUGH, QUORUMS) == reliability(EC1, ROUGH, QUORUMS)


def test_sixteen_servers_stay_small() -> None:
    wide = set_of(Scheme(12, 4), tuple(range(16)), tuple(f"s{n}" for n in range(16)))
    found = reliability(wide, Assumptions(), QUORUMS)
    assert found.states < 1000
    assert 0 < found.loss < 1e-6


def test_tiny_probabilities_keep_their_digits() -> None:
    """Four copies without rebuilding within the year: the fourth power of the AFR."""
    given = Assumptions(drive_afr=1e-4, rebuild_h=87_660.0, server_failures_per_year=0.0)
    assert reliability(QUAD, given, QUORUMS).loss == pytest.approx(1e-16, rel=0.2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"drive_afr": 1.0},
        {"drive_afr": -0.1},
        {"rebuild_h": 0.0},
        {"server_repair_h": math.inf},
        {"server_loss_ratio": 1.5},
        {"server_failures_per_year": math.nan},
    ],
)
def test_assumptions_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        Assumptions(**wrong)

"""Reliability: how likely one set loses objects in a year, and how much of the time it serves.

A continuous-time Markov chain over which drives hold their data and which servers are up:

  - a drive fails and its shards are gone; it is replaced and rebuilt after a mean of
    `rebuild_h`, which only goes on while its server is up and k shards can be read;
  - a server fails and comes back after a mean of `server_repair_h` with its drives as they
    were, except for a share of the failures that destroys all of its drives;
  - as soon as more than m slots are on failed drives at once, objects are lost for good.

All times are exponential and all failures independent. Drives of a server that hold equally
many slots are interchangeable, and so are equal servers: states that differ only by such an
exchange are one state, which is exact and keeps the chain small for 16 slots.

The numbers are computed without subtracting nearly equal ones (uniformisation, then repeated
squaring of non-negative matrices), so that a probability of 1e-15 has as many right digits as
one of 0.1.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from objstore.errors import ConfigError
from objstore.names import Scheme
from objstore.topology.layout import SetLayout
from objstore.topology.survival import Quorums, can_read, can_write

HOURS_PER_YEAR: Final = 8766.0
_STEP: Final = 1 / 16  # expected jumps in the smallest time step
_TERMS: Final = 12  # _STEP ** 12 / 12! is below 1e-23
_LOST: Final = 0  # the state's index

Matrix = NDArray[np.float64]
# (is the server down, failed drives of each of its classes)
ServerState = tuple[bool, tuple[int, ...]]
State = tuple[ServerState, ...]


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What the figures rest on. Every one can be given on the command line."""

    drive_afr: float = 0.02  # share of drives that fail in a year
    rebuild_h: float = 24.0  # from a drive's failure until its shards are all there again
    server_failures_per_year: float = 2.0  # per server, restarts that last included
    server_repair_h: float = 4.0
    server_loss_ratio: float = 0.001  # share of server failures that destroy its drives

    def __post_init__(self) -> None:
        for name, low, high in (
            ("drive_afr", 0.0, 0.99),
            ("rebuild_h", 0.01, HOURS_PER_YEAR * 10),
            ("server_failures_per_year", 0.0, HOURS_PER_YEAR),
            ("server_repair_h", 0.01, HOURS_PER_YEAR * 10),
            ("server_loss_ratio", 0.0, 1.0),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigError(
                    found=f"{name} = {value}",
                    expected=f"{name} from {low:g} to {high:g}",
                    remedy=f"correct {name}",
                )

    @property
    def drive_rate(self) -> float:
        """Failures per drive and hour."""
        return -math.log1p(-self.drive_afr) / HOURS_PER_YEAR

    @property
    def server_rate(self) -> float:
        """Failures per server and hour."""
        return self.server_failures_per_year / HOURS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Reliability:
    """The figures of one set over one year that begins with everything in order."""

    loss: float  # probability that objects are lost for good within the year
    unreadable: float  # share of the time before any loss in which objects cannot be read
    unwritable: float  # share of that time in which new objects cannot be written
    states: int


@dataclass(frozen=True, slots=True)
class _Server:
    """A server's drives by class: `slots[c]` slots on each of `drives[c]` drives."""

    slots: tuple[int, ...]
    drives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Model:
    scheme: Scheme
    servers: tuple[_Server, ...]  # equal ones side by side
    assumptions: Assumptions

    def start(self) -> State:
        return tuple((False, (0,) * len(server.slots)) for server in self.servers)

    def canonical(self, state: State) -> State:
        """Sort the states of equal servers, which makes interchangeable states one."""
        ordered: list[ServerState] = []
        for server in dict.fromkeys(self.servers):
            ordered += sorted(s for s, at in zip(state, self.servers, strict=True) if at == server)
        return tuple(ordered)

    def failed_slots(self, state: State) -> int:
        """Slots whose shards are gone until they are rebuilt."""
        return sum(
            slots * failed
            for (_, counts), server in zip(state, self.servers, strict=True)
            for slots, failed in zip(server.slots, counts, strict=True)
        )

    def missing_slots(self, state: State) -> int:
        """Slots that cannot answer: on failed drives, or on servers that are down."""
        return sum(
            slots * (drives if down else failed)
            for (down, counts), server in zip(state, self.servers, strict=True)
            for slots, drives, failed in zip(server.slots, server.drives, counts, strict=True)
        )


def reliability(layout: SetLayout, assumptions: Assumptions, quorums: Quorums) -> Reliability:
    """Compute the figures of one set."""
    model = _model(layout, assumptions)
    states, rates = _chain(model)
    scheme = layout.scheme
    alive = np.ones(len(states))
    alive[_LOST] = 0.0
    unreadable, unwritable = np.zeros(len(states)), np.zeros(len(states))
    for state, index in states.items():
        if index != _LOST:
            missing = model.missing_slots(state)
            unreadable[index] = not can_read(scheme, missing, quorums)
            unwritable[index] = not can_write(scheme, missing, quorums)
    start = states[model.canonical(model.start())]
    rewards = np.stack([alive, unreadable, unwritable], axis=1)
    if start == _LOST or not rates.any():
        return Reliability(0.0, unreadable[start], unwritable[start], len(states) - 1)
    moved, spent = _evolve(rates, rewards, HOURS_PER_YEAR)
    return Reliability(
        loss=float(moved[start, _LOST]),
        unreadable=float(spent[start, 1] / spent[start, 0]),
        unwritable=float(spent[start, 2] / spent[start, 0]),
        states=len(states) - 1,
    )


def set_shape(layout: SetLayout) -> tuple[Scheme, tuple[tuple[int, ...], ...]]:
    """Return what the figures of a set depend on: sets of one shape have the same figures."""
    servers = dict.fromkeys(drive.server for drive in layout.drives)
    held = tuple(
        sorted(
            tuple(
                sorted(
                    count
                    for drive, address in enumerate(layout.drives)
                    if address.server == server and (count := len(layout.slots_of_drive(drive)))
                )
            )
            for server in servers
        )
    )
    return layout.scheme, held


def _model(layout: SetLayout, assumptions: Assumptions) -> _Model:
    scheme, held = set_shape(layout)
    servers = []
    for counts in held:
        classes = sorted(Counter(counts).items())
        if classes:
            servers.append(_Server(tuple(s for s, _ in classes), tuple(n for _, n in classes)))
    return _Model(scheme, tuple(servers), assumptions)


# --- the chain --------------------------------------------------------------------------


def _chain(model: _Model) -> tuple[dict[State, int], Matrix]:
    """Enumerate the states that can be reached, and the rates between them (per hour).

    State 0 stands for every state in which objects are lost; nothing leaves it.
    """
    lost: State = ()
    start = model.canonical(model.start())
    states: dict[State, int] = {lost: _LOST, start: 1}
    jumps: list[tuple[int, int, float]] = []
    waiting = [start]
    while waiting:
        state = waiting.pop()
        for rate, reached in _jumps(model, state):
            target = (
                lost if model.failed_slots(reached) > model.scheme.m else model.canonical(reached)
            )
            if target not in states:
                states[target] = len(states)
                waiting.append(target)
            jumps.append((states[state], states[target], rate))
    rates = np.zeros((len(states), len(states)))
    for origin, target_index, rate in jumps:
        rates[origin, target_index] += rate
    return states, rates


def _jumps(model: _Model, state: State) -> Iterator[tuple[float, State]]:
    rebuilding = model.missing_slots(state) <= model.scheme.m
    for index, here in enumerate(state):
        for rate, there in _server_jumps(model, model.servers[index], here, rebuilding=rebuilding):
            if rate > 0:
                yield rate, (*state[:index], there, *state[index + 1 :])


def _server_jumps(
    model: _Model, server: _Server, here: ServerState, *, rebuilding: bool
) -> Iterator[tuple[float, ServerState]]:
    down, failed = here
    given = model.assumptions
    if down:
        yield 1 / given.server_repair_h, (False, failed)
    else:
        yield given.server_rate * (1 - given.server_loss_ratio), (True, failed)
        yield given.server_rate * given.server_loss_ratio, (True, server.drives)
    for index, (drives, gone) in enumerate(zip(server.drives, failed, strict=True)):
        more = (*failed[:index], gone + 1, *failed[index + 1 :])
        fewer = (*failed[:index], gone - 1, *failed[index + 1 :])
        yield (drives - gone) * given.drive_rate, (down, more)
        if rebuilding and not down:
            yield gone / given.rebuild_h, (down, fewer)


def _evolve(rates: Matrix, rewards: Matrix, hours: float) -> tuple[Matrix, Matrix]:
    """Return where the chain is after `hours`, and the expected time it collected each reward.

    Both are computed for a step so short that a few terms suffice, then doubled until the
    step has become `hours`.
    """
    clock = 2 * float(rates.sum(axis=1).max())  # twice: no diagonal comes near 0
    doublings = max(0, math.ceil(math.log2(clock * hours / _STEP)))
    step = hours / 2**doublings
    jump = rates / clock
    np.fill_diagonal(jump, jump.diagonal() + (1 - rates.sum(axis=1) / clock))
    jump[_LOST] = 0.0
    jump[_LOST, _LOST] = 1.0
    # Poisson weights of the number of jumps in one step, and their tails.
    weights = [math.exp(-clock * step) * (clock * step) ** j / math.factorial(j) for j in range(32)]
    tails = [math.fsum(weights[j + 1 :]) / clock for j in range(_TERMS)]
    power = np.eye(len(rates))
    moved, spent = np.zeros_like(power), np.zeros_like(rewards)
    for j in range(_TERMS):
        moved += weights[j] * power
        spent += tails[j] * (power @ rewards)
        power = power @ jump
    for _ in range(doublings):
        spent = spent + moved @ spent
        moved = moved @ moved
    return moved, spent

"""Which faults are made, drawn from a seed. Pure.

Faults come in rounds: those of one round overlap, and the next begins when the cluster is whole
again. What a round may hurt:

- *Damage* (a drive replaced by an empty one, bytes flipped) takes what was acknowledged away for
  good until it is healed. Alone it may hit one drive of at most m slots. Beside another fault it
  may hit W - k slots at most: a write that the other fault met is acknowledged by W slots.
- *Absence* (a drive put back later, a server killed or frozen, a partition) only hides. Alone it is
  always allowed: what the layout cannot do meanwhile has to be refused. Several at once stay within
  m slots of every set, unless the round goes `beyond`, which is absence alone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from random import Random
from typing import Final

from objstore.cli.layout import QUORUMS
from objstore.cli.local_layout import LocalLayout
from objstore.names import Scheme
from objstore.topology.survival import can_read, can_write

_TRIES: Final = 50
_MORE_IN_ROUND: Final = (0, 0, 1, 2)
_BEYOND_SHARE: Final = 0.4
_SPREAD_S: Final = 2.0  # faults of a round begin within this
_HOLD_S_MIN: Final = 0.5
_SEED_MAX: Final = 2**32

Slot = tuple[int, int]  # set, slot


class Kind(StrEnum):
    """What `--faults` names."""

    DRIVE = "drive"
    SERVER = "server"
    BITROT = "bitrot"
    PARTITION = "partition"


class How(StrEnum):
    """What is done."""

    REPLACED = "moved away and replaced by an empty one"
    RETURNED = "moved away and put back"
    KILLED = "killed"
    PAUSED = "frozen"
    RESTARTED = "restarted in order"
    ROTTED = "bytes flipped"
    CUT = "cut off"
    UNHEARD = "cut off one way"


HOWS: Final[Mapping[Kind, tuple[How, ...]]] = {
    Kind.DRIVE: (How.REPLACED, How.REPLACED, How.RETURNED),
    Kind.SERVER: (How.KILLED, How.PAUSED, How.RESTARTED),
    Kind.BITROT: (How.ROTTED,),
    Kind.PARTITION: (How.CUT, How.CUT, How.UNHEARD),
}
assert set(HOWS) == set(Kind)
DAMAGING: Final = frozenset({How.REPLACED, How.ROTTED})


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Servers and drives are numbered from 1."""

    kind: Kind
    how: How
    server: int
    drive: int = 0  # 0: it is no drive's
    other: int = 0  # of a partition: the server that hears nothing of `server`
    at_s: float = 0.0  # after the round's beginning
    hold_s: float = 0.0
    seed: int = 0  # for what is drawn when it is made

    def __str__(self) -> str:
        if self.kind is Kind.PARTITION:
            way = "to" if self.how is How.UNHEARD else "and"
            return f"link of server {self.server} {way} server {self.other} {self.how}"
        if self.drive:
            return f"drive {self.drive} of server {self.server} {self.how}"
        return f"server {self.server} {self.how}"


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a layout decides which faults it survives."""

    schemes: tuple[Scheme, ...]  # of each set
    slots: Mapping[tuple[int, int], frozenset[Slot]]  # of each server's drives

    @property
    def servers(self) -> tuple[int, ...]:
        """The servers' numbers."""
        return tuple(sorted({server for server, _ in self.slots}))

    def of_server(self, server: int) -> frozenset[Slot]:
        """Every slot on one server."""
        return frozenset().union(*(held for (on, _), held in self.slots.items() if on == server))

    @property
    def every(self) -> frozenset[Slot]:
        """Every slot there is."""
        return frozenset().union(*self.slots.values())


def shape_of(local: LocalLayout) -> Shape:
    """Return the shape of a layout on this machine."""
    slots: dict[tuple[int, int], frozenset[Slot]] = {
        (server, drive): frozenset()
        for server, held in enumerate(local.drives, start=1)
        for drive in range(1, len(held) + 1)
    }
    for position, one in enumerate(local.layout.sets):
        for index, address in enumerate(one.drives):
            server = local.layout.servers.index(address.server) + 1
            drive = [str(path) for path in local.drives[server - 1]].index(address.path) + 1
            held = frozenset((position, slot) for slot in one.slots_of_drive(index))
            slots[server, drive] |= held
    return Shape(tuple(one.scheme for one in local.layout.sets), slots)


# --- what a fault takes -------------------------------------------------------------------


def missing_to(shape: Shape, fault: Fault, asked: int) -> frozenset[Slot]:
    """Return the slots that a request through server `asked` has to do without."""
    if fault.drive:
        return shape.slots[fault.server, fault.drive]
    if fault.kind is Kind.PARTITION:
        beyond = {fault.server: fault.other, fault.other: fault.server}
        return shape.of_server(beyond[asked]) if asked in beyond else frozenset()
    # A server that starts has to find all others first.
    return shape.every if asked == fault.server else shape.of_server(fault.server)


def damaged_by(shape: Shape, fault: Fault) -> frozenset[Slot]:
    """Return the slots whose data it takes until that is healed."""
    return shape.slots[fault.server, fault.drive] if fault.how in DAMAGING else frozenset()


def serves(shape: Shape, missing: Collection[Slot], *, write: bool) -> bool:
    """Say whether every set can be read, or written, without some slots."""
    can = can_write if write else can_read
    return all(
        can(scheme, sum(place == position for place, _ in missing), QUORUMS)
        for position, scheme in enumerate(shape.schemes)
    )


def is_survived(shape: Shape, faults: Sequence[Fault], *, beyond: bool = False) -> bool:
    """Say whether these faults at once can take nothing for good, by the module's rules."""
    damaged = frozenset().union(*(damaged_by(shape, one) for one in faults))
    away = frozenset().union(
        *(missing_to(shape, one, asked) for one in faults for asked in _others(shape, one))
    )
    if beyond and damaged:
        return False
    for position, scheme in enumerate(shape.schemes):
        lost = _count(damaged, position)
        spare = scheme.m if len(faults) == 1 else QUORUMS.write(scheme, 0) - scheme.k
        if lost > min(scheme.m, spare):
            return False
        if len(faults) > 1 and not beyond and _count(away | damaged, position) > scheme.m:
            return False
    return len({_place(one) for one in faults}) == len(faults)


def _others(shape: Shape, fault: Fault) -> Iterable[int]:
    """The servers that a fault is judged by: a server that is down is asked by nobody."""
    down = fault.server if fault.kind is Kind.SERVER else 0
    return [server for server in shape.servers if server != down]


def _count(slots: Collection[Slot], position: int) -> int:
    return sum(place == position for place, _ in slots)


def _place(fault: Fault) -> tuple[int, int] | str:
    """What a fault is made of; two of one round must not meet there."""
    return "link" if fault.kind is Kind.PARTITION else (fault.server, fault.drive)


# --- drawing ------------------------------------------------------------------------------


def draw_round(
    random: Random, shape: Shape, kinds: Sequence[Kind], *, beyond: bool, hold_s_max: float
) -> tuple[Fault, ...]:
    """Draw the faults of the next round, at least one; empty when the layout survives none."""
    further = beyond and random.random() < _BEYOND_SHARE
    wanted = 1 + random.choice(_MORE_IN_ROUND) + (1 if further else 0)
    chosen: list[Fault] = []
    for _ in range(_TRIES):
        if len(chosen) == wanted:
            break
        one = _draw(random, shape, random.choice(kinds), hold_s_max)
        if one is not None and is_survived(shape, [*chosen, one], beyond=further and bool(chosen)):
            chosen.append(one)
    return tuple(sorted(chosen, key=lambda one: one.at_s))


def _draw(random: Random, shape: Shape, kind: Kind, hold_s_max: float) -> Fault | None:
    how = random.choice(HOWS[kind])
    server, drive = random.choice(sorted(shape.slots))
    fault = Fault(
        kind,
        how,
        server,
        at_s=random.uniform(0, min(_SPREAD_S, hold_s_max)),
        hold_s=random.uniform(min(_HOLD_S_MIN, hold_s_max), hold_s_max),
        seed=random.randrange(_SEED_MAX),
    )
    if kind is Kind.PARTITION:
        others = [one for one in shape.servers if one != server]
        return replace(fault, other=random.choice(others)) if others else None
    return replace(fault, drive=drive) if kind in {Kind.DRIVE, Kind.BITROT} else fault

"""Survival: what a layout can do without each of its drives and each of its servers.

The rule behind all of it: a set reads on without a failure domain exactly when that domain
holds at most m of its slots (and enough slots are left to know what is newest). Quorums are
given by the caller, because quorum/thresholds.py is the only place that computes them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from objstore.names import Scheme, shard_letter
from objstore.topology.endpoints import DriveAddress
from objstore.topology.layout import Layout, SetLayout


@dataclass(frozen=True, slots=True)
class Quorums:
    """How many slots must agree, from the caller's quorum rules."""

    write: Callable[[Scheme, int], int]  # (the set's scheme, slots missing) -> W
    read: Callable[[Scheme], int]  # the set's scheme -> R
    degraded: Callable[[Scheme, int], Scheme]  # (the set's scheme, slots missing) -> scheme


class Domain(Enum):
    """What fails as one."""

    DRIVE = "drive"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class NumberedDrive:
    """A drive with the number people call it by: server after server, in the layout's order."""

    number: int
    server_number: int
    address: DriveAddress
    set_position: int  # in Layout.sets
    drive: int  # in SetLayout.drives


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether one set can do something, and why."""

    possible: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the loss of one domain means for the objects of the whole layout."""

    domain: Domain
    number: int
    address: str
    read: Verdict
    write: Verdict


def number_drives(layout: Layout) -> tuple[NumberedDrive, ...]:
    """Number the drives from 1, server by server."""
    found = [
        (layout.servers.index(address.server), address, position, drive)
        for position, one in enumerate(layout.sets)
        for drive, address in enumerate(one.drives)
    ]
    found.sort(key=lambda entry: entry[0])  # stable: the layout's order within a server
    return tuple(
        NumberedDrive(number, server + 1, address, position, drive)
        for number, (server, address, position, drive) in enumerate(found, start=1)
    )


def can_read(scheme: Scheme, missing: int, quorums: Quorums) -> bool:
    """Say whether objects of `scheme` can be read while `missing` slots are away."""
    return missing <= scheme.m and scheme.slots - missing >= quorums.read(scheme)


def can_write(scheme: Scheme, missing: int, quorums: Quorums) -> bool:
    """Say whether new objects can be written while `missing` slots are away."""
    left = scheme.slots - missing
    return left >= max(quorums.write(scheme, missing), quorums.degraded(scheme, missing).k)


def without_each_drive(layout: Layout, quorums: Quorums) -> tuple[Outcome, ...]:
    """Judge the loss of every drive, in the order of their numbers."""
    outcomes = []
    for one in number_drives(layout):
        within = layout.sets[one.set_position]
        missing = len(within.slots_of_drive(one.drive))
        read, write = _judge(f"drive {one.number}", within.scheme, missing, quorums)
        outcomes.append(Outcome(Domain.DRIVE, one.number, str(one.address), read, write))
    return tuple(outcomes)


def without_each_server(layout: Layout, quorums: Quorums) -> tuple[Outcome, ...]:
    """Judge the loss of every server; with several sets, by the one that it hurts most."""
    outcomes = []
    for number, server in enumerate(layout.servers, start=1):
        read, write = _worst(layout, number, server, quorums)
        outcomes.append(Outcome(Domain.SERVER, number, server, read, write))
    return tuple(outcomes)


def _worst(layout: Layout, number: int, server: str, quorums: Quorums) -> tuple[Verdict, Verdict]:
    def harm(one: SetLayout) -> tuple[bool, bool, int]:
        missing = len(one.slots_of_server(server))
        return (
            not can_read(one.scheme, missing, quorums),
            not can_write(one.scheme, missing, quorums),
            missing,
        )

    worst = max(layout.sets, key=harm)
    where = ""
    if len(layout.sets) > 1:
        where = f" of set {worst.index + 1}" + (
            f" in pool {worst.pool + 1}" if layout.pools > 1 else ""
        )
    missing = len(worst.slots_of_server(server))
    return _judge(f"server {number}", worst.scheme, missing, quorums, where)


def _judge(
    name: str, scheme: Scheme, missing: int, quorums: Quorums, where: str = ""
) -> tuple[Verdict, Verdict]:
    readable = can_read(scheme, missing, quorums)
    writable = can_write(scheme, missing, quorums)
    if missing == 0:
        nothing = f"{name} holds no shard"
        return Verdict(readable, nothing), Verdict(writable, nothing)
    left = scheme.slots - missing
    holds = f"{name} holds {missing} of {scheme.slots} shards{where}, the code repairs {scheme.m}"
    if missing <= scheme.m and not readable:
        holds += (
            f", but to know which version is newest takes {quorums.read(scheme)} answers "
            f"and {left} can come"
        )
    return Verdict(readable, holds), Verdict(
        writable, _write_reason(scheme, missing, quorums, readable=readable, writable=writable)
    )


def _write_reason(
    scheme: Scheme, missing: int, quorums: Quorums, *, readable: bool, writable: bool
) -> str:
    left = scheme.slots - missing
    taken = quorums.degraded(scheme, missing)
    needed = max(quorums.write(scheme, missing), taken.k)
    slots = f"{left} slot{'s are' if left != 1 else ' is'} left and a write needs {needed}"
    if not writable:
        return slots
    spare = left - taken.k
    more = f"{spare or 'no'} more shard{'' if spare == 1 else 's'}"
    slots += f"; new objects are stored as {taken} and can lose {more}"
    if not readable:
        slots += "; objects written before cannot be read until it is back"
    return slots


# --- in words --------------------------------------------------------------------------


def summarise(layout: Layout, quorums: Quorums) -> tuple[str, ...]:
    """Say in one sentence for drives and one for servers what the layout survives."""
    return (
        _sentence("drive", without_each_drive(layout, quorums)),
        _sentence("server", without_each_server(layout, quorums)),
    )


def _sentence(noun: str, outcomes: tuple[Outcome, ...]) -> str:
    reads = [o.number for o in outcomes if o.read.possible]
    writes = [o.number for o in outcomes if o.write.possible]
    if reads == writes:
        verb, stop = "reading and writing go on", "reading and writing stop"
        return f"One {noun} lost: {_clause(noun, verb, stop, reads, len(outcomes))}."
    read = _clause(noun, "reading goes on", "reading stops", reads, len(outcomes))
    write = _clause(noun, "writing goes on", "writing stops", writes, len(outcomes))
    return f"One {noun} lost: {read}; {write}."


def _clause(noun: str, verb: str, stop: str, survived: list[int], count: int) -> str:
    if not survived:
        return stop
    if len(survived) == count:
        return f"{verb}, whichever it is" if count > 1 else verb
    lost = [number for number in range(1, count + 1) if number not in survived]
    if len(lost) <= len(survived):
        return f"{verb} unless it is {noun} {_list(lost)}"
    return f"{verb} only if it is {noun} {_list(survived)}"


def _list(numbers: list[int]) -> str:
    return " or ".join(
        part for part in (", ".join(map(str, numbers[:-1])), str(numbers[-1])) if part
    )


def xor_notes(layout: Layout) -> tuple[str, ...]:
    """Say of every drive that holds several shards under one XOR parity why it is not repaired.

    The written guide to such layouts claims that the xor of the remaining shards gives the lost
    ones back. P is the xor of all data, so the xor of what remains is the xor of what was
    lost: one equation, which yields one shard and no more.
    """
    notes = []
    for one in number_drives(layout):
        within = layout.sets[one.set_position]
        lost = within.slots_of_drive(one.drive)
        if within.rotate or within.scheme.m != 1 or len(lost) < 2:
            continue
        names = [shard_letter(within.scheme, shard) for shard in range(within.scheme.slots)]
        gone = [names[shard] for shard in lost]
        kept = [name for shard, name in enumerate(names) if shard not in lost]
        notes.append(
            f'Drive {one.number}: the claim "{" xor ".join(kept)} gives back '
            f'{" and ".join(gone)}" is false. That is only {" xor ".join(gone)}: one equation '
            f"for {len(gone)} unknown shards, so none of them can be computed."
        )
    return tuple(notes)

"""Accepts a history, or explains by its shortest part why it cannot have happened. Pure.

The promise (docs/operating/failures.md, "Partitions", and ADR 2, 6 and 7), key by key. There is one
order of all writes that took effect (their stamps) such that:

1. every acknowledged write took effect, and so did what was seen; nothing that was refused did;
2. a write that began after another was acknowledged is later in the order (also when clocks jump);
3. a read gives the value of a write that had begun before the read ended, and after which comes
   none in the order that was acknowledged before the read began: never anything older than what
   was acknowledged, from whichever server;
4. a conditional write that succeeded directly follows the write whose value it names.

A read while a write is under way, or of a write that nobody acknowledged, may give either value,
and the next read the other one: a regular register, with one order for all its readers. A listing
is such a read of each key. Where two clients see one write under way, an atomic register would
promise more; objstore does not.

An order exists exactly when the constraints have no cycle, where a conditional write and the one
it follows are one place (nothing may come between). Which deletion a missing key is due to is not
known, so every such read is a choice; few are left once those that add no constraint are gone.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tests.history.events import CONDITIONAL, Event, Value, Verb

_STEPS_MAX: Final = 20_000


class Undecided(Exception):
    """A history leaves too many choices; make histories of one key shorter."""


@dataclass(frozen=True, slots=True)
class Violation:
    """What cannot have happened, without the events that do not matter for it."""

    excerpt: tuple[Event, ...]

    def __str__(self) -> str:
        return "no order of the writes explains:\n" + "\n".join(map(str, self.excerpt))


def check(history: Iterable[Event]) -> Violation | None:
    """Return a violation, or None when every key's history is possible."""
    by_key: dict[str, list[Event]] = defaultdict(list)
    for event in history:
        by_key[event.key].append(event)
    for key in sorted(by_key):
        if not is_possible(by_key[key]):
            return Violation(shortest(by_key[key]))
    return None


def shortest(events: Sequence[Event]) -> tuple[Event, ...]:
    """Leave out what is not needed for the violation: halves first, in the end single events.

    A write stays as long as something that stays may be due to it: without it that would be a
    violation of its own.
    """
    ordered = sorted(events, key=lambda event: event.start)
    needed = _Search(ordered).needed_by()
    kept = set(range(len(ordered)))
    size = len(ordered)
    while size >= 1:
        before = kept
        # The latest first: what a later one may be due to is needed until that is gone.
        for first in reversed(range(0, len(ordered), size)):
            fewer = kept - set(range(first, first + size))
            complete = all(needed[place] <= fewer for place in fewer)
            if complete and fewer < kept and not is_possible([ordered[n] for n in sorted(fewer)]):
                kept = fewer
        if kept == before or size > 1:
            size //= 2
    return tuple(ordered[n] for n in sorted(kept))


def is_possible(events: Sequence[Event]) -> bool:
    """Decide whether an order of one key's writes explains all that was seen of them.

    Raises:
        Undecided: too many choices.
    """
    return _Search(events).succeeds()


@dataclass(frozen=True, slots=True)
class _Choice:
    """One of `options` (places in the writes) is what an event saw, or followed."""

    event: Event
    options: tuple[int, ...]
    before: int = 0  # a read's: the writes (bits) that what it saw must not precede
    of: int = -1  # a conditional write's: its own place


@dataclass(slots=True)
class _State:
    """The constraints chosen so far. Sets of writes are bits of an int."""

    effective: int
    earlier: dict[int, int]  # beyond real time: write -> writes before it
    follows: dict[int, int]  # conditional write -> the write directly before it

    def copy(self) -> "_State":
        return _State(self.effective, dict(self.earlier), dict(self.follows))


class _Search:
    def __init__(self, events: Sequence[Event]) -> None:
        self.events = events
        initial = Event(Verb.DELETE, "", float("-inf"), float("-inf"))
        self.writes = [initial, *(event for event in events if event.is_write)]
        self.reads = [event for event in events if not event.is_write]
        self.by_value: dict[Value, list[int]] = defaultdict(list)
        for place, write in enumerate(self.writes):
            self.by_value[write.value].append(place)
        # Real time: the acknowledged writes that had ended when each write began.
        self.ended = [self._ended_before(write.start) for write in self.writes]
        self.steps = 0

    def succeeds(self) -> bool:
        acknowledged = sum(1 << n for n, write in enumerate(self.writes) if write.acknowledged)
        state = _State(acknowledged, {}, {})
        choices = [choice for read in self.reads if (choice := self._of_read(read)) is not None]
        choices += [
            self._of_write(place)
            for place, write in enumerate(self.writes)
            if write.acknowledged and write.verb in CONDITIONAL
        ]
        # Those without an alternative first: they are no choices, and make others impossible.
        choices.sort(key=lambda choice: len(choice.options))
        return self._solve(state, choices)

    def needed_by(self) -> list[set[int]]:
        """Return, for each event, the events that what it was answered may be due to."""
        places = {id(write): place for place, write in enumerate(self.writes)}
        index = {places[id(event)]: n for n, event in enumerate(self.events) if event.is_write}
        needed = []
        for event in self.events:
            found = set(self._candidates(event, places.get(id(event), -1)))
            for value in (event.value, event.expected):
                found |= set(self.by_value[value]) if value is not None else set()
            needed.append({index[place] for place in found if place in index})
        return needed

    def _of_read(self, read: Event) -> _Choice | None:
        """What a read may have seen; None when it adds no constraint."""
        before = self._ended_before(read.start)
        options = self._candidates(read, -1)
        for place in options:
            later = before & ~self.ended[place] & ~(1 << place)
            if self.writes[place].acknowledged and not later:
                return None
        return _Choice(read, tuple(reversed(options)), before=before)

    def _of_write(self, place: int) -> _Choice:
        """What a conditional write may follow."""
        write = self.writes[place]
        return _Choice(write, tuple(reversed(self._candidates(write, place))), of=place)

    def _candidates(self, event: Event, own: int) -> list[int]:
        """Return the writes that an event may have seen, or may follow, in real time."""
        before = self._ended_before(event.start)
        options = []
        for place, write in enumerate(self.writes):
            if place == own or write.start >= event.until or not event.sees(write.value):
                continue
            later = before & ~self.ended[place] & ~(1 << place)
            # It had ended before another began that had ended before this event did.
            if any(self.ended[other] >> place & 1 for other in _bits(later)):
                continue
            options.append(place)
        return options

    def _solve(self, state: _State, choices: list[_Choice]) -> bool:
        """Try the choices one after the other, and take back those that lead nowhere."""
        self.steps += 1
        if self.steps > _STEPS_MAX:
            raise Undecided(f"more than {_STEPS_MAX} steps for {len(self.writes)} writes")
        if not self._can_be_ordered(state):
            return False
        if not choices:
            return True
        choice, rest = choices[0], choices[1:]
        for option in choice.options:
            tried = state.copy()
            further = self._take(tried, option)
            if choice.of >= 0:
                if option in tried.follows.values():
                    continue  # two winners
                tried.follows[choice.of] = option
            else:
                tried.earlier[option] = tried.earlier.get(option, 0) | choice.before
            if self._solve(tried, further + rest):
                return True
        return False

    def _take(self, state: _State, place: int) -> list[_Choice]:
        """Let a write have taken effect; if it is a conditional one, it followed something."""
        if state.effective >> place & 1:
            return []
        state.effective |= 1 << place
        conditional = self.writes[place].verb in CONDITIONAL
        return [self._of_write(place)] if conditional else []

    def _can_be_ordered(self, state: _State) -> bool:
        """Whether the constraints have no cycle, each chain of conditional writes one place."""
        chains = _chains(state.follows)
        if chains is None:
            return False
        blocks = [[n] for n in _bits(state.effective) if n not in chains]
        blocks += {id(chain): chain for chain in chains.values()}.values()
        left: list[tuple[int, int]] = []
        for block in blocks:
            own = sum(1 << n for n in block)
            needed = passed = 0
            for n in block:
                before = (self.ended[n] | state.earlier.get(n, 0)) & ~(1 << n)
                if before & own & ~passed:
                    return False
                needed |= before & ~own
                passed |= 1 << n
            left.append((own, needed & state.effective))
        placed = 0
        while left:
            waiting = [block for block in left if block[1] & ~placed]
            if len(waiting) == len(left):
                return False
            placed |= sum(own for own, needed in left if not needed & ~placed)
            left = waiting
        return True

    def _ended_before(self, moment: float) -> int:
        return sum(
            1 << n
            for n, write in enumerate(self.writes)
            if write.acknowledged and write.end < moment
        )


def _chains(follows: dict[int, int]) -> dict[int, list[int]] | None:
    """Return the chain that each of these writes is in, in order; None if one goes round."""
    next_of = {before: after for after, before in follows.items()}
    chains: dict[int, list[int]] = {}
    for first in next_of:
        if first in follows:
            continue
        chain = [first]
        while chain[-1] in next_of:
            chain.append(next_of[chain[-1]])
        for place in chain:
            chains[place] = chain
    return chains if set(follows) <= set(chains) else None


def _bits(number: int) -> Iterable[int]:
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest

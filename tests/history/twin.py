"""The checker's slow twin: tries every order of every choice of writes, by the promise's words."""

from collections.abc import Iterator, Sequence
from itertools import chain, combinations, permutations

from tests.history.events import CONDITIONAL, Event, Verb

_INITIAL = Event(Verb.DELETE, "", float("-inf"), float("-inf"))


def is_possible(events: Sequence[Event]) -> bool:
    """Decide by trying; for a handful of writes."""
    certain = [event for event in events if event.is_write and event.acknowledged]
    maybe = [event for event in events if event.is_write and not event.acknowledged]
    reads = [event for event in events if not event.is_write]
    return any(
        _explains([_INITIAL, *order], reads)
        for some in _subsets(maybe)
        for order in permutations([*certain, *some])
    )


def _subsets(events: Sequence[Event]) -> Iterator[tuple[Event, ...]]:
    return chain.from_iterable(combinations(events, n) for n in range(len(events) + 1))


def _explains(order: Sequence[Event], reads: Sequence[Event]) -> bool:
    return (
        all(_in_real_time(order, n) for n in range(len(order)))
        and all(_condition_held(order, n) for n in range(1, len(order)))
        and all(_is_seen(order, read) for read in reads)
    )


def _in_real_time(order: Sequence[Event], place: int) -> bool:
    """No write that comes later had been acknowledged when this one began."""
    return not any(late.until < order[place].start for late in order[place + 1 :])


def _condition_held(order: Sequence[Event], place: int) -> bool:
    write, before = order[place], order[place - 1]
    return write.verb not in CONDITIONAL or (
        write.sees(before.value) and before.start < write.until
    )


def _is_seen(order: Sequence[Event], read: Event) -> bool:
    return any(
        read.sees(write.value)
        and write.start < read.end
        and not any(late.until < read.start for late in order[place + 1 :])
        for place, write in enumerate(order)
    )

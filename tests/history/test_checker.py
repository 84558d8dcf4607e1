"""The checker agrees with its slow twin, accepts what a register does, finds what is planted."""

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.history import twin
from tests.history.checker import check, is_possible, shortest
from tests.history.events import CONDITIONAL, READS, Event, Outcome, Value, Verb

KEY = "k"


def write(value: str | None, start: float, end: float, *, maybe: bool = False) -> Event:
    verb = Verb.DELETE if value is None else Verb.PUT
    outcome = Outcome.MAYBE if maybe else Outcome.OK
    return Event(verb, KEY, start, end, outcome, value)


def read(value: str | None, start: float, end: float) -> Event:
    return Event(Verb.GET, KEY, start, end, value=value)


def swap(expected: str, value: str, start: float, end: float) -> Event:
    return Event(Verb.SWAP, KEY, start, end, value=value, expected=expected)


def create(value: str, start: float, end: float) -> Event:
    return Event(Verb.CREATE, KEY, start, end, value=value)


# --- against the twin ----------------------------------------------------------------------


@st.composite
def small_histories(draw: st.DrawFn) -> list[Event]:
    """Up to four writes and four reads at moments that meet, with answers right and wrong."""
    events: list[Event] = []
    values: list[str | None] = [None]
    for number in range(draw(st.integers(1, 8))):
        start = draw(st.integers(0, 12))
        end = start + draw(st.integers(1, 5)) + 0.5
        writes = sum(event.is_write for event in events)
        verb = draw(st.sampled_from(list(Verb) if writes < 4 else sorted(READS)))
        outcome = Outcome.OK
        if verb not in READS:
            allowed = list(Outcome) if verb in CONDITIONAL else [Outcome.OK, Outcome.MAYBE]
            outcome = draw(st.sampled_from(allowed))
        expected = draw(st.sampled_from(values)) if verb is Verb.SWAP else None
        if verb in READS:
            value = draw(st.sampled_from(values))
        else:
            value = None if verb is Verb.DELETE else f"v{number}"
            values.append(value)
        events.append(Event(verb, KEY, start, end, outcome, value, expected))
    return events


@settings(max_examples=1000, deadline=None)
@given(small_histories())
def test_it_decides_as_the_twin_does(events: list[Event]) -> None:
    assert is_possible(events) == twin.is_possible(events), "\n".join(map(str, events))


@settings(max_examples=300, deadline=None)
@given(small_histories())
def test_an_excerpt_is_a_violation_itself_and_nothing_can_be_left_out(events: list[Event]) -> None:
    if is_possible(events):
        return
    excerpt = shortest(events)
    assert not twin.is_possible(excerpt)
    for left_out in excerpt:
        if not left_out.is_write:
            assert twin.is_possible([event for event in excerpt if event is not left_out])


# --- what a real register does ---------------------------------------------------------------


def register_history(random: Random, *, clients: int, operations: int) -> list[Event]:
    """Let clients use one register that takes effect at a moment within each operation."""
    moments = []  # (when it takes effect, start, end, verb, value, client)
    for client in range(clients):
        now = random.random()
        for number in range(operations):
            start = now + random.random() * 0.2
            end = start + random.random()
            moments.append((random.uniform(start, end), start, end, client, number))
            now = end
    events: list[Event] = []
    held: Value = None
    seen: Value = None
    for _, start, ended, client, number in sorted(moments):
        end = ended
        value: Value = f"{client}.{number}"
        verb = random.choice((Verb.PUT, Verb.PUT, Verb.DELETE, Verb.CREATE, Verb.SWAP, Verb.GET))
        outcome, expected = Outcome.OK, None
        if verb is Verb.GET:
            value = held
            seen = held
        elif verb is Verb.DELETE:
            value = None
        elif verb is Verb.CREATE and held is not None:
            outcome = Outcome.REFUSED
        elif verb is Verb.SWAP:
            expected = random.choice((seen or "nothing", held or "nothing"))
            outcome = Outcome.OK if expected == held else Outcome.REFUSED
        if verb is not Verb.GET and outcome is Outcome.OK:
            if random.random() < 0.1:
                outcome = Outcome.MAYBE
                end = start + 0.01
                held = value if random.random() < 0.5 else held
            else:
                held = value
        events.append(Event(verb, KEY, start, end, outcome, value, expected, f"client {client}"))
    return events


@pytest.mark.parametrize("seed", range(40))
def test_what_a_register_does_is_accepted(seed: int) -> None:
    random = Random(seed)
    events = register_history(random, clients=5, operations=40)
    assert check(events) is None


@pytest.mark.parametrize("seed", range(20))
def test_a_wrong_answer_in_a_long_history_is_found_and_cut_out(seed: int) -> None:
    """Make one late read give a value that was replaced long before."""
    random = Random(seed)
    events = register_history(random, clients=4, operations=25)
    old = next(e for e in sorted(events, key=lambda e: e.start) if e.acknowledged and e.value)
    late = max(event.end for event in events) + 1
    new = write("certain", late, late + 1)
    stale = read(old.value, late + 2, late + 3)
    violation = check([*events, new, stale])
    assert violation is not None
    assert stale in violation.excerpt
    assert len(violation.excerpt) <= 10, str(violation)


# --- what is planted -------------------------------------------------------------------------

PLANTED: dict[str, Sequence[Event]] = {
    "a stale read": [write("a", 0, 1), write("b", 2, 3), read("a", 4, 5)],
    "a lost write": [write("a", 0, 1), read(None, 2, 3)],
    "a lost delete": [write("a", 0, 1), write(None, 2, 3), read("a", 4, 5)],
    "a resurrection by a write that was not acknowledged": [
        write("a", 0, 1, maybe=True), write("b", 2, 3), read("b", 4, 5), write(None, 6, 7),
        read("b", 8, 9),
    ],
    "a value that nobody wrote": [write("a", 0, 1), read("half of a, half of b", 2, 3)],
    "a read of what is not written yet": [read("a", 0, 1), write("a", 2, 3)],
    "a refused write that took effect": [
        write("a", 0, 1),
        Event(Verb.CREATE, KEY, 2, 3, Outcome.REFUSED, "b"),
        read("b", 4, 5),
    ],
    "two winners of one swap": [
        write("a", 0, 1), swap("a", "b", 2, 5), swap("a", "c", 3, 6), read("c", 7, 8),
    ],
    "two creations of one key": [create("a", 0, 3), create("b", 1, 4)],
    "a swap that passed over a write": [
        write("a", 0, 1), write("b", 2, 3), swap("a", "c", 4, 5),
    ],
    "a swap between whose halves a write was seen": [
        write("a", 0, 1), swap("a", "c", 2, 9), write("b", 3, 4), read("b", 5, 6),
        read("c", 10, 11), write("d", 12, 13), swap("d", "e", 14, 15), read("b", 16, 17),
    ],
    "readers that disagree about the order": [
        write("a", 0, 5), write("b", 0, 5), read("a", 6, 7), read("b", 8, 9),
    ],
    "a creation refused although nothing was there": [
        write("a", 0, 1), write(None, 2, 3), Event(Verb.CREATE, KEY, 4, 5, Outcome.REFUSED, "b"),
    ],
    "a delete that rested on another one, which failed": [
        write("a", 0, 1), write(None, 2, 5, maybe=True), write(None, 3, 4),
        Event(Verb.SEEN, KEY, 4.1, 4.2, value="a"),
    ],
    "a listing without a key that is there": [
        write("a", 0, 1), Event(Verb.SEEN, KEY, 2, 3, value=None),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_violation_is_found(name: str) -> None:
    violation = check(PLANTED[name])
    assert violation is not None
    assert not twin.is_possible(PLANTED[name])
    assert KEY in str(violation)


ALLOWED: dict[str, Sequence[Event]] = {
    "either value while a write is under way": [
        write("a", 0, 1), write("b", 2, 9), read("b", 3, 4), read("a", 5, 6), read("b", 10, 11),
    ],
    "a write without an answer that takes effect late": [
        write("a", 0, 1, maybe=True), write("b", 2, 3), read("b", 4, 5), read("a", 6, 7),
    ],
    "a write without an answer that never takes effect": [
        write("a", 0, 1), write("b", 2, 3, maybe=True), read("a", 4, 5), swap("a", "c", 6, 7),
    ],
    "a write without an answer that takes effect after a deletion": [
        write("a", 0, 1), write("b", 2, 3, maybe=True), write(None, 4, 5),
        Event(Verb.SEEN, KEY, 6, 7, value="b"), read("b", 8, 9),
    ],
    "a deletion without an answer, and what it was to delete listed beside it": [
        write("a", 0, 1), write(None, 2, 3, maybe=True),
        Event(Verb.SEEN, KEY, 4, 5, value=None), Event(Verb.SEEN, KEY, 6, 7, value="a"),
    ],
    "a creation after a deletion": [
        write("a", 0, 1), write(None, 2, 3), create("b", 4, 5), swap("b", "c", 6, 7),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_promised_to_nobody_is_accepted(name: str) -> None:
    assert twin.is_possible(ALLOWED[name])
    assert check(ALLOWED[name]) is None

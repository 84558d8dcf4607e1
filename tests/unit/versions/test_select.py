"""A read never answers with less than what was acknowledged, whoever does not answer."""

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.limits import CLOCK_DRIFT_SECONDS_MAX
from objstore.names import BucketName, Kind, ObjectKey, Scheme, Stamp
from objstore.ondisk.record import HeldShard, Record, Version
from objstore.quorum.thresholds import degraded_scheme, write_quorum
from objstore.versions.select import DriveAnswer, Outcome, choose

DRIFT_MS = CLOCK_DRIFT_SECONDS_MAX * 1000
SETS = [
    Scheme(3, 1),
    Scheme(2, 2),
    Scheme(1, 1),
    Scheme(1, 3),
    Scheme(4, 1),
    Scheme(4, 2),
    Scheme(6, 3),
]


def version(number: int, scheme: Scheme) -> Version:
    return Version(
        BucketName("b"),
        ObjectKey("k"),
        Stamp(number.to_bytes(16, "big")),
        0,
        Kind.OBJECT,
        null_version=True,
        k=scheme.k,
        m=scheme.m,
        slots=tuple(range(scheme.slots)),
        stripe_bytes=1 << 20,
        size=1,
        etag="",
        modified_ms=number,
    )


def record(of: Version, slot: int) -> Record:
    return Record(of, (HeldShard(slot),))


@st.composite
def histories(
    draw: st.DrawFn,
) -> tuple[Scheme, list[tuple[Version, frozenset[int]]], frozenset[int]]:
    """Writes in order, each committed on some slots, and the slots that answer the read."""
    scheme = draw(st.sampled_from(SETS))
    n = scheme.slots
    writes = []
    for number in range(1, draw(st.integers(0, 3)) + 1):
        away = draw(st.integers(0, n))
        on = draw(st.frozensets(st.integers(0, n - 1), max_size=n - away))
        writes.append((version(number, degraded_scheme(scheme, away)), on))
    return scheme, writes, draw(st.frozensets(st.integers(0, n - 1)))


def answers_of(
    writes: list[tuple[Version, frozenset[int]]], answering: frozenset[int]
) -> dict[int, DriveAnswer]:
    held: dict[int, list[Record]] = {slot: [] for slot in answering}
    for written, on in reversed(writes):
        for slot in on & answering:
            held[slot].append(record(written, slot))
    return {slot: DriveAnswer(tuple(records)) for slot, records in held.items()}


def acknowledged(writes: list[tuple[Version, frozenset[int]]]) -> int:
    """The slow obvious twin: the number of the newest write that reached its quorum, or 0."""
    done = [w.modified_ms for w, on in writes if len(on) >= write_quorum(w.scheme)]
    return max(done, default=0)


@given(histories())
@settings(max_examples=1500, deadline=None)
def test_an_acknowledged_version_is_never_passed_over(
    history: tuple[Scheme, list[tuple[Version, frozenset[int]]], frozenset[int]],
) -> None:
    scheme, writes, answering = history
    choice = choose(answers_of(writes, answering), [(slot,) for slot in range(scheme.slots)])
    newest = acknowledged(writes)
    if choice.outcome is Outcome.ABSENT:
        assert newest == 0
    if choice.outcome is Outcome.FOUND:
        assert choice.version is not None
        assert choice.version.modified_ms >= newest
        if choice.acknowledged:
            assert choice.version.modified_ms == newest


@given(histories())
@settings(max_examples=500, deadline=None)
def test_everybody_answering_decides_unless_shards_are_lacking(
    history: tuple[Scheme, list[tuple[Version, frozenset[int]]], frozenset[int]],
) -> None:
    scheme, writes, _ = history
    everybody = frozenset(range(scheme.slots))
    choice = choose(answers_of(writes, everybody), [(slot,) for slot in range(scheme.slots)])
    newest = acknowledged(writes)
    assert choice.outcome is (Outcome.FOUND if newest else Outcome.ABSENT)
    assert (choice.version.modified_ms if choice.version else 0) == newest


@given(histories(), st.data())
@settings(max_examples=500, deadline=None)
def test_more_answers_never_change_a_certain_decision(
    history: tuple[Scheme, list[tuple[Version, frozenset[int]]], frozenset[int]],
    data: st.DataObject,
) -> None:
    scheme, writes, answering = history
    slots = [(slot,) for slot in range(scheme.slots)]
    early = choose(answers_of(writes, answering), slots)
    more = answering | data.draw(st.frozensets(st.integers(0, scheme.slots - 1)))
    late = choose(answers_of(writes, more), slots)
    if early.outcome is Outcome.ABSENT or (early.outcome is Outcome.FOUND and early.acknowledged):
        assert late.outcome is early.outcome
        assert late.version == early.version


def _three_of_four(replaced: bool) -> Mapping[int, DriveAnswer]:
    written = version(1, Scheme(3, 1))
    held: dict[int, DriveAnswer] = {s: DriveAnswer((record(written, s),)) for s in (0, 1)}
    return held | {2: DriveAnswer((), trusted=not replaced), 3: DriveAnswer(())}


def test_a_replaced_drive_does_not_know_what_it_lost() -> None:
    slots = [(slot,) for slot in range(4)]
    assert choose(_three_of_four(replaced=False), slots).outcome is Outcome.ABSENT
    # Committed on 0, 1 and 2 and acknowledged; then drive 2 was replaced by an empty one.
    assert choose(_three_of_four(replaced=True), slots).outcome is Outcome.UNDECIDED


def _lacking(*, made_ms: int, emptied_ms: int, trusted: bool, scheme: Scheme) -> Outcome:
    """Decide about a version that all slots lack but those that make W with one, the last slot."""
    stamp = Stamp(made_ms.to_bytes(6, "big") + bytes(10))
    written = msgspec.structs.replace(version(1, scheme), stamp=stamp)
    holders = range(write_quorum(scheme) - 1)
    answers = {slot: DriveAnswer((record(written, slot),)) for slot in holders}
    answers |= {slot: DriveAnswer(()) for slot in range(write_quorum(scheme) - 1, scheme.slots - 1)}
    answers[scheme.slots - 1] = DriveAnswer((), trusted=trusted, emptied_ms=emptied_ms)
    return choose(answers, [(slot,) for slot in range(scheme.slots)]).outcome


@pytest.mark.parametrize(
    ("made_ms", "emptied_ms", "trusted", "outcome"),
    [
        (5, 0, True, Outcome.ABSENT),  # the first in its place: it never lost anything
        (5, 0, False, Outcome.UNDECIDED),  # nobody knows since when it is there
        (5, 6, False, Outcome.UNDECIDED),
        (5, 6, True, Outcome.UNDECIDED),  # rebuilt, of what could be read
        (6 + DRIFT_MS, 6, True, Outcome.UNDECIDED),
        (7 + DRIFT_MS, 6, False, Outcome.ABSENT),
        (7 + DRIFT_MS, 6, True, Outcome.ABSENT),
    ],
)
@pytest.mark.parametrize("scheme", [Scheme(3, 1), Scheme(2, 1), Scheme(4, 2)], ids=str)
def test_a_drive_tells_of_what_was_written_since_it_took_its_place(
    scheme: Scheme, made_ms: int, emptied_ms: int, trusted: bool, outcome: Outcome
) -> None:
    found = _lacking(made_ms=made_ms, emptied_ms=emptied_ms, trusted=trusted, scheme=scheme)
    assert found is outcome


@pytest.mark.parametrize("made_ms", [5, 7 + DRIFT_MS])
def test_what_can_be_read_is_judged_by_no_clock(made_ms: int) -> None:
    found = _lacking(made_ms=made_ms, emptied_ms=6, trusted=False, scheme=Scheme(2, 2))
    assert found is Outcome.FOUND


def test_a_damaged_record_is_unknown_never_absent() -> None:
    written = version(1, Scheme(2, 2))
    answers = {s: DriveAnswer((record(written, s),)) for s in (0, 1)}
    damaged = answers | {2: DriveAnswer((), unknown=1), 3: DriveAnswer(())}
    choice = choose(damaged, [(slot,) for slot in range(4)])
    assert choice.outcome is Outcome.FOUND


def test_two_slots_on_one_drive_count_twice() -> None:
    written = version(1, Scheme(4, 1))
    both = Record(written, (HeldShard(0), HeldShard(2)))
    drives = [(0, 2), (1,), (3,), (4,)]
    answers = {0: DriveAnswer((both,)), 1: DriveAnswer((record(written, 1),))}
    assert choose(answers, drives).outcome is Outcome.UNDECIDED
    answers |= {2: DriveAnswer((record(written, 3),))}
    choice = choose(answers, drives)
    assert choice.outcome is Outcome.FOUND
    assert choice.acknowledged
    without_first = {1: answers[1], 2: answers[2], 3: DriveAnswer((record(written, 4),))}
    assert choose(without_first, drives).outcome is Outcome.UNDECIDED

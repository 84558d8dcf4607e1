"""A read hears its drives at different moments; what is written meanwhile never hides a version.

The world below runs writes step by step (commits at single drives, acknowledgements, the
retirement of what was superseded) and lets a reader hear one drive after the other in between. What
the reader may conclude is known exactly: nothing older than what was acknowledged when it began.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from hypothesis import event, given, settings
from hypothesis import strategies as st

from objstore.names import Scheme
from objstore.ondisk.record import Version
from objstore.quorum.thresholds import degraded_scheme, write_quorum
from objstore.versions.select import Choice, DriveAnswer, Outcome, choose
from tests.unit.versions.test_select import record, version

SETS = [Scheme(3, 1), Scheme(2, 2), Scheme(1, 1), Scheme(1, 3), Scheme(4, 1), Scheme(4, 2)]
WRITES_MAX = 4


@dataclass
class Write:
    """A write under way: where it has yet to arrive, where it is, and where it retires others."""

    version: Version
    arriving: list[int]
    committed: list[int] = field(default_factory=list)
    settling: list[int] | None = None

    @property
    def acknowledged(self) -> bool:
        return len(self.committed) >= write_quorum(self.version.scheme)


@dataclass
class World:
    """Drives (one a slot) and the rows each holds, by the number of their write."""

    scheme: Scheme
    rows: list[set[int]]
    writes: list[Write] = field(default_factory=list)

    def begin(self, away: int) -> None:
        number = len(self.writes) + 1
        scheme = degraded_scheme(self.scheme, away)
        everybody = list(range(self.scheme.slots))
        self.writes.append(Write(version(number, scheme), everybody[away:]))

    def commit(self, write: Write, drive: int) -> None:
        write.arriving.remove(drive)
        number = write.version.modified_ms
        if all(held < number for held in self.rows[drive]):
            self.rows[drive].add(number)
            write.committed.append(drive)
        if not write.arriving and write.acknowledged:
            write.settling = list(write.committed)

    def settle(self, write: Write, drive: int) -> None:
        assert write.settling is not None
        write.settling.remove(drive)
        number = write.version.modified_ms
        self.rows[drive] = {held for held in self.rows[drive] if held >= number}

    def acknowledged(self) -> int:
        return max((w.version.modified_ms for w in self.writes if w.acknowledged), default=0)

    def answer(self, drive: int) -> DriveAnswer:
        held = sorted(self.rows[drive], reverse=True)
        return DriveAnswer(tuple(record(self.writes[n - 1].version, drive) for n in held))


def step(world: World, data: st.DataObject) -> None:
    """Let one thing happen that may happen."""
    possible: list[Callable[[], None]] = []
    if len(world.writes) < WRITES_MAX:
        possible.append(lambda: world.begin(data.draw(st.integers(0, world.scheme.m))))
    possible += [partial(world.commit, w, d) for w in world.writes for d in w.arriving]
    possible += [partial(world.settle, w, d) for w in world.writes for d in w.settling or ()]
    if possible:
        possible[data.draw(st.sampled_from(range(len(possible))))]()


def under_way(scheme: Scheme, data: st.DataObject) -> World:
    """Return a world in which some things have happened."""
    world = World(scheme, [set() for _ in range(scheme.slots)])
    for _ in range(data.draw(st.integers(0, 20))):
        step(world, data)
    return world


def decided(scheme: Scheme, answers: dict[int, DriveAnswer]) -> Choice:
    return choose(answers, [(slot,) for slot in range(scheme.slots)])


def hear(world: World, drives: list[int], data: st.DataObject) -> dict[int, DriveAnswer]:
    """Hear the drives one after the other, with things happening in between."""
    answers = {}
    for drive in data.draw(st.permutations(drives)):
        for _ in range(data.draw(st.integers(0, 6))):
            step(world, data)
        answers[drive] = world.answer(drive)
    return answers


def said(choice: Choice) -> int:
    return choice.version.modified_ms if choice.version is not None else 0


@given(st.sampled_from(SETS), st.data())
@settings(max_examples=1000, deadline=None)
def test_what_a_read_concludes_is_not_older_than_what_was_acknowledged_when_it_began(
    scheme: Scheme, data: st.DataObject
) -> None:
    everybody = list(range(scheme.slots))
    some = st.lists(st.sampled_from(everybody), unique=True, min_size=1)
    drives = data.draw(some | st.just(everybody))
    world = under_way(scheme, data)
    before: dict[int, DriveAnswer] = {}
    began = 0
    for _ in range(3):
        newest = world.acknowledged()
        answers = hear(world, drives, data)
        choice = decided(scheme, answers)
        if choice.outcome is not Outcome.UNDECIDED and not choice.moving:
            event("concluded")
            assert said(choice) >= newest
        elif answers == before:
            # Twice the same: there was a moment at which every drive held just this.
            event("still")
            if choice.outcome is not Outcome.UNDECIDED:
                assert said(choice) >= began
        else:
            event("moving")
        before, began = answers, newest


@given(st.sampled_from(SETS), st.data())
@settings(max_examples=300, deadline=None)
def test_all_drives_leave_nothing_undecided_that_does_not_move(
    scheme: Scheme, data: st.DataObject
) -> None:
    world = under_way(scheme, data)
    choice = decided(scheme, hear(world, list(range(scheme.slots)), data))
    assert choice.moving or choice.outcome is not Outcome.UNDECIDED

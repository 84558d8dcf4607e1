"""Two servers that decide by what they see, on a witness and a clock of the test's own."""

from dataclasses import dataclass

import pytest

from objstore.background.epochs import Decider, Returning, sight_of
from objstore.background.ports import OwnDrive
from objstore.cluster.epoch_watch import EpochWatch
from objstore.engine.sets import SetDrive, SetHandle, set_handle
from objstore.errors import DriveOffline
from objstore.limits import SOLO_WAIT_S
from objstore.names import DriveId, Scheme
from objstore.quorum.solo import FIRST, Epoch, Mode
from objstore.testing.fake_clock import FakeClock
from objstore.testing.fake_witness import FakeWitness
from objstore.testing.faulty_drive import always
from objstore.testing.memory_drive import MemoryDrive
from objstore.testing.memory_set import SwitchedDrive
from objstore.topology.layout import DriveAddress, SetLayout

A, B = "a:9000", "b:9000"
LAYOUT = SetLayout(
    pool=0,
    index=0,
    scheme=Scheme(2, 2),
    drives=tuple(DriveAddress(server, f"/d{n}") for n in (1, 2) for server in (A, B)),
    slots=(0, 1, 2, 3),
    rotate=True,
)


async def _no_replacement() -> str:
    return "nothing"


class Server:
    """One server: its own view of all drives, a watch, and what decides."""

    def __init__(self, name: str, witness: FakeWitness, clock: FakeClock) -> None:
        self.name = name
        self.drives = [SwitchedDrive(MemoryDrive(DriveId(f"d{n}"), clock)) for n in range(4)]
        drives: tuple[SetDrive, ...] = tuple(self.drives)
        self.handle: SetHandle = set_handle(LAYOUT, drives)
        self.own = [
            OwnDrive(self.handle, index, _no_replacement)
            for index, address in enumerate(LAYOUT.drives)
            if address.server == name
        ]
        self.watch = EpochWatch(witness, own=name, other=B if name == A else A, clock=clock)
        self.returning = Returning(self.watch)
        self.awaits: set[str] = set()
        self.decider = Decider(
            self.watch,
            self.returning,
            handles=[self.handle],
            drives=self.own,
            is_awaited=self.awaits.__contains__,
        )

    def loses(self, server: str) -> None:
        for address, drive in zip(LAYOUT.drives, self.drives, strict=True):
            if address.server == server:
                drive.away = True
                drive.rules.append(always(DriveOffline("away")))

    def finds(self) -> None:
        for drive in self.drives:
            drive.bring_back()

    async def turn(self) -> None:
        await self.watch.ask()
        await self.decider.decide()


@dataclass
class Pair:
    a: Server
    b: Server
    witness: FakeWitness
    clock: FakeClock

    async def turns(self, *servers: Server, count: int = 2) -> Epoch | None:
        for _ in range(count):
            for server in servers or (self.a, self.b):
                await server.turn()
        return self.witness.kept.epoch

    async def settle(self) -> None:
        for _ in range(8):
            self.clock.advance(SOLO_WAIT_S / 4)
            for server in (self.a, self.b):
                await server.watch.ask()


@pytest.fixture
def pair() -> Pair:
    witness, clock = FakeWitness(), FakeClock()
    return Pair(Server(A, witness, clock), Server(B, witness, clock), witness, clock)


async def test_the_first_epoch_takes_both_servers(pair: Pair) -> None:
    pair.a.loses(B)
    assert await pair.turns(pair.a) is None
    pair.a.finds()
    assert await pair.turns(pair.a) == FIRST
    assert await pair.turns() == FIRST


async def test_from_whole_to_solo_to_returning_to_whole(pair: Pair) -> None:
    await pair.turns()
    pair.a.loses(B)
    assert await pair.turns(pair.a) == Epoch(1, Mode.SOLO, A)
    pair.a.finds()
    assert await pair.turns(pair.a) == Epoch(2, Mode.RETURNING, A)
    assert await pair.turns() == Epoch(2, Mode.RETURNING, A)
    drive, other = pair.b.own
    assert pair.b.returning.due(drive) == 0  # a may still write alone, for all that others know
    assert pair.b.returning.is_near()
    assert not pair.a.returning.is_near()
    await pair.settle()
    assert not pair.b.returning.is_near()
    assert pair.b.returning.due(drive) == 2
    assert pair.a.returning.due(pair.a.own[0]) == 0
    pair.b.returning.compared(drive, 2)
    assert pair.b.returning.due(drive) == 0
    assert await pair.turns() == Epoch(2, Mode.RETURNING, A)
    pair.b.returning.compared(other, 2)
    assert await pair.turns() == Epoch(3, Mode.WHOLE)


async def test_only_one_of_two_that_lost_each_other_goes_on(pair: Pair) -> None:
    await pair.turns()
    pair.a.loses(B)
    pair.b.loses(A)
    await pair.a.watch.ask()
    await pair.b.watch.ask()
    await pair.a.decider.decide()
    await pair.b.decider.decide()
    assert await pair.turns() == Epoch(1, Mode.SOLO, A)
    assert pair.b.watch.may_have_written() == {A}


async def test_a_server_with_a_bad_drive_does_not_go_on_alone(pair: Pair) -> None:
    await pair.turns()
    pair.a.loses(B)
    pair.a.drives[0].away = True
    assert await pair.turns(pair.a) == FIRST


async def test_one_drive_of_the_other_is_not_the_other(pair: Pair) -> None:
    await pair.turns()
    pair.a.drives[1].away = True
    assert await pair.turns(pair.a) == FIRST
    pair.a.loses(B)
    assert await pair.turns(pair.a) == Epoch(1, Mode.SOLO, A)
    pair.a.finds()
    pair.a.drives[3].away = True
    assert await pair.turns(pair.a) == Epoch(1, Mode.SOLO, A)


async def test_a_comparison_of_an_earlier_return_does_not_count(pair: Pair) -> None:
    await pair.turns()
    pair.a.loses(B)
    await pair.turns(pair.a)
    pair.a.finds()
    await pair.turns()
    await pair.settle()
    first, second = pair.b.own
    pair.b.returning.compared(first, pair.b.returning.due(first))
    begun = pair.b.returning.due(second)
    pair.a.loses(B)
    assert await pair.turns(pair.a) == Epoch(3, Mode.SOLO, A)
    pair.a.finds()
    assert await pair.turns(pair.a) == Epoch(4, Mode.RETURNING, A)
    pair.b.returning.compared(second, begun)  # a walk that began before a wrote again
    await pair.settle()
    assert await pair.turns() == Epoch(4, Mode.RETURNING, A)
    assert [pair.b.returning.due(drive) for drive in pair.b.own] == [4, 4]


async def test_a_drive_that_goes_away_is_compared_again(pair: Pair) -> None:
    await pair.turns()
    pair.a.loses(B)
    await pair.turns(pair.a)
    pair.a.finds()
    await pair.turns()
    await pair.settle()
    for drive in pair.b.own:
        pair.b.returning.compared(drive, 2)
    pair.b.returning.lost(pair.b.own[0])
    assert await pair.turns() == Epoch(2, Mode.RETURNING, A)
    assert pair.b.returning.due(pair.b.own[0]) == 2


async def test_a_change_whose_answer_was_lost_is_not_made_twice(pair: Pair) -> None:
    await pair.turns()
    pair.a.loses(B)
    pair.witness.forgets_to_say = True
    assert await pair.turns(pair.a, count=5) == Epoch(1, Mode.SOLO, A)


async def test_without_the_witness_nothing_is_changed(pair: Pair) -> None:
    await pair.turns()
    pair.witness.away = True
    pair.a.loses(B)
    assert await pair.turns(pair.a, count=5) == FIRST
    pair.witness.away = False
    assert await pair.turns(pair.a) == Epoch(1, Mode.SOLO, A)


async def test_a_witness_that_lost_its_data_is_told_what_held(pair: Pair) -> None:
    await pair.turns()
    pair.a.loses(B)
    await pair.turns(pair.a)
    pair.witness.kept = FakeWitness().kept
    assert await pair.turns(pair.a) is None  # alone it could say anything
    pair.a.finds()
    assert (await pair.turns(pair.a, count=1)) == Epoch(2, Mode.SOLO, A)
    assert await pair.turns(pair.a) == Epoch(3, Mode.RETURNING, A)


async def test_what_held_before_wins_over_a_witness_that_began_anew(pair: Pair) -> None:
    await pair.turns()
    pair.a.loses(B)
    await pair.turns(pair.a)
    pair.a.finds()
    pair.witness.kept = FakeWitness().kept
    await pair.witness.change(0, FIRST)  # by a server that was just started and knows nothing
    assert await pair.turns(pair.a, count=1) == Epoch(2, Mode.SOLO, A)


async def test_a_server_that_said_it_restarts_is_not_away_before_its_time_is_over(
    pair: Pair,
) -> None:
    await pair.turns()
    pair.a.loses(B)
    pair.a.awaits.add(B)
    assert await pair.turns(pair.a) == FIRST
    pair.a.awaits.clear()
    assert await pair.turns(pair.a) == Epoch(1, Mode.SOLO, A)


def test_drives_without_slots_do_not_count(pair: Pair) -> None:
    sight = sight_of([pair.a.handle], A, caught_up=False)
    assert sight.own_drives_well
    assert sight.peer_back
    assert not sight.peer_away
    unused = SetLayout(0, 0, Scheme(1, 1), LAYOUT.drives, (0, 1), rotate=True)
    drives: tuple[SetDrive, ...] = tuple(pair.a.drives)
    pair.a.drives[2].away = pair.a.drives[3].away = True
    sight = sight_of([set_handle(unused, drives)], A, caught_up=False)
    assert sight.own_drives_well
    assert sight.peer_back

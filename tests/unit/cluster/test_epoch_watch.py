"""What a process knows of the epoch, for how long, and what a witness that hangs changes."""

import asyncio

from objstore.cluster.epoch_watch import EpochWatch
from objstore.limits import SOLO_CONFIRMED_S, SOLO_WAIT_S
from objstore.quorum.solo import FIRST, Epoch, Mode
from objstore.testing.fake_clock import FakeClock
from objstore.testing.fake_witness import FakeWitness

OWN, OTHER = "a:9000", "b:9000"
BOTH, NOBODY = frozenset({OWN, OTHER}), frozenset[str]()
MINE = Epoch(1, Mode.SOLO, OWN)


def watch_of(witness: FakeWitness, clock: FakeClock) -> EpochWatch:
    return EpochWatch(witness, own=OWN, other=OTHER, clock=clock)


async def test_what_was_told_holds_for_a_while_from_when_it_was_asked() -> None:
    witness, clock = FakeWitness(), FakeClock()
    watch = watch_of(witness, clock)
    assert watch.may_have_written() == BOTH
    await witness.change(0, FIRST)
    await watch.ask()
    assert watch.may_have_written() == NOBODY
    clock.advance(SOLO_CONFIRMED_S)
    assert watch.may_have_written() == NOBODY
    clock.advance(0.001)
    assert watch.may_have_written() == BOTH
    await watch.ask()
    assert watch.may_have_written() == NOBODY


async def test_an_answer_on_its_way_is_as_old_as_its_question() -> None:
    witness, clock = FakeWitness(), FakeClock()
    watch = watch_of(witness, clock)
    await witness.change(0, FIRST)
    witness.hold = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(watch.ask())
        while not witness.waiting:
            await asyncio.sleep(0)
        clock.advance(SOLO_CONFIRMED_S + 0.1)  # this process was paused
        witness.hold.set()
        await asking
    assert watch.may_have_written() == BOTH


async def test_a_witness_that_is_away_lets_it_run_out_and_says_why() -> None:
    witness, clock = FakeWitness(), FakeClock()
    watch = watch_of(witness, clock)
    await witness.change(0, FIRST)
    await watch.ask()
    witness.away = True
    await watch.ask()
    assert watch.may_have_written() == NOBODY
    assert watch.trouble == "it is away"
    clock.advance(2 * SOLO_CONFIRMED_S)
    assert watch.may_have_written() == BOTH
    assert not watch.is_confirmed


async def test_writing_alone_begins_when_nobody_goes_by_what_was_before() -> None:
    witness, clock = FakeWitness(), FakeClock()
    watch = watch_of(witness, clock)
    await witness.change(0, MINE)
    await watch.ask()
    assert not watch.may_write()
    assert watch.may_have_written() == {OWN}
    clock.advance(SOLO_WAIT_S)
    assert not watch.may_write()  # nothing confirms it
    await watch.ask()
    assert watch.may_write() == OWN
    clock.advance(SOLO_CONFIRMED_S + 0.1)
    assert not watch.may_write()


async def test_without_an_epoch_nobody_may_rely_on_anything() -> None:
    watch = watch_of(FakeWitness(), FakeClock())
    await watch.ask()
    assert watch.trouble == ""
    assert watch.may_have_written() == BOTH
    assert not watch.may_write()


async def test_a_witness_that_lost_its_data_is_not_believed() -> None:
    witness, clock = FakeWitness(), FakeClock()
    watch = watch_of(witness, clock)
    await witness.change(0, Epoch(4, Mode.SOLO, OTHER))
    await watch.ask()
    witness.kept = FakeWitness().kept
    await witness.change(0, FIRST)
    clock.advance(SOLO_CONFIRMED_S + 0.1)
    await watch.ask()
    assert watch.may_have_written() == BOTH


async def test_questions_do_not_overlap() -> None:
    witness = FakeWitness()
    witness.hold = asyncio.Event()
    watch = watch_of(witness, FakeClock())
    async with asyncio.TaskGroup() as group:
        running = group.create_task(watch.run())
        await asyncio.sleep(0.6)
        assert (witness.asked, witness.waiting) == (1, 1)
        running.cancel()

"""What an epoch means for a set, by what this server sees of both servers' drives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from objstore.cluster.epoch_watch import EpochWatch
from objstore.drive.guarded import GuardedDrive
from objstore.drive.job_states import Progress
from objstore.drive.ops import WriteProgress
from objstore.engine.sets import SetHandle, set_handle
from objstore.errors import DriveError
from objstore.gateway.ports import WitnessInfo
from objstore.limits import SOLO_CONFIRMED_S, SOLO_WAIT_S
from objstore.names import DriveId, Scheme
from objstore.quorum.solo import FIRST, Epoch, Mode
from objstore.server.epoch_status import other_goes_on, unheard, witness_info, writes_alone
from objstore.testing.fake_clock import FakeClock
from objstore.testing.fake_witness import FakeWitness
from objstore.testing.memory_drive import MemoryDrive
from objstore.testing.memory_set import SwitchedDrive
from objstore.topology.layout import DriveAddress, SetLayout

A, B = "a:9000", "b:9000"


@dataclass
class Seen:
    """What server A has before its eyes."""

    witness: FakeWitness
    watch: EpochWatch
    handle: SetHandle
    drives: list[SwitchedDrive]
    clock: FakeClock

    async def loses(self, *drives: int) -> None:
        for index in drives:
            self.drives[index].pull()
        await self.looks()

    async def looks(self) -> None:
        for drive in self.handle.drives:
            assert isinstance(drive, GuardedDrive)
            try:
                await drive.probe()
            except DriveError:
                assert not drive.can_read

    async def hears(self, epoch: Epoch) -> None:
        await self.witness.change(self.witness.kept.revision, epoch)
        await self.watch.ask()

    def told(self) -> WitnessInfo:
        found = witness_info(self.watch, [self.handle])
        assert found is not None
        return found


@asynccontextmanager
async def seen() -> AsyncIterator[Seen]:
    clock, witness = FakeClock(), FakeWitness()
    drives = [SwitchedDrive(MemoryDrive(DriveId(f"d{n}"), clock)) for n in range(4)]
    addresses = tuple(DriveAddress(server, f"/d{n}") for n in (1, 2) for server in (A, B))
    layout = SetLayout(0, 0, Scheme(2, 2), addresses, (0, 1, 2, 3), rotate=True)
    async with asyncio.TaskGroup() as group:
        guards = tuple(
            GuardedDrive(drive, name=f"d{n}", clock=clock, group=group)
            for n, drive in enumerate(drives)
        )
        watch = EpochWatch(witness, own=A, other=B, clock=clock)
        found = Seen(witness, watch, set_handle(layout, guards), drives, clock)
        await found.looks()
        yield found
        for guard in guards:
            await guard.close()


async def test_without_a_witness_nothing_is_said() -> None:
    async with seen() as it:
        assert witness_info(None, [it.handle]) is None
        assert unheard(None, it.handle) == ""
        assert not writes_alone(None, it.handle)
        assert other_goes_on(None, it.handle) is None


async def test_with_both_servers_nothing_is_missed_whatever_the_witness_says() -> None:
    async with seen() as it:
        assert unheard(it.watch, it.handle) == ""
        await it.hears(FIRST)
        assert unheard(it.watch, it.handle) == ""
        assert other_goes_on(it.watch, it.handle) is True
        it.clock.advance(SOLO_CONFIRMED_S + 1)
        assert unheard(it.watch, it.handle) == ""
        assert other_goes_on(it.watch, it.handle) is False


async def test_alone_it_depends_on_the_witness() -> None:
    async with seen() as it:
        await it.hears(FIRST)
        await it.loses(1, 3)
        assert unheard(it.watch, it.handle) == ""  # the other one has nothing of its own
        it.clock.advance(SOLO_CONFIRMED_S + 1)
        assert "the witness does not answer" in unheard(it.watch, it.handle)
        await it.hears(Epoch(1, Mode.SOLO, B))
        assert "wrote alone and is away" in unheard(it.watch, it.handle)
        assert other_goes_on(it.watch, it.handle) is False  # for its drives are not to be seen


async def test_writing_alone_takes_all_drives_of_the_server() -> None:
    async with seen() as it:
        await it.loses(1, 3)
        await it.hears(Epoch(1, Mode.SOLO, A))
        assert not writes_alone(it.watch, it.handle)
        it.clock.advance(SOLO_WAIT_S)
        await it.watch.ask()
        assert writes_alone(it.watch, it.handle)
        assert unheard(it.watch, it.handle) == ""
        await it.loses(0)
        assert not writes_alone(it.watch, it.handle)


async def test_how_far_the_one_that_returns_is() -> None:
    async with seen() as it:
        now = it.clock.now_ns() // 1_000_000
        await it.hears(Epoch(2, Mode.RETURNING, A))
        progress = Progress(
            job="return", started_ms=now, updated_ms=now, keys_total=10, keys_done=4
        )
        await it.drives[1].call(WriteProgress(progress))
        await it.drives[0].call(WriteProgress(progress))  # of the other server: it does not count
        await it.looks()
        told = it.told()
        assert (told.mode, told.server, told.other) == ("returning", A, B)
        assert (told.objects_done, told.objects_total) == (4, 10)


async def test_a_witness_that_answers_and_knows_nothing_is_no_trouble() -> None:
    async with seen() as it:
        assert not it.told().answers
        await it.watch.ask()
        assert (it.told().answers, it.told().confirmed, it.told().mode) == (True, True, "")

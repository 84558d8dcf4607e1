"""What the simulation puts in the place of a disk and of a peer passes the suite of drives."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from objstore.drive.envelope import place_of
from objstore.drive.remote import RemoteDrive
from objstore.drive.serve import DriveServer
from objstore.errors import DriveOffline
from objstore.names import DataId
from objstore.testing.drive_harness import Harness
from objstore.testing.drive_suite import DriveSuite
from objstore.testing.fake_clock import FakeClock
from objstore.testing.sim_drive import Bay, SimDrive
from objstore.testing.sim_network import SimNetwork, SimPeer

_PLACE = place_of(0, 0, 0)
_DATA = DataId(bytes(range(16)))


def _ignore(*_: object) -> None:
    pass


def _drive(clock: FakeClock) -> SimDrive:
    bay = Bay("a", 0, clock=clock, random=Random(1), watch=_ignore)
    bay.slowness = 0.0
    return SimDrive(bay, lambda: True, _ignore)


class _Host:
    """A process that serves one drive, or none."""

    alive = True

    def __init__(self, name: str, group: asyncio.TaskGroup, drive: SimDrive | None = None) -> None:
        self.name = name
        self.group = group
        self.drives = DriveServer({_PLACE: drive} if drive is not None else {})

    def wall_s(self) -> float:
        return 0.0


class TestSimulatedDrive(DriveSuite):
    @pytest.fixture
    def harness(self) -> Harness:
        clock = FakeClock()
        return Harness(_drive(clock), clock)


class TestSimulatedRemoteDrive(DriveSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[Harness]:
        clock = FakeClock()
        async with asyncio.TaskGroup() as group:
            network = SimNetwork(asyncio.get_running_loop(), Random(1))
            network.slowness = 0.0
            host, caller = _Host("a", group, _drive(clock)), _Host("b", group)
            peer = SimPeer(network, caller, "a", lambda: host, Random(1))
            running = group.create_task(peer.run())
            while not peer.is_with(host):
                await asyncio.sleep(0.001)
            drive = RemoteDrive(peer, _PLACE)
            yield Harness(drive, clock)
            running.cancel()


async def test_what_was_not_finished_does_not_survive_the_loss_of_power() -> None:
    drive = _drive(FakeClock())
    finished = await drive.create_shard(_DATA, 1, 0)
    await finished.write(b"whole")
    await finished.finish()
    sink = await drive.create_shard(_DATA, 1, 1)
    await sink.write(b"not whole")
    drive.bay.lose_power()
    with pytest.raises(DriveOffline):
        await sink.finish()
    assert bytes(await drive.read_shard(_DATA, 1, 0, offset=0, size=5)) == b"whole"
    left = drive.bay.memory.files.get((_DATA, 1, 1))
    assert left is None or not left.finished


async def test_a_dead_process_changes_nothing() -> None:
    alive = [True]
    bay = Bay("a", 0, clock=FakeClock(), random=Random(1), watch=_ignore)
    drive = SimDrive(bay, lambda: alive[0], _ignore)
    sink = await drive.create_shard(_DATA, 1, 0)
    alive[0] = False
    with pytest.raises(DriveOffline):
        await drive.create_shard(_DATA, 1, 1)
    with pytest.raises(DriveOffline):
        await sink.write(b"x")
    await sink.abort()
    assert set(bay.memory.files) == {(_DATA, 1, 0)}

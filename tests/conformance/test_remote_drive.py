"""A drive of another server, over real TCP, passes the suite that every drive passes."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from objstore.clock import SystemClock, SystemEntropy
from objstore.drive.api import Drive
from objstore.drive.envelope import FAILURES, detail_of, place_of, rebuild_error
from objstore.drive.guarded import GuardedDrive
from objstore.drive.ops import Op, R, ReadBucket, ReadStatus
from objstore.drive.remote import RemoteDrive
from objstore.drive.serve import DriveServer
from objstore.errors import (
    DriveError,
    DriveFaulty,
    DriveFull,
    DriveOffline,
    DriveTimeout,
    Superseded,
)
from objstore.names import BucketName, DataId, DriveId, Stamp
from objstore.rpc.auth import ReplayTable, derive_keys
from objstore.rpc.client import PeerClient
from objstore.rpc.server import RpcServer
from objstore.rpc.session import Identity
from objstore.testing.drive_harness import Harness
from objstore.testing.drive_suite import DriveSuite
from objstore.testing.fake_clock import FakeClock
from objstore.testing.memory_drive import MemoryDrive

_ID = DriveId("d" * 32)
_PLACE = place_of(0, 0, 1)
_DATA = DataId(bytes(range(16)))


def _identity(name: str) -> Identity:
    keys = derive_keys("a cluster secret of enough characters")
    return Identity(name, keys, lambda: {"server": name}, lambda _: "")


@asynccontextmanager
async def served(drive: Drive) -> AsyncIterator[PeerClient]:
    """Yield a client of a server that has `drive` at place 0/0/1."""
    clock, entropy = SystemClock(), SystemEntropy()
    drives = DriveServer({_PLACE: drive})
    server = RpcServer(
        _identity("a"),
        methods={"drive": drives.call},
        shards=drives,
        replays=ReplayTable(memoryview(bytearray(1 << 20))),
        clock=clock,
        entropy=entropy,
    )
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    client = PeerClient(
        "a",
        f"http://127.0.0.1:{sock.getsockname()[1]}",
        identity=_identity("b"),
        clock=clock,
        entropy=entropy,
    )
    async with server.listening(sock), asyncio.TaskGroup() as group:
        running = group.create_task(client.run())
        try:
            await client.changed()
            yield client
        finally:
            running.cancel()


class TestRemoteDrive(DriveSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[Harness]:
        clock = FakeClock()
        async with served(MemoryDrive(_ID, clock)) as client:
            yield Harness(RemoteDrive(client, _PLACE), clock)


class TestGuardedRemoteDrive(DriveSuite):
    @pytest.fixture
    async def harness(self) -> AsyncIterator[Harness]:
        clock = FakeClock()
        async with served(MemoryDrive(_ID, clock)) as client, asyncio.TaskGroup() as group:
            remote = RemoteDrive(client, _PLACE)
            guarded = GuardedDrive(remote, name="remote", clock=clock, group=group)
            yield Harness(guarded, clock)
            await guarded.close()


async def test_a_drive_announces_its_identity_with_every_answer() -> None:
    async with served(MemoryDrive(_ID, FakeClock())) as client:
        remote = RemoteDrive(client, _PLACE)
        assert remote.drive_id == ""
        await remote.call(ReadBucket(BucketName("none")))
        assert remote.drive_id == _ID


@pytest.mark.parametrize("place", ["0/0/0", "1/0/1", "0/1/1", "", "../0", "0/0/1/2"])
async def test_a_place_that_the_server_does_not_have_is_offline(place: str) -> None:
    async with served(MemoryDrive(_ID, FakeClock())) as client:
        with pytest.raises(DriveOffline):
            await RemoteDrive(client, place).call(ReadStatus())


async def test_another_drives_shards_cannot_be_reached_by_a_resource_name() -> None:
    async with served(MemoryDrive(_ID, FakeClock())) as client:
        for place in ("0/0/2", "0/0", "x/0/1"):
            remote = RemoteDrive(client, place)
            with pytest.raises(DriveError):
                await remote.read_shard(_DATA, 1, 0, offset=0, size=1)
            with pytest.raises(DriveError):
                await remote.create_shard(_DATA, 1, 0)


class Refusing(MemoryDrive):
    """Raises one exception for every call."""

    def __init__(self, error: DriveError) -> None:
        super().__init__(_ID, FakeClock())
        self._refusal = error

    async def call(self, op: Op[R]) -> R:
        raise self._refusal


@pytest.mark.parametrize("kind", sorted(FAILURES))
async def test_every_exception_of_a_drive_arrives_as_it_was_raised(kind: str) -> None:
    error = (
        Superseded(Stamp(bytes(range(16)))) if kind == "Superseded" else FAILURES[kind]("because")
    )
    async with served(Refusing(error)) as client:
        with pytest.raises(DriveError) as caught:
            await RemoteDrive(client, _PLACE).call(ReadStatus())
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)
    assert detail_of(caught.value) == detail_of(error)


def test_a_failure_that_this_version_does_not_know_is_a_faulty_drive() -> None:
    for kind, detail in (("Novel", b""), ("Superseded", b"short"), ("internal", b""), ("", b"")):
        assert type(rebuild_error(kind, "text", detail)) is DriveFaulty


async def test_a_server_that_is_gone_is_offline_and_a_slow_one_is_late() -> None:
    class Slow(MemoryDrive):
        async def call(self, op: Op[R]) -> R:
            await asyncio.sleep(30)
            return await super().call(op)

    async with served(Slow(_ID, FakeClock())) as client:
        remote = RemoteDrive(client, _PLACE)
        with pytest.raises(DriveTimeout):
            await remote.call(ReadStatus())
    with pytest.raises(DriveOffline):
        await remote.call(ReadStatus())
    with pytest.raises(DriveOffline):
        await remote.create_shard(_DATA, 1, 0)
    with pytest.raises(DriveOffline):
        await remote.read_shard(_DATA, 1, 0, offset=0, size=1)


async def test_a_full_drive_says_so_in_the_middle_of_a_shard() -> None:
    class Filling(MemoryDrive):
        async def create_shard(self, data_id: DataId, part: int, shard: int):  # type: ignore[no-untyped-def]
            inner = await super().create_shard(data_id, part, shard)

            class Sink:
                async def write(self, *pieces: object) -> None:
                    raise DriveFull("no room")

                finish = inner.finish
                abort = inner.abort

            return Sink()

    async with served(Filling(_ID, FakeClock())) as client:
        sink = await RemoteDrive(client, _PLACE).create_shard(_DATA, 1, 0)
        await sink.write(b"x")
        with pytest.raises(DriveFull, match="no room"):
            await sink.finish()
        await sink.abort()

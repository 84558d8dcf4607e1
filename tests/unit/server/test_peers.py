"""What a peer says and does decides about its drives: left out, awaited, used again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from objstore.clock import SystemClock
from objstore.drive.guarded import GuardedDrive
from objstore.engine.absences import Absences
from objstore.names import DriveId
from objstore.rpc.client import PeerClient
from objstore.rpc.session import HEARS_LEAVING
from objstore.server.peers import watch_peers
from objstore.testing.memory_drive import MemoryDrive
from tests.unit.rpc.peers import identity, listener, peer_client, rpc_server, running, until


@asynccontextmanager
async def watched(port: int) -> AsyncIterator[tuple[PeerClient, GuardedDrive, Absences]]:
    """Yield the way to a peer at `port`, a drive that stands for the peer's, and who is awaited."""
    clock = SystemClock()
    absences = Absences(clock)
    said = identity("server-b")
    who = replace(said, claims=lambda: {**said.claims(), **dict([HEARS_LEAVING])})
    async with asyncio.TaskGroup() as group, running(peer_client(port, who)) as client:
        drive = GuardedDrive(
            MemoryDrive(DriveId("d" * 32), clock), name="d", clock=clock, group=group
        )
        watching = watch_peers({"server-a": client}, {"server-a": [drive]}, absences, group)
        try:
            yield client, drive, absences
        finally:
            for task in watching:
                task.cancel()
            await drive.close()


async def test_one_that_says_that_it_stops_is_left_out_until_it_is_back() -> None:
    sock = listener()
    port = sock.getsockname()[1]
    async with watched(port) as (client, drive, absences):
        async with rpc_server(identity("server-a")).listening(sock, leave_s=1):
            await until(lambda: client.status.up)
            assert drive.can_read
        # It is gone. What this drive itself says does not count.
        await until(lambda: not drive.can_read)
        assert absences.returns == 0
        async with rpc_server(identity("server-a")).listening(listener(port)):
            await until(lambda: absences.returns == 1)
            assert drive.can_read
            assert drive.can_write


async def test_one_that_goes_without_a_word_is_not_awaited() -> None:
    sock = listener()
    port = sock.getsockname()[1]
    async with watched(port) as (client, drive, absences):
        async with rpc_server(identity("server-a")).listening(sock):
            await until(lambda: client.status.up)
        await until(lambda: not client.status.up)
        async with rpc_server(identity("server-a")).listening(listener(port)):
            await until(lambda: client.status.up)
            await asyncio.sleep(0.05)
            assert drive.can_read
            assert absences.returns == 0

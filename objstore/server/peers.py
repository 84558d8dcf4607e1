"""What the comings and goings of peers mean for their drives, and for requests that need them."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from objstore.drive.guarded import GuardedDrive
from objstore.engine.absences import Absences
from objstore.errors import DriveError
from objstore.limits import STOP_AWAITED_S
from objstore.rpc.client import PeerClient, PeerStatus


def watch_peers(
    clients: Mapping[str, PeerClient],
    drives: Mapping[str, Sequence[GuardedDrive]],
    absences: Absences,
    group: asyncio.TaskGroup,
) -> list[asyncio.Task[None]]:
    """Watch each peer in a task; `drives` are those of each."""
    return [
        group.create_task(_watch(client, drives[peer], absences))
        for peer, client in clients.items()
    ]


async def _watch(client: PeerClient, drives: Sequence[GuardedDrive], absences: Absences) -> None:
    """Probe a peer's drives when it comes or goes, instead of when their next probe is due.

    When it says that it stops, they are left out at once, and it is awaited until they are back.
    """
    while True:
        seen = client.status
        if seen.leaving_s:
            absences.announce(client.name, seen.leaving_s + STOP_AWAITED_S)
        for drive in drives:
            drive.leave_out(STOP_AWAITED_S if seen.leaving_s else 0.0)
        if not (seen.up and seen.leaving_s):
            await probe_all(drives)
        if seen.up and not seen.leaving_s:
            absences.returned(client.name)
        while _moment(client.status) == _moment(seen):
            await client.changed()


def _moment(status: PeerStatus) -> tuple[bool, int, float]:
    return status.up, status.since_ns, status.leaving_s


async def probe_all(guards: Iterable[GuardedDrive]) -> None:
    """Ask drives how they are, side by side; what is wrong with one, it remembers itself."""

    async def probe(guard: GuardedDrive) -> None:
        with suppress(DriveError):
            await guard.probe()

    async with asyncio.TaskGroup() as group:
        for guard in guards:
            group.create_task(probe(guard))

"""Servers that are away for a moment, and whether it makes sense to wait for them.

A server that is told to stop says so to its peers; it may be a restart. Until it is back, or
STOP_AWAITED_S later, what can not be done without it waits. A server that went without a word is
not waited for.
"""

import asyncio
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from objstore.clock import Clock
from objstore.engine.sets import SetHandle
from objstore.limits import AWAITED_TRY_S
from objstore.names import Scheme
from objstore.quorum.thresholds import degraded_scheme, read_quorum_any, write_quorum


@dataclass(frozen=True, slots=True)
class Presence:
    """The slots of a set: those that can be used now, and those of servers that are awaited."""

    scheme: Scheme
    present: int
    awaited: int


def worth_waiting(sets: Iterable[Presence], *, write: bool) -> bool:
    """Decide whether awaited servers can mend a quorum that was lost.

    An error does not say in which set it was; so it makes sense when in any of them the slots
    that are there are enough together with those that are awaited, and not without.
    """
    return any(
        _enough(one.scheme, one.present + one.awaited, write=write) for one in sets if one.awaited
    )


def _enough(scheme: Scheme, slots: int, *, write: bool) -> bool:
    if write:
        return slots >= write_quorum(degraded_scheme(scheme, scheme.slots - slots))
    return slots >= max(scheme.k, read_quorum_any(scheme.slots))


def presence(handle: SetHandle, awaited: Collection[str], *, write: bool) -> Presence:
    """Count a set's slots as they are now."""
    usable = handle.writable() if write else handle.readable()
    servers = handle.layout.drives
    missing = tuple(
        drive
        for drive in range(len(handle.drives))
        if drive not in usable and servers[drive].server in awaited
    )
    return Presence(handle.layout.scheme, handle.slots_on(usable), handle.slots_on(missing))


class Absences:
    """Who is away for a moment, as one process knows it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_s: dict[str, float] = {}
        self._changed = asyncio.Event()
        self.returns = 0  # how often a server came back
        self.waiting = 0  # how many requests wait now

    def announce(self, server: str, until_s: float) -> None:
        """Await `server` until `until_s` of the monotonic clock."""
        self._until_s[server] = until_s
        self._note_change()

    def returned(self, server: str) -> None:
        """Await `server` no longer: its drives can be used again."""
        if self._until_s.pop(server, None) is not None:
            self.returns += 1
            self._note_change()

    def is_awaited(self, server: str) -> bool:
        """Whether a server said that it stops, and may still come back in time."""
        return server in self._awaited()

    def end(self) -> None:
        """Await nobody: this process stops itself."""
        self._until_s.clear()
        self._note_change()

    async def wait(self, seen: int, sets: Collection[SetHandle], *, write: bool) -> bool:
        """Wait for servers that can mend a lost quorum; True when it makes sense to try again.

        That is when one is back, and else from time to time: another drive may have returned, or
        a witness allowed this server to write alone.
        `seen` is what `returns` was before the try that failed.
        """
        while self.returns == seen:
            awaited = self._awaited()
            if not worth_waiting(
                (presence(one, awaited, write=write) for one in sets), write=write
            ):
                return False
            last_s = max(self._until_s[server] for server in awaited) - self._clock.monotonic_s()
            if not await self._changes(min(last_s, AWAITED_TRY_S)) and last_s > AWAITED_TRY_S:
                return True
        return True

    async def _changes(self, within_s: float) -> bool:
        """Wait for a change of who is awaited; False when none came in time."""
        self.waiting += 1
        try:
            async with asyncio.timeout(within_s):
                return await self._changed.wait()
        except TimeoutError:
            return False
        finally:
            self.waiting -= 1

    def _awaited(self) -> Collection[str]:
        now_s = self._clock.monotonic_s()
        self._until_s = {
            server: until_s for server, until_s in self._until_s.items() if until_s > now_s
        }
        return self._until_s.keys()

    def _note_change(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

"""When a pass of lifecycle begins, and which server makes it.

With real days a pass begins at 00:05 UTC, when what became due at midnight is due on every server's
clock, and one shortly after the start of the server, which does what was missed while it did not
run. With short days (a switch for tests) one begins every half a day, at most once a second.

A set is walked by the server that has the first drive of the set that can be read; counting begins
at another drive for each set, so that sets share the servers. When a server is away the next one
takes over, within a minute. A server keeps in memory, and nowhere else, what it has done: after a
restart, or when a drive comes back, a pass may be made twice, even by two servers at once. That
costs a walk and does no harm, because every action is conditional. docs/operating/lifecycle.md
says it to the operator.
"""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog

from objstore.background.lifecycle import lifecycle_once
from objstore.background.ports import BackgroundContext
from objstore.engine.sets import SetHandle
from objstore.errors import DriveError, QuorumError
from objstore.limits import (
    LIFECYCLE_AFTER_MIDNIGHT_S,
    LIFECYCLE_DAY_SECONDS,
    LIFECYCLE_RETRY_S,
    LIFECYCLE_START_S_MAX,
    LIFECYCLE_TICK_S,
)

_log = structlog.get_logger(__name__)

_SHORTEST_MS: Final = 1000


class Schedule:
    """When passes over one set are due, given the time."""

    def __init__(self, day_s: int) -> None:
        if day_s == LIFECYCLE_DAY_SECONDS:
            self._every_ms = LIFECYCLE_DAY_SECONDS * 1000
            self._offset_ms = LIFECYCLE_AFTER_MIDNIGHT_S * 1000
        else:
            self._every_ms = max(_SHORTEST_MS, day_s * 500)
            self._offset_ms = 0
        self._done: int | None = None
        self._failures = 0
        self._not_before_ms = 0

    def is_due(self, now_ms: int) -> bool:
        """Whether no pass was completed since the last moment at which one had to begin."""
        # A clock that was set back must not make a retry wait for years.
        waits = now_ms < self._not_before_ms <= now_ms + self._every_ms
        return self._slot(now_ms) != self._done and not waits

    def finished(self, began_ms: int, now_ms: int, *, complete: bool) -> None:
        """A pass has ended. One that was not complete is made again, later and later."""
        if complete:
            self._done, self._failures, self._not_before_ms = self._slot(began_ms), 0, 0
            return
        wait_ms = min(LIFECYCLE_RETRY_S * 1000 * 2 ** min(self._failures, 8), self._every_ms)
        self._failures += 1
        self._not_before_ms = now_ms + wait_ms

    def pause_s(self, now_ms: int) -> float:
        """Return how long nothing has to be looked at: until the next moment, a minute at most."""
        next_ms = (self._slot(now_ms) + 1) * self._every_ms + self._offset_ms
        return min((next_ms - now_ms) / 1000, LIFECYCLE_TICK_S)

    def start_s(self, draw: float) -> float:
        """Return how long after the server's start the first pass begins; `draw` is 0 to 1."""
        return draw * min(LIFECYCLE_START_S_MAX, self._every_ms / 1000)

    def _slot(self, now_ms: int) -> int:
        return (now_ms - self._offset_ms) // self._every_ms


def first_readable(handle: SetHandle) -> int | None:
    """Return the drive whose server walks a set, None while no drive can be read."""
    readable = handle.readable()
    count = len(handle.drives)
    order: Iterable[int] = ((handle.layout.index + step) % count for step in range(count))
    return next((drive for drive in order if drive in readable), None)


async def run_lifecycle(background: BackgroundContext, handle: SetHandle) -> None:
    """Make the passes over a set that are this server's to make, for ever."""
    context = background.engine
    schedule = Schedule(background.lifecycle_day_s)
    await asyncio.sleep(schedule.start_s(context.entropy.draw(1)[0] / 255))
    while True:
        now_ms = context.now_ms()
        if schedule.is_due(now_ms) and first_readable(handle) in background.own_of(handle):
            complete = await _pass(background, handle, now_ms)
            schedule.finished(now_ms, context.now_ms(), complete=complete)
        await asyncio.sleep(schedule.pause_s(context.now_ms()))


async def _pass(background: BackgroundContext, handle: SetHandle, now_ms: int) -> bool:
    try:
        report = await lifecycle_once(background, handle, now_ms)
    except (QuorumError, DriveError) as error:
        _log.warning("no lifecycle pass", set=handle.layout.index, reason=str(error))
        return False
    background.lifecycle.finished(background.engine.now_ms(), complete=report.complete)
    return report.complete

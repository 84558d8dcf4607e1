"""A drive that never makes anybody wait for long: deadlines, health, and refusal while it is away.

    online -> slow           the mean time of small calls, or callers gave it up for others
    slow -> online           it has rested, and small calls are quick
    any -> offline           it says so, or calls go unanswered
    any -> faulty            an I/O error, or a journal that cannot be read
    any -> full, read-only   a write was refused for that; reads go on

While offline or faulty every call is refused at once, and a probe asks the drive every
DRIVE_PROBE_INTERVAL_S whether it is back; a drive that goes away between calls is noticed by the
same probe. Full and read-only end when the probe finds room. A slow drive is not refused anything:
callers leave it out where the others are enough (`is_slow`), so slowness never becomes an outage.
"""

import asyncio
import contextlib
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeVar

from objstore.clock import Clock
from objstore.drive.api import Buffer, Drive, ShardSink
from objstore.drive.deadlines import Deadlines
from objstore.drive.lanes import again
from objstore.drive.ops import DriveStatus, Op, R, ReadStatus, VerifyShard
from objstore.errors import (
    DriveError,
    DriveFaulty,
    DriveFull,
    DriveOffline,
    DriveReadOnly,
    DriveTimeout,
)
from objstore.limits import (
    CALL_DEADLINE_S,
    DRIVE_CALLS_WAITING_MAX,
    DRIVE_LEFT_BEHIND_S,
    DRIVE_PROBE_INTERVAL_S,
    DRIVE_SLOW_REST_S,
    DRIVE_SLOW_REST_S_MAX,
    DRIVE_SLOW_S,
    SHARD_CALL_DEADLINE_S,
    SHARD_VERIFY_DEADLINE_S,
)
from objstore.names import DataId, DriveId

T = TypeVar("T")

# Upper bounds of the classes that latencies are counted in; the last class has none.
LATENCY_BOUNDS_S: Final = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_UNANSWERED_MAX: Final = 2  # calls in a row without an answer
_MEAN_OVER: Final = 16  # calls, roughly, that the mean time looks back on
_LEFT_BEHIND_MAX: Final = 2  # times within a rest that callers gave up waiting for it


class DriveState(Enum):
    """How a drive does."""

    ONLINE = "online"
    SLOW = "slow"
    FULL = "full"
    READ_ONLY = "read-only"
    FAULTY = "faulty"
    OFFLINE = "offline"


_AWAY: Final = frozenset({DriveState.OFFLINE, DriveState.FAULTY})
_NO_WRITES: Final = frozenset({DriveState.FULL, DriveState.READ_ONLY})
_STATE_OF: Final[tuple[tuple[type[DriveError], DriveState], ...]] = (
    (DriveOffline, DriveState.OFFLINE),
    (DriveFaulty, DriveState.FAULTY),
    (DriveFull, DriveState.FULL),
    (DriveReadOnly, DriveState.READ_ONLY),
)


@dataclass(frozen=True, slots=True)
class DriveHealth:
    """A drive's state at one moment, and what was counted since the process began."""

    state: DriveState
    reason: str
    since_ms: int
    waiting: int
    calls: int
    errors: Mapping[str, int]  # by the name of the exception
    latency_s: float  # the mean of recent small calls
    latency_counts: tuple[int, ...]  # all calls, by LATENCY_BOUNDS_S
    status: DriveStatus | None  # what the last probe was told


class GuardedDrive:
    """`inner`, with a bound on everything. Its probe runs in `group` until `close`."""

    def __init__(self, inner: Drive, *, name: str, clock: Clock, group: asyncio.TaskGroup) -> None:
        """Guard `inner`; `name` is how errors call it."""
        self._inner = inner
        self._name = name
        self._clock = clock
        self._deadlines = Deadlines()
        self._state = DriveState.ONLINE
        self._error: DriveError = DriveOffline(f"{name}: not asked yet")
        self._since_ms = clock.now_ns() // 1_000_000
        self._waiting = 0
        self._unanswered = 0
        self._answered_s = clock.monotonic_s()
        self._calls = 0
        self._errors: Counter[str] = Counter()
        self._latency_s = 0.0
        self._left_behind_s: deque[float] = deque(maxlen=_LEFT_BEHIND_MAX)
        self._rest_s = DRIVE_SLOW_REST_S
        self._slow_until_s = -DRIVE_SLOW_REST_S_MAX
        self._latency_counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._left_out_until_s = 0.0
        self._status: DriveStatus | None = None
        self._probe = group.create_task(self._probe_for_ever(), name=f"probe {name}")

    # --- health ------------------------------------------------------------------------

    @property
    def inner(self) -> Drive:
        """The drive that is guarded."""
        return self._inner

    @property
    def can_read(self) -> bool:
        """Whether calls are let through, and new ones make sense."""
        return self._state not in _AWAY and not self._is_left_out

    @property
    def can_write(self) -> bool:
        """Whether it takes new data. A full drive still takes deletions."""
        return self.can_read and self._state not in _NO_WRITES

    @property
    def _is_left_out(self) -> bool:
        until_s = self._left_out_until_s
        return bool(until_s) and self._clock.monotonic_s() < until_s

    def leave_out(self, for_s: float) -> None:
        """Say that its server is about to stop: operations that begin now shall do without it.

        Calls are let through until it has stopped, so that operations under way can end. Taken
        back by 0.
        """
        self._left_out_until_s = self._clock.monotonic_s() + for_s if for_s else 0.0

    @property
    def is_slow(self) -> bool:
        """Whether it is to be left out where the others are enough."""
        return self._state is DriveState.SLOW

    @property
    def health(self) -> DriveHealth:
        """Its state and counters."""
        well = self._state is DriveState.ONLINE
        return DriveHealth(
            state=self._state,
            reason="" if well else str(self._error),
            since_ms=self._since_ms,
            waiting=self._waiting,
            calls=self._calls,
            errors=dict(self._errors),
            latency_s=self._latency_s,
            latency_counts=tuple(self._latency_counts),
            status=self._status,
        )

    # --- the protocol --------------------------------------------------------------------

    @property
    def drive_id(self) -> DriveId:
        return self._inner.drive_id

    async def call(self, op: Op[R]) -> R:
        small = type(op) is not VerifyShard
        deadline_s = CALL_DEADLINE_S if small else SHARD_VERIFY_DEADLINE_S
        self._admit()
        return await self._timed(self._inner.call(op), deadline_s, small=small)

    async def create_shard(self, data_id: DataId, part: int, shard: int) -> ShardSink:
        self._admit()
        creating = self._inner.create_shard(data_id, part, shard)
        return _GuardedSink(self, await self._timed(creating, SHARD_CALL_DEADLINE_S))

    async def read_shard(
        self, data_id: DataId, part: int, shard: int, *, offset: int, size: int
    ) -> Buffer:
        self._admit()
        reading = self._inner.read_shard(data_id, part, shard, offset=offset, size=size)
        return await self._timed(reading, SHARD_CALL_DEADLINE_S)

    async def close(self) -> None:
        self._probe.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALL_DEADLINE_S):
                await self._inner.close()

    # --- guarding ------------------------------------------------------------------------

    def _admit(self) -> None:
        """Refuse a call at once when it makes no sense. Raises DriveError."""
        if self._state in _AWAY:
            raise again(self._error)
        if self._waiting >= DRIVE_CALLS_WAITING_MAX:
            raise DriveTimeout(f"{self._name}: {self._waiting} calls wait already")

    async def _timed(self, call: Awaitable[T], deadline_s: float, *, small: bool = False) -> T:
        started_s = self._clock.monotonic_s()
        self._waiting += 1
        self._calls += 1
        try:
            result = await self._deadlines.limit(call, deadline_s)
        except TimeoutError as error:
            late = DriveTimeout(f"{self._name}: no answer in {deadline_s:g} s")
            self._failed(late)
            raise late from error
        except DriveError as error:
            self._failed(error)
            raise
        except asyncio.CancelledError:
            waited_s = self._clock.monotonic_s() - started_s
            small = small and waited_s > self._latency_s  # one given up early was not quick
            self._left_behind(started_s, waited_s)
            raise
        else:
            self._unanswered = 0
            self._answered_s = self._clock.monotonic_s()
            return result
        finally:
            self._waiting -= 1
            self._measure(self._clock.monotonic_s() - started_s, small=small)

    def _failed(self, error: DriveError) -> None:
        self._errors[type(error).__name__] += 1
        if isinstance(error, DriveTimeout):
            self._unanswered += 1
            if self._unanswered >= _UNANSWERED_MAX:
                self._enter(DriveState.OFFLINE, DriveOffline(f"does not answer: {error}"))
            return
        self._unanswered = 0
        for kind, state in _STATE_OF:
            if isinstance(error, kind):
                self._enter(state, error)

    def _measure(self, elapsed_s: float, *, small: bool) -> None:
        self._latency_counts[bisect_left(LATENCY_BOUNDS_S, elapsed_s)] += 1
        if not small:
            return
        self._latency_s += (elapsed_s - self._latency_s) / _MEAN_OVER
        if self._latency_s > DRIVE_SLOW_S:
            self._becomes_slow(f"small calls take {self._latency_s:.2f} s")
        elif (
            self._state is DriveState.SLOW
            and self._latency_s < DRIVE_SLOW_S / 2
            and self._clock.monotonic_s() >= self._slow_until_s
        ):
            self._enter(DriveState.ONLINE, self._error)

    def _left_behind(self, started_s: float, waited_s: float) -> None:
        """Somebody stopped waiting: others were quicker, or the client went away.

        Once is enough of a drive that did not answer anything else meanwhile: it hangs.
        """
        if waited_s <= DRIVE_LEFT_BEHIND_S:
            return
        now_s = self._clock.monotonic_s()
        self._left_behind_s.append(now_s)
        silent = self._answered_s < started_s
        often = len(self._left_behind_s) == _LEFT_BEHIND_MAX
        if silent or (often and now_s - self._left_behind_s[0] < DRIVE_SLOW_REST_S):
            self._becomes_slow(f"given up after {waited_s:.2f} s, others were quicker")

    def _becomes_slow(self, what: str) -> None:
        """Leave it out for a while, longer if it was slow not long ago."""
        if self._state is not DriveState.ONLINE:
            return
        now_s = self._clock.monotonic_s()
        soon = now_s - self._slow_until_s < self._rest_s
        self._rest_s = min(2 * self._rest_s, DRIVE_SLOW_REST_S_MAX) if soon else DRIVE_SLOW_REST_S
        self._slow_until_s = now_s + self._rest_s
        self._enter(DriveState.SLOW, DriveTimeout(f"{self._name}: {what}"))

    def _enter(self, state: DriveState, reason: DriveError) -> None:
        if state is not self._state:
            self._state = state
            self._since_ms = self._clock.now_ns() // 1_000_000
        # A new one: the original would keep the frames of whoever met it.
        self._error = again(reason)

    # --- probing -------------------------------------------------------------------------

    async def _probe_for_ever(self) -> None:
        while True:
            with contextlib.suppress(DriveError):
                await self.probe()
            await asyncio.sleep(DRIVE_PROBE_INTERVAL_S)

    async def probe(self) -> DriveStatus:
        """Ask the drive how it is, whatever its state, and believe the answer.

        Raises:
            DriveError: it is not well.
        """
        try:
            status = await self._timed(self._inner.call(ReadStatus()), CALL_DEADLINE_S, small=True)
        except DriveTimeout as error:
            self._enter(DriveState.OFFLINE, DriveOffline(f"does not answer: {error}"))
            raise
        self._status = status
        room = self._state not in _NO_WRITES or status.free_bytes > 0
        if self._state is not DriveState.SLOW and room:
            if self._state in _AWAY:
                self._latency_s = 0.0
            self._enter(DriveState.ONLINE, self._error)
        return status


class _GuardedSink:
    """A shard file of a guarded drive."""

    def __init__(self, drive: GuardedDrive, inner: ShardSink) -> None:
        self._drive = drive
        self._inner = inner

    async def write(self, *pieces: Buffer) -> None:
        self._drive._admit()  # noqa: SLF001
        await self._drive._timed(self._inner.write(*pieces), SHARD_CALL_DEADLINE_S)  # noqa: SLF001

    async def finish(self) -> None:
        self._drive._admit()  # noqa: SLF001
        await self._drive._timed(self._inner.finish(), SHARD_CALL_DEADLINE_S)  # noqa: SLF001

    async def abort(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CALL_DEADLINE_S):
                await self._inner.abort()


_CONFORMS: type[Drive] = GuardedDrive
_SINK_CONFORMS: type[ShardSink] = _GuardedSink

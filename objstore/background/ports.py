"""What the background process is given."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from objstore.drive.job_states import Comparison
from objstore.drive.local import LocalDrive
from objstore.engine.sets import Context, SetHandle
from objstore.limits import LIFECYCLE_DAY_SECONDS, SCRUB_BYTES_PER_S


async def _nothing() -> str:
    return ""


@dataclass(frozen=True, slots=True)
class OwnDrive:
    """A drive of this server, as a member of its set.

    `replace` looks at the drive's directory while the drive is away, and formats it when it is
    an empty replacement; it returns what it found, in words. `damage` says why its journal is
    to be made anew, or ""; `restore` sets the damaged journal aside, and says where. `local` is
    the drive itself, for what only its own server does; None where there is none to scrub.
    `latency_s` is how long small calls take it, on average of the last ones.
    """

    handle: SetHandle
    index: int
    replace: Callable[[], Awaitable[str]]
    damage: Callable[[], Awaitable[str]] = _nothing
    restore: Callable[[], Awaitable[str]] = _nothing
    local: LocalDrive | None = None
    latency_s: Callable[[], float] = float

    @property
    def path(self) -> str:
        """What it is called."""
        return self.handle.layout.drives[self.index].path


class LifecycleCounters(Protocol):
    """Where passes of lifecycle are counted for the operator."""

    def looked_at(self, count: int) -> None:
        """So many versions and uploads were judged."""
        ...

    def acted(self, action: str, result: str) -> None:
        """Something was due, and has this result."""
        ...

    def finished(self, now_ms: int, *, complete: bool) -> None:
        """A pass over a set has ended; a `complete` one left nothing undone."""
        ...


class HealCounters(Protocol):
    """Where the work of the heal queue is counted for the operator."""

    def looked(self) -> None:
        """A page of notes was read, maybe an empty one."""
        ...

    def healed(self, keys: int) -> None:
        """So many keys are whole now, and off the queue."""
        ...


class CompareCounters(Protocol):
    """Where comparisons of trees are counted for the operator."""

    def compared(self, result: Comparison) -> None:
        """A drive was compared with its set."""
        ...


class Comparisons(Protocol):
    """Which drives are to be compared with their sets because another server wrote alone."""

    def is_near(self) -> bool:
        """Whether drives will be due in a moment: a walk that began now would be for nothing."""
        ...

    def due(self, drive: OwnDrive) -> int:
        """Return a number to give to `compared` when a drive is to be compared now; else 0."""
        ...

    def compared(self, drive: OwnDrive, number: int) -> None:
        """Take note that a walk which began when `due` gave `number` left nothing undone."""
        ...

    def lost(self, drive: OwnDrive) -> None:
        """Take note that a drive went away."""
        ...


class _NothingDue:
    """No witness: nobody writes alone."""

    def is_near(self) -> bool:
        return False

    def due(self, drive: OwnDrive) -> int:
        return 0

    def compared(self, drive: OwnDrive, number: int) -> None:
        pass

    def lost(self, drive: OwnDrive) -> None:
        pass


class _NotCounted:
    def looked(self) -> None:
        pass

    def healed(self, keys: int) -> None:
        pass

    def compared(self, result: Comparison) -> None:
        pass

    def looked_at(self, count: int) -> None:
        pass

    def acted(self, action: str, result: str) -> None:
        pass

    def finished(self, now_ms: int, *, complete: bool) -> None:
        pass


_NOT_COUNTED: Final = _NotCounted()
NOT_COUNTED: Final[LifecycleCounters] = _NOT_COUNTED
NOTHING_DUE: Final[Comparisons] = _NothingDue()


@dataclass(frozen=True, slots=True)
class BackgroundContext:
    """The engine's context, the drives this server heals, and how long a day of lifecycle is."""

    engine: Context
    own: tuple[OwnDrive, ...]
    lifecycle_day_s: int = LIFECYCLE_DAY_SECONDS
    lifecycle: LifecycleCounters = NOT_COUNTED
    heal: HealCounters = _NOT_COUNTED
    compare: CompareCounters = _NOT_COUNTED
    returning: Comparisons = NOTHING_DUE
    scrub_bytes_per_s: int = SCRUB_BYTES_PER_S  # of each drive; 0: only when asked

    def own_of(self, handle: SetHandle) -> frozenset[int]:
        """Indexes of this server's drives in a set."""
        return frozenset(drive.index for drive in self.own if drive.handle is handle)

    def by_set(self) -> Mapping[int, SetHandle]:
        """The sets this server has drives in, by a number of their own."""
        return dict(enumerate({id(drive.handle): drive.handle for drive in self.own}.values()))

"""What the background process is given."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from objstore.engine.sets import Context, SetHandle


@dataclass(frozen=True, slots=True)
class OwnDrive:
    """A drive of this server, as a member of its set.

    `replace` looks at the drive's directory while the drive is away, and formats it when it is
    an empty replacement; it returns what it found, in words.
    """

    handle: SetHandle
    index: int
    replace: Callable[[], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class BackgroundContext:
    """The engine's context, and the drives this server heals."""

    engine: Context
    own: tuple[OwnDrive, ...]

    def own_of(self, handle: SetHandle) -> frozenset[int]:
        """Indexes of this server's drives in a set."""
        return frozenset(drive.index for drive in self.own if drive.handle is handle)

    def by_set(self) -> Mapping[int, SetHandle]:
        """The sets this server has drives in, by a number of their own."""
        return dict(enumerate({id(drive.handle): drive.handle for drive in self.own}.values()))

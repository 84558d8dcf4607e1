"""What every part of a simulation is given: its clocks, its entropy, its shape, and its log."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Final

from objstore.clock import Clock, Entropy
from objstore.names import Scheme
from objstore.topology.layout import DriveAddress, SetLayout

EPOCH_NS: Final = 1_800_000_000 * 10**9


class SimClock:
    """A server's clock: simulated time, and how far its wall is off."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.skew_s = 0.0
        self.aged_s = 0.0  # time that passed at once, for everybody

    def now_ns(self) -> int:
        return EPOCH_NS + round((self._loop.time() + self.aged_s + self.skew_s) * 1e9)

    def monotonic_s(self) -> float:
        return 1000.0 + self._loop.time()


class SimEntropy:
    """Bytes drawn from the seed."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def draw(self, count: int) -> bytes:
        return self._random.randbytes(count)


@dataclass(frozen=True)
class Shape:
    """What a cluster is made of."""

    scheme: Scheme
    servers: int
    processes: int = 1  # of each server
    witness: bool = False

    @property
    def layout(self) -> SetLayout:
        """One set; drives go round the servers as in a layout of several servers."""
        drives = self.scheme.slots // self.servers
        return SetLayout(
            pool=0,
            index=0,
            scheme=self.scheme,
            drives=tuple(
                DriveAddress(f"s{server}", f"/d{server * drives + number}")
                for server in range(self.servers)
                for number in range(drives)
            ),
            slots=tuple(range(self.scheme.slots)),
            rotate=True,
        )


@dataclass
class World:
    """What every part of a simulation is given."""

    seed: int
    shape: Shape
    loop: asyncio.AbstractEventLoop
    note: Callable[[str, str], None]  # the log of what happens: who, what
    fail: Callable[[str], None]  # a violation

    def random(self, name: str) -> Random:
        """Return the generator of one part, so that what one draws does not move the others."""
        return Random(f"{self.seed}/{name}")


_CLOCK: type[Clock] = SimClock
_ENTROPY: type[Entropy] = SimEntropy

"""An orderly end: peers are told before it comes, and what they have under way is answered.

A peer that was told begins nothing new with this server, so what is under way runs out by itself.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

# A peer's operation makes several calls; between two of them it may seem that nothing runs.
_QUIET_S: Final = 0.1


class UnderWay:
    """What a server does for its peers now, and whom it has to tell when it stops."""

    def __init__(self) -> None:
        self._tell: set[Callable[[], None]] = set()
        self._leaving = False
        self._working = 0
        self._begun = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Count a call, or a shard that is sent, for as long as the block runs."""
        self._working += 1
        self._begun += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._working -= 1
            if not self._working:
                self._idle.set()

    @contextmanager
    def tells(self, tell: Callable[[], None]) -> Iterator[None]:
        """Call `tell` if the server leaves while the block runs, or does already."""
        self._tell.add(tell)
        if self._leaving:
            tell()
        try:
            yield
        finally:
            self._tell.discard(tell)

    async def leave(self, calls_s: float) -> bool:
        """Tell everybody; return once nothing is under way, or after `calls_s` seconds.

        Returns whether all ended in time.
        """
        self._leaving = True
        told = tuple(self._tell)
        for tell in told:
            tell()
        if not told:
            return self._idle.is_set()
        try:
            async with asyncio.timeout(calls_s):
                await self._quiet()
        except TimeoutError:
            return False
        return True

    async def _quiet(self) -> None:
        begun = -1
        while begun != self._begun:
            await self._idle.wait()
            begun = self._begun
            await asyncio.sleep(_QUIET_S)

"""Room for rebuilding shard files: several small ones at once, or one large.

More large ones at once are rebuilt no sooner, as one keeps a processor busy (its stripes are read
ahead); but each adds to what a client's request has to wait behind, and takes memory.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from objstore.limits import REBUILD_PLACE_BYTES, REBUILD_PLACES


def places_for(size: int) -> int:
    """Return how many of REBUILD_PLACES `size` bytes of data take."""
    return max(1, min(-(-size // REBUILD_PLACE_BYTES), REBUILD_PLACES))


class Room:
    """The places of one drive that is written to. Who waits for some is served in order."""

    def __init__(self) -> None:
        self._free = REBUILD_PLACES
        self._first = asyncio.Lock()  # of those who wait
        self._left = asyncio.Event()

    @asynccontextmanager
    async def taken(self, size: int) -> AsyncIterator[None]:
        """Hold the places for `size` bytes of data."""
        places = places_for(size)
        async with self._first:
            while self._free < places:
                self._left.clear()
                await self._left.wait()
            self._free -= places
        try:
            yield
        finally:
            self._free += places
            self._left.set()


class Rooms:
    """A room for each drive: one that is slow holds up no other."""

    def __init__(self) -> None:
        self._rooms: dict[tuple[int, int, int], Room] = {}

    def of(self, pool: int, set_index: int, drive: int) -> Room:
        """Return the room of a drive, by its place in the layout."""
        return self._rooms.setdefault((pool, set_index, drive), Room())

"""Heal many keys side by side: as many small ones as can share a sync, but few large ones.

A key takes places by the memory that healing it takes. One that is done makes room at once: nobody
waits for the slowest of a batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from objstore.limits import LARGE_HEALS_AT_ONCE_MAX, SMALL_HEAL_BYTES, SMALL_HEALS_AT_ONCE_MAX

_PLACES_OF_LARGE = SMALL_HEALS_AT_ONCE_MAX // LARGE_HEALS_AT_ONCE_MAX


def places_for(size: int) -> int:
    """Return how many of SMALL_HEALS_AT_ONCE_MAX places a key takes whose object has `size`."""
    return max(1, min(-(-size // SMALL_HEAL_BYTES), _PLACES_OF_LARGE))


async def side_by_side(works: Iterable[tuple[int, Callable[[], Awaitable[None]]]]) -> None:
    """Do (size, work) in order of their beginning, as many at once as there is room for."""
    free = SMALL_HEALS_AT_ONCE_MAX
    room = asyncio.Event()

    async def do(places: int, work: Callable[[], Awaitable[None]]) -> None:
        nonlocal free
        await work()
        free += places
        room.set()

    async with asyncio.TaskGroup() as group:
        for size, work in works:
            places = places_for(size)
            while free < places:
                room.clear()
                await room.wait()
            free -= places
            group.create_task(do(places, work))

"""Heal many keys side by side: small ones, whose records then share a sync, but one large one.

More at once heals no faster, as the processor is busy with one large object (its stripes are read
ahead); but each adds to what a client's request has to wait behind. A key that is done makes room
at once: nobody waits for the slowest of a batch.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from objstore.limits import HEAL_PLACE_BYTES, HEAL_PLACES


def places_for(size: int) -> int:
    """Return how many of HEAL_PLACES a key takes whose object has `size` bytes."""
    return max(1, min(-(-size // HEAL_PLACE_BYTES), HEAL_PLACES))


async def side_by_side(works: Iterable[tuple[int, Callable[[], Awaitable[None]]]]) -> None:
    """Do (size, work) in their order, as many at once as there are places for."""
    free = HEAL_PLACES
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

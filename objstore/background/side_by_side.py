"""Heal several keys side by side: one that is done makes room for the next at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from objstore.limits import HEALS_AT_ONCE_MAX


async def side_by_side(works: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do `works`, begun in their order, at most HEALS_AT_ONCE_MAX at a time.

    Their records share syncs of the journal, and nobody waits for the slowest of a batch.
    """
    places = asyncio.Semaphore(HEALS_AT_ONCE_MAX)

    async def do(work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        finally:
            places.release()

    async with asyncio.TaskGroup() as group:
        for work in works:
            await places.acquire()
            group.create_task(do(work))

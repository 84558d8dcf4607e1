"""Heal several keys side by side: one that is done makes room for the next at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable

from objstore.background.heal_pace import HealPace


async def side_by_side(works: Iterable[Callable[[], Awaitable[None]]]) -> None:
    """Do `works`, begun in their order, as many at a time as `HealPace` finds good.

    Their records share syncs of the journal, and nobody waits for the slowest of a batch. The first
    failure ends them all, and is raised as it is.
    """
    pace = HealPace()
    running = 0
    one_ended = asyncio.Event()
    now_s = asyncio.get_running_loop().time

    async def do(work: Callable[[], Awaitable[None]]) -> None:
        nonlocal running
        began_s = now_s()
        try:
            await work()
        finally:
            running -= 1
            one_ended.set()
        pace.took(now_s() - began_s)

    try:
        async with asyncio.TaskGroup() as group:
            for work in works:
                while running >= pace.at_once:
                    one_ended.clear()
                    await one_ended.wait()
                running += 1
                group.create_task(do(work))
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed

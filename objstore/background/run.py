"""Everything the background process runs, side by side."""

import asyncio

from objstore.background.heal_queue import run_heal_queue
from objstore.background.lifecycle_schedule import run_lifecycle
from objstore.background.ports import BackgroundContext
from objstore.background.reaper import run_reaper
from objstore.background.scrub import run_scrub
from objstore.background.tend import run_tend


async def run_background(background: BackgroundContext) -> None:
    """Tend this server's drives, heal what they missed and expire what is due, until cancelled."""
    async with asyncio.TaskGroup() as group:
        for own in background.own:
            group.create_task(run_tend(background, own))
            if own.local is not None:
                group.create_task(run_scrub(background, own))
        for handle in background.by_set().values():
            group.create_task(run_heal_queue(background, handle))
            group.create_task(run_reaper(background, handle))
            group.create_task(run_lifecycle(background, handle))

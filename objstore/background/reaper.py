"""Forget tombstones that every slot has: until then they hide what a drive that was away holds."""

import asyncio
from functools import partial

from objstore.background.ports import BackgroundContext
from objstore.drive.ops import Forget, ListTombstones, Tombstone
from objstore.engine.fanout import call_all
from objstore.engine.forgotten import read_forgotten
from objstore.engine.key_health import examine
from objstore.engine.sets import Context, SetHandle
from objstore.errors import DriveError, QuorumError
from objstore.limits import CALL_DEADLINE_S, REAPER_INTERVAL_S, TOMBSTONE_AGE_S
from objstore.names import NO_ORDER, Order
from objstore.versions.hlc import floor_of


async def run_reaper(background: BackgroundContext, handle: SetHandle) -> None:
    """Reap a set for ever. The server that has the drive of slot 0 does it."""
    if handle.drive_of_slot(0) not in background.own_of(handle):
        return
    while True:
        await asyncio.sleep(REAPER_INTERVAL_S)
        try:
            await reap_once(background, handle, age_s=TOMBSTONE_AGE_S)
        except (DriveError, QuorumError):
            continue


async def reap_once(background: BackgroundContext, handle: SetHandle, *, age_s: float) -> int:
    """Forget every tombstone older than `age_s` that all slots have; return how many."""
    context = background.engine
    before = floor_of(context.now_ms() - int(age_s * 1000))
    drive = handle.drives[handle.drive_of_slot(0)]
    after: tuple[str, str, Order] = ("", "", NO_ORDER)
    forgotten = 0
    number = 0
    while True:
        page = await drive.call(ListTombstones(before, *after))
        if page.entries and not number:
            number = max((await read_forgotten(context, handle)).values(), default=0)
        for entry in page.entries:
            if await _may_go(context, handle, entry):
                number += 1
                forgotten += await _forget(context, handle, entry, number)
            after = (entry.bucket, entry.key, entry.order)
        if len(page.entries) < ListTombstones(before).limit:
            return forgotten


async def _may_go(context: Context, handle: SetHandle, entry: Tombstone) -> bool:
    """Whether every slot has the tombstone."""
    health = await examine(context, handle, entry.bucket, entry.key)
    return health.complete and all(
        answer.find(entry.order) is not None for answer in health.answers.values()
    )


async def _forget(context: Context, handle: SetHandle, entry: Tombstone, number: int) -> bool:
    op = Forget(entry.bucket, entry.key, entry.order, number)
    fanout = await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, op) for drive in handle.writable()},
        deadline_s=CALL_DEADLINE_S,
    )
    return not fanout.errors

"""Tend one drive of this server: notice that it is away, back, empty, or asked to be healed.

away                     look every two seconds whether an empty replacement is in its place
back and not trusted     rebuild: it has lost what it once acknowledged
back, or just started    catch up: compare with the set, deletions included
the other server wrote   return: the same as catching up, once it does not write alone any more
alone, by the witness
asked by the operator    heal: all that the set has is walked over, and every block verified
its journal is damaged   the journal is set aside, and it is rebuilt; its shards stay where they are
every hour, and when     compare: the same as catching up
the operator asks

Catching up compares trees (background/compare.py), which takes a moment however much there is; the
other jobs walk over every key (background/walk.py). So does catching up with a set in which too
many servers run a version that knows no trees.
"""

import asyncio
from enum import Enum
from functools import partial

import structlog

from objstore.background.compare import Compare, NoTree
from objstore.background.ports import BackgroundContext, OwnDrive
from objstore.background.walk import Walk
from objstore.drive.ops import DriveStatus, ReadStatus
from objstore.engine.fanout import call_all
from objstore.errors import ConfigError, DriveError, QuorumError
from objstore.limits import (
    CALL_DEADLINE_S,
    COMPARE_INTERVAL_S,
    DRIVE_PROBE_INTERVAL_S,
    HEAL_RETRY_S,
    REPLACEMENT_PROBE_INTERVAL_S,
)

log = structlog.get_logger()


class Job(Enum):
    """What a drive needs."""

    NOTHING = ""
    REBUILD = "rebuild"
    CATCH_UP = "catch-up"
    HEAL = "heal"
    RETURN = "return"
    COMPARE = "compare"


_WALKS = (Job.REBUILD, Job.HEAL)


def job_for(
    status: DriveStatus, *, compared: bool, healed_ms: int, returning: bool, now_ms: int
) -> Job:
    """Decide what a drive that answers needs. `compared`: no absence since that was last done.

    `returning`: it is to be compared because the other server wrote alone.
    """
    if not status.trusted:
        return Job.REBUILD
    if status.heal_requested_ms > healed_ms:
        return Job.HEAL
    if returning:
        return Job.RETURN
    if not compared:
        return Job.CATCH_UP
    return Job.COMPARE if _is_due(status, now_ms) else Job.NOTHING


def _is_due(status: DriveStatus, now_ms: int) -> bool:
    """Whether the last comparison is too old, or older than the operator's wish for one."""
    last = status.comparison
    if last is None or last.started_ms < status.compare_requested_ms:
        return True
    age_ms = now_ms - last.finished_ms
    return not 0 <= age_ms < COMPARE_INTERVAL_S * 1000  # a clock may have gone back


async def run_tend(background: BackgroundContext, own: OwnDrive) -> None:
    """Tend a drive for ever."""
    drive = own.handle.drives[own.index]
    path = own.handle.layout.drives[own.index].path
    compared, said, healed_ms = False, "", 0
    job = Job.NOTHING
    while True:
        if not drive.can_read:
            compared = False
            background.returning.lost(own)
            # A journal that does not open says nothing any more: nothing is lost without it.
            if not await _restore_journal(own, path, await own.damage()):
                said = await _look_for_replacement(own, path, said)
            await asyncio.sleep(REPLACEMENT_PROBE_INTERVAL_S)
            continue
        try:
            status = await drive.call(ReadStatus())
            if status.journal_damage:
                # It still says most of what it knew, which the others may need as long as they
                # are not well themselves.
                compared = False
                if await _others_are_well(background, own):
                    await _restore_journal(own, path, status.journal_damage)
                await asyncio.sleep(REPLACEMENT_PROBE_INTERVAL_S)
                continue
            if healed_ms == 0:
                # What was asked before this process started is done when its job finished.
                healed_ms = _last_heal(status)
            due = background.returning.due(own)
            job = job_for(
                status,
                compared=compared,
                healed_ms=healed_ms,
                returning=due > 0,
                now_ms=background.engine.now_ms(),
            )
            if job is not Job.NOTHING and drive.can_write and not background.returning.is_near():
                healed_ms = max(healed_ms, status.heal_requested_ms)
                compared = await _do(background, own, job, path)
                if compared:
                    background.returning.compared(own, due)
                await asyncio.sleep(0 if compared else HEAL_RETRY_S)
        except (DriveError, QuorumError) as error:
            log.warning("job interrupted", drive=path, job=job.value, reason=str(error))
            compared = compared and job is Job.COMPARE
            await asyncio.sleep(HEAL_RETRY_S)
        await asyncio.sleep(DRIVE_PROBE_INTERVAL_S)


async def _others_are_well(background: BackgroundContext, own: OwnDrive) -> bool:
    """Whether every other drive of the set answers, and is trusted."""
    handle = own.handle
    others = [
        index
        for index, slots in enumerate(handle.slots_of_drive)
        if slots and index != own.index and handle.drives[index].can_read
    ]
    if handle.slots_on([*others, own.index]) < handle.total_slots:
        return False
    fanout = await call_all(
        background.engine.group,
        {index: partial(handle.drives[index].call, ReadStatus()) for index in others},
        deadline_s=CALL_DEADLINE_S,
    )
    return len(fanout.answers) == len(others) and all(
        status.trusted for status in fanout.answers.values()
    )


async def _restore_journal(own: OwnDrive, path: str, damage: str) -> bool:
    """Set a damaged journal aside, if it is one; the drive is rebuilt when it is seen next."""
    if not damage:
        return False
    try:
        aside = await own.restore()
    except ConfigError as error:
        log.warning("journal damaged", drive=path, why=f"{error.found}; {error.remedy}")
        return False
    except DriveError as error:
        log.warning("journal damaged", drive=path, damage=damage, why=str(error))
        return False
    if aside:
        log.error("journal was damaged: set aside, rebuilding", drive=path, why=damage, kept=aside)
    return bool(aside)


def _last_heal(status: DriveStatus) -> int:
    progress = status.progress
    finished = progress is not None and progress.job == Job.HEAL.value and progress.finished_ms
    return progress.started_ms if progress is not None and finished else 1


async def _look_for_replacement(own: OwnDrive, path: str, said: str) -> str:
    """Try to take a replacement in; log what was found when it changes."""
    try:
        found = await own.replace()
    except ConfigError as error:
        found = f"{error.found}; {error.remedy}"
    except DriveError as error:
        found = str(error)
    if found != said:
        log.warning("drive away", drive=path, found=found)
    return found


async def _do(background: BackgroundContext, own: OwnDrive, job: Job, path: str) -> bool:
    """Do a job; return whether nothing was left undone."""
    if job in _WALKS:
        return await _walk(background, own, job, path)
    try:
        return await _compare(background, own, job, path)
    except NoTree as error:
        if job is Job.COMPARE:
            raise
        log.info("trees cannot be compared", drive=path, reason=str(error))
        return await _walk(background, own, job, path)


async def _compare(background: BackgroundContext, own: OwnDrive, job: Job, path: str) -> bool:
    """Compare; return whether nothing was left undone."""
    shown = "" if job is Job.COMPARE else job.value
    result = await Compare(background.engine, own, shown).run()
    background.compare.compared(result)
    if shown or result.differences or result.mended:
        log.info(
            "trees compared",
            drive=path,
            job=job.value,
            differences=result.differences,
            failed=result.failed,
            mended=result.mended,
            calls=result.calls,
            bytes=result.read_bytes,
            seconds=round((result.finished_ms - result.started_ms) / 1000, 3),
        )
    return job is Job.COMPARE or not result.failed


async def _walk(background: BackgroundContext, own: OwnDrive, job: Job, path: str) -> bool:
    """Walk; return whether nothing was left undone."""
    walk = Walk(background.engine, own, job.value, verify=job is Job.HEAL)
    log.info("walk started", drive=path, job=job.value)
    progress = await walk.run()
    log.info(
        "walk finished",
        drive=path,
        job=job.value,
        keys=progress.keys_done,
        shard_bytes=progress.bytes_done,
        failed=progress.keys_failed,
        seconds=round((progress.finished_ms - progress.started_ms) / 1000, 3),
    )
    return not progress.keys_failed

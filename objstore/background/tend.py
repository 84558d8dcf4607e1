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


def heal_waits(status: DriveStatus) -> bool:
    """Say whether a heal that an operator asked for is still to be done, or under way.

    Only the last job is known. A rebuild may begin before a heal; any other job begins when no heal
    is left to be done, and so tells that the one asked for before is over.
    """
    asked_ms, last = status.heal_requested_ms, status.progress
    if not asked_ms:
        return False
    if last is None or last.started_ms < asked_ms or last.job == Job.REBUILD.value:
        return True
    return last.job == Job.HEAL.value and not last.finished_ms


async def run_tend(background: BackgroundContext, own: OwnDrive) -> None:
    """Tend a drive for ever."""
    tending = _Tending(background, own)
    while True:
        pause_s = await tending.look()
        await asyncio.sleep(pause_s)


class _Tending:
    """What is remembered of one drive between two looks at it."""

    def __init__(self, background: BackgroundContext, own: OwnDrive) -> None:
        self._background = background
        self._own = own
        self._drive = own.handle.drives[own.index]
        self._path = own.handle.layout.drives[own.index].path
        self._compared = False  # with its set, and not away since
        self._healed_ms = 0  # of the last heal that an operator asked for and got; 0: not known yet
        self._said = ""  # of what is in the place of a drive that is away

    async def look(self) -> float:
        """Do what the drive needs; return in how many seconds to look again."""
        if not self._drive.can_read:
            return await self._away()
        job = Job.NOTHING
        try:
            status = await self._drive.call(ReadStatus())
            if status.journal_damage:
                return await self._damaged(status.journal_damage)
            job = self._job(status)
            if job is Job.NOTHING:
                return DRIVE_PROBE_INTERVAL_S
            await self._do(job, status)
        except (DriveError, QuorumError) as error:
            log.warning("job interrupted", drive=self._path, job=job.value, reason=str(error))
            self._compared = self._compared and job is Job.COMPARE
            return HEAL_RETRY_S + DRIVE_PROBE_INTERVAL_S
        return DRIVE_PROBE_INTERVAL_S if self._compared else HEAL_RETRY_S + DRIVE_PROBE_INTERVAL_S

    async def _away(self) -> float:
        self._compared = False
        self._background.returning.lost(self._own)
        # A journal that does not open says nothing any more: nothing is lost without it.
        if not await _restore_journal(self._own, self._path, await self._own.damage()):
            self._said = await _look_for_replacement(self._own, self._path, self._said)
        return REPLACEMENT_PROBE_INTERVAL_S

    async def _damaged(self, damage: str) -> float:
        """Set the journal aside once the others are well.

        It still says most of what it knew, which they may need as long as they are not.
        """
        self._compared = False
        if await _others_are_well(self._background, self._own):
            await _restore_journal(self._own, self._path, damage)
        return REPLACEMENT_PROBE_INTERVAL_S

    def _job(self, status: DriveStatus) -> Job:
        if self._healed_ms == 0:
            # What was asked before this process started may be left to be done.
            self._healed_ms = 1 if heal_waits(status) else max(1, status.heal_requested_ms)
        returning = self._background.returning
        job = job_for(
            status,
            compared=self._compared,
            healed_ms=self._healed_ms,
            returning=returning.due(self._own) > 0,
            now_ms=self._background.engine.now_ms(),
        )
        return job if self._drive.can_write and not returning.is_near() else Job.NOTHING

    async def _do(self, job: Job, status: DriveStatus) -> None:
        due = self._background.returning.due(self._own)
        self._compared = await _do(self._background, self._own, job, self._path, status)
        # One that was interrupted, or could not heal all because drives were away, is begun again;
        # what it could not heal with all drives there is the heal queue's.
        if job is Job.HEAL and (self._compared or _is_whole(self._own)):
            self._healed_ms = status.heal_requested_ms
        if self._compared:
            self._background.returning.compared(self._own, due)


def _is_whole(own: OwnDrive) -> bool:
    """Whether every drive of the set answers."""
    return own.handle.is_every_slot_on(own.handle.readable())


async def _others_are_well(background: BackgroundContext, own: OwnDrive) -> bool:
    """Whether every other drive of the set answers, and is trusted."""
    handle = own.handle
    others = [
        index
        for index, slots in enumerate(handle.slots_of_drive)
        if slots and index != own.index and handle.drives[index].can_read
    ]
    if not handle.is_every_slot_on([*others, own.index]):
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


async def _do(
    background: BackgroundContext, own: OwnDrive, job: Job, path: str, status: DriveStatus
) -> bool:
    """Do a job; return whether nothing was left undone."""
    # Whoever asked may have a clock that is ahead: what begins now is after that.
    asked_ms = max(status.heal_requested_ms, status.compare_requested_ms)
    if job in _WALKS:
        return await _walk(background, own, job, path, asked_ms)
    try:
        return await _compare(background, own, job, path, asked_ms)
    except NoTree as error:
        if job is Job.COMPARE:
            raise
        log.info("trees cannot be compared", drive=path, reason=str(error))
        return await _walk(background, own, job, path, asked_ms)


async def _compare(
    background: BackgroundContext, own: OwnDrive, job: Job, path: str, asked_ms: int
) -> bool:
    """Compare; return whether nothing was left undone."""
    shown = "" if job is Job.COMPARE else job.value
    result = await Compare(background.engine, own, shown, asked_ms=asked_ms).run()
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
            seconds=round(max(0, result.finished_ms - result.started_ms) / 1000, 3),
        )
    return job is Job.COMPARE or not result.failed


async def _walk(
    background: BackgroundContext, own: OwnDrive, job: Job, path: str, asked_ms: int
) -> bool:
    """Walk; return whether nothing was left undone."""
    walk = Walk(background.engine, own, job.value, verify=job is Job.HEAL, asked_ms=asked_ms)
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

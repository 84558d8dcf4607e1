"""Tend one drive of this server: notice that it is away, back, empty, or asked to be healed.

away                     look every two seconds whether an empty replacement is in its place
back and not trusted     rebuild: it has lost what it once acknowledged
back, or just started    catch up: compare with the set, deletions included
the other server wrote   return: the same as catching up, once it does not write alone any more
alone, by the witness
asked by the operator    heal: the same, and verify every block
"""

import asyncio
from enum import Enum

import structlog

from objstore.background.ports import BackgroundContext, OwnDrive
from objstore.background.walk import Walk
from objstore.drive.ops import DriveStatus, ReadStatus
from objstore.errors import ConfigError, DriveError, QuorumError
from objstore.limits import DRIVE_PROBE_INTERVAL_S, HEAL_RETRY_S, REPLACEMENT_PROBE_INTERVAL_S

log = structlog.get_logger()


class Job(Enum):
    """What a drive needs."""

    NOTHING = ""
    REBUILD = "rebuild"
    CATCH_UP = "catch-up"
    HEAL = "heal"
    RETURN = "return"


def job_for(status: DriveStatus, *, compared: bool, healed_ms: int, returning: bool) -> Job:
    """Decide what a drive that answers needs. `compared`: no absence since the last walk.

    `returning`: it is to be compared because the other server wrote alone.
    """
    if not status.trusted:
        return Job.REBUILD
    if status.heal_requested_ms > healed_ms:
        return Job.HEAL
    if returning:
        return Job.RETURN
    return Job.NOTHING if compared else Job.CATCH_UP


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
    drive = own.handle.drives[own.index]
    path = own.handle.layout.drives[own.index].path
    compared, said, healed_ms = False, "", 0
    while True:
        if not drive.can_read:
            compared = False
            background.returning.lost(own)
            said = await _look_for_replacement(own, path, said)
            await asyncio.sleep(REPLACEMENT_PROBE_INTERVAL_S)
            continue
        try:
            status = await drive.call(ReadStatus())
            if healed_ms == 0:
                # What was asked before this process started may be left to be done.
                healed_ms = 1 if heal_waits(status) else max(1, status.heal_requested_ms)
            due = background.returning.due(own)
            job = job_for(status, compared=compared, healed_ms=healed_ms, returning=due > 0)
            if job is not Job.NOTHING and drive.can_write and not background.returning.is_near():
                compared = await _walk(background, own, job, path, status.heal_requested_ms)
                if job is Job.HEAL:  # one that was interrupted is begun again
                    healed_ms = status.heal_requested_ms
                if compared:
                    background.returning.compared(own, due)
                await asyncio.sleep(0 if compared else HEAL_RETRY_S)
        except (DriveError, QuorumError) as error:
            log.warning("walk interrupted", drive=path, reason=str(error))
            compared = False
            await asyncio.sleep(HEAL_RETRY_S)
        await asyncio.sleep(DRIVE_PROBE_INTERVAL_S)


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

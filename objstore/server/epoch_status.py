"""What the witness says, as health and the operator are told it, and what it means for a set."""

from collections.abc import Sequence

import msgspec

from objstore.cluster.epoch_watch import EpochWatch
from objstore.drive.guarded import GuardedDrive
from objstore.drive.job_states import Progress
from objstore.engine.sets import SetHandle
from objstore.gateway.ports import WitnessInfo
from objstore.quorum.solo import Mode

RETURN_JOB = "return"  # as background/tend.py names the walk
_NOT_TOLD = (
    "the witness does not answer, so the other server, which is away, may have written alone; "
    "they come back with either of the two"
)
_WROTE = "the other server wrote alone and is away; they come back with it"


def witness_info(watch: EpochWatch | None, handles: Sequence[SetHandle]) -> WitnessInfo | None:
    """Tell what `watch` knows, with the progress of the drives that are compared."""
    if watch is None:
        return None
    view, epoch = watch.view, watch.view.epoch
    told = WitnessInfo(
        answers=not watch.trouble,
        confirmed=watch.is_confirmed or (epoch is None and not watch.trouble),
        asked=view.own,
        reason=watch.trouble,
        other=view.other,
    )
    if epoch is None:
        return told
    other = view.own if epoch.server == view.other else view.other
    returning = epoch.mode is Mode.RETURNING
    done, total = _compared(handles, other, watch.since_ms) if returning else (0, 0)
    return msgspec.structs.replace(
        told,
        epoch=epoch.number,
        mode=epoch.mode.value,
        server=epoch.server,
        other=other,
        since_ms=watch.since_ms,
        objects_done=done,
        objects_total=total,
    )


def _compared(handles: Sequence[SetHandle], server: str, since_ms: int) -> tuple[int, int]:
    """Add up how far a server's drives are; those that wait count with what they hold."""
    done = total = 0
    for drive in _drives_of(handles, server):
        status = drive.health.status
        if status is None:
            continue
        job = status.progress
        if job is None or not _is_of_now(job, since_ms):
            total += status.objects
            continue
        done += job.keys_done
        total += max(job.keys_total, job.keys_done)
    return done, total


def _is_of_now(job: Progress, since_ms: int) -> bool:
    return not job.finished_ms or (job.job == RETURN_JOB and job.started_ms >= since_ms)


def _drives_of(handles: Sequence[SetHandle], server: str) -> list[GuardedDrive]:
    return [
        drive
        for handle in handles
        for address, drive in zip(handle.layout.drives, handle.drives, strict=True)
        if address.server == server and isinstance(drive, GuardedDrive)
    ]


def writes_alone(watch: EpochWatch | None, handle: SetHandle) -> bool:
    """Whether this server's slots of a set acknowledge writes now: then all of them have to."""
    return watch is not None and bool(watch.may_write()) and _all_writable(handle, watch.view.own)


def unheard(watch: EpochWatch | None, handle: SetHandle) -> str:
    """Say why a server that may have written alone can not be asked; "" when none has to be."""
    if watch is None:
        return ""
    silent = [
        server
        for server in watch.may_have_written()
        if not any(drive.can_read for drive in _drives_of((handle,), server))
    ]
    if not silent:
        return ""
    return _WROTE if watch.is_confirmed else _NOT_TOLD


def other_goes_on(watch: EpochWatch | None, handle: SetHandle) -> bool | None:
    """Whether the other server would write alone if this one stopped; None without a witness."""
    if watch is None:
        return None
    view = watch.view
    may = watch.is_confirmed and view.epoch is not None and view.epoch.server in {"", view.other}
    return may and _all_writable(handle, view.other)


def _all_writable(handle: SetHandle, server: str) -> bool:
    drives = _drives_of((handle,), server)
    return bool(drives) and all(drive.can_read and drive.can_write for drive in drives)

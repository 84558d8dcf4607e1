"""What the drives say of their scrub, and of keys that can not be healed now."""

from collections.abc import Iterable

from objstore.drive.job_states import Quarantine, Quarantined
from objstore.drive.ops import DriveStatus
from objstore.gateway.ports import QuarantinedKey, ScrubInfo
from objstore.limits import QUARANTINE_SHOWN_MAX


def scrub_info(status: DriveStatus) -> ScrubInfo:
    """Turn what a drive said last into what an operator is told."""
    state = status.scrub
    if state is None:
        return ScrubInfo(waiting=status.scrub_requested_ms > 0)
    return ScrubInfo(
        under_way=state.started_ms > state.finished_ms,
        asked=state.asked,
        waiting=status.scrub_requested_ms > state.started_ms,
        started_ms=state.started_ms,
        stage=state.stage,
        bytes_done=state.bytes_done,
        bytes_total=state.bytes_total,
        files_done=state.files_done,
        records_done=state.records_done,
        found=state.found,
        repaired=state.repaired,
        unnamed=state.unnamed,
        foreign=state.foreign,
        finished_ms=state.finished_ms,
        passes=state.passes,
        bytes_ever=state.bytes_ever,
        found_ever=state.found_ever,
        repaired_ever=state.repaired_ever,
        open=state.open,
    )


def quarantine_of(statuses: Iterable[DriveStatus]) -> tuple[int, tuple[QuarantinedKey, ...]]:
    """Join what the servers of a set say: how many keys, and some of them.

    Each server looks at every note, so the one that counted most knows of most.
    """
    told: list[Quarantine] = [one.quarantine for one in statuses if one.quarantine is not None]
    keys: dict[tuple[str, str], Quarantined] = {}
    for quarantine in told:
        keys |= {(one.bucket, one.key): one for one in quarantine.some}
    some = tuple(
        QuarantinedKey(bucket=one.bucket, key=one.key, reason=one.reason)
        for _, one in sorted(keys.items())[:QUARANTINE_SHOWN_MAX]
    )
    return max([len(keys), *(quarantine.count for quarantine in told)]), some

"""What a drive that answers needs, in which order."""

import pytest

from objstore.background.tend import Job, job_for
from objstore.drive.ops import Comparison, DriveStatus
from objstore.limits import COMPARE_INTERVAL_S

_HOUR_MS = int(COMPARE_INTERVAL_S * 1000)
_NOW_MS = 10 * _HOUR_MS


def status(
    *,
    trusted: bool = True,
    heal_requested_ms: int = 0,
    compared_ms: int | None = _NOW_MS,
    compare_requested_ms: int = 0,
) -> DriveStatus:
    return DriveStatus(
        total_bytes=1,
        free_bytes=1,
        trusted=trusted,
        objects=0,
        object_bytes=0,
        missed=0,
        missed_bytes=0,
        missed_since_ms=0,
        heal_requested_ms=heal_requested_ms,
        comparison=None if compared_ms is None else Comparison(compared_ms - 5, compared_ms),
        compare_requested_ms=compare_requested_ms,
    )


@pytest.mark.parametrize(
    ("told", "compared", "returning", "job"),
    [
        (status(), True, False, Job.NOTHING),
        (status(), False, False, Job.CATCH_UP),
        (status(), True, True, Job.RETURN),
        (status(), False, True, Job.RETURN),
        (status(heal_requested_ms=5), True, True, Job.HEAL),
        (status(trusted=False, heal_requested_ms=5), False, True, Job.REBUILD),
        (status(compared_ms=None), True, False, Job.COMPARE),
        (status(compared_ms=_NOW_MS - _HOUR_MS + 1), True, False, Job.NOTHING),
        (status(compared_ms=_NOW_MS - _HOUR_MS), True, False, Job.COMPARE),
        (status(compared_ms=_NOW_MS + 1), True, False, Job.COMPARE),  # the clock went back
        (status(compare_requested_ms=_NOW_MS - 4), True, False, Job.COMPARE),
        (status(compare_requested_ms=_NOW_MS - 6), True, False, Job.NOTHING),
        (status(compared_ms=None), False, False, Job.CATCH_UP),
    ],
)
def test_the_job(told: DriveStatus, compared: bool, returning: bool, job: Job) -> None:
    found = job_for(told, compared=compared, healed_ms=1, returning=returning, now_ms=_NOW_MS)
    assert found is job

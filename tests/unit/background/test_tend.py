"""What a drive that answers needs, in which order."""

import pytest

from objstore.background.tend import Job, job_for
from objstore.drive.ops import DriveStatus


def status(*, trusted: bool = True, heal_requested_ms: int = 0) -> DriveStatus:
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
    ],
)
def test_the_job(told: DriveStatus, compared: bool, returning: bool, job: Job) -> None:
    assert job_for(told, compared=compared, healed_ms=1, returning=returning) is job

"""What a drive that answers needs, in which order."""

import pytest

from objstore.background.tend import Job, _Tending, heal_waits, job_for
from objstore.drive.job_states import Comparison, Progress
from objstore.drive.ops import DriveStatus, ReadStatus, RequestHeal, VerifyShard
from objstore.errors import ShardCorrupt
from objstore.limits import COMPARE_INTERVAL_S
from objstore.names import Scheme
from objstore.testing.memory_set import memory_set
from tests.unit.engine.bodies import pattern, put

_HOUR_MS = int(COMPARE_INTERVAL_S * 1000)
_NOW_MS = 10 * _HOUR_MS


def status(
    *,
    trusted: bool = True,
    heal_requested_ms: int = 0,
    compared_ms: int | None = _NOW_MS,
    compare_requested_ms: int = 0,
    progress: Progress | None = None,
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
        progress=progress,
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


def last(job: Job, *, started_ms: int, finished: bool = True) -> Progress:
    ended_ms = started_ms + 10 if finished else 0
    return Progress(job=job.value, started_ms=started_ms, updated_ms=0, finished_ms=ended_ms)


@pytest.mark.parametrize(
    ("asked_ms", "progress", "waits"),
    [
        (0, None, False),
        (0, last(Job.HEAL, started_ms=5), False),
        (50, None, True),
        (50, last(Job.CATCH_UP, started_ms=40), True),
        (50, last(Job.HEAL, started_ms=40), True),
        (50, last(Job.HEAL, started_ms=50, finished=False), True),
        (50, last(Job.HEAL, started_ms=50), False),
        # A drive that was away after it was healed: nobody asked for a second heal.
        (50, last(Job.CATCH_UP, started_ms=90), False),
        (50, last(Job.CATCH_UP, started_ms=90, finished=False), False),
        (50, last(Job.RETURN, started_ms=90), False),
        (50, last(Job.REBUILD, started_ms=90), True),
    ],
)
def test_a_heal_waits_until_it_is_done_and_no_longer(
    asked_ms: int, progress: Progress | None, waits: bool
) -> None:
    assert heal_waits(status(heal_requested_ms=asked_ms, progress=progress)) is waits


async def test_a_heal_that_drives_were_away_from_is_done_again_with_all_verified() -> None:
    """Not only compared: what rotted is in no sum that a comparison looks at."""
    async with memory_set(Scheme(2, 2)) as m:
        await put(m, "k", pattern(200_000))
        tending = _Tending(m.background, m.background.own[0])
        await tending.look()
        ((name, file),) = m.drives[0].memory.files.items()
        file.data[5000] ^= 1
        for drive in m.drives[1:3]:
            drive.pull()
        m.clock.advance(1)
        await m.drives[0].call(RequestHeal(m.context.now_ms()))
        await tending.look()
        with pytest.raises(ShardCorrupt):
            await m.drives[0].call(VerifyShard(*name))
        for drive in m.drives[1:3]:
            drive.bring_back()
        m.clock.advance(1)
        await tending.look()
        assert not heal_waits(await m.drives[0].call(ReadStatus()))
        await m.drives[0].call(VerifyShard(*name))

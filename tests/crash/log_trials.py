"""A sync of a drive's journal fails, then all is well, then the power goes: what was told is there.

    python -m tests.crash.log_trials

What a commit wrote whose sync failed stays in the page cache, clean as the kernel sees it, and a
drive that is opened again finds it in the log. What is committed behind it is only as durable as
all before it. Runs under run_preloaded (disk_faults.py).
"""

import asyncio
import errno
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from objstore.drive.format import format_drive
from objstore.drive.local import LocalDrive
from objstore.drive.ops import ReadKey, ReadStatus
from objstore.errors import DriveError
from objstore.testing.drive_values import BUCKET, KEY, commit, order, put_bucket, version
from objstore.testing.local_drives import clock_for, identity, local_drive
from tests.crash.crash_states import BEGIN, CrashPoint, History, Loss
from tests.crash.crash_trials import Report
from tests.crash.disk_faults import Action, Faults, Kind
from tests.crash.local_set import Snapshot

_TOLD: Final = "told"
_SYNCS: Final = frozenset({Kind.SYNC})


async def write_around_a_failure(root: Path, faults: Faults, *, nth: int, forever: bool) -> bool:
    """Commit, fail, commit again; return whether a sync failed."""
    clock = clock_for(root)
    async with local_drive(root, clock=clock) as drive:
        await drive.call(put_bucket())
        await drive.call(commit(version(1)))
        faults.plan(Action.FAIL, _SYNCS, nth=nth, error=errno.EIO, forever=forever)
        with suppress(DriveError):
            await drive.call(commit(version(2)))
        with suppress(DriveError):
            await drive.call(commit(version(3)))
        failed = faults.count >= nth
        await _let_go(drive)
        faults.stop()
        await drive.call(ReadStatus())
        await drive.call(commit(version(4)))
        faults.mark(_TOLD)
    return failed


async def _let_go(drive: LocalDrive) -> None:
    """Wait until the session that failed has closed its journal: it may meet the fault again."""
    for session in drive._dropped:
        while session.ending:
            await asyncio.sleep(0.001)


async def newest(root: Path) -> list[str]:
    """Complain when the drive does not hold what it said it had."""
    async with local_drive(root) as drive:
        if drive.reason is not None:
            return [f"does not open: {drive.reason}"]
        await drive.call(ReadStatus())
        state = await drive.call(ReadKey(BUCKET, KEY))
    expected = commit(version(4)).record
    return [] if expected in state.records else [f"{order(4).hex()} is lost"]


def trial(root: Path, faults: Faults, start: Snapshot, *, nth: int, forever: bool) -> list[str]:
    """Fail from the `nth` sync on; return complaints."""
    start.restore([root])
    history = History.of((), [root], Snapshot.of([root]))
    faults.log(on=True)
    faults.mark(BEGIN)
    failed = asyncio.run(write_around_a_failure(root, faults, nth=nth, forever=forever))
    recorded = history.with_events(faults.events())
    faults.log(on=False)
    assert failed, nth
    point = CrashPoint(recorded.after_mark(_TOLD), Loss.DROPPED, 0, acknowledged=True)
    wrong: list[str] = []
    for _, state in recorded.states([point]):
        state.restore([root])
        wrong += asyncio.run(newest(root))
    return wrong


def main() -> None:
    """See the module's description."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    report = Report()
    with TemporaryDirectory(dir=place) as directory:
        root = Path(directory) / "d"
        root.mkdir()
        format_drive(root, identity(), trusted=True)
        faults = Faults([root])
        start = Snapshot.of([root])
        for forever in (False, True):
            wrong = trial(root, faults, start, nth=1, forever=forever)
            report.add("log", wrong, f"forever: {forever}")
    report.end()


if __name__ == "__main__":
    main()

"""Crash the formatting of a drive wherever it changes something, and look what is there.

    python -m tests.crash.format_trials [--limit N]

A drive that says it is formatted is whole and works; else it is empty, or says that its formatting
did not end. One that was said to be formatted is. Runs under run_preloaded (disk_faults.py).
"""

import argparse
import asyncio
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from objstore.drive.format import Found, format_drive, inspect
from objstore.drive.ops import ReadKey
from objstore.testing.drive_values import BUCKET, KEY, commit, put_bucket, version
from objstore.testing.local_drives import identity, local_drive
from tests.crash.crash_states import ACKNOWLEDGED, BEGIN, History
from tests.crash.crash_trials import Report
from tests.crash.disk_faults import Action, Faults
from tests.crash.local_set import Snapshot

_UNFINISHED: Final = frozenset({Found.EMPTY, Found.HALF_FORMATTED, Found.FORMATTED})


def format_here(root: Path) -> None:
    """Format the empty directory `root`."""
    format_drive(root, identity(), trusted=True)


def empty(root: Path) -> None:
    """Make `root` an empty directory."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()


def put_state(root: Path, state: Snapshot) -> None:
    """Make `root` hold a state; what lies in a directory that was lost is lost."""
    empty(root)
    for directory in sorted(state.directories[0]):
        if (root / directory).parent.is_dir():
            (root / directory).mkdir()
    for name, content in state.files[0].items():
        if (root / name).parent.is_dir():
            (root / name).write_bytes(content)


def recover(root: Path, *, acknowledged: bool) -> list[str]:
    """Return complaints about what is at `root`."""
    found = inspect(root).found
    if found not in ({Found.FORMATTED} if acknowledged else _UNFINISHED):
        return [f"found {found.value}"]
    return asyncio.run(_works(root)) if found is Found.FORMATTED else []


async def _works(root: Path) -> list[str]:
    async with local_drive(root) as drive:
        if drive.reason is not None:
            return [f"does not open: {drive.reason}"]
        await drive.call(put_bucket())
        await drive.call(commit(version(5)))
        held = await drive.call(ReadKey(BUCKET, KEY))
    return [] if len(held.records) == 1 else ["does not keep what is written"]


def kill_trials(root: Path, faults: Faults, limit: int, report: Report) -> None:
    """Kill the formatting before its n-th change."""
    empty(root)
    faults.plan(Action.COUNT)
    format_here(root)
    last = faults.count
    step = max(1, -(-last // limit)) if limit else 1
    for nth in range(1, last + 2, step):
        faults.stop()
        empty(root)
        child = os.fork()
        if child == 0:
            faults.plan(Action.KILL, nth=nth)
            format_here(root)
            os._exit(0)
        _, code = os.waitpid(child, 0)
        acknowledged = os.waitstatus_to_exitcode(code) == 0
        report.add("kill format", recover(root, acknowledged=acknowledged), f"before change {nth}")


def state_trials(root: Path, faults: Faults, limit: int, report: Report) -> None:
    """Look at what power cuts may leave."""
    faults.stop()
    empty(root)
    history = History.of((), [root], Snapshot(({},)))
    faults.log(on=True)
    faults.mark(BEGIN)
    format_here(root)
    faults.mark(ACKNOWLEDGED)
    events = faults.events()
    faults.log(on=False)
    history = history.with_events(events)
    points = history.crash_points(2)
    step = max(1, -(-len(points) // limit)) if limit else 1
    for point, state in history.states(points[::step]):
        put_state(root, state)
        complaints = recover(root, acknowledged=point.acknowledged)
        report.add("states format", complaints, f"at event {point.index}, {point.loss.value}")


def main() -> None:
    """See the module's description."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=0, help="trials of each kind; 0: all")
    asked = parser.parse_args()
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    report = Report()
    with TemporaryDirectory(dir=place) as directory:
        root = Path(directory) / "d"
        faults = Faults([root])
        kill_trials(root, faults, asked.limit, report)
        state_trials(root, faults, asked.limit, report)
    report.end()


if __name__ == "__main__":
    main()

"""Let the n-th storage call of every operation fail, once or for ever, on one to m + 1 drives.

    python -m tests.crash.error_trials [--limit N] [--operations NAME,...] [--errors EIO,...]

For each operation, error, number of drives and n, until n is past the last call: the operation
succeeds wherever W drives are left, and else is refused by an error that means that; what was there
stays readable; no sync that failed is repeated; the drives are back without a restart; what was
acknowledged survives a power cut right after the answer, where a sync had failed. `--limit` takes
that many of each operation's trials. Runs under run_preloaded (disk_faults.py).
"""

import argparse
import asyncio
import errno
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from objstore.drive.guarded import DriveState
from objstore.errors import DriveError, QuorumError, RequestRefused
from objstore.ondisk.paths import JOURNAL_DB
from objstore.testing.fake_clock import FakeClock
from tests.crash.crash_states import BEGIN, CrashPoint, History, Loss
from tests.crash.crash_trials import BOOT_MS, NOW_MS, Bench, Report, expected_of
from tests.crash.disk_faults import FAILS_WITH, Action, Event, Kind
from tests.crash.local_set import DRIVES, SCHEME, LocalSet, Snapshot, check, local_set, read
from tests.crash.operations import BYSTANDER, OPERATIONS, OTHER, Operation, Values

_OPERATION_DEADLINE_S: Final = 60.0
_NTH_MAX: Final = 2000
_PROBES: Final = 3
_SYNCS: Final = frozenset({Kind.SYNC, Kind.SYNC_DIR})


@dataclass(frozen=True, slots=True)
class Trial:
    """From which call on which drives fail, and how."""

    error: int
    forever: bool
    drives: int
    nth: int

    @property
    def failing(self) -> tuple[int, ...]:
        """Which drives fail: others in each trial."""
        return tuple(sorted((self.nth + index) % DRIVES for index in range(self.drives)))

    def __str__(self) -> str:
        often = "for ever" if self.forever else "once"
        return f"{errno.errorcode[self.error]} {often} from call {self.nth} of {self.failing}"


class Trials:
    """The trials of one operation."""

    def __init__(self, bench: Bench, name: str, report: Report) -> None:
        self._bench = bench
        self._name = name
        self._report = report
        self._operation: Operation = OPERATIONS[name]()
        # A heal starts with a shard that is lost already, and is done later if it cannot be done.
        self._spare = 0 if name == "heal" else SCHEME.m
        bench.prepare(self._operation)
        self._start = Snapshot.of(bench.roots)

    def calls(self, error: int) -> int:
        """Count the calls, on the drive with the most, that could fail so."""
        bench = self._bench
        self._start.restore(bench.roots)

        async def use(opened: LocalSet) -> None:
            bench.faults.plan(Action.COUNT, FAILS_WITH[error], each=True)
            await self._operation.run(opened)
            await opened.idle()

        bench.with_set(use)
        found = bench.faults.count
        bench.faults.stop()
        return found

    def run(self, trial: Trial) -> bool:
        """Return whether the n-th call was reached."""
        bench = self._bench
        self._start.restore(bench.roots)
        history = History.of((), bench.roots, Snapshot.of(bench.roots))
        bench.faults.log(on=True)
        journals = {
            (drive, (root / JOURNAL_DB).stat().st_ino) for drive, root in enumerate(bench.roots)
        }
        reached, acknowledged, wrong, found = asyncio.run(self._meet(trial))
        events = bench.faults.events()
        bench.faults.log(on=False)
        wrong += repeated_syncs(events, journals)
        if any(event.failed and event.kind in _SYNCS for event in events) and not wrong:
            recorded = history.with_events(events)
            if acknowledged:
                wrong += self._cut_power(recorded, "answered", (self._operation.after,))
            wrong += self._cut_power(recorded, "checked", (found,))
        if reached:
            self._report.add(f"errors {self._name}", wrong, str(trial))
            self._report.count(f"failed with {errno.errorcode[trial.error]}")
        return reached

    async def _meet(self, trial: Trial) -> tuple[bool, bool, list[str], Values]:
        bench, operation = self._bench, self._operation
        async with local_set(bench.roots, FakeClock(NOW_MS + BOOT_MS)) as opened:
            bench.faults.mark(BEGIN)
            bench.faults.plan(
                Action.FAIL,
                FAILS_WITH[trial.error],
                drives=trial.failing,
                nth=trial.nth,
                error=trial.error,
                forever=trial.forever,
                each=True,
            )
            acknowledged, wrong = await self._try(opened, trial)
            bench.faults.mark("answered")
            await opened.idle()
            if trial.drives <= self._spare:
                wrong += await _reads(opened)
            reached = bench.faults.count >= trial.nth
            bench.faults.stop()
            wrong += await _comes_back(opened)
            opened.context.clock.advance(3600)  # type: ignore[attr-defined]
            wrong += await check(opened, expected_of(operation, acknowledged=acknowledged))
            found = {key: await read(opened, key) for key in operation.before}
            bench.faults.mark("checked")
            if not wrong:
                wrong += await operation.aftermath(opened, acknowledged=acknowledged)
        return reached, acknowledged, wrong, found

    async def _try(self, opened: LocalSet, trial: Trial) -> tuple[bool, list[str]]:
        try:
            async with asyncio.timeout(_OPERATION_DEADLINE_S):
                await self._operation.run(opened)
        except TimeoutError:
            return False, ["no answer"]
        except (QuorumError, DriveError, RequestRefused) as error:
            refused = f"{type(error).__name__}: {error}"
            return False, [f"refused: {refused}"] if trial.drives <= self._spare else []
        return True, []

    def _cut_power(self, history: History, mark: str, may_be: Sequence[Values]) -> list[str]:
        """Look at what is on the medium at a mark: what was read then is there."""
        at = history.after_mark(mark)
        point = CrashPoint(at, Loss.DROPPED, 0, acknowledged=True)
        states = [state for _, state in history.states([point])]
        wrong = []
        for state in states:
            state.restore(self._bench.roots)
            found = self._bench.recover_values(may_be)
            wrong += [f"after a power cut when {mark}: {complaint}" for complaint in found]
        return wrong


async def _reads(opened: LocalSet) -> list[str]:
    """What was there before can be read while m drives fail."""
    try:
        found = await read(opened, OTHER)
    except QuorumError as error:
        return [f"cannot read while drives fail: {error}"]
    return [] if found == BYSTANDER else ["reads something wrong while drives fail"]


async def _comes_back(opened: LocalSet) -> list[str]:
    """Every drive is used again once nothing fails any more, without a restart."""
    for _ in range(_PROBES):
        await opened.probe()
    away = [
        f"drive {number} stays {drive.health.state.value}: {drive.health.reason}"
        for number, drive in enumerate(opened.drives)
        if drive.health.state not in (DriveState.ONLINE, DriveState.SLOW)
    ]
    await opened.idle()
    return away


def repeated_syncs(
    events: Sequence[Event], journals: Collection[tuple[int, int]] = ()
) -> list[str]:
    """Complain of a file that is synced again after a sync of it failed, with nothing written.

    Whether the second sync succeeds says nothing about what the first one lost. SQLite's files are
    left out: it syncs the log again before it moves on what earlier commits have there, and what
    the failed sync was about is in no commit. Whether that holds, the power cuts tell.
    """
    failed: set[tuple[int, int]] = set()
    sqlite: set[tuple[int, int]] = set()
    wrong = []
    for event in events:
        file = (event.drive, event.inode)
        if event.kind is Kind.CREATE and event.path.startswith(JOURNAL_DB):
            sqlite.add(file)
        if event.kind is Kind.SYNC and file not in journals and file not in sqlite:
            if file in failed:
                wrong.append(f"drive {event.drive}: a sync that failed is repeated")
            failed.discard(file)
            if event.failed:
                failed.add(file)
        elif event.kind in (Kind.WRITE, Kind.TRUNCATE):
            failed.discard(file)
    return wrong


def trials_of(calls: int, error: int) -> Iterator[Trial]:
    """Yield every trial with an error, some beyond the last call that was counted."""
    for forever, drives in product((False, True), range(1, SCHEME.m + 2)):
        for nth in range(1, min(calls, _NTH_MAX) + 1):
            yield Trial(error, forever, drives, nth)


def main() -> None:
    """See the module's description."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--limit", type=int, default=0, help="trials of each operation; 0: all")
    parser.add_argument("--operations", default=",".join(OPERATIONS))
    parser.add_argument("--errors", default="EIO,ENOSPC,EROFS,EMFILE")
    asked = parser.parse_args()
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    report = Report()
    with TemporaryDirectory(dir=place) as directory:
        bench = Bench(Path(directory))
        for number, name in enumerate(asked.operations.split(",")):
            trials = Trials(bench, name, report)
            wanted = [
                trial
                for named in asked.errors.split(",")
                for error in [int(getattr(errno, named))]
                for trial in trials_of(trials.calls(error), error)
            ]
            step = max(1, -(-len(wanted) // asked.limit)) if asked.limit else 1
            for trial in wanted[number % step :: step]:
                trials.run(trial)
            if not asked.limit:
                run_past(trials, [int(getattr(errno, named)) for named in asked.errors.split(",")])
    report.end()


def run_past(trials: Trials, errors: Sequence[int]) -> None:
    """Go on beyond the calls that were counted until one is not reached: threads make it vary."""
    for error in errors:
        beyond = trials.calls(error) + 1
        for nth in count(beyond):
            if nth > _NTH_MAX or not trials.run(Trial(error, False, 1, nth)):
                break


if __name__ == "__main__":
    main()

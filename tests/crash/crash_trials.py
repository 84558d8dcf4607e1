"""Crash every operation wherever it changes a drive, recover, and look whether promises are kept.

    python -m tests.crash.crash_trials kill|states [--limit N] [--operations NAME,...] [--seeds N]
                                       [--plant BUG]

`kill`: a child does the operation and is killed at its n-th call that changes a drive, for every n.
`states`: the operation's calls are recorded once, and every state that a power cut may leave of
them is made and recovered (crash_states.py); static rules are held against the record.
`--plant` breaks the code first, to show that it is noticed. Prints a JSON object: trials and
complaints. Runs under run_preloaded (disk_faults.py).
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NoReturn

from objstore.drive import new_shard
from objstore.errors import ObjstoreError
from objstore.testing.fake_clock import FakeClock
from tests.crash.crash_rules import broken_rules
from tests.crash.crash_states import ACKNOWLEDGED, BEGIN, History
from tests.crash.disk_faults import Action, Faults
from tests.crash.local_set import (
    DRIVES,
    Expected,
    LocalSet,
    Snapshot,
    check,
    format_set,
    local_set,
    make_bucket,
)
from tests.crash.operations import BYSTANDER, OPERATIONS, OTHER, Operation, Values, put

NOW_MS: Final = 1_800_000_000_000
BOOT_MS: Final = 3_600_000  # between a crash and the next start: what was in flight is settled
_KILLED: Final = -signal.SIGKILL
_NTH_MAX: Final = 5000


@dataclass(slots=True)
class Report:
    """What was tried and what went wrong."""

    trials: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    rules: dict[str, int] = field(default_factory=dict)  # how often each was looked at

    def add(self, what: str, complaints: Sequence[str], where: str) -> None:
        """Count a trial."""
        self.trials[what] = self.trials.get(what, 0) + 1
        self.wrong += [f"{what} {where}: {complaint}" for complaint in complaints]

    def count(self, rule: str, times: int = 1) -> None:
        """Count that a rule was looked at, or a kind of fault met."""
        self.rules[rule] = self.rules.get(rule, 0) + times

    def end(self) -> NoReturn:
        """Print it for whoever started this process, and end: with 1 when there are complaints."""
        print(f"{sum(self.trials.values())} trials, {len(self.wrong)} complaints")
        print(json.dumps({"trials": self.trials, "wrong": self.wrong, "rules": self.rules}))
        raise SystemExit(1 if self.wrong else 0)


class Bench:
    """Directories for a set, and what every trial begins with."""

    def __init__(self, directory: Path) -> None:
        self.roots = [directory / f"d{index}" for index in range(DRIVES)]
        format_set(self.roots)
        self.faults = Faults(self.roots)
        self._formatted = Snapshot.of(self.roots)

    def reset(self) -> None:
        """Make the drives empty and formatted."""
        self._formatted.restore(self.roots)

    def with_set(self, use: Callable[[LocalSet], Awaitable[Any]], *, boot: int = 1) -> Any:
        """Open the set, use it, close it. Later boots draw later stamps."""

        async def main() -> object:
            clock = FakeClock(NOW_MS + boot * BOOT_MS)
            async with local_set(self.roots, clock) as opened:
                return await use(opened)

        return asyncio.run(main())

    def prepare(self, operation: Operation) -> None:
        """Bring empty drives to where the operation begins, and close them."""

        async def use(opened: LocalSet) -> None:
            await make_bucket(opened)
            await put(opened, OTHER, BYSTANDER)
            await operation.prepare(opened)

        self.reset()
        self.with_set(use, boot=0)

    def recover(self, operation: Operation, *, acknowledged: bool) -> list[str]:
        """Open what a crash left; return complaints."""

        async def use(opened: LocalSet) -> list[str]:
            wrong = await check(opened, expected_of(operation, acknowledged=acknowledged))
            if not wrong:
                wrong += await operation.aftermath(opened, acknowledged=acknowledged)
            return wrong

        return self._complaints(use, boot=2)

    def _complaints(
        self, use: Callable[[LocalSet], Awaitable[list[str]]], *, boot: int
    ) -> list[str]:
        """Return what `use` complains of; that it cannot go on is a complaint as well."""
        wrong: list[str] = []
        try:
            wrong += self.with_set(use, boot=boot)
        except* ObjstoreError as group:
            wrong += [f"{type(error).__name__}: {error}" for error in group.exceptions]
        return wrong

    def recover_values(self, values: Sequence[Values]) -> list[str]:
        """Open what a crash left; complain unless the keys hold `values`, in order of time."""
        expected = Expected(
            {key: tuple(dict.fromkeys(one[key] for one in values)) for key in values[0]}
        )

        async def use(opened: LocalSet) -> list[str]:
            return await check(opened, expected, without=(0,))

        return self._complaints(use, boot=4)


def expected_of(operation: Operation, *, acknowledged: bool) -> Expected:
    """Return what may be read after a crash."""
    after = operation.after
    return Expected(
        {
            OTHER: (BYSTANDER,),
            **{
                key: (after[key],) if acknowledged else (old, after[key])
                for key, old in operation.before.items()
            },
        }
    )


# --- kill ---------------------------------------------------------------------------------------


def kill_trials(bench: Bench, name: str, limit: int, report: Report) -> None:
    """Kill the operation at its n-th change, for every n, or for `limit` of them."""
    operation = OPERATIONS[name]()
    bench.prepare(operation)
    start = Snapshot.of(bench.roots)
    last = _changes_of(bench, operation)
    step = max(1, -(-last // limit)) if limit else 1
    nth, survived = 1, False
    while not survived and nth < _NTH_MAX:
        start.restore(bench.roots)
        status, said = _in_child(bench, operation, nth)
        assert status in (0, _KILLED), status
        survived = status == 0
        complaints = bench.recover(operation, acknowledged=said)
        report.add(f"kill {name}", complaints, f"before change {nth}")
        nth += step


def _changes_of(bench: Bench, operation: Operation) -> int:
    """Count the changes that the operation makes, from opening the set to closing it."""
    bench.faults.plan(Action.COUNT)
    bench.with_set(operation.run)
    count = bench.faults.count
    bench.faults.stop()
    return count


def _in_child(bench: Bench, operation: Operation, nth: int) -> tuple[int, bool]:
    """Run the operation in a child; return its exit status, and whether it was acknowledged."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(heard)
        status = 1
        try:
            bench.faults.plan(Action.KILL, nth=nth)

            async def use(opened: LocalSet) -> None:
                await operation.run(opened)
                os.write(said, b"A")

            bench.with_set(use)
            status = 0
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(said)
    with os.fdopen(heard, "rb") as pipe:
        acknowledged = pipe.read() == b"A"
    _, code = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(code), acknowledged


# --- states -------------------------------------------------------------------------------------


def recorded(bench: Bench, operation: Operation) -> History:
    """Do the operation on an open set and return all that happened to its drives."""

    async def use(opened: LocalSet) -> None:
        await make_bucket(opened)
        await put(opened, OTHER, BYSTANDER)
        await operation.prepare(opened)
        await opened.idle()
        bench.faults.mark(BEGIN)
        await operation.run(opened)
        bench.faults.mark(ACKNOWLEDGED)

    bench.reset()
    start = Snapshot.of(bench.roots)
    placeholder = History.of((), bench.roots, start)  # takes the inodes before they change
    bench.faults.log(on=True)
    bench.with_set(use)
    events = bench.faults.events()
    bench.faults.log(on=False)
    return placeholder.with_events(events)


def state_trials(bench: Bench, name: str, limit: int, seeds: int, report: Report) -> None:
    """Recover every state that a power cut may leave of the operation, or `limit` of them."""
    operation = OPERATIONS[name]()
    history = recorded(bench, operation)
    broken, looked = broken_rules(history, hides_objects=name != "abort")
    report.wrong += [f"rule {name}: {complaint}" for complaint in broken]
    for rule, times in looked.items():
        report.count(rule, times)
    points = history.crash_points(seeds)
    step = max(1, -(-len(points) // limit)) if limit else 1
    for point, state in history.states(points[::step]):
        state.restore(bench.roots)
        complaints = bench.recover(operation, acknowledged=point.acknowledged)
        where = f"at event {point.index}, {point.loss.value}, seed {point.seed}"
        report.add(f"states {name}", complaints, where)


# Bugs to plant: what each takes out of the code.
PLANTS: Final[Mapping[str, Callable[[], None]]] = {
    "no-directory-sync": lambda: setattr(new_shard, "sync_directory", lambda _: None),
    "no-shard-sync": lambda: setattr(new_shard, "os", _WithoutSync()),
}


class _WithoutSync:
    """The module os, but that files are not synced."""

    def __getattr__(self, name: str) -> object:
        return (lambda _: None) if name == "fdatasync" else getattr(os, name)


def main() -> None:
    """See the module's description."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=("kill", "states"))
    parser.add_argument("--limit", type=int, default=0, help="trials of each operation; 0: all")
    parser.add_argument("--seeds", type=int, default=3, help="torn states of each moment")
    parser.add_argument("--operations", default=",".join(OPERATIONS))
    parser.add_argument("--plant", choices=tuple(PLANTS))
    asked = parser.parse_args()
    if asked.plant:
        PLANTS[asked.plant]()
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None
    report = Report()
    with TemporaryDirectory(dir=place) as directory:
        bench = Bench(Path(directory))
        for name in asked.operations.split(","):
            if asked.mode == "kill":
                kill_trials(bench, name, asked.limit, report)
            else:
                state_trials(bench, name, asked.limit, asked.seeds, report)
    report.end()


def summary_of(printed: str) -> Mapping[str, Any]:
    """Read what `main` printed."""
    return dict(json.loads(printed.splitlines()[-1]))


if __name__ == "__main__":
    main()

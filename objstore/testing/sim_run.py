"""Run simulations: a seed decides everything, and the same seed is the same run.

python -m objstore.testing.sim_run --first 1 --count 500     many seeds
python -m objstore.testing.sim_run --seed 17 --trace         one seed, and all that happened
"""

import argparse
import asyncio
import hashlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import structlog

from objstore.drive.api import Drive
from objstore.engine.sets import SetHandle
from objstore.names import Scheme
from objstore.testing.sim_atlas import Atlas
from objstore.testing.sim_calm import STRAGGLERS_S, Calm, check_forgotten, converge
from objstore.testing.sim_clients import Client, Statistics, make_buckets
from objstore.testing.sim_cluster import SimCluster
from objstore.testing.sim_drive import Bay, SimDrive
from objstore.testing.sim_faults import Nemesis
from objstore.testing.sim_history import History
from objstore.testing.sim_loop import simulate
from objstore.testing.sim_world import Shape, World

SHAPES: Final = (
    Shape(Scheme(2, 2), servers=2),
    Shape(Scheme(2, 2), servers=2, witness=True),
    Shape(Scheme(2, 2), servers=4),
    Shape(Scheme(2, 1), servers=3),
    Shape(Scheme(4, 2), servers=3),
    Shape(Scheme(4, 2), servers=2),
    Shape(Scheme(2, 2), servers=2, processes=2),
    Shape(Scheme(1, 2), servers=3),
)
_ROUNDS_MAX: Final = 2
_REQUESTS: Final = 48  # in a round, of all clients together
_ABSENT_SHARE: Final = 0.5  # of the hours that pass, that a drive is away for


@dataclass(frozen=True)
class Plant:
    """Faults put into the machinery on purpose, to see that they are found."""

    drive: Callable[[SimDrive], Drive] = lambda drive: drive  # put round every drive
    bay: Callable[[Bay], None] = lambda bay: None  # done to every place for a drive
    handle: Callable[[SetHandle], SetHandle] = lambda handle: handle  # put in a set's place


NOTHING_PLANTED: Final = Plant()


@dataclass
class Report:
    """What came of one seed."""

    seed: int
    shape: str
    failures: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    statistics: Statistics = field(default_factory=Statistics)
    reads: int = 0
    simulated_s: float = 0.0
    calm: Calm = field(default_factory=Calm)

    @property
    def digest(self) -> str:
        """A fingerprint of all that happened, in order and with its time."""
        return hashlib.sha256("\n".join(self.events).encode()).hexdigest()

    @property
    def command(self) -> str:
        """What repeats it."""
        return f"python -m objstore.testing.sim_run --seed {self.seed} --trace"


async def _simulate(report: Report, shape: Shape, plant: Plant) -> None:
    loop = asyncio.get_running_loop()

    def note(who: str, what: str) -> None:
        report.events.append(f"{loop.time():.6f} {who} {what}")

    violated = asyncio.Event()

    def fail(what: str) -> None:
        note("VIOLATION", what)
        report.failures.append(what)
        violated.set()

    world = World(report.seed, shape, loop, note, fail)
    async with asyncio.TaskGroup() as group:
        cluster = SimCluster(world, group, make_drive=plant.drive, make_handle=plant.handle)
        for bay in cluster.bays.values():
            plant.bay(bay)
        run = group.create_task(_Run(report, world, cluster).run())
        watching = group.create_task(violated.wait())
        # The first violation ends a run: what follows from it says nothing.
        await asyncio.wait({run, watching}, return_when=asyncio.FIRST_COMPLETED)
        run.cancel()
        watching.cancel()
        cluster.end()
    report.simulated_s = loop.time()


class _Run:
    """The course of one simulation: rounds of faults under load, an hour between them, the calm."""

    def __init__(self, report: Report, world: World, cluster: SimCluster) -> None:
        self._report = report
        self._cluster = cluster
        self._world = world
        self._random = world.random("course")
        self._history = History(world.fail)
        self._nemesis = Nemesis(
            cluster, Atlas(cluster.layout, cluster.bays, alone=world.shape.witness)
        )

    async def run(self) -> None:
        cluster = self._cluster
        for server in cluster.servers.values():
            cluster.start(server)
        for server in cluster.servers.values():
            for process in server.processes:
                await process.ready.wait()
        await asyncio.sleep(2.0)
        await make_buckets(cluster.servers[cluster.names[0]].processes[0])
        rounds = self._random.randrange(1, _ROUNDS_MAX + 1)
        for number in range(rounds):
            kept_away = None
            if number + 1 < rounds and self._random.random() < _ABSENT_SHARE:
                kept_away = self._nemesis.pull_for_long()
            await self._round()
            if number + 1 < rounds:
                await asyncio.sleep(STRAGGLERS_S)
                await self._nemesis.let_age_pass()
            if kept_away is not None:
                self._nemesis.put_in(kept_away)
        self._report.calm = await converge(cluster, self._nemesis, self._history)
        for number in range(2):
            await self._look(number)
            if number == 0:
                await check_forgotten(cluster, self._nemesis)
        self._report.reads = self._history.reads

    async def _round(self) -> None:
        clients = self._random.randrange(2, 5)
        requests = _REQUESTS // clients
        faults = self._random.randrange(2, 10)
        pause_s = self._random.choice((0.05, 0.2, 0.5))
        lasts_s = requests * (pause_s + 0.05)
        async with asyncio.TaskGroup() as group:
            for number in range(clients):
                client = self._client(f"client{number}")
                group.create_task(client.run(requests, pause_s))
            group.create_task(self._nemesis.run(faults, lasts_s / faults))

    async def _look(self, number: int) -> None:
        """Have every process read everything, in the calm: nothing may be refused."""
        reader = self._client(f"reader{number}")
        statistics = reader.statistics
        for index, server in enumerate(self._cluster.servers.values()):
            failed = statistics.failed
            await reader.look_at_everything(server.serving[0], versions=index == number)
            if statistics.failed != failed:
                self._world.fail(f"I8 {server.name} refuses reads in the calm")
            if number:
                break

    def _client(self, name: str) -> Client:
        return Client(name, self._cluster, self._history, self._report.statistics)


def run_seed(seed: int, *, plant: Plant = NOTHING_PLANTED, shape: Shape | None = None) -> Report:
    """Simulate one seed, and report; the seed decides the shape of the cluster too, if need be."""
    shape = shape or SHAPES[seed % len(SHAPES)]
    report = Report(seed, repr(shape))
    with _quiet():
        simulate(seed, _simulate(report, shape, plant))
    return report


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the product logs to itself."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        yield
    finally:
        structlog.configure(**before)


# --- as a program --------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    """Simulate the seeds that are asked for; return 1 if one of them failed."""
    parser = argparse.ArgumentParser(description="Simulate clusters, each from a seed.")
    parser.add_argument("--seed", type=int, help="simulate this seed only")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--count", type=int, default=100, help="how many seeds")
    parser.add_argument("--processes", type=int, default=2, help="how many at a time")
    parser.add_argument("--trace", action="store_true", help="print all that happened")
    asked = parser.parse_args(arguments)
    if asked.seed is not None:
        report = run_seed(asked.seed)
        if asked.trace:
            sys.stdout.write("\n".join(report.events) + "\n")
        sys.stdout.write(summary(report) + "\n")
        return bool(report.failures)
    return _run_many(range(asked.first, asked.first + asked.count), asked.processes)


def _run_many(seeds: range, processes: int) -> int:
    began_s, failed, requests = time.perf_counter(), 0, 0
    given_up: dict[int, int] = {}
    with ProcessPoolExecutor(processes) as pool:
        for report in pool.map(_without_events, seeds, chunksize=4):
            requests += report.statistics.done
            if report.calm.given_up:
                given_up[report.seed] = report.calm.given_up
            if report.failures:
                failed += 1
                sys.stdout.write(summary(report) + "\n")
                sys.stdout.flush()
    took_s = time.perf_counter() - began_s
    sys.stdout.write(
        f"{len(seeds)} seeds, {failed} failed, {requests} requests done, "
        f"{sum(given_up.values())} writes given up (seeds {list(given_up)}), "
        f"{len(seeds) / took_s:.1f} seeds/s\n"
    )
    return bool(failed)


def _without_events(seed: int) -> Report:
    report = run_seed(seed)
    report.events.clear()
    return report


def summary(report: Report) -> str:
    """Say in a line or a few what came of a seed."""
    one = report.statistics
    counts = f"{one.done} done, {one.refused} refused, {one.failed} failed, {one.lost} lost"
    if not report.failures:
        return (
            f"seed {report.seed} ok: {counts}, {report.reads} reads checked, "
            f"{report.simulated_s:.0f} s simulated, whole after {report.calm.took_s:.0f} s, "
            f"{report.calm.given_up} given up"
        )
    shown = "\n".join(f"  {failure}" for failure in report.failures[:5])
    return f"seed {report.seed} FAILED ({report.shape}): {counts}\n{shown}\n  {report.command}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

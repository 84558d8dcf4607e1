"""`python -m bench`: PUT, GET and degraded GET against probes of the same minute.

Each round measures the probes, then every figure of a cluster of one server with four drives and
of one of two servers with two drives each (3 + 1 both), in turn, so that a slow minute of the
machine falls on all of them. The table is of medians. `docs/performance.md` explains it.
"""

import argparse
import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import memory, probes, report
from bench.traffic import Access, Measured, burst, check
from tests.e2e import faults
from tests.e2e.credentials import ACCESS_KEY, SECRET_KEY
from tests.e2e.running import Cluster

MIB = 1024 * 1024
BUCKET = "bench"
CLUSTERS = {report.ONE_SERVER: 1, report.TWO_SERVERS: 2}
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Load:
    """One size of object, and how much of it a round moves."""

    name: str
    object_bytes: int
    concurrency: int
    puts: int
    gets: int


LOADS = (Load("64 MiB", 64 * MIB, 4, 12, 16), Load("4 KiB", 4096, 32, 2000, 6000))
QUICK = (Load("64 MiB", 64 * MIB, 4, 4, 4), Load("4 KiB", 4096, 32, 200, 200))


def main() -> None:
    """Run it as the command line says."""
    options = _options()
    loads = QUICK if options.quick else LOADS
    rounds = report.Rounds()
    memory_mib: dict[str, float] = {}
    data = memoryview(os.urandom(64 * MIB))
    with tempfile.TemporaryDirectory(dir=options.directory) as directory, ExitStack() as stack:
        trivial = probes.TrivialServer()
        stack.callback(trivial.close)
        for number in range(options.rounds):
            for name, servers in CLUSTERS.items():
                root = Path(directory) / f"{servers}-{number}"
                _probe(rounds, trivial, Path(directory), data)
                with _cluster(root, servers) as cluster:
                    _measure(rounds, name, cluster, loads, data, round_number=number)
                shutil.rmtree(root)
            print(f"round {number + 1} of {options.rounds} done", flush=True)
        if not options.no_memory:
            with _cluster(Path(directory) / "memory", 2) as cluster:
                memory_mib = memory.measure(cluster, access_of(cluster), BUCKET)
    lines = report.lines_of(rounds)
    print(report.table(lines))
    print(memory.describe(memory_mib))
    if options.json:
        report.write_json(options.json, rounds, memory_mib)
    if options.png:
        report.draw(options.png, lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="few objects: does it run at all?")
    parser.add_argument("--no-memory", action="store_true", help="leave the eight uploads out")
    parser.add_argument("--directory", type=Path, help="where the drives lie (default: /tmp)")
    parser.add_argument("--json", type=Path, help="write every figure here")
    parser.add_argument("--png", type=Path, help="draw the table here")
    return parser.parse_args()


def access_of(cluster: Cluster, server: int = 0) -> Access:
    """Return how the load generator reaches a server."""
    return Access(*cluster.address(server), ACCESS_KEY, SECRET_KEY)


def _cluster(root: Path, servers: int) -> AbstractContextManager[Cluster]:
    """Start a cluster with one worker process per core, as `objstore server` does by itself."""
    workers = max(1, CORES // servers)
    return Cluster.running(root, servers=servers, workers=workers, buckets=(BUCKET,))


def _probe(
    rounds: report.Rounds, trivial: probes.TrivialServer, directory: Path, data: memoryview
) -> None:
    add = rounds.add
    add(report.PROBE, "MD5, one core", probes.md5_mib_per_s(data))
    add(report.PROBE, "loopback TCP", probes.loopback_mib_per_s(data))
    add(report.PROBE, "durable write", probes.durable_mib_per_s(directory, 4 * len(data)))
    add(report.PROBE, "durable write, 4 KiB, fdatasync", probes.durable_small_per_s(directory))
    per_s = trivial.requests_per_s(count=20_000, concurrency=32)
    add(report.PROBE, "aiohttp, 100 bytes", per_s)


def _measure(
    rounds: report.Rounds,
    name: str,
    cluster: Cluster,
    loads: Sequence[Load],
    data: memoryview,
    *,
    round_number: int,
) -> None:
    """Measure one cluster once: everything healthy, then everything without one drive."""
    access = access_of(cluster)
    for load in loads:
        body = data[: load.object_bytes]
        paths = [f"/{BUCKET}/{load.name.replace(' ', '')}/{n}" for n in range(load.puts)]
        puts = access.requests("PUT", paths, load.object_bytes)
        put = asyncio.run(burst(access, puts, concurrency=load.concurrency, body=body))
        asyncio.run(check(access, paths[-2:], body))
        _note(rounds, name, f"PUT {load.name}", put)
        _note(rounds, name, f"GET {load.name}", _get(access, load, paths))
        with _without_drive(cluster, round_number % 4):
            asyncio.run(check(access, paths[-2:], body))
            _note(rounds, name, f"degraded GET {load.name}", _get(access, load, paths))
        deletes = access.requests("DELETE", paths)
        asyncio.run(burst(access, deletes, concurrency=load.concurrency, expected=204))


def _get(access: Access, load: Load, paths: Sequence[str]) -> Measured:
    wanted = [paths[number % len(paths)] for number in range(load.gets)]
    heads = access.requests("GET", wanted)
    return asyncio.run(
        burst(access, heads, concurrency=load.concurrency, answer_bytes=load.object_bytes)
    )


@contextmanager
def _without_drive(cluster: Cluster, drive: int) -> Iterator[None]:
    faults.move_away(cluster.drives[drive])
    cluster.wait_missing(drive)
    try:
        yield
    finally:
        faults.move_back(cluster.drives[drive])
        cluster.wait_healthy()


def _note(rounds: report.Rounds, cluster: str, name: str, measured: Measured) -> None:
    value = measured.per_s if report.unit_of(name) == "/s" else measured.mib_per_s
    rounds.add(cluster, name, value)
    rounds.add_latency(cluster, name, measured.p50_ms, measured.p99_ms)


if __name__ == "__main__":
    main()

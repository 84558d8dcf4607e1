"""`python -m bench.heal`: a drive is replaced by an empty one; how soon is all redundant again?

Two servers with two drives each are filled, and the PUTs are the measure of the machine. Then a
drive is taken away and an empty directory put in its place, twice: once while clients read and
write at a modest constant rate, which also waited for answers before, and once while nobody asks
for anything. `docs/performance.md` explains the figures.
"""

import argparse
import asyncio
import os
import re
import signal
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench import probes
from bench.__main__ import BUCKET, CORES, access_of
from bench.foreground import Foreground, Waited
from bench.heal_report import Healing, Result, describe_probes, table, write_json
from bench.traffic import Access, burst, check
from tests.e2e import faults
from tests.e2e.running import Cluster

MIB = 1024 * 1024
LARGE_BYTES = 64 * MIB
SMALL_BYTES = 4096
HEALED_S = 3600.0
NOTICED_S = 30.0
POLL_S = 0.25
_WALKED = re.compile(r"walk finished .*keys=(\d+) shard_bytes=(\d+) .*seconds=([\d.]+)")
REPLACED = (3, 1)  # one drive of each server; with clients, and without


@dataclass(frozen=True)
class Filling:
    """What a cluster is filled with, and what clients move meanwhile."""

    name: str
    objects: int
    object_bytes: int
    concurrency: int
    puts_after: int  # at most: how fast it puts is measured again in the end
    client_bytes: int
    clients_per_s: float  # GETs, and as many PUTs


def main() -> None:
    """Run it as the command line says."""
    signal.signal(signal.SIGTERM, _end)
    options = _options()
    data = memoryview(os.urandom(LARGE_BYTES))
    results: list[Result] = []
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="bench-heal-") as directory:
        measured = {
            "MD5, one core": probes.md5_mib_per_s(data),
            "durable write": probes.durable_mib_per_s(Path(directory), 4 * len(data)),
            "durable write, 4 KiB, fdatasync": probes.durable_small_per_s(Path(directory)),
        }
        for parity in options.parity:
            for filling in _fillings(options):
                with tempfile.TemporaryDirectory(dir=directory) as root:
                    result = _measure(Path(root), filling, parity, data, options)
                results.append(result)
                print(table([result]), flush=True)
    print(describe_probes(measured))
    print(table(results))
    if options.json:
        write_json(options.json, results, measured)


def _end(*_: object) -> None:
    raise SystemExit(1)  # so that everything is ended and removed on the way out


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.heal", description=__doc__)
    parser.add_argument("--small", type=int, default=4000, help="how many objects of 4 KiB")
    parser.add_argument("--large-gib", type=float, default=1.0, help="GiB of objects of 64 MiB")
    parser.add_argument(
        "--parity", type=int, nargs="+", default=[2], choices=(1, 2), help="EC:m of 4 drives"
    )
    parser.add_argument(
        "--small-per-s", type=float, default=25.0, help="GETs, and PUTs, of 4 KiB a second"
    )
    parser.add_argument(
        "--large-per-s", type=float, default=5.0, help="GETs, and PUTs, of 1 MiB a second"
    )
    parser.add_argument("--before-s", type=float, default=10.0, help="clients before the loss")
    parser.add_argument("--directory", type=Path, help="where the drives lie (default: /tmp)")
    parser.add_argument("--json", type=Path, help="write every figure here")
    return parser.parse_args()


def _fillings(options: argparse.Namespace) -> list[Filling]:
    large = round(options.large_gib * 1024 * MIB / LARGE_BYTES)
    found = [
        Filling("4 KiB", options.small, SMALL_BYTES, 32, 4000, SMALL_BYTES, options.small_per_s),
        Filling("64 MiB", large, LARGE_BYTES, 4, 16, MIB, options.large_per_s),
    ]
    return [filling for filling in found if filling.objects]


def _measure(
    root: Path, filling: Filling, parity: int, data: memoryview, options: argparse.Namespace
) -> Result:
    workers = max(1, CORES // 2)
    with Cluster.running(root, parity=parity, workers=workers, buckets=(BUCKET,)) as cluster:
        access = access_of(cluster)
        body = data[: filling.object_bytes]
        paths = [f"/{BUCKET}/{number % 1000:03}/{number}" for number in range(filling.objects)]
        put_before = _put(access, filling, paths, body)
        cluster.wait_healthy()
        before, with_clients = asyncio.run(
            _heal_with_clients(cluster, filling, data, options.before_s)
        )
        alone = _heal(cluster, REPLACED[1])
        asyncio.run(check(access, [*paths[:2], *paths[-2:]], body))
        again = [f"{path}-again" for path in paths[: filling.puts_after]]
        put_after = _put(access, filling, again, body)
    return Result(
        name=filling.name,
        parity=parity,
        objects=filling.objects,
        object_bytes=filling.object_bytes,
        puts_per_s=(put_before, put_after),
        alone=alone,
        with_clients=with_clients,
        before=before,
    )


def _put(access: Access, filling: Filling, paths: Sequence[str], body: memoryview) -> float:
    """Put objects and return how many were put per second."""
    heads = access.requests("PUT", paths, filling.object_bytes)
    return asyncio.run(burst(access, heads, concurrency=filling.concurrency, body=body)).per_s


async def _heal_with_clients(
    cluster: Cluster, filling: Filling, data: memoryview, before_s: float
) -> tuple[dict[str, Waited], Healing]:
    """Let clients work for a while, then again while a drive is rebuilt."""
    clients = Foreground(
        [access_of(cluster, server) for server in cluster.servers],
        BUCKET,
        data[: filling.client_bytes],
        per_s=filling.clients_per_s,
    )
    await clients.prepare()
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.call_later(before_s, over.set)
    before = await clients.run(over)
    begun, over = asyncio.Event(), asyncio.Event()

    def tell(event: asyncio.Event) -> None:
        loop.call_soon_threadsafe(event.set)

    healing = asyncio.create_task(
        asyncio.to_thread(
            _heal, cluster, REPLACED[0], begun=partial(tell, begun), over=partial(tell, over)
        )
    )
    await begun.wait()
    waited = await clients.run(over)
    return before, replace(await healing, waited=waited)


def _heal(
    cluster: Cluster,
    drive: int,
    *,
    begun: Callable[[], object] = bool,
    over: Callable[[], object] = bool,
) -> Healing:
    """Replace a drive by an empty one and wait until nothing is left to heal."""
    path = cluster.drives[drive]
    try:
        faults.replace_by_empty(path)
        began = time.perf_counter()
        _wait(lambda: "walk started" in _said(cluster, path), NOTICED_S)
        begun()
        _wait(lambda: "failed=0" in _said(cluster, path), HEALED_S)
        _wait(cluster.is_healthy, HEALED_S)
        redundant_s = time.perf_counter() - began
    finally:
        begun()
        over()
    walks = _WALKED.findall(_said(cluster, path))
    return Healing(
        redundant_s=redundant_s,
        walk_s=sum(float(seconds) for *_, seconds in walks),
        objects=max(int(keys) for keys, *_ in walks),
        shard_bytes=sum(int(written) for _, written, _ in walks),
    )


def _said(cluster: Cluster, drive: Path) -> str:
    """Return what servers logged of a drive's rebuild; each is rebuilt once."""
    lines = cluster.logs().splitlines()
    return "\n".join(line for line in lines if f"drive={drive} job=rebuild" in line)


def _wait(condition: Callable[[], bool], timeout_s: float) -> None:
    deadline = time.perf_counter() + timeout_s
    while not condition():
        if time.perf_counter() > deadline:
            raise RuntimeError(f"waited {timeout_s:g} s in vain for the rebuild")
        time.sleep(POLL_S)


if __name__ == "__main__":
    main()

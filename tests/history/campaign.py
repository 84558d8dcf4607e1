"""A campaign: real servers, concurrent clients, nemeses, and a verdict about the history."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from rich.console import Console

from objstore.cli.chaos.faults import Injector
from objstore.cli.chaos.links import PEER_HOST
from objstore.cli.chaos.run import started
from objstore.cli.demos.stage import Stage, draw_secrets, opened
from objstore.cli.local_layout import uniform_layout
from tests.e2e.running import free_ports
from tests.history.bad_links import BadLinks
from tests.history.checker import Violation, check
from tests.history.events import Event, Mishap, told
from tests.history.nemeses import NEMESES, JumpingCluster, Nemeses
from tests.history.recording import BUCKET, Recorder

CLIENTS = 6
SERVERS = 2
HISTORY_FILE = "history.txt"  # all that was asked and done, in the campaign's directory
WHOLE_S = 120.0
# Refusals, and requests that a killed server left without an answer. Nothing else is an answer.
EXPECTED_CODES = ("0 ", "404 NoSuchKey", "409 ConditionalRequestConflict", "412 ", "503 SlowDown")


@dataclass(frozen=True)
class Verdict:
    """What a campaign came to."""

    seed: int
    events: tuple[Event, ...]
    mishaps: tuple[Mishap, ...]
    codes: Counter[str]
    nemeses: Counter[str]
    whole: bool
    reads_in_the_end: int
    violation: Violation | None

    @property
    def strange(self) -> list[str]:
        """Answers that no fault excuses."""
        return [
            code for code in self.codes if code[0].isdigit() and not code.startswith(EXPECTED_CODES)
        ]

    def __str__(self) -> str:
        keys = len({event.key for event in self.events})
        lines = [
            f"seed {self.seed}: {len(self.events)} operations on {keys} keys",
            f"reads in the end: {self.reads_in_the_end}",
            "answers: " + ", ".join(f"{n} {code}" for code, n in sorted(self.codes.items())),
            "nemeses: " + ", ".join(f"{n} {name}" for name, n in sorted(self.nemeses.items())),
        ]
        if not self.whole:
            lines.append(f"not whole after {WHOLE_S:.0f} s")
        if self.strange:
            lines.append(f"strange answers: {', '.join(self.strange)}")
        if self.violation is None:
            return "\n".join([*lines, "the history is possible"])
        return "\n".join([*lines, str(self.violation), "with what went wrong meanwhile:", self.why])

    @property
    def why(self) -> str:
        """What the violation speaks of, and what the nemeses did meanwhile."""
        assert self.violation is not None
        return told(self.violation.excerpt, self.mishaps)

    @property
    def good(self) -> bool:
        keys = len({event.key for event in self.events})
        every = self.reads_in_the_end == keys * SERVERS
        return self.violation is None and self.whole and every and not self.strange


async def run(
    directory: Path,
    *,
    seed: int,
    duration_s: float,
    parity: int = 2,
    names: tuple[str, ...] = NEMESES,
) -> Verdict:
    """Run a campaign in an empty directory, with the nemeses of these names."""
    links = BadLinks(Random(seed))
    async with _cluster(directory, parity, links) as (cluster, injector, stage):
        recorder = Recorder(stage.clients, stage.clock.monotonic_s())
        nemeses = Nemeses(cluster, injector, links, stage, Random(seed), recorder.zero_s, names)
        assert await nemeses.is_whole_within(WHOLE_S), "the cluster does not start"
        await stage.clients[0].call("PUT", f"/{BUCKET}")
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(recorder.work(f"client {number}", seed + number, stop))
            try:
                await nemeses.rage(duration_s)
            finally:
                stop.set()
        whole = await nemeses.is_whole_within(WHOLE_S)
        reads = await recorder.read_all()
    events, mishaps = tuple(recorder.events), tuple(nemeses.mishaps)
    (directory / HISTORY_FILE).write_text(told(events, mishaps))
    return Verdict(seed, events, mishaps, recorder.codes, nemeses.made, whole, reads, check(events))


@contextlib.asynccontextmanager
async def _cluster(
    directory: Path, parity: int, links: BadLinks
) -> AsyncIterator[tuple[JumpingCluster, Injector, Stage]]:
    local = uniform_layout(
        directory,
        servers=SERVERS,
        drives=2,
        parity=parity,
        base_port=free_ports(SERVERS),
        peer_host=PEER_HOST,
    )
    cluster = JumpingCluster(
        directory, local, draw_secrets(), environment={"TMPDIR": str(directory)}
    )
    async with links.running(local), opened(cluster, Console(quiet=True)) as stage:
        injector = Injector(cluster, links, stage.clock)
        async with started(cluster, injector):
            yield cluster, injector, stage

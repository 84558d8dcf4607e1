"""What every demonstration stands on: a cluster of its own, a narrator, and verified objects."""

import asyncio
import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import quote

import aiohttp
import msgspec
from rich.console import Console

from objstore.cli.demos.client import DemoClient, S3Refusal, ask_once
from objstore.cli.local_cluster import LocalCluster, free_base_port
from objstore.cli.local_layout import LocalLayout
from objstore.cli.trust import client_context
from objstore.clock import Clock, Entropy, SystemClock, SystemEntropy
from objstore.config import Secrets
from objstore.gateway.ports import ADMIN_PREFIX, ClusterInfo, DriveInfo, LocationDocument

BUCKET: Final = "demo"
_POLL_S: Final = 0.1
_WHOLE_S: Final = 60.0
# Every path an object can take: empty, inside the record, one stripe, many, unaligned.
SIZES: Final = (0, 1, 5_000, 49_104, 49_105, 300_000, 1 << 20, (1 << 20) + 1, 5_000_000)


class PromiseBroken(Exception):
    """What the layout promises did not happen."""


@dataclass(slots=True)
class Stage:
    """A running cluster, and every object that was acknowledged, by its sha256."""

    cluster: LocalCluster
    clients: tuple[DemoClient, ...]
    console: Console
    clock: Clock
    entropy: Entropy
    expected: dict[str, str] = field(default_factory=dict)
    changing: set[str] = field(default_factory=set)  # keys with a write in flight
    _step: int = 0

    # --- narrating -------------------------------------------------------------------

    def step(self, text: str) -> None:
        """Begin a numbered step."""
        self._step += 1
        self.console.print(f"\n[bold]{self._step}. {text}[/bold]")

    def say(self, text: str) -> None:
        """Say what happens."""
        self.console.print(f"   {text}")

    def promise(self, text: str, *, kept: bool, found: str = "") -> None:
        """Say whether a promise was kept; one that was not ends the demonstration."""
        mark = "[green]ok[/green]" if kept else "[red]BROKEN[/red]"
        self.console.print(f"   {mark}  {text}{': ' + found if found else ''}")
        if not kept:
            raise PromiseBroken(f"{text}: {found}" if found else text)

    # --- objects ---------------------------------------------------------------------

    async def put(self, key: str, size: int, *, server: int = 1) -> None:
        """Store random bytes and remember their sha256 once they are acknowledged."""
        data = self.entropy.draw(size)
        await self.clients[server - 1].put(BUCKET, key, data)
        self.expected[key] = hashlib.sha256(data).hexdigest()

    async def put_samples(self, prefix: str) -> None:
        """Store an object of each size."""
        for number, size in enumerate(SIZES):
            server = 1 + number % len(self.clients)
            await self.put(f"{prefix}/{size:08d} bytes", size, server=server)

    async def is_intact(self, key: str, *, server: int = 1) -> bool:
        """Read an object and compare its sha256; again, when the load wrote it meanwhile."""
        while True:
            if key in self.changing:
                await asyncio.sleep(_POLL_S / 10)
                continue
            before = self.expected.get(key)
            data = await self.clients[server - 1].get(BUCKET, key)
            if key not in self.changing and self.expected.get(key) == before:
                return before is None or hashlib.sha256(data).hexdigest() == before

    async def verify_all(self, what: str, *, servers: tuple[int, ...] | None = None) -> None:
        """Promise that every acknowledged object comes back byte for byte from each server."""
        count = 0
        for server in servers or tuple(self.cluster.servers):
            for key in sorted(self.expected):
                try:
                    intact = await self.is_intact(key, server=server)
                except S3Refusal as refusal:
                    self.promise(what, kept=False, found=f"{key} from server {server}: {refusal}")
                    continue
                if not intact:
                    self.promise(what, kept=False, found=f"{key} from server {server}: wrong bytes")
                count += 1
        self.promise(what, kept=True, found=f"{count} reads, every sha256 right")

    async def expect_refusal(self, what: str, code: str, *, write: bool, within_s: float) -> None:
        """Promise that a request is refused with `code`, and fast."""
        started_s = self.clock.monotonic_s()
        key = max(self.expected, key=len)
        try:
            if write:
                await self.clients[0].put(BUCKET, "refused", self.entropy.draw(100_000))
            else:
                await self.clients[0].get(BUCKET, key)
        except S3Refusal as refusal:
            took = self.clock.monotonic_s() - started_s
            kept = (refusal.status, refusal.code) == (503, code) and took <= within_s
            self.promise(what, kept=kept, found=f"{refusal} after {took:.2f} s")
            return
        self.promise(what, kept=False, found="it was answered")

    # --- the cluster -----------------------------------------------------------------

    async def info(self, *, server: int = 1) -> ClusterInfo:
        """What `objstore admin info` shows."""
        document = await self.clients[server - 1].call("GET", f"{ADMIN_PREFIX}info")
        return msgspec.json.decode(document, type=ClusterInfo)

    async def locate(self, key: str) -> LocationDocument:
        """What `objstore admin locate` shows."""
        query = f"bucket={BUCKET}&key={quote(key, safe='')}"
        document = await self.clients[0].call("GET", f"{ADMIN_PREFIX}locate?{query}")
        return msgspec.json.decode(document, type=LocationDocument)

    async def drive(self, path: Path) -> DriveInfo | None:
        """One drive, as the cluster sees it."""
        info = await self.info()
        return next((drive for drive in info.drives if drive.path == str(path)), None)

    async def wait_drive(
        self, what: str, path: Path, met: Callable[[DriveInfo], bool], *, within_s: float
    ) -> None:
        """Promise that a drive comes to be seen in some state, in time."""
        started_s = self.clock.monotonic_s()
        seen = None
        while (took := self.clock.monotonic_s() - started_s) < within_s:
            with contextlib.suppress(S3Refusal):
                seen = await self.drive(path)
                if seen is not None and met(seen):
                    self.promise(what, kept=True, found=f"after {took:.1f} s")
                    return
            await asyncio.sleep(_POLL_S)
        self.promise(what, kept=False, found=f"after {took:.1f} s it is seen as {seen}")

    async def left_to_heal(self) -> list[str]:
        """Name every drive that is not online, trusted and without anything left to heal.

        Raises:
            S3Refusal: a server does not tell.
        """
        return [
            f"{drive.path} {drive.state}"
            for server in self.cluster.servers
            for drive in (await self.info(server=server)).drives
            if drive.state != "online" or not drive.trusted or drive.missed
        ]

    async def wait_whole(self, what: str, *, within_s: float = _WHOLE_S) -> None:
        """Promise that every drive is online, trusted and has nothing left to heal."""
        started_s = self.clock.monotonic_s()
        left: list[str] = []
        while (took := self.clock.monotonic_s() - started_s) < within_s:
            with contextlib.suppress(S3Refusal):
                left = await self.left_to_heal()
                if not left:
                    self.promise(what, kept=True, found=f"after {took:.1f} s")
                    return
            await asyncio.sleep(_POLL_S)
        self.promise(what, kept=False, found=f"after {took:.1f} s: {', '.join(left)}")

    async def wait_ready(self) -> None:
        """Wait until every server says that the cluster can be written."""
        for server in self.cluster.servers:
            deadline_s = self.clock.monotonic_s() + 60
            while not self.cluster.is_ready(server):
                if self.clock.monotonic_s() > deadline_s:
                    raise PromiseBroken(f"server {server} is not ready after 60 s")
                await asyncio.sleep(_POLL_S)


@contextlib.asynccontextmanager
async def set_stage(
    console: Console, layout: Callable[[Path, int], LocalLayout]
) -> AsyncIterator[Stage]:
    """Start a cluster in a temporary directory; stop it and remove all of it at the end.

    `layout` is given the directory and the first port.
    """
    directory = Path(tempfile.mkdtemp(prefix="objstore-demo-"))
    try:
        local = layout(directory, free_base_port(4))
        with LocalCluster(directory, local, draw_secrets()) as cluster:
            cluster.wait_ready()
            async with opened(cluster, console) as stage:
                await stage.clients[0].call("PUT", f"/{BUCKET}")
                try:
                    yield stage
                except (PromiseBroken, S3Refusal):
                    _show_logs(console, cluster)  # they go away with the directory
                    raise
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def draw_secrets() -> Secrets:
    """Return secrets that nobody knows, for a cluster that is gone soon."""
    entropy = SystemEntropy()
    return Secrets(
        root_user=entropy.draw(8).hex(),
        root_password=entropy.draw(16).hex(),
        cluster_secret=entropy.draw(32).hex(),
    )


@contextlib.asynccontextmanager
async def opened(cluster: LocalCluster, console: Console) -> AsyncIterator[Stage]:
    """Give a stage on a cluster, which need not run yet, and has no bucket."""
    clock = SystemClock()
    connector = aiohttp.TCPConnector(ssl=client_context(cluster.ca_file))
    async with aiohttp.ClientSession(connector=connector, middlewares=(ask_once,)) as http:
        clients = tuple(
            DemoClient(http, endpoint, cluster.credentials, clock) for endpoint in cluster.endpoints
        )
        yield Stage(cluster, clients, console, clock, SystemEntropy())


def _show_logs(console: Console, cluster: LocalCluster) -> None:
    for server in cluster.servers:
        console.print(f"\nThe log of server {server} ends:", style="bold")
        console.print(cluster.log_tail(server), markup=False, highlight=False)

"""Making a planned fault, and taking it back, without stopping the event loop."""

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from objstore.cli.chaos.links import Links
from objstore.cli.chaos.plan import Fault, How
from objstore.cli.demos.bitrot import flip_in_shard
from objstore.cli.local_cluster import STOP_S, LocalCluster
from objstore.clock import Clock

_POLL_S: Final = 0.05
_ROTTED_FILES_MAX: Final = 32


class FaultFailed(Exception):
    """A fault could not be made, or not be taken back."""


@dataclass(slots=True)
class Injector:
    """Hurts one cluster."""

    cluster: LocalCluster
    links: Links
    clock: Clock
    _taken: set[Path] = field(default_factory=set)  # drives that were moved away for good

    async def begin(self, fault: Fault) -> str:
        """Make a fault; return what is to be said of it.

        Raises:
            FaultFailed: a server that was told to stop does not.
        """
        match fault.how:
            case How.REPLACED | How.RETURNED:
                path = self._drive(fault)
                path.rename(_away(path))
            case How.KILLED:
                self.cluster.kill_server(fault.server)
            case How.PAUSED:
                self.cluster.pause_server(fault.server)
            case How.RESTARTED:
                await self.stop(fault.server)
            case How.ROTTED:
                count = _rot(self._drive(fault), fault.seed)
                return f"one byte in each of {count} shard files"
            case How.CUT:
                self.links.cut(fault.server, fault.other)
            case How.UNHEARD:
                self.links.cut(fault.server)
        return ""

    async def end(self, fault: Fault) -> None:
        """Take a fault back; what it damaged is then the cluster's to heal."""
        match fault.how:
            case How.REPLACED:
                path = self._drive(fault)
                self._taken.add(_away(path))
                path.mkdir()
            case How.RETURNED:
                path = self._drive(fault)
                _away(path).rename(path)
            case How.KILLED | How.RESTARTED:
                self.cluster.start_server(fault.server)
            case How.PAUSED:
                self.cluster.resume_server(fault.server)
            case How.CUT | How.UNHEARD:
                self.links.join()
            case How.ROTTED:
                pass

    def discard_taken(self) -> None:
        """Remove the drives that were replaced; nothing uses them once the cluster is whole."""
        while self._taken:
            shutil.rmtree(self._taken.pop(), ignore_errors=True)

    async def stop(self, server: int) -> None:
        """Stop a server in order, while everything else goes on."""
        self.cluster.ask_to_stop(server)
        if not await self._within(STOP_S, lambda: not self.cluster.is_running(server)):
            raise FaultFailed(f"server {server} did not stop within {STOP_S:.0f} s")
        self.cluster.stop_server(server)  # it has ended: this closes what is left of it

    async def _within(self, timeout_s: float, condition: Callable[[], bool]) -> bool:
        deadline_s = self.clock.monotonic_s() + timeout_s
        while not condition():
            if self.clock.monotonic_s() > deadline_s:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def _drive(self, fault: Fault) -> Path:
        return self.cluster.drive_path(fault.server, fault.drive)


def _away(path: Path) -> Path:
    return path.with_name(f"{path.name}.pulled")


def _rot(drive: Path, seed: int) -> int:
    """Flip a byte in some shard files; those that are deleted meanwhile do not count.

    What the kernel has cached is what a reader gets, so the flip is seen at once; a server that
    reads past the cache makes the kernel write it first.
    """
    random = Random(seed)  # noqa: S311  to be repeated, not to be secret
    files = sorted((drive / "shards").rglob("*.*"))
    count = 0
    for file in random.sample(files, min(len(files), _ROTTED_FILES_MAX)):
        try:
            flip_in_shard(file, random.randrange(1 << 30))
        except FileNotFoundError:
            continue
        count += 1
    return count

"""This server's drives as directories: what lies in them, and formatting those that are empty.

Looking at a disk and formatting it block, so they run on a thread; a disk that hangs then holds
up nothing but the question about it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from objstore.clock import Clock, Entropy
from objstore.drive.cluster_map import next_map, read_map, write_map
from objstore.drive.format import (
    Expected,
    Found,
    Inspection,
    Verdict,
    check_distinct,
    check_identity,
    format_drive,
    inspect,
    judge,
)
from objstore.drive.journal_aside import set_journal_aside
from objstore.drive.posix import read_damage
from objstore.errors import ConfigError
from objstore.names import DriveId
from objstore.ondisk.drive_identity import ClusterDrive, ClusterMap, DriveIdentity

T = TypeVar("T")
_DRIVE_ID_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Berth:
    """The place of one drive of this server in the layout."""

    path: Path
    pool: int
    set: int
    slots: tuple[int, ...]
    endpoint: str  # as configured, for people
    shape: str  # fingerprint of its pool's layout, endpoints left out

    def check(self, identity: DriveIdentity, deployment: str) -> None:
        """Check that a drive belongs here; `deployment` is "" while it is not known.

        Raises:
            ConfigError: it does not: it says what was found, expected, and what to do.
        """
        expected = Expected(self.pool, self.set, self.slots, deployment)
        if not deployment or identity.deployment == deployment:
            self._check_shape(identity)
        check_identity(identity, expected, path=self.path)

    def _check_shape(self, identity: DriveIdentity) -> None:
        if identity.layout != self.shape:
            raise ConfigError(
                found=f"{self.path} was formatted for pool {identity.pool} with another parity or "
                f"other sets (layout {identity.layout}, now {self.shape})",
                expected="the parity, the set size and the number of drives that the pool was "
                "formatted with: they decide where every object is",
                remedy="start with the endpoints and the parity as they were; to grow, "
                "add a pool and leave the old ones as they are",
            )


class DriveBay:
    """All drives of this server."""

    def __init__(self, berths: Sequence[Berth], *, clock: Clock, entropy: Entropy) -> None:
        self._berths = tuple(berths)
        self._clock = clock
        self._entropy = entropy
        self._map: ClusterMap | None = None

    async def inspect(self) -> str:
        """Return the deployment the drives belong to, "" when none is formatted.

        A missing or unreadable directory says nothing: its drive is away.

        Raises:
            ConfigError: a drive is foreign, swapped, there twice, half-formatted, damaged, or of
                another deployment than the others; or one that was in use is left out.
        """
        return await _on_thread(self._inspect)

    def _inspect(self) -> str:
        found: dict[Path, DriveIdentity] = {}
        for berth in self._berths:
            seen = inspect(berth.path)
            if seen.found is Found.UNREADABLE:
                continue
            verdict = judge(seen, Expected(berth.pool, berth.set, berth.slots))
            if verdict is Verdict.READY and seen.identity is not None:
                berth.check(seen.identity, "")
                found[berth.path] = seen.identity
        check_distinct(found)
        deployments = {identity.deployment for identity in found.values()}
        if len(deployments) > 1:
            raise ConfigError(
                found="drives of different deployments: "
                + ", ".join(f"{path} of {one.deployment}" for path, one in found.items()),
                expected="drives of one deployment",
                remedy="find out which holds your data, and put the drives back where they were; "
                "or empty those whose data may go",
            )
        deployment = deployments.pop() if deployments else ""
        self._check_none_left_out(deployment)
        return deployment

    def _check_none_left_out(self, deployment: str) -> None:
        """Refuse a layout without a drive that was in use here: its objects would seem deleted."""
        known = read_map([berth.path for berth in self._berths], deployment)
        places = {(berth.pool, berth.set, berth.slots) for berth in self._berths}
        left_out = [
            drive
            for drive in (known.drives if known is not None else ())
            if (drive.pool, drive.set, drive.slots) not in places
        ]
        if left_out:
            pools = ", ".join(sorted({str(drive.pool) for drive in left_out}))
            names = ", ".join(drive.endpoint for drive in left_out)
            raise ConfigError(
                found=f"a layout without drives that were in use on this server: {names} (of pool "
                f"{pools}, counted from 0)",
                expected="every pool that was ever in use, in the same order: it has objects that "
                "are nowhere else",
                remedy="put the pool back into the configuration; a pool cannot be taken away yet",
            )

    async def format_empty(self, deployment: str, *, trusted: bool) -> int:
        """Format the drives that are empty for `deployment`; return how many there were.

        On a first start (`trusted`) directories that do not exist are made.

        Raises:
            ConfigError, DriveError: as drive/format.py.
        """
        return await _on_thread(lambda: self._format_empty(deployment, trusted=trusted))

    def _format_empty(self, deployment: str, *, trusted: bool) -> int:
        self._map = read_map([berth.path for berth in self._berths], deployment)
        formatted = 0
        for berth in self._berths:
            seen = inspect(berth.path)
            if trusted and seen.found is Found.MISSING:
                _make_directory(berth.path)
                seen = inspect(berth.path)
            if seen.found is Found.EMPTY and self._judge(seen, berth, deployment) is Verdict.EMPTY:
                self._format(berth, deployment, trusted=trusted)
                formatted += 1
        self._remember(deployment)
        return formatted

    def _judge(self, seen: Inspection, berth: Berth, deployment: str) -> Verdict:
        """Judge what was seen, knowing what the map says of the place."""
        known = self._map.drive_at(berth.pool, berth.set, berth.slots[0]) if self._map else None
        was_mounted = known is not None and known.mount_point
        expected = Expected(berth.pool, berth.set, berth.slots, deployment, mount_point=was_mounted)
        return judge(seen, expected)

    def _remember(self, deployment: str) -> None:
        """Bring the map up to date with the drives that are there, on all of them."""
        there: dict[Path, ClusterDrive] = {}
        for berth in self._berths:
            seen = inspect(berth.path)
            if seen.identity is not None and seen.identity.deployment == deployment:
                there[berth.path] = ClusterDrive(
                    pool=berth.pool,
                    set=berth.set,
                    slots=berth.slots,
                    endpoint=berth.endpoint,
                    drive=seen.identity.drive,
                    mount_point=seen.mount_point,
                )
        if there:
            self._map = next_map(
                self._map,
                tuple(there.values()),
                deployment=deployment,
                layout=self._berths[0].shape,
            )
            write_map(tuple(there), self._map)

    async def replace(self, berth: Berth, deployment: str) -> str:
        """Format `berth` if an empty directory is there; return what was found, in words.

        Raises:
            ConfigError: something is there that is neither this drive nor empty.
            DriveError: the disk failed.
        """
        return await _on_thread(lambda: self._replace(berth, deployment))

    def _replace(self, berth: Berth, deployment: str) -> str:
        seen = inspect(berth.path)
        if seen.found is Found.UNREADABLE:
            return seen.problem
        verdict = self._judge(seen, berth, deployment)
        if verdict is Verdict.EMPTY:
            self._format(berth, deployment, trusted=False)
            self._remember(deployment)
            return "an empty drive, which takes its place"
        words: str = verdict.value
        return words

    async def damage(self, berth: Berth) -> str:
        """Return why the journal of a drive is to be made anew, or ""."""
        return await _on_thread(lambda: read_damage(berth.path))

    async def restore_journal(self, berth: Berth, deployment: str) -> str:
        """Set the journal of a drive aside if it is damaged; return where it lies now, or "".

        Raises:
            ConfigError: it is not the drive that belongs there.
            DriveError: the disk failed, or somebody holds the journal.
        """
        return await _on_thread(lambda: self._restore_journal(berth, deployment))

    def _restore_journal(self, berth: Berth, deployment: str) -> str:
        seen = inspect(berth.path)
        damaged = seen.found is Found.FORMATTED and read_damage(berth.path)
        if not damaged or self._judge(seen, berth, deployment) is not Verdict.READY:
            return ""
        return str(set_journal_aside(berth.path, now_ms=self._clock.now_ns() // 1_000_000))

    def _format(self, berth: Berth, deployment: str, *, trusted: bool) -> None:
        identity = DriveIdentity(
            deployment=deployment,
            drive=DriveId(self._entropy.draw(_DRIVE_ID_BYTES).hex()),
            pool=berth.pool,
            set=berth.set,
            slots=berth.slots,
            endpoint=berth.endpoint,
            layout=berth.shape,
            created_ms=self._clock.now_ns() // 1_000_000,
        )
        format_drive(berth.path, identity, trusted=trusted)


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(
            found=f"{path}, which cannot be made: {error.strerror}",
            expected="a directory for a drive",
            remedy="make it, and give it to the user that objstore runs as",
        ) from error


async def _on_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(None, work)

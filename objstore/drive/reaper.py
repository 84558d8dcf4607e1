"""Remove what nothing names any more from a local drive: the trash, and orphans.

An orphan is a shard file that no record and no uploaded part names: its upload was never
committed, or a crash came between a commit and the move to the trash. docs/format/journal.md
says how one is recognised, and why a damaged journal cannot make one of a file that counts.

The background process runs `run_drive_reaper` for each of its drives.
"""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Final

from objstore.clock import Clock
from objstore.drive.local import LocalDrive
from objstore.drive.ops import DiscardShards, ReadKey, ReadStatus, ReadUpload
from objstore.drive.shard_files import ShardFiles
from objstore.errors import DriveError, RecordUnknown, ShardCorrupt
from objstore.limits import (
    DRIVE_PROBE_INTERVAL_S,
    ORPHAN_AGE_S,
    ORPHAN_PASS_S,
    ORPHANS_REMEMBERED_MAX,
    TRASH_AGE_S,
    TRASH_INTERVAL_S,
)
from objstore.ondisk.paths import (
    SHARD_DIRS,
    SHARDS_DIR,
    TRASH_DIR,
    ShardName,
    is_repair_path,
    parse_shard_path,
    parse_trash_path,
)
from objstore.ondisk.record import decode_part, decode_record
from objstore.ondisk.shard_file import HEADER_BYTES, ShardHeader, decode_header

_VERSIONS_ASKED: Final = 1000
_PRESSED: Final = 10  # with less than a tenth of the drive free, the trash goes at once


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a look at one directory of shards gave."""

    files: int = 0
    removed: int = 0
    kept: int = 0  # unnamed and old, and yet not certainly nobody's


async def run_drive_reaper(drive: LocalDrive, clock: Clock) -> None:
    """Empty the trash and remove orphans, until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_empty_for_ever(drive, clock))
        group.create_task(_sweep_for_ever(drive, clock))


async def _empty_for_ever(drive: LocalDrive, clock: Clock) -> None:
    while True:
        with contextlib.suppress(DriveError):
            status = await drive.call(ReadStatus())
            pressed = status.free_bytes < status.total_bytes // _PRESSED
            await empty_trash(drive, clock, older_than_s=0 if pressed else TRASH_AGE_S)
        await asyncio.sleep(TRASH_INTERVAL_S)


async def _sweep_for_ever(drive: LocalDrive, clock: Clock) -> None:
    reaper = OrphanReaper(drive, clock)
    while True:
        for directory in SHARD_DIRS:
            await asyncio.sleep(ORPHAN_PASS_S / len(SHARD_DIRS))
            try:
                await reaper.sweep(directory)
            except DriveError:
                await asyncio.sleep(DRIVE_PROBE_INTERVAL_S)


async def empty_trash(drive: LocalDrive, clock: Clock, *, older_than_s: float) -> int:
    """Remove what has been in the trash for longer; return how many files that were.

    Raises:
        DriveError: the drive failed.
    """

    def empty(files: ShardFiles) -> int:
        newest_s = clock.now_ns() / 1e9 - older_than_s
        removed = 0
        for path, _, moved_s in files.names_in(TRASH_DIR):
            ours = parse_trash_path(path) is not None or is_repair_path(path)
            if ours and (older_than_s == 0 or moved_s < newest_s):
                files.remove_trash(path)
                removed += 1
        if older_than_s == 0:
            files.forget_open()
        return removed

    return await drive.run_io(empty)


class OrphanReaper:
    """Removes orphans, one directory of shards at a time.

    A file must be found unnamed and old in two sweeps of its directory: a wall clock that jumps
    ahead makes files look old that are being written.
    """

    def __init__(self, drive: LocalDrive, clock: Clock, *, age_s: float = ORPHAN_AGE_S) -> None:
        self._drive = drive
        self._clock = clock
        self._age_s = age_s
        self._seen: dict[str, frozenset[ShardName]] = {}

    async def sweep(self, directory: str) -> Sweep:
        """Look at `directory` (two hex digits).

        Raises:
            DriveError: the drive failed.
        """
        status = await self._drive.call(ReadStatus())
        if not status.trusted:
            return Sweep()  # its journal does not know what its shards are; a rebuild does
        path = f"{SHARDS_DIR}/{directory}"
        files = await self._drive.run_io(lambda files: files.names_in(path))
        oldest_s = self._clock.now_ns() / 1e9 - self._age_s
        old = [parse_shard_path(name) for name, written_s, _ in files if written_s < oldest_s]
        unnamed = [
            name for name in old if name is not None and not await self._drive.is_named(name)
        ]
        before = self._seen.get(directory, frozenset())
        self._seen[directory] = frozenset(unnamed[: ORPHANS_REMEMBERED_MAX // len(SHARD_DIRS)])
        removed = kept = 0
        for name in unnamed:
            if name in before and await self._is_nobodys(name):
                await self._drive.call(DiscardShards(((name.data_id, name.part, name.shard),)))
                removed += 1
            else:
                kept += 1
        return Sweep(len(files), removed, kept)

    async def _is_nobodys(self, name: ShardName) -> bool:
        """Ask the key that the file itself names, not only the index of names."""
        head = await self._drive.run_io(lambda files: files.begun(name))
        if len(head) < HEADER_BYTES or not any(head):
            return True  # what was committed was synced: this never was
        try:
            header = decode_header(head)
            return not await self._is_somebodys(name, header)
        except (ShardCorrupt, RecordUnknown):
            return False

    async def _is_somebodys(self, name: ShardName, header: ShardHeader) -> bool:
        state = await self._drive.call(ReadKey(header.bucket, header.key, _VERSIONS_ASKED))
        if state.unknown or not state.trusted or len(state.records) == _VERSIONS_ASKED:
            return True
        parts = [part for sealed in state.records for part in decode_record(sealed).version.parts]
        if header.upload_id:
            upload = await self._drive.call(ReadUpload(header.upload_id))
            parts += [decode_part(sealed).part for sealed in upload.parts]
        return any(part.data_id == name.data_id for part in parts)

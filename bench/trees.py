"""`python -m bench.trees`: what a drive's tree costs and gives. docs/performance.md has the tables.

    writes    commits a second of one drive, to be compared with another version of the program
    compare   bytes and time of comparing a drive with its set, against how much they have and how
              much they differ, and beside that the walk over all keys

The set is four drives (3 + 1) in this process, in directories, with the real engine above them.
Its objects are one object of 100 bytes, whose record every drive commits again and again under
other keys and stamps, in groups, as its writer does.
"""

import argparse
import asyncio
import itertools
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from bench.tree_set import TreeSet, tree_set
from objstore.clock import SystemClock
from objstore.drive.format import format_drive
from objstore.drive.journal_schema import open_journal
from objstore.drive.journal_writer import JournalWriter
from objstore.drive.local import LocalDrive
from objstore.drive.ops import Commit, CommitMode, Settle
from objstore.drive.posix import Root
from objstore.drive.shard_files import ShardFiles
from objstore.names import ObjectKey, Stamp
from objstore.ondisk.drive_identity import decode_identity
from objstore.ondisk.paths import DRIVE_JSON, JOURNAL_DB, JOURNAL_LOCK
from objstore.ondisk.record import Record, decode_record, encode_record, encode_version
from objstore.ondisk.tree import TreeHash
from objstore.testing.drive_values import BUCKET, commit, order, put_bucket, version
from objstore.testing.local_drives import accept, identity

GROUP = 256
DRIVES = 4
_STAMPS = itertools.count(1)


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["writes", "compare"])
    parser.add_argument("--directory", type=Path, default=None)
    parser.add_argument("--records", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--differences", type=int, nargs="*", default=[0, 10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--walk-max", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as directory:
        if options.what == "writes":
            asyncio.run(_writes(Path(directory), options.rounds))
            return
        print(
            "| records | differences | bytes to find them | calls | bytes with healing | seconds "
            "| the walk: bytes | seconds |"
        )
        print("|---|---|---|---|---|---|---|---|")
        for records in options.records:
            path = Path(directory) / str(records)
            path.mkdir()
            walk = records <= options.walk_max
            asyncio.run(_compare(path, records, options.differences, walk=walk))


# --- what writes cost ------------------------------------------------------------------------


async def _open(path: Path, number: int) -> LocalDrive:
    path.mkdir()
    format_drive(path, identity(drive=f"{number:x}", slots=(number,)), trusted=True)
    return await LocalDrive.open(path, check=accept, clock=SystemClock())


async def _writes(directory: Path, rounds: int) -> None:
    """Measure groups as they come from 64 writers at once, in order of keys and out of it."""
    drive = await _open(directory / "drive", 0)
    await drive.call(put_bucket())
    figures: dict[str, list[float]] = {"new keys": [], "overwritten": []}
    for number in range(rounds):
        keys = [f"{number}/{random.randrange(10**9)}" for _ in range(10_000)]
        for values in figures.values():
            started = time.perf_counter()
            await _write_all(drive, keys)
            values.append(len(keys) / (time.perf_counter() - started))
    await drive.close()
    for name, values in figures.items():
        print(f"{name}: {statistics.median(values):,.0f} commits and settles a second")


async def _write_all(drive: LocalDrive, keys: Sequence[str]) -> None:
    waiting = iter(keys)

    async def writer() -> None:
        for key in waiting:
            at = next(_STAMPS)
            await drive.call(commit(version(at, key=key)))
            await drive.call(Settle(BUCKET, ObjectKey(key), order(at)))

    async with asyncio.TaskGroup() as group:
        for _ in range(64):
            group.create_task(writer())


# --- what a comparison takes -------------------------------------------------------------------


class _Built:
    """A set whose drives hold the same objects but for what the first of them misses."""

    def __init__(self, the_set: TreeSet, records: int) -> None:
        self._set = the_set
        self._records = records
        self._at = 0
        self._mine: list[Record] = []

    async def build(self) -> float:
        """Make the objects; return how many seconds that took."""
        started = time.perf_counter()
        template = await self._set.put_one(b"x" * 100)
        self._at = int.from_bytes(template.stamp, "big") + 1
        self._mine = [await self._set.record_on(drive, template) for drive in range(DRIVES)]
        for drive in range(DRIVES):
            path = self._set.drives[drive].inner.path
            await asyncio.to_thread(_fill, path, self._mine[drive], self._records, self._at)
        self._at += self._records
        return time.perf_counter() - started

    async def miss(self, count: int) -> None:
        """Write some objects again on all drives but the first."""
        numbers = random.Random(self._at).sample(range(self._records), count)
        for drive in range(1, DRIVES):
            await self._write(drive, numbers)
        self._at += count

    async def _write(self, drive: int, numbers: Sequence[int]) -> None:
        record, inner = self._mine[drive], self._set.drives[drive].inner
        for first in range(0, len(numbers), GROUP):
            some = numbers[first : first + GROUP]
            async with asyncio.TaskGroup() as tasks:
                for at, number in enumerate(some, self._at + first):
                    sealed = _again(record, number, at)
                    tasks.create_task(inner.call(Commit(sealed, CommitMode.MERGE)))
                    name = (BUCKET, ObjectKey(_key(number)), decode_record(sealed).version.order)
                    tasks.create_task(inner.call(Settle(*name)))


def _fill(path: Path, record: Record, records: int, at: int) -> None:
    """Commit all objects to a drive as its writer does, beside the process that has it open."""
    root = Root(path)
    clock = SystemClock()
    tree = TreeHash(
        identity().deployment,
        decode_identity((path / DRIVE_JSON).read_bytes(), where=str(path)).drive,
    )
    files = ShardFiles(root, clock, direct=False)
    with (
        closing(open_journal(path / JOURNAL_DB, tree, cache_kib=4096, writes=True)) as connection,
        (path / JOURNAL_LOCK).open("r+b") as lock,
    ):
        writer = JournalWriter(connection, lock.fileno(), root, files, clock, tree)
        for first in range(0, records, GROUP):
            numbers = range(first, min(records, first + GROUP))
            sealed = (_again(record, number, at + number) for number in numbers)
            with writer.hold():
                outcomes = writer.apply([Commit(one, CommitMode.MERGE) for one in sealed])
            assert not any(isinstance(outcome, Exception) for outcome in outcomes)


def _key(number: int) -> str:
    return f"photos/{number % 100:02}/{number:08}.jpg"


def _again(record: Record, number: int, at: int) -> bytes:
    """Return the record of another object with the same content."""
    made = msgspec.structs.replace(
        record.version, key=ObjectKey(_key(number)), stamp=Stamp(at.to_bytes(16, "big"))
    )
    return encode_record(encode_version(made), record.held)


async def _compare(
    directory: Path, records: int, differences: Sequence[int], *, walk: bool
) -> None:
    drives = [await _open(directory / str(number), number) for number in range(DRIVES)]
    async with tree_set(drives) as the_set:
        built = _Built(the_set, records)
        print(f"<!-- {records:,} records on {DRIVES} drives: {await built.build():.0f} s -->")
        for count in differences:
            beside = ["", ""]
            if walk:
                await built.miss(count)
                exchanged, seconds = await the_set.walk(0)
                beside = [f"{exchanged:,}", f"{seconds:.2f}"]
            await built.miss(count)
            result, exchanged, seconds = await the_set.compare(0)
            assert (result.differences, result.failed) == (count, 0), result
            figures = [
                f"{records:,}",
                f"{count:,}",
                f"{result.read_bytes:,}",
                f"{result.calls:,}",
                f"{exchanged:,}",
                f"{seconds:.2f}",
                *beside,
            ]
            print(f"| {' | '.join(figures)} |", flush=True)
    for drive in drives:
        await drive.close()


if __name__ == "__main__":
    main()

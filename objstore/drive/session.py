"""One opened directory of a drive, and its threads.

Threads: one writer and one reader of the journal, some for shard files, and, once the scrub
has begun, one that checks the journal. None of them holds up another.
"""

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from objstore.clock import Clock
from objstore.drive.journal_check import JournalChecker
from objstore.drive.journal_log import damage_of_log
from objstore.drive.journal_reader import JournalReader
from objstore.drive.journal_schema import open_journal
from objstore.drive.journal_writer import JournalWriter, locked
from objstore.drive.lanes import Handler, Lane, Postbox
from objstore.drive.new_shard import aligned_buffer
from objstore.drive.ops import Op
from objstore.drive.posix import STILL_READS, Root, drive_error, journal_error, write_again
from objstore.drive.shard_files import ShardFiles
from objstore.errors import ConfigError, DriveError, DriveFaulty, RecordUnknown
from objstore.limits import GROUP_COMMIT_OPS_MAX, READ_GROUP_OPS_MAX
from objstore.ondisk.drive_identity import DriveIdentity
from objstore.ondisk.paths import JOURNAL_DB, JOURNAL_LOCK, JOURNAL_LOG
from objstore.ondisk.tree import TreeHash

IoJob = Callable[[memoryview], Any]
CheckJob = Callable[[JournalChecker], Any]

_WRITER_CACHE_KIB: Final = 4096
_READER_CACHE_KIB: Final = 8192
_CHECKER_CACHE_KIB: Final = 1024
_CLOSE_S: Final = 2.0
_STILL_READS: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY})


@dataclass(frozen=True, slots=True)
class Opened:
    """What the control thread hands over: an opened directory, without threads yet."""

    identity: DriveIdentity
    root: Root
    files: ShardFiles
    writer: JournalWriter
    reader: JournalReader
    tree: TreeHash

    def close(self) -> None:
        """Close the journal."""
        self.writer.close()
        self.reader.close()


class Session:
    """One opened directory and its threads."""

    def __init__(self, opened: Opened, postbox: Postbox, io_threads: int, clock: Clock) -> None:
        self.identity = opened.identity
        self.root = opened.root
        self.files = opened.files
        name = opened.root.path.name
        self.writes: Lane[Op[Any]] = Lane(
            f"{name}-write",
            lambda: opened.writer.apply,
            postbox,
            group_max=GROUP_COMMIT_OPS_MAX,
            hold=opened.writer.hold,
            end=opened.writer.close,
        )
        self.reads: Lane[Op[Any]] = Lane(
            f"{name}-read",
            lambda: opened.reader.answer,
            postbox,
            group_max=READ_GROUP_OPS_MAX,
            end=opened.reader.close,
        )
        self.io: Lane[IoJob] = Lane(f"{name}-io", _begin_io, postbox, threads=io_threads)
        self._clock = clock
        self._tree = opened.tree
        self._postbox = postbox
        self._checks: Lane[CheckJob] | None = None

    @property
    def checks(self) -> "Lane[CheckJob]":
        """A thread for the scrub, begun when it is first needed: most processes never do."""
        if self._checks is None:
            checker = _LateChecker(self.root, self._clock, self._tree)
            name = f"{self.root.path.name}-check"
            self._checks = Lane(name, lambda: checker.run, self._postbox, end=checker.close)
        return self._checks

    @property
    def _lanes(self) -> Sequence[Lane[Any]]:
        lanes: list[Lane[Any]] = [self.writes, self.reads, self.io]
        return lanes if self._checks is None else [*lanes, self._checks]

    def stop(self, reason: DriveError) -> None:
        """End the threads after what they do now; everything that waits fails with `reason`."""
        for lane in self._lanes:
            lane.stop(reason)
        self.files.close()

    @property
    def ending(self) -> bool:
        """Whether threads of it still run."""
        return not all(lane.ended for lane in self._lanes)

    def join(self) -> None:
        """Wait, not for ever, for the threads to end."""
        for lane in self._lanes:
            lane.join(_CLOSE_S)


class _LateChecker:
    """Runs checks of a journal, on a connection that is opened for the first of them."""

    def __init__(self, root: Root, clock: Clock, tree: TreeHash) -> None:
        self._root = root
        self._clock = clock
        self._tree = tree
        self._checker: JournalChecker | None = None

    def run(self, jobs: Sequence[CheckJob]) -> list[Any]:
        return [self._run(job) for job in jobs]

    def _run(self, job: CheckJob) -> object:
        try:
            self._root.check()
            if self._checker is None:
                self._checker = _open_checker(self._root, self._clock, self._tree)
            return job(self._checker)
        except DriveError as error:
            return error
        except sqlite3.Error as error:
            return journal_error(error, self._root)
        except OSError as error:
            return self._root.explain(error, JOURNAL_DB)

    def close(self) -> None:
        if self._checker is not None:
            self._checker.close()


def _open_checker(root: Root, clock: Clock, tree: TreeHash) -> JournalChecker:
    lock = os.open(root.path / JOURNAL_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with locked(lock):
            path = root.path / JOURNAL_DB
            connection = open_journal(path, tree, cache_kib=_CHECKER_CACHE_KIB, writes=False)
    finally:
        os.close(lock)
    return JournalChecker(connection, root, clock)


def _begin_io() -> Handler[IoJob]:
    buffer = aligned_buffer()

    def run(jobs: Sequence[IoJob]) -> list[Any]:
        return [run_job(job, buffer) for job in jobs]

    return run


def run_job(job: IoJob, buffer: memoryview) -> object:
    """Run a job; return what it returns, or the DriveError it raises."""
    try:
        return job(buffer)
    except DriveError as error:
        return error


def open_both(
    root: Root, files: ShardFiles, clock: Clock, tree: TreeHash
) -> tuple[JournalWriter, JournalReader]:
    """Open the journal of a drive, for writing and for reading.

    Raises:
        DriveError: it cannot be. When it is damaged, that is written down.
    """
    path = root.path / JOURNAL_DB
    try:
        lock = os.open(root.path / JOURNAL_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with locked(lock):
                _check_log(root)
                _write_log_again(root)
                writes = open_journal(path, tree, cache_kib=_WRITER_CACHE_KIB, writes=True)
                try:
                    _write_test(writes)
                    reads = open_journal(path, tree, cache_kib=_READER_CACHE_KIB, writes=False)
                except BaseException:
                    writes.close()
                    raise
        except BaseException:
            os.close(lock)
            raise
    except OSError as error:
        raise drive_error(error, str(path)) from error
    except sqlite3.Error as error:
        found = journal_error(error, root)
        raise DriveFaulty(*found.args) if isinstance(found, RecordUnknown) else found from error
    except DriveFaulty as error:
        root.note_damage(str(error))
        raise
    except ConfigError as error:
        raise DriveFaulty(f"{path}: found {error.found}, expected {error.expected}") from error
    writer = JournalWriter(writes, lock, root, files, clock, tree)
    return writer, JournalReader(reads, root, tree)


def _check_log(root: Root) -> None:
    """Refuse a log that SQLite would cut short, when what lies behind was acknowledged.

    Raises:
        DriveFaulty: it would.
        OSError: it cannot be read.
    """
    damage = damage_of_log(root.path / JOURNAL_LOG)
    if damage:
        raise DriveFaulty(f"{root.path}: journal: {damage}")


def _write_log_again(root: Root) -> None:
    """Make the log durable that was left here, before anything is committed behind it.

    It may end with a commit whose sync failed (docs/format/journal.md). Raises OSError.
    """
    log = root.path / JOURNAL_LOG
    try:
        if log.stat().st_size:
            write_again(log)
    except FileNotFoundError:
        return
    except OSError as error:
        if error.errno not in STILL_READS:
            raise


def _write_test(connection: sqlite3.Connection) -> None:
    """Commit something: a drive on which that fails is not open.

    One that is full or read-only is, for what it can still do.
    """
    try:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('write_test', x'00')")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _STILL_READS:
            raise

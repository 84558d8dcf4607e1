"""A drive on this machine: a directory, its journal, its shard files, and their threads.

A `LocalDrive` outlives what it stands for. While the directory is gone, or holds a drive that is
not the one expected, calls fail with DriveOffline; once the right drive is there again (the old
one or a newly formatted one for its slots), the next call opens it. Between the two lies a
session: everything that belongs to one opened directory. A session ends with the first sign that
its directory is gone or broken, and is never revived.

Threads: one writer and one reader of the journal, DRIVE_IO_THREADS for shard files, one that
opens and closes. None of them holds up another, and a hung one holds up nobody who waits with a
deadline.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from objstore.clock import Clock
from objstore.drive.api import Buffer, Drive, ShardSink
from objstore.drive.journal_reader import IsNamed, JournalReader
from objstore.drive.journal_schema import open_journal
from objstore.drive.journal_writer import JournalWriter, locked
from objstore.drive.lanes import Handler, Lane, Postbox, again
from objstore.drive.new_shard import NewShard, aligned_buffer
from objstore.drive.ops import (
    ListBuckets,
    ListKeys,
    ListMissed,
    ListTombstones,
    ListUploads,
    ListVersions,
    Op,
    PutBucket,
    R,
    ReadBucket,
    ReadKey,
    ReadStatus,
    ReadTree,
    ReadUpload,
    ReadUsage,
    VerifyShard,
)
from objstore.drive.posix import Root, drive_error, journal_error
from objstore.drive.shard_files import ShardFiles, probe_direct
from objstore.errors import (
    ConfigError,
    DriveError,
    DriveFaulty,
    DriveOffline,
    DriveRefusal,
    RecordUnknown,
)
from objstore.limits import (
    DRIVE_IO_THREADS,
    DRIVE_PROBE_INTERVAL_S,
    GROUP_COMMIT_OPS_MAX,
    READ_GROUP_OPS_MAX,
    TREE_LEAF_LEVEL,
)
from objstore.names import DataId, DriveId
from objstore.ondisk.drive_identity import DriveIdentity, decode_identity
from objstore.ondisk.paths import DRIVE_JSON, JOURNAL_DB, JOURNAL_LOCK, ShardName
from objstore.ondisk.tree import TreeHash

T = TypeVar("T")
IoJob = Callable[[memoryview], Any]
IdentityCheck = Callable[[DriveIdentity], None]

_READS: Final = frozenset(
    {
        ReadKey,
        ListKeys,
        ReadBucket,
        ListBuckets,
        ReadUpload,
        ListUploads,
        ListMissed,
        ListVersions,
        ReadUsage,
        ListTombstones,
        ReadStatus,
        ReadTree,
        IsNamed,
    }
)
_WRITER_CACHE_KIB: Final = 4096
_READER_CACHE_KIB: Final = 8192
_CLOSE_S: Final = 2.0
_STILL_READS: Final = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY})


@dataclass(frozen=True, slots=True)
class LocalDriveSettings:
    """What an operator or a test may choose."""

    direct_io: bool = True  # write shards with O_DIRECT where the file system allows it
    io_threads: int = DRIVE_IO_THREADS
    bucket_changed: Callable[[], None] | None = None  # called when a bucket's record was written
    tree_leaf_level: int = TREE_LEAF_LEVEL


@dataclass(frozen=True, slots=True)
class _Opened:
    """What the control thread hands over: an opened directory, without threads yet."""

    identity: DriveIdentity
    root: Root
    files: ShardFiles
    writer: JournalWriter
    reader: JournalReader

    def close(self) -> None:
        self.writer.close()
        self.reader.close()


class _Session:
    """One opened directory and its threads."""

    def __init__(self, opened: _Opened, postbox: Postbox, io_threads: int) -> None:
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

    def stop(self, reason: DriveError) -> None:
        for lane in (self.writes, self.reads, self.io):
            lane.stop(reason)
        self.files.close()

    @property
    def ending(self) -> bool:
        """Whether threads of it still run."""
        return not all(lane.ended for lane in (self.writes, self.reads, self.io))

    def join(self) -> None:
        for lane in (self.writes, self.reads, self.io):
            lane.join(_CLOSE_S)


def _begin_io() -> Handler[IoJob]:
    buffer = aligned_buffer()

    def run(jobs: Sequence[IoJob]) -> list[Any]:
        return [_run_job(job, buffer) for job in jobs]

    return run


def _run_job(job: IoJob, buffer: memoryview) -> object:
    try:
        return job(buffer)
    except DriveError as error:
        return error


class LocalDrive:
    """The drive at `path`. Make it with `open`, on the event loop that will use it."""

    def __init__(
        self,
        path: Path,
        *,
        check: IdentityCheck,
        clock: Clock,
        settings: LocalDriveSettings | None = None,
    ) -> None:
        """See `open`."""
        self._path = path
        self._check = check
        self._clock = clock
        self._settings = settings or LocalDriveSettings()
        self._postbox = Postbox(asyncio.get_running_loop())
        self._control: Lane[Callable[[], Any]] = Lane(
            f"{path.name}-control", lambda: _run_control, self._postbox
        )
        self._session: _Session | None = None
        self._dropped: list[_Session] = []
        self._opening: asyncio.Future[_Session] | None = None
        self._drive_id = DriveId("")
        self._mount_point = False
        self._reason: DriveError = DriveOffline(f"{path}: not opened yet")
        self._next_try_s = clock.monotonic_s()
        self._closed = False

    @classmethod
    async def open(
        cls,
        path: Path,
        *,
        check: IdentityCheck,
        clock: Clock,
        settings: LocalDriveSettings | None = None,
    ) -> "LocalDrive":
        """Return the drive at `path`, opened if it can be opened now.

        `check` is asked about the identity of what is found at `path`, now and whenever it is
        opened again; it raises ConfigError when that is not what belongs there. It is called on
        another thread.
        """
        drive = cls(path, check=check, clock=clock, settings=settings)
        with contextlib.suppress(DriveError):
            await drive._live(eager=True)
        return drive

    @property
    def path(self) -> Path:
        """Its directory."""
        return self._path

    @property
    def drive_id(self) -> DriveId:
        return self._drive_id

    @property
    def identity(self) -> DriveIdentity | None:
        """The identity of the drive that is open now."""
        return self._session.identity if self._session else None

    @property
    def mount_point(self) -> bool:
        """Whether its directory was a mount point when it was last opened.

        An empty directory in the place of one is a drive that is not mounted.
        """
        return self._mount_point

    @property
    def reason(self) -> DriveError | None:
        """Why it is not open; None while it is."""
        return None if self._session else self._reason

    # --- the protocol ------------------------------------------------------------------

    async def call(self, op: Op[R]) -> R:
        session = self._session or await self._live(eager=isinstance(op, ReadStatus))
        if isinstance(op, VerifyShard):
            name = ShardName(op.data_id, op.part, op.shard)
            verified: R = await self._io(session, lambda buffer: session.files.verify(name, buffer))
            return verified
        if isinstance(op, ReadStatus):
            self._close_idle(session)
        lane = session.reads if type(op) in _READS else session.writes
        try:
            result: R = await self._wait(session, lane.submit(op))
        finally:
            if isinstance(op, PutBucket) and self._settings.bucket_changed is not None:
                self._settings.bucket_changed()
        return result

    async def create_shard(self, data_id: DataId, part: int, shard: int) -> ShardSink:
        session = await self._live()
        name = ShardName(data_id, part, shard)
        new = await self._new_shard(session, name)
        if new is None:
            await self._make_room(session, name)
            new = await self._new_shard(session, name)
        if new is None:
            raise DriveRefusal(f"shard {data_id.hex()}.{part}.{shard} is written by another")
        return _LocalSink(self, session, new)

    async def _make_room(self, session: _Session, name: ShardName) -> None:
        """There is a file of that name. It goes when it is a stray, or damaged."""
        files = session.files
        if await self._wait(session, session.reads.submit(IsNamed(name))):
            await self._io(session, lambda buffer: files.clear_damaged(name, buffer))
        else:
            await self._io(session, lambda _: files.clear_stray(name))

    async def _new_shard(self, session: _Session, name: ShardName) -> NewShard | None:
        """Create a file. When the caller is cancelled meanwhile, nobody owns it: remove it."""
        future = session.io.submit(lambda _: session.files.create(name))
        try:
            new: NewShard | None = await self._wait(session, asyncio.shield(future))
        except asyncio.CancelledError:
            future.add_done_callback(lambda done: _remove_unowned(session, done))
            raise
        return new

    async def read_shard(
        self, data_id: DataId, part: int, shard: int, *, offset: int, size: int
    ) -> Buffer:
        session = await self._live()
        name = ShardName(data_id, part, shard)
        data: bytes = await self._io(session, lambda _: session.files.read(name, offset, size))
        return data

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._reason = DriveOffline(f"{self._path}: closed")
        if self._session is not None:
            self._drop(self._session, self._reason)
        with contextlib.suppress(DriveError):
            await self._control.submit(self._join_dropped)
        self._control.stop(self._reason)

    # --- beyond the protocol: for the reaper and for whoever runs the drive ----------------

    async def run_io(self, job: Callable[[ShardFiles], T]) -> T:
        """Run a job about the drive's files on one of its I/O threads."""
        session = await self._live()
        result: T = await self._io(session, lambda _: job(session.files))
        return result

    async def is_named(self, name: ShardName) -> bool:
        """Whether a record or an uploaded part names a shard file."""
        return await self.call(IsNamed(name))

    # --- sessions ------------------------------------------------------------------------

    async def _live(self, *, eager: bool = False) -> _Session:
        """Return the session; open one if there is none and it is time to try.

        `eager` calls try at once, others only every DRIVE_PROBE_INTERVAL_S.
        """
        if self._session is not None:
            return self._session
        if self._closed:
            raise again(self._reason)
        if self._opening is None:
            if not eager and self._clock.monotonic_s() < self._next_try_s:
                raise again(self._reason)
            self._next_try_s = self._clock.monotonic_s() + DRIVE_PROBE_INTERVAL_S
            self._opening = self._control.submit(self._open)
            self._opening.add_done_callback(self._opened)
        try:
            await asyncio.shield(self._opening)
        except DriveError as error:
            raise again(error) from error
        return self._require_session()

    def _require_session(self) -> _Session:
        if self._session is None:
            raise again(self._reason)
        return self._session

    def _open(self) -> _Opened:
        """Open the directory. On the control thread; raises DriveError."""
        root = Root(self._path)
        identity = self._identify(root)
        direct = self._settings.direct_io and probe_direct(root)
        files = ShardFiles(root, self._clock, direct=direct)
        tree = TreeHash(
            identity.deployment, identity.drive, leaf_level=self._settings.tree_leaf_level
        )
        writer, reader = _open_journal(root, files, self._clock, tree)
        return _Opened(identity, root, files, writer, reader)

    def _identify(self, root: Root) -> DriveIdentity:
        path = self._path / DRIVE_JSON
        try:
            identity = decode_identity(path.read_bytes(), where=str(path))
            self._check(identity)
        except OSError as error:
            root.check()
            raise drive_error(error, str(path)) from error
        except ConfigError as error:
            text = f"{self._path}: found {error.found}, expected {error.expected}"
            raise DriveOffline(text) from error
        return identity

    def _opened(self, future: "asyncio.Future[Any]") -> None:
        self._opening = None
        if future.cancelled():
            return
        error = future.exception()
        if isinstance(error, DriveError):
            self._reason = error
        elif error is None:
            opened: _Opened = future.result()
            if self._closed:
                opened.close()
                return
            self._drive_id = opened.identity.drive
            self._mount_point = opened.root.mount_point
            self._session = _Session(opened, self._postbox, self._settings.io_threads)

    def _drop(self, session: _Session, reason: DriveError) -> None:
        """End a session. Files of it that are being written fail with the next call."""
        if self._session is session:
            self._session = None
            self._dropped = [*(old for old in self._dropped if old.ending), session]
            self._reason = again(reason)
            self._next_try_s = self._clock.monotonic_s() + DRIVE_PROBE_INTERVAL_S
        session.stop(reason)

    def _join_dropped(self) -> None:
        """Wait, not for ever, until nothing of the directory is open any more."""
        for session in self._dropped:
            session.join()

    # --- calls -----------------------------------------------------------------------------

    def _close_idle(self, session: _Session) -> None:
        """Whoever asks for the status does it regularly: a good moment to tidy up."""
        if not session.io.waiting:
            done = session.io.submit(lambda _: session.files.forget_open(idle=True))
            done.add_done_callback(_ignore)

    async def _io(self, session: _Session, job: IoJob) -> Any:  # noqa: ANN401 -- the job's
        return await self._wait(session, session.io.submit(job))

    async def _wait(self, session: _Session, future: "asyncio.Future[Any]") -> Any:  # noqa: ANN401
        try:
            return await future
        except (DriveOffline, DriveFaulty) as error:
            self._drop(session, error)
            raise


class _LocalSink:
    """A shard file of a session."""

    def __init__(self, drive: LocalDrive, session: _Session, new: NewShard) -> None:
        self._drive = drive
        self._session = session
        self._new = new

    async def write(self, *pieces: Buffer) -> None:
        new = self._new
        await self._drive._io(self._session, lambda buffer: new.write(pieces, buffer))  # noqa: SLF001

    async def finish(self) -> None:
        await self._drive._io(self._session, self._new.finish)  # noqa: SLF001

    async def abort(self) -> None:
        new = self._new
        try:
            await self._session.io.submit(lambda _: new.abort())
        except DriveError:
            new.abort()  # the session's threads are gone; the file's descriptor is not


def _ignore(done: "asyncio.Future[Any]") -> None:
    """Nobody waits for it: take note of its error, so that asyncio does not log it."""
    if not done.cancelled():
        done.exception()


def _remove_unowned(session: _Session, done: "asyncio.Future[NewShard | None]") -> None:
    if done.cancelled() or done.exception() is not None:
        return
    new = done.result()
    if new is not None:
        with contextlib.suppress(DriveError):
            session.io.submit(lambda _: new.abort())


def _run_control(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    return [_run_job(lambda _: job(), memoryview(b"")) for job in jobs]  # noqa: B023


def _open_journal(
    root: Root, files: ShardFiles, clock: Clock, tree: TreeHash
) -> tuple[JournalWriter, JournalReader]:
    path = root.path / JOURNAL_DB
    try:
        lock = os.open(root.path / JOURNAL_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with locked(lock):
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
    except ConfigError as error:
        raise DriveFaulty(f"{path}: found {error.found}, expected {error.expected}") from error
    writer = JournalWriter(writes, lock, root, files, clock, tree)
    return writer, JournalReader(reads, root, tree)


def _write_test(connection: sqlite3.Connection) -> None:
    """Commit something: a drive on which that fails is not open.

    One that is full or read-only is, for what it can still do.
    """
    try:
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('write_test', x'00')")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in _STILL_READS:
            raise


_CONFORMS: type[Drive] = LocalDrive
_SINK_CONFORMS: type[ShardSink] = _LocalSink

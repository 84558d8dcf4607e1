"""A drive on this machine: a directory, its journal, its shard files, and their threads.

A `LocalDrive` outlives what it stands for. While the directory is gone, or holds a drive that is
not the one expected, calls fail with DriveOffline; once the right drive is there again (the old
one or a newly formatted one for its slots), the next call opens it. Between the two lies a
session: everything that belongs to one opened directory. A session ends with the first sign that
its directory is gone or broken, and is never revived.

Threads: those of a session (session.py), and one that opens and closes. None of them holds up
another, and a hung one holds up nobody who waits with a deadline.
"""

import asyncio
import contextlib
import errno
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from objstore.clock import Clock
from objstore.drive.api import Buffer, Drive, ShardSink
from objstore.drive.journal_check import JournalChecker
from objstore.drive.journal_pages import JournalPages
from objstore.drive.journal_reader import IsNamed
from objstore.drive.lanes import Lane, Postbox, again
from objstore.drive.new_shard import NewShard
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
from objstore.drive.posix import Root, drive_error
from objstore.drive.session import IoJob, Opened, Session, open_both, run_job
from objstore.drive.shard_files import ShardFiles, probe_direct
from objstore.drive.shard_scan import ShardScan
from objstore.errors import (
    ConfigError,
    DriveError,
    DriveFaulty,
    DriveOffline,
    DriveRefusal,
)
from objstore.limits import (
    DRIVE_IO_THREADS,
    DRIVE_PROBE_INTERVAL_S,
    TREE_LEAF_LEVEL,
)
from objstore.names import DataId, DriveId
from objstore.ondisk.drive_identity import DriveIdentity, decode_identity
from objstore.ondisk.paths import DRIVE_JSON, JOURNAL_DB, ShardName
from objstore.ondisk.tree import TreeHash

T = TypeVar("T")
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


@dataclass(frozen=True, slots=True)
class LocalDriveSettings:
    """What an operator or a test may choose."""

    direct_io: bool = True  # write shards with O_DIRECT where the file system allows it
    io_threads: int = DRIVE_IO_THREADS
    bucket_changed: Callable[[], None] | None = None  # called when a bucket's record was written
    tree_leaf_level: int = TREE_LEAF_LEVEL


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
        self._session: Session | None = None
        self._dropped: list[Session] = []
        self._opening: asyncio.Future[Session] | None = None
        self._drive_id = DriveId("")
        self._mount_point = False
        self._reason: DriveError = DriveOffline(f"{path}: not opened yet")
        self._next_try_s = clock.monotonic_s()
        self._closed = False
        self._pages: dict[tuple[int, int], JournalPages | None] = {}

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
        files, name = session.files, ShardName(data_id, part, shard)
        new = await self._new_shard(session, lambda _: files.create(name))
        if new is None:
            new = await self._new_in_place(session, name)
        if new is None:
            new = await self._new_shard(session, lambda _: files.create(name))
        if new is None:
            raise DriveRefusal(f"shard {data_id.hex()}.{part}.{shard} is written by another")
        return _LocalSink(self, session, new)

    async def _new_in_place(self, session: Session, name: ShardName) -> NewShard | None:
        """There is a file of that name. It makes room when it is a stray, or damaged."""
        files = session.files
        if await self._wait(session, session.reads.submit(IsNamed(name))):
            return await self._new_shard(session, lambda buffer: files.create_instead(name, buffer))
        await self._io(session, lambda _: files.clear_stray(name))
        return None

    async def _new_shard(
        self, session: Session, create: Callable[[memoryview], NewShard | None]
    ) -> NewShard | None:
        """Create a file. When the caller is cancelled meanwhile, nobody owns it: remove it."""
        future = session.io.submit(create)
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

    async def scan(self, scan: ShardScan) -> int:
        """Check the next piece of a shard file; return how much it was, 0 at the end.

        Raises:
            ShardMissing, ShardCorrupt: the file is not there, or not whole.
        """
        session = await self._live()
        count: int = await self._io(session, lambda buffer: scan.step(session.files, buffer))
        return count

    async def check(self, job: Callable[[JournalChecker], T]) -> T:
        """Run a check of the journal on a thread and a connection of its own.

        Raises:
            RecordUnknown: the journal is damaged, which is also written down.
        """
        session = await self._live()
        result: T = await self._wait(session, session.checks.submit(job))
        return result

    async def compare_journal(self, offset: int) -> tuple[int, bool]:
        """Compare some of the journal's pages on the medium with the cached ones, from `offset`.

        Returns how many bytes were read, 0 at the end, and whether they were different.
        """
        session = await self._live()
        path = self._path / JOURNAL_DB

        def compare(buffer: memoryview) -> tuple[int, bool]:
            session.root.check()
            try:
                pages = self._pages_of(path)
                return (0, False) if pages is None else pages.compare(offset, buffer)
            except OSError as error:
                if error.errno == errno.EIO:
                    session.root.read_once()  # else it is the drive, and not its journal
                    session.root.note_damage(f"{path}: at {offset}: {error.strerror}")
                raise session.root.explain(error, str(path)) from error

        result: tuple[int, bool] = await self._io(session, compare)
        return result

    def _pages_of(self, path: Path) -> JournalPages | None:
        """Return the open journal; None on a file system that cannot be read past its cache."""
        status = path.stat()
        identity = (status.st_dev, status.st_ino)
        if identity not in self._pages:
            try:
                self._pages[identity] = JournalPages(path)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._pages[identity] = None
        return self._pages[identity]

    async def is_named(self, name: ShardName) -> bool:
        """Whether a record or an uploaded part names a shard file."""
        return await self.call(IsNamed(name))

    # --- sessions ------------------------------------------------------------------------

    async def _live(self, *, eager: bool = False) -> Session:
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

    def _require_session(self) -> Session:
        if self._session is None:
            raise again(self._reason)
        return self._session

    def _open(self) -> Opened:
        """Open the directory. On the control thread; raises DriveError."""
        root = Root(self._path)
        identity = self._identify(root)
        direct = self._settings.direct_io and probe_direct(root)
        files = ShardFiles(root, self._clock, direct=direct)
        tree = TreeHash(
            identity.deployment, identity.drive, leaf_level=self._settings.tree_leaf_level
        )
        writer, reader = open_both(root, files, self._clock, tree)
        return Opened(identity, root, files, writer, reader, tree)

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
            opened: Opened = future.result()
            if self._closed:
                opened.close()
                return
            self._drive_id = opened.identity.drive
            self._mount_point = opened.root.mount_point
            threads = self._settings.io_threads
            self._session = Session(opened, self._postbox, threads, self._clock)

    def _drop(self, session: Session, reason: DriveError) -> None:
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
        while self._pages:
            _, pages = self._pages.popitem()
            if pages is not None:
                pages.close()

    # --- calls -----------------------------------------------------------------------------

    def _close_idle(self, session: Session) -> None:
        """Whoever asks for the status does it regularly: a good moment to tidy up."""
        if not session.io.waiting:
            done = session.io.submit(lambda _: session.files.forget_open(idle=True))
            done.add_done_callback(_ignore)

    async def _io(self, session: Session, job: IoJob) -> Any:  # noqa: ANN401 -- the job's
        return await self._wait(session, session.io.submit(job))

    async def _wait(self, session: Session, future: "asyncio.Future[Any]") -> Any:  # noqa: ANN401
        try:
            return await future
        except (DriveOffline, DriveFaulty) as error:
            self._drop(session, error)
            raise


class _LocalSink:
    """A shard file of a session."""

    def __init__(self, drive: LocalDrive, session: Session, new: NewShard) -> None:
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


def _remove_unowned(session: Session, done: "asyncio.Future[NewShard | None]") -> None:
    if done.cancelled() or done.exception() is not None:
        return
    new = done.result()
    if new is not None:
        with contextlib.suppress(DriveError):
            session.io.submit(lambda _: new.abort())


def _run_control(jobs: Sequence[Callable[[], Any]]) -> list[Any]:
    return [run_job(lambda _: job(), memoryview(b"")) for job in jobs]  # noqa: B023


_CONFORMS: type[Drive] = LocalDrive
_SINK_CONFORMS: type[ShardSink] = _LocalSink

"""Changes to a journal: groups of calls, each group one transaction and one fsync.

Runs on the drive's writer thread. Writers of all processes queue on `journal.lock`, in the
kernel; SQLite never sees two. What the calls of a group do is in journal_group.py.
"""

import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from objstore.clock import Clock
from objstore.drive.journal_changes import Changes
from objstore.drive.journal_group import AnyCall, Outcome, apply_calls
from objstore.drive.lanes import again
from objstore.drive.posix import Root, journal_error
from objstore.drive.shard_files import ShardFiles
from objstore.errors import DriveError, DriveFaulty, RecordUnknown
from objstore.ondisk.tree import TreeHash


class JournalWriter:
    """Applies calls to one journal."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        lock_handle: int,
        root: Root,
        files: ShardFiles,
        clock: Clock,
        tree: TreeHash,
    ) -> None:
        self._connection = connection
        self._lock_handle = lock_handle
        self._root = root
        self._files = files
        self._clock = clock
        self._tree = tree

    def close(self) -> None:
        """Close the connection and the lock's file."""
        self._connection.close()
        os.close(self._lock_handle)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep every other writer of this journal waiting. Blocks.

        Raises:
            DriveError: the lock cannot be taken.
        """
        try:
            with locked(self._lock_handle):
                yield
        except OSError as error:
            raise self._root.explain(error, "journal.lock") from error

    def apply(self, calls: Sequence[AnyCall]) -> list[Outcome]:
        """Apply a group of calls; return, for each, its result or the error it raises.

        The caller holds the lock.
        """
        try:
            return self._apply(calls)
        except DriveError as error:
            return [again(error) for _ in calls]

    def _apply(self, calls: Sequence[AnyCall]) -> list[Outcome]:
        changes = Changes(self._connection, self._tree)
        now_ms = self._clock.now_ns() // 1_000_000
        _, _, has_room = self._root.space()
        damaged = self._root.is_damaged()
        try:
            with self._transaction():
                outcomes = apply_calls(
                    changes,
                    calls,
                    has_room=has_room,
                    now_ms=now_ms,
                    is_there=self._files.is_there,
                    damaged=damaged,
                )
        except sqlite3.Error as error:
            found = journal_error(error, self._root)
            if not isinstance(found, RecordUnknown):
                raise found from error
            # A damaged page: the calls that touch it fail, the others need not.
            if len(calls) == 1:
                return [found]
            return [outcome for call in calls for outcome in self._apply([call])]
        # Still under the lock: whoever names one of these files anew comes after this.
        for name in changes.unnamed:
            self._files.retire(name)
        for name in changes.discarded:
            self._files.unlink(name)
        return outcomes

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        connection = self._connection
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            # What is acknowledged from here on must lie on the drive that was asked.
            self._root.check()
            self._commit()
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _commit(self) -> None:
        """Commit. A commit that failed is never tried again, whatever the reason."""
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            found = journal_error(error, self._root)
            unknown = isinstance(found, RecordUnknown)
            raise DriveFaulty(*found.args) if unknown else found from error


@contextmanager
def locked(handle: int) -> Iterator[None]:
    """Hold a drive's lock, which all its writers take. Blocks; raises OSError."""
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)

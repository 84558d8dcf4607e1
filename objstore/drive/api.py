"""What the engine asks of one drive, wherever that drive is.

Every implementation (local, remote, in memory) and every wrapper (guarded, faulty) passes
objstore/testing/drive_suite.py. The contract, for every method:

  - It either does all of what it says, durably, or raises and leaves the drive as it was.
  - It raises only DriveError. ShardMissing means "this drive works and has no such shard".
  - It may be cancelled at any await. A cancelled shard leaves at most an orphan file behind.
  - It is bounded in time (drive/guarded.py adds the bound to implementations without one).
"""

from typing import Protocol

from objstore.drive.ops import Op, R
from objstore.names import DataId, DriveId

Buffer = bytes | bytearray | memoryview


class ShardSink(Protocol):
    """A shard file that is being written. Nothing can see it before a record names it."""

    async def write(self, *pieces: Buffer) -> None:
        """Append the pieces. They may be reused as soon as this returns."""
        ...

    async def finish(self) -> None:
        """Make the file and its name durable (fdatasync, then fsync of the directory)."""
        ...

    async def abort(self) -> None:
        """Remove the file. Never raises; may follow any other call."""
        ...


class Drive(Protocol):
    """One drive of a set."""

    @property
    def drive_id(self) -> DriveId:
        """The identity this drive was formatted with ("" while it is not known)."""
        ...

    async def call(self, op: Op[R]) -> R:
        """Answer one of drive/ops.py."""
        ...

    async def create_shard(self, data_id: DataId, part: int, shard: int) -> ShardSink:
        """Begin a new shard file. The caller writes header, blocks and trailer.

        A file of that name makes room when nothing names it and nobody writes it any more. One
        that a record names and that is damaged stays until the new one is finished, and is
        replaced then; an abort after that has no effect.

        Raises:
            DriveRefusal: there is one, whole and named, or being written.
        """
        ...

    async def read_shard(
        self, data_id: DataId, part: int, shard: int, *, offset: int, size: int
    ) -> Buffer:
        """Return exactly `size` bytes of the file from `offset`.

        Raises:
            ShardMissing: there is no such file.
            ShardCorrupt: the file ends before `offset + size`.
        """
        ...

    async def close(self) -> None:
        """Let go of files, threads and connections."""
        ...

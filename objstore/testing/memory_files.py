"""A shard file that is written to a drive in memory."""

from objstore.drive.api import Buffer, ShardSink
from objstore.errors import DriveRefusal
from objstore.testing.memory_rows import HeldFile, ShardKey

_Files = dict[ShardKey, HeldFile]


class MemorySink:
    """Writes into `file`; with `instead` it takes the place of a damaged one of `files` at its end.

    Until then it is one of `repairs`.
    """

    def __init__(
        self, files: _Files, repairs: _Files, name: ShardKey, file: HeldFile, *, instead: bool
    ) -> None:
        self._files = files
        self._repairs = repairs
        self._name = name
        self._file = file
        self._instead = instead
        self._over = False

    async def write(self, *pieces: Buffer) -> None:
        if self._over:
            raise DriveRefusal("written to after it failed or ended")
        for piece in pieces:
            self._file.data += piece

    async def finish(self) -> None:
        if self._over:
            raise DriveRefusal("finished after it failed or ended")
        self._over = True
        self._file.finished = True
        if self._instead:
            self._files[self._name] = self._file
            del self._repairs[self._name]

    async def abort(self) -> None:
        self._over = True
        held = self._repairs if self._instead else self._files
        if held.get(self._name) is self._file:
            del held[self._name]


_CONFORMS: type[ShardSink] = MemorySink

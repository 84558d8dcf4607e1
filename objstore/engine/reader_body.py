"""An object, or a range of it, as the body of a write: for copies and for recoding."""

from collections.abc import AsyncIterator

from objstore.drive.api import Buffer
from objstore.engine.ports import ObjectReader


class ReaderBody:
    """An object, or a range of it, as the body of a write."""

    def __init__(self, source: ObjectReader, start: int, stop: int) -> None:
        self.size = stop - start
        self._pieces: AsyncIterator[Buffer] = source.read(start, stop)

    async def read(self) -> Buffer:
        """Return the next piece; empty at the end."""
        return await anext(self._pieces, b"")

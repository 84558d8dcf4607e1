"""Lines from the supervisor: read one by one before the event loop runs, and as they come after.

The standard library's buffered reader keeps what it read too much, where an event loop never
looks; here both read from the same buffer.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Final

_READ_BYTES: Final = 65_536


class LineInput:
    """A descriptor, line by line."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._buffer = bytearray()

    def read_line(self) -> bytes:
        """Wait for a line and return it; b"" when the input has ended."""
        while (line := self._next()) is None:
            if not (data := os.read(self._descriptor, _READ_BYTES)):
                return b""
            self._buffer += data
        return line

    def follow(self, take: Callable[[bytes], None]) -> None:
        """Hand every further line to `take`, in the running event loop, until the input ends."""
        loop = asyncio.get_running_loop()

        def hand_over() -> None:
            while (line := self._next()) is not None:
                take(line)

        def on_readable() -> None:
            data = os.read(self._descriptor, _READ_BYTES)
            if not data:
                loop.remove_reader(self._descriptor)
                return
            self._buffer.extend(data)
            hand_over()

        loop.add_reader(self._descriptor, on_readable)
        hand_over()

    def _next(self) -> bytes | None:
        line, newline, rest = bytes(self._buffer).partition(b"\n")
        if not newline:
            return None
        self._buffer = bytearray(rest)
        return line

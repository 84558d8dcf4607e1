"""A mark in memory that all processes of a server share: it differs after every change.

Whoever keeps something in memory notes the mark before reading it, and reads anew once the mark is
another one. Eight bytes, written and read whole.
"""

import mmap
from typing import Final

from objstore.clock import Entropy

MARK_BYTES: Final = 8


class SharedMark:
    """One process's view of the mark."""

    def __init__(self, descriptor: int, entropy: Entropy) -> None:
        self._memory = memoryview(mmap.mmap(descriptor, MARK_BYTES)).cast("Q")
        self._entropy = entropy

    def read(self) -> int:
        """Return the mark as it is."""
        mark: int = self._memory[0]
        return mark

    def change(self) -> None:
        """Make it another one."""
        self._memory[0] = int.from_bytes(self._entropy.draw(MARK_BYTES), "big")

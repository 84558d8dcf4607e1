"""Bytes to store: of any size, made on demand, the same for the same seed, never all in memory."""

import hashlib
import io
import itertools
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

PIECE_BYTES = 1024 * 1024
# Coprime to everything around it, so that no two pieces of an object are alike.
_STEP = 40_961
_names = itertools.count(1)


def fresh_name(stem: str) -> str:
    """Return a name that no other test of this run has."""
    return f"{stem}-{next(_names)}"


@dataclass(frozen=True)
class Content:
    """The content of an object: `size` bytes that follow from `seed`."""

    seed: int
    size: int

    @cached_property
    def _ground(self) -> memoryview:
        return memoryview(random.Random(self.seed).randbytes(min(2 * PIECE_BYTES, self.size)))

    def slice(self, start: int, stop: int) -> Iterator[memoryview]:
        """Yield bytes `start` to `stop` in pieces of at most 1 MiB."""
        assert 0 <= start <= stop <= self.size
        while start < stop:
            index, offset = divmod(start, PIECE_BYTES)
            count = min(PIECE_BYTES - offset, stop - start)
            begin = index * _STEP % PIECE_BYTES + offset if self.size >= 2 * PIECE_BYTES else start
            yield self._ground[begin : begin + count]
            start += count

    def bytes(self, start: int = 0, stop: int | None = None) -> bytes:
        """Return a range of small content."""
        return b"".join(self.slice(start, self.size if stop is None else stop))

    @cached_property
    def sha256(self) -> str:
        """Hex SHA-256 of the whole."""
        return sha256_of(self.slice(0, self.size))

    @cached_property
    def md5(self) -> str:
        """Hex MD5 of the whole."""
        digest = hashlib.md5(usedforsecurity=False)
        for piece in self.slice(0, self.size):
            digest.update(piece)
        return digest.hexdigest()

    def open(self) -> "ContentFile":
        """Return a seekable binary file of it."""
        return ContentFile(self)


class ContentFile(io.RawIOBase):
    """A read-only file of some content."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._content.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        stop = min(self._content.size, self._at + len(buffer))
        at = 0
        for piece in self._content.slice(min(self._at, stop), stop):
            buffer[at : at + len(piece)] = piece
            at += len(piece)
        self._at += at
        return at


def sha256_of(pieces: Iterable[bytes | memoryview]) -> str:
    """Return the hex SHA-256 of a stream."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()

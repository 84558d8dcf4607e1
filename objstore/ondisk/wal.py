"""Whether the write-ahead log of a journal has lost what was acknowledged.

SQLite reads a log up to the first frame whose checksum is wrong, and takes that for the place
where a crash cut off a transaction. After a power cut it is. When the medium has damaged a frame in
the middle, everything after it goes the same way, without a word, although it was acknowledged:
the drive would give answers from the past. The two can be told apart: a transaction is only
written once the one before it is durable, so of what a crash cut off there is one transaction,
and behind damage there may be more. `wal_damage` says so only when that is certain. Damage in the
last transaction, or in the one before it when it has several frames, is not: it looks like
a crash, and what it lost is found by comparing the drive with its set, as after every start.

Format: sqlite.org/fileformat2.html, "The Write-Ahead Log". A frame's checksum goes on from the
one before it; each frame is checked here against what the one before it says, so that damage
has a place and a run of good frames behind it can be seen.
"""

import struct
from collections.abc import Iterable
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

PAGE_BYTES: Final = 4096
WAL_HEADER_BYTES: Final = 32
FRAME_BYTES: Final = 24 + PAGE_BYTES

_HEADER: Final = struct.Struct(">8I")  # magic, version, page size, sequence, salts, checksum
_MAGIC: Final = 0x377F0682  # with the lowest bit: checksums of big-endian words
_VERSION: Final = 3007000
_FRAME_WORDS: Final = 6  # page, size after a commit, salts, checksum
_SUMMED_WORDS: Final = 2 + PAGE_BYTES // 4  # the first two of the header, and the page

Words = NDArray[np.uint32]


class WalReader:
    """Look at a log, fed frame by frame in chunks of whole frames."""

    def __init__(self, header: bytes) -> None:
        """Begin with the file's first WAL_HEADER_BYTES."""
        self.damage = ""
        fields = _HEADER.unpack(header)
        self._empty = not any(header)
        order = "big" if fields[0] & 1 else "little"
        words = np.frombuffer(header, ">u4" if order == "big" else "<u4", 6)
        self._order: Final = ">u4" if order == "big" else "<u4"
        known = (fields[0] & ~1, *fields[1:3]) == (_MAGIC, _VERSION, PAGE_BYTES)
        self._readable = known and _sum_slowly(words) == fields[6:8]
        self._salts = fields[4:6]
        self._before = np.array([fields[6:8]], np.uint32)  # the checksum a frame goes on from
        self._frames = 0
        self._bad = -1  # the first frame that is not what was written
        self._ends_transaction = False  # the bad one does
        self._run = 0  # transactions that ended in the run of good frames since the last bad one
        self._right_behind = True  # that run begins right behind the first bad one

    def feed(self, frames: bytes) -> None:
        """Look at more frames; an incomplete one at the end of the file is left out."""
        count = len(frames) // FRAME_BYTES
        if not count or self._empty or self.damage:
            return
        if not self._readable:
            self.damage = "the header of its write-ahead log is damaged"
            return
        data = frames[: count * FRAME_BYTES]
        heads = np.frombuffer(data, ">u4").reshape(count, -1)[:, :_FRAME_WORDS].astype(np.uint32)
        words = np.frombuffer(data, self._order).reshape(count, -1).astype(np.uint32)
        summed = np.concatenate((words[:, :2], words[:, _FRAME_WORDS:]), axis=1)
        stored = heads[:, 4:6]
        before = np.concatenate((self._before, stored[:-1]))
        current = (heads[:, 2] == self._salts[0]) & (heads[:, 3] == self._salts[1])
        good = current & (_sums(before, summed) == stored).all(axis=1)
        self._before = stored[-1:]
        self._judge(good, current, heads[:, 1] != 0)

    def _judge(
        self, good: NDArray[np.bool_], current: NDArray[np.bool_], commits: NDArray[np.bool_]
    ) -> None:
        if self._bad < 0 and good.all():
            self._frames += len(good)
            return
        for index in range(len(good)):
            if self._bad < 0:
                if not good[index]:
                    self._bad = self._frames + index
                    self._ends_transaction = bool(current[index] and commits[index])
            elif not good[index]:
                self._run, self._right_behind = 0, False
            elif commits[index]:
                self._run += 1
                if self._run >= 2 or (self._ends_transaction and self._right_behind):
                    self.damage = (
                        f"frame {self._bad} of its write-ahead log is damaged, and transactions "
                        "that were acknowledged lie behind it"
                    )
                    return
        self._frames += len(good)


def wal_damage(header: bytes, chunks: Iterable[bytes]) -> str:
    """Return what is wrong with a log, or "" when nothing is, or a crash alone may explain it.

    `header` are its first WAL_HEADER_BYTES, fewer when it has fewer; `chunks` what follows, each
    of whole frames but the last.
    """
    if len(header) < WAL_HEADER_BYTES:
        return ""
    reader = WalReader(header)
    for chunk in chunks:
        reader.feed(chunk)
        if reader.damage:
            break
    return reader.damage


def _sum_slowly(words: Words) -> tuple[int, int]:
    first = second = 0
    for one, two in words.reshape(-1, 2).tolist():
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + two + first) & 0xFFFFFFFF
    return first, second


@cache
def _weights() -> tuple[Words, Words]:
    """Return what each word of a frame adds to its checksum, and what the one before it does.

    A step of the checksum, (a, b) -> (a + b + x, a + 2 b + x + y), is linear, so the whole is: the
    sum of every word times the weight that the steps after it give it.
    """
    step = np.array([[1, 1], [1, 2]], object)
    weight = np.array([[1, 0], [1, 1]], object)
    weights = np.zeros((2, _SUMMED_WORDS), np.uint32)
    before = np.array([[1, 0], [0, 1]], object)
    for place in range(_SUMMED_WORDS - 2, -1, -2):
        weights[:, place : place + 2] = weight
        weight = step.dot(weight) % (1 << 32)
        before = step.dot(before) % (1 << 32)
    return weights, before.astype(np.uint32)


def _sums(before: Words, summed: Words) -> Words:
    weights, carried = _weights()
    sums = np.empty((len(summed), 2), np.uint32)
    for half in range(2):
        sums[:, half] = (summed * weights[half]).sum(axis=1, dtype=np.uint32)
        sums[:, half] += (before * carried[half]).sum(axis=1, dtype=np.uint32)
    return sums

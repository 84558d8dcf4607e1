"""Gives every Python process that has this directory on its path a wall clock that can be set.

HISTORY_CLOCK_FILE names a file with the nanoseconds by which the clock is ahead (8 bytes, little
endian, signed); writing there is a jump. Nothing of the product knows of it.
"""

import mmap
import os
import struct
import time
from pathlib import Path

_name = os.environ.get("HISTORY_CLOCK_FILE")
if _name:
    with Path(_name).open("r+b") as _file:
        _ahead = mmap.mmap(_file.fileno(), 8, access=mmap.ACCESS_READ)
    _time_ns = time.time_ns

    def _jumping_ns() -> int:
        return _time_ns() + int(struct.unpack("<q", _ahead[:8])[0])

    def _jumping() -> float:
        return _jumping_ns() / 1e9

    time.time_ns = _jumping_ns
    time.time = _jumping

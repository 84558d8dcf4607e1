"""Hybrid logical clock: stamps that order versions even when clocks jump.

A stamp is 16 bytes, compared as bytes:

    wall (6 bytes, ms since 1970, big endian) | counter (2 bytes, big endian) | node (8 bytes)

`Hlc.now` never returns the same stamp twice and never goes back, whatever the wall clock does:
when the clock stands still or jumps back the counter goes on, and when its half is full the wall
part goes one millisecond ahead. Stamps of other nodes raise the clock (`observe`), but not
further than CLOCK_DRIFT_SECONDS_MAX ahead of the wall clock: one server with a wrong year must
not take the others along.

A node is one process: two processes that share a node id could draw the same stamp.
"""

import re
from typing import Final

from objstore.limits import CLOCK_DRIFT_SECONDS_MAX
from objstore.names import STAMP_BYTES, Stamp

NODE_BYTES: Final = 8
_WALL_BYTES: Final = 6
_TICK_BYTES: Final = STAMP_BYTES - NODE_BYTES
_COUNTER_BITS: Final = 16
_COUNTER_MASK: Final = (1 << _COUNTER_BITS) - 1
# The upper half of the counter is for stamps drawn beyond the drift, so that the clock, when
# its time comes, cannot draw one of them again.
_FAR: Final = 1 << _COUNTER_BITS - 1
_WALL_MS_MAX: Final = (1 << 8 * _WALL_BYTES) - 1  # the year 10889
_TICK_MAX: Final = (1 << 8 * _TICK_BYTES) - 1
_VERSION_ID: Final = re.compile(r"[0-9a-f]{32}")


class Hlc:
    """One process's clock. Not thread-safe: it belongs to the event loop."""

    __slots__ = ("_far", "_last", "_node")

    def __init__(self, node: bytes) -> None:
        assert len(node) == NODE_BYTES
        self._node = node
        self._last = 0  # wall and counter of the newest stamp drawn or observed
        self._far = 0  # of the newest stamp drawn beyond the drift allowed

    def now(self, wall_ms: int) -> Stamp:
        """Return a stamp greater than every one drawn here or observed."""
        self._last = max(_near_after(self._last), _tick(wall_ms))
        return self._stamp(self._last)

    def observe(self, stamp: Stamp, wall_ms: int) -> bool:
        """Raise the clock so that the next `now` is above `stamp`.

        Returns False, and leaves the clock as it was, when the stamp is further ahead of the
        wall clock than CLOCK_DRIFT_SECONDS_MAX.
        """
        assert len(stamp) == STAMP_BYTES
        if not within_drift(stamp, wall_ms):
            return False
        self._last = max(self._last, int.from_bytes(stamp[:_TICK_BYTES], "big"))
        return True

    def above(self, held: Stamp, wall_ms: int) -> Stamp:
        """Return a fresh stamp above `held`, for the write that a drive refused because of it.

        A `held` within the drift raises the clock. One beyond it (written while that server's
        clock was wrong) must not, and still a later write has to win: then this stamp alone is
        drawn ahead of the clock.
        """
        tick = int.from_bytes(held[:_TICK_BYTES], "big")
        if tick <= self._last or self.observe(held, wall_ms):
            return self.now(wall_ms)
        self._far = _far_after(max(self._far, tick))
        return self._stamp(self._far)

    def _stamp(self, tick: int) -> Stamp:
        assert tick <= _TICK_MAX
        return Stamp(tick.to_bytes(_TICK_BYTES, "big") + self._node)


def _tick(wall_ms: int) -> int:
    assert 0 <= wall_ms <= _WALL_MS_MAX
    return wall_ms << _COUNTER_BITS


def _near_after(tick: int) -> int:
    tick += 1
    return (tick | _COUNTER_MASK) + 1 if tick & _FAR else tick


def _far_after(tick: int) -> int:
    tick += 1
    return tick if tick & _FAR else (tick & ~_COUNTER_MASK) | _FAR


def within_drift(stamp: Stamp, wall_ms: int) -> bool:
    """Whether `stamp` is at most CLOCK_DRIFT_SECONDS_MAX ahead of the wall clock."""
    return wall_ms_of(stamp) <= wall_ms + CLOCK_DRIFT_SECONDS_MAX * 1000


def wall_ms_of(stamp: Stamp) -> int:
    """Return the stamp's milliseconds since 1970."""
    return int.from_bytes(stamp[:_WALL_BYTES], "big")


def floor_of(wall_ms: int) -> Stamp:
    """Return the smallest stamp of that millisecond: for "stamped before" comparisons."""
    return Stamp(_tick(wall_ms).to_bytes(_TICK_BYTES, "big") + bytes(NODE_BYTES))


def version_id_of(stamp: Stamp) -> str:
    """Return the S3 version id of the version stamped `stamp`: 32 lower-case hex digits."""
    assert len(stamp) == STAMP_BYTES
    return stamp.hex()


def parse_version_id(text: str) -> Stamp | None:
    """Return the stamp that `version_id_of` made `text` of, or None if it did not."""
    return Stamp(bytes.fromhex(text)) if _VERSION_ID.fullmatch(text) else None

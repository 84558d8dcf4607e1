"""What clients of a simulation did and saw, and whether that may be: the invariants of one key.

Every write has content of its own, so what a read returns names the write it saw. A write has
ended when its client was told so; one that failed, or whose process died, may have happened or not,
at any time after it began. So a read that began at b and ended at e returns what is

  exact     bytes that one write of this key wrote, whole, and that began before e (I2, I3)
  fresh     no acknowledged write that began after that one ended, itself ended before b (I1, I4)
  steady    not what an earlier read already saw replaced by another acknowledged write (I2)

A listing is one such read of every key (I5). A version with an id is there until it is buried.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum
from math import inf
from typing import Final

ABSENT: Final = ""


class Fate(Enum):
    """What the client of a write knows of it."""

    UNDER_WAY = "under way"
    ACKNOWLEDGED = "acknowledged"
    UNKNOWN = "unknown"
    REFUSED = "refused"  # it certainly did nothing


@dataclass(eq=False)
class Write:
    """One write of one key: an object, or its deletion (`etag` is ABSENT)."""

    number: int
    etag: str
    size: int
    began_s: float
    what: str
    only_if: str | None = None  # the ETag that had to be there; ABSENT: nothing
    ended_s: float = inf
    fate: Fate = Fate.UNDER_WAY
    version_id: str = ""
    buried_began_s: float = inf  # when somebody began to delete this very version
    buried_s: float = inf  # when that was acknowledged
    replaced: list[tuple[float, "Write"]] = field(default_factory=list)

    def acknowledged_by(self, moment_s: float) -> bool:
        """Whether it was acknowledged before a moment."""
        return self.fate is Fate.ACKNOWLEDGED and self.ended_s < moment_s

    def __str__(self) -> str:
        ended = f"{self.ended_s:.4f}" if self.ended_s < inf else "..."
        return f"{self.what} #{self.number} [{self.began_s:.4f} {ended}] {self.fate.value}"


def content(number: int, size: int) -> bytes:
    """Return the bytes of one write: they differ everywhere from those of any other."""
    unit = hashlib.sha256(f"write {number}".encode()).digest()
    return (unit * (size // len(unit) + 1))[:size]


Place = tuple[str, str]  # bucket, key


class History:
    """All writes, and what reads saw."""

    def __init__(self, fail: Callable[[str], None]) -> None:
        self._fail = fail
        self.writes: defaultdict[Place, list[Write]] = defaultdict(list)
        self.reads = 0
        self._number = 0

    # --- writes ------------------------------------------------------------------------

    def begins(
        self, place: Place, what: str, now_s: float, *, size: int = 0, only_if: str | None = None
    ) -> Write:
        """Note that a write begins; its ETag is set by whoever knows it."""
        self._number += 1
        write = Write(self._number, ABSENT, size, now_s, what, only_if)
        self.writes[place].append(write)
        return write

    def ends(self, place: Place, write: Write, fate: Fate, now_s: float) -> None:
        """Note how a write ended, and whether it may have been allowed to."""
        write.fate, write.ended_s = fate, now_s
        if fate is Fate.REFUSED:
            self.writes[place].remove(write)
        elif fate is Fate.ACKNOWLEDGED and write.only_if is not None:
            self._check_condition(place, write)

    def _check_condition(self, place: Place, write: Write) -> None:
        for other in self.writes[place]:
            both = other is not write and other.fate is Fate.ACKNOWLEDGED
            if write.only_if and both and other.only_if == write.only_if:
                self._fail(f"I1 {place}: {write} and {other} both replaced {write.only_if}")
        if write.only_if == ABSENT:
            for put in self.writes[place]:
                if (
                    put.etag
                    and put.acknowledged_by(write.began_s)
                    and not self._gone(place, put, write)
                ):
                    self._fail(f"I1 {place}: {write} found nothing, but {put} was there")

    def _gone(self, place: Place, put: Write, before: Write) -> bool:
        """Whether something may have deleted `put` before `before` ended."""
        return put.buried_began_s < before.ended_s or any(
            not one.etag and one.began_s < before.ended_s and one.ended_s > put.began_s
            for one in self.writes[place]
        )

    # --- reads -------------------------------------------------------------------------

    def saw(self, place: Place, etag: str, began_s: float, ended_s: float, who: str) -> None:
        """Check what a read of a key's current state returned."""
        self.reads += 1
        writes = self.writes[place]
        found = [one for one in writes if one.etag == etag and one.began_s < ended_s]
        wrongs = [self._wrong(one, writes, began_s, ended_s) for one in found]
        if etag == ABSENT:
            wrongs.append(self._unwritten(writes, began_s, ended_s))
        if not wrongs:
            self._fail(f"I3 {place}: {who} saw {etag}, which nobody wrote")
        elif all(wrongs):
            self._fail(f"{place}: {who} [{began_s:.4f} {ended_s:.4f}] saw {wrongs[0]}")
        if etag and found:
            for old in writes:
                if old is not found[0] and old.acknowledged_by(began_s):
                    old.replaced.append((ended_s, found[0]))

    def _wrong(self, seen: Write, writes: Iterable[Write], began_s: float, ended_s: float) -> str:
        """Return why a read may not see a write, or ""; one that was being buried hides nothing."""
        if seen.buried_s < began_s:
            return f"I4 {seen}, which was buried at {seen.buried_s:.4f}"
        until_s = seen.ended_s if seen.fate is Fate.ACKNOWLEDGED else inf
        for newer in writes:
            counts = newer.acknowledged_by(began_s) and newer.buried_began_s >= ended_s
            if counts and newer.began_s > until_s:
                return f"{'I1' if newer.etag else 'I4'} {seen}, after {newer}"
        for since_s, other in seen.replaced:
            counts = other.acknowledged_by(began_s) and other.buried_began_s >= ended_s
            if counts and seen.fate is Fate.ACKNOWLEDGED and since_s < began_s:
                return f"I2 {seen}, which a read had seen replaced by {other}"
        return ""

    def _unwritten(self, writes: Iterable[Write], began_s: float, ended_s: float) -> str:
        """Return why a read may not find a key that was never there, or is all buried; or ""."""
        for write in writes:
            if write.etag and write.acknowledged_by(began_s) and write.buried_began_s >= ended_s:
                return f"I1 nothing, but {write} was there"
        return ""

    def is_acknowledged(self, place: Place, etag: str) -> bool:
        """Whether a write was acknowledged that nothing has replaced or buried since."""
        writes = self.writes[place]
        return any(
            one.etag == etag
            and one.fate is Fate.ACKNOWLEDGED
            and one.buried_began_s == inf
            and (
                bool(one.version_id)
                or not any(newer.began_s > one.ended_s for newer in writes if newer is not one)
            )
            for one in writes
        )

    # --- versions ----------------------------------------------------------------------

    def saw_versions(
        self, place: Place, listed: dict[str, str], began_s: float, ended_s: float
    ) -> None:
        """Check the versions that a listing showed of a key: version id -> ETag."""
        for write in self.writes[place]:
            shown = listed.get(write.version_id) if write.version_id else None
            if shown is not None and shown != write.etag:
                self._fail(f"I3 {place}: {write.version_id} is listed as {shown}, not {write}")
            if shown is not None and write.buried_s < began_s:
                self._fail(f"I4 {place}: listed is {write}, buried at {write.buried_s:.4f}")
            kept = write.acknowledged_by(began_s) and write.buried_began_s >= ended_s
            if kept and write.version_id and shown is None:
                self._fail(f"I5 {place}: {write} is not listed at [{began_s:.4f} {ended_s:.4f}]")

    def saw_version(
        self, place: Place, write: Write, etag: str, began_s: float, ended_s: float
    ) -> None:
        """Check what a read of one version by its id returned."""
        if etag and write.buried_s < began_s:
            self._fail(f"I4 {place}: read was {write}, buried at {write.buried_s:.4f}")
        if not etag and write.buried_began_s >= ended_s:
            self._fail(f"I1 {place}: the version of {write} is not there")

    def check_bytes(self, place: Place, etag: str, body: bytes) -> None:
        """Check that a body is what the write of that ETag wrote."""
        for write in self.writes[place]:
            if write.etag == etag:
                if body != content(write.number, write.size):
                    self._fail(f"I3 {place}: wrong bytes for {write}")
                return

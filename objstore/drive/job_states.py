"""What background jobs ask a drive to keep for them, and what they compare drives by.

A drive stores these as it is told and hands them out again in its status, where every process can
read how far a job is; the trees are its own.
"""

import msgspec

from objstore.names import BucketName, ObjectKey
from objstore.ondisk.tree import TreeNode


class TreePage(msgspec.Struct, frozen=True, array_like=True):
    """Nodes of a drive's tree, in order.

    They add up to everything from where the call begins to `next`; without one, to where it ends.
    Every level but 0 has a node that begins where the call does, whatever lies there.
    """

    nodes: tuple[TreeNode, ...]
    next: bytes | None
    trusted: bool


class TreeCheck(msgspec.Struct, frozen=True, array_like=True):
    """A part of a tree was added up anew: `mended` leaves had another sum than they should.

    `next`, when not None, is where to go on.
    """

    next: bytes | None
    entries: int
    mended: int


class Comparison(msgspec.Struct, frozen=True, array_like=True):
    """The last time that a drive's tree was compared with those of its set."""

    started_ms: int
    finished_ms: int
    differences: int = 0  # places that some other drive says something else of
    failed: int = 0  # of which could not be healed
    read_bytes: int = 0  # exchanged with the other drives
    calls: int = 0  # to them
    mended: int = 0  # leaves of the drive's own tree that were wrong


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a background job on a drive is. `finished_ms` 0 means it runs."""

    job: str  # "rebuild", "catch-up" or "heal"
    started_ms: int
    updated_ms: int
    keys_done: int = 0
    keys_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    keys_failed: int = 0
    finished_ms: int = 0


class ScrubState(msgspec.Struct, frozen=True, array_like=True):
    """How far the scrub of a drive is: of the pass under way, and what all passes found.

    `stage` and (bucket, key, order) are where it goes on after a restart. What is found is
    counted by kind: "shard", "shard missing", "shard misplaced", "record", "row", "tree", "upload",
    "name", "journal". `repaired` are those that were looked at again and are whole.
    """

    started_ms: int = 0  # of the pass under way; 0: none is
    updated_ms: int = 0
    stage: str = ""
    bucket: str = ""
    key: str = ""
    order: bytes = b""
    bytes_done: int = 0
    bytes_total: int = 0  # an estimate, of what the drive has in use
    files_done: int = 0
    records_done: int = 0
    found: dict[str, int] = {}
    repaired: int = 0
    unnamed: int = 0  # files that no record names: the reaper's
    foreign: int = 0  # files whose names are not ours: nobody's
    finished_ms: int = 0  # when the last complete pass ended
    passes: int = 0
    bytes_ever: int = 0
    found_ever: dict[str, int] = {}
    repaired_ever: int = 0
    asked: bool = False  # the pass was asked for
    open: int = 0  # findings that are looked at again until they are whole


class Quarantined(msgspec.Struct, frozen=True, array_like=True):
    """A key that cannot be healed now: of some version fewer than k shards can be read."""

    bucket: BucketName
    key: ObjectKey
    reason: str


class Quarantine(msgspec.Struct, frozen=True, array_like=True):
    """How many keys of a set cannot be healed now, as one server found, and some of them."""

    count: int = 0
    looked_ms: int = 0
    some: tuple[Quarantined, ...] = ()

"""What the hash tree of a journal is made of: places, levels, hashes of what lies at a place.

Pure. docs/format/journal.md, "The tree", describes it; docs/adr/0008-comparing-drives.md says why.

A *place* is where something stands in the order of all keys of a drive: `bucket 00 key`. The place
`bucket 00` stands for the bucket's own record and its uploads. The tree cuts the line of places
into nodes: a node of level L begins at each place whose level is L or more, and ends where the next
one begins. A node's value is the sum, modulo 2^64, of the hashes of what lies in it, so the values
of neighbours add up to the value of both.

Two drives of a set that hold the same have the same nodes with the same values, whatever happened
in which order.
"""

import hashlib
from typing import Final

import msgspec
import xxhash

from objstore.limits import TREE_LEAF_LEVEL

LEVEL_BITS: Final = 4  # a node of level L + 1 has 16 nodes of level L, on average
LEVEL_MAX: Final = 64 // LEVEL_BITS
TOTAL_MASK: Final = (1 << 64) - 1

_SEED_BYTES: Final = 8
_PERSON: Final = b"objstore tree 1"


class TreeNode(msgspec.Struct, frozen=True, array_like=True):
    """What lies from `place` to where the next node begins: how many entries, and their sum."""

    place: bytes
    entries: int
    total: int


def place_of(bucket: str, key: bytes = b"") -> bytes:
    """Return the place of a key, or without one that of the bucket itself."""
    return b"%b\0%b" % (bucket.encode(), key)


def split_place(place: bytes) -> tuple[bytes, bytes] | None:
    """Return bucket and key of a place; None when it is none."""
    bucket, nul, key = place.partition(b"\0")
    return (bucket, key) if nul else None


class TreeHash:
    """The hashes of one drive's tree.

    They are keyed by the deployment: who may choose keys cannot choose where nodes begin, nor
    names whose hashes add up to the same. What is damaged or lacks a shard on this drive is hashed
    with the drive's identity, so that it is like nothing on any other drive.
    """

    def __init__(
        self, deployment: str, drive_id: str, *, leaf_level: int = TREE_LEAF_LEVEL
    ) -> None:
        """Take the deployment that the drives of a set share, and the identity of this drive.

        `leaf_level` is the level of the nodes that its journal keeps.
        """
        seed = hashlib.blake2b(deployment.encode(), digest_size=_SEED_BYTES, person=_PERSON)
        self._seed: Final = int.from_bytes(seed.digest(), "big")
        self._drive: Final = drive_id.encode() + b"\0"
        self.leaf_level: Final = leaf_level

    def level(self, place: bytes) -> int:
        """Return the highest level of which a node begins at `place` when something lies there."""
        digest = xxhash.xxh3_64_intdigest(place, self._seed)
        if digest == 0:
            return LEVEL_MAX
        return ((digest & -digest).bit_length() - 1) // LEVEL_BITS

    def begins(self, place: bytes, level: int) -> bool:
        """Whether a node of `level` begins at `place` when something lies there."""
        mask = (1 << LEVEL_BITS * level) - 1
        return not xxhash.xxh3_64_intdigest(place, self._seed) & mask

    def row(self, place: bytes, order: bytes, kind: int, *, lacks_shards: bool) -> int:
        """Return the hash of a row."""
        if lacks_shards:
            return self._hash(b"\2%c%c%b%b%b" % (kind, len(order), order, self._drive, place))
        return self._hash(b"\1%c%c%b%b" % (kind, len(order), order, place))

    def unknown_row(self, place: bytes, order: bytes) -> int:
        """Return the hash of a row that is damaged."""
        return self._hash(b"\3%b%b\0%b" % (self._drive, place, order))

    def bucket(self, place: bytes, stamp: bytes) -> int:
        """Return the hash of a bucket's record."""
        return self._hash(b"\4%b%b" % (stamp, place))

    def unknown_bucket(self, place: bytes) -> int:
        """Return the hash of a bucket's record that is damaged."""
        return self._hash(b"\5%b%b" % (self._drive, place))

    def upload(self, upload_id: str) -> int:
        """Return the hash of an upload that nothing took yet."""
        return self._hash(b"\6%b" % upload_id.encode())

    def part(self, upload_id: str, number: int, stamp: bytes) -> int:
        """Return the hash of the newest part of a number, of an upload that nothing took yet."""
        return self._hash(b"\7%b%b%b" % (number.to_bytes(2, "big"), stamp, upload_id.encode()))

    def _hash(self, data: bytes) -> int:
        return xxhash.xxh3_64_intdigest(data, self._seed)

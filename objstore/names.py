"""Names and small values that cross layers, each a distinct type so they cannot be swapped."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NewType

BucketName = NewType("BucketName", str)
# Valid UTF-8, 1 to 1,024 bytes, no NUL. Python's order of str is UTF-8's byte order.
ObjectKey = NewType("ObjectKey", str)
UploadId = NewType("UploadId", str)
# A drive's identity: 32 lower-case hex digits, drawn when the drive is formatted.
DriveId = NewType("DriveId", str)
# 16 random bytes that name the shards of one part of one version (all slots share it).
DataId = NewType("DataId", bytes)
# 16 bytes whose byte order is the order of versions; see versions/hlc.py.
Stamp = NewType("Stamp", bytes)
# A stamp and the two-byte revision of its encoding (re-coding a version to another scheme
# keeps the stamp): names one row of one key.
Order = NewType("Order", bytes)

STAMP_BYTES: Final = 16
ORDER_BYTES: Final = STAMP_BYTES + 2
NO_UPLOAD: Final = UploadId("")
STANDARD: Final = "STANDARD"
REDUCED_REDUNDANCY: Final = "REDUCED_REDUNDANCY"  # less parity, where a set has parity to spare
STORAGE_CLASSES: Final = (STANDARD, REDUCED_REDUNDANCY)
NO_STAMP: Final = Stamp(bytes(STAMP_BYTES))


class Kind(IntEnum):
    """What a record says about its key."""

    OBJECT = 0
    DELETE_MARKER = 1  # the newest version of a versioned key is "deleted"
    TOMBSTONE = 2  # the key (or version) is gone; kept until every slot knows


@dataclass(frozen=True, slots=True)
class Scheme:
    """(k, m): k data shards and m parity shards, N = k + m."""

    k: int
    m: int

    def __post_init__(self) -> None:
        assert self.k >= 1
        assert self.m >= 0

    @property
    def slots(self) -> int:
        """N, the number of shards and so of slots."""
        return self.k + self.m

    def __str__(self) -> str:
        return f"{self.k} + {self.m}"


def shard_letter(scheme: Scheme, shard: int) -> str:
    """Name a shard as people draw it: data shards A, B, C ..., parity P, Q, R ..."""
    assert 0 <= shard < scheme.slots
    if shard < scheme.k:
        return "ABCDEFGHIJKLMNO"[shard] if scheme.k < 16 else f"D{shard + 1}"
    return "PQRSTUVW"[shard - scheme.k] if scheme.m <= 8 else f"P{shard - scheme.k + 1}"


def order_of(stamp: Stamp, revision: int) -> Order:
    """Return the order of `revision` of the version stamped `stamp`."""
    assert len(stamp) == STAMP_BYTES
    return Order(stamp + revision.to_bytes(2, "big"))

"""Names and small values that cross layers, each a distinct type so they cannot be swapped."""

from dataclasses import dataclass
from enum import Enum, IntEnum
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
# A stamp, the two-byte revision of the version and the stamp of the edit that made the revision, if
# one did (an edit of tags or a re-coding keeps the version's stamp): names one row of one key.
Order = NewType("Order", bytes)
# How S3 names a version: "" the current one, "null", or 32 hex digits; see versions/hlc.py.
VersionId = NewType("VersionId", str)

STAMP_BYTES: Final = 16
NO_UPLOAD: Final = UploadId("")
STANDARD: Final = "STANDARD"
REDUCED_REDUNDANCY: Final = "REDUCED_REDUNDANCY"  # less parity, where a set has parity to spare
STORAGE_CLASSES: Final = (STANDARD, REDUCED_REDUNDANCY)
NO_STAMP: Final = Stamp(bytes(STAMP_BYTES))
NO_EDIT: Final = Stamp(b"")
NO_ORDER: Final = Order(b"")  # below every order
CURRENT: Final = VersionId("")
NULL: Final = VersionId("null")
# The revision of a tombstone that buries one version: above every revision there can be.
REVISION_LAST: Final = 0xFFFF


class Kind(IntEnum):
    """What a record says about its key."""

    OBJECT = 0
    DELETE_MARKER = 1  # the newest version of a versioned key is "deleted"
    TOMBSTONE = 2  # the key, or one version of it, is gone; kept until every slot knows


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


class Versioning(Enum):
    """Whether a bucket keeps what a write replaces; the values are S3's."""

    OFF = ""
    ENABLED = "Enabled"
    SUSPENDED = "Suspended"


def order_of(stamp: Stamp, revision: int, edit: Stamp = NO_EDIT) -> Order:
    """Return the order of `revision` of the version stamped `stamp`.

    Two edits that raced may have drawn the same revision; the stamps of the edits tell them apart.
    """
    assert len(stamp) == STAMP_BYTES
    return Order(stamp + revision.to_bytes(2, "big") + edit)


def stamp_of(order: Order) -> Stamp:
    """Return the stamp of the version whose row `order` names."""
    return Stamp(order[:STAMP_BYTES])


def made_under(order: Order) -> Stamp:
    """Return the stamp under which a row was made: that of its edit, or of its version."""
    return Stamp(order[STAMP_BYTES + 2 :]) or stamp_of(order)

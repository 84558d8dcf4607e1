"""Every small call a drive answers, as a value: what travels to a drive, near or far.

A call is an `Op[R]`; `R` is what it returns. Ops that change the journal are applied in groups,
one transaction and one fsync for many; each is atomic by itself: it either does all of what it
says or raises and leaves the journal as it was. All are safe to repeat.

Sealed records (`bytes`) are those of ondisk/record.py.
"""

from enum import IntEnum
from typing import Generic, TypeVar

import msgspec

from objstore.drive.job_states import (
    Comparison,
    Progress,
    Quarantine,
    ScrubState,
    TreeCheck,
    TreePage,
)
from objstore.names import (
    NO_ORDER,
    BucketName,
    DataId,
    Kind,
    ObjectKey,
    Order,
    Stamp,
    UploadId,
)

R = TypeVar("R")


class Op(msgspec.Struct, Generic[R], frozen=True, tag=True, array_like=True):
    """A call to a drive that returns `R`."""


# --- what calls return ---------------------------------------------------------------


class Committed(msgspec.Struct, frozen=True, array_like=True):
    """A commit is durable. `superseded` says that older rows of the key wait for Settle.

    `lacks` are the parts of the upload it completes of which this drive has not all its shards.
    """

    superseded: bool
    lacks: tuple[int, ...] = ()


class KeyState(msgspec.Struct, frozen=True, array_like=True):
    """What a drive holds of one key.

    `records` are sealed, newest first. `unknown` counts rows that fail their checksum; `damaged`
    are their orders: a rotten index may give a wrong one, an older objstore gives none. Not
    `trusted` means that this drive lost records it once acknowledged (it was replaced, or its
    journal was rebuilt, and its rebuild is not complete): what it has counts, what it lacks is
    unknown. `more` says that there are older rows.

    `emptied_ms` is when it was put in a place that others had filled before, by its server's clock;
    0: never, or nobody knows. It stays when the drive is trusted again: a rebuild brings what can
    be read, and so says nothing of an older version of which too little is left.
    """

    records: tuple[bytes, ...]
    unknown: int
    trusted: bool
    more: bool = False
    emptied_ms: int = 0
    damaged: tuple[Order, ...] = ()


class KeyEntry(msgspec.Struct, frozen=True, array_like=True):
    """One row of one key, as a listing needs it."""

    key: ObjectKey
    order: Order
    kind: Kind
    size: int
    etag: str
    modified_ms: int
    storage_class: str = "STANDARD"
    checksum: str = ""  # algorithm names, comma separated
    checksum_type: str = ""
    degraded: bool = False  # this drive lacks a shard file that its record names
    null_version: bool = True
    owner: str = ""


class KeyPage(msgspec.Struct, frozen=True, array_like=True):
    """Entries in byte order of key.

    With a delimiter, keys that share a prefix up to it are one entry of `prefixes`:
    (the common prefix, its first live entry on this drive). `next_after`, when not None, is
    where to go on: this page says everything about keys up to and including it.
    """

    entries: tuple[KeyEntry, ...]
    prefixes: tuple[tuple[str, KeyEntry], ...]
    next_after: str | None
    trusted: bool


class VersionPage(msgspec.Struct, frozen=True, array_like=True):
    """Versions in byte order of key, of one key newest first.

    Prefixes as in a KeyPage, with any version as the witness. `next_after`, when not None, is
    where to go on: this page says everything up to and including that row, or that prefix (whose
    order is empty).
    """

    entries: tuple[KeyEntry, ...]
    prefixes: tuple[tuple[str, KeyEntry], ...]
    next_after: tuple[str, Order] | None
    trusted: bool


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What a bucket holds on a drive. Sizes are before encoding."""

    objects: int  # keys whose current version is an object
    object_bytes: int
    versions: int  # objects and delete markers, current or not
    version_bytes: int
    trusted: bool


class BucketPage(msgspec.Struct, frozen=True, array_like=True):
    """All buckets this drive knows, tombstones too, sealed."""

    records: tuple[bytes, ...]
    trusted: bool


class UploadState(msgspec.Struct, frozen=True, array_like=True):
    """An upload and its parts on this drive, sealed. `upload` is None when it is not known."""

    upload: bytes | None
    parts: tuple[bytes, ...]
    trusted: bool


class UploadPage(msgspec.Struct, frozen=True, array_like=True):
    """Sealed uploads ordered by (key, upload id)."""

    uploads: tuple[bytes, ...]
    truncated: bool
    trusted: bool


class Missed(msgspec.Struct, frozen=True, array_like=True):
    """A version that some slots of its set did not get."""

    bucket: BucketName
    key: ObjectKey
    order: Order
    slots: tuple[int, ...]
    since_ms: int
    size: int


class MissedPage(msgspec.Struct, frozen=True, array_like=True):
    """Missed versions ordered by (bucket, key)."""

    entries: tuple[Missed, ...]


class Tombstone(msgspec.Struct, frozen=True, array_like=True):
    """A tombstone on this drive."""

    bucket: BucketName
    key: ObjectKey
    order: Order


class TombstonePage(msgspec.Struct, frozen=True, array_like=True):
    """Tombstones ordered by (bucket, key, order)."""

    entries: tuple[Tombstone, ...]


class DriveStatus(msgspec.Struct, frozen=True, array_like=True):
    """A drive at one moment."""

    total_bytes: int
    free_bytes: int
    trusted: bool
    objects: int  # live keys
    object_bytes: int  # their sizes, before encoding
    missed: int  # rows in its table of missed versions
    missed_bytes: int
    missed_since_ms: int  # the oldest, 0 when there is none
    progress: Progress | None = None
    heal_requested_ms: int = 0
    scrub: ScrubState | None = None
    scrub_requested_ms: int = 0
    scrub_full_speed: bool = False
    quarantine: Quarantine | None = None
    journal_damage: str = ""  # why its journal is about to be made anew; it counts as not trusted
    comparison: Comparison | None = None
    compare_requested_ms: int = 0
    forgotten: int = 0  # tombstones that its set forgot, as far as it knows of all of them


# --- versions ------------------------------------------------------------------------


class CommitMode(IntEnum):
    """How a record takes its place.

    ORDERED: a new write. Refused with Superseded unless its stamp is above every stamp the drive
    holds for the key. MERGE: a straggler or a healer. It takes its place in the order, which may
    be an older one; a row of the same order is replaced. REVISED: a new revision of a version, made
    from the revision `base`. Refused with Superseded when the drive holds a later one.
    """

    ORDERED = 0
    MERGE = 1
    REVISED = 2


class Commit(Op[Committed], frozen=True, array_like=True):
    """Make `record` durable.

    In one transaction: check the order, remove the row `instead_of` (an earlier try of the same
    write with a lower stamp), insert. Older rows stay until Settle. With `instead_of`, shard files
    have to be there: they went if another write retired the earlier try. `completes` names the
    multipart upload whose parts the record takes: it must be known here, its parts' shard files
    decide `missing_parts` of the held shards (the drive fills them in), and the upload is marked
    as taken by this order, so that no other Complete and no Abort can have it.

    `not_above` makes the write conditional: it is refused with Superseded when the drive holds a
    row of the key above that order, and with DriveRefusal by a drive that is not trusted, which may
    have lost such a row.

    Raises: Superseded, BucketMissing, UploadMissing, ShardMissing.
    """

    record: bytes
    mode: CommitMode = CommitMode.ORDERED
    instead_of: Order | None = None
    completes: UploadId | None = None
    base: Order | None = None
    not_above: Order | None = None


class Undo(Op[None], frozen=True, array_like=True):
    """Remove the row of exactly this order, its shard files, and its mark on an upload."""

    bucket: BucketName
    key: ObjectKey
    order: Order


class Settle(Op[None], frozen=True, array_like=True):
    """The row of this order reached its quorum: retire what it superseded.

    Older null-version rows of the key go, their shard files with them; an upload marked by this
    order goes, the shards of parts it did not take too. `missed` slots are remembered.
    """

    bucket: BucketName
    key: ObjectKey
    order: Order
    missed: tuple[int, ...] = ()
    size: int = 0


class Forget(Op[None], frozen=True, array_like=True):
    """Remove the tombstone of exactly this order: every slot has it.

    `number` counts what the set forgot, this included. A drive that knows of all before it takes
    note of the number; one that missed some keeps its own (`DriveStatus.forgotten`).
    """

    bucket: BucketName
    key: ObjectKey
    order: Order
    number: int = 0


class ReadKey(Op[KeyState], frozen=True, array_like=True):
    """Read up to `limit` rows of one key, newest first; tombstones do not count.

    `stamp` reads the revisions of one version; `nulls` reads null versions only; `below` goes on
    where an earlier answer ended.
    """

    bucket: BucketName
    key: ObjectKey
    limit: int = 4
    stamp: Stamp | None = None
    nulls: bool = False
    below: Order | None = None


class ListKeys(Op[KeyPage], frozen=True, array_like=True):
    """List the row that counts of each key with `prefix` that is above `after` (exclusive).

    That is the newest one that no tombstone hides, or the newest tombstone. At most `limit` entries
    and prefixes together. Without a delimiter tombstones are listed too: they hide older rows of
    other drives. With one, a tombstone directly at this level is listed too, and a common prefix is
    listed when it has a live key on this drive; when `after` ends with the delimiter and lies
    within a common prefix, that prefix is skipped whole.
    """

    bucket: BucketName
    prefix: str = ""
    after: str = ""
    delimiter: str = ""
    limit: int = 1000


class ListVersions(Op[VersionPage], frozen=True, array_like=True):
    """List the versions, delete markers too, of keys with `prefix`, as this drive sees them.

    Those above `after` (exclusive); with an empty order that is after all rows of that key.
    `after_key` that ends with the delimiter passes over the common prefix, as in ListKeys.
    """

    bucket: BucketName
    prefix: str = ""
    after_key: str = ""
    after_order: Order = NO_ORDER
    delimiter: str = ""
    limit: int = 1000


class ReadUsage(Op[Usage], frozen=True, array_like=True):
    """Read what a bucket holds."""

    bucket: BucketName


# --- buckets -------------------------------------------------------------------------


class PutBucket(Op[None], frozen=True, array_like=True):
    """Store a bucket's record if its stamp is newer than the one held; else raise Superseded.

    A record with `deleted` is refused with BucketNotEmpty while this drive holds a version or an
    upload of the bucket, unless `force` (a healer, which repeats what a quorum decided). With
    `base`, the record was made from the one of that stamp: Superseded when a later one is held.
    """

    record: bytes
    force: bool = False
    base: Stamp | None = None


class ReadBucket(Op[BucketPage], frozen=True, array_like=True):
    """Read one bucket: a page of none or one."""

    name: BucketName


class ListBuckets(Op[BucketPage], frozen=True, array_like=True):
    """Read every bucket."""


# --- uploads -------------------------------------------------------------------------


class PutUpload(Op[None], frozen=True, array_like=True):
    """Store an upload. Raises BucketMissing."""

    record: bytes


class PutPart(Op[None], frozen=True, array_like=True):
    """Store a part whose shard files are durable, unless a newer stamp of the number is held.

    What it replaces stays until the upload ends. Raises UploadMissing.
    """

    record: bytes
    shards: tuple[int, ...]  # the shard indexes that lie on this drive


class ReadUpload(Op[UploadState], frozen=True, array_like=True):
    """Read an upload with its newest part per number, in order of number."""

    upload_id: UploadId
    after_part: int = 0
    limit: int = 10_000


class ListUploads(Op[UploadPage], frozen=True, array_like=True):
    """List uploads of a bucket above (after_key, after_upload)."""

    bucket: BucketName
    prefix: str = ""
    after_key: str = ""
    after_upload: str = ""
    limit: int = 1000


class AbortUpload(Op[None], frozen=True, array_like=True):
    """Forget an upload and its parts' shards. Raises UploadMissing, also when it is taken."""

    upload_id: UploadId


# --- shards, healing, state ----------------------------------------------------------


class DiscardShards(Op[None], frozen=True, array_like=True):
    """Remove shard files (data id, part number, shard) that no record names."""

    shards: tuple[tuple[DataId, int, int], ...]


class VerifyShard(Op[None], frozen=True, array_like=True):
    """Read a shard file whole and check every block. Raises ShardMissing, ShardCorrupt."""

    data_id: DataId
    part: int
    shard: int


class ListMissed(Op[MissedPage], frozen=True, array_like=True):
    """List missed versions above (after_bucket, after_key)."""

    after_bucket: str = ""
    after_key: str = ""
    limit: int = 1000


class ClearMissed(Op[None], frozen=True, array_like=True):
    """`slots` have the version, or a newer one: take them off the note, if it is up to `order`.

    A note without slots left goes.
    """

    bucket: BucketName
    key: ObjectKey
    order: Order
    slots: tuple[int, ...]


class ListTombstones(Op[TombstonePage], frozen=True, array_like=True):
    """List tombstones stamped before `before`, above (after_bucket, after_key, after_order)."""

    before: Stamp
    after_bucket: str = ""
    after_key: str = ""
    after_order: Order = NO_ORDER
    limit: int = 1000


class ReadStatus(Op[DriveStatus], frozen=True, array_like=True):
    """Measure the drive."""


class WriteProgress(Op[None], frozen=True, array_like=True):
    """Store the progress of the drive's job; `trusted` True ends a rebuild."""

    progress: Progress
    trusted: bool | None = None


class ReadTree(Op[TreePage], frozen=True, array_like=True):
    """Read nodes of the tree from the place `begin` to the place `end` (empty: to the end).

    Of level 0 that is one node for every place with something. Places and nodes are those of
    ondisk/tree.py; docs/format/journal.md says what is added up.
    """

    level: int
    begin: bytes = b""
    end: bytes = b""
    limit: int = 1000


class CheckTree(Op[TreeCheck], frozen=True, array_like=True):
    """Add up the tree anew from the leaf of `begin` on, over some `limit` entries, and mend it."""

    begin: bytes = b""
    limit: int = 4096


class WriteComparison(Op[None], frozen=True, array_like=True):
    """Store what a comparison of the drive came to.

    `forgotten`: it holds exactly what a drive does that knows of so many tombstones forgotten.
    """

    comparison: Comparison
    forgotten: int = 0


class RequestCompare(Op[None], frozen=True, array_like=True):
    """Ask the background process that owns this drive to compare its tree soon."""

    requested_ms: int


class RequestHeal(Op[None], frozen=True, array_like=True):
    """Ask the background process that owns this drive to compare and heal all of it."""

    requested_ms: int


class WriteScrub(Op[None], frozen=True, array_like=True):
    """Store how far the scrub of this drive is."""

    state: ScrubState


class RequestScrub(Op[None], frozen=True, array_like=True):
    """Ask the background process that owns this drive to begin a scrub now.

    At full speed it does not pause but for what clients ask of the drive.
    """

    requested_ms: int
    full_speed: bool = False


class WriteQuarantine(Op[None], frozen=True, array_like=True):
    """Store which keys of the drive's set cannot be healed now."""

    quarantine: Quarantine


AnyOp = (
    Commit
    | Undo
    | Settle
    | Forget
    | ReadKey
    | ListKeys
    | ListVersions
    | ReadUsage
    | PutBucket
    | ReadBucket
    | ListBuckets
    | PutUpload
    | PutPart
    | ReadUpload
    | ListUploads
    | AbortUpload
    | DiscardShards
    | VerifyShard
    | ListMissed
    | ClearMissed
    | ListTombstones
    | ReadStatus
    | WriteProgress
    | RequestHeal
    | WriteScrub
    | RequestScrub
    | WriteQuarantine
    | ReadTree
    | CheckTree
    | WriteComparison
    | RequestCompare
)

# What each op returns, for whoever has to decode an answer. Total, as the assertion says.
RESULTS: dict[type[AnyOp], object] = {
    Commit: Committed,
    Undo: None,
    Settle: None,
    Forget: None,
    ReadKey: KeyState,
    ListKeys: KeyPage,
    ListVersions: VersionPage,
    ReadUsage: Usage,
    PutBucket: None,
    ReadBucket: BucketPage,
    ListBuckets: BucketPage,
    PutUpload: None,
    PutPart: None,
    ReadUpload: UploadState,
    ListUploads: UploadPage,
    AbortUpload: None,
    DiscardShards: None,
    VerifyShard: None,
    ListMissed: MissedPage,
    ClearMissed: None,
    ListTombstones: TombstonePage,
    ReadStatus: DriveStatus,
    WriteProgress: None,
    RequestHeal: None,
    WriteScrub: None,
    RequestScrub: None,
    WriteQuarantine: None,
    ReadTree: TreePage,
    CheckTree: TreeCheck,
    WriteComparison: None,
    RequestCompare: None,
}
assert set(RESULTS) == set(AnyOp.__args__)

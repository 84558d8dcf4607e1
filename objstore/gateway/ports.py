"""What the gateway needs from below to speak about the cluster: its health, and its state.

The documents of `/.objstore/health` and `/.objstore/admin/v1/` are these structs as JSON; the
command line reads the same structs back. Fields are only ever appended, with defaults.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from objstore.engine.ports import Location
from objstore.names import BucketName, ObjectKey, Scheme
from objstore.quorum.thresholds import degraded_scheme, write_quorum, write_quorum_least

# What the operator's routes begin with: `info`, `heal`, `locate`, `scrub`, `usage`.
ADMIN_PREFIX: Final = "/.objstore/admin/v1/"


class SetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One set as this server sees it now. Counts are of slots, not of drives."""

    pool: int
    index: int
    data: int  # k of the set's scheme
    slots: int
    online: int  # on a drive that answers
    trusted: int  # online, and what they do not hold counts as absent
    write_quorum: int
    read_quorum: int
    healing_drives: int = 0
    local: int = 0  # online slots that this very server holds
    writable: int | None = None  # online, and not full or read-only; None: all that are online
    local_trusted: int | None = None  # of `local`; None: all
    local_writable: int | None = None
    alone: bool = False  # by the witness's leave this server's slots alone acknowledge writes
    unheard: str = ""  # why a server that may have written alone can not be asked; "": none is
    other_goes_on: bool | None = None  # alone, if this one stopped; None: there is no witness

    @property
    def count_writable(self) -> int:
        """Slots that take new data."""
        return self.online if self.writable is None else self.writable

    @property
    def majority(self) -> int:
        """Slots that a deletion needs, or a change of a bucket: every one holds all of it."""
        return write_quorum_least(self.slots)

    def write_quorum_with(self, writable: int) -> int:
        """Return W while so many slots take new data: a write takes more parity for the others."""
        whole = Scheme(self.data, self.slots - self.data)
        return write_quorum(degraded_scheme(whole, self.slots - writable))

    def can_write(self) -> bool:
        """Tell whether a write finds its quorum."""
        return not self.unheard and (self.alone or self.count_writable >= self.write_quorum)

    def can_read(self) -> bool:
        """Tell whether a fresh read finds its quorum, and k shards to decode."""
        enough = self.online >= self.data and self.trusted >= self.read_quorum
        return enough and not self.unheard

    def without_this_server(self) -> "SetStatus":
        """Return what would be left if this very server stopped."""
        trusted = self.local if self.local_trusted is None else self.local_trusted
        writable = self.local if self.local_writable is None else self.local_writable
        left = self.count_writable - writable
        return msgspec.structs.replace(
            self,
            online=self.online - self.local,
            trusted=self.trusted - trusted,
            writable=left,
            write_quorum=self.write_quorum_with(left),
            local=0,
            local_trusted=0,
            local_writable=0,
            alone=self.other_goes_on is True,
            unheard="the witness lets no other server go on alone"
            if self.other_goes_on is False
            else self.unheard,
        )


class OperationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a family of operations works for every key; `why` has a sentence per reason."""

    name: str
    covers: str
    works: bool
    why: tuple[str, ...] = ()


class WitnessInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the witness says of two servers, as one of them knows it."""

    answers: bool  # it answered when it was asked last
    confirmed: bool  # what it said last still holds
    asked: str  # the server that tells
    reason: str = ""  # why it does not answer
    epoch: int = 0
    mode: str = ""  # "whole", "solo" or "returning"; "": nothing is known
    server: str = ""  # that writes alone, or did
    other: str = ""  # the other one
    since_ms: int = 0  # when the server that tells first heard of it
    objects_done: int = 0  # keys compared on the drives of the one that returns
    objects_total: int = 0


class ClusterStatus(Protocol):
    """What this server knows about the sets, answered at once from what it already observed."""

    def ready(self) -> bool:
        """Tell whether start-up is over: drives were opened and requests can be served."""
        ...

    def sets(self) -> Sequence[SetStatus]:
        """Every set of every pool."""
        ...

    def witness(self) -> WitnessInfo | None:
        """What the witness says; None without one."""
        ...


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far the rebuild or catching up of one drive has come."""

    objects_done: int
    objects_total: int  # 0 while it is not known yet
    bytes_done: int = 0
    objects_per_s: float = 0.0
    bytes_per_s: float = 0.0
    remaining_s: float | None = None


class ScrubInfo(msgspec.Struct, frozen=True, kw_only=True):
    """How far the scrub of one drive is; docs/operating/scrub.md has the words."""

    under_way: bool = False
    asked: bool = False  # by `admin scrub`; else the pass began by itself
    waiting: bool = False  # one was asked for and has not begun
    started_ms: int = 0
    stage: str = ""
    bytes_done: int = 0
    bytes_total: int = 0  # an estimate
    files_done: int = 0
    records_done: int = 0
    found: dict[str, int] = {}  # by kind, in this pass or the last one
    repaired: int = 0
    unnamed: int = 0  # files that no record names: the reaper's
    foreign: int = 0  # files under names that are not ours
    finished_ms: int = 0  # when the last complete pass ended; 0: none did
    passes: int = 0
    bytes_ever: int = 0
    found_ever: dict[str, int] = {}
    repaired_ever: int = 0
    open: int = 0  # found, and not seen whole again yet


class QuarantinedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of which some version can not be read or healed now; nothing of it is removed."""

    bucket: str
    key: str
    reason: str


class ComparisonInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the last comparison of a drive's tree with those of its set came to."""

    finished_ms: int
    seconds: float
    differences: int  # places where some other drive had something else
    failed: int  # of which could not be healed
    read_bytes: int  # exchanged with other drives
    mended: int  # leaves of its tree that were wrong


class DriveInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One drive."""

    server: str  # "host:port", "" for a purely local layout
    path: str
    pool: int
    set_index: int
    slots: tuple[int, ...]
    state: str  # "online", "offline", "rebuilding", ...
    reason: str = ""  # why, when it is not simply online
    total_bytes: int = 0
    free_bytes: int = 0
    trusted: bool = True
    objects: int = 0
    missed: int = 0  # notes it keeps of versions that other drives of its set missed
    progress: Progress | None = None
    object_bytes: int = 0  # before encoding
    missed_bytes: int = 0  # of the noted versions, before encoding
    missed_since_ms: int = 0  # the oldest note; 0: none
    scrub: ScrubInfo | None = None  # None: the drive was never asked
    comparison: ComparisonInfo | None = None


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One server."""

    address: str
    state: str
    reason: str = ""
    version: str = ""
    uptime_s: float = 0.0
    configuration: str = ""  # a short hash: servers that show the same one are configured alike
    clock_ahead_ms: int = 0  # of the server that answers


class SetInfo(msgspec.Struct, frozen=True, kw_only=True):
    """One set with what it can do now."""

    pool: int
    index: int
    scheme: str  # "3 + 1"
    slots: int
    online: int
    trusted: int
    write_quorum: int
    read_quorum: int
    can_read: bool
    can_write: bool
    healing_drives: int = 0
    degraded: int = 0  # versions noted as missing on a slot: as many as one drive of it knows of
    degraded_bytes: int = 0  # before encoding
    degraded_since_ms: int = 0  # the oldest; 0: none
    quarantined: int = 0  # keys that can not be healed now: fewer than k shards can be read
    quarantined_keys: tuple[QuarantinedKey, ...] = ()  # some of them


class CertificateInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate that a port of this server shows."""

    port: str  # "s3" or "internal"
    names: tuple[str, ...]
    expires_in_s: float  # negative once it has expired


class ClusterInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The whole cluster as one server sees it."""

    deployment: str
    servers: tuple[ServerInfo, ...]
    drives: tuple[DriveInfo, ...]
    sets: tuple[SetInfo, ...]
    healing: bool = False  # a full comparison that `heal` began is waiting or running
    server: str = ""  # the one that answers
    operations: tuple[OperationStatus, ...] = ()
    certificates: tuple[CertificateInfo, ...] = ()  # of the server that was asked
    witness: WitnessInfo | None = None  # None: the setting is off
    comparing: bool = False  # a comparison that `compare` asked for is waiting or running


class BucketInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What one bucket holds; sizes are before encoding."""

    name: str
    owner: str  # canonical id
    versioning: str  # "", "Enabled" or "Suspended"
    objects: int
    object_bytes: int
    versions: int
    version_bytes: int


class UsageInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What all buckets hold."""

    buckets: tuple[BucketInfo, ...]


class Admin(Protocol):
    """What an operator may ask and order."""

    async def info(self) -> ClusterInfo:
        """Report servers, drives and sets, with progress where a drive is being healed."""
        ...

    async def heal(self) -> None:
        """Begin a full comparison and repair of all drives; returns once it has begun."""
        ...

    async def scrub(self, *, full_speed: bool) -> None:
        """Begin a pass of the scrub on all drives; returns once they know of it.

        Raises:
            QuorumError: no drive could be asked.
        """
        ...

    async def compare(self) -> None:
        """Begin to compare the trees of all drives, and to heal what differs.

        Returns once that is asked for.

        Raises:
            QuorumError: no drive could be asked.
        """
        ...

    async def usage(self) -> UsageInfo:
        """Count what every bucket holds.

        Raises:
            QuorumError: too few slots answer to tell.
        """
        ...

    async def locate(self, bucket: BucketName, key: ObjectKey) -> Location:
        """Find every shard of the newest version of an object.

        Raises:
            RequestRefused: NoSuchBucket or NoSuchKey.
        """
        ...


class ShardDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One shard of a located object."""

    shard: int
    letter: str
    server: str
    drive: str
    slot: int
    state: str


class LocationDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A located object, as JSON carries it."""

    bucket: str
    key: str
    size: int
    etag: str
    stamp: str
    modified_ms: int
    scheme: str
    parts: int
    pool: int
    set_index: int
    shards: tuple[ShardDocument, ...]


class HealthDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`/.objstore/health`: what works now, set by set."""

    ready: bool
    can_read: bool
    can_write: bool
    sets: tuple[SetStatus, ...]
    operations: tuple[OperationStatus, ...] = ()
    # With ?maintenance=true: what would work if this very server were stopped.
    without_this_server: tuple[OperationStatus, ...] = ()
    epoch: str = ""  # with a witness: who may write alone, in words
    witness_answers: bool | None = None  # None: the setting is off


def describe_location(location: Location) -> LocationDocument:
    """Reduce a location to what a person, or a script, wants to see."""
    version = location.version
    return LocationDocument(
        bucket=location.bucket,
        key=location.key,
        size=version.size,
        etag=version.etag,
        stamp=version.stamp.hex(),
        modified_ms=version.modified_ms,
        scheme=str(version.scheme),
        parts=len(version.parts),
        pool=location.pool,
        set_index=location.set_index,
        shards=tuple(
            ShardDocument(
                shard=place.shard,
                letter=place.letter,
                server=place.server,
                drive=place.drive,
                slot=place.slot,
                state=place.state,
            )
            for place in location.shards
        ),
    )

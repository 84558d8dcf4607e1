"""Decide about the versions of a key, and which one answers a read, from what its drives said.

A version is acknowledged when W slots committed it, W by the scheme it was written with. With
`holders` slots known to have it and `unknown` slots that may have it:

    holders >= W              it is acknowledged
    holders + unknown < W     it never was: an older one answers
    otherwise                 it may be: it answers if k of its shards are there, and nothing
                              does if they are not

A version that a server wrote alone (`solo_slots`, ADR 7) is acknowledged by its slots too.

A slot is unknown for a version when its drive did not answer, or answered without it but has
lost records it once acknowledged (not trusted), or holds rows that fail their checksum.

A version of which fewer than k shards are there is weighed more closely, as it keeps its whole key
from being read. What was written after a drive took its place (`emptied_ms`) it did not lose, be it
trusted or not; what is older it may have lost, trusted or not: a rebuild brings what can be read,
and says nothing about the rest. Of a version that can be read neither is asked: bringing it to all
drives is right whether it was acknowledged or not, and depends on no clock.

Drives are heard at different moments. One that was heard after a newer version had retired this
one does not show it any more, and another that was heard before may not show the newer one yet:
then neither has W holders, although one of them was acknowledged all the time. Where that is
possible the answers are `moving`, and the reader has to ask again (engine/resolve.py).

Because writes while drives are away use schemes with a smaller W, "there is nothing newer"
needs the smallest W that any scheme of N slots has (docs/adr/0002-read-quorum.md), and a slot of
every server that may have written alone.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import partial

from objstore.limits import CLOCK_DRIFT_SECONDS_MAX
from objstore.names import NO_ORDER, NO_STAMP, Kind, Order, made_under, stamp_of
from objstore.ondisk.record import HeldShard, Record, Version
from objstore.quorum.thresholds import is_acknowledged, write_quorum_least
from objstore.versions.hlc import wall_ms_of
from objstore.versions.visible import supersedes


@dataclass(frozen=True, slots=True)
class DriveAnswer:
    """What one drive said of one key: records newest first, and how far its word goes.

    `unknown` counts the rows that cannot be read; `damaged` are the orders of those, as KeyState
    has them, that fail their checksum.
    """

    records: tuple[Record, ...]
    unknown: int = 0
    trusted: bool = True
    floor: Order | None = None  # rows below it were not read
    emptied_ms: int = 0  # as in KeyState
    damaged: tuple[Order, ...] = ()

    def find(self, order: Order) -> Record | None:
        """Return the record of this order, if the drive has it."""
        for record in self.records:
            if record.version.order == order:
                return record
        return None

    def has_retired(self, version: Version) -> bool:
        """Whether it has something that takes this version's place."""
        return any(supersedes(record.version, version) for record in self.records)

    def may_have_lost(self, order: Order) -> bool:
        """Whether a row is so old that what was in the drive's place before may have had it."""
        if not self.emptied_ms:
            return not self.trusted
        made_ms = wall_ms_of(made_under(order))
        return made_ms <= self.emptied_ms + CLOCK_DRIFT_SECONDS_MAX * 1000

    def ends_above(self, order: Order) -> bool:
        """Whether the rows that were read end before this order's place."""
        return self.floor is not None and order < self.floor


@dataclass(frozen=True, slots=True)
class Source:
    """A shard of the chosen version and the drive (index within the set) that holds it."""

    drive: int
    held: HeldShard


class Outcome(Enum):
    """What the answers so far allow."""

    FOUND = auto()
    ABSENT = auto()
    UNDECIDED = auto()


@dataclass(frozen=True, slots=True)
class Choice:
    """The decision. `acknowledged` is certain; FOUND without it means "may be".

    `skipped` are newer versions that were never acknowledged; `newest` is the newest row of the key
    that counts or buries; `reason` says why UNDECIDED. `moving`: the key may have been written
    while its drives were heard, so the decision holds only if they say the same once more.
    `tombstone` is the newest that buries what it stands above. It may be of a deletion that is not
    acknowledged and may yet be taken back: whoever answers for a deletion may not rest on it.
    """

    outcome: Outcome
    version: Version | None = None
    sources: Mapping[int, Source] | None = None  # shard -> where it is
    acknowledged: bool = False
    skipped: tuple[Order, ...] = ()
    reason: str = ""
    newest: Order = NO_ORDER
    moving: bool = False
    tombstone: Version | None = None


SoloGroups = Collection[frozenset[int]]


def choose(
    answers: Mapping[int, DriveAnswer],
    slots_of_drive: Sequence[tuple[int, ...]],
    solo_groups: SoloGroups = (),
    *,
    stale: bool = False,
) -> Choice:
    """Decide which version is current; a drive without an entry has not answered.

    `solo_groups` are the drives of each server that may have acknowledged writes alone. `stale`:
    what answers is taken for all there is; something newer may be where nobody answers.

    FOUND is an object or a delete marker; a key whose every version was buried is ABSENT.

    More answers can turn UNDECIDED into a decision and "may be" into certainty; they never turn
    FOUND with `acknowledged`, or ABSENT, into anything else (a write that is acknowledged
    meanwhile apart).
    """
    return current(decide(answers, slots_of_drive, solo_groups, stale=stale))


def current(choices: Iterable[Choice]) -> Choice:
    """Return the decision about the current version, of those about every version."""
    newest = NO_ORDER
    acknowledged = True
    tombstone: Version | None = None
    for choice in choices:
        newest = newest or choice.newest
        acknowledged = acknowledged and choice.acknowledged
        buried = choice.version is not None and choice.version.kind is Kind.TOMBSTONE
        if choice.outcome is not Outcome.FOUND or not buried:
            return replace(choice, newest=newest, acknowledged=acknowledged, tombstone=tombstone)
        tombstone = tombstone or choice.version
    raise AssertionError  # the last choice is none of a version


def decide(
    answers: Mapping[int, DriveAnswer],
    slots_of_drive: Sequence[tuple[int, ...]],
    solo_groups: SoloGroups = (),
    *,
    stale: bool = False,
) -> Iterator[Choice]:
    """Decide about every version that counts, newest first, tombstones too.

    The last choice is ABSENT, or UNDECIDED when there may be more. An UNDECIDED one of a version
    (too few of its shards are there) does not end the sequence.
    """
    total = sum(len(slots) for slots in slots_of_drive)
    unseen = frozenset(
        drive
        for drive in range(len(slots_of_drive))
        if (answer := answers.get(drive)) is None or not answer.trusted or answer.unknown
    )
    hidden = sum(len(slots_of_drive[drive]) for drive in unseen)
    solo_hidden = not stale and any(group <= unseen for group in solo_groups)
    blind = solo_hidden or hidden >= (total if stale else write_quorum_least(total))
    orders = sorted(
        {record.version.order for answer in answers.values() for record in answer.records},
        reverse=True,
    )
    skipped: list[Order] = []
    moving = False
    stamp = NO_STAMP
    null_seen = False
    for order in orders:
        if stamp_of(order) == stamp:
            continue
        choice = _weigh(order, answers, slots_of_drive)
        moving = moving or choice.moving
        if choice.outcome is Outcome.ABSENT:
            skipped.append(order)
            continue
        certain = choice.outcome is Outcome.FOUND and choice.acknowledged
        if solo_hidden or (blind and not certain):
            # Something newer that nobody who answered has could be acknowledged.
            reason = _too_few(total, hidden, solo=solo_hidden)
            yield Choice(Outcome.UNDECIDED, reason=reason, moving=moving)
            return
        assert choice.version is not None
        stamp = stamp_of(order)
        if choice.version.null_version:
            if null_seen:
                continue
            null_seen = True
        yield replace(choice, skipped=tuple(skipped), newest=order, moving=moving)
    last = Choice(Outcome.UNDECIDED, skipped=tuple(skipped), moving=moving)
    if blind:
        yield replace(last, reason=_too_few(total, hidden, solo=solo_hidden))
    elif any(answer.floor is not None for answer in answers.values()):
        yield replace(last, reason="there are older rows")
    else:
        yield replace(last, outcome=Outcome.ABSENT, acknowledged=True)


def _too_few(total: int, hidden: int, *, solo: bool) -> str:
    counted = f"{total - hidden} of {total} slots gave a fresh answer, {hidden} are unknown"
    return f"{counted}; all of a server's are, which may have written alone" if solo else counted


def _weigh(
    order: Order, answers: Mapping[int, DriveAnswer], slots_of_drive: Sequence[tuple[int, ...]]
) -> Choice:
    """Decide about one version; ABSENT when it never was acknowledged."""
    version: Version | None = None
    sources: dict[int, Source] = {}
    holders: set[int] = set()
    unknown: set[int] = set()
    without: list[int] = []
    for drive, slots in enumerate(slots_of_drive):
        answer = answers.get(drive)
        record = answer.find(order) if answer is not None else None
        if record is not None:
            version = record.version
            holders.update(version.slots[held.shard] for held in record.held)
            sources |= {held.shard: Source(drive, held) for held in record.held}
        elif answer is None or not answer.trusted or answer.unknown or answer.ends_above(order):
            unknown.update(slots)
        else:
            without.append(drive)
    assert version is not None
    readable = readable_shards(version, sources) >= version.k
    if not readable:
        unknown = set(_may_have_lost(version, answers, slots_of_drive)) - holders
    acknowledged_by = partial(is_acknowledged, version.scheme, solo_slots=version.solo_slots)
    if not acknowledged_by(holders | unknown):
        retired = {
            slot
            for drive in without
            if answers[drive].has_retired(version)
            for slot in slots_of_drive[drive]
        }
        return Choice(Outcome.ABSENT, moving=acknowledged_by(holders | unknown | retired))
    if not readable:
        reason = f"{len(sources)} of {version.k + version.m} shards there, {version.k} are needed"
        moving = bool(without)  # it may just be on its way to them
        return Choice(Outcome.UNDECIDED, version, sources, reason=reason, moving=moving)
    return Choice(Outcome.FOUND, version, sources, acknowledged=acknowledged_by(holders))


def _may_have_lost(
    version: Version, answers: Mapping[int, DriveAnswer], slots_of_drive: Sequence[tuple[int, ...]]
) -> Iterator[int]:
    """Yield the slots that do not have a version which cannot be read, and may have had it."""
    for drive, slots in enumerate(slots_of_drive):
        answer = answers.get(drive)
        if answer is not None and answer.find(version.order) is not None:
            continue
        if (
            answer is None
            or answer.unknown
            or answer.ends_above(version.order)
            or (answer.may_have_lost(version.order) and not answer.has_retired(version))
        ):
            yield from slots


def readable_shards(version: Version, sources: Mapping[int, Source]) -> int:
    """Count the shards that the worst part of the version still has."""
    lacking = dict.fromkeys((part.number for part in version.parts_with_bytes), 0)
    for source in sources.values():
        for number in lacking.keys() & set(source.held.missing_parts):
            lacking[number] += 1
    return len(sources) - max(lacking.values(), default=0)

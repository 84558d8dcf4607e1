"""Heal one key on some drives: bring them to what the set as a whole says.

The healer never decides by what one drive lacks. It asks every drive, decides about every version
as a GET does, and then gives each target what it should have: the record in its place in the order
(MERGE, so that a newer write is never lowered), the shards decoded from k others, the tombstone.

Only the server that has a drive heals it, so two healers never write the same shard file. Where
journals were lost with more than m drives, the shards that are left there are taken over, so that
the version can be read again. Versions that were never acknowledged are settled once they are too
old to be in flight: forward when k of their shards exist, else back; back too when only drives
have them that missed that deletions were forgotten (engine/forgotten.py). So is what is left of an
acknowledged one that was retired while some drives were away: back, as it is superseded. So is a
damaged row that no drive has whole, and too few have for it to be acknowledged. When a drive is
away nothing is settled.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from objstore.drive.ops import Commit, CommitMode, Committed, ReadUpload, Settle, Undo
from objstore.engine.forgotten import drives_that_count
from objstore.engine.key_health import KeyHealth, examine
from objstore.engine.rebuild import LostVersion
from objstore.engine.sets import Context, SetDrive, SetHandle
from objstore.errors import ReadQuorumLost, UploadMissing
from objstore.limits import HEAL_EXAMINED_S, SETTLE_AGE_S
from objstore.names import BucketName, Kind, ObjectKey, Order, UploadId, made_under
from objstore.ondisk.record import HeldShard, Record, Version, encode_record, encode_version
from objstore.ondisk.shard_file import block_checksum
from objstore.versions.hlc import wall_ms_of
from objstore.versions.select import Choice, DriveAnswer, Outcome, Source
from objstore.versions.visible import supersedes


class KeyQuarantined(ReadQuorumLost):
    """Too few shards of a version are left, though every slot answered; the others were healed.

    What an untrusted drive lacks of the key is unknown for ever, whether it is trusted or not
    (`DriveAnswer.may_have_lost`): the key keeps no drive from becoming trusted.
    """


@dataclass(frozen=True, slots=True)
class Healed:
    """What healing a key did."""

    shard_bytes: int = 0
    changed: bool = False
    recodes: int | None = None  # the slot whose server is to recode a version of the key


async def heal_key(
    context: Context,
    handle: SetHandle,
    bucket: BucketName,
    key: ObjectKey,
    targets: frozenset[int],
    *,
    verify: bool,
) -> Healed:
    """Bring `targets` (drive indexes) to what the set says about every version of a key.

    With `verify` every block of the targets' shards is read and checked; without it a shard that
    the record names is taken to be there.

    Raises:
        KeyQuarantined: a version has too few shards on all drives together.
        ReadQuorumLost: too few slots or shards are left to tell, or to rebuild from.
        DriveError: a target failed.
    """
    health = await examine(context, handle, bucket, key)
    removed = await _remove_unreadable(context, handle, health, bucket, key)
    if removed:
        health = await examine(context, handle, bucket, key)
    settled = False
    if health.complete:
        for order in health.skipped:
            with suppress(ReadQuorumLost):  # no longer readable: it stays, and the others go on
                settled |= await _settle_dangling(context, handle, health, bucket, key, order)
    if settled:
        health = await examine(context, handle, bucket, key)
    shard_bytes, changed = 0, removed or settled
    short = [choice.reason for choice in health.choices if choice.outcome is Outcome.UNDECIDED]
    lost: list[str] = []
    for choice in health.choices:
        for target in sorted(targets & set(health.answers)):
            try:
                repair = _Repair(context, handle, choice, target, health)
                written = await repair.run_or_adopt(verify=verify)
            except ReadQuorumLost as error:  # the other versions are healed all the same
                lost.append(str(error))
                continue
            shard_bytes += written or 0
            changed |= written is not None
    if lost:
        raise ReadQuorumLost(lost[0])
    if short:
        said_all = health.answering and all(map(_says_what_it_lost, health.answers.values()))
        raise (KeyQuarantined if said_all else ReadQuorumLost)(short[0])
    return Healed(shard_bytes, changed, _recodes(handle, health))


def needs_recoding(handle: SetHandle, version: Version) -> bool:
    """Whether a version carries another scheme than its set has for its class."""
    wanted = handle.layout.scheme_for(version.storage_class)
    return version.kind is Kind.OBJECT and version.scheme != wanted


def _recodes(handle: SetHandle, health: KeyHealth) -> int | None:
    """Return the first slot of a version that is to be recoded (engine/recode.py), if there is one.

    Whoever wrote it notes that as soon as it is acknowledged, unless its server dies just then.
    """
    for choice in health.found:
        version = choice.version
        if version is not None and choice.acknowledged and needs_recoding(handle, version):
            return version.slots[0]
    return None


def _says_what_it_lost(answer: DriveAnswer) -> bool:
    return not answer.unknown and (answer.trusted or bool(answer.emptied_ms))


async def _settle_dangling(
    context: Context,
    handle: SetHandle,
    health: KeyHealth,
    bucket: BucketName,
    key: ObjectKey,
    order: Order,
) -> bool:
    """Settle a version that too few hold: forward when it can be read and counts, else back."""
    if not _is_old(context, order):
        return False  # it may be in flight
    holders = [drive for drive, answer in health.answers.items() if answer.find(order)]
    records = [health.answers[drive].find(order) for drive in holders]
    version = next(record.version for record in records if record is not None)
    sources = {
        held.shard: Source(drive, held)
        for drive, record in zip(holders, records, strict=True)
        if record is not None
        for held in record.held
    }
    forward = Choice(Outcome.FOUND, version, sources, newest=order)
    superseded = any(
        choice.version is not None and supersedes(choice.version, version)
        for choice in health.found
    )
    readable = len(sources) >= version.k and not superseded
    # What drives hold that were away when tombstones were forgotten may be what those had buried.
    if readable and not (await drives_that_count(context, handle)).isdisjoint(holders):
        for drive in handle.writable():
            if drive not in holders:
                await _Repair(context, handle, forward, drive, health).run(verify=False)
        for drive in handle.writable():  # only now: a crash in between may leave it without W
            await handle.drives[drive].call(Settle(bucket, key, order))
        return True
    for drive in holders:
        await handle.drives[drive].call(Undo(bucket, key, order))
    return True


async def _remove_unreadable(
    context: Context, handle: SetHandle, health: KeyHealth, bucket: BucketName, key: ObjectKey
) -> bool:
    """Remove damaged rows that no drive has whole, and that cannot have been acknowledged.

    Nothing can write them anew. While they stay, the word of their drives on the whole key is worth
    nothing.
    """
    if not health.answering:
        return False
    answers = health.answers
    removed = False
    for order in sorted({order for answer in answers.values() for order in answer.damaged}):
        if not _is_old(context, order) or any(answer.find(order) for answer in answers.values()):
            continue
        holders = {drive for drive, answer in answers.items() if order in answer.damaged}
        replaced = {drive for drive, answer in answers.items() if answer.may_have_lost(order)}
        if handle.may_acknowledge(holders | replaced):
            continue
        for drive in sorted(holders):
            await handle.drives[drive].call(Undo(bucket, key, order))
        removed = True
    return removed


def _is_old(context: Context, order: Order) -> bool:
    """Whether what was written under an order is not in flight any more."""
    return wall_ms_of(made_under(order)) <= context.now_ms() - SETTLE_AGE_S * 1000


@dataclass(slots=True)
class _Repair:
    """One version on one drive."""

    context: Context
    handle: SetHandle
    choice: Choice
    target: int
    health: KeyHealth

    @property
    def answer(self) -> DriveAnswer:
        return self.health.answers[self.target]

    @property
    def version(self) -> Version:
        assert self.choice.version is not None
        return self.choice.version

    @property
    def shards(self) -> tuple[int, ...]:
        """The shards that belong on the target."""
        return tuple(
            shard
            for shard, slot in enumerate(self.version.slots)
            if self.handle.drive_of_slot(slot) == self.target
        )

    async def run_or_adopt(self, *, verify: bool) -> int | None:
        """As `run`; of a version that cannot be read what is there may be taken over."""
        match self.choice.outcome:
            case Outcome.FOUND:
                return await self.run(verify=verify)
            case Outcome.UNDECIDED if self.choice.version is not None:
                return 0 if await self.adopt() else None
            case _:
                return None

    async def run(self, *, verify: bool) -> int | None:
        """Return the shard bytes written, or None when the drive was whole already."""
        record = self.answer.find(self.version.order)
        held = self._held(record)
        # What may yet be taken back retires nothing: what it supersedes counts again then.
        stale = self.choice.acknowledged and any(
            supersedes(self.version, old.version) for old in self.answer.records
        )
        lost = await self._lost(held, verify=verify)
        if record is not None and not lost and not stale and set(held) >= set(self.shards):
            return None
        written = 0
        for part in self.version.parts:
            shards = tuple(shard for shard in self.shards if (part.number, shard) in lost)
            if shards:
                written += await self._lost_version.rebuild(part, shards)
        if not await self._still_counts():
            return written
        if record is None or lost or set(held) < set(self.shards):
            committed = await self._commit(held)
            if record is None and not (stale or committed.superseded):
                return written  # a row that is new there, and older ones are not: nothing to retire
        if self.choice.acknowledged:
            settle = Settle(self.version.bucket, self.version.key, self.version.order)
            await self._drive.call(settle)
        return written

    async def _still_counts(self) -> bool:
        """Whether the set still has this version, asked again when a rebuild took long.

        Deleted meanwhile, and its tombstone forgotten, it would come back. A deletion cannot be
        forgotten sooner than TOMBSTONE_AGE_S.
        """
        if self.context.clock.monotonic_s() - self.health.asked_s < HEAL_EXAMINED_S:
            return True
        version = self.version
        health = await examine(self.context, self.handle, version.bucket, version.key)
        # A version that is settled forward is on too few drives to be found.
        return any(answer.find(version.order) for answer in health.answers.values())

    async def adopt(self) -> bool:
        """Take over whole shard files of a version that too few records are left of to be read.

        Journals that were lost together leave their shards behind. They are all that is needed:
        what they are is known from the records that are left, and their headers say the same.
        """
        version = self.version
        if version.kind is not Kind.OBJECT or self._inline() or not self.shards:
            return False
        may_be_completed = self.health.answering and _is_old(self.context, version.order)
        if version.upload_id and may_be_completed and await self._complete():
            return True
        if self.answer.trusted or self.answer.find(version.order) is not None:
            return False  # what a trusted drive does not name may just be being written
        for shard in self.shards:
            for part in version.parts_with_bytes:
                if not await self._lost_version.whole(part, shard):
                    return False
        await self._commit({})
        return True

    async def _complete(self) -> bool:
        """Have a drive that has parts of the upload, and missed that it was completed, take them.

        Whoever completed it died when too few drives that have its parts had taken it.
        """
        if self.answer.find(self.version.order) is not None:
            return False
        upload_id = UploadId(self.version.upload_id)
        if not (await self._drive.call(ReadUpload(upload_id))).parts:
            return False
        held = tuple(HeldShard(shard) for shard in self.shards)
        sealed = encode_record(encode_version(self.version), held)
        try:
            await self._drive.call(Commit(sealed, CommitMode.MERGE, completes=upload_id))
        except UploadMissing:
            return False  # it is another version's now
        return True

    def _held(self, record: Record | None) -> dict[int, HeldShard]:
        """Return what the target holds of the version, perhaps under an earlier revision."""
        if record is None:
            record = next(
                (old for old in self.answer.records if self._same_data(old.version)), None
            )
        return {shard.shard: shard for shard in record.held} if record is not None else {}

    def _same_data(self, old: Version) -> bool:
        new = self.version
        return (old.stamp, old.kind, old.parts, old.scheme) == (
            new.stamp,
            new.kind,
            new.parts,
            new.scheme,
        )

    @property
    def _drive(self) -> SetDrive:
        return self.handle.drives[self.target]

    def _inline(self) -> bool:
        assert self.choice.sources is not None
        return any(source.held.inline is not None for source in self.choice.sources.values())

    async def _lost(
        self, held: Mapping[int, HeldShard], *, verify: bool
    ) -> frozenset[tuple[int, int]]:
        """Return (part number, shard) of every shard file the target should have and has not."""
        if self.version.kind is not Kind.OBJECT or self._inline():
            return frozenset()
        lost = set()
        for shard in self.shards:
            for part in self.version.parts_with_bytes:
                if (
                    shard not in held
                    or part.number in held[shard].missing_parts
                    or (verify and not await self._lost_version.whole(part, shard))
                ):
                    lost.add((part.number, shard))
        return frozenset(lost)

    @property
    def _lost_version(self) -> LostVersion:
        assert self.choice.sources is not None
        return LostVersion(
            self.context, self.handle, self.version, self.choice.sources, self.target
        )

    async def _commit(self, mine: Mapping[int, HeldShard]) -> Committed:
        """Give the record its place in the order; what is newer stays newer."""
        if self._inline():
            whole = set(mine) >= set(self.shards)
            held = tuple(mine.values()) if whole else await self._inline_shards()
        else:
            held = tuple(HeldShard(shard) for shard in self.shards)
        sealed = encode_record(encode_version(self.version), held)
        return await self._drive.call(Commit(sealed, CommitMode.MERGE))

    async def _inline_shards(self) -> tuple[HeldShard, ...]:
        part = self.version.parts[0]
        window = await self._lost_version.source().window(part, range(1), spare=1)
        (blocks,) = window.rebuild(list(self.shards))
        return tuple(
            HeldShard(
                shard,
                block_checksum(part.data_id, shard, 0, blocks[shard]) + bytes(blocks[shard]),
            )
            for shard in self.shards
        )

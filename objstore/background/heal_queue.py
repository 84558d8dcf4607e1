"""Heal what drives missed: the durable notes that writers and readers leave on the other drives.

Each server heals only its own drives. A note is cleared when the key is whole on every slot and
has its class's own scheme; until then it stays and is tried again, as often as its drives allow.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import partial

from objstore.background.ports import BackgroundContext
from objstore.background.side_by_side import side_by_side
from objstore.drive.job_states import Quarantine, Quarantined
from objstore.drive.ops import (
    ClearMissed,
    ListMissed,
    Missed,
    MissedPage,
    ReadStatus,
    WriteQuarantine,
)
from objstore.engine.fanout import call_all
from objstore.engine.heal import heal_key, needs_recoding
from objstore.engine.key_health import examine
from objstore.engine.recode import recode
from objstore.engine.sets import Context, SetHandle
from objstore.errors import DriveError, QuorumError, ReadQuorumLost, RequestRefused
from objstore.limits import (
    CALL_DEADLINE_S,
    HEAL_PASS_INTERVAL_S,
    HEAL_PASS_INTERVAL_S_MAX,
    QUARANTINE_SHOWN_MAX,
)
from objstore.names import BucketName, ObjectKey


class Outcome(Enum):
    """What trying to heal a key came to."""

    WHOLE = auto()
    LATER = auto()
    QUARANTINED = auto()


@dataclass(slots=True)
class Pass:
    """What one look at every note of a set found."""

    whole: int = 0
    quarantined: list[Quarantined] = field(default_factory=list)
    count: int = 0  # of those quarantined, the ones that are not listed too

    def hold(self, note: Missed, reason: str) -> None:
        """A key cannot be healed now: too few of its shards are left."""
        self.count += 1
        if len(self.quarantined) < QUARANTINE_SHOWN_MAX:
            self.quarantined.append(Quarantined(note.bucket, note.key, reason))


async def run_heal_queue(background: BackgroundContext, handle: SetHandle) -> None:
    """Go through a set's notes for ever, more slowly the longer a pass takes."""
    clock = background.engine.clock
    while True:
        started = clock.monotonic_s()
        healed = await heal_missed_once(background, handle)
        took = clock.monotonic_s() - started
        # Notes about drives that are away can only be looked through: the more, the less often.
        pause = 0.0 if healed else min(10 * took, HEAL_PASS_INTERVAL_S_MAX)
        await asyncio.sleep(max(HEAL_PASS_INTERVAL_S, pause))


async def heal_missed_once(background: BackgroundContext, handle: SetHandle) -> int:
    """Go through every note of a set once; return how many keys are whole now.

    What cannot be healed, because fewer than k shards of it can be read, is left exactly as it is,
    is listed as quarantined, and is tried again with every pass.
    """
    context, own = background.engine, background.own_of(handle)
    seen = Pass()
    after: tuple[str, str] | None = ("", "")
    while after is not None:
        notes, after = await _page(context, handle, after)
        background.heal.looked()
        ready = [note for note in notes if _can_be_healed(handle, note)]

        async def heal(note: Missed) -> None:
            whole = await _heal(context, handle, own, note, seen) is Outcome.WHOLE
            background.heal.healed(int(whole))
            seen.whole += whole

        await side_by_side(partial(heal, note) for note in ready)
    await _tell(context, handle, own, seen)
    return seen.whole


async def _tell(context: Context, handle: SetHandle, own: frozenset[int], seen: Pass) -> None:
    """Store which keys are quarantined on this server's drives, where every process can read it."""
    some = tuple(sorted(seen.quarantined, key=lambda one: (one.bucket, one.key)))
    for index in own & frozenset(handle.writable()):
        drive = handle.drives[index]
        with suppress(DriveError):
            held = (await drive.call(ReadStatus())).quarantine or Quarantine()
            if (held.count, held.some) != (seen.count, some):
                told = Quarantine(seen.count, context.now_ms(), some)
                await drive.call(WriteQuarantine(told))


async def _page(
    context: Context, handle: SetHandle, after: tuple[str, str]
) -> tuple[list[Missed], tuple[str, str] | None]:
    """Join a page of every drive's notes; the second value is where to go on."""
    op = ListMissed(*after)
    fanout = await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, op) for drive in handle.readable()},
        deadline_s=CALL_DEADLINE_S,
    )
    notes: dict[tuple[BucketName, ObjectKey], Missed] = {}
    cuts: list[tuple[str, str]] = []
    for page in fanout.answers.values():
        _join(page, notes)
        if len(page.entries) == op.limit:
            cuts.append((page.entries[-1].bucket, page.entries[-1].key))
    cut = min(cuts, default=None)
    kept = [notes[name] for name in sorted(notes) if cut is None or name <= cut]
    return kept, cut


def _join(page: MissedPage, notes: dict[tuple[BucketName, ObjectKey], Missed]) -> None:
    for note in page.entries:
        held = notes.get((note.bucket, note.key))
        if held is None or held.order < note.order:
            notes[note.bucket, note.key] = note


def _can_be_healed(handle: SetHandle, note: Missed) -> bool:
    """Whether any drive that missed the version can take it now."""
    writable = handle.writable()
    return any(handle.drive_of_slot(slot) in writable for slot in note.slots)


async def _heal(
    context: Context, handle: SetHandle, own: frozenset[int], note: Missed, seen: Pass
) -> Outcome:
    """Heal one key on our drives, and take what is done off its note."""
    named = frozenset(handle.drive_of_slot(slot) for slot in note.slots)
    targets = own & named & frozenset(handle.writable())
    try:
        # A note may be about damage that only reading finds: verify what it names.
        await heal_key(context, handle, note.bucket, note.key, targets, verify=True)
        health = await examine(context, handle, note.bucket, note.key)
        done = tuple(slot for slot in note.slots if handle.drive_of_slot(slot) in targets)
        for choice in health.found:
            version = choice.version
            if version is None or not needs_recoding(handle, version):
                continue
            if handle.drive_of_slot(version.slots[0]) not in own or not health.complete:
                return Outcome.LATER
            await recode(context, handle, health, choice)
            done = note.slots
        await _clear(context, handle, note, done)
    except ReadQuorumLost as error:
        seen.hold(note, str(error))
        return Outcome.QUARANTINED
    except (QuorumError, DriveError, RequestRefused):
        return Outcome.LATER
    return Outcome.WHOLE if done else Outcome.LATER


async def _clear(context: Context, handle: SetHandle, note: Missed, slots: tuple[int, ...]) -> None:
    if not slots:
        return
    op = ClearMissed(note.bucket, note.key, note.order, slots)
    await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, op) for drive in handle.writable()},
        deadline_s=CALL_DEADLINE_S,
    )

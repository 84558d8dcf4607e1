"""The sets an engine works on, and what every operation needs beside them."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from objstore.clock import Clock, Entropy
from objstore.drive.api import Drive
from objstore.engine.cpu import Cpu
from objstore.engine.room import Rooms
from objstore.errors import WriteQuorumLost
from objstore.names import BucketName, DataId, ObjectKey, Scheme, Stamp
from objstore.quorum.thresholds import (
    degraded_scheme,
    solo_scheme,
    write_quorum,
    write_quorum_least,
)
from objstore.topology.layout import SetLayout
from objstore.topology.placement import place_set, shard_slots
from objstore.versions.hlc import Hlc

_DATA_ID_BYTES: Final = 16


class SetDrive(Drive, Protocol):
    """A drive as the engine sees it: one that knows whether asking it makes sense."""

    @property
    def can_read(self) -> bool:
        """False while every read would be refused at once."""
        ...

    @property
    def can_write(self) -> bool:
        """False while every write would be refused at once (full or read-only drives too)."""
        ...

    @property
    def is_slow(self) -> bool:
        """Whether it dawdles: then it is waited for only where nothing can be done without it."""
        ...


class Solo(Protocol):
    """What is known of servers that acknowledge writes alone, by a witness's leave (ADR 7)."""

    def may_have_written(self) -> frozenset[str]:
        """Return the servers that may have acknowledged writes that only they have."""
        ...

    def may_write(self) -> str:
        """Return this server's address while it may acknowledge writes alone, else ""."""
        ...


class _NeverSolo:
    """No witness: W slots acknowledge every write."""

    def may_have_written(self) -> frozenset[str]:
        return frozenset()

    def may_write(self) -> str:
        return ""


NEVER_SOLO: Final[Solo] = _NeverSolo()


@dataclass(frozen=True, slots=True)
class WritePlan:
    """How a version is written: its scheme, and the slots that acknowledge it alone, if any do."""

    scheme: Scheme
    solo_slots: tuple[int, ...] = ()

    @property
    def needed(self) -> int:
        """How many slots have to have it before it is acknowledged."""
        return len(self.solo_slots) or write_quorum(self.scheme)


@dataclass(frozen=True, slots=True)
class SetHandle:
    """One erasure set: its layout and its drives, in the layout's order."""

    layout: SetLayout
    drives: tuple[SetDrive, ...]
    slots_of_drive: tuple[tuple[int, ...], ...]
    solo: Solo = NEVER_SOLO
    stale: bool = False  # whatever answers is enough for a read (engine/patient.py)

    @property
    def total_slots(self) -> int:
        """N."""
        return len(self.layout.slots)

    def drive_of_slot(self, slot: int) -> int:
        """Return the index of the drive that has this slot."""
        return self.layout.slots[slot]

    def readable(self) -> tuple[int, ...]:
        """Indexes of the drives with slots that can be asked."""
        return tuple(
            index
            for index, drive in enumerate(self.drives)
            if self.slots_of_drive[index] and drive.can_read
        )

    def writable(self) -> tuple[int, ...]:
        """Indexes of the drives with slots that can be written."""
        return tuple(
            index
            for index, drive in enumerate(self.drives)
            if self.slots_of_drive[index] and drive.can_write
        )

    def without_slow(self, drives: tuple[int, ...]) -> tuple[int, ...]:
        """Return those of `drives` that are not slow."""
        return tuple(drive for drive in drives if not self.drives[drive].is_slow)

    def for_new_data(self, needed: int) -> tuple[int, ...]:
        """Return the drives to write to: slow ones only where the others have too few slots."""
        writable = self.writable()
        well = self.without_slow(writable)
        return well if self.slots_on(well) >= needed else writable

    def slots_on(self, drives: Iterable[int]) -> int:
        """Count the slots on these drives."""
        return sum(len(self.slots_of_drive[drive]) for drive in drives)

    # --- what a read has to hear -------------------------------------------------------

    def solo_groups(self) -> tuple[frozenset[int], ...]:
        """Return, for each server that may have acknowledged writes alone, its drives."""
        return tuple(self._drives_of(server) for server in self.solo.may_have_written())

    def is_every_slot_on(self, drives: Iterable[int]) -> bool:
        """Whether no slot is on a drive that is not among these."""
        return self.slots_on(drives) == self.total_slots

    def may_acknowledge(self, drives: Iterable[int]) -> bool:
        """Whether a write may have been acknowledged by these drives, and no other."""
        chosen = frozenset(drives)
        if self.slots_on(chosen) >= write_quorum_least(self.total_slots):
            return True
        return any(group <= chosen for group in self.solo_groups())

    def is_fresh(self, drives: Iterable[int]) -> bool:
        """Whether every acknowledged write is known to one of these drives; if that matters."""
        if self.stale:
            return any(self.slots_of_drive[drive] for drive in drives)
        return not self.may_acknowledge(frozenset(range(len(self.drives))) - frozenset(drives))

    # --- what a write has to reach -----------------------------------------------------

    def plan(self, storage_class: str) -> "WritePlan":
        """Choose the scheme for a write: its class's, one more parity for each slot that is away.

        What a server writes alone has a scheme of its own.

        Raises:
            WriteQuorumLost: the slots that are left cannot reach the write quorum.
        """
        present = self.slots_on(self.for_new_data(write_quorum_least(self.total_slots)))
        whole = self.layout.scheme_for(storage_class)
        scheme = degraded_scheme(whole, self.total_slots - present)
        alone = self.require_writable(write_quorum(scheme))
        return WritePlan(solo_scheme(self.total_slots, len(alone)) if alone else scheme, alone)

    def plan_with(self, scheme: Scheme) -> "WritePlan":
        """Plan a write whose scheme is given, as that of an upload is from its beginning.

        Raises:
            WriteQuorumLost: too few slots are left; a server alone could not decode it.
        """
        alone = self.require_writable(write_quorum(scheme))
        if alone and len(alone) < scheme.k:
            raise WriteQuorumLost(
                f"the upload began as {scheme}, of which the {len(alone)} slots of this server, "
                "which writes alone, cannot decode anything; begin it anew"
            )
        return WritePlan(scheme, alone)

    def require_writable(self, needed: int) -> tuple[int, ...]:
        """Refuse at once what cannot reach `needed` slots; see `require`."""
        return self.require(self.writable(), needed)

    def require(self, drives: tuple[int, ...], needed: int) -> tuple[int, ...]:
        """Refuse at once a write that `drives` alone would have to take.

        Returns the slots that acknowledge it alone when there are fewer than `needed`, as a witness
        may allow; () when it needs `needed` slots like any other.

        Raises:
            WriteQuorumLost: they have fewer than `needed` slots.
        """
        present = self.slots_on(drives)
        if present >= needed:
            return ()
        alone = self._drives_of(self.solo.may_write())
        if alone and alone <= set(drives):
            return self._slots_of(alone)
        raise WriteQuorumLost(
            f"{present} of {self.total_slots} slots of set {self.layout.index} of pool "
            f"{self.layout.pool} can be written, {needed} are needed"
        )

    def is_enough(self, drives: Iterable[int], needed: int) -> bool:
        """Whether a write is acknowledged that these drives took: by `needed` slots, or alone."""
        done = frozenset(drives)
        alone = self._drives_of(self.solo.may_write())
        return self.slots_on(done) >= needed or (bool(alone) and alone <= done)

    def _drives_of(self, server: str) -> frozenset[int]:
        if not server:
            return frozenset()
        return frozenset(
            index
            for index, address in enumerate(self.layout.drives)
            if address.server == server and self.slots_of_drive[index]
        )

    def _slots_of(self, drives: Iterable[int]) -> tuple[int, ...]:
        return tuple(sorted(slot for drive in drives for slot in self.slots_of_drive[drive]))


def set_handle(
    layout: SetLayout, drives: tuple[SetDrive, ...], solo: Solo = NEVER_SOLO
) -> SetHandle:
    """Pair a layout with its drives."""
    assert len(drives) == len(layout.drives)
    slots = tuple(tuple(layout.slots_of_drive(index)) for index in range(len(drives)))
    return SetHandle(layout, drives, slots, solo)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key lives: its set, and the slot of each shard."""

    handle: SetHandle
    slots: tuple[int, ...]  # slots[i] is the slot of shard i

    def shards_of_drive(self, drive: int) -> tuple[int, ...]:
        """Return the shards that belong on a drive."""
        return tuple(
            shard
            for shard, slot in enumerate(self.slots)
            if self.handle.drive_of_slot(slot) == drive
        )

    def by_drive(self) -> Mapping[int, tuple[int, ...]]:
        """Drive -> its shards, for drives that have any."""
        drives = sorted({self.handle.drive_of_slot(slot) for slot in self.slots})
        return {drive: self.shards_of_drive(drive) for drive in drives}


def _nothing_counted() -> int:
    return 0


@dataclass(frozen=True, slots=True)
class Context:
    """What every operation of the engine is given."""

    pools: tuple[tuple[SetHandle, ...], ...]
    deployment: bytes  # keys the placement
    hlc: Hlc
    clock: Clock
    entropy: Entropy
    cpu: Cpu
    group: asyncio.TaskGroup  # outlives requests: stragglers finish in it
    bracketing: float = 0.01  # share of uploads whose encoding is decoded again before the answer
    rebuilds: Rooms = field(default_factory=Rooms)
    # How often a drive of this server, in whichever process, took a bucket's record.
    bucket_changes: Callable[[], int] = _nothing_counted

    @property
    def sets(self) -> tuple[SetHandle, ...]:
        """Every set of every pool."""
        return tuple(handle for pool in self.pools for handle in pool)

    def place(self, pool: int, bucket: BucketName, key: ObjectKey) -> Place:
        """Find the key's set in a pool, and its slots."""
        handles = self.pools[pool]
        handle = handles[place_set(self.deployment, bucket, key, len(handles))]
        return Place(handle, shard_slots(handle.layout, bucket, key))

    def places(self, bucket: BucketName, key: ObjectKey) -> tuple[Place, ...]:
        """Find the key's place in every pool."""
        return tuple(self.place(pool, bucket, key) for pool in range(len(self.pools)))

    def stamp(self) -> Stamp:
        """Draw a stamp above every stamp this process has seen."""
        return self.hlc.now(self.now_ms())

    def now_ms(self) -> int:
        """Wall time in milliseconds."""
        return self.clock.now_ns() // 1_000_000

    def data_id(self) -> DataId:
        """Draw a fresh name for shards."""
        return DataId(self.entropy.draw(_DATA_ID_BYTES))

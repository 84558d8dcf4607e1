"""The calm after a simulation's faults: all has to become whole, in bounded time (I6, I8)."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

from objstore.drive.ops import ListMissed, ReadStatus, RequestHeal, VerifyShard
from objstore.errors import DriveError
from objstore.limits import TOMBSTONE_AGE_S
from objstore.names import BucketName, Kind, ObjectKey, Order
from objstore.testing.memory_rows import HeldRow
from objstore.testing.sim_clients import Client, Statistics
from objstore.testing.sim_cluster import SimCluster
from objstore.testing.sim_drive import Bay
from objstore.testing.sim_faults import CLOCK_OFF_S_MAX, Nemesis
from objstore.testing.sim_history import History
from objstore.testing.sim_world import EPOCH_NS
from objstore.versions.hlc import version_id_of, wall_ms_of

CONVERGES_S: Final = 180.0
_LOOK_S: Final = 2.0
_PATIENCE_S: Final = 40.0  # before an operator asks again, and decides what nobody else can
STRAGGLERS_S: Final = 15.0  # after which nothing that a client began is under way


@dataclass(frozen=True)
class Calm:
    """How long it took until all was whole, and how many versions an operator had to give up."""

    took_s: float = 0.0
    given_up: int = 0


async def converge(cluster: SimCluster, nemesis: Nemesis, history: History) -> Calm:
    """End all faults, and wait until every drive has everything."""
    nemesis.end_everything()
    await asyncio.sleep(STRAGGLERS_S)
    # What a server stamped whose clock was ahead is not taken for old before its time has come.
    await nemesis.let_age_pass(CLOCK_OFF_S_MAX)
    began_s = cluster.world.loop.time()
    asked_s = await _ask_to_heal(cluster)
    lacks: list[str] = []
    given_up = 0
    while (took_s := cluster.world.loop.time() - began_s) < CONVERGES_S:
        await asyncio.sleep(_LOOK_S)
        lacks = [lack async for lack in _lacks(cluster)]
        if not lacks:
            return Calm(took_s, given_up)
        if cluster.world.loop.time() - asked_s > _PATIENCE_S:
            given_up += await _give_up(cluster, history)
            asked_s = await _ask_to_heal(cluster)
    shown = "; ".join(lacks[:4])
    cluster.world.fail(f"I6 not whole {CONVERGES_S:g} s after the last fault: {shown}")
    return Calm(CONVERGES_S, given_up)


async def _ask_to_heal(cluster: SimCluster) -> float:
    """Ask for every drive to be verified, as an operator does; return when."""
    for bay in cluster.bays.values():
        now_ms = cluster.servers[bay.server].clock.now_ns() // 1_000_000
        await bay.memory.call(RequestHeal(now_ms))
    return cluster.world.loop.time()


async def _give_up(cluster: SimCluster, history: History) -> int:
    """Delete what an operator would have to: writes that failed, and that nobody can decide about.

    Fewer than k shards of such a write are there, and a drive that was replaced may have had as
    many more as make W. Whether it was acknowledged is known here alone; a product that guessed
    would lose data that drives which are away still have. So it refuses the key until it is
    deleted, or written again.
    """
    holders: dict[tuple[BucketName, ObjectKey, Order], list[HeldRow]] = {}
    for bay in cluster.bays.values():
        for (bucket, key), rows in bay.memory.rows.items():
            for row in rows:
                holders.setdefault((bucket, key, row.order), []).append(row)
    operator = Client("operator", cluster, history, Statistics())
    given_up = 0
    for (bucket, key, _), held in sorted(holders.items()):
        version = held[0].record.version
        shards = sum(len(row.record.held) for row in held if not row.damaged)
        if version.kind is not Kind.OBJECT or shards >= version.k:
            continue
        if history.is_acknowledged((bucket, key), version.etag):
            cluster.world.fail(f"I1 {bucket} {key}: {shards} shards are left of {version.etag}")
        cluster.world.note("operator", f"gives up {version.etag} of {key}")
        given_up += 1
        await operator.give_up((bucket, key), version_id_of(version.stamp))
    return given_up


async def check_forgotten(cluster: SimCluster, nemesis: Nemesis) -> None:
    """Once every slot has a tombstone, and time has passed, it is forgotten everywhere."""
    await nemesis.let_age_pass()
    await asyncio.sleep(_LOOK_S)
    for bay in cluster.bays.values():
        for (_, key), rows in sorted(bay.memory.rows.items()):
            if any(row.kind is Kind.TOMBSTONE and _is_old(cluster, row) for row in rows):
                cluster.world.fail(f"I7 {bay.name} still has a tombstone of {key}")
                return


def _is_old(cluster: SimCluster, row: HeldRow) -> bool:
    """Whether a row may be forgotten by the clocks as they are; it may be from the future."""
    ahead_s = max(server.clock.aged_s for server in cluster.servers.values())
    now_ms = EPOCH_NS // 1_000_000 + round((cluster.world.loop.time() + ahead_s) * 1000)
    return wall_ms_of(row.record.version.stamp) < now_ms - TOMBSTONE_AGE_S * 1000


async def _lacks(cluster: SimCluster) -> AsyncIterator[str]:
    """Yield what is not as it is to be."""
    for lack in _different(cluster):
        yield lack
    for bay in cluster.bays.values():
        memory = bay.memory
        status = await memory.call(ReadStatus())
        if not memory.trusted:
            yield f"{bay.name} is not trusted"
        progress = status.progress
        healed = (
            progress is not None
            and progress.finished_ms
            and progress.started_ms >= status.heal_requested_ms
        )
        if not healed:
            yield f"{bay.name} is not healed"
        missed = (await memory.call(ListMissed())).entries
        if missed:
            yield f"{bay.name} has notes of {[note.key for note in missed]}"
        async for lack in _bad_shards(cluster, bay):
            yield lack


def _different(cluster: SimCluster) -> Iterator[str]:
    """Yield where drives do not hold the same versions, or not under the scheme of the set."""
    bays = list(cluster.bays.values())
    for place in sorted({place for bay in bays for place in bay.memory.rows}):
        held = {bay.name: _orders(bay.memory.rows.get(place, [])) for bay in bays}
        if len(set(held.values())) > 1:
            yield f"{place}: {held}"
        for row in bays[0].memory.rows.get(place, []):
            version = row.record.version
            if version.kind is Kind.OBJECT and version.m < cluster.layout.scheme.m:
                yield f"{place} is stored as {version.scheme}"


def _orders(rows: list[HeldRow]) -> tuple[str, ...]:
    return tuple(
        sorted(f"{row.kind.name} {row.order.hex()}{' damaged' * row.damaged}" for row in rows)
    )


async def _bad_shards(cluster: SimCluster, bay: Bay) -> AsyncIterator[str]:
    memory = bay.memory
    for (_, key), rows in sorted(memory.rows.items()):
        for row in rows:
            version = row.record.version
            due = {
                shard
                for shard, slot in enumerate(version.slots)
                if cluster.layout.slots[slot] == bay.index
            }
            if {held.shard for held in row.record.held} != due:
                yield f"{bay.name} {key}: shards {row.record.held} instead of {due}"
            if any(held.missing_parts for held in row.record.held):
                yield f"{bay.name} {key}: parts are missing"
            for name in sorted(row.names()):
                try:
                    await memory.call(VerifyShard(*name))
                except DriveError as error:
                    yield f"{bay.name} {key}: {error!r}"

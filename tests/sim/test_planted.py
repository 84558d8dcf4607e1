"""The simulation finds what it is there to find: each of these faults, within so many seeds."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import msgspec
import pytest

from objstore.drive.ops import Commit, CommitMode, Forget, Op, R, Settle
from objstore.engine.window import Window
from objstore.names import Scheme
from objstore.testing.sim_drive import Bay, SimDrive
from objstore.testing.sim_run import Plant, run_seed
from objstore.testing.sim_world import Shape


class _Changed(SimDrive):
    """A drive that does something else than it should."""

    def __init__(self, inner: SimDrive) -> None:
        super().__init__(inner.bay, inner._is_alive, inner._buckets)


class _IgnoresStamps(_Changed):
    """A drive that takes a write although it holds a later one."""

    async def call(self, op: Op[R]) -> R:
        if isinstance(op, Commit) and op.mode is CommitMode.ORDERED and op.not_above is None:
            merged = msgspec.structs.replace(op, mode=CommitMode.MERGE)
            return cast("R", await super().call(merged))
        return await super().call(op)


class _ForgetsTombstones(_Changed):
    """A drive that forgets a tombstone as soon as it was settled."""

    async def call(self, op: Op[R]) -> R:
        answer = await super().call(op)
        if isinstance(op, Settle):
            await self.bay.memory.call(Forget(op.bucket, op.key, op.order))
        return answer


def _unsynced_directory(bay: Bay) -> None:
    bay.loses_finished = True


def _from_one_shard(window: Window, wanted: list[int]) -> list[dict[int, memoryview]]:
    """Rebuild shards by copying one that is there."""
    return [dict.fromkeys(wanted, next(iter(blocks.values()))) for blocks in window._blocks]


@dataclass(frozen=True)
class Planted:
    """A fault, on which clusters it matters, and how many seeds may pass before it is found."""

    plant: Plant
    within: int
    shape: Shape | None = None
    rebuild: Callable[[Window, list[int]], list[dict[int, memoryview]]] = Window.rebuild


# Where one drive alone can answer, and a deletion that W of three forgot can be undone.
_COPIES = Shape(Scheme(1, 2), servers=3)

PLANTED = {
    "skips the fsync of a directory": Planted(Plant(bay=_unsynced_directory), 20),
    "ignores a stamp": Planted(Plant(drive=_IgnoresStamps), 40),
    "has no rule of freshness": Planted(
        Plant(handle=lambda handle: replace(handle, stale=True)), 40, shape=_COPIES
    ),
    "heals from one shard": Planted(Plant(), 20, rebuild=_from_one_shard),
    "forgets tombstones": Planted(Plant(drive=_ForgetsTombstones), 20, shape=_COPIES),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = PLANTED[name]
    monkeypatch.setattr(Window, "rebuild", planted.rebuild)
    for seed in range(planted.within):
        if run_seed(seed, plant=planted.plant, shape=planted.shape).failures:
            return
    pytest.fail(f"what {name} was not found in {planted.within} seeds")

"""A delete that is answered holds, whatever becomes of another delete of the key that is not.

A tombstone that only some drives have may yet be taken back, or not be seen by the next reader.
"""

import asyncio
from collections.abc import Callable
from itertools import combinations

import pytest

from objstore.errors import DriveOffline, RequestRefused, WriteQuorumLost
from objstore.names import Scheme
from objstore.testing.faulty_drive import AnswerLost, DriveCall, Fault, Late, on
from objstore.testing.memory_set import MemorySet, memory_set
from tests.unit.engine.bodies import delete, get, keys, put

KEY = "k"
LATE_S = 0.1
SCHEMES = [Scheme(3, 1), Scheme(2, 2)]
REACHED = [reached for count in (1, 2, 3) for reached in combinations(range(4), count)]


def _first(verb: str, fault: Fault) -> Callable[[DriveCall], Fault | None]:
    """Return the rule that the first call of `verb` meets `fault`, and no other."""
    met = False

    def rule(call: DriveCall) -> Fault | None:
        nonlocal met
        if met or call.verb != verb:
            return None
        met = True
        return fault

    return rule


def _hear_first_of(m: MemorySet, drives: tuple[int, ...]) -> None:
    """Let the next read hear of these drives first, and of others if it takes more to tell."""
    others = [drive for drive in range(4) if drive not in drives]
    for drive in others[max(0, 2 - len(drives)) :]:
        m.drives[drive].rules.append(_first("ReadKey", Late(LATE_S)))


async def _is_gone_wherever_one_looks(m: MemorySet) -> None:
    """Read and list by all drives, and by each two and three that are left."""
    for away in [(), *((one,) for one in range(4)), *combinations(range(4), 2)]:
        for drive in away:
            m.drives[drive].pull()
        assert await keys(m) == [], f"drives {away} away"
        with pytest.raises(RequestRefused, match="NoSuchKey"):
            await get(m, KEY)
        for drive in away:
            m.drives[drive].bring_back()


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("reached", REACHED, ids=str)
async def test_while_another_one_is_under_way(scheme: Scheme, reached: tuple[int, ...]) -> None:
    async with memory_set(scheme) as m:
        await put(m, KEY, b"hello")
        for drive in set(range(4)) - set(reached):
            m.drives[drive].rules.append(_first("Commit", Late(LATE_S)))
        first = asyncio.create_task(delete(m, KEY))
        await m.idle()
        _hear_first_of(m, reached)
        await delete(m, KEY)
        await _is_gone_wherever_one_looks(m)
        await first


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("reached", [*REACHED, (0, 1, 2, 3)], ids=str)
async def test_while_another_one_is_taken_back(scheme: Scheme, reached: tuple[int, ...]) -> None:
    """The drives have its tombstone, and nobody hears that they do."""
    async with memory_set(scheme) as m:
        await put(m, KEY, b"hello")
        for drive in reached:
            m.drives[drive].rules.append(_first("Commit", AnswerLost()))
        for drive in set(range(4)) - set(reached):
            m.drives[drive].rules.append(_first("Commit", DriveOffline("away")))
        for drive in range(4):
            m.drives[drive].rules.append(on("Undo", Late(LATE_S)))
        with pytest.raises(WriteQuorumLost):
            await delete(m, KEY)
        _hear_first_of(m, reached)
        await delete(m, KEY)
        await asyncio.sleep(2 * LATE_S)
        await _is_gone_wherever_one_looks(m)

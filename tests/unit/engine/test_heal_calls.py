"""What healing asks of the drive that is healed: no more than it needs."""

from objstore.drive.ops import Commit, Settle
from objstore.names import Scheme
from objstore.testing.memory_set import MemorySet, memory_set
from tests.unit.engine.bodies import get, pattern, put


def calls_of(m: MemorySet, drive: int, kind: type[Commit | Settle]) -> int:
    """Count the calls of a kind that a drive had."""
    return sum(isinstance(call.op, kind) for call in m.drives[drive].calls)


async def test_a_drive_that_is_filled_takes_one_change_for_each_object() -> None:
    """Each is a commit of its own; a second one to retire what was never there would be wasted."""
    async with memory_set(Scheme(2, 2)) as m:
        for number in range(10):
            await put(m, f"small {number}", b"hello")
        await put(m, "large", pattern(3_000_000))
        m.drives[1].replace(m.clock)
        m.drives[1].calls.clear()
        await m.walk(1)
        assert calls_of(m, 1, Commit) == 11
        assert calls_of(m, 1, Settle) == 0


async def test_what_a_healed_version_supersedes_is_retired() -> None:
    async with memory_set(Scheme(2, 2)) as m:
        await put(m, "k", pattern(2_000_000))
        m.drives[1].pull()
        await put(m, "k", b"new")
        await m.idle()
        m.drives[1].bring_back()
        m.drives[1].calls.clear()
        await m.walk(1)
        assert calls_of(m, 1, Settle) == 1
        m.drives[0].pull()
        assert await get(m, "k") == b"new"

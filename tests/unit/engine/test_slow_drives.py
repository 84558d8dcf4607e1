"""A slow drive holds up nothing that the others can do, and is used where they can not."""

import asyncio
import time

import pytest

from objstore.engine import pages, stripes
from objstore.engine.list import ListQuery, list_objects
from objstore.errors import WriteQuorumLost
from objstore.limits import INLINE_SHARD_BYTES_MAX, STRIPE_BYTES
from objstore.names import Scheme
from objstore.testing.faulty_drive import Hang, Late, always, on
from objstore.testing.memory_set import BUCKET, MemorySet, SwitchedDrive, memory_set
from tests.unit.engine.bodies import get, pattern, put

LARGE = pattern(8 * INLINE_SHARD_BYTES_MAX)
SMALL = b"in the record"
STEPS = ["create_shard", "write", "finish"]
SOON_S = 2.0  # far above what drives in memory take, far below what a slow one does


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stripes, "WRITE_STRAGGLER_S", 0.3)
    monkeypatch.setattr(stripes, "WRITE_GIVE_UP_S", 0.05)
    monkeypatch.setattr(pages, "LIST_HEDGE_S", 0.05)


async def end(m: MemorySet) -> None:
    """Let nothing hang, so that what was left behind ends."""
    for drive in m.drives:
        drive.rules.clear()
    await m.idle()


def slow(drive: SwitchedDrive) -> SwitchedDrive:
    """Make a drive slow, and known to be."""
    drive.slow = True
    drive.rules.append(always(Late(1.5 * SOON_S)))
    return drive


class TestNotYetKnown:
    @pytest.mark.parametrize("step", STEPS)
    async def test_a_write_leaves_behind_what_w_others_are_ahead_of(self, step: str) -> None:
        async with memory_set(Scheme(1, 3)) as m:
            m.drives[1].rules.append(on(step, Hang()))
            began = time.monotonic()
            await put(m, "key", LARGE)
            assert time.monotonic() - began < SOON_S
            assert await get(m, "key") == LARGE
            await end(m)
            missed = [len(drive.memory.files) for drive in m.drives]
            assert missed.count(1) >= 3

    @pytest.mark.parametrize("step", STEPS)
    async def test_it_waits_for_what_it_can_not_do_without(self, step: str) -> None:
        async with memory_set(Scheme(2, 2)) as m:
            for drive in m.drives[:2]:
                drive.rules.append(on(step, Late(0.2)))
            await put(m, "key", LARGE)
            assert await get(m, "key") == LARGE

    async def test_a_write_that_can_not_win_is_refused_while_others_hang(self) -> None:
        async with memory_set(Scheme(2, 2)) as m:
            await put(m, "before", SMALL)  # the bucket is known from here on
            await m.idle()
            m.drives[0].rules.append(always(Hang()))
            for drive in m.drives[1:3]:
                drive.pull()
            began = time.monotonic()
            with pytest.raises(WriteQuorumLost):
                await put(m, "key", LARGE)
            assert time.monotonic() - began < SOON_S
            await end(m)

    async def test_a_listing_asks_others_in_the_place_of_one_that_dawdles(self) -> None:
        async with memory_set(Scheme(1, 3)) as m:
            await put(m, "key", SMALL)
            await m.idle()
            m.drives[0].rules.append(always(Hang()))
            began = time.monotonic()
            found = await list_objects(m.context, ListQuery(BUCKET, "", "", "", 10))
            assert time.monotonic() - began < SOON_S
            assert [one.key for one in found.objects] == ["key"]
            await end(m)


class TestKnown:
    @pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
    @pytest.mark.parametrize("scheme", [Scheme(1, 3), Scheme(3, 1), Scheme(4, 2)], ids=str)
    async def test_nothing_waits_for_it(self, scheme: Scheme, body: bytes) -> None:
        async with memory_set(scheme) as m:
            await put(m, "before", body)
            await m.idle()
            slow(m.drives[1])
            began = time.monotonic()
            await put(m, "key", body)
            for key in ("before", "key"):
                assert await get(m, key) == body
            found = await list_objects(m.context, ListQuery(BUCKET, "", "", "", 10))
            assert time.monotonic() - began < SOON_S
            assert len(found.objects) == 2
            await end(m)

    async def test_what_is_written_without_it_takes_more_parity(self) -> None:
        async with memory_set(Scheme(3, 1)) as m:
            slow(m.drives[1])
            version = await put(m, "key", LARGE)
            assert (version.k, version.m) == (2, 2)
            await end(m)

    async def test_it_is_used_where_the_others_are_too_few(self) -> None:
        async with memory_set(Scheme(2, 2)) as m:
            for drive in m.drives[:2]:
                drive.slow = True
                drive.rules.append(always(Late(0.05)))
            await put(m, "key", LARGE)
            assert await get(m, "key") == LARGE
            await end(m)


async def test_an_upload_does_not_wait_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drive that is a little late with every stripe is left behind, however many there are."""
    monkeypatch.setattr(stripes, "WRITE_STRAGGLER_S", 0.2)
    async with memory_set(Scheme(1, 3)) as m:
        m.drives[1].rules.append(on("write", Late(0.1)))

        async def let_time_pass() -> None:
            while True:
                await asyncio.sleep(0.01)
                m.clock.advance(0.01)

        passing = asyncio.ensure_future(let_time_pass())
        await put(m, "key", pattern(12 * STRIPE_BYTES))
        passing.cancel()
        await end(m)
        assert [len(drive.memory.files) for drive in m.drives] == [1, 0, 1, 1]

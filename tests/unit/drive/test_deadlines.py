"""A call ends in time, or is cancelled and says so; who cancels for another reason sees that."""

import asyncio
import time

import pytest

from objstore.drive.deadlines import TICK_S, Deadlines


async def test_what_ends_in_time_is_returned_and_leaves_nothing_behind() -> None:
    deadlines = Deadlines()
    for _ in range(3):
        assert await deadlines.limit(asyncio.sleep(0.001, "done"), 5) == "done"
    await asyncio.sleep(3 * TICK_S)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_each_call_under_way_has_a_deadline_of_its_own() -> None:
    deadlines = Deadlines()
    begun = time.perf_counter()

    async def late(deadline_s: float) -> float:
        with pytest.raises(TimeoutError):
            await deadlines.limit(asyncio.sleep(30), deadline_s)
        return time.perf_counter() - begun

    took = await asyncio.gather(*map(late, (0.05, 0.5, 0.2)))
    for waited, deadline_s in zip(took, (0.05, 0.5, 0.2), strict=True):
        assert deadline_s <= waited < deadline_s + 10 * TICK_S


async def test_the_call_is_cancelled_and_the_task_goes_on() -> None:
    deadlines = Deadlines()
    cancelled = asyncio.Event()

    async def stubborn() -> None:
        try:
            await asyncio.sleep(30)
        finally:
            cancelled.set()

    with pytest.raises(TimeoutError):
        await deadlines.limit(stubborn(), 0.01)
    assert cancelled.is_set()
    await asyncio.sleep(0)  # nobody cancels this any more


async def test_a_task_that_is_cancelled_by_others_stays_cancelled() -> None:
    deadlines = Deadlines()
    task = asyncio.create_task(deadlines.limit(asyncio.sleep(30), 30))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_outer_timeout_is_not_taken_for_the_deadline() -> None:
    deadlines = Deadlines()
    outer = asyncio.timeout(0.05)
    with pytest.raises(TimeoutError):
        async with outer:
            await deadlines.limit(asyncio.sleep(30), 30)
    assert outer.expired()


async def test_an_error_of_the_call_is_passed_on() -> None:
    async def fails() -> None:
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await Deadlines().limit(fails(), 1)

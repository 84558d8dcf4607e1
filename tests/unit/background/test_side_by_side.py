"""Keys that are healed side by side: never too many, and none waits for a batch."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest

from objstore.background.side_by_side import side_by_side
from objstore.errors import DriveOffline
from objstore.limits import HEALS_AT_ONCE_MAX


async def test_one_that_takes_long_holds_up_no_other() -> None:
    done: list[int] = []
    long = asyncio.Event()

    async def work(number: int) -> None:
        if number == 0:
            await long.wait()
        done.append(number)
        if number == 4 * HEALS_AT_ONCE_MAX:
            long.set()

    numbers = range(4 * HEALS_AT_ONCE_MAX + 1)
    await side_by_side(partial(work, number) for number in numbers)
    assert sorted(done) == list(numbers)
    assert done[-1] == 0


async def test_no_more_run_than_may() -> None:
    running, most = 0, 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    works: list[Callable[[], Awaitable[None]]] = [work] * 100
    await side_by_side(works)
    assert 1 < most <= HEALS_AT_ONCE_MAX


async def test_a_failure_ends_it_and_is_raised_as_it_is() -> None:
    """Whoever tends a drive has to tell a drive that went away from a bug."""
    begun = 0

    async def fail() -> None:
        nonlocal begun
        begun += 1
        await asyncio.sleep(0)
        raise DriveOffline("pulled")

    with pytest.raises(DriveOffline, match="pulled"):
        await side_by_side([fail] * 100)
    assert begun <= HEALS_AT_ONCE_MAX

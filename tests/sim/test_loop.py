"""The loop of the simulation: time costs nothing, a seed is one order, and no wait is for ever."""

import asyncio
import time

import pytest

from objstore.testing.sim_loop import Stuck, simulate


async def _race() -> tuple[str, ...]:
    order: list[str] = []

    async def runner(name: str) -> None:
        for _ in range(3):
            await asyncio.sleep(3600)
            order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in "abcd":
            group.create_task(runner(name))
    return tuple(order)


def test_hours_pass_at_once_and_a_seed_is_one_order() -> None:
    started_s = time.perf_counter()
    orders = {seed: simulate(seed, _race()) for seed in range(50)}
    assert time.perf_counter() - started_s < 60  # 150 hours were slept
    assert all(simulate(seed, _race()) == order for seed, order in orders.items())
    assert len(set(orders.values())) > 20


def test_timers_keep_their_order_and_their_time() -> None:
    async def main() -> list[tuple[float, int]]:
        loop = asyncio.get_running_loop()
        seen: list[tuple[float, int]] = []

        def note(number: int) -> None:
            seen.append((loop.time(), number))

        for number, delay_s in enumerate((3.0, 1.0, 2.0)):
            loop.call_later(delay_s, note, number)
        loop.call_later(1.5, seen.clear).cancel()
        await asyncio.sleep(5)
        return seen

    assert simulate(1, main()) == [(1.0, 1), (2.0, 2), (3.0, 0)]


def test_a_timeout_is_a_matter_of_simulated_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await asyncio.sleep(10**6)
        return asyncio.get_running_loop().time()

    assert simulate(1, main()) == 5


def test_work_for_a_thread_is_done_and_its_error_arrives() -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        with pytest.raises(ZeroDivisionError):
            await loop.run_in_executor(None, lambda: 1 // 0)
        return await loop.run_in_executor(None, lambda: 42)

    assert simulate(1, main()) == 42


def test_a_wait_that_nothing_can_end_is_found() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Stuck):
        simulate(1, main())

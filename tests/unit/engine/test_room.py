"""Room for rebuilding: bounded by bytes, given in order, given back."""

import asyncio

import pytest

from objstore.engine.room import Room, Rooms, places_for
from objstore.limits import GIB, REBUILD_PLACE_BYTES, REBUILD_PLACES


def test_small_takes_one_place_and_large_at_most_all() -> None:
    assert places_for(0) == places_for(1) == places_for(REBUILD_PLACE_BYTES) == 1
    assert places_for(REBUILD_PLACE_BYTES + 1) == 2
    assert places_for(50 * GIB) == REBUILD_PLACES


async def most_at_once(size: int, count: int) -> int:
    room = Room()
    running, most = 0, 0

    async def rebuild() -> None:
        nonlocal running, most
        async with room.taken(size):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(rebuild())
    return most


async def test_several_small_ones_or_one_large() -> None:
    assert await most_at_once(10_000, 50) == REBUILD_PLACES
    assert await most_at_once(REBUILD_PLACE_BYTES * REBUILD_PLACES // 2, 10) == 2
    assert await most_at_once(GIB, 10) == 1


async def test_a_large_one_is_not_passed_by_small_ones_for_ever() -> None:
    room = Room()
    order: list[str] = []

    async def rebuild(name: str, size: int) -> None:
        async with room.taken(size):
            order.append(name)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for number in range(REBUILD_PLACES):
            group.create_task(rebuild(f"before {number}", 1))
        group.create_task(rebuild("large", GIB))
        for number in range(20):
            group.create_task(rebuild(f"after {number}", 1))
    assert order[REBUILD_PLACES] == "large"


async def test_room_is_given_back_by_what_fails_or_is_cancelled() -> None:
    room = Room()
    with pytest.raises(RuntimeError):
        async with room.taken(GIB):
            raise RuntimeError
    holding = asyncio.Event()

    async def hold() -> None:
        async with room.taken(GIB):
            holding.set()
            await asyncio.Event().wait()

    async def wait() -> None:
        async with room.taken(GIB):
            pass

    held = asyncio.create_task(hold())
    await holding.wait()
    waiting = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiting.cancel()
    held.cancel()
    await asyncio.gather(held, waiting, return_exceptions=True)
    async with asyncio.timeout(5), room.taken(GIB):
        pass


async def test_a_drive_that_hangs_holds_up_no_other() -> None:
    rooms = Rooms()
    async with rooms.of(0, 0, 1).taken(GIB), asyncio.timeout(5), rooms.of(0, 0, 2).taken(GIB):
        assert rooms.of(0, 0, 1) is not rooms.of(0, 0, 2)
        assert rooms.of(0, 0, 1) is rooms.of(0, 0, 1)

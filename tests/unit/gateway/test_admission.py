"""How many requests are taken, and how taking them ends."""

import asyncio

from objstore.gateway.admission import Admission


async def test_no_more_than_the_bound_is_admitted() -> None:
    admission = Admission(2)
    assert [admission.try_enter() for _ in range(3)] == [True, True, False]
    assert admission.full
    admission.leave()
    assert admission.try_enter()
    assert admission.in_flight == 2


async def test_draining_admits_nothing_and_waits_for_what_is_in_flight() -> None:
    admission = Admission(2)
    assert admission.try_enter()

    async def leave_later() -> None:
        await asyncio.sleep(0.05)
        assert not admission.try_enter()
        admission.leave()

    async with asyncio.TaskGroup() as group:
        group.create_task(leave_later())
        assert await admission.drain(2.0)
    assert admission.in_flight == 0
    assert not admission.try_enter()


async def test_draining_ends_when_time_runs_out() -> None:
    admission = Admission(1)
    assert admission.try_enter()
    assert not await admission.drain(0.02)
    assert admission.draining


async def test_draining_an_idle_worker_takes_no_time() -> None:
    admission = Admission(1)
    assert await admission.drain(1.0)


async def test_a_lower_limit_lets_go_on_what_is_in() -> None:
    admission = Admission(3)
    assert all(admission.try_enter() for _ in range(3))
    admission.limit(2)
    admission.leave()
    assert not admission.try_enter()
    admission.leave()
    assert admission.try_enter()
    admission.limit(4)
    assert admission.try_enter()
    assert admission.in_flight == 3

"""Fanout: a decision, or the end of the time for one, whatever the drives do."""

import asyncio
import inspect
from typing import Any

import pytest

from objstore.engine.fanout import Ahead, Fanout


async def _hang() -> None:
    await asyncio.Event().wait()


async def test_the_deadline_holds_even_if_the_timer_fires_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As uvloop's does, by up to a millisecond."""
    loop = asyncio.get_running_loop()
    time_s = loop.time
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        fanout = Fanout(group, {0: _hang})
        call_at = loop.call_at

        def early(when: float, *rest: Any, **names: Any) -> asyncio.TimerHandle:
            return call_at(when - 0.02, *rest, **names)

        monkeypatch.setattr(loop, "call_at", early)
        began_s = time_s()
        await fanout.until(lambda _: None, deadline_s=0.05)
        monkeypatch.undo()
        fanout.cancel()
    assert time_s() - began_s < 5


async def test_work_that_is_given_up_before_it_began_is_closed() -> None:
    """Else the interpreter complains of a coroutine that nobody awaited."""
    async with asyncio.TaskGroup() as group:
        work = _hang()
        Ahead(group, work).cancel()
    assert inspect.getcoroutinestate(work) == inspect.CORO_CLOSED

"""Fanout: a decision, or the end of the time for one, whatever the drives do."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from objstore.engine.fanout import Fanout


async def _hang() -> None:
    await asyncio.Event().wait()


async def test_the_deadline_holds_even_if_the_timer_fires_early(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As uvloop's does, by up to a millisecond."""
    loop = asyncio.get_running_loop()
    call_at, call_later = loop.call_at, loop.call_later

    def early_at(when: float, callback: Callable[..., object], *args: Any) -> asyncio.TimerHandle:
        return call_at(when - 0.02, callback, *args)

    def early_later(
        delay: float, callback: Callable[..., object], *args: Any
    ) -> asyncio.TimerHandle:
        return call_later(delay - 0.02, callback, *args)

    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        fanout = Fanout(group, {0: _hang})
        monkeypatch.setattr(loop, "call_at", early_at)
        monkeypatch.setattr(loop, "call_later", early_later)
        assert await asyncio.wait_for(fanout.until(lambda _: None, deadline_s=0.05), 5) is None
        monkeypatch.undo()
        fanout.cancel()

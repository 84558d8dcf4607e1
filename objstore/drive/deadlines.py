"""A bound on how long a call may take, cheap enough for every call to every drive.

`asyncio.timeout` makes a timer for each use. Here one timer looks at all calls under way, so a
deadline may be late by TICK_S, and a call that ends in time costs two operations on a dict.
"""

import asyncio
from collections.abc import Awaitable
from typing import Any, Final, TypeVar

T = TypeVar("T")

TICK_S: Final = 0.1


class _Limit:
    __slots__ = ("expired", "expires_s", "task")

    def __init__(self, task: asyncio.Task[Any], expires_s: float) -> None:
        self.task = task
        self.expires_s = expires_s
        self.expired = False


class Deadlines:
    """The deadlines of the calls under way. Belongs to the event loop it is made on."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits: dict[_Limit, None] = {}
        self._ticking = False

    async def limit(self, call: Awaitable[T], deadline_s: float) -> T:
        """Return what `call` returns.

        Raises:
            TimeoutError: it had not ended after `deadline_s`, and was cancelled.
        """
        task = asyncio.current_task(self._loop)
        assert task is not None
        cancelling = task.cancelling()
        limit = _Limit(task, self._loop.time() + deadline_s)
        self._limits[limit] = None
        if not self._ticking:
            self._tick()
        try:
            return await call
        except asyncio.CancelledError as error:
            # As asyncio.timeout does: only if nobody else cancelled the task as well.
            if limit.expired and task.uncancel() <= cancelling:
                raise TimeoutError from error
            raise
        finally:
            del self._limits[limit]

    def _tick(self) -> None:
        now_s = self._loop.time()
        for limit in self._limits:
            if limit.expires_s <= now_s and not limit.expired:
                limit.expired = True
                limit.task.cancel()
        self._ticking = bool(self._limits)
        if self._ticking:
            self._loop.call_later(TICK_S, self._tick)

"""An event loop whose time is simulated: when nothing is ready, it jumps to the next timer.

There are no sockets, threads or real clocks in it, so a run is a pure function of its seed:

  - Time is a number that grows only when a timer is due. An hour of waiting costs nothing.
  - Callbacks that are ready together run in an order drawn from the seed.
  - Work for threads is done at once, and its result arrives after a delay drawn from the seed.
  - Tasks hash by the order in which they were made, not by their address: a TaskGroup keeps them in
    a set and cancels them in that set's order.

`simulate` also keeps the cyclic garbage collector off: when it runs depends on the process, and it
closes generators.
"""

import asyncio
import contextvars
import gc
import heapq
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_THREAD_S_MAX: Final = 0.002  # what work on a thread takes at most


class Stuck(Exception):
    """Nothing is ready, no timer is set, and the simulation has not ended: a wait without bound."""


class _Task(asyncio.Task[Any]):
    """A task whose hash is the same in every run."""

    def __init__(
        self,
        work: Coroutine[Any, Any, Any],
        number: int,
        *,
        loop: asyncio.AbstractEventLoop,
        context: contextvars.Context | None,
    ) -> None:
        self._number = number  # first: whoever makes a task puts it into a set at once
        super().__init__(work, loop=loop, context=context)

    def __hash__(self) -> int:
        return self._number


class SimLoop(asyncio.BaseEventLoop):
    """A loop on simulated time, with a seeded order of ready callbacks."""

    _ready: deque[asyncio.Handle]

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._now_s = 0.0
        self._random = random.Random(seed)
        self._number = 0  # of the last task or timer
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self.set_task_factory(self._new_task)  # type: ignore[arg-type]

    def time(self) -> float:
        return self._now_s

    def _new_task(
        self,
        _loop: asyncio.AbstractEventLoop,
        work: Coroutine[Any, Any, Any],
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[Any]:
        self._number += 1
        return _Task(work, self._number, loop=self, context=context)

    def run_in_executor(
        self, executor: object, func: Callable[..., T], *args: object
    ) -> asyncio.Future[T]:
        """Do the work now; say so a little later."""
        done: asyncio.Future[T] = self.create_future()
        try:
            arrive: Callable[[Any], None] = done.set_result
            outcome: Any = func(*args)
        except Exception as error:  # whoever waits for the thread gets it
            arrive, outcome = done.set_exception, error
            if isinstance(error, StopIteration):
                raise
        self.call_later(
            self._random.uniform(0, _THREAD_S_MAX),
            lambda: None if done.done() else arrive(outcome),
        )
        return done

    # --- what BaseEventLoop asks of a loop ------------------------------------------------

    def _write_to_self(self) -> None:
        """Nobody sleeps who would have to be woken."""

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: object,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._number += 1
        heapq.heappush(self._timers, (when, self._number, timer))
        return timer

    def _run_once(self) -> None:
        """Move time to the next timer if nothing is ready; then run what is, in a drawn order."""
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2].cancelled():
                heapq.heappop(timers)
            if timers:
                self._now_s = max(self._now_s, timers[0][0])
            elif not self._stopping:  # type: ignore[attr-defined]
                raise Stuck("nothing is ready and no timer is set")
        while timers and timers[0][0] <= self._now_s:
            timer = heapq.heappop(timers)[2]
            if not timer.cancelled():
                ready.append(timer)
        count = len(ready)
        if count > 1:
            drawn = list(ready)
            self._random.shuffle(drawn)
            ready.clear()
            ready.extend(drawn)
        for _ in range(count):
            handle = ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001


def simulate(seed: int, main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to completion on a fresh SimLoop."""
    collecting = gc.isenabled()
    gc.disable()
    gc.freeze()  # what is there already is not looked through afterwards
    try:
        with asyncio.Runner(loop_factory=lambda: SimLoop(seed)) as runner:
            return runner.run(main)
    finally:
        gc.collect()
        gc.unfreeze()
        if collecting:
            gc.enable()

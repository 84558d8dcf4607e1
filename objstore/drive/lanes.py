"""Threads of a drive, and how their results get back to the event loop.

A lane is a queue with threads. A thread takes all that waits, up to a group, handles it in one
go, and posts the results; the event loop is woken once for all results of all lanes that came in
since it last looked. Everything but `handle` runs on the event loop's thread.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, Generic, TypeVar

from objstore.errors import DriveError, DriveTimeout
from objstore.limits import DRIVE_CALLS_WAITING_MAX

T = TypeVar("T")

# What handling an item gave: its result, or the exception it raises.
Outcome = Any
Handler = Callable[[Sequence[T]], Sequence[Outcome]]
_Future = asyncio.Future[Any]
_Delivery = tuple[_Future, Outcome]


class Postbox:
    """Brings results from threads to futures, with one wake-up for many."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: deque[_Delivery] = deque()
        self._called = False

    def post(self, deliveries: Sequence[_Delivery]) -> None:
        """Hand results over. Called from any thread."""
        self._waiting.extend(deliveries)
        if self._called:
            return  # the loop has not begun to deliver yet, and will see these too
        self._called = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _deliver(self) -> None:
        # Cleared first: what is posted from here on either is seen below or calls again.
        self._called = False
        while self._waiting:
            future, outcome = self._waiting.popleft()
            if future.done():
                continue
            if isinstance(outcome, BaseException):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


class Lane(Generic[T]):
    """Threads that handle what is put into a queue, in groups.

    `begin` is called on each thread and returns its handler: what a handler needs for itself (a
    connection, a buffer) belongs to its thread. When the lane ends, `end` is called there. `hold`
    is entered around each group, once one item is there and before the others are taken: what
    comes while it waits for a lock still gets into the group.
    """

    def __init__(
        self,
        name: str,
        begin: Callable[[], Handler[T]],
        postbox: Postbox,
        *,
        group_max: int = 1,
        threads: int = 1,
        hold: Callable[[], AbstractContextManager[None]] = nullcontext,
        end: Callable[[], None] | None = None,
    ) -> None:
        self._name: Final = name
        self._postbox = postbox
        self._hold = hold
        self._queue: queue.SimpleQueue[tuple[_Future, T] | None] = queue.SimpleQueue()
        self._pending: set[_Future] = set()
        self._stopped: DriveError | None = None
        self._threads = [
            threading.Thread(
                target=self._run, args=(begin, group_max, end), name=f"{name}-{index}", daemon=True
            )
            for index in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many calls wait for an answer."""
        return len(self._pending)

    def submit(self, item: T) -> _Future:
        """Queue an item and return the future of its outcome.

        Raises:
            DriveTimeout: too many wait already.
            DriveOffline: the lane was stopped.
        """
        if self._stopped is not None:
            raise again(self._stopped)
        if len(self._pending) >= DRIVE_CALLS_WAITING_MAX:
            raise DriveTimeout(f"{self._name}: {len(self._pending)} calls wait already")
        future: _Future = self._postbox.loop.create_future()
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        self._queue.put((future, item))
        return future

    def stop(self, reason: DriveError) -> None:
        """End the threads after what they do now; everything that waits fails with `reason`."""
        if self._stopped is not None:
            return
        self._stopped = reason
        for _ in self._threads:
            self._queue.put(None)
        for future in tuple(self._pending):
            if not future.done():
                future.set_exception(again(reason))

    @property
    def ended(self) -> bool:
        """Whether all its threads have ended."""
        return not any(thread.is_alive() for thread in self._threads)

    def join(self, timeout_s: float) -> None:
        """Wait for the threads of a stopped lane to end, each at most so long. Blocks."""
        for thread in self._threads:
            thread.join(timeout_s)

    # --- on the threads --------------------------------------------------------------

    def _run(
        self, begin: Callable[[], Handler[T]], group_max: int, end: Callable[[], None] | None
    ) -> None:
        handle = begin()
        try:
            while (first := self._queue.get()) is not None and self._stopped is None:
                self._postbox.post(self._handle_group(handle, first, group_max))
        finally:
            if end is not None:
                end()

    def _handle_group(
        self, handle: Handler[T], first: tuple[_Future, T], group_max: int
    ) -> list[_Delivery]:
        group = [first]
        try:
            with self._hold():
                while len(group) < group_max and (item := self._take_waiting()) is not None:
                    group.append(item)
                return _handle_all(handle, group)
        except DriveError as error:
            return [(future, again(error)) for future, _ in group]

    def _take_waiting(self) -> tuple[_Future, T] | None:
        try:
            item = self._queue.get_nowait()
        except queue.Empty:
            return None
        if item is None:
            self._queue.put(None)  # it ends this thread after this group
        return item


def _handle_all(handle: Handler[T], group: list[tuple[_Future, T]]) -> list[_Delivery]:
    try:
        outcomes = handle([item for _, item in group])
        assert len(outcomes) == len(group)
    except Exception as error:  # noqa: BLE001 -- the outermost loop: whoever waits gets it
        return [(future, error) for future, _ in group]
    return [(future, outcome) for (future, _), outcome in zip(group, outcomes, strict=True)]


def again(reason: DriveError) -> DriveError:
    """Return the same error anew: one that is raised twice would collect both tracebacks."""
    kind = type(reason)
    fresh = kind.__new__(kind, *reason.args)
    vars(fresh).update(vars(reason))
    return fresh

"""One call on several drives: wait for a decision, not for the slowest.

Calls run in a task group that is handed in and outlives the request, so that a straggler goes on
after the client was answered and is still nobody's orphan.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Generic, TypeVar

from objstore.errors import DriveError, ObjstoreError

R = TypeVar("R")
T = TypeVar("T")


class Fanout(Generic[R]):
    """The answers and errors so far, by drive index.

    `answers` and `errors` grow until `pending` is empty. Only DriveError counts as an answer;
    any other exception is a bug and ends the group.
    """

    def __init__(
        self, group: asyncio.TaskGroup, calls: Mapping[int, Callable[[], Awaitable[R]]]
    ) -> None:
        self.answers: dict[int, R] = {}
        self.errors: dict[int, DriveError] = {}
        self._changed = asyncio.Event()
        self._group = group
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.add(calls)

    def add(self, calls: Mapping[int, Callable[[], Awaitable[R]]]) -> None:
        """Call more drives."""
        for drive, call in calls.items():
            assert drive not in self._tasks
            self._tasks[drive] = self._group.create_task(self._one(drive, call))

    @property
    def pending(self) -> int:
        """How many drives have not answered."""
        return len(self._tasks) - len(self.answers) - len(self.errors)

    def waits_for(self, drives: Iterable[int]) -> bool:
        """Whether one of `drives` was called and has not answered."""
        return any(
            drive in self._tasks and drive not in self.answers and drive not in self.errors
            for drive in drives
        )

    async def _one(self, drive: int, call: Callable[[], Awaitable[R]]) -> None:
        try:
            self.answers[drive] = await call()
        except DriveError as error:
            self.errors[drive] = error
        self._changed.set()

    async def until(
        self, decide: Callable[["Fanout[R]"], T | None], *, deadline_s: float
    ) -> T | None:
        """Return the first decision that is not None, or None once none can come any more."""
        over = False

        def end() -> None:
            # The clock is not asked again: a timer may fire a little before its time, and then
            # nothing would wake this call any more.
            nonlocal over
            over = True
            self._changed.set()

        waking = asyncio.get_running_loop().call_later(deadline_s, end)
        try:
            while (decision := decide(self)) is None and self.pending and not over:
                self._changed.clear()
                await self._changed.wait()
            return decision
        finally:
            waking.cancel()

    async def finished(self, *, deadline_s: float) -> None:
        """Wait until every drive has answered, at most `deadline_s`."""
        await self.until(lambda fanout: None if fanout.pending else True, deadline_s=deadline_s)

    def cancel(self) -> None:
        """Stop waiting for the drives that have not answered."""
        for drive, task in self._tasks.items():
            if drive not in self.answers and drive not in self.errors:
                task.cancel()


async def call_all(
    group: asyncio.TaskGroup,
    calls: Mapping[int, Callable[[], Awaitable[R]]],
    *,
    deadline_s: float,
) -> Fanout[R]:
    """Call every drive and wait for every answer, at most `deadline_s`."""
    fanout = Fanout(group, calls)
    try:
        await fanout.finished(deadline_s=deadline_s)
    finally:
        fanout.cancel()
    return fanout


class Ahead(Generic[T]):
    """Work begun before its result is needed. An expected failure waits for `result`."""

    def __init__(self, group: asyncio.TaskGroup, work: Coroutine[Any, Any, T]) -> None:
        self._error: ObjstoreError | None = None
        self._value: list[T] = []
        self._task = group.create_task(self._run(work))
        # Given up before it began, it would be a coroutine that nobody awaited.
        self._task.add_done_callback(lambda _: work.close())

    async def _run(self, work: Coroutine[Any, Any, T]) -> None:
        try:
            self._value.append(await work)
        except ObjstoreError as error:
            self._error = error

    async def result(self) -> T:
        """Wait for the work; return its value or raise its error."""
        await self._task
        if self._error is not None:
            raise self._error
        return self._value[0]

    def cancel(self) -> None:
        """Give the work up."""
        self._task.cancel()

"""How many requests this worker takes at once, and how it stops taking any.

A request that is not admitted costs nothing but its answer: 503 SlowDown, before its signature
is checked and before a byte of its body is read.
"""

import asyncio


class Admission:
    """A bound on the requests in flight, and a drain."""

    def __init__(self, requests_max: int) -> None:
        assert requests_max > 0
        self._requests_max = requests_max
        self._in_flight = 0
        self._draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def in_flight(self) -> int:
        """Requests that were admitted and are not answered yet."""
        return self._in_flight

    @property
    def draining(self) -> bool:
        """Whether the worker is about to stop: every answer closes its connection."""
        return self._draining

    @property
    def full(self) -> bool:
        """Whether the next request would be refused."""
        return self._draining or self._in_flight >= self._requests_max

    def limit(self, requests_max: int) -> None:
        """Admit at most so many from now on; those that are in go on."""
        assert requests_max > 0
        self._requests_max = requests_max

    def try_enter(self) -> bool:
        """Admit one request, or say that there is no room. Each True needs one `leave`."""
        if self.full:
            return False
        self._in_flight += 1
        if self._in_flight == 1:
            self._idle.clear()
        return True

    def leave(self) -> None:
        """Give back what `try_enter` took."""
        assert self._in_flight > 0
        self._in_flight -= 1
        if self._in_flight == 0:
            self._idle.set()

    async def drain(self, timeout_s: float) -> bool:
        """Admit nothing more and wait for what is in flight; False when time ran out."""
        self._draining = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            return False
        return True

"""The sources of nondeterminism, as things one is given: time and entropy."""

import os
import time
from threading import Lock
from typing import Final, Protocol

_ENTROPY_BYTES: Final = 1024


class Clock(Protocol):
    """Wall time for what is stored or signed; monotonic time for what is measured."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch. May jump."""
        ...

    def monotonic_s(self) -> float:
        """Seconds since an arbitrary start. Never goes back."""
        ...


class Entropy(Protocol):
    """Unpredictable bytes, for identities, nonces and secrets."""

    def draw(self, count: int) -> bytes:
        """Return `count` unpredictable bytes."""
        ...


class SystemClock:
    """The operating system's clock."""

    def now_ns(self) -> int:
        return time.time_ns()

    def monotonic_s(self) -> float:
        return time.monotonic()


class SystemEntropy:
    """The operating system's entropy, fetched ahead: a system call for each draw is slow.

    It must not be carried over a fork: both sides would draw the same.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._left = b""

    def draw(self, count: int) -> bytes:
        with self._lock:
            if len(self._left) < count:
                self._left = os.urandom(max(count, _ENTROPY_BYTES))
            drawn, self._left = self._left[:count], self._left[count:]
        return drawn


_CLOCK: type[Clock] = SystemClock
_ENTROPY: type[Entropy] = SystemEntropy

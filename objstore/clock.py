"""The sources of nondeterminism, as things one is given: time and entropy."""

import os
import time
from typing import Protocol


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
    """The operating system's entropy."""

    def draw(self, count: int) -> bytes:
        return os.urandom(count)


_CLOCK: type[Clock] = SystemClock
_ENTROPY: type[Entropy] = SystemEntropy

"""A clock that goes when it is told to."""

from objstore.clock import Clock


class FakeClock:
    """Wall time and monotonic time, moved by hand; the wall may jump by itself."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now_ns = now_ms * 1_000_000
        self._monotonic_s = 1000.0

    def now_ns(self) -> int:
        return self._now_ns

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now_ns += int(seconds * 1e9)
        self._monotonic_s += seconds

    def jump(self, seconds: float) -> None:
        """Set the wall clock forward or back; no time passes."""
        self._now_ns += int(seconds * 1e9)


_CONFORMS: type[Clock] = FakeClock

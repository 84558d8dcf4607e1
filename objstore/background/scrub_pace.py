"""How fast the scrub reads: so many bytes a second, and less while the drive has other work.

Whether it has, shows in two ways: small calls to it take longer than they should, or the scrub's
own reads take several times as long as the quickest did lately. No clock here: times are given.
"""

from dataclasses import dataclass
from typing import Final

from objstore.limits import MIB, SCRUB_PAUSE_S_MAX

_BUSY_LATENCY_S: Final = 0.02  # of a small call, on average; a disk that rests needs less
_BUSY_TIMES: Final = 3.0  # so many times the quickest read is normal
_FORGETS: Final = 1.01  # the quickest read is believed a little less with every one that follows
_FACTOR_MAX: Final = 16.0
_PAUSE_S_MIN: Final = 0.02  # shorter ones are saved up
_CREDIT_S_MAX: Final = 1.0
_FULL_SPEED_PAUSE_S: Final = 0.05  # while clients wait


@dataclass(slots=True)
class Pace:
    """The pace of one drive's scrub."""

    bytes_per_s: float
    _quick_s: float = 0.0  # per MiB, the quickest lately
    _owed_s: float = 0.0

    def load(self, size: int, took_s: float, latency_s: float) -> float:
        """Return how busy the drive is: 1 when it is not, up to 16."""
        factor = latency_s / _BUSY_LATENCY_S
        if size >= MIB:
            per_mib_s = took_s * MIB / size
            self._quick_s = min(self._quick_s * _FORGETS or per_mib_s, per_mib_s)
            factor = max(factor, per_mib_s / (_BUSY_TIMES * max(self._quick_s, 1e-6)))
        return min(max(factor, 1.0), _FACTOR_MAX)

    def pause_s(
        self, size: int, took_s: float, *, latency_s: float = 0.0, full_speed: bool = False
    ) -> float:
        """Return how long to pause after `size` bytes that took `took_s` to read and check.

        At full speed only a drive that is busy is given a rest.
        """
        load = self.load(size, took_s, latency_s)
        if full_speed:
            self._owed_s = 0.0
            return _FULL_SPEED_PAUSE_S if latency_s > _BUSY_LATENCY_S else 0.0
        self._owed_s += load * size / self.bytes_per_s - took_s
        self._owed_s = max(self._owed_s, -_CREDIT_S_MAX)
        if self._owed_s < _PAUSE_S_MIN:
            return 0.0
        pause_s = min(self._owed_s, SCRUB_PAUSE_S_MAX)
        self._owed_s = 0.0
        return pause_s

"""How many keys to heal at once: enough to be quick, and too few for clients to wait behind.

What is healed shares processors, disks and peers' event loops with clients. Where these keep up, a
key takes as long as alone; where they do not, more at once heals no faster, it only waits, and
everybody else behind it. So the number follows how many seem to wait, as TCP Vegas (Brakmo and
Peterson, 1995) follows the packets that lie in queues. No clock here: times are given.
"""

from dataclasses import dataclass
from typing import Final

from objstore.limits import HEALS_AT_ONCE_MAX

_START: Final = 2
_WAITING_FEW: Final = 2.0  # fewer than these seem to wait: one more at once
_WAITING_MANY: Final = 4.0  # more: one less
_QUICKEST_S_MIN: Final = 0.0005
_FORGETS: Final = 1.001  # the quickest is believed a little less with every key that follows
_MEAN_OVER: Final = 8  # keys, roughly


@dataclass(slots=True)
class HealPace:
    """The pace of one run over many keys."""

    at_once: int = _START
    _quickest_s: float = 0.0
    _mean_s: float = 0.0
    _since: int = 0  # keys since `at_once` was last thought over

    def took(self, seconds: float) -> None:
        """Take note of how long one key took, and think the number over once for each that runs."""
        seconds = max(seconds, _QUICKEST_S_MIN)
        self._quickest_s = min(self._quickest_s * _FORGETS or seconds, seconds)
        self._mean_s += (seconds - self._mean_s) / _MEAN_OVER if self._mean_s else seconds
        self._since += 1
        if self._since < self.at_once:
            return
        self._since = 0
        waiting = self.at_once * (1 - min(self._quickest_s / self._mean_s, 1.0))
        if waiting > _WAITING_MANY:
            self.at_once -= 1
        elif waiting < _WAITING_FEW and self.at_once < HEALS_AT_ONCE_MAX:
            self.at_once += 1

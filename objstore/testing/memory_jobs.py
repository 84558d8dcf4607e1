"""What background jobs store on a drive in memory."""

from collections.abc import Callable, Mapping
from typing import Any

from objstore.drive.job_states import Comparison, Progress, Quarantine, ScrubState
from objstore.drive.ops import (
    Op,
    RequestCompare,
    RequestHeal,
    RequestScrub,
    WriteComparison,
    WriteQuarantine,
    WriteScrub,
)


class MemoryJobs:
    """Wishes of the operator, and how far the jobs are."""

    def __init__(self) -> None:
        self.progress: Progress | None = None
        self.heal_requested_ms = 0
        self.scrub: ScrubState | None = None
        self.scrub_requested = RequestScrub(0)
        self.quarantine: Quarantine | None = None
        self.comparison: Comparison | None = None
        self.compare_requested_ms = 0
        self.forgotten = 0

    def forget(self, number: int) -> None:
        """A tombstone is forgotten, the one of this number in the set."""
        if number == self.forgotten + 1:
            self.forgotten = number

    def handlers(self) -> Mapping[type[Op[Any]], Callable[[Any], Any]]:
        """Return what answers each call."""
        return {
            RequestHeal: self._request_heal,
            WriteScrub: self._write_scrub,
            RequestScrub: self._request_scrub,
            WriteQuarantine: self._write_quarantine,
            WriteComparison: self._write_comparison,
            RequestCompare: self._request_compare,
        }

    def _request_heal(self, op: RequestHeal) -> None:
        self.heal_requested_ms = op.requested_ms

    def _write_scrub(self, op: WriteScrub) -> None:
        self.scrub = op.state

    def _request_scrub(self, op: RequestScrub) -> None:
        self.scrub_requested = op

    def _write_quarantine(self, op: WriteQuarantine) -> None:
        self.quarantine = op.quarantine

    def _write_comparison(self, op: WriteComparison) -> None:
        self.comparison = op.comparison
        self.forgotten = max(self.forgotten, op.forgotten)

    def _request_compare(self, op: RequestCompare) -> None:
        self.compare_requested_ms = op.requested_ms

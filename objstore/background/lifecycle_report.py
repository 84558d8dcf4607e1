"""What a pass of lifecycle did, counted while it goes on."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import structlog

from objstore.background.ports import LifecycleCounters
from objstore.clock import Clock
from objstore.limits import LIFECYCLE_PROGRESS_S
from objstore.rules.lifecycle import Act

_log = structlog.get_logger(__name__)


class Work(Enum):
    """What was due; the values are those of the metric's label `action`."""

    EXPIRE = "expire"
    DELETE_NONCURRENT = "delete_noncurrent"
    REMOVE_MARKER = "remove_marker"
    ABORT_UPLOAD = "abort_upload"


class Result(Enum):
    """What became of it; the values are those of the metric's label `result`."""

    DONE = "done"
    CHANGED = "changed"  # what was judged is not as it was: the next pass judges anew
    LOCKED = "locked"  # object lock protects the version
    FAILED = "failed"  # too few drives answered, or what the version says cannot be read


WORK_OF: Final[Mapping[Act, Work]] = {
    Act.EXPIRE_CURRENT: Work.EXPIRE,
    Act.DELETE_NONCURRENT: Work.DELETE_NONCURRENT,
    Act.REMOVE_MARKER: Work.REMOVE_MARKER,
}
assert set(WORK_OF) == set(Act)


@dataclass(frozen=True, slots=True)
class LifecycleReport:
    """What a pass over one set did.

    `complete` says that every bucket was walked to its end and nothing that was due failed.
    """

    buckets: int = 0  # that have a rule which is enabled
    versions: int = 0  # looked at, delete markers too
    uploads: int = 0  # looked at
    results: Mapping[tuple[Work, Result], int] = field(default_factory=dict)
    complete: bool = True

    def count(self, work: Work, result: Result = Result.DONE) -> int:
        """Return how often `work` had this result."""
        return self.results.get((work, result), 0)


class Tally:
    """The report of a pass that goes on, and its lines in the log."""

    def __init__(self, counters: LifecycleCounters, clock: Clock, name: str) -> None:
        self._counters = counters
        self._clock = clock
        self._name = name
        self._began_s = self._said_s = clock.monotonic_s()
        self._buckets = self._versions = self._uploads = 0
        self._results: Counter[tuple[Work, Result]] = Counter()
        self._complete = True

    def bucket(self) -> None:
        """A bucket is going to be walked."""
        self._buckets += 1

    def looked_at(self, bucket: str, *, versions: int = 0, uploads: int = 0) -> None:
        """A page was judged and acted on. A pass that takes long says now and then where it is."""
        self._versions += versions
        self._uploads += uploads
        self._counters.looked_at(versions + uploads)
        now_s = self._clock.monotonic_s()
        if now_s - self._said_s >= LIFECYCLE_PROGRESS_S:
            self._said_s = now_s
            _log.info("lifecycle pass goes on", bucket=bucket, **self._figures())

    def add(self, work: Work, result: Result) -> None:
        """Something that was due has this result."""
        self._results[work, result] += 1
        self._counters.acted(work.value, result.value)
        if result is Result.FAILED:
            self._complete = False

    def broken_off(self) -> None:
        """A bucket could not be walked to its end."""
        self._complete = False

    def finish(self, *, quiet: bool) -> LifecycleReport:
        """Return the report; log it when the pass was about anything, or `quiet`, did anything."""
        if self._results or not self._complete or (self._buckets and not quiet):
            _log.info("lifecycle pass finished", complete=self._complete, **self._figures())
        return LifecycleReport(
            self._buckets, self._versions, self._uploads, dict(self._results), self._complete
        )

    def _figures(self) -> dict[str, object]:
        took_s = self._clock.monotonic_s() - self._began_s
        acted = {
            f"{work.value}_{result.value}": count for (work, result), count in self._results.items()
        }
        return {
            "set": self._name,
            "buckets": self._buckets,
            "versions": self._versions,
            "uploads": self._uploads,
            "per_second": round((self._versions + self._uploads) / took_s, 1) if took_s else 0.0,
            "seconds": round(took_s, 3),
        } | acted

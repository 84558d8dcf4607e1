"""What a client may see while faults are under way. Pure.

A request that the layout can serve without what is away has to be served. One that it cannot serve
is refused with a typed 503. No answer at all is for a server that is itself down, or for a download
that had begun when its shards went.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from objstore.cli.chaos.plan import Fault, Kind, Shape, missing_to, serves

REFUSALS: Final = frozenset({"SlowDown", "SlowDownRead", "SlowDownWrite", "ServiceUnavailable"})
NO_ANSWER: Final = 0


@dataclass(slots=True)
class Hurt:
    """A fault that was made, and for how long it may be felt."""

    fault: Fault
    since_s: float
    until_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was not served."""

    verb: str
    key: str
    server: int
    began_s: float
    ended_s: float
    status: int
    code: str

    @property
    def write(self) -> bool:
        """Whether it would have changed something."""
        return self.verb in {"PUT", "DELETE"}

    def __str__(self) -> str:
        took_s = self.ended_s - self.began_s
        answer = f"{self.status} {self.code}" if self.status else f"no answer ({self.code})"
        return f"{self.verb} {self.key} from server {self.server}: {answer} after {took_s:.2f} s"


def complaint_about(shape: Shape, hurts: Iterable[Hurt], failure: Failure) -> str:
    """Return why a failure breaks a promise; empty when it may be."""
    felt = [
        hurt.fault
        for hurt in hurts
        if hurt.since_s <= failure.ended_s and hurt.until_s >= failure.began_s
    ]
    missing = frozenset().union(*(missing_to(shape, one, failure.server) for one in felt))
    due = serves(shape, missing, write=failure.write)
    if failure.status == NO_ANSWER:
        down = any(one.kind is Kind.SERVER and one.server == failure.server for one in felt)
        return "" if down or not due else f"{failure}: its server was up, and could serve it"
    if failure.status != 503 or failure.code not in REFUSALS:
        return f"{failure}: neither served nor refused with 503"
    meanwhile = f" while {', '.join(map(str, felt))}" if felt else " while nothing was wrong"
    return f"{failure}{meanwhile}: the layout can serve it" if due else ""

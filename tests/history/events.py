"""What a client asked and was answered: the lines of a history.

Every write stores a value that no other write stores, so that a reader's answer names the write it
saw. `None` is the value of a key that holds nothing: at the beginning, and after a deletion.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

Value = str | None


class Verb(StrEnum):
    PUT = "put"
    DELETE = "delete"  # a write of None
    CREATE = "create"  # put, if the key holds nothing
    SWAP = "swap"  # put, if the key holds `expected`
    GET = "get"
    SEEN = "seen in a listing"  # a listing is a read of every key it could have shown


class Outcome(StrEnum):
    OK = "ok"
    REFUSED = "condition not met"  # of CREATE and SWAP: something else was there
    MAYBE = "not known"  # a write without an answer, or one answered with 5xx or 409


READS = frozenset({Verb.GET, Verb.SEEN})
CONDITIONAL = frozenset({Verb.CREATE, Verb.SWAP})


@dataclass(frozen=True, slots=True)
class Event:
    """One operation on one key. A read's `value` is what it was given."""

    verb: Verb
    key: str
    start: float
    end: float
    outcome: Outcome = Outcome.OK
    value: Value = None
    expected: Value = None
    client: str = ""

    @property
    def is_write(self) -> bool:
        """Whether it changed something, or may have."""
        return self.verb not in READS and self.outcome is not Outcome.REFUSED

    @property
    def acknowledged(self) -> bool:
        return self.is_write and self.outcome is Outcome.OK

    @property
    def until(self) -> float:
        """When it had taken effect at the latest: what is not known may do so at any time."""
        return math.inf if self.outcome is Outcome.MAYBE else self.end

    def sees(self, value: Value) -> bool:
        """Whether it may be answered as it was when the key holds `value`."""
        if self.verb in READS:
            return value == self.value
        if self.verb not in CONDITIONAL:
            return False
        held = value == (None if self.verb is Verb.CREATE else self.expected)
        return held is not (self.outcome is Outcome.REFUSED)

    def __str__(self) -> str:
        asked = {
            Verb.PUT: f"put {self.value}",
            Verb.DELETE: "delete",
            Verb.CREATE: f"create {self.value}",
            Verb.SWAP: f"swap {self.expected} for {self.value}",
            Verb.GET: f"get: {self.value}",
            Verb.SEEN: f"listed: {self.value}",
        }[self.verb]
        return (
            f"{self.start:9.3f} .. {self.end:9.3f}  {self.client:>14}  {self.key}  {asked}"
            f"{'' if self.outcome is Outcome.OK else f'  ({self.outcome})'}"
        )


@dataclass(frozen=True, slots=True)
class Mishap:
    """What a nemesis did, so that a history can be read beside it."""

    start: float
    end: float
    what: str

    def __str__(self) -> str:
        return f"{self.start:9.3f} .. {self.end:9.3f}  {'nemesis':>14}  {self.what}"


def told(events: Sequence[Event], mishaps: Sequence[Mishap]) -> str:
    """Tell what happened, in order of its beginning, and what went wrong at the time."""
    if not events:
        return ""
    begin = min(event.start for event in events)
    end = max(event.end for event in events)
    meanwhile = [one for one in mishaps if one.start < end and one.end > begin]
    lines: list[Event | Mishap] = [*events, *meanwhile]
    return "\n".join(map(str, sorted(lines, key=lambda line: line.start)))

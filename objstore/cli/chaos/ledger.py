"""What every key may hold, by what its one writer was answered. Pure.

Each key has one writer, which asks one thing after the other. An acknowledged write stays until the
next. One that was refused may have taken effect, until a later one is acknowledged: its stamp is
lower. One without an answer may still be under way in a server, so it may take effect at any time.
"""

from dataclasses import dataclass, field

from objstore.cli.chaos.judgement import NO_ANSWER

Content = str | None  # a digest; None: there is no such object


@dataclass(slots=True)
class _Entry:
    acknowledged: Content = None
    refused: set[Content] = field(default_factory=set)
    unanswered: set[Content] = field(default_factory=set)


@dataclass(slots=True)
class Ledger:
    """Every key that was ever written."""

    _entries: dict[str, _Entry] = field(default_factory=dict)

    def acknowledge(self, key: str, content: Content) -> None:
        """Note a write, or a deletion, that was acknowledged."""
        entry = self._entry(key)
        entry.acknowledged = content
        entry.refused.clear()

    def fail(self, key: str, content: Content, status: int) -> None:
        """Note a write that was not acknowledged; `status` is 0 when there was no answer."""
        entry = self._entry(key)
        (entry.unanswered if status == NO_ANSWER else entry.refused).add(content)

    def possible(self, key: str) -> frozenset[Content]:
        """Return what a reader may find now."""
        entry = self._entries.get(key)
        if entry is None:
            return frozenset({None})
        return frozenset({entry.acknowledged}) | entry.refused | entry.unanswered

    def every_key(self) -> list[str]:
        """Return every key, in order."""
        return sorted(self._entries)

    def certain(self) -> int:
        """Count the keys that must have exactly one content, and have one."""
        every = map(self.possible, self._entries)
        return sum(len(one) == 1 and None not in one for one in every)

    def _entry(self, key: str) -> _Entry:
        return self._entries.setdefault(key, _Entry())

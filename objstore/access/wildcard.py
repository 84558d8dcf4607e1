"""Wildcards: `*` stands for any run of characters, also none and also slashes, `?` for any one.

Time is bounded whatever the pattern. Stars cut a pattern into segments; each is searched for once,
from where the one before it ended, for the leftmost place is never the wrong one. A segment with
`?` inside is searched for at all places at once, with one bit for each place. So a match costs at
most a few passes over the text, and a machine word's worth of work for each character of the
pattern and 64 of the text: nothing is ever tried again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto


class Wild(Enum):
    """What stands for other characters."""

    ANY = auto()  # ?
    RUN = auto()  # *


class Text:
    """A text that patterns are tried on. What a search needs to know of it is worked out once."""

    __slots__ = ("_places", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._places: dict[str, int] | None = None

    def places(self, character: str) -> int:
        """Return where `character` stands: bit i for place i."""
        if self._places is None:
            self._places = _places(self.text)
        return self._places.get(character, 0)


def _places(text: str) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, character in enumerate(text):
        places[character] = places.get(character, 0) | 1 << place
    return places


@dataclass(frozen=True, slots=True)
class _Segment:
    """What stands between two stars: literal runs, each at its offset, and `?` elsewhere."""

    length: int
    runs: tuple[tuple[int, str], ...]

    def fits(self, text: str, at: int) -> bool:
        """Whether the segment stands in `text` at `at`; there has to be room for it."""
        return all(text.startswith(run, at + offset) for offset, run in self.runs)

    def find(self, text: Text, start: int, stop: int) -> int:
        """Return the first place between `start` and `stop` where it stands, -1 without one."""
        if start + self.length > stop:
            return -1
        if not self.runs:
            return start
        if len(self.runs) == 1:
            offset, run = self.runs[0]
            after = self.length - offset - len(run)
            found = text.text.find(run, start + offset, stop - after)
            return found - offset if found >= 0 else -1
        return self._find_everywhere(text, start, stop)

    def _find_everywhere(self, text: Text, start: int, stop: int) -> int:
        candidates = (1 << stop - self.length + 1) - (1 << start)
        for offset, run in self.runs:
            for place, character in enumerate(run, offset):
                candidates &= text.places(character) >> place
                if not candidates:
                    return -1
        return (candidates & -candidates).bit_length() - 1


@dataclass(frozen=True, slots=True)
class Glob:
    """A pattern, compiled. Without a star there is only `first`."""

    first: _Segment
    middle: tuple[_Segment, ...] = ()
    last: _Segment | None = None

    def matches(self, text: Text) -> bool:
        """Whether the pattern stands for the whole text."""
        size = len(text.text)
        if self.last is None:
            return size == self.first.length and self.first.fits(text.text, 0)
        stop = size - self.last.length
        if stop < self.first.length:
            return False
        if not (self.first.fits(text.text, 0) and self.last.fits(text.text, stop)):
            return False
        at = self.first.length
        for segment in self.middle:
            at = segment.find(text, at, stop)
            if at < 0:
                return False
            at += segment.length
        return True


def compile_glob(pieces: Iterable[str | Wild]) -> Glob:
    """Compile a pattern given as literal texts and wildcards, in order."""
    segments: list[list[str | Wild]] = [[]]
    for piece in pieces:
        if piece is Wild.RUN:
            segments.append([])
        else:
            segments[-1].append(piece)
    first, *rest = (_segment(pieces) for pieces in segments)
    if not rest:
        return Glob(first)
    # Two stars in a row are one: what stands between them is nothing.
    return Glob(first, tuple(segment for segment in rest[:-1] if segment.length), rest[-1])


def _segment(pieces: Iterable[str | Wild]) -> _Segment:
    length = 0
    runs: list[tuple[int, str]] = []
    for piece in pieces:
        if isinstance(piece, Wild):
            length += 1
            continue
        if runs and runs[-1][0] + len(runs[-1][1]) == length:
            runs[-1] = (runs[-1][0], runs[-1][1] + piece)
        elif piece:
            runs.append((length, piece))
        length += len(piece)
    return _Segment(length, tuple(runs))


def wildcard_pieces(text: str) -> Iterable[str | Wild]:
    """Cut a text at its wildcards."""
    literal = 0
    for place, character in enumerate(text):
        if character in "*?":
            if literal < place:
                yield text[literal:place]
            yield Wild.RUN if character == "*" else Wild.ANY
            literal = place + 1
    if literal < len(text):
        yield text[literal:]


def glob(text: str) -> Glob:
    """Compile a text with `*` and `?`."""
    return compile_glob(wildcard_pieces(text))


class Words:
    """Many short texts that one pattern is tried on at once.

    They stand in one row, each before an end of its own. A set of bits says how far into which
    of them the pattern may have got; each of its characters moves all of them on together.
    """

    __slots__ = ("_ends", "_inside", "_places", "_starts")

    def __init__(self, words: Iterable[str]) -> None:
        listed = list(words)
        assert all(listed)
        row = "".join(f"{word}\0" for word in listed)
        self._places = _places(row)
        ends = self._places.pop("\0")
        self._inside = (1 << len(row)) - 1 - ends
        self._starts = (ends << 1 | 1) & self._inside
        self._ends: dict[int, str] = {}
        place = -1
        for word in listed:
            place += len(word) + 1
            self._ends[place] = word

    def matching(self, pattern: str) -> list[str]:
        """Return the words that a text with `*` and `?` stands for."""
        at = self._starts
        for piece in wildcard_pieces(pattern):
            if piece is Wild.RUN:
                # The carry of a sum runs from each place to the end of its word.
                at |= (at & self._inside) + self._inside ^ self._inside
            elif piece is Wild.ANY:
                at = (at & self._inside) << 1
            else:
                for character in piece:
                    at = (at & self._places.get(character, 0)) << 1
        return [word for place, word in self._ends.items() if at >> place & 1]

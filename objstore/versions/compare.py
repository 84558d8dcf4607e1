"""Find where drives differ, from the nodes of their trees: decisions only.

Two drives are cut into nodes at the places that they have. Where both have a cut, what lies between
two cuts can be compared as a sum; a cut that only one has is passed over, and its nodes are added
up. So drives can be compared whose nodes are not the same, and a node that is cut short by the end
of a page is one like any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from objstore.ondisk.tree import LEVEL_BITS, LEVEL_MAX, TOTAL_MASK, TreeNode

# Nodes wanted of a span: with fewer than the first a level is not worth a question, and with more
# than the second on a span without common cuts it has little that is the same.
_NODES_WANTED: Final = 4
_NODES_UNCUT_MAX: Final = 128
_AFTER_ALL: Final = b"\xff"  # no place is above it: names are UTF-8


@dataclass(frozen=True, slots=True)
class Root:
    """A whole tree: how many entries it has, and their sum, reduced."""

    entries: int
    total: int
    trusted: bool  # as in a TreePage


@dataclass(frozen=True, slots=True)
class Span:
    """Places from `begin` to `end` (empty: to the end), to be looked at on a level."""

    begin: bytes
    end: bytes
    level: int


@dataclass(frozen=True, slots=True)
class Side:
    """What one drive said of a span: its nodes up to `next`, or all when that is None."""

    nodes: Sequence[TreeNode]
    next: bytes | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of a span: places that differ, and spans that are to be looked at, in order."""

    places: tuple[bytes, ...] = ()
    spans: tuple[Span, ...] = ()


def whole(roots: Sequence[Root]) -> Span | None:
    """Return what to look at first, by the roots of the drives' trees; None when they are equal."""
    if len({root.total for root in roots}) <= 1:
        return None
    return Span(b"", b"", level_for(max(root.entries for root in roots)))


def level_for(entries: int) -> int:
    """Return the level to look at when so many entries lie in a span."""
    level = 0
    while level < LEVEL_MAX and entries >> LEVEL_BITS * (level + 1) >= _NODES_WANTED:
        level += 1
    return level


def compare(span: Span, sides: Sequence[Side]) -> Found:
    """Compare what every drive said of a span. Two of them have to say something else to count."""
    if span.level == 0:
        return _compare_keys(span, sides)
    return _compare_nodes(span, sides)


def _compare_keys(span: Span, sides: Sequence[Side]) -> Found:
    cut = min((side.next for side in sides if side.next is not None), default=None)
    held = [
        {node.place: node.total for node in side.nodes if cut is None or node.place < cut}
        for side in sides
    ]
    places = {place for side in held for place in side}
    differing = (place for place in places if len({side.get(place) for side in held}) > 1)
    rest = () if cut is None else (Span(cut, span.end, 0),)
    return Found(tuple(sorted(differing)), rest)


def _compare_nodes(span: Span, sides: Sequence[Side]) -> Found:
    end = span.end or _AFTER_ALL
    cuts = [{*(node.place for node in side.nodes), side.next or end} for side in sides]
    common = sorted(set[bytes].intersection(*cuts))
    if not common or common[0] != span.begin:
        return Found(spans=(Span(span.begin, span.end, 0),))
    sums = [_sums(side, common) for side in sides]
    spans = [
        _next(span, first, last, between)
        for first, last, *between in zip(common, common[1:], *sums, strict=False)
        if len({one.total & TOTAL_MASK for one in between}) > 1
    ]
    if common[-1] != end:
        # Pages ended early. Without a cut on the way nothing is gained by asking again.
        level = span.level if len(common) > 1 else 0
        spans.append(Span(common[-1], span.end, level))
    return Found(spans=tuple(spans))


@dataclass(slots=True)
class _Between:
    """What a drive has between two cuts."""

    nodes: int = 0
    entries: int = 0
    total: int = 0


def _sums(side: Side, cuts: Sequence[bytes]) -> list[_Between]:
    """Add up the nodes of a drive from each cut to the next; what follows the last is left out."""
    sums = [_Between() for _ in cuts]
    at = 0
    for node in side.nodes:
        while at + 1 < len(cuts) and node.place >= cuts[at + 1]:
            at += 1
        between = sums[at]
        between.nodes += 1
        between.entries += node.entries
        between.total += node.total
    return sums[:-1]


def _next(span: Span, first: bytes, last: bytes, between: Sequence[_Between]) -> Span:
    """Return how to go on with a part of a span that differs."""
    entries = max(one.entries for one in between)
    uncut = max(one.nodes for one in between) > _NODES_UNCUT_MAX
    level = 0 if uncut else min(span.level - 1, level_for(entries))
    return Span(first, b"" if last == _AFTER_ALL else last, level)

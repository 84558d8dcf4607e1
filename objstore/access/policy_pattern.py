"""Patterns of policies: wildcards and variables.

"You can use policy variables in the Resource element and in string comparisons in the Condition
element." A value that comes in for a variable is literal, wildcards in it too; `${*}`, `${?}` and
`${$}` are these characters themselves.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from objstore.access.condition_keys import is_known
from objstore.access.facts import Facts
from objstore.access.wildcard import Glob, Text, Wild, compile_glob, wildcard_pieces

_VARIABLE: Final = re.compile(r"\s*(?P<key>[^\s,'}]+)\s*(?:,\s*'(?P<default>[^']*)'\s*)?")
_LITERAL: Final = frozenset("*?$")


class MalformedPattern(ValueError):
    """A variable begins and does not end, or is none."""


@dataclass(frozen=True, slots=True)
class Variable:
    """`${key}` or `${key, 'default'}`; the key in lower case."""

    key: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A pattern of a policy."""

    pieces: tuple[str | Wild | Variable, ...]
    glob: Glob | None  # None: it has variables
    ignore_case: bool

    def matches(self, value: str, facts: Facts) -> bool | None:
        """Whether it stands for `value`; None when a variable of it is unknown here.

        "If a variable that has no value in the authorization context [...] will not match any
        resource."
        """
        text = facts.text(value.casefold() if self.ignore_case else value)
        if self.glob is not None:
            return self.glob.matches(text)
        return self._matches_bound(text, facts)

    def _matches_bound(self, text: Text, facts: Facts) -> bool | None:
        bound: list[str | Wild] = []
        for piece in self.pieces:
            if not isinstance(piece, Variable):
                bound.append(piece)
                continue
            if not is_known(piece.key):
                return None
            values = facts.values(piece.key)
            value = values[0] if len(values) == 1 else piece.default
            if value is None:
                return False
            bound.append(value.casefold() if self.ignore_case else value)
        return compile_glob(bound).matches(text)


def compile_pattern(
    text: str, *, wildcards: bool, variables: bool, ignore_case: bool = False
) -> Pattern:
    """Compile a pattern of a policy.

    Raises:
        MalformedPattern: `${` without a key and an end.
    """
    pieces: list[str | Wild | Variable] = []
    for piece in _cut(text) if variables else [text]:
        if isinstance(piece, str):
            folded = piece.casefold() if ignore_case else piece
            pieces.extend(wildcard_pieces(folded) if wildcards else [folded])
        elif isinstance(piece, Variable):
            pieces.append(piece)
        else:
            pieces.append(piece.character)
    return Pattern(tuple(pieces), _glob(pieces), ignore_case)


def _glob(pieces: Iterable[str | Wild | Variable]) -> Glob | None:
    fixed = [piece for piece in pieces if not isinstance(piece, Variable)]
    return compile_glob(fixed) if len(fixed) == len(list(pieces)) else None


@dataclass(frozen=True, slots=True)
class _Escaped:
    character: str


def _cut(text: str) -> Iterator[str | Variable | _Escaped]:
    """Cut a text at its variables."""
    place = 0
    while (start := text.find("${", place)) >= 0:
        if place < start:
            yield text[place:start]
        end = text.find("}", start)
        inner = text[start + 2 : end]
        if end < 0:
            raise MalformedPattern(text)
        if inner in _LITERAL:
            yield _Escaped(inner)
        else:
            found = _VARIABLE.fullmatch(inner)
            if found is None:
                raise MalformedPattern(text)
            yield Variable(found["key"].lower(), found["default"])
        place = end + 1
    if place < len(text):
        yield text[place:]

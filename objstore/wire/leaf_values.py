"""Read the leaves of a document as values: numbers, booleans, dates and words of a list.

Grammar first: `int()` would take signs, underscores and other scripts' digits. White space around
a value does not count, as in XML Schema. Whatever is not of its type is MalformedXML.
"""

import re
from collections.abc import Collection
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.timestamps import parse_date
from objstore.wire.xml_reader import Node

_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}")


def malformed(detail: str) -> RequestRefused:
    """Return the refusal of a document that does not fit its schema."""
    return RequestRefused("MalformedXML", Detail=detail[:200])


def required(node: Node, name: str) -> Node:
    """Return the child of that name.

    Raises:
        RequestRefused: MalformedXML without one.
    """
    found = node.one(name)
    if found is None:
        raise malformed(f"{name} is missing")
    return found


def word(node: Node, name: str) -> str | None:
    """Return a leaf's text without white space around it, None without the leaf."""
    text = node.text_of(name)
    return None if text is None else text.strip()


def choice(node: Node, name: str, allowed: Collection[str]) -> str | None:
    """Return a leaf that has to hold one of `allowed`, None without the leaf."""
    text = word(node, name)
    if text is not None and text not in allowed:
        raise malformed(f"{name} must be one of {', '.join(sorted(allowed))}")
    return text


def required_choice(node: Node, name: str, allowed: Collection[str]) -> str:
    """Return a leaf that has to be there and hold one of `allowed`."""
    text = choice(node, name, allowed)
    if text is None:
        raise malformed(f"{name} is missing")
    return text


def boolean(node: Node, name: str) -> bool | None:
    """Return a leaf that holds a boolean, in any case; None without the leaf."""
    text = word(node, name)
    if text is None:
        return None
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise malformed(f"{name} must be true or false")
    return value


def number(node: Node, name: str) -> int | None:
    """Return a leaf that holds a whole number, which may be negative; None without the leaf."""
    text = word(node, name)
    if text is None:
        return None
    if _NUMBER.fullmatch(text) is None:
        raise malformed(f"{name} must be a number")
    return int(text)


def date_ms(node: Node, name: str) -> int | None:
    """Return a leaf that holds a date, in milliseconds; None without the leaf."""
    text = word(node, name)
    if text is None:
        return None
    moment = parse_date(text)
    if moment is None:
        raise malformed(f"{name} must be a date in ISO 8601")
    return moment

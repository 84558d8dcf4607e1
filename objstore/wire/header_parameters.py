r"""A header's value with parameters after it, as Content-Type and Content-Disposition have them.

    value      = words *( ";" [ name [ "*" ] "=" ( quoted / plain ) ] )
    quoted     = DQUOTE *( any but DQUOTE and "\" / "\" any ) DQUOTE
    name*=     = charset "'" [ language ] "'" percent-encoded        (RFC 5987)

Inside quotes a backslash escapes a quote and itself, and is a backslash before anything else:
old browsers send `filename="C:\pictures\cat.png"`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

_WORDS: Final = re.compile(r"[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z/-]+)[ \t]*")
_PARAMETER: Final = re.compile(
    r";[ \t]*(?:(?P<name>[!#$%&'+.^_`|~0-9A-Za-z-]+)(?P<extended>\*?)[ \t]*=[ \t]*"
    r'(?:"(?P<quoted>(?:[^"\\]|\\.)*)"|(?P<plain>[^\s";,]+))[ \t]*)?',
    re.DOTALL,
)
_ESCAPED: Final = re.compile(r'\\(["\\])')
_EXTENDED: Final = re.compile(
    r"(?P<charset>(?i:utf-8|iso-8859-1))'[A-Za-z0-9-]*'"
    r"(?P<text>(?:[!#$&+.^_`|~0-9A-Za-z-]|%[0-9A-Fa-f]{2})*)"
)


@dataclass(frozen=True, slots=True)
class Parameterised:
    """A value in lower case, and its parameters by lower-case name."""

    value: str
    parameters: Mapping[str, str]


def read_parameterised(text: str) -> Parameterised | None:
    """Take a header's value apart; None when it does not keep the grammar.

    A parameter may be there once, and once more with an asterisk, which then counts.
    """
    found = _WORDS.match(text)
    if found is None:
        return None
    value = found[1].lower()
    plain: dict[str, str] = {}
    extended: dict[str, str] = {}
    at = found.end()
    while at < len(text):
        found = _PARAMETER.match(text, at)
        if found is None:
            return None
        at = found.end()
        if found["name"] is None:  # a semicolon with nothing behind it
            continue
        name, read = found["name"].lower(), _read(found)
        into = extended if found["extended"] else plain
        if read is None or name in into:
            return None
        into[name] = read
    return Parameterised(value, plain | extended)


def _read(found: re.Match[str]) -> str | None:
    if found["extended"]:
        return _decode_extended(found["plain"] or "")
    if found["quoted"] is not None:
        return _ESCAPED.sub(r"\1", found["quoted"])
    return found["plain"]


def _decode_extended(text: str) -> str | None:
    found = _EXTENDED.fullmatch(text)
    if found is None:
        return None
    try:
        return unquote_to_bytes(found["text"]).decode(found["charset"])
    except UnicodeDecodeError:
        return None

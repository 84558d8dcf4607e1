"""Write XML as bytes, by putting strings together: a page of 1,000 keys has to be cheap."""

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from objstore.wire.xml_reader import NAMESPACE

_DECLARATION: Final = '<?xml version="1.0" encoding="UTF-8"?>\n'
# Markup, every control character (a reader turns a bare CR into LF), and what UTF-8 cannot carry.
_SPECIAL: Final = re.compile(
    '[&<>"\x00-\x08\x0b-\x1f\x7f\u0080-\u009f\u2028\ud800-\udfff\ufffe\uffff]'
)
# What XML 1.0 cannot carry in any form.
_ILLEGAL: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9_.~/-]*")
_SURROGATES: Final = range(0xD800, 0xE000)
_NAMED: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}
_REPLACEMENT: Final = "\ufffd"


def escape(text: str) -> str:
    """Return `text` as character data, exactly.

    A character that XML 1.0 cannot carry becomes the reference that AWS sends, which lenient
    readers accept; clients that cannot read those ask for encoding-type=url.
    """
    if _SPECIAL.search(text) is None:
        return text
    return _SPECIAL.sub(_reference, text)


def _reference(found: re.Match[str]) -> str:
    character = found[0]
    if ord(character) in _SURROGATES:
        return _REPLACEMENT
    return _NAMED.get(character) or f"&#x{ord(character):X};"


def url_encode(text: str) -> str:
    """Return `text` as encoding-type=url has it. Nothing of the result needs escaping."""
    if _UNRESERVED.fullmatch(text) is not None:
        return text
    return quote(text, safe="/")


def leaf(name: str, text: str) -> str:
    """Return one element that holds text, so that every reader can read the document.

    A character that XML 1.0 cannot carry becomes U+FFFD: what stands here repeats what the
    client said, and a key that cannot be repeated is no reason for its answer to be unreadable.
    """
    return f"<{name}>{escape(_ILLEGAL.sub(_REPLACEMENT, text))}</{name}>"


def leaves(pairs: Iterable[tuple[str, str]]) -> str:
    """Return an element for each pair of name and text."""
    return "".join([leaf(name, text) for name, text in pairs])


def document(root: str, content: str) -> bytes:
    """Return a whole document in S3's namespace. `content` is escaped already."""
    return f'{_DECLARATION}<{root} xmlns="{NAMESPACE}">{content}</{root}>'.encode()


def bare_document(root: str, content: str) -> bytes:
    """Return a whole document without a namespace, as error documents are."""
    return f"{_DECLARATION}<{root}>{content}</{root}>".encode()

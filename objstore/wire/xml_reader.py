"""Read a small XML document that a client sent, against the elements it may have.

A reader of hostile input: UTF-8 only, no document type (so no entities and nothing to expand or
fetch), bounded in bytes, elements and depth, and strict about names, because an element that is
not understood must not be dropped in silence. Whatever is wrong is MalformedXML.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from lxml import etree

from objstore.errors import RequestRefused
from objstore.limits import DOCUMENT_BYTES_MAX, XML_DEPTH_MAX, XML_ELEMENTS_MAX

NAMESPACE: Final = "http://s3.amazonaws.com/doc/2006-03-01/"
# The second is how AWS's own examples of BucketLoggingStatus and Tagging spell it.
_QUALIFIERS: Final = (f"{{{NAMESPACE}}}", "{http://doc.s3.amazonaws.com/2006-03-01}")


@dataclass(frozen=True, slots=True)
class Element:
    """An element a document may have. Without children it is a leaf that holds text.

    `aliases` are other names that clients use for it; it is read under `name`. `attributes` are
    those that matter, in Clark notation ("{namespace}name"); others are ignored, as AWS does.
    `group` makes an element without declared children an empty one instead of a leaf.
    """

    name: str
    children: tuple["Element", ...] = ()
    many: bool = False
    required: bool = False
    aliases: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    group: bool = False
    by_name: Mapping[str, "Element"] = field(init=False, repr=False)  # of the children
    needed: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        children = {name: child for child in self.children for name in (child.name, *child.aliases)}
        object.__setattr__(self, "by_name", children)
        needed = tuple(child.name for child in self.children if child.required)
        object.__setattr__(self, "needed", needed)

    @property
    def depth(self) -> int:
        """How many elements lie inside each other at most."""
        return 1 + max((child.depth for child in self.children), default=0)


@dataclass(slots=True)
class Node:
    """An element that was read."""

    text: str = ""
    children: dict[str, list["Node"]] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)

    def text_of(self, name: str) -> str | None:
        """Return the text of the child of that name, or None without one."""
        found = self.children.get(name)
        return found[0].text if found else None

    def one(self, name: str) -> "Node | None":
        """Return the child of that name, or None without one."""
        found = self.children.get(name)
        return found[0] if found else None

    def all(self, name: str) -> list["Node"]:
        """Return the children of that name, in their order."""
        return self.children.get(name, [])


def read_document(data: bytes, root: Element) -> Node:
    """Parse `data` as `root`.

    Raises:
        RequestRefused: MalformedXML.
    """
    assert root.depth <= XML_DEPTH_MAX
    _refuse_oversized(data)
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        tree = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise _malformed(str(error)) from error
    if tree.getroottree().docinfo.internalDTD is not None:
        raise _malformed("a document type is not allowed")
    if _local_name(tree) not in (root.name, *root.aliases):
        raise _malformed(f"expected {root.name}")
    return _read(tree, root)


def _refuse_oversized(data: bytes) -> None:
    """Bound the work before any of it is done."""
    if len(data) > DOCUMENT_BYTES_MAX:
        raise _malformed(f"more than {DOCUMENT_BYTES_MAX} bytes")
    # Each element needs at least one "<", and at most two.
    if data.count(b"<") > 2 * XML_ELEMENTS_MAX:
        raise _malformed(f"more than {XML_ELEMENTS_MAX} elements")
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:
        raise _malformed("a document type is not allowed")


def _read(element: etree._Element, expected: Element) -> Node:
    attributes = {
        name: value for name in expected.attributes if (value := element.get(name)) is not None
    }
    if not expected.children and not expected.group:
        return Node(_leaf_text(element), {}, attributes)
    children: dict[str, list[Node]] = {}
    for name, child in _children(element):
        rule = expected.by_name.get(name)
        if rule is None:
            raise _malformed(f"{name} is not expected in {expected.name}")
        found = children.setdefault(rule.name, [])
        if found and not rule.many:
            raise _malformed(f"{name} may occur once in {expected.name}")
        found.append(_read(child, rule))
    for name in expected.needed:
        if name not in children:
            raise _malformed(f"{expected.name} lacks {name}")
    return Node("", children, attributes)


def _children(element: etree._Element) -> Iterator[tuple[str, etree._Element]]:
    if (element.text or "").strip():
        raise _malformed("text between elements")
    for child in element:
        if (child.tail or "").strip():
            raise _malformed("text between elements")
        yield _local_name(child), child


def _leaf_text(element: etree._Element) -> str:
    if len(element):
        raise _malformed(f"{_local_name(element)} holds text and nothing else")
    return element.text or ""


def _local_name(element: etree._Element) -> str:
    """Return the name; it is in S3's namespace or in none."""
    tag = element.tag
    if not isinstance(tag, str):  # an entity reference that was not resolved
        raise _malformed("a reference that is not a character")
    if not tag.startswith("{"):
        return tag
    for qualifier in _QUALIFIERS:
        if tag.startswith(qualifier):
            return tag[len(qualifier) :]
    raise _malformed(f"unknown namespace in {tag}")


def _malformed(detail: str) -> RequestRefused:
    return RequestRefused("MalformedXML", Detail=detail[:200])

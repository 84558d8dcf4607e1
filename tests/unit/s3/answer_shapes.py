"""Whether an answer says only what botocore's model of the operation knows.

botocore's parser drops what it does not know in silence; this reads the same answer and names it.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final
from xml.etree import ElementTree as ET

# What any HTTP or S3 answer may have, whatever the operation.
_GENERAL_HEADERS: Final = frozenset(
    [
        "accept-ranges",
        "connection",
        "content-length",
        "content-type",
        "date",
        "etag",
        "last-modified",
        "retry-after",
        "server",
        "transfer-encoding",
        "vary",
        "x-amz-bucket-region",
        "x-amz-id-2",
        "x-amz-request-id",
    ]
)
# Of a 304 or an error: those of the object, and why.
_FAILURE_HEADERS: Final = frozenset(
    [
        "allow",
        "cache-control",
        "content-range",
        "expires",
        "x-amz-delete-marker",
        "x-amz-version-id",
    ]
)
_XSI_TYPE: Final = "{http://www.w3.org/2001/XMLSchema-instance}type"


def unknown_in_answer(
    operation: Any, status: int, headers: Mapping[str, str], body: bytes
) -> list[str]:
    """Return the names of headers and elements of an answer that its model does not have."""
    shape = operation.output_shape
    names, prefixes = _header_names(shape)
    known = names | _GENERAL_HEADERS | (_FAILURE_HEADERS if status >= 300 else frozenset())
    strange = [
        name for name in headers if name not in known and not name.startswith(prefixes or "\0")
    ]
    if body and status < 300:
        strange += _unknown_elements(ET.fromstring(body), _document_shape(shape), "")
    return strange


@cache
def _header_names(shape: Any) -> tuple[frozenset[str], tuple[str, ...]]:
    members = [] if shape is None else list(shape.members.values())
    named = [one.serialization for one in members if one.serialization.get("location") == "header"]
    maps = [one.serialization for one in members if one.serialization.get("location") == "headers"]
    return (
        frozenset(one["name"].lower() for one in named),
        tuple(one["name"].lower() for one in maps),
    )


def _document_shape(shape: Any) -> Any:
    """Return the shape of the answer's document: the payload's, when a member is the payload."""
    if shape is None:
        return None
    payload = shape.serialization.get("payload")
    return shape.members[payload] if payload else shape


def _unknown_elements(element: ET.Element, shape: Any, path: str) -> list[str]:
    here = f"{path}/{_local(element.tag)}"
    attributes = _attributes(shape)
    strange = [f"{here}@{name}" for name in element.attrib if name not in attributes]
    for child in element:
        member = _member(shape, _local(child.tag))
        if member is None:
            strange.append(f"{here}/{_local(child.tag)}")
        else:
            strange += _unknown_elements(child, member, here)
    return strange


def _member(shape: Any, name: str) -> Any:
    """Return the shape of a child element; None when there is no such child."""
    if shape is None:
        return None
    if shape.type_name == "structure":
        for own, member in shape.members.items():
            if "location" in member.serialization:
                continue
            if name in _element_names(own, member):
                flat = member.type_name == "list" and member.serialization.get("flattened")
                return member.member if flat else member
        return None
    if shape.type_name == "list":
        return shape.member if name == shape.member.serialization.get("name", "member") else None
    return None


def _element_names(own: str, member: Any) -> Iterator[str]:
    name = member.serialization.get("name", own)
    if member.type_name == "list" and member.serialization.get("flattened"):
        # The name may stand on the list or on its member; the parser reads the list's.
        yield (
            member.member.serialization.get("name", name)
            if "name" not in member.serialization
            else name
        )
    else:
        yield name


def _attributes(shape: Any) -> frozenset[str]:
    if shape is None or shape.type_name != "structure":
        return frozenset()
    held = [one for one in shape.members.values() if one.serialization.get("xmlAttribute")]
    return frozenset({_XSI_TYPE}) if held else frozenset()


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]

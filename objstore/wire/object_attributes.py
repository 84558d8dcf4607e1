"""GetObjectAttributes: which attributes a request names, and the document that answers it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.documents import checksum_fields
from objstore.wire.xml_writer import document, leaf, leaves

ATTRIBUTES: Final = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")
_HEADER: Final = "x-amz-object-attributes"


def read_wanted_attributes(header: str | None) -> frozenset[str]:
    """Return the names in x-amz-object-attributes, which separates them by commas.

    "Fields that you do not specify are not returned."

    Raises:
        RequestRefused: InvalidRequest, when it names none; InvalidArgument, for a name that is
            none of ATTRIBUTES.
    """
    names = frozenset(filter(None, (item.strip() for item in (header or "").split(","))))
    if not names:
        raise RequestRefused(
            "InvalidRequest",
            f"The {_HEADER} header specifying the attributes to be retrieved is either missing or"
            " empty",
        )
    for name in sorted(names - set(ATTRIBUTES)):
        raise RequestRefused(
            "InvalidArgument",
            "Invalid attribute name specified.",
            ArgumentName=_HEADER,
            ArgumentValue=name,
        )
    return names


@dataclass(frozen=True, slots=True)
class AttributePart:
    """One part of an object that was uploaded in parts."""

    number: int
    size: int
    checksums: Mapping[str, str]  # algorithm -> base64


@dataclass(frozen=True, slots=True)
class AttributeParts:
    """A page of an object's parts.

    `listed` is None for an object whose parts have no checksums. "If an additional checksum [...]
    isn't applied to the object specified in the request, the response doesn't return the Part
    element."
    """

    total: int
    listed: tuple[AttributePart, ...] | None = None
    after: int = 0  # the marker this page begins behind
    last: int = 0  # the marker the next page begins behind
    limit: int = 1000
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What is to be said of an object; None leaves it out."""

    etag: str | None = None  # written without quotes, unlike everywhere else
    checksums: Mapping[str, str] | None = None
    checksum_type: str = ""
    parts: AttributeParts | None = None
    storage_class: str | None = None
    size: int | None = None


def write_object_attributes(attributes: ObjectAttributes) -> bytes:
    """Write a GetObjectAttributesResponse."""
    content = ""
    if attributes.etag is not None:
        content += leaf("ETag", attributes.etag)
    if attributes.checksums:
        fields = checksum_fields(attributes.checksums, attributes.checksum_type)
        content += f"<Checksum>{leaves(fields)}</Checksum>"
    if attributes.parts is not None:
        content += f"<ObjectParts>{_parts(attributes.parts)}</ObjectParts>"
    if attributes.storage_class is not None:
        content += leaf("StorageClass", attributes.storage_class)
    if attributes.size is not None:
        content += leaf("ObjectSize", str(attributes.size))
    return document("GetObjectAttributesResponse", content)


def _parts(parts: AttributeParts) -> str:
    fields = [("PartsCount", str(parts.total))]
    if parts.listed is None:
        return leaves(fields)
    fields += [
        ("PartNumberMarker", str(parts.after)),
        ("NextPartNumberMarker", str(parts.last)),
        ("MaxParts", str(parts.limit)),
        ("IsTruncated", "true" if parts.truncated else "false"),
    ]
    return leaves(fields) + "".join(_part(part) for part in parts.listed)


def _part(part: AttributePart) -> str:
    fields = [("PartNumber", str(part.number)), ("Size", str(part.size))]
    return f"<Part>{leaves([*fields, *checksum_fields(part.checksums)])}</Part>"

"""GetObjectAttributes: which attributes a request asks for, and the document that answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.documents import checksum_fields
from objstore.wire.xml_writer import document, leaf, leaves

ATTRIBUTES: Final = ("ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize")


def read_wanted_attributes(header: str | None) -> frozenset[str]:
    """Read x-amz-object-attributes: names of ATTRIBUTES, separated by commas.

    Raises:
        RequestRefused: InvalidRequest without any; InvalidArgument for an unknown one.
    """
    wanted = frozenset(name for item in (header or "").split(",") if (name := item.strip()))
    if not wanted:
        raise RequestRefused(
            "InvalidRequest",
            "The x-amz-object-attributes header specifying the attributes to be retrieved is"
            " either missing or empty",
        )
    if unknown := sorted(wanted.difference(ATTRIBUTES)):
        raise RequestRefused(
            "InvalidArgument",
            "Invalid attribute name specified.",
            ArgumentName="x-amz-object-attributes",
            ArgumentValue=unknown[0],
        )
    return wanted


@dataclass(frozen=True, slots=True)
class AttributePart:
    """One part of an object that was uploaded in parts."""

    number: int
    size: int
    checksums: Mapping[str, str]  # algorithm -> base64


@dataclass(frozen=True, slots=True)
class AttributeParts:
    """A page of an object's parts.

    `listed` is None where only their number is told. AWS: the parts themselves are returned for
    objects that were uploaded with an additional checksum.
    """

    total: int
    listed: tuple[AttributePart, ...] | None = None
    after: int = 0  # the part-number-marker of the request
    last: int = 0  # the one for the next page
    limit: int = 1000
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ObjectAttributes:
    """What is known of an object; None leaves an element out."""

    etag: str | None = None  # without quotes, and written without
    checksums: Mapping[str, str] | None = None
    checksum_type: str = ""
    parts: AttributeParts | None = None
    storage_class: str | None = None
    size: int | None = None


def write_object_attributes(attributes: ObjectAttributes) -> bytes:
    """Write what GetObjectAttributes answers."""
    pieces = []
    if attributes.etag is not None:
        pieces.append(leaf("ETag", attributes.etag))
    if attributes.checksums:
        fields = checksum_fields(attributes.checksums, attributes.checksum_type)
        pieces.append(f"<Checksum>{leaves(fields)}</Checksum>")
    if attributes.parts is not None:
        pieces.append(f"<ObjectParts>{_parts(attributes.parts)}</ObjectParts>")
    if attributes.storage_class is not None:
        pieces.append(leaf("StorageClass", attributes.storage_class))
    if attributes.size is not None:
        pieces.append(leaf("ObjectSize", str(attributes.size)))
    return document("GetObjectAttributesResponse", "".join(pieces))


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
    return f"<Part>{leaves([*checksum_fields(part.checksums), *fields])}</Part>"

"""GetObjectAttributes: what HeadObject and ListParts say, without the headers of the former."""

from typing import Final

from objstore.limits import LIST_KEYS_MAX
from objstore.ondisk.record import Version
from objstore.s3.call import Call, Reply, xml_reply
from objstore.s3.encryption import customer_key, require_key
from objstore.s3.get_object import unchanged_reply
from objstore.s3.object_version import current_version, version_header
from objstore.wire.conditions import http_date
from objstore.wire.headers import integer, parameter
from objstore.wire.object_attributes import (
    AttributePart,
    AttributeParts,
    ObjectAttributes,
    read_wanted_attributes,
    write_object_attributes,
)

_COUNT_MAX: Final = 2**31 - 1


async def get_object_attributes(call: Call) -> Reply:
    """Answer GetObjectAttributes."""
    wanted = read_wanted_attributes(parameter(call.request, "x-amz-object-attributes"))
    limit = min(_count(call, "x-amz-max-parts", LIST_KEYS_MAX), LIST_KEYS_MAX)
    after = _count(call, "x-amz-part-number-marker", 0)
    key = customer_key(call)
    version = await current_version(call)
    require_key(version, key)
    unchanged = unchanged_reply(call, version)
    if unchanged is not None:
        return unchanged
    attributes = ObjectAttributes(
        etag=version.etag if "ETag" in wanted else None,
        checksums=version.checksums if "Checksum" in wanted else None,
        checksum_type=version.checksum_type,
        parts=_parts(version, after=after, limit=limit) if "ObjectParts" in wanted else None,
        storage_class=version.storage_class if "StorageClass" in wanted else None,
        size=version.size if "ObjectSize" in wanted else None,
    )
    headers = {"Last-Modified": http_date(version.modified_ms)}
    headers |= version_header(await call.store.head_bucket(call.bucket), version)
    return xml_reply(write_object_attributes(attributes), headers)


def _count(call: Call, name: str, default: int) -> int:
    """Return a header that is a number.

    Raises:
        RequestRefused: InvalidArgument.
    """
    text = parameter(call.request, name)
    return default if text is None else integer(name, text, least=0, most=_COUNT_MAX)


def _parts(version: Version, *, after: int, limit: int) -> AttributeParts | None:
    """Return a page of the parts, None for an object that was put whole.

    "A collection of parts associated with a multipart upload."
    """
    if not version.upload_id:
        return None
    total = len(version.parts)
    if not version.checksums:
        return AttributeParts(total)
    # A part may have brought a checksum of its own choice; shown is the object's algorithm.
    rest = [part for part in version.parts if part.number > after]
    listed = tuple(
        AttributePart(
            part.number,
            part.size,
            {name: text for name, text in part.checksums.items() if name in version.checksums},
        )
        for part in rest[:limit]
    )
    return AttributeParts(
        total,
        listed,
        after=after,
        last=listed[-1].number if listed else after,
        limit=limit,
        truncated=len(rest) > len(listed),
    )

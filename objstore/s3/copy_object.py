"""CopyObject."""

from dataclasses import replace
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import OBJECT_PUT_BYTES_MAX
from objstore.ondisk.record import Version
from objstore.s3.attributes import copied_attributes, read_attributes
from objstore.s3.call import Call, Reply, xml_reply
from objstore.s3.copy_source import CopySource, open_source, source_of
from objstore.wire.conditions import iso_date
from objstore.wire.digests import Digests
from objstore.wire.documents import checksum_fields, flat_result
from objstore.wire.headers import (
    CHECKSUM_BYTES,
    DEFAULT_CHECKSUM,
    REDIRECT_LOCATION,
    parameter,
    quoted,
    read_checksum_algorithm,
)

# Beside its metadata, what a copy of an object onto itself may change.
_CHANGES: Final = ("x-amz-storage-class", REDIRECT_LOCATION)


async def copy_object(call: Call) -> Reply:
    """Answer CopyObject."""
    source = source_of(call)
    replaces = _replaces_metadata(call)
    _refuse_empty_change(call, source, replaces=replaces)
    wanted = read_checksum_algorithm(call.request)
    replaced = read_attributes(call, DEFAULT_CHECKSUM) if replaces else None
    reader = await open_source(call, source)
    version = reader.version
    if version.size > OBJECT_PUT_BYTES_MAX:
        raise RequestRefused(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy"
            f" source: {OBJECT_PUT_BYTES_MAX}",
        )
    algorithm = wanted or _algorithm_of(version)
    attributes = (
        replace(replaced, checksum_algorithms=(algorithm,))
        if replaced is not None
        else copied_attributes(call, version, algorithm)
    )
    digests = Digests(("MD5", algorithm))
    copy = await call.store.copy_object(
        reader, call.bucket, call.key, attributes=attributes, digests=digests
    )
    fields = [("LastModified", iso_date(copy.modified_ms)), ("ETag", quoted(copy.etag))]
    fields += checksum_fields(copy.checksums, copy.checksum_type)
    return xml_reply(flat_result("CopyObjectResult", fields))


def _replaces_metadata(call: Call) -> bool:
    """Read x-amz-metadata-directive. "If this header isn't specified, COPY is the default"."""
    directive = parameter(call.request, "x-amz-metadata-directive") or "COPY"
    if directive not in ("COPY", "REPLACE"):
        raise RequestRefused(
            "InvalidArgument",
            "Unknown metadata directive.",
            ArgumentName="x-amz-metadata-directive",
            ArgumentValue=directive,
        )
    return directive == "REPLACE"


def _refuse_empty_change(call: Call, source: CopySource, *, replaces: bool) -> None:
    same = (source.bucket, source.key) == (call.bucket, call.key)
    changes = any(parameter(call.request, name) is not None for name in _CHANGES)
    if same and not replaces and not changes:
        raise RequestRefused(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without"
            " changing the object's metadata, storage class, website redirect location or"
            " encryption attributes.",
        )


def _algorithm_of(version: Version) -> str:
    """Return the algorithm of the source; "the destination has the same checksum algorithm"."""
    return next((name for name in version.checksums if name in CHECKSUM_BYTES), DEFAULT_CHECKSUM)

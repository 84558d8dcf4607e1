"""CopyObject."""

from dataclasses import replace
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import OBJECT_PUT_BYTES_MAX
from objstore.ondisk.record import Version
from objstore.s3.attributes import copied_attributes, read_attributes, read_tags
from objstore.s3.call import Call, Reply, xml_reply
from objstore.s3.copy_source import CopySource, open_source, source_of, source_version_header
from objstore.s3.encryption import customer_key, key_headers, readable, source_key
from objstore.s3.gate import require_copied_tags
from objstore.s3.lifecycle import expiration_of
from objstore.s3.object_version import version_header
from objstore.s3.write_conditions import write_precondition
from objstore.wire.conditions import iso_date
from objstore.wire.customer_key import KEY_HEADERS, SOURCE_KEY_HEADERS
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
_CHANGES: Final = ("x-amz-storage-class", REDIRECT_LOCATION, *KEY_HEADERS, *SOURCE_KEY_HEADERS)


async def copy_object(call: Call) -> Reply:
    """Answer CopyObject."""
    source = source_of(call)
    replaces = _replaces_metadata(call)
    _refuse_empty_change(call, source, replaces=replaces)
    wanted = read_checksum_algorithm(call.request)
    key, key_of_source = customer_key(call), source_key(call)
    precondition = write_precondition(call.request)
    new_tags = _new_tags(call)
    bucket = await call.store.head_bucket(call.bucket)
    replaced = read_attributes(call, bucket, DEFAULT_CHECKSUM) if replaces else None
    reader = readable(call, await open_source(call, source), key_of_source)
    version = reader.version
    if new_tags is None and version.tags:
        await require_copied_tags(call, source, version.tags)
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
        else copied_attributes(call, bucket, version, algorithm)
    )
    attributes = replace(attributes, tags=version.tags if new_tags is None else new_tags)
    copy = await call.store.copy_object(
        reader,
        call.bucket,
        call.key,
        attributes=attributes,
        digests=Digests((algorithm,) if key else dict.fromkeys(("MD5", algorithm))),
        precondition=precondition,
    )
    fields = [("LastModified", iso_date(copy.modified_ms)), ("ETag", quoted(copy.etag))]
    fields += checksum_fields(copy.checksums, copy.checksum_type)
    headers = version_header(bucket, copy) | await source_version_header(call, source, version)
    headers |= expiration_of(call, bucket, copy)
    return xml_reply(flat_result("CopyObjectResult", fields), headers | key_headers(key))


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


def _new_tags(call: Call) -> dict[str, str] | None:
    """Return the tags that a request gives the copy; None: those of the source.

    "The default value is COPY." "If you choose COPY for the x-amz-tagging-directive, you don't
    need to set the x-amz-tagging header, because the tag-set will be copied from the source".

    Raises:
        RequestRefused: InvalidArgument, InvalidTag; InvalidRequest for tags that would not count.
    """
    directive = parameter(call.request, "x-amz-tagging-directive") or "COPY"
    if directive not in ("COPY", "REPLACE"):
        raise RequestRefused(
            "InvalidArgument",
            "Unknown tagging directive.",
            ArgumentName="x-amz-tagging-directive",
            ArgumentValue=directive[:100],
        )
    if directive == "REPLACE":
        return read_tags(call.request)
    if parameter(call.request, "x-amz-tagging"):
        raise RequestRefused(
            "InvalidRequest",
            "x-amz-tagging needs x-amz-tagging-directive: REPLACE; otherwise the tags of the"
            " source are copied.",
        )
    return None


def _refuse_empty_change(call: Call, source: CopySource, *, replaces: bool) -> None:
    same = source == CopySource(call.bucket, call.key)
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

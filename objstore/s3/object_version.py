"""Which version of an object a request speaks of, and what an answer says about it."""

import re
from typing import Final

from objstore.engine.ports import ObjectReader
from objstore.errors import RequestRefused
from objstore.names import CURRENT, NULL, BucketName, Kind, ObjectKey, VersionId, Versioning
from objstore.ondisk.record import Bucket, Version
from objstore.s3.call import Call
from objstore.versions.hlc import parse_version_id
from objstore.wire.conditions import http_date

_GRAMMAR: Final = re.compile(r"[0-9A-Za-z._-]{1,128}")
# An answer needs an object, and a copy its source; a list of keys to delete needs none kept.
_KEPT: Final = 2


def read_version_id(text: str | None) -> VersionId:
    """Return the version that a versionId parameter names; CURRENT without one.

    Raises:
        RequestRefused: InvalidArgument for what cannot be an id, NoSuchVersion for an id that
            objstore never gave.
    """
    if text is None:
        return CURRENT
    if text == NULL or parse_version_id(text) is not None:
        return VersionId(text)
    if _GRAMMAR.fullmatch(text) is None:
        raise RequestRefused(
            "InvalidArgument",
            "Invalid version id specified" if text else "Version id cannot be the empty string",
            ArgumentName="versionId",
            ArgumentValue=text[:200],
        )
    raise RequestRefused("NoSuchVersion", VersionId=text)


def version_of(call: Call) -> VersionId:
    """Return the version that a request's query names; raises as read_version_id."""
    return read_version_id(call.request.query.get("versionId"))


async def find_version(
    call: Call, bucket: BucketName, key: ObjectKey, version_id: VersionId
) -> ObjectReader:
    """Find an object or a delete marker, once for each request.

    So a caller who may read what was there when it was decided is never given what came since.

    Raises:
        RequestRefused: NoSuchKey, NoSuchVersion, NoSuchBucket.
    """
    name = (bucket, key, version_id)
    reader = call.found.get(name)
    if reader is None:
        reader = await call.store.open_object(bucket, key, version_id)
        if len(call.found) < _KEPT:
            call.found[name] = reader
    return reader


async def open_version(
    call: Call, bucket: BucketName, key: ObjectKey, version_id: VersionId
) -> ObjectReader:
    """Find an object for reading.

    "If the latest version of the object is a delete marker, Amazon S3 behaves as if the object was
    deleted and includes x-amz-delete-marker: true in the response." "If the specified version in
    the request is a delete marker, the response returns a 405 Method Not Allowed error and the
    Last-Modified: timestamp response header."

    Raises:
        RequestRefused: NoSuchKey, NoSuchVersion, NoSuchBucket, MethodNotAllowed.
    """
    reader = await find_version(call, bucket, key, version_id)
    version = reader.version
    if version.kind is not Kind.DELETE_MARKER:
        return reader
    headers = {"x-amz-delete-marker": "true", "x-amz-version-id": version.version_id}
    if version_id == CURRENT:
        raise RequestRefused("NoSuchKey", Key=key).with_headers(headers)
    headers |= {"Last-Modified": http_date(version.modified_ms), "Allow": "DELETE"}
    raise RequestRefused(
        "MethodNotAllowed", Method=call.request.method, ResourceType="DeleteMarker"
    ).with_headers(headers)


async def current_version(call: Call) -> Version:
    """Return the version that a request speaks of; raises as open_version."""
    return (await open_version(call, call.bucket, call.key, version_of(call))).version


def version_header(bucket: Bucket, version: Version) -> dict[str, str]:
    """Return the header that names a version; a bucket that never had versions says nothing."""
    if bucket.versioning is Versioning.OFF:
        return {}
    return {"x-amz-version-id": version.version_id}

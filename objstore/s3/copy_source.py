"""The source of a copy: x-amz-copy-source, and the conditions on it."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from objstore.engine.ports import ObjectReader
from objstore.errors import RequestRefused
from objstore.names import CURRENT, BucketName, ObjectKey, VersionId
from objstore.ondisk.record import Version
from objstore.s3.call import Call, check_object_key
from objstore.s3.object_version import open_version, read_version_id, version_header
from objstore.wire.conditions import Outcome, evaluate, read_conditions
from objstore.wire.headers import parameter, text_of
from objstore.wire.request import check_bucket_name

_HEADER: Final = "x-amz-copy-source"
_VERSION: Final = re.compile(r"[?]versionId=([^?&]*)$")


@dataclass(frozen=True, slots=True)
class CopySource:
    """The object a copy is made of."""

    bucket: BucketName
    key: ObjectKey
    version_id: VersionId = CURRENT


def read_copy_source(value: str) -> CopySource:
    """Parse `[/]bucket/key[?versionId=id]`, "the value must be URL-encoded", decoded once.

    The key is a key: dots and slashes in it have no meaning.

    Raises:
        RequestRefused: InvalidArgument, InvalidBucketName, KeyTooLongError, NoSuchVersion.
    """
    text = text_of(value)
    found = _VERSION.search(text)
    if found is not None:
        text = text[: found.start()]
    try:
        decoded = unquote_to_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise _malformed(value) from error
    bucket, slash, key = decoded.removeprefix("/").partition("/")
    if not slash or not bucket or not key:
        raise _malformed(value)
    version_id = CURRENT if found is None else read_version_id(found[1])
    return CopySource(check_bucket_name(bucket), check_object_key(key), version_id)


def _malformed(value: str) -> RequestRefused:
    return RequestRefused(
        "InvalidArgument",
        "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
        ArgumentName=_HEADER,
        ArgumentValue=value,
    )


def source_of(call: Call) -> CopySource:
    """Return the source that a request names; the route made sure that it does."""
    return read_copy_source(parameter(call.request, _HEADER) or "")


async def _open(call: Call, source: CopySource) -> ObjectReader:
    """Find the source. "If the source [version] is a delete marker, Amazon S3 returns" an error.

    What a GET would say of the marker is left out: of a copy, x-amz-version-id is the "Version ID
    of the newly created copy".
    """
    try:
        return await open_version(call, source.bucket, source.key, source.version_id)
    except RequestRefused as refused:
        refused.headers.clear()
        if refused.reason != "MethodNotAllowed":
            raise
        raise RequestRefused(
            "InvalidRequest",
            "The source of a copy request may not specifically refer to a delete marker by"
            " version id.",
        ) from refused


async def open_source(call: Call, source: CopySource) -> ObjectReader:
    """Find the source and hold the conditions on it.

    Raises:
        RequestRefused: NoSuchKey, NoSuchBucket, or PreconditionFailed, which answers every
            condition on a source that is false.
    """
    reader = await _open(call, source)
    conditions = read_conditions(lambda name: parameter(call.request, name), f"{_HEADER}-")
    version = reader.version
    verdict = evaluate(conditions, etag=version.etag, modified_ms=version.modified_ms)
    if verdict.outcome is not Outcome.PROCEED:
        condition = f"{_HEADER}-{verdict.condition}"
        raise RequestRefused("PreconditionFailed", Condition=condition)
    return reader


async def source_version_header(call: Call, source: CopySource, version: Version) -> dict[str, str]:
    """Return the header that names the version that was copied."""
    found = version_header(await call.store.head_bucket(source.bucket), version)
    return {f"{_HEADER}-version-id": version_id for version_id in found.values()}

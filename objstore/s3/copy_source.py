"""The source of a copy: x-amz-copy-source, and the conditions on it."""

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

from objstore.engine.ports import ObjectReader
from objstore.errors import RequestRefused
from objstore.names import BucketName, ObjectKey
from objstore.s3.call import Call, check_object_key, check_version_id
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
    source = CopySource(check_bucket_name(bucket), check_object_key(key))
    if found is not None:
        check_version_id(found[1])
    return source


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


async def open_source(call: Call, source: CopySource) -> ObjectReader:
    """Find the source and hold the conditions on it.

    Raises:
        RequestRefused: NoSuchKey, NoSuchBucket, or PreconditionFailed, which answers every
            condition on a source that is false.
    """
    reader = await call.store.open_object(source.bucket, source.key)
    conditions = read_conditions(lambda name: parameter(call.request, name), f"{_HEADER}-")
    version = reader.version
    verdict = evaluate(conditions, etag=version.etag, modified_ms=version.modified_ms)
    if verdict.outcome is not Outcome.PROCEED:
        condition = f"{_HEADER}-{verdict.condition}"
        raise RequestRefused("PreconditionFailed", Condition=condition)
    return reader

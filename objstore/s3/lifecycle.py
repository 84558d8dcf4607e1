"""Lifecycle of a bucket: its configuration, and what answers say of when an object expires.

What is due when is rules/lifecycle.py's to say; background/ does it.
"""

from functools import lru_cache
from typing import Final

import msgspec

from objstore.errors import QuorumError, RequestRefused
from objstore.limits import SETTINGS_PARSED_MAX
from objstore.names import CURRENT, Kind
from objstore.ondisk.record import Bucket, Upload, Version
from objstore.rules.lifecycle import (
    KeyVersion,
    Lifecycle,
    abort_due,
    abort_headers,
    expiration_header,
    expiry,
    lifecycle_of,
)
from objstore.s3.bucket_settings import stored_setting
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.s3.object_version import version_of
from objstore.wire.config_documents.lifecycle import read_lifecycle, write_lifecycle
from objstore.wire.headers import parameter

SETTING: Final = "lifecycle"
_MINIMUM_SIZE: Final = "transition-default-minimum-object-size"
_MINIMUM_SIZE_HEADER: Final = f"x-amz-{_MINIMUM_SIZE}"
# What it may say; the first is the default. Nothing acts on it while there are no transitions.
_MINIMUM_SIZES: Final = ("all_storage_classes_128K", "varies_by_storage_class")


# --- the configuration ----------------------------------------------------------------


async def get_bucket_lifecycle(call: Call) -> Reply:
    """Answer GetBucketLifecycleConfiguration, and the older GetBucketLifecycle."""
    bucket = await call.store.head_bucket(call.bucket)
    stored = stored_setting(bucket, SETTING)
    if stored is None:
        raise RequestRefused("NoSuchLifecycleConfiguration", BucketName=call.bucket)
    chosen = stored_setting(bucket, _MINIMUM_SIZE)
    minimum = _MINIMUM_SIZES[0] if chosen is None else chosen.decode()
    return xml_reply(stored, {_MINIMUM_SIZE_HEADER: minimum})


async def put_bucket_lifecycle(call: Call) -> Reply:
    """Answer PutBucketLifecycleConfiguration, which replaces all rules."""
    minimum = _read_minimum_size(call)
    document = write_lifecycle(read_lifecycle(await read_body(call)))
    await _change(call, {SETTING: document, _MINIMUM_SIZE: minimum.encode()})
    return Reply(200, {_MINIMUM_SIZE_HEADER: minimum})


def _read_minimum_size(call: Call) -> str:
    """Return "which default minimum object size behavior is applied" to transitions."""
    minimum = parameter(call.request, _MINIMUM_SIZE_HEADER)
    if minimum is None:
        return _MINIMUM_SIZES[0]
    if minimum not in _MINIMUM_SIZES:
        raise RequestRefused(
            "InvalidArgument",
            f"Invalid value for {_MINIMUM_SIZE_HEADER}: use {' or '.join(_MINIMUM_SIZES)}.",
            ArgumentName=_MINIMUM_SIZE_HEADER,
            ArgumentValue=minimum[:100],
        )
    return minimum


async def delete_bucket_lifecycle(call: Call) -> Reply:
    """Answer DeleteBucketLifecycle. "Your objects never expire" from then on."""
    await _change(call, {})
    return Reply(204, {})


async def _change(call: Call, wanted: dict[str, bytes]) -> None:
    def change(bucket: Bucket) -> Bucket:
        others = {
            name: value
            for name, value in bucket.settings.items()
            if name not in (SETTING, _MINIMUM_SIZE)
        }
        return msgspec.structs.replace(bucket, settings=others | wanted)

    await call.store.change_bucket(call.bucket, change)


# --- what answers say -----------------------------------------------------------------


def bucket_lifecycle(call: Call, bucket: Bucket) -> Lifecycle | None:
    """Return the rules of a bucket, None when it has none."""
    stored = stored_setting(bucket, SETTING)
    if stored is None:
        return None
    try:
        return _prepared(stored, call.lifecycle_day_s)
    except RequestRefused:  # unreadable: nothing is done by it, and background/ says so
        return None


@lru_cache(maxsize=SETTINGS_PARSED_MAX)
def _prepared(stored: bytes, day_s: int) -> Lifecycle:
    return lifecycle_of(read_lifecycle(stored), day_s=day_s)


def expiration_of(call: Call, bucket: Bucket, version: Version) -> dict[str, str]:
    """Return x-amz-expiration for the current version of a key.

    "If the object expiration is configured, this will contain the expiration date (expiry-date)
    and rule ID (rule-id)."
    """
    lifecycle = bucket_lifecycle(call, bucket)
    if lifecycle is None or version.kind is not Kind.OBJECT:
        return {}
    due = expiry(
        lifecycle,
        version.key,
        KeyVersion(
            version.version_id,
            version.modified_ms,
            size=version.size,
            tags=frozenset(version.tags.items()),
        ),
    )
    return {} if due is None else {"x-amz-expiration": expiration_header(due)}


async def expiration_of_read(call: Call, bucket: Bucket, version: Version) -> dict[str, str]:
    """Return x-amz-expiration for the version that a request reads; only current ones expire."""
    header = expiration_of(call, bucket, version)
    if not header or version_of(call) == CURRENT:
        return header
    try:
        current = (await call.store.open_object(call.bucket, call.key)).version
    except (RequestRefused, QuorumError):
        return {}  # the version itself was found, and is the answer
    return header if current.version_id == version.version_id else {}


def abort_of(call: Call, bucket: Bucket, upload: Upload) -> dict[str, str]:
    """Return the headers that say when and by which rule an upload in progress is aborted.

    "If the bucket has a lifecycle rule configured with an action to abort incomplete multipart
    uploads and the prefix in the lifecycle rule matches the object name in the request, the
    response includes this header."
    """
    lifecycle = bucket_lifecycle(call, bucket)
    if lifecycle is None:
        return {}
    due = abort_due(lifecycle, upload.key, initiated_ms=upload.initiated_ms)
    return {} if due is None else abort_headers(due)

"""Object lock: the bucket's configuration, and retention and legal hold of its versions.

What may be done, and what a record says of a lock, is rules/retention.py's to say. It fails closed:
a lock, or a bucket's configuration, that cannot be read protects.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import msgspec

from objstore.access.facts import Context
from objstore.access.request_context import legal_hold_keys, retention_keys
from objstore.errors import RequestRefused
from objstore.names import Kind, Versioning
from objstore.ondisk.record import Bucket, Version
from objstore.rules.retention import (
    check_future,
    default_retention,
    lock_of,
    refuse_delete,
    refuse_legal_hold,
    refuse_retention,
)
from objstore.s3.asked import BYPASS_HEADER
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.s3.gate import require_said
from objstore.s3.object_version import current_version, version_of
from objstore.wire.config_documents.object_lock import (
    ObjectLock,
    Retention,
    read_legal_hold,
    read_legal_hold_header,
    read_object_lock,
    read_retention,
    read_retention_headers,
    write_legal_hold,
    write_object_lock,
    write_retention,
)
from objstore.wire.headers import parameter
from objstore.wire.timestamps import exact_date

SETTING: Final = "object-lock"
_DENIED: Final = "AccessDenied"


def lock_of_bucket(bucket: Bucket) -> ObjectLock | None:
    """Return a bucket's configuration, None when it has no object lock."""
    stored = bucket.settings.get(SETTING)
    return None if stored is None else read_object_lock(stored)


# --- writing and deleting -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NewLock:
    """The lock of a version that is about to be made."""

    retention_mode: str = ""
    retain_until_ms: int = 0
    legal_hold: bool = False


def new_lock(call: Call, bucket: Bucket) -> NewLock:
    """Return the lock of a new object: what the headers say, else the bucket's default.

    Raises:
        RequestRefused: InvalidArgument; InvalidRequest for a bucket without object lock.
    """
    retention = read_retention_headers(
        parameter(call.request, "x-amz-object-lock-mode"),
        parameter(call.request, "x-amz-object-lock-retain-until-date"),
    )
    hold = read_legal_hold_header(parameter(call.request, "x-amz-object-lock-legal-hold"))
    configuration = lock_of_bucket(bucket)
    if configuration is None:
        if retention is not None or hold is not None:
            raise _missing_configuration()
        return NewLock()
    if retention is not None:
        check_future(retention, now_ms=call.now_ms)
    elif configuration.default is not None:
        retention = default_retention(configuration.default, created_ms=call.now_ms)
    if retention is None:
        return NewLock(legal_hold=bool(hold))
    return NewLock(retention.mode, retention.until_ms, bool(hold))


def _missing_configuration() -> RequestRefused:
    return RequestRefused("InvalidRequest", "Bucket is missing Object Lock Configuration")


def bypasses(call: Call) -> bool:
    """Whether a request asks to bypass governance; that its sender may was checked before.

    Raises:
        RequestRefused: InvalidArgument.
    """
    sent = (parameter(call.request, BYPASS_HEADER) or "false").lower()
    if sent not in {"true", "false"}:
        raise RequestRefused(
            "InvalidArgument", f"{BYPASS_HEADER} is true or false.", ArgumentName=BYPASS_HEADER
        )
    return sent == "true"


def deletion_permission(call: Call) -> Callable[[Version], None]:
    """Return what says whether a version may go for good."""
    bypass = bypasses(call)

    def permission(version: Version) -> None:
        if version.kind is Kind.DELETE_MARKER:
            return
        refusal = refuse_delete(lock_of(version), now_ms=call.now_ms, bypass=bypass)
        if refusal is not None:
            raise RequestRefused(_DENIED, refusal)

    return permission


# --- the bucket's configuration -------------------------------------------------------


async def get_object_lock_configuration(call: Call) -> Reply:
    """Answer GetObjectLockConfiguration."""
    configuration = lock_of_bucket(await call.store.head_bucket(call.bucket))
    if configuration is None:
        raise RequestRefused("ObjectLockConfigurationNotFoundError", BucketName=call.bucket)
    return xml_reply(write_object_lock(configuration))


async def put_object_lock_configuration(call: Call) -> Reply:
    """Answer PutObjectLockConfiguration.

    "You can enable Object Lock for new or existing buckets"; a bucket needs versioning for it.
    """
    stored = write_object_lock(read_object_lock(await read_body(call)))

    def change(bucket: Bucket) -> Bucket:
        if bucket.versioning is not Versioning.ENABLED:
            raise RequestRefused(
                "InvalidBucketState",
                "Versioning must be 'Enabled' on the bucket to apply a Object Lock configuration",
            )
        return msgspec.structs.replace(bucket, settings=bucket.settings | {SETTING: stored})

    await call.store.change_bucket(call.bucket, change)
    return Reply(200, {})


# --- one version ----------------------------------------------------------------------


async def _locked_version(call: Call) -> Version:
    if lock_of_bucket(await call.store.head_bucket(call.bucket)) is None:
        raise _missing_configuration()
    return await current_version(call)


async def get_object_retention(call: Call) -> Reply:
    """Answer GetObjectRetention."""
    retention = lock_of(await _locked_version(call)).retention
    if retention is None:
        raise RequestRefused("NoSuchObjectLockConfiguration")
    return xml_reply(write_retention(retention))


async def put_object_retention(call: Call) -> Reply:
    """Answer PutObjectRetention."""
    wanted = read_retention(await read_body(call))
    bypass = bypasses(call)
    await require_said(call, "s3:PutObjectRetention", _retention_keys(call, wanted))
    if wanted is not None:
        check_future(wanted, now_ms=call.now_ms)
    await _locked_version(call)

    def change(version: Version) -> Version:
        refusal = refuse_retention(lock_of(version), wanted, now_ms=call.now_ms, bypass=bypass)
        if refusal is not None:
            raise RequestRefused(_DENIED, refusal)
        mode, until_ms = ("", 0) if wanted is None else (wanted.mode, wanted.until_ms)
        return msgspec.structs.replace(version, retention_mode=mode, retain_until_ms=until_ms)

    return await _edit(call, change)


def _retention_keys(call: Call, wanted: Retention | None) -> Context:
    if wanted is None:
        return {}
    return retention_keys(exact_date(wanted.until_ms), mode=wanted.mode, now_ms=call.now_ms)


async def get_object_legal_hold(call: Call) -> Reply:
    """Answer GetObjectLegalHold."""
    version = await _locked_version(call)
    return xml_reply(write_legal_hold(on=version.legal_hold))


async def put_object_legal_hold(call: Call) -> Reply:
    """Answer PutObjectLegalHold."""
    on = read_legal_hold(await read_body(call))
    await require_said(call, "s3:PutObjectLegalHold", legal_hold_keys("ON" if on else "OFF"))
    await _locked_version(call)

    def change(version: Version) -> Version:
        refusal = refuse_legal_hold(lock_of(version))
        if refusal is not None:
            raise RequestRefused(_DENIED, refusal)
        return msgspec.structs.replace(version, legal_hold=on)

    return await _edit(call, change)


async def _edit(call: Call, change: Callable[[Version], Version]) -> Reply:
    await call.store.edit_object(call.bucket, call.key, version_of(call), change)
    return Reply(200, {})

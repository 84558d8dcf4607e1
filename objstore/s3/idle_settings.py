"""Settings of buckets that nothing acts on: one row for each.

What would do nothing is never accepted: a document is read as AWS reads it, and then refused with
a sentence that helps, unless it asks for what happens anyway (no notifications, no log, the owner
pays). So what a Get answers is always true.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.names import Versioning
from objstore.ondisk.record import Bucket
from objstore.s3.bucket_settings import change_setting, stored_setting
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.s3.owners import owner_of
from objstore.wire.config_documents.accelerate import ENABLED, read_accelerate, write_accelerate
from objstore.wire.config_documents.attribute_access import read_abac, write_abac
from objstore.wire.config_documents.bucket_logging import read_logging, write_logging
from objstore.wire.config_documents.encryption import read_encryption
from objstore.wire.config_documents.notification import (
    Notification,
    read_notification,
    write_notification,
)
from objstore.wire.config_documents.payment import (
    BUCKET_OWNER,
    read_request_payment,
    write_request_payment,
)
from objstore.wire.config_documents.replication import read_replication
from objstore.wire.config_documents.website import read_website
from objstore.wire.request import check_bucket_name

Handler = Callable[[Call], Awaitable[Reply]]
# Returns what to store of a document that was sent, None for nothing; refuses what is not valid,
# and with NotImplemented what is.
Judge = Callable[[Call, Bucket, bytes], Awaitable[bytes | None]]


@dataclass(frozen=True, slots=True)
class _Setting:
    name: str
    unset: bytes | str  # what Get answers: a document, or the code of an error
    judge: Judge


def _get(setting: _Setting) -> Handler:
    async def answer(call: Call) -> Reply:
        stored = stored_setting(await call.store.head_bucket(call.bucket), setting.name)
        if stored is not None:
            return xml_reply(stored)
        if isinstance(setting.unset, str):
            raise RequestRefused(setting.unset, BucketName=call.bucket)
        return xml_reply(setting.unset)

    return answer


def _put(setting: _Setting) -> Handler:
    async def answer(call: Call) -> Reply:
        data = await read_body(call)
        bucket = await call.store.head_bucket(call.bucket)
        await change_setting(call, setting.name, await setting.judge(call, bucket, data))
        return Reply(200, {})

    return answer


def _delete(setting: _Setting) -> Handler:
    async def answer(call: Call) -> Reply:
        await change_setting(call, setting.name, None)
        return Reply(204, {})

    return answer


def _idle(sentence: str) -> RequestRefused:
    return RequestRefused("NotImplemented", sentence)


# --- encryption -----------------------------------------------------------------------


async def _encryption(call: Call, bucket: Bucket, data: bytes) -> bytes | None:
    read_encryption(data)
    raise _idle(
        "Server-side encryption is not implemented; leave a bucket without default encryption, or"
        " encrypt objects in the client."
    )


_ENCRYPTION: Final = _Setting(
    "encryption", "ServerSideEncryptionConfigurationNotFoundError", _encryption
)
get_bucket_encryption: Final = _get(_ENCRYPTION)
put_bucket_encryption: Final = _put(_ENCRYPTION)
delete_bucket_encryption: Final = _delete(_ENCRYPTION)

# --- notification ---------------------------------------------------------------------


async def _notification(call: Call, bucket: Bucket, data: bytes) -> bytes | None:
    """Take an empty document, which is how notifications are turned off."""
    if not read_notification(data).empty:
        raise _idle(
            "Event notifications are not implemented; only an empty configuration is taken."
        )
    return None


_NOTIFICATION: Final = _Setting("notification", write_notification(Notification()), _notification)
get_bucket_notification: Final = _get(_NOTIFICATION)
put_bucket_notification: Final = _put(_NOTIFICATION)

# --- logging --------------------------------------------------------------------------


async def _logging(call: Call, bucket: Bucket, data: bytes) -> bytes | None:
    """Take an empty document. "To disable logging, you use an empty BucketLoggingStatus".

    "You can have your logs delivered to any bucket that you own".
    """
    wanted = read_logging(data)
    if wanted is None:
        return None
    try:
        target = await call.store.head_bucket(check_bucket_name(wanted.bucket))
    except RequestRefused as refused:
        raise RequestRefused(
            "InvalidTargetBucketForLogging",
            "The target bucket for logging does not exist",
            TargetBucket=wanted.bucket[:100],
        ) from refused
    if owner_of(target.owner, call.identities) != owner_of(bucket.owner, call.identities):
        raise RequestRefused(
            "InvalidTargetBucketForLogging",
            "The owner for the bucket to be logged and the target bucket must be the same.",
            TargetBucket=target.name,
        )
    raise _idle(
        "Logs are not delivered to buckets: each server writes an access log of its own when its"
        " configuration asks for one. Only an empty BucketLoggingStatus is taken."
    )


_LOGGING: Final = _Setting("logging", write_logging(None), _logging)
get_bucket_logging: Final = _get(_LOGGING)
put_bucket_logging: Final = _put(_LOGGING)

# --- website --------------------------------------------------------------------------


async def _website(call: Call, bucket: Bucket, data: bytes) -> bytes | None:
    read_website(data)
    raise _idle(
        "Buckets are not served as web sites; put a web server that knows the index document in"
        " front of objstore."
    )


_WEBSITE: Final = _Setting("website", "NoSuchWebsiteConfiguration", _website)
get_bucket_website: Final = _get(_WEBSITE)
put_bucket_website: Final = _put(_WEBSITE)
delete_bucket_website: Final = _delete(_WEBSITE)

# --- replication ----------------------------------------------------------------------


async def _replication(call: Call, bucket: Bucket, data: bytes) -> bytes | None:
    """Hold what AWS holds: both buckets are there and have versioning enabled."""
    wanted = read_replication(data)
    if bucket.versioning is not Versioning.ENABLED:
        raise RequestRefused(
            "InvalidRequest",
            "Versioning must be 'Enabled' on the bucket to apply a replication configuration",
        )
    for rule in wanted.rules:
        try:
            name = check_bucket_name(rule.destination.bucket.rpartition(":")[2])
            destination = await call.store.head_bucket(name)
        except RequestRefused as refused:
            raise RequestRefused("InvalidRequest", "Destination bucket must exist.") from refused
        if destination.versioning is not Versioning.ENABLED:
            raise RequestRefused(
                "InvalidRequest", "Destination bucket must have versioning enabled."
            )
    raise _idle(
        "Replication between buckets is not implemented; every object is on several drives by its"
        " erasure code, and a client can copy buckets."
    )


_REPLICATION: Final = _Setting("replication", "ReplicationConfigurationNotFoundError", _replication)
get_bucket_replication: Final = _get(_REPLICATION)
put_bucket_replication: Final = _put(_REPLICATION)
delete_bucket_replication: Final = _delete(_REPLICATION)

# --- who pays, transfer acceleration, access by tags ----------------------------------


async def _request_payment(call: Call, bucket: Bucket, data: bytes) -> bytes | None:
    if read_request_payment(data) != BUCKET_OWNER:
        raise _idle(f"Nothing is charged for requests, so nobody else can pay; use {BUCKET_OWNER}.")
    return None


_REQUEST_PAYMENT: Final = _Setting(
    "requestPayment", write_request_payment(BUCKET_OWNER), _request_payment
)
get_bucket_request_payment: Final = _get(_REQUEST_PAYMENT)
put_bucket_request_payment: Final = _put(_REQUEST_PAYMENT)


async def _accelerate(call: Call, bucket: Bucket, data: bytes) -> bytes | None:
    """Read the status.

    "The name of the bucket used for Transfer Acceleration must be DNS-compliant and must not
    contain periods (".")."
    """
    status = read_accelerate(data)
    if "." in call.bucket:
        raise RequestRefused(
            "InvalidRequest",
            "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names",
        )
    if status == ENABLED:
        raise _idle("There are no edge locations to accelerate transfers; leave it Suspended.")
    return write_accelerate(status)


_ACCELERATE: Final = _Setting("accelerate", write_accelerate(""), _accelerate)
get_bucket_accelerate: Final = _get(_ACCELERATE)
put_bucket_accelerate: Final = _put(_ACCELERATE)


async def _abac(call: Call, bucket: Bucket, data: bytes) -> bytes | None:
    if read_abac(data):
        raise _idle("Tags of buckets give no access; use a policy, and leave this Disabled.")
    return None


_ABAC: Final = _Setting("abac", write_abac(on=False), _abac)
get_bucket_abac: Final = _get(_ABAC)
put_bucket_abac: Final = _put(_ABAC)

# --- metadata tables ------------------------------------------------------------------


async def missing_metadata_configuration(call: Call) -> Reply:
    """Answer what reads or deletes a metadata configuration, of which there can be none."""
    await call.store.head_bucket(call.bucket)
    raise RequestRefused("MetadataConfigurationNotFound", BucketName=call.bucket)

"""Settings that nothing here can change yet, read: what AWS answers for "not configured".

Each answer is true, because the operation that would set it is refused. One row for each.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import msgspec

from objstore.errors import RequestRefused
from objstore.ondisk.record import Bucket
from objstore.s3.call import Call, Reply, xml_reply
from objstore.wire.route import Operation
from objstore.wire.xml_writer import document

_EMPTY: Final[Mapping[Operation, bytes]] = {
    Operation.GET_BUCKET_LOGGING: document("BucketLoggingStatus", ""),
    Operation.GET_BUCKET_NOTIFICATION: document("NotificationConfiguration", ""),
    Operation.GET_BUCKET_ACCELERATE: document("AccelerateConfiguration", ""),
    Operation.GET_BUCKET_REQUEST_PAYMENT: document(
        "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"
    ),
}
_MISSING: Final[Mapping[Operation, str]] = {
    Operation.GET_BUCKET_CORS: "NoSuchCORSConfiguration",
    Operation.GET_BUCKET_ENCRYPTION: "ServerSideEncryptionConfigurationNotFoundError",
    Operation.GET_BUCKET_LIFECYCLE: "NoSuchLifecycleConfiguration",
    Operation.GET_BUCKET_REPLICATION: "ReplicationConfigurationNotFoundError",
    Operation.GET_BUCKET_WEBSITE: "NoSuchWebsiteConfiguration",
}
UNCONFIGURED: Final = frozenset(_EMPTY) | frozenset(_MISSING)
assert len(UNCONFIGURED) == len(_EMPTY) + len(_MISSING)


def unconfigured(operation: Operation) -> Callable[[Call], Awaitable[Reply]]:
    """Return the handler that answers `operation` for a bucket that has no such setting."""
    assert operation in UNCONFIGURED

    async def answer(call: Call) -> Reply:
        await call.store.head_bucket(call.bucket)
        if operation in _MISSING:
            raise RequestRefused(_MISSING[operation], BucketName=call.bucket)
        return xml_reply(_EMPTY[operation])

    return answer


def stored_setting(bucket: Bucket, name: str) -> bytes | None:
    """Return the document of a bucket's setting, None when it is not set."""
    return bucket.settings.get(name)


def with_setting(bucket: Bucket, name: str, document: bytes | None) -> Bucket:
    """Return a bucket with the document of a setting; None removes it."""
    settings = {key: value for key, value in bucket.settings.items() if key != name}
    if document is not None:
        settings[name] = document
    return msgspec.structs.replace(bucket, settings=settings)


async def change_setting(call: Call, name: str, document: bytes | None) -> None:
    """Store the document of a bucket's setting; None removes it."""
    await call.store.change_bucket(call.bucket, lambda bucket: with_setting(bucket, name, document))

"""Settings that nothing here can change yet, read: what AWS answers for "not configured".

Each answer is true, because the operation that would set it is refused. One row for each.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from objstore.errors import RequestRefused
from objstore.ondisk.record import Bucket
from objstore.s3.call import Call, Reply, check_version_id, xml_reply
from objstore.s3.owners import owner_of
from objstore.wire.documents import Owner, access_control_policy
from objstore.wire.route import Operation
from objstore.wire.xml_writer import document

_EMPTY: Final[Mapping[Operation, bytes]] = {
    Operation.GET_BUCKET_VERSIONING: document("VersioningConfiguration", ""),
    Operation.GET_BUCKET_LOGGING: document("BucketLoggingStatus", ""),
    Operation.GET_BUCKET_NOTIFICATION: document("NotificationConfiguration", ""),
    Operation.GET_BUCKET_ACCELERATE: document("AccelerateConfiguration", ""),
    Operation.GET_BUCKET_REQUEST_PAYMENT: document(
        "RequestPaymentConfiguration", "<Payer>BucketOwner</Payer>"
    ),
    Operation.GET_BUCKET_OWNERSHIP_CONTROLS: document(
        "OwnershipControls",
        "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>",
    ),
}
_MISSING: Final[Mapping[Operation, str]] = {
    Operation.GET_BUCKET_TAGGING: "NoSuchTagSet",
    Operation.GET_BUCKET_POLICY: "NoSuchBucketPolicy",
    Operation.GET_BUCKET_POLICY_STATUS: "NoSuchBucketPolicy",
    Operation.GET_BUCKET_CORS: "NoSuchCORSConfiguration",
    Operation.GET_BUCKET_ENCRYPTION: "ServerSideEncryptionConfigurationNotFoundError",
    Operation.GET_BUCKET_LIFECYCLE: "NoSuchLifecycleConfiguration",
    Operation.GET_PUBLIC_ACCESS_BLOCK: "NoSuchPublicAccessBlockConfiguration",
    Operation.GET_BUCKET_REPLICATION: "ReplicationConfigurationNotFoundError",
    Operation.GET_BUCKET_WEBSITE: "NoSuchWebsiteConfiguration",
    Operation.GET_OBJECT_LOCK_CONFIGURATION: "ObjectLockConfigurationNotFoundError",
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


async def get_bucket_acl(call: Call) -> Reply:
    """Answer GetBucketAcl: the owner has full control and nobody else has access."""
    bucket = await call.store.head_bucket(call.bucket)
    return xml_reply(access_control_policy(_owner(call, bucket)))


async def get_object_acl(call: Call) -> Reply:
    """Answer GetObjectAcl: with BucketOwnerEnforced, objects belong to the bucket's owner."""
    check_version_id(call.request.query.get("versionId"))
    bucket = await call.store.head_bucket(call.bucket)
    await call.store.head_object(call.bucket, call.key)
    return xml_reply(access_control_policy(_owner(call, bucket)))


async def get_object_tagging(call: Call) -> Reply:
    """Answer GetObjectTagging: no object can have tags."""
    check_version_id(call.request.query.get("versionId"))
    await call.store.head_object(call.bucket, call.key)
    return xml_reply(document("Tagging", "<TagSet></TagSet>"))


def _owner(call: Call, bucket: Bucket) -> Owner:
    return owner_of(bucket.owner, call.identities)

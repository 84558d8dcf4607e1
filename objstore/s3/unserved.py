"""Operations that S3 has and objstore refuses: what to do instead, one sentence each."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from objstore.errors import RequestRefused
from objstore.s3.call import Call, Reply
from objstore.wire.route import Operation

_ANY: Final = "This operation is not implemented here; docs/protocol/s3-support.md lists what is."
_NO_TABLES: Final = (
    "Metadata tables are not implemented; list the bucket, or read its objects' metadata."
)
_REMEDIES: Final[Mapping[Operation, str]] = {
    Operation.CREATE_BUCKET_METADATA: _NO_TABLES,
    Operation.CREATE_BUCKET_METADATA_TABLE: _NO_TABLES,
    Operation.UPDATE_METADATA_ANNOTATION_TABLE: _NO_TABLES,
    Operation.UPDATE_METADATA_INVENTORY_TABLE: _NO_TABLES,
    Operation.UPDATE_METADATA_JOURNAL_TABLE: _NO_TABLES,
    Operation.CREATE_SESSION: (
        "Sessions are for directory buckets, and this is a general purpose bucket; sign each"
        " request with the access key itself."
    ),
    # The first sentence is AWS's.
    Operation.RENAME_OBJECT: (
        "RenameObject is only supported for objects stored in the S3 Express One Zone storage"
        " class. Copy the object to its new name, with If-None-Match where nothing may be"
        " overwritten, and delete the old one."
    ),
    Operation.PUT_OBJECT_ANNOTATION: (
        "Annotations are not implemented; keep what belongs to an object in its user metadata or"
        " its tags."
    ),
    Operation.GET_OBJECT_TORRENT: (
        "Torrents are not implemented; get the object, or several ranges of it at once."
    ),
    Operation.SELECT_OBJECT_CONTENT: (
        "S3 Select is not implemented; get the object, or the ranges that are needed, and filter"
        " in the client."
    ),
    Operation.UPDATE_OBJECT_ENCRYPTION: (
        "Server-side encryption is not implemented, so there is none to change."
    ),
}


def remedy_of(operation: Operation) -> str:
    """Return what somebody who asks for `operation` is told."""
    return _REMEDIES.get(operation, _ANY)


def refuse(operation: Operation) -> Callable[[Call], Awaitable[Reply]]:
    """Return the handler that refuses `operation`, of a bucket that is there."""

    async def answer(call: Call) -> Reply:
        if call.request.bucket is not None:
            await call.store.head_bucket(call.bucket)
        raise RequestRefused("NotImplemented", remedy_of(operation), Method=call.request.method)

    return answer

"""RestoreObject: nothing is archived, so there is nothing to restore."""

from objstore.errors import RequestRefused
from objstore.s3.call import Call, Reply
from objstore.s3.object_version import current_version


async def restore_object(call: Call) -> Reply:
    """Answer RestoreObject as AWS does for objects that are not in an archive."""
    version = await current_version(call)
    raise RequestRefused(
        "InvalidObjectState",
        "Restore is not allowed for the object's current storage class",
        StorageClass=version.storage_class,
    )

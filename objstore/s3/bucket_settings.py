"""The settings of a bucket as they are stored: one document for each, by its sub-resource."""

import msgspec

from objstore.ondisk.record import Bucket
from objstore.s3.call import Call


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

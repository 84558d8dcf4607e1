"""The sub-resources of buckets and objects as documents: one file for each.

Every file has a frozen value, `read_x(data) -> X`, which refuses what AWS refuses with AWS's code
and sentence, and `write_x(X) -> bytes`, which any SDK reads back to the same meaning. A value that
was read is one that may be stored; whether it is also *acted on* is for the caller: what would do
nothing is refused where it is set, and never accepted and ignored.
"""

from objstore.wire.config_documents import (
    accelerate,
    acl,
    attribute_access,
    bucket_logging,
    cors,
    create_bucket,
    encryption,
    lifecycle,
    notification,
    object_attributes,
    object_lock,
    ownership_controls,
    payment,
    public_access,
    replication,
    tagging,
    versioning,
    website,
)

__all__ = [
    "accelerate",
    "acl",
    "attribute_access",
    "bucket_logging",
    "cors",
    "create_bucket",
    "encryption",
    "lifecycle",
    "notification",
    "object_attributes",
    "object_lock",
    "ownership_controls",
    "payment",
    "public_access",
    "replication",
    "tagging",
    "versioning",
    "website",
]

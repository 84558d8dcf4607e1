"""What may make a bucket public: ownership controls and the public access block."""

from objstore.errors import RequestRefused
from objstore.ondisk.record import Bucket
from objstore.s3.bucket_access import ACL, BLOCK, NO_CONTROLS, OWNERSHIP, acl_held
from objstore.s3.bucket_settings import change_setting, stored_setting, with_setting
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.s3.owners import owner_of
from objstore.wire.config_documents.ownership_controls import (
    OwnershipControls,
    read_ownership_controls,
    write_ownership_controls,
)
from objstore.wire.config_documents.public_access import (
    read_public_access_block,
    write_public_access_block,
)

# --- ownership controls ---------------------------------------------------------------


async def get_bucket_ownership_controls(call: Call) -> Reply:
    """Answer GetBucketOwnershipControls: of a bucket that was never told, BucketOwnerEnforced."""
    stored = stored_setting(await call.store.head_bucket(call.bucket), OWNERSHIP)
    if stored == NO_CONTROLS:
        raise RequestRefused("OwnershipControlsNotFoundError", BucketName=call.bucket)
    return xml_reply(write_ownership_controls(OwnershipControls()) if stored is None else stored)


async def put_bucket_ownership_controls(call: Call) -> Reply:
    """Answer PutBucketOwnershipControls.

    "If your bucket ACL grants access outside of your AWS account [...] the request to apply the
    bucket owner enforced setting fails with InvalidBucketAclWithObjectOwnership".
    """
    controls = read_ownership_controls(await read_body(call))
    document = write_ownership_controls(controls)

    def change(bucket: Bucket) -> Bucket:
        owner = owner_of(bucket.owner, call.identities).canonical_id
        grants = acl_held(bucket.settings.get(ACL, b""), owner).grants
        if not controls.acls_act and any(grant.canonical_id != owner for grant in grants):
            raise RequestRefused("InvalidBucketAclWithObjectOwnership")
        return with_setting(bucket, OWNERSHIP, document)

    await call.store.change_bucket(call.bucket, change)
    return Reply(200, {})


async def delete_bucket_ownership_controls(call: Call) -> Reply:
    """Answer DeleteBucketOwnershipControls: ACLs act, and objects belong to who writes them."""
    await change_setting(call, OWNERSHIP, NO_CONTROLS)
    return Reply(204, {})


# --- public access block --------------------------------------------------------------


async def get_public_access_block(call: Call) -> Reply:
    """Answer GetPublicAccessBlock."""
    stored = stored_setting(await call.store.head_bucket(call.bucket), BLOCK)
    if stored is None:
        raise RequestRefused("NoSuchPublicAccessBlockConfiguration", BucketName=call.bucket)
    return xml_reply(stored)


async def put_public_access_block(call: Call) -> Reply:
    """Answer PutPublicAccessBlock."""
    block = read_public_access_block(await read_body(call))
    await change_setting(call, BLOCK, write_public_access_block(block))
    return Reply(200, {})


async def delete_public_access_block(call: Call) -> Reply:
    """Answer DeletePublicAccessBlock."""
    await change_setting(call, BLOCK, None)
    return Reply(204, {})

"""Tags of objects and of buckets."""

import msgspec

from objstore.access.request_context import request_tag_keys
from objstore.errors import RequestRefused
from objstore.ondisk.record import Version
from objstore.s3.bucket_settings import change_setting, stored_setting
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.s3.gate import require_said
from objstore.s3.object_version import current_version, version_header, version_of
from objstore.wire.config_documents.tagging import (
    Tag,
    read_bucket_tagging,
    read_object_tagging,
    write_tagging,
)

SETTING = "tagging"


async def get_object_tagging(call: Call) -> Reply:
    """Answer GetObjectTagging; an object without tags has an empty set."""
    version = await current_version(call)
    tags = [Tag(key, value) for key, value in version.tags.items()]
    bucket = await call.store.head_bucket(call.bucket)
    return xml_reply(write_tagging(tags), version_header(bucket, version))


async def put_object_tagging(call: Call) -> Reply:
    """Answer PutObjectTagging, which replaces all tags."""
    tags = read_object_tagging(await read_body(call))
    said = request_tag_keys((tag.key, tag.value) for tag in tags)
    await require_said(call, "s3:PutObjectTagging", said)
    return await _set(call, {tag.key: tag.value for tag in tags}, status=200)


async def delete_object_tagging(call: Call) -> Reply:
    """Answer DeleteObjectTagging."""
    return await _set(call, {}, status=204)


async def _set(call: Call, tags: dict[str, str], *, status: int) -> Reply:
    await current_version(call)  # a delete marker has none

    def change(version: Version) -> Version:
        return msgspec.structs.replace(version, tags=tags)

    version = await call.store.edit_object(call.bucket, call.key, version_of(call), change)
    return Reply(status, version_header(await call.store.head_bucket(call.bucket), version))


async def get_bucket_tagging(call: Call) -> Reply:
    """Answer GetBucketTagging."""
    stored = stored_setting(await call.store.head_bucket(call.bucket), SETTING)
    if stored is None:
        raise RequestRefused("NoSuchTagSet", BucketName=call.bucket)
    return xml_reply(stored)


async def put_bucket_tagging(call: Call) -> Reply:
    """Answer PutBucketTagging, which replaces all tags."""
    tags = read_bucket_tagging(await read_body(call))
    await change_setting(call, SETTING, write_tagging(tags) if tags else None)
    return Reply(204, {})


async def delete_bucket_tagging(call: Call) -> Reply:
    """Answer DeleteBucketTagging."""
    await change_setting(call, SETTING, None)
    return Reply(204, {})

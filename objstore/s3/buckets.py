"""Buckets: ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation."""

from itertools import islice
from typing import Final

from objstore.access.ownership import ENFORCED
from objstore.errors import RequestRefused
from objstore.names import BucketName, Versioning
from objstore.ondisk.record import Bucket
from objstore.s3 import object_lock, tagging
from objstore.s3.acls import new_bucket_settings
from objstore.s3.bucket_access import ACL, ownership_of
from objstore.s3.bucket_settings import with_setting
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.s3.continuation import read_token, write_token
from objstore.s3.owners import owner_of, owns
from objstore.wire.config_documents.create_bucket import (
    CreateBucketConfiguration,
    read_create_bucket,
)
from objstore.wire.config_documents.object_lock import ObjectLock, write_object_lock
from objstore.wire.config_documents.tagging import write_tagging
from objstore.wire.documents import bucket_list, location_constraint
from objstore.wire.headers import integer, parameter
from objstore.wire.request import check_bucket_name

_BUCKETS_MAX: Final = 10_000
# The one region where creating one's own bucket again succeeds. AWS: "For legacy compatibility,
# if you re-create an existing bucket that you already own in us-east-1, Amazon S3 returns 200 OK".
_LEGACY_REGION: Final = "us-east-1"
_LOCK_HEADER: Final = "x-amz-bucket-object-lock-enabled"
_PAGING: Final = ("max-buckets", "continuation-token", "prefix", "bucket-region")


async def list_buckets(call: Call) -> Reply:
    """Answer ListBuckets: the caller's buckets, or a page of those with a prefix or in a region.

    "Returns a list of all buckets owned by the authenticated sender of the request." Root sees
    everybody's.
    """
    query = call.request.query
    prefix = query.get("prefix") or ""
    region = query.get("bucket-region") or None
    limit = _BUCKETS_MAX
    if wanted := query.get("max-buckets"):
        limit = integer("max-buckets", wanted, least=1, most=_BUCKETS_MAX)
    token = query.get("continuation-token")
    after = read_token(token) if token else ""
    matching = (
        bucket
        for bucket in sorted(await call.store.list_buckets(), key=lambda bucket: bucket.name)
        if _is_listed(call, bucket)
        and bucket.name > after
        and bucket.name.startswith(prefix)
        and region in (None, bucket.region or call.region)
    )
    buckets = list(islice(matching, limit + 1))
    tail = []
    if len(buckets) > limit:
        tail.append(("ContinuationToken", write_token(buckets[limit - 1].name)))
    if prefix:
        tail.append(("Prefix", prefix))
    paged = any(query.has(name) for name in _PAGING)
    return xml_reply(
        bucket_list(
            buckets[:limit], owner_of(call.caller_id, call.identities), regions=paged, tail=tail
        )
    )


def _is_listed(call: Call, bucket: Bucket) -> bool:
    caller = call.caller
    return caller is not None and (caller.root or owns(caller, bucket, call.identities))


async def create_bucket(call: Call) -> Reply:
    """Answer CreateBucket. A location constraint has to name this deployment's region."""
    name = check_bucket_name(call.bucket)
    configuration = read_create_bucket(await read_body(call))
    constraint = configuration.location
    if constraint not in ("", call.region):
        raise RequestRefused("InvalidLocationConstraint", LocationConstraint=constraint)
    first = _first_settings(call, configuration)
    settings = first | new_bucket_settings(call)
    try:
        await call.store.create_bucket(
            name, owner=call.caller_id, region=call.region, settings=settings
        )
    except RequestRefused as refusal:
        mine = refusal.reason == "BucketAlreadyOwnedByYou" or (
            refusal.reason == "BucketAlreadyExists" and await _is_mine_of_old(call, name)
        )
        if not mine:
            raise
        # Success would claim that the bucket has the settings that were asked for.
        held = (await call.store.head_bucket(name)).settings
        if call.region != _LEGACY_REGION or not first.items() <= held.items():
            raise RequestRefused("BucketAlreadyOwnedByYou", BucketName=name) from refusal
        await _reset_acl(call, settings.get(ACL))
    return Reply(200, {"Location": f"/{name}"})


def _first_settings(call: Call, configuration: CreateBucketConfiguration) -> dict[str, bytes]:
    """Return what a new bucket has from the start: its tags; object lock, and so versions.

    Raises:
        RequestRefused: InvalidArgument.
    """
    settings = {}
    if configuration.tags:
        settings[tagging.SETTING] = write_tagging(configuration.tags)
    sent = (parameter(call.request, _LOCK_HEADER) or "false").strip().lower()
    if sent not in ("true", "false"):
        raise RequestRefused(
            "InvalidArgument", f"{_LOCK_HEADER} is true or false.", ArgumentName=_LOCK_HEADER
        )
    if sent == "true":
        settings["versioning"] = Versioning.ENABLED.value.encode()
        settings[object_lock.SETTING] = write_object_lock(ObjectLock())
    return settings


async def _reset_acl(call: Call, acl: bytes | None) -> None:
    """Set the ACL of a bucket that is created again, where it has ACLs.

    "If you re-create an existing bucket that you already own in us-east-1, Amazon S3 returns 200
    OK and resets the bucket access control lists (ACLs)."
    """

    def change(bucket: Bucket) -> Bucket:
        if ownership_of(bucket) == ENFORCED:
            return bucket
        return with_setting(bucket, ACL, acl)

    await call.store.change_bucket(call.bucket, change)


async def _is_mine_of_old(call: Call, name: BucketName) -> bool:
    """Tell whether a bucket's record names the caller as records did before canonical ids."""
    if call.caller is None:
        return False
    bucket = await call.store.head_bucket(name)
    return bucket.owner != call.caller_id and owns(call.caller, bucket, call.identities)


async def head_bucket(call: Call) -> Reply:
    """Answer HeadBucket."""
    bucket = await call.store.head_bucket(call.bucket)
    return Reply(
        200,
        {
            "x-amz-bucket-region": bucket.region or call.region,
            "x-amz-access-point-alias": "false",
        },
    )


async def delete_bucket(call: Call) -> Reply:
    """Answer DeleteBucket."""
    await call.store.delete_bucket(call.bucket)
    return Reply(204, {})


async def get_bucket_location(call: Call) -> Reply:
    """Answer GetBucketLocation."""
    bucket = await call.store.head_bucket(call.bucket)
    return xml_reply(location_constraint(bucket.region or call.region))

"""Buckets: ListBuckets, CreateBucket, HeadBucket, DeleteBucket, GetBucketLocation."""

from itertools import islice
from typing import Final

from objstore.errors import RequestRefused
from objstore.s3.attributes import owner_of
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.s3.continuation import read_token, write_token
from objstore.wire.config_documents.create_bucket import read_create_bucket
from objstore.wire.documents import bucket_list, location_constraint
from objstore.wire.headers import integer
from objstore.wire.request import check_bucket_name

_BUCKETS_MAX: Final = 10_000
# The one region where creating one's own bucket again succeeds. AWS: "For legacy compatibility,
# if you re-create an existing bucket that you already own in us-east-1, Amazon S3 returns 200 OK".
_LEGACY_REGION: Final = "us-east-1"
_PAGING: Final = ("max-buckets", "continuation-token", "prefix", "bucket-region")


async def list_buckets(call: Call) -> Reply:
    """Answer ListBuckets: every bucket, or a page of those with a prefix or in a region."""
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
        if bucket.name > after
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
        bucket_list(buckets[:limit], owner_of(call.access_key), regions=paged, tail=tail)
    )


async def create_bucket(call: Call) -> Reply:
    """Answer CreateBucket. A location constraint has to name this deployment's region."""
    name = check_bucket_name(call.bucket)
    configuration = read_create_bucket(await read_body(call))
    if configuration.tags:
        raise RequestRefused(
            "NotImplemented", "Tags in CreateBucketConfiguration is not implemented."
        )
    constraint = configuration.location
    if constraint not in ("", call.region):
        raise RequestRefused("InvalidLocationConstraint", LocationConstraint=constraint)
    try:
        await call.store.create_bucket(name, owner=call.access_key, region=call.region)
    except RequestRefused as refusal:
        if refusal.reason != "BucketAlreadyOwnedByYou" or call.region != _LEGACY_REGION:
            raise
    return Reply(200, {"Location": f"/{name}"})


async def head_bucket(call: Call) -> Reply:
    """Answer HeadBucket."""
    bucket = await call.store.head_bucket(call.bucket)
    return Reply(200, {"x-amz-bucket-region": bucket.region or call.region})


async def delete_bucket(call: Call) -> Reply:
    """Answer DeleteBucket."""
    await call.store.delete_bucket(call.bucket)
    return Reply(204, {})


async def get_bucket_location(call: Call) -> Reply:
    """Answer GetBucketLocation."""
    bucket = await call.store.head_bucket(call.bucket)
    return xml_reply(location_constraint(bucket.region or call.region))

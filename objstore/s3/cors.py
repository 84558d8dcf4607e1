"""The CORS configuration of buckets; rules/cors.py says what it means for a request."""

from functools import lru_cache
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import SETTINGS_PARSED_MAX
from objstore.ondisk.record import Bucket
from objstore.s3.bucket_settings import change_setting, stored_setting
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.wire.config_documents.cors import CorsRules, read_cors, write_cors

SETTING: Final = "cors"
_read: Final = lru_cache(maxsize=SETTINGS_PARSED_MAX)(read_cors)


def cors_rules(bucket: Bucket) -> CorsRules:
    """Return a bucket's rules, none when it has no CORS configuration."""
    stored = stored_setting(bucket, SETTING)
    return () if stored is None else _read(stored)


async def get_bucket_cors(call: Call) -> Reply:
    """Answer GetBucketCors."""
    stored = stored_setting(await call.store.head_bucket(call.bucket), SETTING)
    if stored is None:
        raise RequestRefused("NoSuchCORSConfiguration", BucketName=call.bucket)
    return xml_reply(stored)


async def put_bucket_cors(call: Call) -> Reply:
    """Answer PutBucketCors: "If the configuration exists, Amazon S3 replaces it."."""
    rules = read_cors(await read_body(call))
    await change_setting(call, SETTING, write_cors(rules))
    return Reply(200, {})


async def delete_bucket_cors(call: Call) -> Reply:
    """Answer DeleteBucketCors."""
    await change_setting(call, SETTING, None)
    return Reply(204, {})

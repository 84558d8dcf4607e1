"""The policy that a bucket has, read when it changes and not for every request."""

import json
from functools import lru_cache

from objstore.access.policy_document import Policy, parse_policy
from objstore.errors import RequestRefused
from objstore.limits import POLICIES_PARSED_MAX


@lru_cache(maxsize=POLICIES_PARSED_MAX)
def stored_policy(data: bytes, bucket: str) -> Policy:
    """Return the policy of `bucket` that was stored as `data`.

    What another release accepted and this one can not read denies everything: whom it shut out
    is not known. The bucket's owner can still read, replace and delete it.
    """
    try:
        return parse_policy(data, bucket=bucket)
    except RequestRefused:
        return parse_policy(_closed(bucket), bucket=bucket)


def _closed(bucket: str) -> bytes:
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "*",
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    return json.dumps({"Statement": [statement]}).encode()

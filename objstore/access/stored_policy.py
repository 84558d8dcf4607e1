"""The policy that a bucket has, read when it changes and not for every request."""

from functools import lru_cache

from objstore.access.policy_document import Policy, parse_policy
from objstore.limits import POLICIES_PARSED_MAX


@lru_cache(maxsize=POLICIES_PARSED_MAX)
def stored_policy(data: bytes, bucket: str) -> Policy:
    """Return the policy of `bucket` that was stored as `data`.

    Raises:
        RequestRefused: MalformedPolicy, of a policy that another release accepted. Whoever asks
            has to refuse everybody but the owner then: what it denies is not known.
    """
    return parse_policy(data, bucket=bucket)

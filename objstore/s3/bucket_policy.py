"""PutBucketPolicy, GetBucketPolicy, DeleteBucketPolicy, GetBucketPolicyStatus.

A policy is stored and returned as the bytes that were sent, once it was read whole. AWS: the root
of the bucket owner's account "can perform the GetBucketPolicy, PutBucketPolicy, and
DeleteBucketPolicy API actions, even if their bucket policy explicitly denies" it. Every identity
is that of its account, so no policy locks its setter out, and
x-amz-confirm-remove-self-bucket-access confirms what cannot happen.
"""

from typing import Final

from objstore.access.policy_document import parse_policy
from objstore.access.principals import NamedPrincipal, Naming
from objstore.access.public_access import is_public_policy, refuse_public_policy
from objstore.access.stored_policy import stored_policy
from objstore.errors import RequestRefused
from objstore.iam.identities import Identities
from objstore.limits import POLICY_BYTES_MAX
from objstore.ondisk.record import Bucket
from objstore.s3.bucket_access import POLICY, block_of
from objstore.s3.bucket_settings import change_setting, stored_setting, with_setting
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.wire.config_documents.public_access import write_policy_status
from objstore.wire.headers import parameter

_CONFIRM: Final = "x-amz-confirm-remove-self-bucket-access"
_BOOLEANS: Final = frozenset({"true", "false"})


async def put_bucket_policy(call: Call) -> Reply:
    """Answer PutBucketPolicy."""
    _check_confirmation(call)
    if call.body.size is not None and call.body.size > POLICY_BYTES_MAX:
        raise RequestRefused("MalformedPolicy", "Policy exceeds the maximum allowed document size.")
    document = await read_body(call)
    policy = parse_policy(
        document, bucket=call.bucket, known=lambda named: _is_known(named, call.identities)
    )

    def change(bucket: Bucket) -> Bucket:
        refuse_public_policy(block_of(bucket), policy)
        return with_setting(bucket, POLICY, document)

    await call.store.change_bucket(call.bucket, change)
    return Reply(204, {})


async def get_bucket_policy(call: Call) -> Reply:
    """Answer GetBucketPolicy."""
    return Reply(200, {"Content-Type": "application/json"}, await _stored(call))


async def delete_bucket_policy(call: Call) -> Reply:
    """Answer DeleteBucketPolicy."""
    await change_setting(call, POLICY, None)
    return Reply(204, {})


async def get_bucket_policy_status(call: Call) -> Reply:
    """Answer GetBucketPolicyStatus."""
    policy = stored_policy(await _stored(call), call.bucket)
    return xml_reply(write_policy_status(public=is_public_policy(policy)))


async def _stored(call: Call) -> bytes:
    stored = stored_setting(await call.store.head_bucket(call.bucket), POLICY)
    if stored is None:
        raise RequestRefused("NoSuchBucketPolicy", BucketName=call.bucket)
    return stored


def _check_confirmation(call: Call) -> None:
    sent = parameter(call.request, _CONFIRM)
    if sent is not None and sent.lower() not in _BOOLEANS:
        raise RequestRefused(
            "InvalidArgument",
            f"{_CONFIRM} is true or false.",
            ArgumentName=_CONFIRM,
            ArgumentValue=sent[:100],
        )


def _is_known(named: NamedPrincipal, identities: Identities) -> bool:
    """Whether a principal may be there: accounts elsewhere exist, and nobody here is one of them.

    A user who is not there and a canonical id of nobody are a mistake, as on AWS: "Invalid
    principal in policy".
    """
    if named.naming is Naming.CANONICAL:
        return identities.by_canonical_id(named.value) is not None
    if named.naming is not Naming.USER:
        return True
    found = identities.by_access_key(named.value)
    if not named.account:
        return found is not None
    return not identities.has_account(named.account) or (
        found is not None and found.account == named.account
    )

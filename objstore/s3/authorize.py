"""Who may do what: root everything, everybody else everything with buckets of their own.

`authorize` is asked once for every request, between the route and the handler, and is the only
place that decides.
"""

from objstore.errors import RequestRefused
from objstore.names import BucketName
from objstore.s3.call import Call
from objstore.s3.copy_source import source_of
from objstore.s3.operations import Spec
from objstore.s3.owners import is_owner_expected, owns
from objstore.wire.headers import parameter
from objstore.wire.route import EXPECTED_OWNER, EXPECTED_SOURCE_OWNER

_CREATE_BUCKET = "s3:CreateBucket"


async def authorize(call: Call, spec: Spec) -> None:
    """Refuse what the caller may not do, and a bucket whose owner is not the one expected.

    A bucket that does not exist is said to be missing, as on AWS: names of buckets are no secret.

    Raises:
        RequestRefused: AccessDenied; NoSuchBucket.
    """
    if call.caller is None:
        raise RequestRefused("AccessDenied")
    if call.request.bucket is None or spec.action == _CREATE_BUCKET:
        return  # ListBuckets shows the caller's own; a name that is taken is refused as such
    await _require_bucket(call, call.bucket, EXPECTED_OWNER)
    if spec.copies:
        await _require_bucket(call, source_of(call).bucket, EXPECTED_SOURCE_OWNER)


async def _require_bucket(call: Call, name: BucketName, header: str) -> None:
    assert call.caller is not None
    expected = parameter(call.request, header)
    if call.caller.root and expected is None:
        return
    bucket = await call.store.head_bucket(name)
    if not call.caller.root and not owns(call.caller, bucket, call.identities):
        raise RequestRefused("AccessDenied")
    if expected is not None and not is_owner_expected(expected, bucket, call.identities):
        raise RequestRefused("AccessDenied")

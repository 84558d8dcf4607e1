"""PutObject."""

from objstore.errors import RequestRefused
from objstore.s3.attributes import checksum_headers, read_attributes
from objstore.s3.call import Call, Reply, require_size
from objstore.s3.encryption import key_headers
from objstore.s3.expected_digests import body_claim
from objstore.s3.lifecycle import expiration_of
from objstore.s3.object_version import version_header
from objstore.s3.write_conditions import write_precondition
from objstore.wire.headers import DEFAULT_CHECKSUM, FULL_OBJECT, parameter, quoted
from objstore.wire.route import Operation


async def put_object(call: Call) -> Reply:
    """Answer PutObject. Everything in the headers is checked before the body is asked for."""
    assert call.digests is not None
    if call.form is None:  # a form's file ends where its delimiter is
        require_size(call)
    claim = body_claim(call.request, Operation.PUT_OBJECT)
    _check_type(call)
    precondition = write_precondition(call.request)
    bucket = await call.store.head_bucket(call.bucket)
    attributes = read_attributes(call, bucket, claim.algorithm or DEFAULT_CHECKSUM)
    version = await call.store.put_object(
        call.bucket,
        call.key,
        call.body,
        attributes=attributes,
        digests=call.digests,
        precondition=precondition,
    )
    headers = {"ETag": quoted(version.etag)} | version_header(bucket, version)
    headers |= key_headers(attributes.customer_key)
    headers |= expiration_of(call, bucket, version)
    return Reply(200, headers | checksum_headers(version.checksums, version.checksum_type))


def _check_type(call: Call) -> None:
    """Hold the type: "For PutObject uploads, the checksum type is always FULL_OBJECT"."""
    kind = (parameter(call.request, "x-amz-checksum-type") or FULL_OBJECT).upper()
    if kind != FULL_OBJECT:
        raise RequestRefused(
            "InvalidRequest",
            f"For PutObject uploads, the checksum type is always {FULL_OBJECT}.",
            ArgumentName="x-amz-checksum-type",
            ArgumentValue=kind,
        )

"""The operation table: total, and honest about what is not served."""

import pytest

from objstore.errors import RequestRefused
from objstore.s3.operations import OPERATIONS, BodyKind, not_implemented
from objstore.wire.route import Operation
from tests.unit.s3.client import MODEL, Client

SERVED = """ListBuckets CreateBucket HeadBucket DeleteBucket GetBucketLocation PutObject GetObject
HeadObject DeleteObject CopyObject DeleteObjects ListObjects ListObjectsV2 CreateMultipartUpload
UploadPart UploadPartCopy ListParts ListMultipartUploads CompleteMultipartUpload
AbortMultipartUpload"""


def test_every_operation_has_a_row() -> None:
    assert set(OPERATIONS) == set(Operation)


@pytest.mark.parametrize("name", SERVED.split())
def test_what_has_to_be_served_is(name: str) -> None:
    assert OPERATIONS[Operation(name)].served


def test_bodies_are_as_the_model_has_them() -> None:
    for operation, spec in OPERATIONS.items():
        if not spec.served or operation is Operation.POST_OBJECT:  # a form; no SDK has a model
            continue
        model = MODEL.operation_model(operation.value)
        if model.has_streaming_input:
            assert spec.body is BodyKind.STREAM
        elif model.input_shape is not None and "payload" in model.input_shape.serialization:
            assert spec.body is BodyKind.DOCUMENT
        else:
            assert spec.body is BodyKind.NONE


async def test_what_is_not_served_says_so() -> None:
    with pytest.raises(RequestRefused) as refusal:
        await Client().raw("PUT", "/bucket?policy", body=b"{}")
    assert refusal.value.reason == "NotImplemented"
    assert OPERATIONS[Operation.PUT_BUCKET_POLICY].handler is not_implemented


def test_actions_are_named_as_policies_name_them() -> None:
    assert all(spec.action.startswith("s3:") for spec in OPERATIONS.values())

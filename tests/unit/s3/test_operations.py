"""The operation table: total, and honest about what is not served."""

import pytest

from objstore.access.operation_actions import OPERATION_ACTIONS
from objstore.errors import RequestRefused
from objstore.s3.operations import OPERATIONS, BodyKind
from objstore.wire.route import Operation
from tests.unit.s3.client import MODEL, Client, Failure

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


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (
            "/bucket/new?renameObject",
            "RenameObject is only supported for objects stored in the S3 Express One Zone",
        ),
        ("/bucket/key?encryption", "Server-side encryption is not implemented"),
        ("/bucket/key?annotation&annotationName=a", "Annotations are not implemented"),
        ("/bucket?metadataInventoryTable", "Metadata tables are not implemented"),
    ],
)
async def test_what_is_not_served_says_what_to_do(target: str, sentence: str) -> None:
    client = Client()
    with pytest.raises(RequestRefused) as refusal:
        await client.raw("PUT", target)
    assert refusal.value.reason == "NoSuchBucket"
    await client("CreateBucket", Bucket="bucket")
    with pytest.raises(RequestRefused) as refusal:
        await client.raw("PUT", target)
    assert refusal.value.reason == "NotImplemented"
    assert refusal.value.message.startswith(sentence)


async def test_appending_is_refused_with_awss_sentence() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    with pytest.raises(Failure) as failure:
        await client("PutObject", Bucket="bucket", Key="k", Body=b"x", WriteOffsetBytes=0)
    assert (failure.value.status, failure.value.code) == (501, "NotImplemented")
    assert (
        "only supported for objects in the Amazon S3 Express One Zone storage class in directory"
        " buckets" in failure.value.error["Message"]
    )


def test_every_operation_that_is_not_served_has_a_sentence() -> None:
    assert all(spec.note for spec in OPERATIONS.values() if not spec.served)


def test_actions_are_named_as_policies_name_them() -> None:
    assert {operation: spec.action for operation, spec in OPERATIONS.items()} == OPERATION_ACTIONS

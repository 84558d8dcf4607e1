"""Annotations: an object has none."""

import pytest

from tests.unit.s3.client import Client, Failure


async def stored() -> Client:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    await client("PutObject", Bucket="bucket", Key="k", Body=b"x")
    return client


async def test_an_object_has_none() -> None:
    client = await stored()
    listed = await client("ListObjectAnnotations", Bucket="bucket", Key="k", AnnotationPrefix="a")
    assert (listed["Bucket"], listed["Key"], listed["AnnotationPrefix"]) == ("bucket", "k", "a")
    assert (listed["AnnotationCount"], listed["MaxAnnotationResults"]) == (0, 1000)
    assert "Annotations" not in listed
    with pytest.raises(Failure) as failure:
        await client("GetObjectAnnotation", Bucket="bucket", Key="k", AnnotationName="a")
    assert (failure.value.status, failure.value.code) == (404, "NoSuchAnnotation")
    gone = await client("DeleteObjectAnnotation", Bucket="bucket", Key="k", AnnotationName="a")
    assert gone["Status"] == 204


async def test_of_an_object_that_is_not_there() -> None:
    client = await stored()
    named = {"Bucket": "bucket", "Key": "none"}
    for name, arguments in (
        ("ListObjectAnnotations", named),
        ("GetObjectAnnotation", named | {"AnnotationName": "a"}),
        ("DeleteObjectAnnotation", named | {"AnnotationName": "a"}),
    ):
        with pytest.raises(Failure) as failure:
            await client(name, **arguments)
        assert failure.value.code == "NoSuchKey"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a" * 513, "AnnotationNameTooLong"),
        ("é" * 257, "AnnotationNameTooLong"),
        ("aws:x", "InvalidAnnotationName"),
        ("S3x", "InvalidAnnotationName"),
        ("", "InvalidAnnotationName"),
    ],
)
async def test_names(name: str, code: str) -> None:
    """AWS: they "cannot start with aws or s3 (case-insensitive)"; "Maximum length of 512 bytes"."""
    client = await stored()
    for operation in ("GetObjectAnnotation", "DeleteObjectAnnotation"):
        with pytest.raises(Failure) as failure:
            await client(operation, Bucket="bucket", Key="k", AnnotationName=name)
        assert (failure.value.status, failure.value.code) == (400, code)


async def test_a_token_that_no_list_gave() -> None:
    client = await stored()
    with pytest.raises(Failure) as failure:
        await client("ListObjectAnnotations", Bucket="bucket", Key="k", ContinuationToken="x")
    assert failure.value.code == "InvalidArgument"

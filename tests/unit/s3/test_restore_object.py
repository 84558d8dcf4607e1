"""RestoreObject, where nothing is in an archive."""

import pytest

from tests.unit.s3.client import Client, Failure


async def test_there_is_nothing_to_restore() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    await client("PutObject", Bucket="bucket", Key="k", Body=b"x")
    with pytest.raises(Failure) as failure:
        await client("RestoreObject", Bucket="bucket", Key="k", RestoreRequest={"Days": 1})
    assert (failure.value.status, failure.value.code) == (403, "InvalidObjectState")
    assert failure.value.error["Message"] == (
        "Restore is not allowed for the object's current storage class"
    )
    with pytest.raises(Failure) as failure:
        await client("RestoreObject", Bucket="bucket", Key="none", RestoreRequest={"Days": 1})
    assert failure.value.code == "NoSuchKey"

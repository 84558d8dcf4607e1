"""Settings that cannot be set: what AWS answers when they are not."""

import pytest

from objstore.s3.bucket_settings import UNCONFIGURED
from objstore.s3.operations import OPERATIONS
from tests.unit.s3.client import Client, Failure

# AWS's documented answer for a bucket without the setting.
ANSWERS = {
    "GetBucketVersioning": {},
    "GetBucketLogging": {},
    "GetBucketNotificationConfiguration": {},
    "GetBucketAccelerateConfiguration": {},
    "GetBucketRequestPayment": {"Payer": "BucketOwner"},
    "GetBucketOwnershipControls": {
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    },
    "GetBucketTagging": "NoSuchTagSet",
    "GetBucketPolicy": "NoSuchBucketPolicy",
    "GetBucketPolicyStatus": "NoSuchBucketPolicy",
    "GetBucketCors": "NoSuchCORSConfiguration",
    "GetBucketEncryption": "ServerSideEncryptionConfigurationNotFoundError",
    "GetBucketLifecycleConfiguration": "NoSuchLifecycleConfiguration",
    "GetPublicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "GetBucketReplication": "ReplicationConfigurationNotFoundError",
    "GetBucketWebsite": "NoSuchWebsiteConfiguration",
    "GetObjectLockConfiguration": "ObjectLockConfigurationNotFoundError",
}


def test_the_table_is_total() -> None:
    assert set(ANSWERS) >= {operation.value for operation in UNCONFIGURED}


@pytest.mark.parametrize("name", ANSWERS)
async def test_not_configured(name: str) -> None:
    client = Client()
    with pytest.raises(Failure) as failure:
        await client(name, Bucket="bucket")
    assert failure.value.code == "NoSuchBucket"
    await client("CreateBucket", Bucket="bucket")
    expected = ANSWERS[name]
    if isinstance(expected, str):
        with pytest.raises(Failure) as failure:
            await client(name, Bucket="bucket")
        assert (failure.value.status, failure.value.code) == (404, expected)
        return
    answer = await client(name, Bucket="bucket")
    for extra in ("ResponseMetadata", "Status", "Headers"):
        del answer[extra]
    assert answer == expected


def test_each_answer_is_true_because_nothing_can_set_it() -> None:
    for operation in UNCONFIGURED:
        name = operation.name.replace("GET_", "PUT_", 1).replace("_STATUS", "")
        setter = next((other for other in OPERATIONS if other.name == name), None)
        assert setter is not None
        assert not OPERATIONS[setter].served


async def test_acls_and_tags() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    await client("PutObject", Bucket="bucket", Key="k", Body=b"x")
    bucket_acl = await client("GetBucketAcl", Bucket="bucket")
    object_acl = await client("GetObjectAcl", Bucket="bucket", Key="k")
    assert bucket_acl["Grants"] == object_acl["Grants"]
    assert [grant["Permission"] for grant in bucket_acl["Grants"]] == ["FULL_CONTROL"]
    tags = await client("GetObjectTagging", Bucket="bucket", Key="k")
    assert tags["TagSet"] == []
    for name in ("GetObjectAcl", "GetObjectTagging"):
        with pytest.raises(Failure) as failure:
            await client(name, Bucket="bucket", Key="none")
        assert failure.value.code == "NoSuchKey"

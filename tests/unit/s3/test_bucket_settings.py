"""Settings that a bucket does not have: what AWS answers, whoever's module the setting is in."""

import pytest

from tests.unit.s3.client import Client, Failure

# AWS's documented answer for a bucket without the setting.
ANSWERS = {
    "GetBucketVersioning": {},
    "GetBucketLogging": {},
    "GetBucketNotificationConfiguration": {},
    "GetBucketNotification": {},
    "GetBucketAccelerateConfiguration": {},
    "GetBucketRequestPayment": {"Payer": "BucketOwner"},
    "GetBucketAbac": {"AbacStatus": {"Status": "Disabled"}},
    "GetBucketOwnershipControls": {
        "OwnershipControls": {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    },
    "GetBucketTagging": "NoSuchTagSet",
    "GetBucketPolicy": "NoSuchBucketPolicy",
    "GetBucketPolicyStatus": "NoSuchBucketPolicy",
    "GetBucketCors": "NoSuchCORSConfiguration",
    "GetBucketEncryption": "ServerSideEncryptionConfigurationNotFoundError",
    "GetBucketLifecycleConfiguration": "NoSuchLifecycleConfiguration",
    "GetBucketLifecycle": "NoSuchLifecycleConfiguration",
    "GetPublicAccessBlock": "NoSuchPublicAccessBlockConfiguration",
    "GetBucketReplication": "ReplicationConfigurationNotFoundError",
    "GetBucketWebsite": "NoSuchWebsiteConfiguration",
    "GetBucketMetadataConfiguration": "MetadataConfigurationNotFound",
    "GetBucketMetadataTableConfiguration": "MetadataConfigurationNotFound",
    "GetObjectLockConfiguration": "ObjectLockConfigurationNotFoundError",
}


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

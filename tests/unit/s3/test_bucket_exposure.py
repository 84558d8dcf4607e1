"""Ownership controls and the public access block."""

from typing import Any

import pytest

from tests.unit.s3.client import ALICE, BOB, Client, Failure
from tests.unit.s3.people import NAME


async def bucket(**more: Any) -> Client:
    client = Client()
    await client("CreateBucket", Bucket=NAME, Caller=ALICE, **more)
    return client


async def code_of(client: Client, operation: str, **arguments: Any) -> str:
    with pytest.raises(Failure) as failure:
        await client(operation, Bucket=NAME, **arguments)
    return failure.value.code


def controls(ownership: str) -> dict[str, Any]:
    return {"OwnershipControls": {"Rules": [{"ObjectOwnership": ownership}]}}


async def ownership_of(client: Client) -> str:
    answer = await client("GetBucketOwnershipControls", Bucket=NAME)
    (rule,) = answer["OwnershipControls"]["Rules"]
    return str(rule["ObjectOwnership"])


ALL = ("BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter")


@pytest.mark.parametrize("ownership", ALL)
async def test_ownership_is_kept(ownership: str) -> None:
    client = await bucket()
    assert await ownership_of(client) == "BucketOwnerEnforced"
    await client("PutBucketOwnershipControls", Bucket=NAME, **controls(ownership))
    assert await ownership_of(client) == ownership
    assert await ownership_of(await bucket(ObjectOwnership=ownership)) == ownership


async def test_ownership_that_is_deleted() -> None:
    """Without ownership controls ACLs act and objects are their writer's."""
    client = await bucket()
    answer = await client("DeleteBucketOwnershipControls", Bucket=NAME, Caller=ALICE)
    assert answer["Status"] == 204
    code = await code_of(client, "GetBucketOwnershipControls")
    assert code == "OwnershipControlsNotFoundError"
    await client("PutBucketAcl", Bucket=NAME, ACL="public-read-write", Caller=ALICE)
    await client("PutObject", Bucket=NAME, Key="k", Body=b"x", Caller=BOB)
    page = await client("ListObjects", Bucket=NAME)
    assert page["Contents"][0]["Owner"]["ID"] == BOB.canonical_id
    await client("PutBucketAcl", Bucket=NAME, ACL="private", Caller=ALICE)
    await client("PutBucketOwnershipControls", Bucket=NAME, **controls("BucketOwnerEnforced"))
    page = await client("ListObjects", Bucket=NAME)
    assert page["Contents"][0]["Owner"]["ID"] == ALICE.canonical_id


@pytest.mark.parametrize("acl", ["public-read", "authenticated-read", "log-delivery-write"])
async def test_acls_that_grant_others_go_first(acl: str) -> None:
    """AWS: "If your bucket ACL grants access outside of your AWS account [...] the request to apply
    the bucket owner enforced setting fails with InvalidBucketAclWithObjectOwnership".
    """
    client = await bucket(ObjectOwnership="ObjectWriter", ACL=acl)
    enforced = controls("BucketOwnerEnforced")
    code = await code_of(client, "PutBucketOwnershipControls", **enforced)
    assert code == "InvalidBucketAclWithObjectOwnership"
    await client("PutBucketOwnershipControls", Bucket=NAME, **controls("BucketOwnerPreferred"))
    await client("PutBucketAcl", Bucket=NAME, ACL="private")
    await client("PutBucketOwnershipControls", Bucket=NAME, **enforced)


async def test_a_new_bucket_without_acls_takes_none() -> None:
    for more in ({}, {"ObjectOwnership": "BucketOwnerEnforced"}):
        for acl in ({"ACL": "public-read"}, {"GrantRead": f"id={BOB.canonical_id}"}):
            with pytest.raises(Failure) as failure:
                await bucket(**more, **acl)
            assert failure.value.code == "InvalidBucketAclWithObjectOwnership"
        await bucket(**more, ACL="private")
    with pytest.raises(Failure) as failure:
        await bucket(ObjectOwnership="Nobody")
    assert failure.value.code == "InvalidArgument"


async def test_creating_a_bucket_again_resets_its_acl() -> None:
    """AWS: "If you re-create an existing bucket that you already own in us-east-1, Amazon S3
    returns 200 OK and resets the bucket access control lists (ACLs)."
    """
    client = Client(region="us-east-1")
    again = {"Bucket": NAME, "ObjectOwnership": "ObjectWriter", "Caller": ALICE}
    await client("CreateBucket", **again, ACL="public-read")
    assert len((await client("GetBucketAcl", Bucket=NAME))["Grants"]) == 2
    await client("CreateBucket", **again)
    assert len((await client("GetBucketAcl", Bucket=NAME))["Grants"]) == 1
    await client("CreateBucket", **again, ACL="public-read-write")
    assert len((await client("GetBucketAcl", Bucket=NAME))["Grants"]) == 3


NAMES = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


@pytest.mark.parametrize("on", NAMES)
async def test_a_block_is_kept(on: str) -> None:
    client = await bucket()
    missing = "NoSuchPublicAccessBlockConfiguration"
    assert await code_of(client, "GetPublicAccessBlock") == missing
    await client("PutPublicAccessBlock", Bucket=NAME, PublicAccessBlockConfiguration={on: True})
    answer = await client("GetPublicAccessBlock", Bucket=NAME)
    assert answer["PublicAccessBlockConfiguration"] == {name: name == on for name in NAMES}
    for _ in range(2):
        assert (await client("DeletePublicAccessBlock", Bucket=NAME))["Status"] == 204
    assert await code_of(client, "GetPublicAccessBlock") == missing


async def test_public_acls_that_are_blocked() -> None:
    """AWS: "PUT Bucket acl and PUT Object acl calls fail if the specified ACL is public. PUT Object
    calls fail if the request includes a public ACL."
    """
    client = await bucket(ObjectOwnership="ObjectWriter")
    block = {"BlockPublicAcls": True}
    await client("PutPublicAccessBlock", Bucket=NAME, PublicAccessBlockConfiguration=block)
    await client("PutObject", Bucket=NAME, Key="k", Body=b"x")
    everybody = 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'
    for public in ({"ACL": "public-read"}, {"GrantRead": everybody}):
        assert await code_of(client, "PutBucketAcl", **public) == "AccessDenied"
        assert await code_of(client, "PutObjectAcl", Key="k", **public) == "AccessDenied"
        assert await code_of(client, "PutObject", Key="new", **public) == "AccessDenied"
        copied = {"Key": "new", "CopySource": f"{NAME}/k"}
        assert await code_of(client, "CopyObject", **copied, **public) == "AccessDenied"
        assert await code_of(client, "CreateMultipartUpload", Key="k", **public) == "AccessDenied"
    await client("PutObjectAcl", Bucket=NAME, Key="k", GrantRead=f"id={BOB.canonical_id}")
    assert [key for _, key in client.store.objects] == ["k"]

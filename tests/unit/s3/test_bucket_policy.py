"""PutBucketPolicy and its kin."""

import json

import pytest

from objstore.limits import POLICY_BYTES_MAX
from tests.unit.s3.client import ALICE, BOB, ROOT, Client, Failure
from tests.unit.s3.people import NAME, allow, deny, policy_of
from tests.unit.s3.test_delete_object import delete_many

OPEN = policy_of(allow("s3:GetObject", principal="*"))


async def bucket() -> Client:
    client = Client()
    await client("CreateBucket", Bucket=NAME, Caller=ALICE)
    return client


async def put(client: Client, policy: bytes, **more: object) -> int:
    more.setdefault("Caller", ALICE)
    answer = await client("PutBucketPolicy", Bucket=NAME, Policy=policy.decode(), **more)
    return int(answer["Status"])


async def refused(client: Client, policy: bytes, **more: object) -> Failure:
    with pytest.raises(Failure) as failure:
        await put(client, policy, **more)
    return failure.value


async def test_a_policy_is_returned_as_it_was_sent() -> None:
    client = await bucket()
    spaced = b'{ "Statement": [' + json.dumps(allow("s3:GetObject")).encode() + b" ] }\n"
    for policy in (OPEN, spaced):
        assert await put(client, policy) == 204
        got = await client("GetBucketPolicy", Bucket=NAME, Caller=ALICE)
        assert got["Policy"].encode() == policy
        assert got["Headers"]["content-type"] == "application/json"
    assert (await client("DeleteBucketPolicy", Bucket=NAME))["Status"] == 204
    assert (await client("DeleteBucketPolicy", Bucket=NAME))["Status"] == 204
    for operation in ("GetBucketPolicy", "GetBucketPolicyStatus"):
        with pytest.raises(Failure) as failure:
            await client(operation, Bucket=NAME)
        assert (failure.value.status, failure.value.code) == (404, "NoSuchBucketPolicy")


@pytest.mark.parametrize(
    ("policy", "public"),
    [
        (OPEN, True),
        (policy_of(allow("s3:GetObject")), False),
        (policy_of(deny("s3:GetObject")), False),
        (
            policy_of(
                allow(
                    "s3:GetObject",
                    principal="*",
                    Condition={"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}},
                )
            ),
            False,
        ),
    ],
)
async def test_whether_a_policy_is_public(policy: bytes, *, public: bool) -> None:
    client = await bucket()
    await put(client, policy)
    status = await client("GetBucketPolicyStatus", Bucket=NAME)
    assert status["PolicyStatus"] == {"IsPublic": public}


@pytest.mark.parametrize(
    "policy",
    [
        b"",
        b"{}",
        b"[]",
        b'{"Statement": ',
        policy_of(allow("s3:Unheard")),
        policy_of(allow("s3:GetObject") | {"Resource": "arn:aws:s3:::other/*"}),
        policy_of(allow("s3:GetObject", Condition={"StringIs": {"aws:userid": "x"}})),  # N134
        # a principal that is not there, as AWS calls it
        policy_of(allow("s3:GetObject", principal={"CanonicalUser": "f" * 64})),
        policy_of(allow("s3:GetObject", principal={"AWS": "arn:aws:iam:::user/nobody"})),
        policy_of(
            allow("s3:GetObject", principal={"AWS": f"arn:aws:iam::{BOB.account}:user/nobody"})
        ),
        b" " * (POLICY_BYTES_MAX + 1),
    ],
)
async def test_what_is_no_policy(policy: bytes) -> None:
    client = await bucket()
    await put(client, OPEN)
    assert (await refused(client, policy)).code == "MalformedPolicy"
    assert (await client("GetBucketPolicy", Bucket=NAME))["Policy"].encode() == OPEN


@pytest.mark.parametrize(
    "principal",
    [
        BOB.arn,
        BOB.account,
        f"arn:aws:iam::{BOB.account}:root",
        f"arn:aws:iam:::user/{BOB.name}",
    ],
)
async def test_principals_that_are_there(principal: str) -> None:
    client = await bucket()
    await client("PutObject", Bucket=NAME, Key="k", Body=b"x", Caller=ALICE)
    await put(client, policy_of(allow("s3:GetObject", principal={"AWS": principal})))
    assert (await client("GetObject", Bucket=NAME, Key="k", Caller=BOB))["Body"] == b"x"
    await put(client, policy_of(allow("s3:GetObject", principal={"AWS": "111122223333"})))
    with pytest.raises(Failure) as failure:
        await client("GetObject", Bucket=NAME, Key="k", Caller=BOB)
    assert failure.value.code == "AccessDenied"


async def test_no_policy_locks_its_setter_out() -> None:
    """AWS: the root of the account "can perform the GetBucketPolicy, PutBucketPolicy, and
    DeleteBucketPolicy API actions, even if their bucket policy explicitly denies" it.
    """
    client = await bucket()
    closed = policy_of(deny("s3:*"))
    for confirmed in ({}, {"ConfirmRemoveSelfBucketAccess": True}):
        assert await put(client, closed, **confirmed) == 204
        with pytest.raises(Failure) as failure:
            await client("ListObjectsV2", Bucket=NAME, Caller=ALICE)
        assert failure.value.code == "AccessDenied"
        for caller in (ALICE, ROOT):
            got = await client("GetBucketPolicy", Bucket=NAME, Caller=caller)
            assert got["Policy"].encode() == closed
            await client("DeleteBucketPolicy", Bucket=NAME, Caller=caller)
            await put(client, closed, Caller=caller)
        await client("DeleteBucketPolicy", Bucket=NAME, Caller=ALICE)
    header = {"x-amz-confirm-remove-self-bucket-access": "perhaps"}
    assert (await refused(client, closed, Headers=header)).code == "InvalidArgument"


async def test_the_policy_of_another_is_not_one_s_own() -> None:
    """N140. AWS: "if you're using an identity that belongs to the bucket owner's account ...
    returns a 405 Method Not Allowed error" to others whom the policy would allow it.
    """
    client = await bucket()
    assert (await refused(client, OPEN, Caller=BOB)).code == "AccessDenied"
    await put(client, policy_of(allow("s3:*")))
    failure = await refused(client, OPEN, Caller=BOB)
    assert (failure.status, failure.code) == (405, "MethodNotAllowed")
    assert failure.error["ResourceType"] == "BUCKETPOLICY"


async def test_public_policies_that_are_blocked() -> None:
    """N144. AWS: "Setting this option to TRUE causes Amazon S3 to reject calls to PUT bucket
    policy if the specified bucket policy allows public access."
    """
    client = await bucket()
    block = {"BlockPublicPolicy": True}
    await client("PutPublicAccessBlock", Bucket=NAME, PublicAccessBlockConfiguration=block)
    assert (await refused(client, OPEN)).code == "AccessDenied"
    assert await put(client, policy_of(allow("s3:GetObject"))) == 204


async def test_conditions_on_what_a_document_says() -> None:
    """The tags that PutObjectTagging sets are in its body, and are decided once it was read."""
    client = await bucket()
    await client("PutObject", Bucket=NAME, Key="k", Body=b"x", Caller=ALICE)
    good = {"StringEquals": {"s3:RequestObjectTag/class": "open"}}
    await put(client, policy_of(allow("s3:PutObjectTagging", Condition=good)))

    async def tag(value: str, **more: object) -> dict[str, object]:
        tags = {"TagSet": [{"Key": "class", "Value": value}]}
        arguments = {"Bucket": NAME, "Key": "k", "Tagging": tags, "Caller": BOB}
        return await client("PutObjectTagging", **arguments | more)

    assert (await tag("open"))["Status"] == 200
    with pytest.raises(Failure) as failure:
        await tag("secret")
    assert failure.value.code == "AccessDenied"
    got = await client("GetObjectTagging", Bucket=NAME, Key="k", Caller=ALICE)
    assert got["TagSet"] == [{"Key": "class", "Value": "open"}]
    bad = {"StringNotEquals": {"s3:RequestObjectTag/class": "open"}}
    await put(client, policy_of(deny("s3:PutObjectTagging", Condition=bad)))
    assert (await tag("open", Caller=ALICE))["Status"] == 200
    with pytest.raises(Failure) as failure:
        await tag("secret", Caller=ALICE)
    assert failure.value.code == "AccessDenied"


async def test_each_key_of_a_list_is_decided_on_its_own() -> None:
    client = await bucket()
    for key in ("open/a", "open/b", "closed"):
        await client("PutObject", Bucket=NAME, Key=key, Body=b"x", Caller=ALICE)
    some = allow("s3:DeleteObject") | {"Resource": f"arn:aws:s3:::{NAME}/open/*"}
    await put(client, policy_of(some))
    objects: list[dict[str, object]] = [
        {"Key": "open/a"},
        {"Key": "closed"},
        {"Key": "open/b", "VersionId": "null"},
        {"Key": "open/none"},
        {"Key": "open/b", "ETag": '"x"'},
    ]
    answer = await delete_many(client, objects, BOB, NAME)
    assert [one["Key"] for one in answer["Deleted"]] == ["open/a", "open/none"]
    errors = [(one["Key"], one["Code"]) for one in answer["Errors"]]
    assert errors == [(key, "AccessDenied") for key in ("closed", "open/b", "open/b")]
    left = await client("ListObjectsV2", Bucket=NAME, Caller=ALICE)
    assert [one["Key"] for one in left["Contents"]] == ["closed", "open/b"]


async def test_a_copy_takes_no_tags_along_that_its_caller_may_not_read() -> None:
    """AWS: "To copy an object with object tags, you must have the s3:GetObjectTagging permission
    for the source object and the s3:PutObjectTagging permission" for the other.
    """
    client = await bucket()
    arguments = {"Bucket": NAME, "Body": b"x", "Caller": ALICE}
    await client("PutObject", Key="plain", **arguments)
    await client("PutObject", Key="tagged", Tagging="a=b", **arguments)
    copies = ["s3:GetObject", "s3:PutObject"]
    tags = ["s3:GetObjectTagging", "s3:PutObjectTagging"]

    async def copy(source: str, **more: object) -> object:
        destination = {"Bucket": NAME, "Key": "copy", "CopySource": f"{NAME}/{source}"}
        return await client("CopyObject", **destination, **more, Caller=BOB)

    for missing in tags:
        await put(client, policy_of(allow(*copies, *(one for one in tags if one != missing))))
        await copy("plain")
        with pytest.raises(Failure) as failure:
            await copy("tagged")
        assert failure.value.code == "AccessDenied"
    await put(client, policy_of(allow(*copies)))
    await copy("tagged", TaggingDirective="REPLACE")
    await put(client, policy_of(allow(*copies, *tags)))
    await copy("tagged")


async def test_what_is_said_beside_an_object_is_for_those_who_may_read_it() -> None:
    client = await bucket()
    await client("PutObject", Bucket=NAME, Key="k", Body=b"x", Tagging="a=b", Caller=ALICE)
    await put(client, policy_of(allow("s3:GetObject")))
    assert "TagCount" not in await client("GetObject", Bucket=NAME, Key="k", Caller=BOB)
    assert (await client("GetObject", Bucket=NAME, Key="k", Caller=ALICE))["TagCount"] == 1
    await put(client, policy_of(allow("s3:GetObject", "s3:GetObjectTagging")))
    assert (await client("GetObject", Bucket=NAME, Key="k", Caller=BOB))["TagCount"] == 1

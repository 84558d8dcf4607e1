"""N132, N144: what access control lists allow, for every operation there is."""

from typing import Any

import pytest

from objstore.access.acl import Group, Permission
from objstore.iam.identities import Identity
from objstore.names import BucketName, ObjectKey, UploadId
from objstore.s3.operations import OPERATIONS
from objstore.wire.config_documents.public_access import PublicAccessBlock
from objstore.wire.route import Operation, Shape
from tests.unit.s3.client import ALICE, BOB, ROOT, Client, Failure
from tests.unit.s3.people import (
    NAME,
    PREFERRED,
    WRITER,
    acl_of,
    allow,
    ask,
    deny,
    policy_of,
    put_version,
    store_of,
)
from tests.unit.s3.test_authorize_policy import BY_OPERATION, ON_BUCKETS, PER_KEY, shape_id

# AWS: "The following table shows how each ACL permission maps to the corresponding access policy
# permissions." Nothing else is ever granted by an ACL.
ON_BUCKET: dict[Permission, set[str]] = {
    Permission.READ: {
        "HeadBucket",
        "ListObjects",
        "ListObjectsV2",
        "ListObjectVersions",
        "ListMultipartUploads",
        "CreateSession",
    },
    Permission.WRITE: {
        "PutObject",
        "PostObject",
        "CopyObject",
        "RenameObject",
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        "CompleteMultipartUpload",
        "DeleteObject",
    },
    Permission.READ_ACP: {"GetBucketAcl"},
    Permission.WRITE_ACP: {"PutBucketAcl"},
}
ON_OBJECT: dict[Permission, set[str]] = {
    Permission.READ: {"GetObject", "HeadObject", "SelectObjectContent", "GetObjectTorrent"},
    Permission.WRITE: set(),
    Permission.READ_ACP: {"GetObjectAcl"},
    Permission.WRITE_ACP: {"PutObjectAcl"},
}
PLAIN = [permission for permission in Permission if permission is not Permission.FULL_CONTROL]
GRANTEES: list[tuple[Identity | Group, list[Identity | None]]] = [
    (BOB, [BOB]),
    (Group.AUTHENTICATED_USERS, [BOB]),
    (Group.ALL_USERS, [BOB, None]),
]


def granted(permission: Permission, table: dict[Permission, set[str]]) -> set[str]:
    if permission is Permission.FULL_CONTROL:
        return set[str]().union(*table.values())
    return table[permission]


def test_the_tables_are_total() -> None:
    names = {operation.value for operation in Operation}
    assert set(ON_BUCKET) == set(ON_OBJECT) == set(PLAIN)
    assert granted(Permission.FULL_CONTROL, ON_BUCKET) < names
    assert granted(Permission.FULL_CONTROL, ON_OBJECT) < names


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize(("grantee", "callers"), GRANTEES)
async def test_a_bucket_s_acl(
    permission: Permission, grantee: Identity | Group, callers: list[Identity | None]
) -> None:
    acl = acl_of(ALICE, (permission, grantee))
    # What a copy reads is the copier's own here.
    acting = await store_of(ownership=WRITER, bucket_acl=acl)
    disabled = await store_of(bucket_acl=acl)
    put_version(acting, "source", BOB.canonical_id, acl_of(BOB, (Permission.READ, grantee)))
    for shape in ON_BUCKETS:
        if shape.operation is PER_KEY:
            continue
        allowed = shape.operation.value in granted(permission, ON_BUCKET)
        for caller in (BOB, None):
            expected = "" if allowed and caller in callers else "AccessDenied"
            assert await ask(acting, shape, caller) == expected, (shape.operation, caller)
            assert await ask(disabled, shape, caller) == "AccessDenied"


@pytest.mark.parametrize("permission", Permission)
@pytest.mark.parametrize(("grantee", "callers"), GRANTEES)
@pytest.mark.parametrize("owner", [ALICE, ROOT])
async def test_an_object_s_acl(
    permission: Permission,
    grantee: Identity | Group,
    callers: list[Identity | None],
    owner: Identity,
) -> None:
    """Whoever's object it is."""
    acl = acl_of(owner, (permission, grantee))
    acting = await store_of(ownership=PREFERRED, object_acl=acl, object_owner=owner.canonical_id)
    disabled = await store_of(object_acl=acl, object_owner=owner.canonical_id)
    for shape in ON_BUCKETS:
        if shape.operation is PER_KEY or shape.copies:
            continue
        allowed = shape.operation.value in granted(permission, ON_OBJECT)
        for caller in (BOB, None):
            expected = "" if allowed and caller in callers else "AccessDenied"
            assert await ask(acting, shape, caller) == expected, (shape.operation, caller)
            assert await ask(disabled, shape, caller) == "AccessDenied"


async def test_public_grants_that_are_ignored() -> None:
    """N144. AWS: "Setting this option to TRUE causes Amazon S3 to ignore all public ACLs"."""
    acl = acl_of(ALICE, (Permission.READ, Group.ALL_USERS))
    block = PublicAccessBlock(ignore_acls=True)
    store = await store_of(ownership=WRITER, bucket_acl=acl, object_acl=acl, block=block)
    for operation in ("ListObjects", "GetObject"):
        for caller in (BOB, None):
            assert await ask(store, BY_OPERATION[operation], caller) == "AccessDenied"
    own = acl_of(ALICE, (Permission.READ, BOB))
    store = await store_of(ownership=WRITER, bucket_acl=own, object_acl=own, block=block)
    for operation in ("ListObjects", "GetObject"):
        assert await ask(store, BY_OPERATION[operation], BOB) == ""


async def test_a_public_policy_that_is_restricted() -> None:
    """N144."""
    block = PublicAccessBlock(restrict_buckets=True)
    shape = BY_OPERATION["GetObject"]
    public, own = allow("s3:GetObject", principal="*"), allow("s3:GetObject")
    store = await store_of(policy=policy_of(public, own), block=block)
    assert await ask(store, shape, None) == "AccessDenied"
    assert await ask(store, shape, BOB) == "AccessDenied"
    assert await ask(store, shape, ALICE) == ""
    store = await store_of(policy=policy_of(own), block=block)
    assert await ask(store, shape, BOB) == ""


async def test_a_deny_goes_before_a_grant() -> None:
    acl = acl_of(ALICE, (Permission.FULL_CONTROL, Group.ALL_USERS))
    store = await store_of(
        ownership=WRITER, bucket_acl=acl, object_acl=acl, policy=policy_of(deny("s3:*"))
    )
    for operation in granted(Permission.FULL_CONTROL, ON_BUCKET) | {"GetObject"}:
        for caller in (BOB, None):
            assert await ask(store, BY_OPERATION[operation], caller) == "AccessDenied"


OF_OTHERS = ["GetObject", "HeadObject", "GetObjectAcl", "GetObjectTagging", "PutObjectAcl"]


@pytest.mark.parametrize("operation", OF_OTHERS)
async def test_objects_of_another_are_the_other_s(operation: str) -> None:
    """AWS: "A bucket policy applies only to objects owned by the bucket owner", and of an object
    that another wrote the bucket's owner sees no more than its ACL says.
    """
    shape = BY_OPERATION[operation]
    everything = policy_of(allow("s3:*", principal="*"))
    for policy in (None, everything):
        store = await store_of(ownership=WRITER, object_owner=BOB.canonical_id, policy=policy)
        assert await ask(store, shape, BOB) == ""
        assert await ask(store, shape, ROOT) == ""
        assert await ask(store, shape, ALICE) == "AccessDenied"
        assert await ask(store, shape, None) == "AccessDenied"
        assert await ask(store, BY_OPERATION["DeleteObject"], ALICE) == ""
    enforced = await store_of(object_owner=BOB.canonical_id)
    assert await ask(enforced, shape, ALICE) == ""
    assert await ask(enforced, shape, BOB) == "AccessDenied"


async def test_whoever_may_write_by_an_acl_says_who_may_use_it() -> None:
    """The writer owns what it writes. A Deny still counts, and tags need a permission."""
    acl = acl_of(ALICE, (Permission.WRITE, BOB))
    put, headers = BY_OPERATION["PutObject"], {"x-amz-acl": "public-read"}
    store = await store_of(ownership=WRITER, bucket_acl=acl)
    assert await ask(store, put, BOB, headers) == ""
    assert await ask(store, put, BOB, {"x-amz-tagging": "a=b"}) == "AccessDenied"
    denied = policy_of(deny("s3:PutObjectAcl"))
    store = await store_of(ownership=WRITER, bucket_acl=acl, policy=denied)
    assert await ask(store, put, BOB, headers) == "AccessDenied"
    assert await ask(store, put, BOB) == ""


@pytest.mark.parametrize("operation", ["ListParts", "AbortMultipartUpload"])
async def test_an_upload_is_its_initiator_s_too(operation: str) -> None:
    """AWS: "By default, the bucket owner and the initiator of the multipart upload are allowed"."""
    client, shape = Client(), BY_OPERATION[operation]
    await client("CreateBucket", Bucket=NAME, Caller=ALICE)
    policy = policy_of(allow("s3:PutObject")).decode()
    await client("PutBucketPolicy", Bucket=NAME, Policy=policy, Caller=ALICE)
    begun = await client("CreateMultipartUpload", Bucket=NAME, Key="k", Caller=BOB)
    upload = client.store.uploads[UploadId(begun["UploadId"])].upload
    assert (upload.owner, upload.initiator) == (ALICE.canonical_id, BOB.canonical_id)
    query = f"uploadId={begun['UploadId']}"
    for caller, expected in ((BOB, ""), (ALICE, ""), (ROOT, ""), (None, "AccessDenied")):
        assert await ask(client.store, shape, caller, query=query) == expected
    assert await ask(client.store, shape, BOB, query="uploadId=other") == "AccessDenied"
    await client(
        "PutBucketPolicy",
        Bucket=NAME,
        Policy=policy_of(deny("s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")).decode(),
        Caller=ALICE,
    )
    assert await ask(client.store, shape, BOB, query=query) == "AccessDenied"


READS = ["GetObject", "HeadObject", "GetObjectAcl", "GetObjectTagging", "GetObjectAttributes"]


@pytest.mark.parametrize("operation", READS)
async def test_what_is_missing_is_told_to_those_who_may_list(operation: str) -> None:
    """N131. AWS: "If you have the s3:ListBucket permission on the bucket, Amazon S3 returns an
    HTTP status code 404 (Not Found) error. If you don't have the s3:ListBucket permission, Amazon
    S3 returns an HTTP status code 403 (Access Denied) error."
    """
    client = Client()
    await client("CreateBucket", Bucket=NAME, Caller=ALICE)
    arguments: dict[str, Any] = {"Bucket": NAME, "Key": "none"}
    if operation == "GetObjectAttributes":
        arguments["ObjectAttributes"] = ["ETag"]
    reads = allow(
        "s3:GetObject", "s3:GetObjectAcl", "s3:GetObjectTagging", "s3:GetObjectAttributes"
    )
    for policy, expected in (
        (policy_of(reads), "AccessDenied"),
        (policy_of(reads, allow("s3:ListBucket")), "NoSuchKey"),
        (policy_of(reads, allow("s3:ListBucket"), deny("s3:ListBucket")), "AccessDenied"),
    ):
        await client("PutBucketPolicy", Bucket=NAME, Policy=policy.decode(), Caller=ALICE)
        with pytest.raises(Failure) as failure:
            await client(operation, **arguments, Caller=BOB)
        assert failure.value.code == expected
        assert failure.value.error.get("Key") == ("none" if expected == "NoSuchKey" else None)


async def test_what_is_missing_where_acls_act() -> None:
    """A list that is public says what is not there; what is private stays unknown."""
    acl = acl_of(ALICE, (Permission.READ, Group.ALL_USERS))
    listed = await store_of(ownership=WRITER, bucket_acl=acl)
    closed = await store_of(ownership=WRITER)
    shape = BY_OPERATION["GetObject"]
    assert await ask(listed, shape, None, key="none") == "NoSuchKey"
    assert await ask(listed, shape, None) == "AccessDenied"
    assert await ask(closed, shape, None, key="none") == "AccessDenied"


async def test_the_object_that_was_decided_about_is_the_one_that_is_read() -> None:
    """What replaces a public object meanwhile is not public because it was."""
    acl = acl_of(ALICE, (Permission.READ, Group.ALL_USERS))
    store = await store_of(ownership=WRITER, object_acl=acl)
    client = Client(real_store=store)
    reply = await client.raw("GET", f"/{NAME}/k", caller=None)
    assert (reply.status, store.opened) == (200, 1)
    put_version(store, "k", ALICE.canonical_id)
    assert (BucketName(NAME), ObjectKey("k")) in store.objects
    assert await ask(store, BY_OPERATION["GetObject"], None) == "AccessDenied"


@pytest.mark.parametrize("shape", ON_BUCKETS, ids=shape_id)
def test_only_what_lists_keys_decides_for_itself(shape: Shape) -> None:
    assert OPERATIONS[shape.operation].per_key == (shape.operation is PER_KEY)

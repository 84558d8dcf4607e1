"""Owners in records and in documents."""

import pytest

from objstore.iam.identities import ANONYMOUS_ID, derived_canonical_id
from objstore.s3.owners import owner_of
from objstore.wire.documents import Owner
from tests.unit.s3.client import ALICE, BOB, IDENTITIES, ROOT, Client


@pytest.mark.parametrize(
    ("stored", "owner"),
    [
        (ALICE.canonical_id, Owner(ALICE.canonical_id, "Alice")),
        (ALICE.access_key, Owner(ALICE.canonical_id, "Alice")),  # as of old
        (BOB.access_key, Owner(derived_canonical_id(BOB.access_key), "")),
        ("", Owner(ROOT.canonical_id, "Root")),
        ("gone", Owner(derived_canonical_id("gone"), "")),  # as documents called it then
        ("f" * 64, Owner("f" * 64, "")),
        (ANONYMOUS_ID, Owner(ANONYMOUS_ID, "")),
    ],
)
def test_whom_a_stored_owner_names(stored: str, owner: Owner) -> None:
    assert owner_of(stored, IDENTITIES) == owner


async def test_owners_are_stored_as_canonical_ids() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket", Caller=ALICE)
    await client("PutObject", Bucket="bucket", Key="k", Body=b"x", Caller=ALICE)
    await client("CopyObject", Bucket="bucket", Key="l", CopySource="bucket/k", Caller=ALICE)
    await client("CreateMultipartUpload", Bucket="bucket", Key="m", Caller=ALICE)
    store = client.store
    owners = {bucket.owner for bucket in store.buckets.values()}
    owners |= {held.version.owner for held in store.objects.values()}
    owners |= {held.upload.owner for held in store.uploads.values()}
    assert owners == {ALICE.canonical_id}


async def test_documents_name_the_owner_and_not_the_caller() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket", Caller=ALICE)
    await client("PutObject", Bucket="bucket", Key="k", Body=b"x")
    alice = {"ID": ALICE.canonical_id, "DisplayName": "Alice"}
    acl = await client("GetBucketAcl", Bucket="bucket")
    assert (acl["Owner"], acl["Grants"][0]["Grantee"]["ID"]) == (alice, ALICE.canonical_id)
    assert (await client("GetObjectAcl", Bucket="bucket", Key="k"))["Owner"] == alice
    page = await client("ListObjects", Bucket="bucket")
    assert page["Contents"][0]["Owner"] == alice


async def test_without_a_display_name_none_is_shown() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket", Caller=BOB)
    acl = await client("GetBucketAcl", Bucket="bucket", Caller=BOB)
    assert acl["Owner"] == {"ID": BOB.canonical_id}
    assert "DisplayName" not in acl["Grants"][0]["Grantee"]

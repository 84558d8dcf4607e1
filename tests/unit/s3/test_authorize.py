"""Who may do what with whose bucket, and which owner a request expects."""

from collections.abc import Mapping

import pytest

from objstore.errors import RequestRefused
from objstore.iam.identities import Identity
from objstore.names import BucketName
from objstore.s3.authorize import authorize
from objstore.s3.call import Call
from objstore.s3.operations import OPERATIONS
from objstore.wire.route import EXPECTED_OWNER, EXPECTED_SOURCE_OWNER, SHAPES, Level, Shape
from tests.unit.s3.client import (
    ALICE,
    BOB,
    IDENTITIES,
    ROOT,
    BytesBody,
    Client,
    make_request,
)
from tests.unit.s3.fake_store import NOW_MS, FakeStore

STRANGER = "c" * 64


def shape_id(shape: Shape) -> str:
    return shape.operation.value


async def store() -> FakeStore:
    held = FakeStore()
    for name, owner in (
        ("alices", ALICE.canonical_id),
        ("bobs", BOB.canonical_id),
        ("old", ALICE.access_key),
        ("nobodys", ""),
        ("strangers", STRANGER),
    ):
        await held.create_bucket(BucketName(name), owner=owner, region="")
    return held


async def verdict(
    shape: Shape,
    caller: Identity | None,
    bucket: str,
    headers: Mapping[str, str] | None = None,
    source: str = "",
) -> str:
    """Return "" for what is allowed, else the code of the refusal."""
    path = {Level.SERVICE: "/", Level.BUCKET: f"/{bucket}", Level.OBJECT: f"/{bucket}/k"}
    fields = dict(headers or {})
    if shape.copies:
        fields["x-amz-copy-source"] = f"{source or bucket}/k"
    call = Call(
        store=await store(),
        request=make_request(shape.method, path[shape.level], fields),
        body=BytesBody(b"", 0),
        caller=caller,
        identities=IDENTITIES,
        region="",
        digests=None,
        now_ms=NOW_MS,
    )
    try:
        await authorize(call, OPERATIONS[shape.operation])
    except RequestRefused as refusal:
        return refusal.reason
    return ""


ON_BUCKETS = [
    shape
    for shape in SHAPES
    if shape.level is not Level.SERVICE and shape.operation.value != "CreateBucket"
]
COPIES = [shape for shape in SHAPES if shape.copies]
OTHERS = [shape for shape in SHAPES if shape not in ON_BUCKETS]


@pytest.mark.parametrize("shape", ON_BUCKETS, ids=shape_id)
async def test_a_bucket_is_its_owner_s_and_root_s(shape: Shape) -> None:
    """N132: every operation there is, served or not, by a user on another's bucket."""
    for caller in (ALICE, ROOT):
        assert await verdict(shape, caller, "alices") == ""
        assert await verdict(shape, caller, "old") == ""  # owned by an access key, as of old
    assert await verdict(shape, ROOT, "strangers") == ""
    for bucket in ("alices", "old", "nobodys", "strangers"):
        assert await verdict(shape, BOB, bucket) == "AccessDenied"
        assert await verdict(shape, None, bucket) == "AccessDenied"
    assert await verdict(shape, BOB, "missing") == "NoSuchBucket"


@pytest.mark.parametrize("shape", COPIES, ids=shape_id)
async def test_a_copy_reads_only_what_its_caller_may_read(shape: Shape) -> None:
    """N138."""
    assert await verdict(shape, ALICE, "alices", source="old") == ""
    assert await verdict(shape, ALICE, "alices", source="bobs") == "AccessDenied"
    assert await verdict(shape, ALICE, "bobs", source="alices") == "AccessDenied"
    assert await verdict(shape, ROOT, "alices", source="bobs") == ""


@pytest.mark.parametrize("shape", OTHERS, ids=shape_id)
async def test_what_concerns_no_bucket_that_is_there(shape: Shape) -> None:
    for caller in (ALICE, ROOT):
        assert await verdict(shape, caller, "missing") == ""
    assert await verdict(shape, None, "missing") == "AccessDenied"


@pytest.mark.parametrize("shape", ON_BUCKETS, ids=shape_id)
async def test_an_expected_owner_is_the_owner(shape: Shape) -> None:
    """AWS: "If the account ID that you provide does not match the actual owner of the bucket, the
    request fails with the HTTP status code 403 Forbidden (access denied)."
    """
    for bucket, owner in (("alices", ALICE), ("old", ALICE), ("nobodys", ROOT)):
        for right in (owner.account, owner.canonical_id):
            assert await verdict(shape, ROOT, bucket, {EXPECTED_OWNER: right}) == ""
        for wrong in (BOB.account, BOB.canonical_id, "111122223333", "", owner.access_key):
            expecting = {EXPECTED_OWNER: wrong}
            assert await verdict(shape, ROOT, bucket, expecting) == "AccessDenied"
    assert await verdict(shape, ROOT, "strangers", {EXPECTED_OWNER: STRANGER}) == ""
    assert await verdict(shape, ROOT, "strangers", {EXPECTED_OWNER: "1"}) == "AccessDenied"
    assert await verdict(shape, ALICE, "alices", {EXPECTED_OWNER: BOB.account}) == "AccessDenied"
    assert await verdict(shape, BOB, "alices", {EXPECTED_OWNER: ALICE.account}) == "AccessDenied"


@pytest.mark.parametrize("shape", COPIES, ids=shape_id)
async def test_an_expected_owner_of_the_source(shape: Shape) -> None:
    for owner, expected in ((BOB, ""), (ALICE, "AccessDenied")):
        headers = {EXPECTED_SOURCE_OWNER: owner.account}
        assert await verdict(shape, ROOT, "alices", headers, "bobs") == expected


async def test_expectations_in_a_link_count_too() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    right, wrong = ROOT.account, ALICE.account
    await client.raw("GET", f"/bucket?X-Amz-Expected-Bucket-Owner={right}")
    with pytest.raises(RequestRefused) as refusal:
        await client.raw("GET", f"/bucket?X-Amz-Expected-Bucket-Owner={wrong}")
    assert refusal.value.reason == "AccessDenied"

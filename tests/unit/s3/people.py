"""Buckets of Alice's that Bob and nobody ask for: policies and ACLs for tests of authorization."""

import json
from collections.abc import Mapping
from typing import Any

from objstore.access.acl import Acl, Grant, Group, Permission, encode_acl, private
from objstore.errors import RequestRefused
from objstore.iam.identities import Identity
from objstore.names import CURRENT, NO_STAMP, BucketName, Kind, ObjectKey, VersionId
from objstore.ondisk.record import Bucket, Version
from objstore.s3.authorize import authorize
from objstore.s3.bucket_access import ACL, BLOCK, OWNERSHIP, POLICY
from objstore.s3.call import Call
from objstore.s3.operations import OPERATIONS
from objstore.wire.config_documents.ownership_controls import (
    OwnershipControls,
    write_ownership_controls,
)
from objstore.wire.config_documents.public_access import (
    PublicAccessBlock,
    write_public_access_block,
)
from objstore.wire.route import Level, Shape
from tests.unit.s3.client import ALICE, BOB, IDENTITIES, BytesBody, make_request
from tests.unit.s3.fake_store import NOW_MS, FakeObject, FakeStore

NAME = "alices"
WRITER = "ObjectWriter"
PREFERRED = "BucketOwnerPreferred"


class CountingStore(FakeStore):
    """Counts how often a version is read."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = 0

    async def open_object(
        self, bucket: BucketName, key: ObjectKey, version_id: VersionId = CURRENT
    ) -> FakeObject:
        self.opened += 1
        found = await super().open_object(bucket, key, version_id)
        assert isinstance(found, FakeObject)
        return found


def statement(
    effect: str, actions: list[str], principal: object = None, **more: Any
) -> dict[str, Any]:
    """Return a statement about Bob, on the bucket and on all of its objects."""
    return {
        "Effect": effect,
        "Principal": {"AWS": BOB.arn} if principal is None else principal,
        "Action": actions,
        "Resource": [f"arn:aws:s3:::{NAME}", f"arn:aws:s3:::{NAME}/*"],
        **more,
    }


def allow(*actions: str, principal: object = None, **more: Any) -> dict[str, Any]:
    return statement("Allow", list(actions), principal, **more)


def deny(*actions: str, principal: object = "*", **more: Any) -> dict[str, Any]:
    return statement("Deny", list(actions), principal, **more)


def policy_of(*statements: dict[str, Any]) -> bytes:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)}).encode()


def acl_of(owner: Identity, *grants: tuple[Permission, Identity | Group]) -> bytes:
    """Return an ACL, as it is stored, that gives more than the owner's full control."""
    given = tuple(
        Grant(permission, group=grantee)
        if isinstance(grantee, Group)
        else Grant(permission, grantee.canonical_id)
        for permission, grantee in grants
    )
    acl = Acl(private(owner.canonical_id).grants + given)
    return encode_acl(acl, owner=owner.canonical_id)


async def store_of(
    *,
    policy: bytes | None = None,
    ownership: str = "",
    bucket_acl: bytes = b"",
    block: PublicAccessBlock | None = None,
    object_owner: str = ALICE.canonical_id,
    object_acl: bytes = b"",
    tags: Mapping[str, str] | None = None,
) -> CountingStore:
    """Return a store with Alice's bucket and an object `k` in it."""
    store = CountingStore()
    settings = {
        POLICY: policy,
        OWNERSHIP: write_ownership_controls(OwnershipControls(ownership)) if ownership else None,
        ACL: bucket_acl or None,
        BLOCK: None if block is None else write_public_access_block(block),
    }
    await store.create_bucket(
        BucketName(NAME),
        owner=ALICE.canonical_id,
        region="",
        settings={name: value for name, value in settings.items() if value is not None},
    )
    for key in ("k", "source"):
        put_version(store, key, object_owner, object_acl, tags)
    return store


def put_version(
    store: FakeStore, key: str, owner: str, acl: bytes = b"", tags: Mapping[str, str] | None = None
) -> None:
    version = Version(
        bucket=BucketName(NAME),
        key=ObjectKey(key),
        stamp=NO_STAMP,
        revision=0,
        kind=Kind.OBJECT,
        null_version=True,
        k=1,
        m=0,
        slots=(0,),
        stripe_bytes=1 << 20,
        size=0,
        etag="e",
        modified_ms=NOW_MS,
        owner=owner,
        acl=acl,
        tags=dict(tags or {}),
    )
    store.objects[version.bucket, version.key] = FakeObject(version, b"")


async def ask(
    store: FakeStore,
    shape: Shape,
    caller: Identity | None,
    headers: Mapping[str, str] | None = None,
    *,
    key: str = "k",
    query: str = "",
    bucket: str = NAME,
) -> str:
    """Return "" for what is allowed, else the code of the refusal."""
    path = {Level.SERVICE: "/", Level.BUCKET: f"/{bucket}", Level.OBJECT: f"/{bucket}/{key}"}
    fields = dict(headers or {})
    if shape.copies:
        fields.setdefault("x-amz-copy-source", f"{bucket}/source")
    if shape.selector == "uploadId" and "uploadId" not in query:
        query = "&".join(filter(None, ["uploadId=none", query]))
    target = path[shape.level] + (f"?{query}" if query else "")
    call = Call(
        store=store,
        request=make_request(shape.method, target, fields),
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


def bucket_in(store: FakeStore) -> Bucket:
    return store.buckets[BucketName(NAME)]

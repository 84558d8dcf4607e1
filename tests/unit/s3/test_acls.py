"""ACLs set and shown: canned, by headers and by documents; whose what is written is."""

from typing import Any

import pytest

from objstore.limits import ACL_GRANTS_MAX
from objstore.names import BucketName, ObjectKey, UploadId
from tests.unit.s3.client import ALICE, BOB, ROOT, Client, Failure
from tests.unit.s3.people import NAME, PREFERRED, WRITER, allow, policy_of

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
SIGNED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOGS = "http://acs.amazonaws.com/groups/s3/LogDelivery"
ALICE_SHOWN = {"ID": ALICE.canonical_id, "DisplayName": "Alice"}
ENFORCED = "BucketOwnerEnforced"


async def bucket(ownership: str = WRITER) -> Client:
    """Return a client of Alice's bucket, in which everybody may put objects."""
    client = Client()
    await client("CreateBucket", Bucket=NAME, ObjectOwnership=ownership, Caller=ALICE)
    await client("PutObject", Bucket=NAME, Key="k", Body=b"x", Caller=ALICE)
    policy = policy_of(allow("s3:PutObject", "s3:PutObjectAcl", principal="*"))
    await client("PutBucketPolicy", Bucket=NAME, Policy=policy.decode(), Caller=ALICE)
    return client


def grants_in(answer: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (grant["Grantee"].get("ID") or grant["Grantee"]["URI"], grant["Permission"])
        for grant in answer["Grants"]
    ]


async def bucket_grants(client: Client) -> list[tuple[str, str]]:
    return grants_in(await client("GetBucketAcl", Bucket=NAME, Caller=ALICE))


async def object_grants(client: Client, key: str = "k") -> list[tuple[str, str]]:
    return grants_in(await client("GetObjectAcl", Bucket=NAME, Key=key))


async def refusal_of(client: Client, operation: str, **arguments: Any) -> Failure:
    with pytest.raises(Failure) as failure:
        await client(operation, Bucket=NAME, Caller=ALICE, **arguments)
    return failure.value


OWN = (ALICE.canonical_id, "FULL_CONTROL")
CANNED = {
    "private": [],
    "public-read": [(ALL_USERS, "READ")],
    "public-read-write": [(ALL_USERS, "READ"), (ALL_USERS, "WRITE")],
    "authenticated-read": [(SIGNED, "READ")],
    "log-delivery-write": [(LOGS, "WRITE"), (LOGS, "READ_ACP")],
}


@pytest.mark.parametrize("name", CANNED)
async def test_canned_acls(name: str) -> None:
    client = await bucket()
    await client("PutBucketAcl", Bucket=NAME, ACL=name, Caller=ALICE)
    await client("PutObjectAcl", Bucket=NAME, Key="k", ACL=name, Caller=ALICE)
    await client("PutObject", Bucket=NAME, Key="new", Body=b"x", ACL=name, Caller=ALICE)
    copied = {"Bucket": NAME, "Key": "copy", "CopySource": f"{NAME}/k"}
    await client("CopyObject", **copied, ACL=name, Caller=ALICE)
    expected = [OWN, *CANNED[name]]
    assert await bucket_grants(client) == expected
    for key in ("k", "new", "copy"):
        assert await object_grants(client, key) == expected
    other = Client()
    await other("CreateBucket", Bucket=NAME, ACL=name, ObjectOwnership=WRITER, Caller=ALICE)
    assert await bucket_grants(other) == expected


async def test_a_copy_does_not_take_the_acl_along() -> None:
    """AWS: "When copying an object, [...] the default ACL is private", whatever the source's is."""
    client = await bucket()
    await client("PutObjectAcl", Bucket=NAME, Key="k", ACL="public-read", Caller=ALICE)
    await client("CopyObject", Bucket=NAME, Key="copy", CopySource=f"{NAME}/k", Caller=ALICE)
    assert await object_grants(client, "copy") == [OWN]


HEADERS = {
    "GrantFullControl": "FULL_CONTROL",
    "GrantRead": "READ",
    "GrantReadACP": "READ_ACP",
    "GrantWrite": "WRITE",
    "GrantWriteACP": "WRITE_ACP",
}


@pytest.mark.parametrize("header", HEADERS)
async def test_grants_in_headers(header: str) -> None:
    client = await bucket()
    value = f'id="{BOB.canonical_id}", emailAddress="{BOB.email}", uri="{ALL_USERS}"'
    expected = [
        (grantee, HEADERS[header]) for grantee in (BOB.canonical_id, BOB.canonical_id, ALL_USERS)
    ]
    await client("PutBucketAcl", Bucket=NAME, Caller=ALICE, **{header: value})
    await client("PutObjectAcl", Bucket=NAME, Key="k", Caller=ALICE, **{header: value})
    assert await bucket_grants(client) == expected
    assert await object_grants(client) == expected
    if header != "GrantWrite":  # AWS's model has none for a new object
        put = {"Bucket": NAME, "Key": "new", "Body": b"x", "Caller": ALICE}
        await client("PutObject", **put, **{header: value})
        assert await object_grants(client, "new") == expected


def document(*grants: tuple[dict[str, str], str], owner: str = ALICE.canonical_id) -> Any:
    return {
        "Owner": {"ID": owner},
        "Grants": [
            {"Grantee": grantee, "Permission": permission} for grantee, permission in grants
        ],
    }


async def test_grants_in_a_document() -> None:
    client = await bucket()
    policy = document(
        ({"Type": "CanonicalUser", "ID": BOB.canonical_id}, "READ"),
        ({"Type": "AmazonCustomerByEmail", "EmailAddress": "BOB@example.com"}, "WRITE_ACP"),
        ({"Type": "Group", "URI": SIGNED}, "READ_ACP"),
    )
    expected = [
        (BOB.canonical_id, "READ"), (BOB.canonical_id, "WRITE_ACP"), (SIGNED, "READ_ACP")
    ]  # fmt: skip
    for operation, arguments, grants in (
        ("PutBucketAcl", {}, bucket_grants),
        ("PutObjectAcl", {"Key": "k"}, object_grants),
    ):
        await client(operation, Bucket=NAME, AccessControlPolicy=policy, Caller=ALICE, **arguments)
        assert await grants(client) == expected
        await client(
            operation, Bucket=NAME, AccessControlPolicy=document(), Caller=ALICE, **arguments
        )
        assert await grants(client) == []


async def test_what_is_shown_may_be_sent_back() -> None:
    client = await bucket()
    for acl in ("public-read", "aws-exec-read", "bucket-owner-read"):
        await client("PutObjectAcl", Bucket=NAME, Key="k", ACL=acl, Caller=ALICE)
        shown = await client("GetObjectAcl", Bucket=NAME, Key="k", Caller=ALICE)
        again = {"Owner": shown["Owner"], "Grants": shown["Grants"]}
        arguments = {"Bucket": NAME, "Key": "k", "AccessControlPolicy": again}
        await client("PutObjectAcl", **arguments, Caller=ALICE)
        once_more = await client("GetObjectAcl", Bucket=NAME, Key="k", Caller=ALICE)
        assert once_more["Grants"] == shown["Grants"]


NOBODY = {"Type": "CanonicalUser", "ID": "nobody"}


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({}, "MissingSecurityHeader"),
        ({"ACL": "open"}, "InvalidArgument"),
        ({"ACL": "private", "GrantRead": f"id={BOB.canonical_id}"}, "InvalidRequest"),
        ({"ACL": "private", "AccessControlPolicy": document()}, "UnexpectedContent"),
        (
            {"GrantRead": f"id={BOB.canonical_id}", "AccessControlPolicy": document()},
            "UnexpectedContent",
        ),
        ({"GrantRead": "nobody"}, "InvalidArgument"),
        ({"GrantRead": "id=nobody"}, "InvalidArgument"),
        ({"GrantRead": "uri=http://nobody"}, "InvalidArgument"),
        ({"GrantRead": "emailAddress=nobody@example.com"}, "UnresolvableGrantByEmailAddress"),
        ({"AccessControlPolicy": document((NOBODY, "READ"))}, "InvalidArgument"),
        (
            {
                "AccessControlPolicy": document(
                    ({"Type": "AmazonCustomerByEmail", "EmailAddress": "nobody@here"}, "READ")
                )
            },
            "UnresolvableGrantByEmailAddress",
        ),
        ({"AccessControlPolicy": document((NOBODY, "OWN"))}, "MalformedACLError"),
        (
            {
                "AccessControlPolicy": document(
                    *[({"Type": "Group", "URI": SIGNED}, "READ")] * (ACL_GRANTS_MAX + 1)
                )
            },
            "MalformedACLError",
        ),
        # an ACL gives nothing away
        ({"AccessControlPolicy": document(owner=BOB.canonical_id)}, "AccessDenied"),
    ],
)
async def test_refusals_change_nothing(arguments: dict[str, Any], code: str) -> None:
    client = await bucket()
    for operation, more in (("PutBucketAcl", {}), ("PutObjectAcl", {"Key": "k"})):
        assert (await refusal_of(client, operation, **arguments, **more)).code == code
    assert await bucket_grants(client) == [OWN]
    assert await object_grants(client) == [OWN]


async def test_where_acls_are_disabled() -> None:
    """AWS: "Requests to set ACLs or update ACLs fail and return the
    AccessControlListNotSupported error code. Requests to read ACLs are still supported."
    """
    client = await bucket(ENFORCED)
    for acl in ("private", "public-read", "bucket-owner-full-control"):
        for operation, more in (("PutBucketAcl", {}), ("PutObjectAcl", {"Key": "k"})):
            failure = await refusal_of(client, operation, ACL=acl, **more)
            assert (failure.status, failure.code) == (400, "AccessControlListNotSupported")
    assert await bucket_grants(client) == await object_grants(client) == [OWN]
    put = {"Key": "new", "Body": b"x"}
    for sets in (
        {"ACL": "public-read"},
        {"ACL": "bucket-owner-read"},
        {"GrantRead": f"id={BOB.canonical_id}"},
        {"GrantFullControl": f"id={BOB.canonical_id}"},
    ):
        failure = await refusal_of(client, "PutObject", **put, **sets)
        assert failure.code == "AccessControlListNotSupported"
    assert len(client.store.objects) == 1


@pytest.mark.parametrize(
    "sets",
    [
        {},
        {"ACL": "private"},
        {"ACL": "bucket-owner-full-control"},
        {"GrantFullControl": f"id={ALICE.canonical_id}"},
    ],
)
async def test_what_is_so_anyway_may_be_asked_for(sets: dict[str, str]) -> None:
    """AWS: "PUT requests that specify bucket owner full control ACLs (such as the
    bucket-owner-full-control canned ACL or an equivalent form of this ACL)" are accepted.
    """
    client = await bucket(ENFORCED)
    await client("PutObject", Bucket=NAME, Key="new", Body=b"x", Caller=BOB, **sets)
    version = client.store.objects[BucketName(NAME), ObjectKey("new")].version
    assert (version.owner, version.acl) == (ALICE.canonical_id, b"")


async def test_where_acls_are_disabled_what_is_shown_may_be_sent_back() -> None:
    """AWS: "an equivalent form of this ACL expressed in the XML format" is accepted. s3cmd sends
    the ACL of the source to every copy that it makes."""
    client = await bucket(ENFORCED)
    for get, put, more in (
        ("GetBucketAcl", "PutBucketAcl", {}),
        ("GetObjectAcl", "PutObjectAcl", {"Key": "k"}),
    ):
        shown = await client(get, Bucket=NAME, Caller=ALICE, **more)
        again = {"Owner": shown["Owner"], "Grants": shown["Grants"]}
        await client(put, Bucket=NAME, Caller=ALICE, AccessControlPolicy=again, **more)
        other = {"Type": "CanonicalUser", "ID": BOB.canonical_id}
        again["Grants"] = [*again["Grants"], {"Grantee": other, "Permission": "READ"}]
        failure = await refusal_of(client, put, AccessControlPolicy=again, **more)
        assert failure.code == "AccessControlListNotSupported"
    version = client.store.objects[BucketName(NAME), ObjectKey("k")].version
    assert (version.acl, await object_grants(client)) == (b"", [OWN])
    assert await bucket_grants(client) == [OWN]


FULL = "bucket-owner-full-control"
WROTE = (BOB.canonical_id, "FULL_CONTROL")


@pytest.mark.parametrize(
    ("ownership", "acl", "owner", "grants"),
    [
        (ENFORCED, "", ALICE, [OWN]),
        (ENFORCED, FULL, ALICE, [OWN]),
        (PREFERRED, "", BOB, [WROTE]),
        (PREFERRED, FULL, ALICE, [OWN]),
        (PREFERRED, "bucket-owner-read", BOB, [WROTE, (ALICE.canonical_id, "READ")]),
        (WRITER, "", BOB, [WROTE]),
        (WRITER, FULL, BOB, [WROTE, OWN]),
        (WRITER, "public-read", BOB, [WROTE, (ALL_USERS, "READ")]),
    ],
)
async def test_whose_an_object_is(
    ownership: str, acl: str, owner: Any, grants: list[tuple[str, str]]
) -> None:
    client = await bucket(ownership)
    more = {"ACL": acl} if acl else {}
    await client("PutObject", Bucket=NAME, Key="put", Body=b"x", Caller=BOB, **more)
    begun = await client("CreateMultipartUpload", Bucket=NAME, Key="parts", Caller=BOB, **more)
    upload = {"Bucket": NAME, "Key": "parts", "UploadId": begun["UploadId"]}
    part = await client("UploadPart", **upload, PartNumber=1, Body=b"x", Caller=BOB)
    uploads = await client("ListMultipartUploads", Bucket=NAME)
    parts = await client("ListParts", **upload)
    for shown in (uploads["Uploads"][0], parts):
        assert shown["Owner"]["ID"] == owner.canonical_id
        assert shown["Initiator"]["ID"] == BOB.canonical_id
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    await client("CompleteMultipartUpload", **upload, MultipartUpload=done, Caller=BOB)
    for key in ("put", "parts"):
        shown = await client("GetObjectAcl", Bucket=NAME, Key=key)
        assert shown["Owner"]["ID"] == owner.canonical_id
        assert grants_in(shown) == grants
    for name, wants in (("ListObjects", {}), ("ListObjectsV2", {"FetchOwner": True})):
        page = await client(name, Bucket=NAME, **wants)
        owners = {one["Key"]: one["Owner"]["ID"] for one in page["Contents"]}
        assert owners == {
            "k": ALICE.canonical_id, "put": owner.canonical_id, "parts": owner.canonical_id
        }  # fmt: skip


async def test_what_nobody_signed_for_is_the_bucket_owner_s() -> None:
    client = await bucket(WRITER)
    await client("PutObject", Bucket=NAME, Key="new", Body=b"x", Caller=None)
    assert await object_grants(client, "new") == [OWN]
    await client("CreateMultipartUpload", Bucket=NAME, Key="new", Caller=None)
    (upload,) = client.store.uploads.values()
    assert upload.upload.owner == ALICE.canonical_id
    assert upload.upload.upload_id == UploadId("upload1")


async def test_the_acl_of_an_object_that_was_replaced_meanwhile_stays() -> None:
    """Whoever may change the ACL of their own object does not change that of another's."""
    client = await bucket()
    await client("PutObject", Bucket=NAME, Key="k", Body=b"mine", Caller=BOB)
    replaced = client.store.objects[BucketName(NAME), ObjectKey("k")]
    store, edit = client.store, client.store.edit_object

    async def edit_late(*arguments: Any) -> Any:
        await client("PutObject", Bucket=NAME, Key="k", Body=b"hers", Caller=ALICE)
        return await edit(*arguments)

    store.edit_object = edit_late  # type: ignore[method-assign, assignment]
    with pytest.raises(Failure) as failure:
        await client("PutObjectAcl", Bucket=NAME, Key="k", ACL="public-read", Caller=BOB)
    assert failure.value.code == "OperationAborted"
    assert store.objects[BucketName(NAME), ObjectKey("k")] != replaced
    assert await object_grants(client) == [OWN]


async def test_owners_have_their_display_names() -> None:
    client = await bucket()
    shown = await client("GetBucketAcl", Bucket=NAME, Caller=ROOT)
    assert shown["Owner"] == ALICE_SHOWN
    assert shown["Grants"][0]["Grantee"] == ALICE_SHOWN | {"Type": "CanonicalUser"}

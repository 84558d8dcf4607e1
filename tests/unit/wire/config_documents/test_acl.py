"""ACLs: as a document, as headers and by name; what is none of these is refused."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.limits import ACL_GRANTS_MAX
from objstore.wire.config_documents.acl import (
    BUCKET_CANNED,
    OBJECT_CANNED,
    PERMISSIONS,
    AccessControlPolicy,
    canned_grants,
    read_acl,
    read_grant_headers,
    write_acl,
)
from objstore.wire.config_documents.grantees import (
    ALL_USERS,
    LOG_DELIVERY,
    Grant,
    Grantee,
    read_grant_header,
)
from objstore.wire.documents import Owner
from tests.unit.s3.client import MODEL
from tests.unit.wire.config_documents.model import answer, refused, request_body

OWNER = Owner("a" * 64, "me")
BUCKET_OWNER = Owner("b" * 64, "landlord")
XSI = "xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance'"
USER = f"<Grantee {XSI} xsi:type='CanonicalUser'><ID>u</ID></Grantee>"
GRANT = f"<Grant>{USER}<Permission>READ</Permission></Grant>"


def body(*grants: str, owner: str = "<Owner><ID>o</ID></Owner>") -> bytes:
    return (
        f"<AccessControlPolicy>{owner}<AccessControlList>{''.join(grants)}</AccessControlList>"
        "</AccessControlPolicy>"
    ).encode()


def test_what_botocore_sends() -> None:
    sent = request_body(
        "PutBucketAcl",
        AccessControlPolicy={
            "Owner": {"ID": "o", "DisplayName": "owner"},
            "Grants": [
                {"Grantee": {"Type": "Group", "URI": ALL_USERS}, "Permission": "READ"},
                {
                    "Grantee": {"Type": "AmazonCustomerByEmail", "EmailAddress": "a@b.example"},
                    "Permission": "WRITE_ACP",
                },
            ],
        },
    )
    assert read_acl(sent) == AccessControlPolicy(
        Owner("o", "owner"),
        (
            Grant(Grantee("Group", ALL_USERS), "READ"),
            Grant(Grantee("AmazonCustomerByEmail", "a@b.example"), "WRITE_ACP"),
        ),
    )
    assert read_acl(body()).grants == ()


def test_the_type_may_have_any_namespace_prefix() -> None:
    other = USER.replace("xsi:", "i:").replace(":xsi=", ":i=")
    assert read_acl(body(GRANT.replace(USER, other))) == read_acl(body(GRANT))


@pytest.mark.parametrize(
    "data",
    [
        b"not xml",
        b"<AccessControlPolicy/>",
        b"<AccessControlPolicy><Owner><ID>o</ID></Owner></AccessControlPolicy>",
        body(GRANT, owner=""),
        body(GRANT, owner="<Owner/>"),
        body("<Grant><Permission>READ</Permission></Grant>"),
        body(f"<Grant>{USER}</Grant>"),
        body(GRANT.replace("READ", "DELETE")),
        body(GRANT.replace("CanonicalUser", "Robot")),
        body(GRANT.replace(f" {XSI} xsi:type='CanonicalUser'", "")),
        body(GRANT.replace("xsi:type", "type")),
        body(GRANT.replace("<ID>u</ID>", "")),
        body(GRANT.replace("<ID>u</ID>", "<URI>u</URI>")),
        body(GRANT.replace("<ID>u</ID>", "<ID>u</ID><URI>u</URI>")),
        body(GRANT.replace("<ID>u</ID>", "<ID>u</ID><EmailAddress>a@b.example</EmailAddress>")),
        body(*[GRANT] * (ACL_GRANTS_MAX + 1)),
        body("<Surprise/>"),
    ],
)
def test_refusals(data: bytes) -> None:
    with refused("MalformedACLError"):
        read_acl(data)


def test_a_hundred_grants() -> None:
    # AWS says: "An ACL can have up to 100 grants."
    assert len(read_acl(body(*[GRANT] * ACL_GRANTS_MAX)).grants) == 100


def test_unknown_groups() -> None:
    group = f"<Grantee {XSI} xsi:type='Group'><URI>http://acs.amazonaws.com/x</URI></Grantee>"
    with refused("InvalidArgument", "Invalid group uri", ArgumentName="Group/URI"):
        read_acl(body(GRANT.replace(USER, group)))
    with refused("InvalidArgument", "Invalid group uri", ArgumentName="uri"):
        read_grant_header("x-amz-grant-read", 'uri="http://acs.amazonaws.com/x"', "READ")


# --- headers --------------------------------------------------------------------------


def test_grant_headers() -> None:
    headers = {
        "x-amz-grant-read": f'uri="{ALL_USERS}", id="u" ,emailAddress="a,b@c.example"',
        "x-amz-grant-full-control": "id=plain",
        "x-amz-grant-write-acp": "",
    }
    assert read_grant_headers(headers.get) == (
        Grant(Grantee("CanonicalUser", "plain"), "FULL_CONTROL"),
        Grant(Grantee("Group", ALL_USERS), "READ"),
        Grant(Grantee("CanonicalUser", "u"), "READ"),
        Grant(Grantee("AmazonCustomerByEmail", "a,b@c.example"), "READ"),
    )
    nothing: dict[str, str] = {}
    assert read_grant_headers(nothing.get) == ()


def test_every_grant_header_of_the_model_is_read() -> None:
    for operation in ("PutBucketAcl", "PutObjectAcl", "PutObject", "CreateBucket"):
        for name, shape in MODEL.operation_model(operation).input_shape.members.items():
            if name.startswith("Grant"):
                sent: dict[str, str] = {shape.serialization["name"]: 'id="u"'}
                assert read_grant_headers(sent.get), name


@pytest.mark.parametrize(
    "value",
    ["u", "id", 'id="u', 'name="u"', 'ID="u"', 'id="u" uri="x"', "id=u;id=v", ",", 'id="a"x'],
)
def test_headers_that_are_no_grants(value: str) -> None:
    with refused("InvalidArgument", "Argument format not recognized"):
        read_grant_header("x-amz-grant-read", value, "READ")


def test_too_many_grants_in_headers() -> None:
    many = ", ".join(f'id="u{number}"' for number in range(ACL_GRANTS_MAX + 1))
    with refused("InvalidRequest"):
        read_grant_headers({"x-amz-grant-read": many}.get)
    with refused("InvalidArgument"):
        read_grant_header("x-amz-grant-read", 'id=""', "READ")


@settings(max_examples=200)
@given(st.text('iduremailAddress="", x', max_size=40) | st.text(max_size=40))
def test_any_header_is_read_or_refused(value: str) -> None:
    with contextlib.suppress(RequestRefused):
        for grant in read_grant_header("x-amz-grant-read", value, "READ"):
            assert grant.grantee.identifier


# --- canned ---------------------------------------------------------------------------


def test_canned_acls_are_those_of_the_model() -> None:
    buckets = set(MODEL.shape_for("BucketCannedACL").enum)
    objects = set(MODEL.shape_for("ObjectCannedACL").enum)
    # AWS documents log-delivery-write for buckets, botocore's list lacks it.
    assert buckets | {"log-delivery-write"} == BUCKET_CANNED
    assert objects - {"aws-exec-read"} == OBJECT_CANNED


def test_every_canned_acl_is_one_that_can_be_shown() -> None:
    for name in OBJECT_CANNED:
        grants = canned_grants(name, OWNER, bucket_owner=BUCKET_OWNER)
        assert grants[0] == Grant(Grantee("CanonicalUser", "a" * 64, "me"), "FULL_CONTROL")
        assert {grant.permission for grant in grants} <= set(PERMISSIONS)
        policy = AccessControlPolicy(OWNER, grants)
        assert read_acl(write_acl(policy)) == policy
        assert len(answer("GetObjectAcl", write_acl(policy))["Grants"]) == len(grants)
    assert [
        grant.permission for grant in canned_grants("log-delivery-write", OWNER, bucket_owner=None)
    ] == ["FULL_CONTROL", "WRITE", "READ_ACP"]


def test_the_bucket_owner_gets_what_the_name_says() -> None:
    landlord = Grantee("CanonicalUser", "b" * 64, "landlord")
    read = canned_grants("bucket-owner-read", OWNER, bucket_owner=BUCKET_OWNER)
    assert read[1:] == (Grant(landlord, "READ"),)
    full = canned_grants("bucket-owner-full-control", OWNER, bucket_owner=BUCKET_OWNER)
    assert full[1:] == (Grant(landlord, "FULL_CONTROL"),)
    assert len(canned_grants("bucket-owner-full-control", OWNER, bucket_owner=OWNER)) == 1


@pytest.mark.parametrize(
    ("name", "bucket_owner", "reason"),
    [
        ("public", None, "InvalidArgument"),
        ("bucket-owner-read", None, "InvalidArgument"),
        ("log-delivery-write", BUCKET_OWNER, "InvalidArgument"),
        ("aws-exec-read", BUCKET_OWNER, "NotImplemented"),
    ],
)
def test_names_that_are_none(name: str, bucket_owner: Owner | None, reason: str) -> None:
    with refused(reason):
        canned_grants(name, OWNER, bucket_owner=bucket_owner)
    assert LOG_DELIVERY.endswith("LogDelivery")

"""N132, N133, N137, N138: what policies allow and deny, for every operation there is."""

import json

import pytest

from objstore.access.actions import OF_POLICIES
from objstore.access.operation_actions import OPERATION_ACTIONS
from objstore.s3.operations import OPERATIONS
from objstore.wire.route import SHAPES, Level, Operation, Shape
from tests.unit.s3.client import ALICE, BOB, ROOT
from tests.unit.s3.people import NAME, allow, ask, deny, policy_of, store_of

ON_BUCKETS = [
    shape
    for shape in SHAPES
    if shape.level is not Level.SERVICE and shape.operation is not Operation.CREATE_BUCKET
]
BY_OPERATION = {shape.operation.value: shape for shape in SHAPES}
# Each key is decided where its document is read.
PER_KEY = Operation.DELETE_OBJECTS


def shape_id(shape: Shape) -> str:
    return shape.operation.value


def asked(shape: Shape) -> list[str]:
    """Return every action that a request of this shape needs, and nothing beside it."""
    actions = [OPERATION_ACTIONS[shape.operation]]
    if shape.copies:
        actions.append("s3:GetObject")
    if shape.operation is Operation.GET_OBJECT_ATTRIBUTES:
        actions.append("s3:GetObject")
    return actions


@pytest.mark.parametrize("shape", ON_BUCKETS, ids=shape_id)
async def test_a_policy_allows_an_operation_and_nothing_less_does(shape: Shape) -> None:
    if shape.operation is PER_KEY:
        return
    actions = asked(shape)
    store = await store_of(policy=policy_of(allow(*actions)))
    allowed = "MethodNotAllowed" if actions[0] in OF_POLICIES else ""
    assert await ask(store, shape, BOB) == allowed
    assert await ask(store, shape, None) == "AccessDenied"
    everybody = await store_of(policy=policy_of(allow(*actions, principal="*")))
    assert await ask(everybody, shape, None) == allowed
    for missing in actions:
        others = [f"s3:{name}" for name in ("GetObject", "PutObject", "ListBucket")]
        kept = [name for name in [*actions, *others] if name != missing]
        store = await store_of(policy=policy_of(allow(*kept)))
        assert await ask(store, shape, BOB) == "AccessDenied"


@pytest.mark.parametrize("shape", ON_BUCKETS, ids=shape_id)
async def test_an_explicit_deny_wins(shape: Shape) -> None:
    """AWS: "an explicit deny in any policy overrides any allows", the owner's and root's too.

    But "the root user of the AWS account that owns a bucket can always" change its policy.
    """
    for denied in asked(shape):
        store = await store_of(policy=policy_of(allow("s3:*"), deny(denied)))
        for caller in (BOB, ALICE, ROOT, None):
            spared = denied in OF_POLICIES and caller in (ALICE, ROOT)
            waits = shape.operation is PER_KEY and caller is not None
            expected = "" if spared or waits or shape.operation is PER_KEY else "AccessDenied"
            assert await ask(store, shape, caller) == expected, caller


VERSIONED = {
    "GetObject": "s3:GetObjectVersion",
    "HeadObject": "s3:GetObjectVersion",
    "DeleteObject": "s3:DeleteObjectVersion",
    "GetObjectAcl": "s3:GetObjectVersionAcl",
    "PutObjectAcl": "s3:PutObjectVersionAcl",
    "GetObjectTagging": "s3:GetObjectVersionTagging",
    "PutObjectTagging": "s3:PutObjectVersionTagging",
    "DeleteObjectTagging": "s3:DeleteObjectVersionTagging",
    "GetObjectRetention": "s3:GetObjectRetention",
    "PutObjectRetention": "s3:PutObjectRetention",
    "GetObjectLegalHold": "s3:GetObjectLegalHold",
    "PutObjectLegalHold": "s3:PutObjectLegalHold",
    "GetObjectAnnotation": "s3:GetObjectAnnotation",
    "ListObjectAnnotations": "s3:ListObjectAnnotations",
    "DeleteObjectAnnotation": "s3:DeleteObjectAnnotation",
    "RestoreObject": "s3:RestoreObject",
}


def test_every_operation_on_a_version_is_in_the_table() -> None:
    served = {
        shape.operation.value for shape in SHAPES if shape.served and "versionId" in shape.query
    }
    assert served == set(VERSIONED) | {"GetObjectAttributes"}


@pytest.mark.parametrize("operation", VERSIONED)
@pytest.mark.parametrize("version", ["null", "0" * 32])
async def test_a_version_has_actions_of_its_own(operation: str, version: str) -> None:
    """N137. AWS: "To return a specific version of an object, you must have the
    s3:GetObjectVersion permission", and s3:GetObject does not do.
    """
    shape, action = BY_OPERATION[operation], VERSIONED[operation]
    query = f"versionId={version}"
    store = await store_of(policy=policy_of(allow(action)))
    assert await ask(store, shape, BOB, query=query) == ""
    plain = OPERATION_ACTIONS[shape.operation]
    if plain != action:
        assert await ask(store, shape, BOB) == "AccessDenied"
        store = await store_of(policy=policy_of(allow(plain)))
        assert await ask(store, shape, BOB, query=query) == "AccessDenied"
        store = await store_of(policy=policy_of(deny(action)))
        assert await ask(store, shape, ALICE, query=query) == "AccessDenied"
        assert await ask(store, shape, ALICE) == ""


async def test_attributes_need_what_the_object_needs() -> None:
    """AWS: both "the s3:GetObjectVersion and s3:GetObjectVersionAttributes permissions"."""
    shape = BY_OPERATION["GetObjectAttributes"]
    both = ("s3:GetObjectVersion", "s3:GetObjectVersionAttributes")
    store = await store_of(policy=policy_of(allow(*both)))
    assert await ask(store, shape, BOB, query="versionId=null") == ""
    assert await ask(store, shape, BOB) == "AccessDenied"
    for one in both:
        store = await store_of(policy=policy_of(allow(one)))
        assert await ask(store, shape, BOB, query="versionId=null") == "AccessDenied"


CREATES = [name for name, shape in BY_OPERATION.items() if OPERATIONS[shape.operation].creates]
BESIDE = [
    ({"x-amz-tagging": "a=b"}, "s3:PutObjectTagging"),
    ({"x-amz-object-lock-mode": "GOVERNANCE"}, "s3:PutObjectRetention"),
    (
        {"x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00Z"},
        "s3:PutObjectRetention",
    ),
    ({"x-amz-object-lock-legal-hold": "OFF"}, "s3:PutObjectLegalHold"),
    ({"x-amz-bypass-governance-retention": "true"}, "s3:BypassGovernanceRetention"),
    ({"if-match": '"etag"'}, "s3:GetObject"),
]


def test_what_makes_objects() -> None:
    assert set(CREATES) == {"PutObject", "PostObject", "CopyObject", "CreateMultipartUpload"}


@pytest.mark.parametrize("operation", CREATES)
@pytest.mark.parametrize(("headers", "action"), BESIDE)
async def test_what_is_set_beside_an_object_is_asked_for(
    operation: str, headers: dict[str, str], action: str
) -> None:
    shape = BY_OPERATION[operation]
    copied = ["s3:GetObject"] if shape.copies else []
    store = await store_of(policy=policy_of(allow("s3:PutObject", *copied)))
    if action not in copied:
        assert await ask(store, shape, BOB, headers) == "AccessDenied"
    assert await ask(store, shape, BOB) == ""
    store = await store_of(policy=policy_of(allow("s3:PutObject", action, *copied)))
    assert await ask(store, shape, BOB, headers) == ""


@pytest.mark.parametrize("operation", CREATES)
async def test_an_acl_beside_an_object_is_asked_for(operation: str) -> None:
    """Where ACLs are disabled no header sets one, and so none has to be allowed."""
    shape = BY_OPERATION[operation]
    for headers in ({"x-amz-acl": "private"}, {"x-amz-grant-read": "id=1"}):
        policy = policy_of(allow("s3:PutObject", "s3:GetObject"))
        enforced = await store_of(policy=policy)
        assert await ask(enforced, shape, BOB, headers) == ""
        for ownership in ("ObjectWriter", "BucketOwnerPreferred"):
            store = await store_of(policy=policy, ownership=ownership)
            assert await ask(store, shape, BOB, headers) == "AccessDenied"
            assert await ask(store, shape, ALICE, headers) == ""
            more = policy_of(allow("s3:PutObject", "s3:GetObject", "s3:PutObjectAcl"))
            store = await store_of(policy=more, ownership=ownership)
            assert await ask(store, shape, BOB, headers) == ""


async def test_a_delete_that_tells_an_etag_reads_it() -> None:
    shape = BY_OPERATION["DeleteObject"]
    store = await store_of(policy=policy_of(allow("s3:DeleteObject")))
    assert await ask(store, shape, BOB, {"if-match": "*"}) == ""
    assert await ask(store, shape, BOB, {"if-match": '"etag"'}) == "AccessDenied"
    bypass = {"x-amz-bypass-governance-retention": "true"}
    assert await ask(store, shape, BOB, bypass) == "AccessDenied"  # N143
    assert await ask(store, shape, ALICE, bypass) == ""


@pytest.mark.parametrize("operation", ["CopyObject", "UploadPartCopy"])
async def test_the_source_s_version_is_asked_for(operation: str) -> None:
    """N138."""
    shape = BY_OPERATION[operation]
    at_version = {"x-amz-copy-source": f"{NAME}/source?versionId=null"}
    store = await store_of(policy=policy_of(allow("s3:PutObject", "s3:GetObject")))
    assert await ask(store, shape, BOB) == ""
    assert await ask(store, shape, BOB, at_version) == "AccessDenied"
    store = await store_of(policy=policy_of(allow("s3:PutObject", "s3:GetObjectVersion")))
    assert await ask(store, shape, BOB) == "AccessDenied"
    assert await ask(store, shape, BOB, at_version) == ""
    one = {"StringEquals": {"s3:versionid": "null"}}
    conditional = deny("s3:GetObjectVersion", Condition=one)
    store = await store_of(policy=policy_of(allow("s3:*"), conditional))
    assert await ask(store, shape, BOB, at_version) == "AccessDenied"


async def test_keys_are_told_apart() -> None:
    """N133: a wildcard is of the whole key, and a resource of a bucket is of no object."""
    shape = BY_OPERATION["GetObject"]
    public = allow("s3:GetObject") | {"Resource": f"arn:aws:s3:::{NAME}/public/*"}
    store = await store_of(policy=policy_of(public))
    assert await ask(store, shape, BOB, key="public/a/b") == ""
    for key in ("public", "publick", "private/public/x", "%70rivate", "public%2F..%2Fx"):
        expected = "" if key.startswith("public%2F") else "AccessDenied"
        assert await ask(store, shape, BOB, key=key) == expected
    other = allow("s3:GetObject") | {"NotResource": f"arn:aws:s3:::{NAME}/private/*"}
    del other["Resource"]
    store = await store_of(policy=policy_of(other))
    assert await ask(store, shape, BOB, key="private/x") == "AccessDenied"
    assert await ask(store, shape, BOB, key="x") == ""


async def test_what_is_not_named() -> None:
    """N133: NotAction and NotPrincipal."""
    get, put = BY_OPERATION["GetObject"], BY_OPERATION["PutObject"]
    but_get = allow() | {"NotAction": "s3:GetObject"}
    del but_get["Action"]
    store = await store_of(policy=policy_of(but_get))
    assert await ask(store, put, BOB) == ""
    assert await ask(store, get, BOB) == "AccessDenied"
    but_bob = deny("s3:GetObject") | {"NotPrincipal": {"AWS": BOB.arn}}
    del but_bob["Principal"]
    store = await store_of(policy=policy_of(allow("s3:GetObject", principal="*"), but_bob))
    assert await ask(store, get, BOB) == ""
    for other in (None, ALICE, ROOT):
        assert await ask(store, get, other) == "AccessDenied"


@pytest.mark.parametrize(
    ("condition", "headers", "allowed"),
    [
        ({"StringEquals": {"s3:x-amz-acl": "private"}}, {"x-amz-acl": "private"}, True),
        ({"StringEquals": {"s3:x-amz-acl": "private"}}, {}, False),
        ({"StringEquals": {"s3:RequestObjectTag/a": "b"}}, {"x-amz-tagging": "a=b"}, True),
        ({"StringEquals": {"s3:RequestObjectTag/a": "b"}}, {"x-amz-tagging": "a=c"}, False),
        # N134: a header is an address of nobody's
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, {"x-forwarded-for": "10.1.1.1"}, False),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.1"}}, {"x-forwarded-for": "10.1.1.1"}, True),
        # N136: nor is it a name
        ({"StringEquals": {"aws:userid": "root"}}, {"userid": "root", "aws:userid": "root"}, False),
        ({"StringEquals": {"aws:username": "AKIDBOB"}}, {}, True),
        ({"StringEquals": {"jwt:sub": "x"}}, {"jwt:sub": "x"}, False),
        # N135
        (
            {"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}},
            {"x-amz-tagging": "a=1&c=2"},
            False,
        ),
        (
            {"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["a", "b"]}},
            {"x-amz-tagging": "a=1&c=2"},
            True,
        ),
        ({"ForAnyValue:StringEquals": {"s3:RequestObjectTagKeys": ["a"]}}, {}, False),
        ({"ForAllValues:StringEquals": {"s3:RequestObjectTagKeys": ["a"]}}, {}, True),
        ({"Bool": {"aws:SecureTransport": "false"}}, {}, True),
        ({"Bool": {"aws:SecureTransport": "true"}}, {}, False),
        ({"StringEquals": {"s3:authType": "REST-HEADER"}}, {"authorization": "AWS4-HMAC"}, True),
        (
            {"StringEquals": {"s3:signatureversion": "AWS4-HMAC-SHA256"}},
            {"authorization": "AWS4-HMAC-SHA256 x"},
            True,
        ),
        ({"StringLike": {"aws:Referer": "http://here/*"}}, {"referer": "http://here/x"}, True),
    ],
)
async def test_conditions_are_of_the_request(
    condition: object, headers: dict[str, str], *, allowed: bool
) -> None:
    said = allow("s3:PutObject", Condition=condition)
    store = await store_of(policy=policy_of(said, allow("s3:PutObjectTagging")))
    verdict = await ask(store, BY_OPERATION["PutObject"], BOB, headers)
    assert verdict == ("" if allowed else "AccessDenied")


async def test_a_prefix_that_may_be_listed() -> None:
    home = {"StringLike": {"s3:prefix": "home/${aws:username}/*"}}
    store = await store_of(policy=policy_of(allow("s3:ListBucket", Condition=home)))
    for operation in ("ListObjects", "ListObjectsV2"):
        shape = BY_OPERATION[operation]
        assert await ask(store, shape, BOB, query="prefix=home/AKIDBOB/x") == ""
        for other in ("", "prefix=", "prefix=home/AKIDALICE/x"):
            assert await ask(store, shape, BOB, query=other) == "AccessDenied"


async def test_a_policy_that_cannot_be_read_denies_everything() -> None:
    """But to replace it: what it denied is not known."""
    store = await store_of(policy=b'{"Statement": "of another release"}')
    for shape in ON_BUCKETS:
        if shape.operation is PER_KEY:
            continue
        for caller in (BOB, None, ALICE, ROOT):
            spared = OPERATION_ACTIONS[shape.operation] in OF_POLICIES and caller in (ALICE, ROOT)
            assert await ask(store, shape, caller) == ("" if spared else "AccessDenied")


async def test_tags_of_the_object_are_read_when_the_policy_asks_for_them() -> None:
    tagged = {"StringEquals": {"s3:ExistingObjectTag/public": "yes"}}
    policy = policy_of(allow("s3:GetObject", Condition=tagged))
    shape = BY_OPERATION["GetObject"]
    store = await store_of(policy=policy, tags={"public": "yes"})
    assert (await ask(store, shape, BOB), store.opened) == ("", 1)
    assert await ask(store, shape, BOB, key="none") == "AccessDenied"
    store = await store_of(policy=policy, tags={"public": "no"})
    assert (await ask(store, shape, BOB), store.opened) == ("AccessDenied", 1)
    assert (await ask(store, shape, ALICE), store.opened) == ("", 2)
    escaped = policy.replace(b"ExistingObject", b"\\u0045xistingObject")
    assert json.loads(escaped) == json.loads(policy)
    store = await store_of(policy=escaped, tags={"public": "yes"})
    assert (await ask(store, shape, BOB), store.opened) == ("", 1)


async def test_nothing_is_read_that_does_not_matter() -> None:
    plain = await store_of(policy=policy_of(allow("s3:*")))
    without = await store_of()
    acls = await store_of(ownership="ObjectWriter")
    for shape in ON_BUCKETS:
        for caller in (BOB, ALICE, ROOT):
            await ask(plain, shape, caller)
            await ask(without, shape, caller)
        await ask(acls, shape, ROOT)
    assert (plain.opened, without.opened, acls.opened) == (0, 0, 0)

"""Who may do what on a real cluster: policies, ACLs, public access blocks, and nobody's requests.

tests/unit/s3/test_authorize_policy.py and test_authorize_acl.py have every operation and every way
of asking; here each operation is really called, and what must not change does not.
"""

import datetime as dt
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from objstore.access.actions import OF_POLICIES
from objstore.access.operation_actions import OPERATION_ACTIONS
from objstore.wire.route import Operation
from tests.e2e.people import (
    ALICE,
    BOB,
    ROWS,
    SECTIONS,
    Scene,
    client_of,
    code_of,
    new_scene,
    post,
    unsigned,
)
from tests.e2e.raw_http import Answer, Shot, Signer, send
from tests.e2e.running import Cluster, S3Client

pytestmark = pytest.mark.xdist_group("authorization")  # one cluster for all

DENIED = "AccessDenied"


@dataclass(frozen=True)
class Stage:
    """A cluster and those who use it."""

    cluster: Cluster
    root: S3Client
    alice: S3Client
    bob: S3Client
    nobody: S3Client

    def scene(self, **creation: Any) -> Scene:
        """Return a new bucket of Alice's; copies read from it as well."""
        made = new_scene(self.alice, "", **creation)
        return Scene(made.owner, made.bucket, made.upload_id, f"{made.bucket}/key")

    def raw(self, shot: Shot) -> Answer:
        """Send a request as it is."""
        return send(self.cluster.address(0), shot)

    def shot(self, method: str, path: str, query: str = "", **more: Any) -> Shot:
        host = "{}:{}".format(*self.cluster.address(0))
        return Shot(method, path, query, headers=(("Host", host),), **more)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    root = tmp_path_factory.mktemp("authorization")
    (root / "bob.secret").write_text(BOB.secret + "\n")
    with Cluster.running(root, sections=SECTIONS) as cluster:
        client = cluster.client()
        nobody = unsigned(client)
        yield Stage(cluster, client, client_of(cluster, ALICE), client_of(cluster, BOB), nobody)
        nobody.close()


def statement(scene: Scene, effect: str, actions: list[str], who: object) -> dict[str, Any]:
    return {
        "Effect": effect,
        "Principal": who,
        "Action": actions,
        "Resource": [f"arn:aws:s3:::{scene.bucket}", f"arn:aws:s3:::{scene.bucket}/*"],
    }


def allow(scene: Scene, *actions: str, who: object = None, **more: Any) -> dict[str, Any]:
    return statement(scene, "Allow", list(actions), who or {"AWS": BOB.arn}) | more


def deny(scene: Scene, *actions: str, **more: Any) -> dict[str, Any]:
    return statement(scene, "Deny", list(actions), "*") | more


def set_policy(scene: Scene, *statements: dict[str, Any]) -> None:
    document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    scene.owner.put_bucket_policy(Bucket=scene.bucket, Policy=document)


def asked(operation: str) -> list[str]:
    actions = [OPERATION_ACTIONS[Operation(operation)]]
    if operation in ("CopyObject", "UploadPartCopy", "GetObjectAttributes"):
        actions.append("s3:GetObject")
    if operation == "CopyObject":  # the source has tags
        actions += ["s3:GetObjectTagging", "s3:PutObjectTagging"]
    return actions


@pytest.mark.parametrize("operation", ROWS)
def test_refused_denied_and_allowed(stage: Stage, operation: str) -> None:
    """N130, N132, N133: to another and to nobody; by an explicit Deny to everybody; by a policy."""
    scene = stage.scene()
    arguments, before = ROWS[operation](scene), scene.stored()
    for other in (stage.bob, stage.nobody):
        assert code_of(other, operation, arguments) == DENIED
    assert scene.stored() == before
    actions = asked(operation)
    set_policy(scene, allow(scene, "s3:*", who="*"), deny(scene, *actions[:1]))
    spared = actions[0] in OF_POLICIES
    everybody = [stage.bob, stage.nobody] + ([] if spared else [stage.alice, stage.root])
    for client in everybody:
        # Each key of a list is refused on its own.
        if operation == "DeleteObjects":
            answer = client.delete_objects(**arguments)
            assert [one["Code"] for one in answer["Errors"]] == [DENIED]
        else:
            assert code_of(client, operation, arguments) == DENIED
    scene.owner.delete_bucket_policy(Bucket=scene.bucket)
    assert scene.stored() == before
    set_policy(scene, allow(scene, *actions))
    assert code_of(stage.nobody, operation, arguments) == DENIED or operation == "DeleteObjects"
    code = code_of(stage.bob, operation, arguments)
    assert code == "MethodNotAllowed" if spared else code != DENIED


@pytest.mark.parametrize(
    "acl", ["private", "public-read", "public-read-write", "authenticated-read"]
)
def test_canned_acls(stage: Stage, acl: str) -> None:
    """N132: what an ACL can allow, to another and to nobody."""
    scene = stage.scene(ObjectOwnership="ObjectWriter", ACL=acl)
    scene.owner.put_object_acl(Bucket=scene.bucket, Key="key", ACL=acl)
    signed, everybody = acl != "private", acl.startswith("public")
    for client, may in ((stage.bob, signed), (stage.nobody, everybody)):
        reads = {"ListObjectsV2": {}, "GetObject": {"Key": "key"}, "HeadObject": {"Key": "key"}}
        for operation, more in reads.items():
            code = code_of(client, operation, {"Bucket": scene.bucket, **more})
            assert (code == "") == may
        writes = acl == "public-read-write"
        for operation in ("PutObject", "PostObject", "CreateMultipartUpload", "DeleteObject"):
            code = code_of(client, operation, {"Bucket": scene.bucket, "Key": "new"})
            assert (code == "") == writes
        for operation in ("GetBucketAcl", "PutBucketPolicy", "DeleteBucket"):
            assert code_of(client, operation, ROWS[operation](scene)) == DENIED
    names = {one["Key"] for one in scene.owner.list_objects_v2(Bucket=scene.bucket)["Contents"]}
    assert names == {"key", "gone"}


def test_nobody_reads_and_writes_what_is_public(stage: Stage) -> None:
    scene = stage.scene()
    set_policy(scene, allow(scene, "s3:GetObject", "s3:PutObject", "s3:ListBucket", who="*"))
    assert stage.nobody.get_object(Bucket=scene.bucket, Key="key")["Body"].read()
    stage.nobody.put_object(Bucket=scene.bucket, Key="by nobody", Body=b"x" * 100_000)
    answer = post(stage.nobody, {"Bucket": scene.bucket, "Key": "form"})
    assert answer.status == 204
    page = stage.nobody.list_objects_v2(Bucket=scene.bucket, FetchOwner=True)
    owners = {one["Key"]: one["Owner"]["ID"] for one in page["Contents"]}
    assert owners == dict.fromkeys(("by nobody", "form", "gone", "key"), ALICE.canonical_id)
    begun = stage.nobody.create_multipart_upload(Bucket=scene.bucket, Key="parts")
    upload = {"Bucket": scene.bucket, "Key": "parts", "UploadId": begun["UploadId"]}
    part = stage.nobody.upload_part(**upload, PartNumber=1, Body=b"y")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    stage.nobody.complete_multipart_upload(**upload, MultipartUpload=parts)
    assert code_of(stage.nobody, "DeleteObject", {"Bucket": scene.bucket, "Key": "form"}) == DENIED
    # N050
    answer = stage.raw(stage.shot("GET", f"/{scene.bucket}/key", "response-content-type=text/html"))
    assert f"{answer.status} {answer.code}" == "400 InvalidRequest"


def test_what_is_missing(stage: Stage) -> None:
    """N131: 404 to those who may list, else 403."""
    scene = stage.scene()
    missing = {"Bucket": scene.bucket, "Key": "none"}
    version = missing | {"VersionId": "null"}
    for client in (stage.bob, stage.nobody):
        assert code_of(client, "GetObject", missing) == DENIED
    reads = allow(scene, "s3:GetObject", "s3:GetObjectVersion", who="*")
    set_policy(scene, reads)
    for client in (stage.bob, stage.nobody):
        for operation in ("GetObject", "HeadObject"):
            for arguments in (missing, version):
                assert code_of(client, operation, arguments) == DENIED
        assert code_of(client, "GetObject", {"Bucket": scene.bucket, "Key": "key"}) == ""
    set_policy(scene, reads, allow(scene, "s3:ListBucket", who="*"))
    for client in (stage.bob, stage.nobody):
        assert code_of(client, "GetObject", missing) == "NoSuchKey"
        assert code_of(client, "GetObject", version) == "NoSuchVersion"
        assert code_of(client, "HeadObject", missing) == "404"
    assert code_of(stage.nobody, "GetObject", missing | {"Bucket": "no-such-bucket"}) == (
        "NoSuchBucket"
    )


def test_keys_that_are_named_in_other_ways(stage: Stage) -> None:
    """N133: wildcards and NotResource, over the key that is stored."""
    scene = stage.scene()
    for name in ("public/a", "public/../key", "publicity"):
        scene.owner.put_object(Bucket=scene.bucket, Key=name, Body=b"x")
    public = allow(scene, "s3:GetObject") | {"Resource": f"arn:aws:s3:::{scene.bucket}/public/*"}
    set_policy(scene, public)
    for path, status in (
        ("public/a", 200),
        ("public%2Fa", 200),
        ("public/../key", 200),  # a key like another, and not `key`
        ("public/%2e%2e/key", 200),
        ("publicity", 403),
        ("key", 403),
        ("./public/a", 403),
        ("%2Fpublic/a", 403),
    ):
        signer = Signer(BOB.access_key, BOB.secret)
        answer = stage.raw(signer.sign(stage.shot("GET", f"/{scene.bucket}/{path}")))
        assert answer.status == status, path


def test_what_a_request_says_of_itself_is_no_condition(stage: Stage) -> None:
    """N134, N136: neither X-Forwarded-For nor a header with a key's name is believed."""
    scene = stage.scene()
    path = f"/{scene.bucket}/key"
    signer = Signer(BOB.access_key, BOB.secret)
    rows = (
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, "X-Forwarded-For", "10.1.1.1"),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, "Forwarded", "for=10.1.1.1"),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, "X-Real-IP", "10.1.1.1"),
        ({"StringEquals": {"aws:userid": "admin"}}, "aws:userid", "admin"),
        ({"StringEquals": {"aws:userid": "admin"}}, "userid", "admin"),
        ({"StringEquals": {"aws:PrincipalArn": "admin"}}, "groups", "admin"),
        ({"StringEquals": {"jwt:sub": "admin"}}, "jwt:sub", "admin"),
        ({"Bool": {"aws:SecureTransport": "true"}}, "X-Forwarded-Proto", "https"),
    )
    for condition, header, value in rows:
        set_policy(scene, allow(scene, "s3:GetObject", Condition=condition))
        answer = stage.raw(signer.sign(stage.shot("GET", path)).adding(header, value))
        assert f"{answer.status} {answer.code}" == f"403 {DENIED}", header
    here = {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}
    set_policy(scene, allow(scene, "s3:GetObject", Condition=here))
    assert stage.raw(signer.sign(stage.shot("GET", path))).status == 200
    unheard = allow(scene, "s3:GetObject", Condition={"StringIs": {"aws:userid": "x"}})
    arguments = {"Bucket": scene.bucket, "Policy": json.dumps({"Statement": unheard})}
    assert code_of(stage.alice, "PutBucketPolicy", arguments) == "MalformedPolicy"


def test_values_of_a_key_with_several(stage: Stage) -> None:
    """N135."""
    scene = stage.scene()
    put = {"Bucket": scene.bucket, "Key": "new", "Body": b"x"}
    keys = {"s3:RequestObjectTagKeys": ["a", "b"]}
    for qualifier, tags, allowed in (
        ("ForAllValues", "a=1&b=2", True),
        ("ForAllValues", "a=1&c=2", False),
        ("ForAllValues", "", True),
        ("ForAnyValue", "a=1&c=2", True),
        ("ForAnyValue", "c=2", False),
        ("ForAnyValue", "", False),
    ):
        condition = {f"{qualifier}:StringEquals": keys}
        set_policy(
            scene,
            allow(scene, "s3:PutObject", Condition=condition),
            allow(scene, "s3:PutObjectTagging"),
        )
        arguments = put | ({"Tagging": tags} if tags else {})
        assert (code_of(stage.bob, "PutObject", arguments) == "") == allowed, (qualifier, tags)


def test_versions_have_actions_of_their_own(stage: Stage) -> None:
    """N137."""
    scene = stage.scene()
    name = scene.bucket
    scene.owner.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    version = scene.owner.put_object(Bucket=name, Key="key", Body=b"two")["VersionId"]
    plain = {"Bucket": name, "Key": "key"}
    set_policy(scene, allow(scene, "s3:GetObject", "s3:DeleteObject"))
    for version_id in (version, "null"):
        named = plain | {"VersionId": version_id}
        assert code_of(stage.bob, "GetObject", named) == DENIED
        assert code_of(stage.bob, "HeadObject", named) == DENIED
        assert code_of(stage.bob, "DeleteObject", named) == DENIED
        copy = {"Bucket": name, "Key": "copy", "CopySource": named}
        assert code_of(stage.bob, "CopyObject", copy) == DENIED
        listed = {"Objects": [{"Key": "key", "VersionId": version_id}]}
        answer = stage.bob.delete_objects(Bucket=name, Delete=listed)
        assert [one["Code"] for one in answer["Errors"]] == [DENIED]
    assert code_of(stage.bob, "GetObject", plain) == ""
    set_policy(scene, allow(scene, "s3:GetObjectVersion", "s3:DeleteObjectVersion"))
    assert code_of(stage.bob, "GetObject", plain) == DENIED
    assert code_of(stage.bob, "DeleteObject", plain) == DENIED
    assert code_of(stage.bob, "GetObject", plain | {"VersionId": version}) == ""
    assert code_of(stage.bob, "DeleteObject", plain | {"VersionId": "null"}) == ""


@pytest.mark.parametrize("operation", ["CopyObject", "UploadPartCopy"])
def test_a_copy_reads_its_source(stage: Stage, operation: str) -> None:
    """N138: a source that its caller may not read is not copied, wherever it goes."""
    scene, mine = stage.scene(), new_scene(stage.bob, "")
    target: dict[str, Any] = {"Bucket": mine.bucket, "Key": "upload", "CopySource": scene.copied}
    if operation == "UploadPartCopy":
        target |= {"UploadId": mine.upload_id, "PartNumber": 1}
    assert code_of(stage.bob, operation, target) == DENIED
    set_policy(scene, allow(scene, "s3:GetObject", "s3:GetObjectTagging"))
    assert code_of(stage.bob, operation, target) == ""
    set_policy(scene, allow(scene, "s3:*"), deny(scene, "s3:GetObject"))
    assert code_of(stage.bob, operation, target) == DENIED


def test_only_the_owner_sets_who_may_use_a_bucket(stage: Stage) -> None:
    """N140: who may do everything else may not give away more."""
    scene = stage.scene()
    everything = {"NotAction": ["s3:PutBucketAcl", "s3:PutBucketOwnershipControls"]}
    mostly = allow(scene) | everything
    del mostly["Action"]
    set_policy(scene, mostly)
    before = scene.stored()
    assert code_of(stage.bob, "PutBucketPolicy", ROWS["PutBucketPolicy"](scene)) == (
        "MethodNotAllowed"
    )
    for operation in ("PutBucketAcl", "PutBucketOwnershipControls"):
        assert code_of(stage.bob, operation, ROWS[operation](scene)) == DENIED
    assert scene.stored() == before
    status = scene.owner.get_bucket_policy_status(Bucket=scene.bucket)
    assert status["PolicyStatus"] == {"IsPublic": False}


def test_locks_hold_against_those_who_may_not_bypass_them(stage: Stage) -> None:
    """N143: without the permission no bypass; compliance has none at all."""
    scene = stage.scene()
    name = scene.bucket
    scene.owner.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    scene.owner.put_object_lock_configuration(
        Bucket=name, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"}
    )
    until = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    locked = {}
    for mode in ("GOVERNANCE", "COMPLIANCE"):
        put = scene.owner.put_object(
            Bucket=name,
            Key=mode,
            Body=b"x",
            ObjectLockMode=mode,
            ObjectLockRetainUntilDate=until,
        )
        locked[mode] = {"Bucket": name, "Key": mode, "VersionId": put["VersionId"]}
    set_policy(scene, allow(scene, "s3:DeleteObject*", "s3:PutObjectRetention"))
    bypass = {"BypassGovernanceRetention": True}
    shorter = {"Retention": {"Mode": "GOVERNANCE", "RetainUntilDate": until}}
    for version in locked.values():
        for more in ({}, bypass):
            assert code_of(stage.bob, "DeleteObject", version | more) == DENIED
        assert code_of(stage.bob, "PutObjectRetention", version | shorter | bypass) == DENIED
    entries = [{"Key": one["Key"], "VersionId": one["VersionId"]} for one in locked.values()]
    answer = stage.bob.delete_objects(Bucket=name, Delete={"Objects": entries}, **bypass)
    assert [one["Code"] for one in answer["Errors"]] == [DENIED, DENIED]
    set_policy(
        scene, allow(scene, "s3:DeleteObject*", "s3:BypassGovernanceRetention", "s3:PutObject*")
    )
    for client in (stage.bob, stage.alice, stage.root):
        assert code_of(client, "DeleteObject", locked["COMPLIANCE"] | bypass) == DENIED
    assert code_of(stage.bob, "DeleteObject", locked["GOVERNANCE"]) == DENIED
    assert code_of(stage.bob, "DeleteObject", locked["GOVERNANCE"] | bypass) == ""


def test_a_block_goes_before_what_is_public(stage: Stage) -> None:
    """N144."""
    scene = stage.scene(ObjectOwnership="BucketOwnerPreferred", ACL="public-read")
    name, read = scene.bucket, {"Bucket": scene.bucket, "Key": "key"}
    scene.owner.put_object_acl(**read, ACL="public-read")

    def block(**settings: bool) -> None:
        scene.owner.put_public_access_block(Bucket=name, PublicAccessBlockConfiguration=settings)

    assert code_of(stage.nobody, "GetObject", read) == ""
    block(IgnorePublicAcls=True)
    for client in (stage.nobody, stage.bob):
        assert code_of(client, "GetObject", read) == DENIED
        assert code_of(client, "ListObjects", {"Bucket": name}) == DENIED
    set_policy(scene, allow(scene, "s3:GetObject", who="*"))
    assert code_of(stage.nobody, "GetObject", read) == ""
    block(RestrictPublicBuckets=True, IgnorePublicAcls=True)
    for client in (stage.nobody, stage.bob):
        assert code_of(client, "GetObject", read) == DENIED
    assert code_of(stage.alice, "GetObject", read) == ""
    block(BlockPublicPolicy=True, BlockPublicAcls=True)
    assert code_of(stage.alice, "PutBucketPolicy", ROWS["PutBucketPolicy"](scene)) == DENIED
    for operation in ("PutBucketAcl", "PutObjectAcl"):
        assert code_of(stage.alice, operation, ROWS[operation](scene)) == DENIED
    new = {"Bucket": name, "Key": "new", "ACL": "public-read"}
    for operation in ("PutObject", "PostObject", "CreateMultipartUpload"):
        assert code_of(stage.alice, operation, new) == DENIED


def test_objects_of_their_writers(stage: Stage) -> None:
    """AWS: "The object writer [...] owns the object, has full control over it, and can grant other
    users access to it through ACLs."
    """
    scene = stage.scene(ObjectOwnership="ObjectWriter", ACL="public-read-write")
    name = scene.bucket
    stage.bob.put_object(Bucket=name, Key="bobs", Body=b"his")
    read = {"Bucket": name, "Key": "bobs"}
    assert code_of(stage.alice, "GetObject", read) == DENIED
    assert code_of(stage.nobody, "GetObject", read) == DENIED
    assert stage.bob.get_object(**read)["Body"].read() == b"his"
    page = scene.owner.list_object_versions(Bucket=name)
    owners = {one["Key"]: one["Owner"]["ID"] for one in page["Versions"]}
    assert owners["bobs"] == BOB.canonical_id
    assert owners["key"] == ALICE.canonical_id
    stage.bob.put_object_acl(**read, GrantRead=f'emailAddress="{ALICE.email}"')
    assert code_of(stage.alice, "GetObject", read) == ""
    shown = stage.root.get_object_acl(**read)
    assert [grant["Grantee"].get("ID") for grant in shown["Grants"]] == [ALICE.canonical_id]
    scene.owner.put_bucket_acl(Bucket=name, ACL="private")
    enforced = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    scene.owner.put_bucket_ownership_controls(Bucket=name, OwnershipControls=enforced)
    assert code_of(stage.bob, "GetObject", read) == DENIED
    assert code_of(stage.alice, "GetObjectAcl", read) == ""


def test_a_change_shows_on_every_server(stage: Stage) -> None:
    """Within what a bucket's record may be kept, a second."""
    scene = stage.scene()
    read = {"Bucket": scene.bucket, "Key": "key"}
    clients = [client_of(stage.cluster, BOB, server) for server in stage.cluster.servers]
    for client in clients:
        assert code_of(client, "GetObject", read) == DENIED
    set_policy(scene, allow(scene, "s3:GetObject"))
    assert code_of(clients[0], "GetObject", read) == ""
    stage.cluster.wait_until(lambda: code_of(clients[1], "GetObject", read) == "", 3)
    scene.owner.delete_bucket_policy(Bucket=scene.bucket)
    assert code_of(clients[0], "GetObject", read) == DENIED
    time.sleep(1.5)
    assert code_of(clients[1], "GetObject", read) == DENIED

"""Identities from the configuration file: a bucket is its owner's and root's."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from objstore.s3.operations import OPERATIONS
from tests.e2e.people import (
    ALICE,
    BOB,
    OF_NO_BUCKET,
    ROOT,
    ROWS,
    SECTIONS,
    Scene,
    client_of,
    code_of,
    new_scene,
)
from tests.e2e.raw_http import Shot, Signer, send
from tests.e2e.running import Cluster, S3Client

pytestmark = pytest.mark.xdist_group("identities")  # one cluster for all

BUCKET, BOBS = "alices-bucket", "bobs-bucket"


@dataclass(frozen=True)
class People:
    """Alice has a bucket with an object and an upload, Bob one with an object."""

    cluster: Cluster
    alice: S3Client
    bob: S3Client
    scene: Scene

    def stored(self) -> dict[str, Any]:
        """Return all that refused requests must not change."""
        buckets = self.cluster.client().list_buckets()["Buckets"]
        return self.scene.stored() | {"buckets": [one["Name"] for one in buckets]}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Iterator[People]:
    root = tmp_path_factory.mktemp("identities")
    (root / "bob.secret").write_text(BOB.secret + "\n")
    with Cluster.running(root, sections=SECTIONS) as cluster:
        alice, bob = client_of(cluster, ALICE), client_of(cluster, BOB)
        bob.create_bucket(Bucket=BOBS)
        bob.put_object(Bucket=BOBS, Key="key", Body=b"what is there")
        yield People(cluster, alice, bob, new_scene(alice, f"{BOBS}/key", BUCKET))


def test_every_served_operation_has_a_row() -> None:
    served = {operation.value for operation, spec in OPERATIONS.items() if spec.served}
    assert set(ROWS) | OF_NO_BUCKET == served


@pytest.mark.parametrize("operation", ROWS)
def test_the_bucket_of_another_is_refused(people: People, operation: str) -> None:
    """N132: user A on B's bucket, all operations; nothing changes."""
    before = people.stored()
    assert code_of(people.bob, operation, ROWS[operation](people.scene)) == "AccessDenied"
    assert people.stored() == before


READS = [name for name in ROWS if name.startswith(("Get", "Head", "List"))]


@pytest.mark.parametrize("operation", ROWS)
def test_another_owner_than_the_one_expected(people: People, operation: str) -> None:
    """AWS: "If the account ID that you provide does not match the actual owner of the bucket, the
    request fails with the HTTP status code 403 Forbidden (access denied)."
    """
    before = people.stored()
    arguments = {**ROWS[operation](people.scene), "ExpectedBucketOwner": BOB.account}
    assert code_of(people.alice, operation, arguments) == "AccessDenied"
    assert people.stored() == before


@pytest.mark.parametrize("operation", READS)
def test_the_owner_expected(people: People, operation: str) -> None:
    for name in (ALICE.account, ALICE.canonical_id):
        arguments = {**ROWS[operation](people.scene), "ExpectedBucketOwner": name}
        assert code_of(people.alice, operation, arguments) != "AccessDenied"


@pytest.mark.parametrize("operation", ["CopyObject", "UploadPartCopy"])
def test_the_source_of_a_copy_is_its_owner_s(people: People, operation: str) -> None:
    """N138, in both directions."""
    before = people.stored()
    assert code_of(people.alice, operation, ROWS[operation](people.scene)) == "AccessDenied"
    taking: dict[str, Any] = {"Bucket": BOBS, "Key": "taken", "CopySource": f"{BUCKET}/key"}
    if operation == "UploadPartCopy":
        taking |= {"UploadId": people.scene.upload_id, "PartNumber": 1}
    assert code_of(people.bob, operation, taking) == "AccessDenied"
    own = {"CopySource": f"{BUCKET}/key", "ExpectedSourceBucketOwner": BOB.account}
    arguments = {**ROWS[operation](people.scene), **own}
    assert code_of(people.alice, operation, arguments) == "AccessDenied"
    assert people.stored() == before


def test_owners_may_do_everything_on_every_server(people: People) -> None:
    for server in people.cluster.servers:
        for who, name in ((ALICE, BUCKET), (BOB, BOBS), (ROOT, BUCKET)):
            client = (
                people.cluster.client(server)
                if who is ROOT
                else client_of(people.cluster, who, server)
            )
            client.put_object(Bucket=name, Key=f"by/{who.access_key}", Body=b"mine")
            found = client.get_object(Bucket=name, Key=f"by/{who.access_key}")
            assert found["Body"].read() == b"mine"
            client.delete_object(Bucket=name, Key=f"by/{who.access_key}")


def test_everybody_lists_their_own_buckets_and_root_all(people: People) -> None:
    seen = {}
    for client in (people.alice, people.bob, people.cluster.client()):
        page = client.list_buckets()
        seen[page["Owner"]["ID"]] = {one["Name"] for one in page["Buckets"]}
    assert seen == {
        ALICE.canonical_id: {BUCKET},
        BOB.canonical_id: {BOBS},
        ROOT.canonical_id: {BUCKET, BOBS},
    }
    assert people.alice.get_bucket_acl(Bucket=BUCKET)["Owner"] == {
        "ID": ALICE.canonical_id,
        "DisplayName": "Alice",
    }


def test_a_name_that_another_has_is_taken(people: People) -> None:
    assert code_of(people.bob, "CreateBucket", {"Bucket": BUCKET}) == "BucketAlreadyExists"
    root = people.cluster.client()
    assert code_of(root, "CreateBucket", {"Bucket": BUCKET}) == "BucketAlreadyExists"
    assert code_of(people.alice, "CreateBucket", {"Bucket": BUCKET}) == ""  # us-east-1


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "info"), ("POST", "heal"), ("GET", "locate?bucket=x&key=y")]
)
def test_the_operator_s_routes_are_root_s(people: People, method: str, path: str) -> None:
    address = people.cluster.address(0)
    path, _, query = f"/.objstore/admin/v1/{path}".partition("?")
    shot = Shot(method, path, query, headers=(("Host", "{}:{}".format(*address)),))
    answer = send(address, Signer(ALICE.access_key, ALICE.secret).sign(shot))
    assert f"{answer.status} {answer.code}" == "403 AccessDenied"


@pytest.mark.parametrize(
    ("service", "operation"), [("iam", "ListUsers"), ("sts", "GetCallerIdentity")]
)
def test_iam_and_sts_say_that_they_are_not_served(
    people: People, service: str, operation: str
) -> None:
    client = client_of(people.cluster, ALICE, service=service)
    assert code_of(client, operation, {}) == "NotImplemented"


def test_what_is_wrong_with_the_file_is_said(own_cluster: Callable[..., Cluster]) -> None:
    """Readable by everybody: noted. Two identities of one name: refused. Never with a secret."""
    cluster = own_cluster(servers=1)
    cluster.stop()
    root = cluster.drives[0].parents[1]
    config, log = root / "layout.toml", root / "server1" / "server.log"
    layout = config.read_text("utf-8")
    only_alice = SECTIONS.partition('[[identities]]\naccess_key = "bob')[0]
    warning = "secret keys can be read by every user of this machine"
    for mode, warned in ((0o600, False), (0o644, True)):
        config.write_text(layout + only_alice, "utf-8")
        config.chmod(mode)
        cluster.start_server(0)
        cluster.wait_ready()
        assert (warning in log.read_text("utf-8")) == warned
        cluster.stop()
    config.write_text(layout + only_alice + only_alice, "utf-8")
    cluster.start_server(0)
    assert "identity 2: its access_key is that of identity 1 too" in cluster.wait_refused(0)
    assert ALICE.secret not in log.read_text("utf-8")

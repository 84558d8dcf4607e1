"""What a refusal has to be: an S3 error document with a RequestId, and nothing stored."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.e2e.content import fresh_name
from tests.e2e.credentials import SECRET_KEY
from tests.e2e.raw_http import Answer, Shot, send
from tests.e2e.running import Cluster, S3Client

PRESENT = b"what was there before"


@dataclass(frozen=True)
class Target:
    """A bucket with one object, `present`, that no refused request may change."""

    cluster: Cluster
    bucket: str
    other: str  # another bucket, with an object `secret`
    client: S3Client

    @property
    def host(self) -> str:
        """The Host header."""
        return "{}:{}".format(*self.cluster.address(0))

    def shot(self, method: str = "GET", key: str | None = "present", body: bytes = b"") -> Shot:
        """Return an unsigned request for a key (None: the bucket)."""
        path = f"/{self.bucket}" if key is None else f"/{self.bucket}/{key}"
        return Shot(method, path, headers=(("Host", self.host),), body=body)

    def put(self, body: bytes = b"hello") -> Shot:
        """Return an unsigned PUT of a new key."""
        return self.shot("PUT", "new", body)

    def stored(self) -> dict[str, str]:
        """Return what the bucket holds: key -> ETag, and uploads by id."""
        listing = self.client.list_objects_v2(Bucket=self.bucket)
        uploads = self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        held = {item["Key"]: item["ETag"] for item in listing.get("Contents", [])}
        return held | {item["UploadId"]: item["Key"] for item in uploads}

    def buckets(self) -> set[str]:
        """Return the names of all buckets."""
        return {item["Name"] for item in self.client.list_buckets()["Buckets"]}


Build = Callable[[Target], Shot | bytes]


class Row(NamedTuple):
    """One way to be refused. `expected` holds "STATUS Code" alternatives, divided by " | "."""

    name: str
    build: Build
    expected: str


def new_target(cluster: Cluster) -> Target:
    """Make the two buckets on a running cluster."""
    client = cluster.client(0)
    target = Target(cluster, fresh_name("refusals"), fresh_name("other"), client)
    for bucket, key in ((target.bucket, "present"), (target.other, "secret")):
        client.create_bucket(Bucket=bucket)
        client.put_object(Bucket=bucket, Key=key, Body=PRESENT)
    return target


def check_row(target: Target, row: Row) -> Answer:
    """Send the row's request and assert that it was refused as expected, with no effect."""
    before, buckets = target.stored(), target.buckets()
    answer = send(target.cluster.address(0), row.build(target))
    expected = row.expected.split(" | ")
    assert f"{answer.status} {answer.code}" in expected, f"{answer}, expected {row.expected}"
    check_document(answer)
    assert target.stored() == before
    assert target.buckets() == buckets
    return answer


def check_document(answer: Answer) -> None:
    """Assert that an answer is an S3 error document that gives nothing away."""
    assert answer.body.lstrip().startswith(b"<?xml"), answer
    assert b"<Error>" in answer.body
    assert answer.request_id
    assert answer.headers.get("x-amz-request-id") == answer.request_id
    assert answer.headers["content-type"].startswith("application/xml")
    assert b"Traceback" not in answer.body
    assert SECRET_KEY.encode() not in answer.body
    assert b"what was there before" not in answer.body

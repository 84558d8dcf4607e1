"""minio-py: files and streams, listing, copying and composing, links, forms, versions, locks."""

import io
import os
from datetime import UTC, datetime, timedelta

import requests
from minio import Minio, S3Error
from minio.commonconfig import ENABLED, GOVERNANCE, ComposeSource, CopySource, Tags
from minio.datatypes import PostPolicy
from minio.deleteobjects import DeleteObject
from minio.retention import Retention
from minio.versioningconfig import VersioningConfig

from tests.interop.scripts.scenario import Target, raised, run

MIB = 1024 * 1024


def _client(target: Target) -> Minio:
    return Minio(target.host, target.access_key, target.secret_key, secure=False)


def stores_files_and_streams(target: Target) -> None:
    client = _client(target)
    assert client.bucket_exists(target.bucket)
    data = os.urandom(12 * MIB + 5)
    (target.directory / "up").write_bytes(data)
    client.fput_object(
        target.bucket,
        "dir/file",
        str(target.directory / "up"),
        content_type="application/x-test",
        metadata={"who": "minio-py"},
        part_size=5 * MIB,
    )
    client.fget_object(target.bucket, "dir/file", str(target.directory / "down"))
    assert (target.directory / "down").read_bytes() == data
    stat = client.stat_object(target.bucket, "dir/file")
    assert (stat.size, stat.content_type) == (len(data), "application/x-test")
    assert stat.metadata is not None
    assert stat.metadata["x-amz-meta-who"] == "minio-py"
    # A stream whose length nobody knows goes up in parts.
    client.put_object(target.bucket, "stream", io.BytesIO(data), -1, part_size=5 * MIB)
    answer = client.get_object(target.bucket, "stream", offset=5 * MIB - 1, length=3)
    try:
        assert answer.read() == data[5 * MIB - 1 : 5 * MIB + 2]
    finally:
        answer.close()
        answer.release_conn()
    error = raised(S3Error, lambda: client.stat_object(target.bucket, "nothing"))
    assert isinstance(error, S3Error)
    assert error.code == "NoSuchKey"


def lists_and_removes(target: Target) -> None:
    client = _client(target)
    names = [f"list/{letter}/ü {number}" for letter in "abc" for number in range(4)]
    for name in names:
        client.put_object(target.bucket, name, io.BytesIO(b"x"), 1)
    assert [item.object_name for item in client.list_objects(target.bucket, "list/")] == [
        f"list/{letter}/" for letter in "abc"
    ]
    found = list(client.list_objects(target.bucket, "list/", recursive=True))
    assert [item.object_name for item in found] == names
    assert [
        item.object_name
        for item in client.list_objects(
            target.bucket, "list/", recursive=True, use_api_v1=True, start_after=names[-2]
        )
    ] == names[-1:]
    assert not list(client.remove_objects(target.bucket, [DeleteObject(name) for name in names]))
    assert not list(client.list_objects(target.bucket, "list/", recursive=True))


def copies_and_composes(target: Target) -> None:
    client = _client(target)
    first, second = os.urandom(5 * MIB), os.urandom(1000)
    client.put_object(target.bucket, "first", io.BytesIO(first), len(first))
    client.put_object(target.bucket, "second", io.BytesIO(second), len(second))
    client.compose_object(
        target.bucket,
        "both",
        [ComposeSource(target.bucket, "first"), ComposeSource(target.bucket, "second")],
        metadata={"made": "of two"},
    )
    assert client.get_object(target.bucket, "both").data == first + second
    client.copy_object(target.bucket, "copy", CopySource(target.bucket, "second"))
    assert client.get_object(target.bucket, "copy").data == second


def shares_links_and_forms(target: Target) -> None:
    client = _client(target)
    put = client.presigned_put_object(target.bucket, "shared", timedelta(minutes=5))
    assert requests.put(put, data=b"by a link", timeout=10).status_code == 200
    get = client.presigned_get_object(
        target.bucket, "shared", response_headers={"response-content-type": "text/x-test"}
    )
    answer = requests.get(get, timeout=10)
    assert (answer.content, answer.headers["Content-Type"]) == (b"by a link", "text/x-test")
    policy = PostPolicy(target.bucket, datetime.now(UTC) + timedelta(minutes=5))
    policy.add_starts_with_condition("key", "form/")
    policy.add_content_length_range_condition(1, 100)
    form: dict[str, object] = client.presigned_post_policy(policy) | {"key": "form/one"}
    sent = requests.post(
        f"{target.endpoint}/{target.bucket}", data=form, files={"file": b"in a form"}, timeout=10
    )
    assert sent.status_code == 204, sent.text
    assert client.get_object(target.bucket, "form/one").data == b"in a form"


def tags(target: Target) -> None:
    client = _client(target)
    wanted = Tags.new_object_tags()
    wanted["team"] = "blue"
    client.put_object(target.bucket, "tagged", io.BytesIO(b"x"), 1, tags=wanted)
    assert client.get_object_tags(target.bucket, "tagged") == wanted
    client.delete_object_tags(target.bucket, "tagged")
    assert client.get_object_tags(target.bucket, "tagged") is None
    ofbucket = Tags.new_bucket_tags()
    ofbucket["cost center"] = "7"
    client.set_bucket_tags(target.bucket, ofbucket)
    assert client.get_bucket_tags(target.bucket) == ofbucket
    client.delete_bucket_tags(target.bucket)


def keeps_and_locks_versions(target: Target) -> None:
    client = _client(target)
    bucket = f"{target.bucket}-locked"
    client.make_bucket(bucket, object_lock=True)
    client.set_bucket_versioning(bucket, VersioningConfig(ENABLED))
    until = datetime.now(UTC).replace(microsecond=0) + timedelta(days=1)
    one = client.put_object(bucket, "doc", io.BytesIO(b"1"), 1).version_id
    client.set_object_retention(bucket, "doc", Retention(GOVERNANCE, until), version_id=one)
    two = client.put_object(bucket, "doc", io.BytesIO(b"2"), 1).version_id
    kept = client.get_object_retention(bucket, "doc", version_id=one)
    assert kept is not None
    assert (kept.mode, kept.retain_until_date) == (GOVERNANCE, until)
    raised(S3Error, lambda: client.remove_object(bucket, "doc", version_id=one))
    client.remove_object(bucket, "doc")
    versions = list(client.list_objects(bucket, include_version=True))
    assert [item.version_id for item in versions if not item.is_delete_marker] == [two, one]
    assert len(versions) == 3  # with the delete marker
    assert client.get_object(bucket, "doc", version_id=one).data == b"1"
    everything = [DeleteObject("doc", item.version_id) for item in versions]
    assert not list(client.remove_objects(bucket, everything, bypass_governance_mode=True))
    client.remove_bucket(bucket)


run(
    stores_files_and_streams,
    lists_and_removes,
    copies_and_composes,
    shares_links_and_forms,
    tags,
    keeps_and_locks_versions,
)

"""s3cmd: put, get, sync, information, copies, links, tags, rules and half-done uploads."""

import json
import urllib.request
from pathlib import Path

import pytest

from tests.e2e.content import Content
from tests.e2e.running import Cluster
from tests.interop import clients
from tests.interop.clients import CommandLine, check_tree, file_sha256, write_file, write_tree

pytestmark = pytest.mark.interop

MIB = 1024 * 1024


@pytest.fixture
def s3cmd(cluster: Cluster, tmp_path: Path) -> CommandLine:
    return clients.s3cmd(cluster.url(0), tmp_path)


@pytest.mark.parametrize("size", [0, 5000, 12 * MIB + 1])
def test_puts_and_gets(s3cmd: CommandLine, bucket: str, tmp_path: Path, size: int) -> None:
    """In parts of 5 MiB above that size; s3cmd checks the MD5 of what it gets."""
    content = Content(size + 5, size)
    name = f"s3://{bucket}/dir/a b ü+%.bin"
    s3cmd("put", "--multipart-chunk-size-mb=5", write_file(tmp_path / "up", content), name)
    s3cmd("get", name, tmp_path / "down")
    assert file_sha256(tmp_path / "down") == content.sha256
    said = s3cmd("info", name)
    assert f"File size: {size}" in said
    assert f"MD5 sum:   {content.md5}" in said
    assert s3cmd("ls", f"s3://{bucket}/dir/").split()[2:] == [str(size), *name.split()]


def test_syncs(s3cmd: CommandLine, bucket: str, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "up")
    s3cmd("sync", f"{tmp_path / 'up'}/", f"s3://{bucket}/tree/")
    (tmp_path / "down").mkdir()
    s3cmd("sync", f"s3://{bucket}/tree/", f"{tmp_path / 'down'}/")
    check_tree(tmp_path / "down", tree)
    assert "upload:" not in s3cmd("sync", f"{tmp_path / 'up'}/", f"s3://{bucket}/tree/")
    (tmp_path / "up" / "b.bin").unlink()
    s3cmd("sync", "--delete-removed", f"{tmp_path / 'up'}/", f"s3://{bucket}/tree/")
    del tree["b.bin"]
    total = sum(content.size for content in tree.values())
    assert s3cmd("du", f"s3://{bucket}").split()[:2] == [str(total), str(len(tree))]


def test_copies_moves_and_deletes(s3cmd: CommandLine, bucket: str, tmp_path: Path) -> None:
    content = Content(7, 100_000)
    s3cmd("put", write_file(tmp_path / "up", content), f"s3://{bucket}/one")
    s3cmd("cp", f"s3://{bucket}/one", f"s3://{bucket}/two")
    s3cmd("mv", f"s3://{bucket}/one", f"s3://{bucket}/three")
    s3cmd("modify", "--add-header=x-amz-meta-colour:blue", f"s3://{bucket}/three")
    assert "x-amz-meta-colour: blue" in s3cmd("info", f"s3://{bucket}/three")
    listed = s3cmd("ls", f"s3://{bucket}").split()[3::4]
    assert listed == [f"s3://{bucket}/three", f"s3://{bucket}/two"]
    link = s3cmd("signurl", f"s3://{bucket}/two", "+60").strip()
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == content.bytes()
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}")
    assert s3cmd("ls", f"s3://{bucket}") == ""


def test_buckets(s3cmd: CommandLine, bucket: str, tmp_path: Path) -> None:
    s3cmd("mb", f"s3://{bucket}-more")
    assert f"s3://{bucket}-more" in s3cmd("ls")
    said = s3cmd("info", f"s3://{bucket}-more")
    assert "Location:  us-east-1" in said
    assert "Policy:    none" in said
    s3cmd("put", write_file(tmp_path / "x", Content(1, 10)), f"s3://{bucket}-more/x")
    s3cmd("rb", "--recursive", "--force", f"s3://{bucket}-more")
    assert f"s3://{bucket}-more" not in s3cmd("ls")


def test_half_done_uploads(
    s3cmd: CommandLine, bucket: str, tmp_path: Path, cluster: Cluster
) -> None:
    client = cluster.client(1)
    made = client.create_multipart_upload(Bucket=bucket, Key="half")
    upload = made["UploadId"]
    client.upload_part(Bucket=bucket, Key="half", UploadId=upload, PartNumber=1, Body=b"x" * 5000)
    assert upload in s3cmd("multipart", f"s3://{bucket}")
    assert "5000" in s3cmd("listmp", f"s3://{bucket}/half", upload)
    s3cmd("abortmp", f"s3://{bucket}/half", upload)
    assert upload not in s3cmd("multipart", f"s3://{bucket}")
    client.close()


def test_tags(s3cmd: CommandLine, bucket: str, tmp_path: Path) -> None:
    name = f"s3://{bucket}/tagged"
    s3cmd("put", write_file(tmp_path / "x", Content(1, 10)), name)
    s3cmd("settagging", name, "team=blue&stage=test")
    assert "team:\tblue" in s3cmd("gettagging", name)
    s3cmd("deltagging", name)
    assert "blue" not in s3cmd("gettagging", name)


def test_rules(s3cmd: CommandLine, bucket: str) -> None:
    s3cmd("expire", "--expiry-days=7", "--expiry-prefix=logs/", f"s3://{bucket}")
    assert "logs/" in s3cmd("info", f"s3://{bucket}")
    assert "<Days>7</Days>" in s3cmd("getlifecycle", f"s3://{bucket}")
    s3cmd("dellifecycle", f"s3://{bucket}")
    assert "Expiration rule: none" in s3cmd("info", f"s3://{bucket}")


def test_policies(s3cmd: CommandLine, bucket: str, tmp_path: Path) -> None:
    """The owner's own requests are denied too: "an explicit deny in any policy overrides"."""
    name = f"s3://{bucket}/kept"
    s3cmd("put", write_file(tmp_path / "x", Content(1, 10)), name)
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket}/kept",
    }
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"Version": "2012-10-17", "Statement": [statement]}), "utf-8")
    s3cmd("setpolicy", policy, f"s3://{bucket}")
    assert "s3:DeleteObject" in s3cmd("info", f"s3://{bucket}")
    assert "403" in s3cmd("del", name, fails=True)
    s3cmd("delpolicy", f"s3://{bucket}")
    s3cmd("del", name)

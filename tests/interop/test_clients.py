"""What users of each client do: copy up and down, synchronise, move, remove, list, share a link."""

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig

from tests.e2e.content import Content
from tests.e2e.running import Cluster, S3Client
from tests.interop import clients
from tests.interop.clients import CommandLine, check_tree, file_sha256, write_file, write_tree

MIB = 1024 * 1024
# Nothing, small, one byte more than a stripe, and enough for every client's multipart.
SIZES = (0, 1, 5000, MIB + 1, 64 * MIB + 3)
LARGE = 1024 * MIB


@pytest.fixture(params=["aws", "s5cmd", "rclone"])
def tool(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def aws(cluster: Cluster, tmp_path: Path) -> CommandLine:
    return clients.aws(cluster.url(0), tmp_path)


@pytest.fixture
def s5cmd(cluster: Cluster, tmp_path: Path) -> CommandLine:
    return clients.s5cmd(cluster.url(1), tmp_path)


@pytest.fixture
def rclone(cluster: Cluster, tmp_path: Path) -> CommandLine:
    return clients.rclone(cluster.url(0), tmp_path)


@pytest.fixture
def boto(cluster: Cluster) -> Iterator[S3Client]:
    client = cluster.client(0)
    yield client
    client.close()


@pytest.mark.parametrize("size", SIZES)
def test_aws_copies_files_up_and_down(
    aws: CommandLine, bucket: str, tmp_path: Path, size: int
) -> None:
    content = Content(size, size)
    up, down = write_file(tmp_path / "up file.bin", content), tmp_path / "down"
    aws("s3", "cp", up, f"s3://{bucket}/dir/up file.bin")
    aws("s3", "cp", f"s3://{bucket}/dir/up file.bin", down)
    assert file_sha256(down) == content.sha256
    listed = aws("s3", "ls", f"s3://{bucket}/dir/")
    assert listed.split()[-3:] == [str(size), "up", "file.bin"]


def test_aws_streams_from_and_to_a_pipe(aws: CommandLine, bucket: str) -> None:
    aws("s3", "cp", "-", f"s3://{bucket}/x", standard_input="through a pipe")
    assert aws("s3", "cp", f"s3://{bucket}/x", "-") == "through a pipe"
    head = aws("s3api", "head-object", "--bucket", bucket, "--key", "x")
    assert '"ContentLength": 14' in head


def test_aws_sync(aws: CommandLine, bucket: str, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "up")
    aws("s3", "sync", tmp_path / "up", f"s3://{bucket}/tree")
    aws("s3", "sync", f"s3://{bucket}/tree", tmp_path / "down")
    check_tree(tmp_path / "down", tree)
    assert aws("s3", "sync", tmp_path / "up", f"s3://{bucket}/tree") == ""
    (tmp_path / "up" / "a.txt").unlink()
    aws("s3", "sync", "--delete", tmp_path / "up", f"s3://{bucket}/tree")
    aws("s3", "sync", f"s3://{bucket}/tree", f"s3://{bucket}/copy")
    aws("s3", "sync", f"s3://{bucket}/copy", tmp_path / "again")
    del tree["a.txt"]
    check_tree(tmp_path / "again", tree)


def test_aws_mv_rm_ls(aws: CommandLine, bucket: str, tmp_path: Path) -> None:
    content = Content(3, 20 * MIB)
    aws("s3", "mv", write_file(tmp_path / "x", content), f"s3://{bucket}/a/x")
    assert not (tmp_path / "x").exists()
    aws("s3", "mv", f"s3://{bucket}/a/x", f"s3://{bucket}/b/y")
    assert aws("s3", "ls", f"s3://{bucket}").split() == ["PRE", "b/"]
    aws("s3", "cp", f"s3://{bucket}/b/y", tmp_path / "y")
    assert file_sha256(tmp_path / "y") == content.sha256
    summary = aws("s3", "ls", "--recursive", "--summarize", f"s3://{bucket}")
    assert f"Total Size: {content.size}" in summary
    aws("s3", "rm", "--recursive", f"s3://{bucket}/b")
    assert aws("s3", "ls", "--recursive", f"s3://{bucket}") == ""


def test_aws_makes_and_removes_buckets(aws: CommandLine, bucket: str) -> None:
    aws("s3", "mb", f"s3://{bucket}-more")
    assert f"{bucket}-more" in aws("s3", "ls")
    aws("s3", "rb", f"s3://{bucket}-more")
    assert f"{bucket}-more" not in aws("s3", "ls")


@pytest.mark.parametrize("links_by", ["", "s3v4"])
def test_aws_presign(cluster: Cluster, bucket: str, tmp_path: Path, links_by: str) -> None:
    aws = clients.aws(cluster.url(0), tmp_path, links_by=links_by)
    aws("s3", "cp", write_file(tmp_path / "x", Content(1, 5000)), f"s3://{bucket}/a b/ü+.txt")
    link = aws("s3", "presign", f"s3://{bucket}/a b/ü+.txt").strip()
    assert ("X-Amz-Signature" in link) == (links_by == "s3v4")
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == Content(1, 5000).bytes()


@pytest.mark.parametrize("size", SIZES)
def test_boto3_upload_file_and_download_file(
    boto: S3Client, bucket: str, tmp_path: Path, size: int
) -> None:
    """Multipart above 8 MiB, several threads, as boto3 does it by default."""
    content = Content(size + 1, size)
    boto.upload_file(str(write_file(tmp_path / "up", content)), bucket, "dir/key")
    boto.download_file(bucket, "dir/key", str(tmp_path / "down"))
    assert file_sha256(tmp_path / "down") == content.sha256
    etag = boto.head_object(Bucket=bucket, Key="dir/key")["ETag"].strip('"')
    assert etag == content.md5 if size < 8 * MIB else etag.endswith(f"-{-(-size // (8 * MIB))}")


def test_boto3_copies_in_parts(boto: S3Client, bucket: str, tmp_path: Path) -> None:
    content = Content(9, 30 * MIB)
    boto.upload_file(str(write_file(tmp_path / "up", content)), bucket, "key")
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=8 * MIB)
    boto.copy({"Bucket": bucket, "Key": "key"}, bucket, "copy", Config=config)
    boto.download_file(bucket, "copy", str(tmp_path / "down"))
    assert file_sha256(tmp_path / "down") == content.sha256


@pytest.mark.parametrize("size", SIZES)
def test_s5cmd_copies_files_up_and_down(
    s5cmd: CommandLine, bucket: str, tmp_path: Path, size: int
) -> None:
    content = Content(size + 2, size)
    s5cmd("cp", write_file(tmp_path / "up", content), f"s3://{bucket}/dir/up")
    s5cmd("cp", f"s3://{bucket}/dir/up", tmp_path / "down")
    assert file_sha256(tmp_path / "down") == content.sha256
    assert str(size) in s5cmd("ls", f"s3://{bucket}/dir/")


def test_s5cmd_trees(s5cmd: CommandLine, bucket: str, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "up")
    s5cmd("sync", f"{tmp_path / 'up'}/", f"s3://{bucket}/tree/")
    s5cmd("cp", f"s3://{bucket}/tree/*", f"{tmp_path / 'down'}/")
    check_tree(tmp_path / "down", tree)
    s5cmd("mv", f"s3://{bucket}/tree/b.bin", f"s3://{bucket}/moved")
    assert "100" in s5cmd("du", f"s3://{bucket}/moved")
    s5cmd("rm", f"s3://{bucket}/*")
    s5cmd("ls", f"s3://{bucket}/*", fails=True)


@pytest.mark.parametrize("size", SIZES)
def test_rclone_copies_files_up_and_down(
    rclone: CommandLine, bucket: str, tmp_path: Path, size: int
) -> None:
    content = Content(size + 3, size)
    up = write_file(tmp_path / "up", content)
    rclone("copyto", "--s3-upload-cutoff", "16M", up, f"store:{bucket}/dir/up")
    rclone("copyto", f"store:{bucket}/dir/up", tmp_path / "down")
    assert file_sha256(tmp_path / "down") == content.sha256
    assert rclone("lsf", "--format", "sp", f"store:{bucket}/dir").strip() == f"{size};up"


def test_rclone_trees(rclone: CommandLine, bucket: str, tmp_path: Path) -> None:
    tree = write_tree(tmp_path / "up")
    rclone("sync", tmp_path / "up", f"store:{bucket}/tree")
    rclone("check", "--download", tmp_path / "up", f"store:{bucket}/tree")
    rclone("sync", f"store:{bucket}/tree", tmp_path / "down")
    check_tree(tmp_path / "down", tree)
    rclone("moveto", f"store:{bucket}/tree/b.bin", f"store:{bucket}/moved")
    rclone("purge", f"store:{bucket}/tree")
    assert rclone("lsf", "-R", f"store:{bucket}").split() == ["moved"]


@pytest.mark.slow
def test_every_client_on_a_gibibyte(
    cluster: Cluster, bucket: str, tmp_path: Path, tool: str
) -> None:
    """The same 1 GiB up through one server and down through the other."""
    content = Content(77, LARGE)
    up, down = write_file(tmp_path / "up", content), tmp_path / "down"
    make = {"aws": clients.aws, "s5cmd": clients.s5cmd, "rclone": clients.rclone}[tool]
    one, two = make(cluster.url(0), tmp_path), make(cluster.url(1), tmp_path)
    remote = {"rclone": f"store:{bucket}/large"}.get(tool, f"s3://{bucket}/large")
    copy = {"aws": ("s3", "cp", "--quiet"), "s5cmd": ("cp",), "rclone": ("copyto",)}[tool]
    one(*copy, up, remote)
    up.unlink()
    two(*copy, remote, down)
    assert file_sha256(down) == content.sha256
    down.unlink()


@pytest.mark.slow
def test_boto3_on_a_gibibyte(cluster: Cluster, bucket: str, tmp_path: Path) -> None:
    content = Content(78, LARGE)
    up, down = write_file(tmp_path / "up", content), tmp_path / "down"
    one, two = cluster.client(0), cluster.client(1)
    one.upload_file(str(up), bucket, "large")
    up.unlink()
    two.download_file(bucket, "large", str(down))
    assert file_sha256(down) == content.sha256
    down.unlink()
    one.close()
    two.close()

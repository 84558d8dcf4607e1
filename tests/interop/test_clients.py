"""What users of each client do: copy up and down, synchronise, move, remove, list, share a link."""

import json
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig

from tests.e2e.content import Content
from tests.e2e.running import Cluster, S3Client
from tests.interop import clients
from tests.interop.clients import CommandLine, check_tree, file_sha256, write_file, write_tree

pytestmark = pytest.mark.interop

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


def test_aws_empties_and_removes_a_bucket(aws: CommandLine, bucket: str, tmp_path: Path) -> None:
    other = f"{bucket}-forced"
    aws("s3", "mb", f"s3://{other}")
    aws("s3", "cp", "--recursive", _some_files(tmp_path), f"s3://{other}/")
    aws("s3", "rb", f"s3://{other}", fails=True)
    aws("s3", "rb", "--force", f"s3://{other}")
    assert other not in aws("s3", "ls")


def test_aws_says_what_an_object_is(aws: CommandLine, bucket: str, tmp_path: Path) -> None:
    up = write_file(tmp_path / "up.html", Content(4, 9 * MIB))
    name = f"s3://{bucket}/page"
    said = ("--metadata", "who=cli", "--cache-control", "no-cache", "--content-language", "de")
    aws("s3", "cp", *said, "--storage-class", "REDUCED_REDUNDANCY", up, name)
    head = json.loads(aws("s3api", "head-object", "--bucket", bucket, "--key", "page"))
    assert (head["ContentType"], head["CacheControl"]) == ("text/html", "no-cache")
    assert (head["ContentLanguage"], head["Metadata"]) == ("de", {"who": "cli"})
    assert head["StorageClass"] == "REDUCED_REDUNDANCY"
    aws("s3", "cp", name, name, "--metadata-directive", "REPLACE", "--metadata", "who=again")
    head = json.loads(aws("s3api", "head-object", "--bucket", bucket, "--key", "page"))
    assert head["Metadata"] == {"who": "again"}


def test_aws_writes_on_conditions(aws: CommandLine, bucket: str, tmp_path: Path) -> None:
    body = write_file(tmp_path / "body", Content(6, 1000))
    put = ("s3api", "put-object", "--bucket", bucket, "--key", "once", "--body", body)
    etag = json.loads(aws(*put, "--if-none-match", "*"))["ETag"]
    assert "PreconditionFailed" in aws(*put, "--if-none-match", "*", fails=True)
    aws(*put, "--if-match", etag)
    wrong = f'"{"0" * 32}"'
    assert "PreconditionFailed" in aws(*put, "--if-match", wrong, fails=True)
    delete = ("s3api", "delete-object", "--bucket", bucket, "--key", "once")
    assert "PreconditionFailed" in aws(*delete, "--if-match", wrong, fails=True)
    aws(*delete, "--if-match", etag)


def test_aws_versions_and_tags(aws: CommandLine, bucket: str, tmp_path: Path) -> None:
    of = ("--bucket", bucket, "--key", "doc")
    versioning = ("put-bucket-versioning", "--bucket", bucket, "--versioning-configuration")
    aws("s3api", *versioning, "Status=Enabled")
    body = write_file(tmp_path / "body", Content(6, 1000))
    made = [json.loads(aws("s3api", "put-object", *of, "--body", body)) for _ in range(2)]
    one, two = (item["VersionId"] for item in made)
    aws(
        "s3api",
        "put-object-tagging",
        *of,
        "--version-id",
        one,
        "--tagging",
        "TagSet=[{Key=a,Value=b}]",
    )
    tags = json.loads(aws("s3api", "get-object-tagging", *of, "--version-id", one))
    assert tags["TagSet"] == [{"Key": "a", "Value": "b"}]
    aws("s3", "rm", f"s3://{bucket}/doc")
    assert aws("s3", "ls", f"s3://{bucket}") == ""
    listed = json.loads(aws("s3api", "list-object-versions", "--bucket", bucket))
    assert [item["VersionId"] for item in listed["Versions"]] == [two, one]
    (marker,) = listed["DeleteMarkers"]
    aws("s3api", "delete-object", *of, "--version-id", marker["VersionId"])
    aws("s3", "cp", f"s3://{bucket}/doc", tmp_path / "back")
    assert file_sha256(tmp_path / "back") == Content(6, 1000).sha256


def test_s5cmd_pipes_batches_and_links(s5cmd: CommandLine, bucket: str, tmp_path: Path) -> None:
    s5cmd("pipe", f"s3://{bucket}/piped", standard_input="through a pipe")
    assert s5cmd("cat", f"s3://{bucket}/piped") == "through a pipe"
    files = _some_files(tmp_path)
    batch = "".join(f"cp {files}/{name} s3://{bucket}/batch/{name}\n" for name in "abc")
    s5cmd("run", standard_input=batch)
    assert s5cmd("ls", f"s3://{bucket}/batch/*").count("\n") == 3
    s5cmd("cp", f"s3://{bucket}/batch/*", f"s3://{bucket}/copies/")
    s5cmd("sync", "--delete", f"{files}/", f"s3://{bucket}/copies/")
    link = s5cmd("presign", f"s3://{bucket}/piped").strip()
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"through a pipe"


def test_s5cmd_versions(s5cmd: CommandLine, bucket: str) -> None:
    s5cmd("bucket-version", "--set", "Enabled", f"s3://{bucket}")
    assert "Enabled" in s5cmd("bucket-version", f"s3://{bucket}")
    for text in ("first", "second"):
        s5cmd("pipe", f"s3://{bucket}/doc", standard_input=text)
    s5cmd("rm", f"s3://{bucket}/doc")
    lines = [
        line.split() for line in s5cmd("ls", "--all-versions", f"s3://{bucket}/doc").splitlines()
    ]
    assert len(lines) == 3  # with the delete marker
    (first,) = [line[-1] for line in lines if line[2] == "5"]
    assert s5cmd("cat", "--version-id", first, f"s3://{bucket}/doc") == "first"
    s5cmd("rm", "--all-versions", f"s3://{bucket}/doc")
    s5cmd("ls", "--all-versions", f"s3://{bucket}/*", fails=True)


def test_rclone_checks_hashes_and_metadata(
    rclone: CommandLine, bucket: str, tmp_path: Path
) -> None:
    """`check` compares MD5s: the ETag, or for objects of parts what rclone kept beside it."""
    tree = write_tree(tmp_path / "up")
    tree["large"] = Content(8, 11 * MIB)
    write_file(tmp_path / "up" / "large", tree["large"])
    rclone("sync", "--s3-upload-cutoff", "6M", tmp_path / "up", f"store:{bucket}/tree")
    rclone("check", tmp_path / "up", f"store:{bucket}/tree")
    listed = json.loads(rclone("lsjson", "-R", "--hash", "--files-only", f"store:{bucket}/tree"))
    assert {item["Path"]: item["Hashes"]["md5"] for item in listed} == {
        name: content.md5 for name, content in tree.items()
    }
    seconds = {item["Path"]: item["ModTime"][:19] for item in listed}
    for name in tree:  # the time of the file, to the second, from the metadata
        changed = datetime.fromtimestamp((tmp_path / "up" / name).stat().st_mtime, UTC)
        assert seconds[name] == changed.isoformat()[:19]
    write_file(tmp_path / "up" / "b.bin", Content(9, 100))  # other bytes, same size
    assert "b.bin: md5 differ" in rclone(
        "check", tmp_path / "up", f"store:{bucket}/tree", fails=True
    )


def test_rclone_moves_links_and_cleans_up(
    rclone: CommandLine, boto: S3Client, bucket: str, tmp_path: Path
) -> None:
    rclone("rcat", f"store:{bucket}/piped", standard_input="through a pipe")
    assert rclone("cat", "--offset", "8", f"store:{bucket}/piped") == "a pipe"
    rclone("move", _some_files(tmp_path), f"store:{bucket}/moved")
    rclone("copy", f"store:{bucket}/moved", f"store:{bucket}/copied")
    rclone("check", f"store:{bucket}/moved", f"store:{bucket}/copied")
    assert json.loads(rclone("size", "--json", f"store:{bucket}"))["count"] == 7
    link = rclone("link", f"store:{bucket}/piped").strip()
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"through a pipe"
    boto.create_multipart_upload(Bucket=bucket, Key="half")
    rclone("backend", "cleanup", "-o", "max-age=0", f"store:{bucket}")
    assert "Uploads" not in boto.list_multipart_uploads(Bucket=bucket)


def test_rclone_versions(rclone: CommandLine, bucket: str) -> None:
    rclone("backend", "versioning", f"store:{bucket}", "Enabled")
    for text in ("first", "second!"):
        rclone("rcat", f"store:{bucket}/doc.txt", standard_input=text)
    rclone("deletefile", f"store:{bucket}/doc.txt")
    assert rclone("lsf", f"store:{bucket}") == ""
    listed = rclone("lsf", "--s3-versions", "--format", "s", f"store:{bucket}").split()
    assert sorted(listed) == ["5", "7"]
    rclone("backend", "cleanup-hidden", f"store:{bucket}")  # what only versions keep
    assert rclone("lsf", "--s3-versions", f"store:{bucket}") == ""


def _some_files(root: Path) -> Path:
    """Write three small files and return their directory."""
    for size, name in enumerate("abc"):
        write_file(root / "some" / name, Content(size, size))
    return root / "some"


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

"""Objects through boto3, from both servers: what is put through one is there through the other."""

import base64
import datetime as dt
import hashlib
import urllib.request
from collections.abc import Iterator
from urllib.error import HTTPError

import pytest
from botocore.exceptions import ClientError

from tests.e2e.content import Content, sha256_of
from tests.e2e.raw_http import CHECKSUM_NAMES, Shot, Signer, checksum, send
from tests.e2e.running import Cluster, S3Client

# Around every border: nothing, inline or not (16 KiB of shard), block, stripe, several stripes.
SIZES = (0, 1, 2, 3, 100, 4096, 49_151, 49_152, 49_153, 349_525, 349_526, 1_048_575, 1_048_576)
LARGER = (1_048_577, 2_097_152, 5_242_881, 20_000_003)


def status_of(error: pytest.ExceptionInfo[ClientError]) -> int:
    return int(error.value.response["ResponseMetadata"]["HTTPStatusCode"])


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


@pytest.fixture
def other(cluster: Cluster) -> Iterator[S3Client]:
    client = cluster.client(1)
    yield client
    client.close()


@pytest.mark.parametrize("size", SIZES + LARGER)
def test_put_get_head_delete(s3: S3Client, other: S3Client, bucket: str, size: int) -> None:
    content = Content(size, size)
    put = s3.put_object(Bucket=bucket, Key="key", Body=content.bytes())
    assert put["ETag"] == f'"{content.md5}"'
    for client in (s3, other):
        head = client.head_object(Bucket=bucket, Key="key")
        assert head["ContentLength"] == size
        assert head["ETag"] == put["ETag"]
        answer = client.get_object(Bucket=bucket, Key="key")
        assert answer["ContentLength"] == size
        assert sha256_of(answer["Body"].iter_chunks(65_536)) == content.sha256
    s3.delete_object(Bucket=bucket, Key="key")
    for client in (s3, other):
        with pytest.raises(client.exceptions.NoSuchKey):
            client.get_object(Bucket=bucket, Key="key")
        with pytest.raises(ClientError) as refused:
            client.head_object(Bucket=bucket, Key="key")
        assert status_of(refused) == 404


def test_the_last_write_wins_whichever_server_took_it(
    cluster: Cluster, bucket: str, other: S3Client
) -> None:
    one = cluster.client(0)
    for number in range(20):
        writer, reader = (one, other) if number % 2 else (other, one)
        writer.put_object(Bucket=bucket, Key="key", Body=str(number).encode())
        assert reader.get_object(Bucket=bucket, Key="key")["Body"].read() == str(number).encode()
    one.close()


def test_deleting_what_is_not_there_succeeds(s3: S3Client, bucket: str) -> None:
    assert (
        s3.delete_object(Bucket=bucket, Key="absent")["ResponseMetadata"]["HTTPStatusCode"] == 204
    )


def test_delete_objects(s3: S3Client, bucket: str) -> None:
    for number in range(10):
        s3.put_object(Bucket=bucket, Key=f"key{number}", Body=b"x")
    wanted = [{"Key": f"key{number}"} for number in range(8)] + [{"Key": "absent"}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert {item["Key"] for item in answer["Deleted"]} == {item["Key"] for item in wanted}
    left = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [item["Key"] for item in left] == ["key8", "key9"]
    quiet = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "key8"}], "Quiet": True})
    assert "Deleted" not in quiet


@pytest.mark.parametrize("size", [0, 10, 2_500_000])
def test_every_range(s3: S3Client, bucket: str, size: int) -> None:
    content = Content(7, size)
    s3.put_object(Bucket=bucket, Key="key", Body=content.bytes())
    asked = [(0, 1), (0, size), (size // 2, size), (size - 1, size), (1_048_570, 1_048_590)]
    for start, stop in asked:
        if not 0 <= start < stop <= size:
            continue
        answer = s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={start}-{stop - 1}")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206
        assert answer["ContentRange"] == f"bytes {start}-{stop - 1}/{size}"
        assert answer["Body"].read() == content.bytes(start, stop)
    if size:
        suffix = s3.get_object(Bucket=bucket, Key="key", Range="bytes=-5")
        assert suffix["Body"].read() == content.bytes(size - 5, size)
        rest = s3.get_object(Bucket=bucket, Key="key", Range=f"bytes=3-{10 * size}")
        assert rest["Body"].read() == content.bytes(3, size)
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={size}-")
    assert (status_of(refused), code_of(refused)) == (416, "InvalidRange")


def test_conditional_reads(s3: S3Client, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="key", Body=b"x")["ETag"]
    modified = s3.head_object(Bucket=bucket, Key="key")["LastModified"]
    earlier, later = modified - dt.timedelta(minutes=1), modified + dt.timedelta(minutes=1)
    answered = (
        {"IfMatch": etag},
        {"IfMatch": "*"},
        {"IfNoneMatch": '"other"'},
        {"IfModifiedSince": earlier},
        {"IfUnmodifiedSince": later},
        # RFC 9110: If-Match is decisive, If-Unmodified-Since is then not looked at.
        {"IfMatch": etag, "IfUnmodifiedSince": earlier},
        # and likewise If-None-Match over If-Modified-Since.
        {"IfNoneMatch": '"other"', "IfModifiedSince": modified},
    )
    for conditions in answered:
        assert s3.get_object(Bucket=bucket, Key="key", **conditions)["Body"].read() == b"x"
    refusals = (
        ({"IfMatch": '"other"'}, 412),
        ({"IfNoneMatch": etag}, 304),
        ({"IfNoneMatch": "*"}, 304),
        ({"IfModifiedSince": modified}, 304),
        ({"IfUnmodifiedSince": earlier}, 412),
    )
    for conditions, status in refusals:
        for call in (s3.get_object, s3.head_object):
            with pytest.raises(ClientError) as refused:
                call(Bucket=bucket, Key="key", **conditions)
            assert status_of(refused) == status, (conditions, call)


def test_metadata_and_standard_headers(s3: S3Client, other: S3Client, bucket: str) -> None:
    expires = dt.datetime(2031, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    attributes = {
        "ContentType": "text/x-test",
        "CacheControl": "max-age=5",
        "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "br",
        "ContentLanguage": "de",
        "Expires": expires,
        "Metadata": {"plain": "value", "with-dash": "a  b", "empty": ""},
    }
    s3.put_object(Bucket=bucket, Key="key", Body=b"x", **attributes)
    head = other.head_object(Bucket=bucket, Key="key")
    for name in ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding"):
        assert head[name] == attributes[name]
    assert head["ContentLanguage"] == "de"
    assert head["ExpiresString"].endswith("2031 03:04:05 GMT")
    assert head["Metadata"]["plain"] == "value"
    assert head["Metadata"]["empty"] == ""
    assert head["AcceptRanges"] == "bytes"
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    assert other.head_object(Bucket=bucket, Key="plain")["ContentType"] == "binary/octet-stream"
    override = s3.get_object(Bucket=bucket, Key="key", ResponseContentType="text/y")
    assert override["ContentType"] == "text/y"


def test_copy(s3: S3Client, bucket: str) -> None:
    content = Content(3, 3_000_000)
    s3.put_object(
        Bucket=bucket,
        Key="a b/ü+%",
        Body=content.bytes(),
        ContentType="text/a",
        Metadata={"k": "v"},
    )
    source = {"Bucket": bucket, "Key": "a b/ü+%"}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source)
    assert copied["CopyObjectResult"]["ETag"] == f'"{content.md5}"'
    answer = s3.get_object(Bucket=bucket, Key="copy")
    assert sha256_of(answer["Body"].iter_chunks(65_536)) == content.sha256
    assert (answer["ContentType"], answer["Metadata"]) == ("text/a", {"k": "v"})
    s3.copy_object(
        Bucket=bucket,
        Key="copy",
        CopySource={"Bucket": bucket, "Key": "copy"},
        MetadataDirective="REPLACE",
        ContentType="text/b",
        Metadata={"new": "1"},
    )
    head = s3.head_object(Bucket=bucket, Key="copy")
    assert (head["ContentType"], head["Metadata"]) == ("text/b", {"new": "1"})
    with pytest.raises(ClientError) as refused:
        s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "copy"})
    assert code_of(refused) == "InvalidRequest"
    etag = f'"{content.md5}"'
    with pytest.raises(ClientError) as refused:
        s3.copy_object(Bucket=bucket, Key="c2", CopySource=source, CopySourceIfNoneMatch=etag)
    assert code_of(refused) == "PreconditionFailed"


def test_content_md5(s3: S3Client, bucket: str) -> None:
    right = base64.b64encode(hashlib.md5(b"hello", usedforsecurity=False).digest()).decode()
    s3.put_object(Bucket=bucket, Key="key", Body=b"hello", ContentMD5=right)
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="key", Body=b"other", ContentMD5=right)
    assert code_of(refused) == "BadDigest"
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"hello"


@pytest.mark.parametrize("algorithm", [name.upper() for name in CHECKSUM_NAMES])
def test_every_checksum_by_header(s3: S3Client, bucket: str, algorithm: str) -> None:
    """AWS: "Amazon S3 uses the checksum value to verify the integrity of the object"."""
    name = f"Checksum{algorithm}"
    data = Content(5, 2_000_000).bytes()
    value = checksum(algorithm.lower(), data)
    put = s3.put_object(Bucket=bucket, Key="key", Body=data, **{name: value})
    assert put[name] == value
    answer = s3.get_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert answer["Body"].read() == data
    assert answer[name] == value
    assert answer["ChecksumType"] == "FULL_OBJECT"
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="key", Body=data[1:], **{name: value})
    assert code_of(refused) == "BadDigest"


def test_presigned_links(cluster: Cluster, s3: S3Client, bucket: str) -> None:
    params = {"Bucket": bucket, "Key": "a b/ü+%.txt"}
    link = s3.generate_presigned_url("put_object", Params=params, ExpiresIn=60)
    put = urllib.request.Request(link, data=b"by link", method="PUT")
    with urllib.request.urlopen(put, timeout=10) as answer:
        assert answer.status == 200
    params["ResponseContentDisposition"] = 'attachment; filename="x.txt"'
    link = s3.generate_presigned_url("get_object", Params=params, ExpiresIn=60)
    with urllib.request.urlopen(link, timeout=10) as answer:
        assert answer.read() == b"by link"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="x.txt"'
    with pytest.raises(HTTPError) as refused:
        urllib.request.urlopen(link.replace("x.txt", "y.txt"), timeout=10)
    assert refused.value.code == 403
    refused.value.close()


ODD_KEYS = (
    "a/b",
    "a/b/c",
    "a/b/c/",
    "a//b",
    "/leading",
    "trailing/",
    "..",
    "../up",
    "a/../b",
    "./a",
    "a/./b",
    " ",
    " a ",
    "a b",
    "a+b",
    "a%b",
    "a%2Fb",
    "a&b=c?d#e",
    "ü",
    "日本語/🎉",
    "a:b*c|d<e>f\"g'h",
    "a\\b",
    "a\tb",
    "\x7f",
    "~-_.!()'*",
    "k" * 1024,
    "€" * 341,
)


def test_keys_of_odd_bytes_live_side_by_side(s3: S3Client, bucket: str) -> None:
    """`a/b` and `a/b/c` both exist, and nothing is normalised."""
    for key in ODD_KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    for key in ODD_KEYS:
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == key.encode(), key
    listed = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert listed == sorted(ODD_KEYS, key=str.encode)
    for key in ODD_KEYS:
        s3.delete_object(Bucket=bucket, Key=key)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_virtual_host_style(cluster: Cluster, s3: S3Client, bucket: str) -> None:
    """AWS: "the bucket name is part of the domain name in the URL"."""
    address = cluster.address(0)
    host = ("Host", f"{bucket}.localhost:{address[1]}")
    path = "/a%20b/%C3%BC%2B%25"
    put = Signer().sign(Shot("PUT", path, headers=(host,), body=b"virtual"))
    assert send(address, put).status == 200
    assert send(address, Signer().sign(Shot("GET", path, headers=(host,)))).body == b"virtual"
    listing = send(address, Signer().sign(Shot("GET", "/", "list-type=2", headers=(host,))))
    assert b"<KeyCount>1</KeyCount>" in listing.body
    assert s3.get_object(Bucket=bucket, Key="a b/ü+%")["Body"].read() == b"virtual"
    link = Signer().presign(Shot("GET", path, headers=(host,)))
    assert send(address, link).body == b"virtual"
    nowhere = ("Host", f"absent-bucket.localhost:{address[1]}")
    answer = send(address, Signer().sign(Shot("GET", path, headers=(nowhere,))))
    assert (answer.status, answer.code) == (404, "NoSuchBucket")


@pytest.mark.slow
@pytest.mark.xdist_group("disks")
@pytest.mark.parametrize("size", [64 * 1024**2, pytest.param(1024**3, marks=pytest.mark.long)])
def test_a_large_object_in_one_put(cluster: Cluster, bucket: str, size: int) -> None:
    """Read and written as a stream: neither side ever holds it."""
    content = Content(11, size)
    writer, reader = cluster.client(0), cluster.client(1)
    with content.open() as body:
        put = writer.put_object(Bucket=bucket, Key="large", Body=body, ContentLength=size)
    assert put["ETag"] == f'"{content.md5}"'
    answer = reader.get_object(Bucket=bucket, Key="large")
    assert sha256_of(answer["Body"].iter_chunks(1024 * 1024)) == content.sha256
    middle = reader.get_object(
        Bucket=bucket, Key="large", Range=f"bytes={size // 2}-{size // 2 + 99}"
    )
    assert middle["Body"].read() == content.bytes(size // 2, size // 2 + 100)
    writer.delete_object(Bucket=bucket, Key="large")
    writer.close()
    reader.close()

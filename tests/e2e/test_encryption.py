"""Objects under customers' keys, on real servers: HTTP with the switch for tests, and without."""

import base64
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError
from urllib3 import PoolManager

from tests.e2e import faults
from tests.e2e.content import Content, fresh_name
from tests.e2e.credentials import ACCESS_KEY, REGION, SECRET_KEY
from tests.e2e.running import Cluster, S3Client

pytestmark = pytest.mark.xdist_group("encryption")  # one cluster for all

BUCKET = "secrets"
WARNING = "accepted over plain HTTP"
SECRET, OTHER_SECRET = (hashlib.sha256(name).digest() for name in (b"one", b"other"))
KEY: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": SECRET}
OTHER: dict[str, Any] = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": OTHER_SECRET}
SOURCE_KEY = {f"CopySource{name}": value for name, value in KEY.items()}
HEADERS = {
    "x-amz-server-side-encryption-customer-algorithm": "AES256",
    "x-amz-server-side-encryption-customer-key": base64.b64encode(SECRET).decode(),
    "x-amz-server-side-encryption-customer-key-MD5": base64.b64encode(
        hashlib.md5(SECRET).digest()
    ).decode(),
}


@pytest.fixture(scope="module")
def over_http(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster.running(
        tmp_path_factory.mktemp("encryption"),
        buckets=(BUCKET,),
        environment={"OBJSTORE_SSEC_OVER_HTTP": "true"},
    ) as cluster:
        yield cluster
        assert WARNING in cluster.logs()


@pytest.fixture
def client(over_http: Cluster) -> Iterator[S3Client]:
    made = over_http.client(0)
    yield made
    made.close()


@pytest.fixture
def other(over_http: Cluster) -> Iterator[S3Client]:
    made = over_http.client(1)
    yield made
    made.close()


def read(client: S3Client, key: str, **arguments: Any) -> bytes:
    body: bytes = client.get_object(Bucket=BUCKET, Key=key, **arguments)["Body"].read()
    return body


def code(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def test_without_the_switch_keys_are_refused(cluster: Cluster, bucket: str) -> None:
    """AWS: "Amazon S3 rejects any requests made over HTTP when using SSE-C." """
    client = cluster.client(0)
    with pytest.raises(ClientError, match="must be made over a secure connection") as refused:
        client.put_object(Bucket=bucket, Key="k", Body=b"x", **KEY)
    assert code(refused) == "InvalidRequest"
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    assert WARNING not in cluster.logs()
    client.close()


@pytest.mark.parametrize("size", [0, 1, 100, 49_153, 1_048_577, 5_000_003])
def test_put_get_head(client: S3Client, other: S3Client, size: int) -> None:
    content, key = Content(size, size), fresh_name("object")
    put = client.put_object(Bucket=BUCKET, Key=key, Body=content.bytes(), **KEY)
    for one in (client, other):
        got = one.get_object(Bucket=BUCKET, Key=key, ChecksumMode="ENABLED", **KEY)
        assert got["Body"].read() == content.bytes()  # and boto3 checked the checksum
        assert got["ETag"] == put["ETag"]
        assert got["SSECustomerKeyMD5"] == put["SSECustomerKeyMD5"]
        assert one.head_object(Bucket=BUCKET, Key=key, **KEY)["ContentLength"] == size
        for wrong, expected in (({}, "InvalidRequest"), (OTHER, "AccessDenied")):
            with pytest.raises(ClientError) as refused:
                one.get_object(Bucket=BUCKET, Key=key, **wrong)
            assert code(refused) == expected
            with pytest.raises(ClientError) as refused:
                one.head_object(Bucket=BUCKET, Key=key, **wrong)
            assert code(refused) == {"InvalidRequest": "400", "AccessDenied": "403"}[expected]


def test_multipart_by_boto3s_transfers(client: S3Client, other: S3Client, tmp_path: Path) -> None:
    content, key = Content(3, 17_000_001), fresh_name("transfer")
    small = TransferConfig(multipart_threshold=6_000_000, multipart_chunksize=6_000_000)
    client.upload_fileobj(content.open(), BUCKET, key, ExtraArgs=KEY, Config=small)
    head = other.head_object(Bucket=BUCKET, Key=key, **KEY)
    assert head["ETag"].endswith('-3"')
    path = tmp_path / "back"
    other.download_file(BUCKET, key, str(path), ExtraArgs=KEY, Config=small)
    assert path.read_bytes() == content.bytes()
    asked = "bytes=5999990-6000009"
    assert read(other, key, Range=asked, **KEY) == content.bytes(5_999_990, 6_000_010)
    assert read(other, key, PartNumber=3, **KEY) == content.bytes(12_000_000)
    # A large copy, part by part, from one key to another.
    copied = fresh_name("copied")
    source = {"Bucket": BUCKET, "Key": key}
    client.copy(source, BUCKET, copied, ExtraArgs=OTHER | SOURCE_KEY, Config=small)
    assert read(other, copied, **OTHER) == content.bytes()


def test_copies_between_keys(client: S3Client, other: S3Client) -> None:
    data = os.urandom(70_000)
    client.put_object(Bucket=BUCKET, Key="from", Body=data, **KEY)
    source = {"Bucket": BUCKET, "Key": "from"}
    client.copy_object(Bucket=BUCKET, Key="rekeyed", CopySource=source, **SOURCE_KEY, **OTHER)
    client.copy_object(Bucket=BUCKET, Key="plain", CopySource=source, **SOURCE_KEY)
    back = {"Bucket": BUCKET, "Key": "plain"}
    client.copy_object(Bucket=BUCKET, Key="again", CopySource=back, **KEY)
    assert read(other, "rekeyed", **OTHER) == data
    assert read(other, "plain") == data
    assert read(other, "again", **KEY) == data
    with pytest.raises(ClientError) as refused:
        client.copy_object(Bucket=BUCKET, Key="no", CopySource=source, **OTHER)
    assert code(refused) == "InvalidRequest"


def test_links(over_http: Cluster, client: S3Client) -> None:
    """By Signature Version 4 the key stays in headers; by Version 2 boto3 puts it into the link."""
    data = os.urandom(1000)
    client.put_object(Bucket=BUCKET, Key="link", Body=data, **KEY)
    for version in ("s3v4", "s3"):
        signer: Any = boto3.client(
            "s3",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            region_name=REGION,
            endpoint_url=over_http.url(0),
            config=Config(signature_version=version, s3={"addressing_style": "path"}),
        )
        url = signer.generate_presigned_url(
            "get_object", Params={"Bucket": BUCKET, "Key": "link", **KEY}
        )
        request = Request(url, headers=HEADERS if version == "s3v4" else {})
        with urlopen(request, timeout=20) as answer:
            assert answer.read() == data
        signer.close()


def test_a_form(over_http: Cluster, client: S3Client) -> None:
    """The fields of a form are the headers of a PutObject."""
    form = client.generate_presigned_post(
        BUCKET, "form", Fields=HEADERS, Conditions=[{name: text} for name, text in HEADERS.items()]
    )
    with PoolManager() as http:
        answer = http.request(
            "POST", form["url"], fields={**form["fields"], "file": ("a.txt", b"from a form")}
        )
        assert answer.status == 204, answer.data
        assert answer.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"
    assert read(client, "form", **KEY) == b"from a form"


def test_a_drive_that_is_replaced_is_rebuilt_without_the_key(
    over_http: Cluster, other: S3Client
) -> None:
    contents = {fresh_name("rebuild"): Content(n, size) for n, size in enumerate((0, 9, 3_000_000))}
    for key, content in contents.items():
        other.put_object(Bucket=BUCKET, Key=key, Body=content.bytes(), **KEY)
    faults.replace_by_empty(over_http.drives[1])
    over_http.wait_until(lambda: not over_http.is_healthy(), 20)
    over_http.wait_healthy()
    faults.move_away(over_http.drives[3])
    over_http.wait_missing(3)
    for key, content in contents.items():
        assert read(other, key, **KEY) == content.bytes()
    faults.move_back(over_http.drives[3])
    over_http.wait_healthy()


def stored(cluster: Cluster) -> list[bytes]:
    """Return every file of every drive."""
    paths = (path for drive in cluster.drives for path in drive.rglob("*"))
    return [path.read_bytes() for path in paths if path.is_file()]


def test_neither_key_nor_content_is_on_drives_or_in_logs(
    over_http: Cluster, client: S3Client
) -> None:
    """N147: a scan after requests that went well and requests that were refused."""
    sentence = b"a sentence that nobody may read "
    client.put_object(Bucket=BUCKET, Key="small", Body=sentence, **KEY)
    client.put_object(Bucket=BUCKET, Key="large", Body=sentence * 100_000, **KEY)
    for wrong in ({}, OTHER):
        with pytest.raises(ClientError):
            client.get_object(Bucket=BUCKET, Key="large", **wrong)
    bad = {"SSECustomerKey": base64.b64encode(SECRET).decode(), "SSECustomerKeyMD5": "no"}
    with pytest.raises(ClientError):
        client.put_object(Bucket=BUCKET, Key="k", Body=b"x", **KEY | bad)
    files, logs = stored(over_http), over_http.logs().encode()
    for secret in (SECRET, OTHER_SECRET):
        for told in (secret, base64.b64encode(secret), secret.hex().encode()):
            assert told not in logs
            assert not any(told in file for file in files)
    # Three data shards share the small one: the first has a third of the sentence.
    beginning = sentence[:10]
    assert not any(beginning in file for file in files)
    client.put_object(Bucket=BUCKET, Key="plain", Body=sentence)
    assert any(beginning in file for file in stored(over_http))  # so the scan can fail

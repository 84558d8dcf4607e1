"""Multipart uploads through boto3, from both servers."""

import base64
import hashlib
import itertools
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from tests.e2e.content import Content, sha256_of
from tests.e2e.raw_http import CHECKSUM_NAMES, checksum
from tests.e2e.running import Cluster, S3Client

MIB = 1024 * 1024
PARTS = (Content(1, 5 * MIB), Content(2, 6 * MIB + 1), Content(3, 17))


def code_of(error: pytest.ExceptionInfo[ClientError]) -> str:
    return str(error.value.response["Error"]["Code"])


def begin(s3: S3Client, bucket: str, **options: object) -> dict[str, str]:
    answer = s3.create_multipart_upload(Bucket=bucket, Key="key", **options)
    return {"Bucket": bucket, "Key": "key", "UploadId": answer["UploadId"]}


def upload_all(s3: S3Client, upload: dict[str, str], first: int = 1) -> list[dict[str, object]]:
    return [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(PartNumber=number, Body=part.bytes(), **upload)["ETag"],
        }
        for number, part in enumerate(PARTS, first)
    ]


def whole() -> bytes:
    return b"".join(part.bytes() for part in PARTS)


def test_an_upload_in_parts(s3: S3Client, cluster: Cluster, bucket: str) -> None:
    other = cluster.client(1)
    upload = begin(s3, bucket, ContentType="text/a", Metadata={"k": "v"})
    named = upload_all(other, upload)
    assert [part["ETag"] for part in named] == [f'"{part.md5}"' for part in PARTS]
    with pytest.raises(ClientError) as refused:
        s3.get_object(Bucket=bucket, Key="key")
    assert code_of(refused) == "NoSuchKey"
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **upload)
    digests = b"".join(bytes.fromhex(part.md5) for part in PARTS)
    etag = f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-3"'
    assert done["ETag"] == etag
    answer = other.get_object(Bucket=bucket, Key="key")
    assert (answer["ETag"], answer["ContentType"], answer["Metadata"]) == (
        etag,
        "text/a",
        {"k": "v"},
    )
    assert answer["Body"].read() == whole()
    second = other.get_object(Bucket=bucket, Key="key", PartNumber=2)
    assert second["Body"].read() == PARTS[1].bytes()
    assert second["PartsCount"] == 3
    border = PARTS[0].size
    answer = s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={border - 5}-{border + 4}")
    assert answer["Body"].read() == whole()[border - 5 : border + 5]
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)
    other.close()


def test_parts_of_any_number_in_any_order(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    for number, part in ((10_000, PARTS[2]), (7, PARTS[1]), (2, PARTS[0])):
        s3.upload_part(PartNumber=number, Body=part.bytes(), **upload)
    listed = s3.list_parts(**upload)["Parts"]
    assert [part["PartNumber"] for part in listed] == [2, 7, 10_000]
    assert [part["Size"] for part in listed] == [part.size for part in PARTS]
    named = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in listed]
    s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **upload)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == whole()


def test_a_part_sent_again_replaces_the_first(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    s3.upload_part(PartNumber=1, Body=b"first", **upload)
    part = s3.upload_part(PartNumber=1, Body=b"second", **upload)
    named = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **upload)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"second"


def test_parts_left_out_are_gone(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    named = upload_all(s3, upload)
    s3.complete_multipart_upload(MultipartUpload={"Parts": named[1:]}, **upload)
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == whole()[PARTS[0].size :]


def test_completing_again_says_the_same(s3: S3Client, bucket: str) -> None:
    """A client that lost the answer asks again."""
    upload = begin(s3, bucket)
    named = upload_all(s3, upload)
    first = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **upload)
    second = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **upload)
    assert first["ETag"] == second["ETag"]


def test_abort(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    named = upload_all(s3, upload)
    s3.abort_multipart_upload(**upload)
    calls: tuple[Callable[[], object], ...] = (
        lambda: s3.upload_part(PartNumber=1, Body=b"x", **upload),
        lambda: s3.list_parts(**upload),
        lambda: s3.abort_multipart_upload(**upload),
        lambda: s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **upload),
    )
    for call in calls:
        with pytest.raises(ClientError) as refused:
            call()
        assert code_of(refused) == "NoSuchUpload"
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_part_copy(s3: S3Client, bucket: str) -> None:
    source = Content(4, 12 * MIB)
    s3.put_object(Bucket=bucket, Key="source ü+%", Body=source.bytes())
    upload = begin(s3, bucket)
    cuts = (0, 5 * MIB, 11 * MIB, 12 * MIB)
    named = []
    for number, (start, stop) in enumerate(itertools.pairwise(cuts), 1):
        answer = s3.upload_part_copy(
            PartNumber=number,
            CopySource={"Bucket": bucket, "Key": "source ü+%"},
            CopySourceRange=f"bytes={start}-{stop - 1}",
            **upload,
        )
        named.append({"PartNumber": number, "ETag": answer["CopyPartResult"]["ETag"]})
    s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **upload)
    body = s3.get_object(Bucket=bucket, Key="key")["Body"]
    assert sha256_of(body.iter_chunks(65_536)) == source.sha256
    with pytest.raises(ClientError) as refused:
        s3.upload_part_copy(
            PartNumber=1,
            CopySource={"Bucket": bucket, "Key": "source ü+%"},
            CopySourceRange=f"bytes=0-{source.size}",
            **begin(s3, bucket),
        )
    assert code_of(refused) in ("InvalidArgument", "InvalidRange")


def test_listing_uploads_in_pages(s3: S3Client, bucket: str) -> None:
    keys = ["a/1", "a/2", "a/2", "b", "c/x"]
    made = {(key, s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]) for key in keys}
    found = []
    markers: dict[str, str] = {}
    while True:
        page = s3.list_multipart_uploads(Bucket=bucket, MaxUploads=2, **markers)
        found += [(item["Key"], item["UploadId"]) for item in page.get("Uploads", [])]
        if not page["IsTruncated"]:
            break
        markers = {
            "KeyMarker": page["NextKeyMarker"],
            "UploadIdMarker": page["NextUploadIdMarker"],
        }
    assert set(found) == made
    assert len(found) == len(made)
    assert [key for key, _ in found] == sorted(keys)
    page = s3.list_multipart_uploads(Bucket=bucket, Delimiter="/")
    assert [item["Prefix"] for item in page["CommonPrefixes"]] == ["a/", "c/"]
    assert [item["Key"] for item in page["Uploads"]] == ["b"]


def test_listing_parts_in_pages(s3: S3Client, bucket: str) -> None:
    upload = begin(s3, bucket)
    for number in range(1, 8):
        s3.upload_part(PartNumber=number, Body=b"x", **upload)
    pages = s3.get_paginator("list_parts").paginate(PaginationConfig={"PageSize": 3}, **upload)
    sizes = [[part["PartNumber"] for part in page.get("Parts", [])] for page in pages]
    assert sizes == [[1, 2, 3], [4, 5, 6], [7]]


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_full_object_checksums(s3: S3Client, bucket: str, algorithm: str) -> None:
    """AWS: "Full object checksums ... are calculated based on all of the content"."""
    name = f"Checksum{algorithm}"
    upload = begin(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="FULL_OBJECT")
    named = []
    for number, part in enumerate(PARTS, 1):
        answer = s3.upload_part(
            PartNumber=number, Body=part.bytes(), ChecksumAlgorithm=algorithm, **upload
        )
        assert answer[name] == checksum(algorithm.lower(), part.bytes())
        named.append({"PartNumber": number, "ETag": answer["ETag"], name: answer[name]})
    value = checksum(algorithm.lower(), whole())
    done = s3.complete_multipart_upload(
        MultipartUpload={"Parts": named}, ChecksumType="FULL_OBJECT", **{name: value}, **upload
    )
    assert done[name] == value
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert (head[name], head["ChecksumType"]) == (value, "FULL_OBJECT")


@pytest.mark.parametrize("algorithm", [n.upper() for n in CHECKSUM_NAMES if n != "crc64nvme"])
def test_composite_checksums(s3: S3Client, bucket: str, algorithm: str) -> None:
    """AWS: "Composite checksums ... are calculated based on the individual checksums"."""
    name = f"Checksum{algorithm}"
    upload = begin(s3, bucket, ChecksumAlgorithm=algorithm, ChecksumType="COMPOSITE")
    named = []
    for number, part in enumerate(PARTS, 1):
        value = checksum(algorithm.lower(), part.bytes())
        answer = s3.upload_part(PartNumber=number, Body=part.bytes(), **{name: value}, **upload)
        named.append({"PartNumber": number, "ETag": answer["ETag"], name: answer[name]})
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **upload)
    raw = b"".join(base64.b64decode(str(part[name])) for part in named)
    assert done[name] == f"{checksum(algorithm.lower(), raw)}-3"


def test_the_default_checksum(s3: S3Client, cluster: Cluster, bucket: str) -> None:
    """AWS: "Amazon S3 added the default checksum, CRC64NVME", of the full object. Parts may bring
    checksums of other algorithms, as boto3's do.
    """
    upload = begin(s3, bucket)
    named = []
    for number, part in enumerate(PARTS, 1):
        crc32 = {"ChecksumCRC32": checksum("crc32", part.bytes())}
        extra = crc32 if number == 1 else {}  # boto3 adds a CRC32 trailer to the others
        answer = s3.upload_part(PartNumber=number, Body=part.bytes(), **extra, **upload)
        assert answer["ChecksumCRC32"] == crc32["ChecksumCRC32"]
        named.append({"PartNumber": number, "ETag": answer["ETag"], **crc32})
    done = s3.complete_multipart_upload(MultipartUpload={"Parts": named}, **upload)
    value = checksum("crc64nvme", whole())
    assert (done["ChecksumCRC64NVME"], done["ChecksumType"]) == (value, "FULL_OBJECT")
    head = cluster.client(1).head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert (head["ChecksumCRC64NVME"], head["ChecksumType"]) == (value, "FULL_OBJECT")
    wanted = ["ETag", "Checksum", "ObjectParts", "StorageClass", "ObjectSize"]
    known = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=wanted)
    assert f'"{known["ETag"]}"' == done["ETag"]
    assert known["Checksum"] == {"ChecksumCRC64NVME": value, "ChecksumType": "FULL_OBJECT"}
    assert (known["StorageClass"], known["ObjectSize"]) == ("STANDARD", len(whole()))
    assert [(one["Size"], one["ChecksumCRC64NVME"]) for one in known["ObjectParts"]["Parts"]] == [
        (part.size, checksum("crc64nvme", part.bytes())) for part in PARTS
    ]


def test_complete_says_what_the_upload_said(s3: S3Client, bucket: str) -> None:
    """AWS: "The complete request must include the checksum for each part."."""
    upload = begin(s3, bucket, ChecksumAlgorithm="SHA256")
    value = checksum("sha256", b"x")
    part = s3.upload_part(PartNumber=1, Body=b"x", ChecksumSHA256=value, **upload)
    etag = {"PartNumber": 1, "ETag": part["ETag"]}
    whole_value = checksum("sha256", base64.b64decode(value)) + "-1"

    def complete(parts: list[dict[str, object]], **more: object) -> str:
        with pytest.raises(ClientError) as refused:
            s3.complete_multipart_upload(MultipartUpload={"Parts": parts}, **more, **upload)
        return code_of(refused)

    right = [{**etag, "ChecksumSHA256": value}]
    assert complete([etag]) == "InvalidRequest"
    assert complete([{**etag, "ChecksumSHA256": "bad"}], ChecksumSHA256="bad") == "InvalidPart"
    assert complete(right, ChecksumSHA256="bad") == "InvalidRequest"
    assert complete(right, ChecksumSHA256=checksum("sha256", b"y")) == "BadDigest"
    assert complete(right, ChecksumType="FULL_OBJECT") == "BadDigest"
    assert complete(right, MpuObjectSize=2) == "InvalidRequest"
    done = s3.complete_multipart_upload(
        MultipartUpload={"Parts": right}, ChecksumSHA256=whole_value, MpuObjectSize=1, **upload
    )
    assert (done["ChecksumSHA256"], done["ChecksumType"]) == (whole_value, "COMPOSITE")


@pytest.mark.slow
@pytest.mark.xdist_group("disks")
@pytest.mark.parametrize("part_size", [8 * MIB, pytest.param(64 * MIB, marks=pytest.mark.long)])
def test_sixteen_parts_are_one_stream(cluster: Cluster, bucket: str, part_size: int) -> None:
    """Through both servers in turn; a gibibyte in all where parts are of 64 MiB."""
    clients = [cluster.client(0), cluster.client(1)]
    size = 16 * part_size
    content = Content(21, size)
    upload = begin(clients[0], bucket)
    named = []
    for number, start in enumerate(range(0, size, part_size), 1):
        answer = clients[number % 2].upload_part(
            PartNumber=number, Body=content.bytes(start, start + part_size), **upload
        )
        named.append({"PartNumber": number, "ETag": answer["ETag"]})
    clients[0].complete_multipart_upload(MultipartUpload={"Parts": named}, **upload)
    answer = clients[1].get_object(Bucket=bucket, Key="key")
    assert answer["ContentLength"] == size
    assert sha256_of(answer["Body"].iter_chunks(MIB)) == content.sha256
    clients[0].delete_object(Bucket=bucket, Key="key")
    for client in clients:
        client.close()

"""boto3 as applications use it: resources, paginators, waiters, forms, conditions, versions."""

import io
from concurrent.futures import ThreadPoolExecutor

import boto3
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.interop.scripts.scenario import Target, raised, run

# "412 Precondition Failed", or "409 Conflict" when the writes overlap.
LOST = ("PreconditionFailed", "ConditionalRequestConflict")


def works_with_resources(target: Target) -> None:
    bucket = boto3.resource("s3").Bucket(target.bucket)
    for number in range(25):
        bucket.put_object(Key=f"logs/{number:03}.txt", Body=f"line {number}".encode())
    assert [item.key for item in bucket.objects.filter(Prefix="logs/02")] == [
        f"logs/02{digit}.txt" for digit in range(5)
    ]
    item = bucket.Object("logs/007.txt")
    assert item.get()["Body"].read() == b"line 7"
    item.copy_from(
        CopySource={"Bucket": target.bucket, "Key": item.key},
        MetadataDirective="REPLACE",
        Metadata={"seen": "yes"},
        ContentType="text/plain",
    )
    item.reload()
    assert (item.metadata, item.content_type) == ({"seen": "yes"}, "text/plain")
    bucket.objects.filter(Prefix="logs/").delete()
    assert not list(bucket.objects.all())


def pages_and_waits(target: Target) -> None:
    s3 = boto3.client("s3")
    with ThreadPoolExecutor(8) as threads:
        list(
            threads.map(
                lambda n: s3.put_object(Bucket=target.bucket, Key=f"p/{n % 7}/{n:04}", Body=b"x"),
                range(210),
            )
        )
    pages = s3.get_paginator("list_objects_v2").paginate(
        Bucket=target.bucket, Prefix="p/", PaginationConfig={"PageSize": 50}
    )
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    assert len(keys) == 210
    assert keys == sorted(keys)
    folders = s3.get_paginator("list_objects").paginate(
        Bucket=target.bucket, Prefix="p/", Delimiter="/", PaginationConfig={"PageSize": 3}
    )
    assert [item["Prefix"] for item in folders.search("CommonPrefixes[]")] == [
        f"p/{n}/" for n in range(7)
    ]
    s3.get_waiter("object_exists").wait(Bucket=target.bucket, Key="p/0/0000")
    done = s3.delete_objects(
        Bucket=target.bucket, Delete={"Objects": [{"Key": key} for key in keys]}
    )
    assert len(done["Deleted"]) == 210
    s3.get_waiter("object_not_exists").wait(Bucket=target.bucket, Key="p/0/0000")


def sends_a_form(target: Target) -> None:
    """A browser's upload: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html"""
    s3 = boto3.client("s3", config=Config(signature_version="s3v4"))
    form = s3.generate_presigned_post(
        target.bucket,
        "forms/${filename}",
        Fields={"Content-Type": "text/plain", "success_action_status": "201"},
        Conditions=[
            {"Content-Type": "text/plain"},
            {"success_action_status": "201"},
            ["content-length-range", 1, 1000],
        ],
        ExpiresIn=60,
    )
    answer = requests.post(
        form["url"], data=form["fields"], files={"file": ("note.txt", b"from a form")}, timeout=10
    )
    assert answer.status_code == 201, answer.text
    assert "<Key>forms/note.txt</Key>" in answer.text
    back = s3.get_object(Bucket=target.bucket, Key="forms/note.txt")
    assert (back["Body"].read(), back["ContentType"]) == (b"from a form", "text/plain")
    large = requests.post(
        form["url"], data=form["fields"], files={"file": ("note.txt", b"x" * 1001)}, timeout=10
    )
    assert (large.status_code, "EntityTooLarge" in large.text) == (400, True), large.text


def shares_links(target: Target) -> None:
    s3 = boto3.client("s3", config=Config(signature_version="s3v4"))
    put = s3.generate_presigned_url(
        "put_object", {"Bucket": target.bucket, "Key": "a b/ü+.txt", "ContentType": "text/css"}
    )
    headers = {"Content-Type": "text/css"}
    assert requests.put(put, data=b"by a link", headers=headers, timeout=10).status_code == 200
    get = s3.generate_presigned_url(
        "get_object",
        {
            "Bucket": target.bucket,
            "Key": "a b/ü+.txt",
            "ResponseContentDisposition": 'attachment; filename="x.txt"',
        },
    )
    answer = requests.get(get, timeout=10)
    assert answer.content == b"by a link"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="x.txt"'
    assert requests.get(get.replace("x.txt", "y.txt"), timeout=10).status_code == 403


def lets_one_of_many_writers_win(target: Target) -> None:
    """Conditional writes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""
    s3 = boto3.client("s3")

    def claim(writer: int) -> bool:
        body = b"%d" % writer
        try:
            s3.put_object(Bucket=target.bucket, Key="lock", Body=body, IfNoneMatch="*")
        except ClientError as error:
            if error.response["Error"]["Code"] not in LOST:
                raise
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        won = [writer for writer, ok in enumerate(threads.map(claim, range(8))) if ok]
    assert len(won) == 1, won
    held = s3.get_object(Bucket=target.bucket, Key="lock")
    assert held["Body"].read() == b"%d" % won[0]
    s3.put_object(Bucket=target.bucket, Key="lock", Body=b"next", IfMatch=held["ETag"])
    late = raised(
        ClientError,
        lambda: s3.put_object(Bucket=target.bucket, Key="lock", Body=b"late", IfMatch=held["ETag"]),
    )
    assert "PreconditionFailed" in str(late)


def keeps_versions(target: Target) -> None:
    s3 = boto3.client("s3")
    bucket = f"{target.bucket}-versions"
    s3.create_bucket(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    one, two = (
        s3.put_object(Bucket=bucket, Key="doc", Body=body)["VersionId"] for body in (b"1", b"2")
    )
    marker = s3.delete_object(Bucket=bucket, Key="doc")
    assert marker["DeleteMarker"]
    raised(s3.exceptions.NoSuchKey, lambda: s3.get_object(Bucket=bucket, Key="doc"))
    listed = s3.list_object_versions(Bucket=bucket)
    assert [item["VersionId"] for item in listed["Versions"]] == [two, one]
    assert [item["VersionId"] for item in listed["DeleteMarkers"]] == [marker["VersionId"]]
    s3.delete_object(Bucket=bucket, Key="doc", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket=bucket, Key="doc")["Body"].read() == b"2"
    assert s3.get_object(Bucket=bucket, Key="doc", VersionId=one)["Body"].read() == b"1"
    boto3.resource("s3").Bucket(bucket).object_versions.delete()
    s3.delete_bucket(Bucket=bucket)


def tags_objects(target: Target) -> None:
    s3 = boto3.client("s3")
    s3.put_object(Bucket=target.bucket, Key="tagged", Body=b"", Tagging="team=blue&stage=a%20b")
    tags = s3.get_object_tagging(Bucket=target.bucket, Key="tagged")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"team": "blue", "stage": "a b"}
    assert s3.head_object(Bucket=target.bucket, Key="tagged")["TagCount"] == 2
    s3.delete_object_tagging(Bucket=target.bucket, Key="tagged")
    assert s3.get_object_tagging(Bucket=target.bucket, Key="tagged")["TagSet"] == []


def asks_for_attributes(target: Target) -> None:
    s3 = boto3.client("s3")
    part = 5 * 1024 * 1024
    s3.upload_fileobj(io.BytesIO(b"a" * (2 * part)), target.bucket, "parts")
    found = s3.get_object_attributes(
        Bucket=target.bucket,
        Key="parts",
        ObjectAttributes=["ObjectSize", "ObjectParts", "Checksum"],
    )
    assert found["ObjectSize"] == 2 * part
    assert found["ObjectParts"]["TotalPartsCount"] == 2
    assert found["Checksum"]


run(
    works_with_resources,
    pages_and_waits,
    shares_links,
    sends_a_form,
    lets_one_of_many_writers_win,
    keeps_versions,
    tags_objects,
    asks_for_attributes,
)

"""Forms that browsers post, on a real cluster: boto3 makes them, three clients send them."""
# ruff: noqa: E501 - a row of a table is one line

import base64
import hashlib
import hmac
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import boto3
import pytest
import urllib3
from botocore.config import Config
from urllib3.filepost import encode_multipart_formdata

from tests.e2e.content import Content
from tests.e2e.credentials import ACCESS_KEY, REGION, SECRET_KEY
from tests.e2e.raw_http import Answer, Shot, Signer, checksum, send
from tests.e2e.refusals import Row, Target, check_row, new_target
from tests.e2e.running import Cluster, S3Client

BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
DENIED = "403 AccessDenied"
BAD_POLICY = "400 InvalidPolicyDocument"
BAD_FIELD = "400 InvalidArgument"
Fields = dict[str, str]


def browser_form(fields: Mapping[str, str], data: bytes, filename: str = "cat.png") -> bytes:
    """Return a form as browsers encode it."""
    out = bytearray()
    for name, value in fields.items():
        out += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n'.encode()
        out += f"{value}\r\n".encode()
    out += f"--{BOUNDARY}\r\nContent-Disposition: form-data; name=".encode()
    out += f'"file"; filename="{filename}"\r\nContent-Type: image/png\r\n\r\n'.encode()
    return bytes(out + data + f"\r\n--{BOUNDARY}--\r\n".encode())


def shot_of(target: str, host: str, body: bytes) -> Shot:
    content_type = f"multipart/form-data; boundary={BOUNDARY}"
    return Shot("POST", target, headers=(("Host", host), ("Content-Type", content_type)), body=body)


def post(cluster: Cluster, bucket: str, fields: Mapping[str, str], data: bytes) -> Answer:
    """Post a form as a browser does."""
    address = cluster.address(0)
    return send(
        address, shot_of(f"/{bucket}", "{}:{}".format(*address), browser_form(fields, data))
    )


def presigner(cluster: Cluster, version: str, *, virtual: bool = False) -> S3Client:
    """Return a client that makes forms by a version of signatures."""
    return boto3.client(
        "s3",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
        region_name=REGION,
        endpoint_url=cluster.url(0).replace("127.0.0.1", "localhost" if virtual else "127.0.0.1"),
        config=Config(
            signature_version=version,
            s3={"addressing_style": "virtual" if virtual else "path"},
        ),
    )


@pytest.fixture(scope="module")
def s3(cluster: Cluster) -> Iterator[S3Client]:
    """Return a client of the other server than the one that is posted to."""
    client = cluster.client(1)
    yield client
    client.close()


@pytest.fixture(scope="module", params=["s3v4", "s3"])
def forms(cluster: Cluster, request: pytest.FixtureRequest) -> S3Client:
    """Return a client that makes forms by each version of signatures in turn."""
    return presigner(cluster, request.param)


# --- what works ------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 49_153, 1_048_577, 9_000_001])
def test_boto3s_forms_from_a_browser(
    cluster: Cluster, s3: S3Client, bucket: str, forms: S3Client, size: int
) -> None:
    content = Content(7, size)
    made = forms.generate_presigned_post(
        bucket,
        "a b/${filename}",
        Fields={"Content-Type": "image/png", "x-amz-meta-by": "größe", "acl": "private"},
        Conditions=[
            ["starts-with", "$Content-Type", "image/"],
            {"x-amz-meta-by": "größe"},
            {"acl": "private"},
            ["content-length-range", size, size],
        ],
    )
    answer = post(cluster, bucket, made["fields"], content.bytes())
    assert (answer.status, answer.body) == (204, b"")
    got = s3.get_object(Bucket=bucket, Key="a b/cat.png")
    assert got["ETag"] == answer.headers["etag"] == f'"{content.md5}"'
    assert hashlib.sha256(got["Body"].read()).hexdigest() == content.sha256
    assert got["ContentType"] == "image/png"
    assert got["ResponseMetadata"]["HTTPHeaders"]["x-amz-meta-by"] == "=?UTF-8?B?Z3LDtsOfZQ==?="


def test_another_clients_encoding(s3: S3Client, bucket: str, forms: S3Client) -> None:
    """urllib3 encodes as `requests` does: every field may have a filename of its own."""
    made = forms.generate_presigned_post(bucket, "key")
    fields = {name: (name, value) for name, value in made["fields"].items()}
    body, content_type = encode_multipart_formdata({**fields, "file": b"bytes"})
    answer = urllib3.request("POST", made["url"], body=body, headers={"Content-Type": content_type})
    assert answer.status == 204
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"bytes"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_follows_the_redirect(
    cluster: Cluster, s3: S3Client, bucket: str, forms: S3Client, tmp_path: Path
) -> None:
    (tmp_path / "ü x.txt").write_bytes(b"from curl")
    url = f"{cluster.url(0)}/{bucket}/landing?a=b"
    made = forms.generate_presigned_post(
        bucket,
        "${filename}",
        Fields={"success_action_redirect": url},
        Conditions=[{"success_action_redirect": url}],
    )
    arguments = [f"{name}={value}" for name, value in made["fields"].items()]
    each = [part for item in arguments for part in ("--form-string", item)]
    done = subprocess.run(
        ["curl", "-s", "-i", *each, "-F", "file=@ü x.txt", made["url"]],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=60,
    )
    etag = hashlib.md5(b"from curl", usedforsecurity=False).hexdigest()
    head = done.stdout.decode()
    assert " 303 " in head.splitlines()[0]
    query = f"a=b&bucket={bucket}&key=%C3%BC%20x.txt&etag=%22{etag}%22"
    assert f"Location: {cluster.url(0)}/{bucket}/landing?{query}\r\n" in head
    assert s3.get_object(Bucket=bucket, Key="ü x.txt")["Body"].read() == b"from curl"


def test_virtual_host(cluster: Cluster, s3: S3Client, bucket: str) -> None:
    made = presigner(cluster, "s3v4", virtual=True).generate_presigned_post(bucket, "key")
    host = urlsplit(made["url"]).netloc
    assert host.startswith(f"{bucket}.localhost")
    answer = send(cluster.address(0), shot_of("/", host, browser_form(made["fields"], b"x")))
    assert answer.status == 204
    assert answer.headers["location"] == f"http://{host}/key"
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


def test_created_with_a_document(cluster: Cluster, bucket: str, forms: S3Client) -> None:
    fields = {"success_action_status": "201"}
    made = forms.generate_presigned_post(bucket, "a/b c", Fields=fields, Conditions=[fields])
    answer = post(cluster, bucket, made["fields"], b"x")
    assert answer.status == 201
    tree = ET.fromstring(answer.body)
    assert tree.findtext("Bucket") == bucket
    assert tree.findtext("Key") == "a/b c"
    assert tree.findtext("ETag") == answer.headers["etag"]
    assert tree.findtext("Location") == f"{cluster.url(0)}/{bucket}/a/b%20c"


@pytest.mark.parametrize("algorithm", ["crc32", "crc64nvme", "sha256"])
def test_checksums(
    cluster: Cluster, s3: S3Client, bucket: str, forms: S3Client, algorithm: str
) -> None:
    data = b"checksummed"
    for sent, status in ((checksum(algorithm, b"other"), 400), (checksum(algorithm, data), 204)):
        fields = {f"x-amz-checksum-{algorithm}": sent}
        made = forms.generate_presigned_post(bucket, "key", Fields=fields, Conditions=[fields])
        assert post(cluster, bucket, made["fields"], data).status == status
    head = s3.head_object(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
    assert head[f"Checksum{algorithm.upper()}"] == checksum(algorithm, data)


def test_tags_and_conditions_as_in_a_put(
    cluster: Cluster, s3: S3Client, bucket: str, forms: S3Client
) -> None:
    tags = "<Tagging><TagSet><Tag><Key>a</Key><Value>b c</Value></Tag></TagSet></Tagging>"
    fields = {"tagging": tags, "if-none-match": "*"}
    conditions = [{name: value} for name, value in fields.items()]
    made = forms.generate_presigned_post(bucket, "key", Fields=fields, Conditions=conditions)
    assert post(cluster, bucket, made["fields"], b"first").status == 204
    again = post(cluster, bucket, made["fields"], b"second")
    assert (again.status, again.code) == (412, "PreconditionFailed")
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"first"
    tagging = s3.get_object_tagging(Bucket=bucket, Key="key")
    assert tagging["TagSet"] == [{"Key": "a", "Value": "b c"}]


# --- what does not ---------------------------------------------------------------------


def at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def document(target: Target, **changes: Any) -> dict[str, Any]:
    """Return a policy for a text file under foo/, or one that differs."""
    whole = {
        "expiration": at(600),
        "conditions": [
            {"bucket": target.bucket},
            ["starts-with", "$key", "foo"],
            {"acl": "private"},
            ["starts-with", "$Content-Type", "text/plain"],
            ["content-length-range", 0, 1024],
        ],
    }
    return {name: value for name, value in {**whole, **changes}.items() if value is not None}


def with_condition(target: Target, *conditions: Any) -> dict[str, Any]:
    return document(target, conditions=[*document(target)["conditions"], *conditions])


def signed(policy: dict[str, Any], **fields: str) -> Fields:
    """Return a form's fields under a policy, signed by version 2."""
    encoded = base64.b64encode(json.dumps(policy).encode()).decode()
    digest = hmac.digest(SECRET_KEY.encode(), encoded.encode(), "sha1")
    return {
        "key": "foo.txt",
        "AWSAccessKeyId": ACCESS_KEY,
        "acl": "private",
        "signature": base64.b64encode(digest).decode(),
        "policy": encoded,
        "Content-Type": "text/plain",
        **fields,
    }


def signed_v4(target: Target, **wrong: Any) -> Fields:
    """Return a form's fields signed by version 4, with something wrong."""
    signer = Signer(**wrong)
    stamp = signer.stamp()
    own = {
        "x-amz-algorithm": signer.algorithm,
        "x-amz-credential": f"{signer.access_key}/{signer.scope(stamp)}",
        "x-amz-date": stamp,
    }
    conditions = [{"bucket": target.bucket}, {"key": "foo.txt"}]
    conditions += [{name: value} for name, value in own.items()]
    policy = json.dumps({"expiration": at(600), "conditions": conditions})
    encoded = base64.b64encode(policy.encode()).decode()
    signature = signer.sign_text(encoded, stamp)
    return {"key": "foo.txt", **own, "policy": encoded, "x-amz-signature": signature}


def but(fields: Fields, **changes: str | None) -> Fields:
    return {name: value for name, value in {**fields, **changes}.items() if value is not None}


def row(
    name: str,
    make: Callable[[Target], Fields],
    expected: str,
    data: bytes = b"bar",
    bucket: str = "",
) -> Row:
    def build(target: Target) -> Shot:
        path = f"/{bucket.format(other=target.other) or target.bucket}"
        return shot_of(path, target.host, browser_form(make(target), data))

    return Row(name, build, expected)


def ranged(*bounds: Any) -> Callable[[Target], Fields]:
    return lambda t: signed(with_condition(t, ["content-length-range", *bounds]))


def framed(change: Callable[[bytes], bytes]) -> Callable[[Target], Shot]:
    def build(target: Target) -> Shot:
        body = browser_form(signed(document(target)), b"bar")
        return shot_of(f"/{target.bucket}", target.host, change(body))

    return build


def with_its_file_twice(body: bytes) -> bytes:
    last = f"--{BOUNDARY}--\r\n".encode()
    begin = body.index(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"'.encode())
    return body.removesuffix(last) + body[begin:]


def with_header(target: Target) -> Shot:
    return Signer().sign(framed(bytes)(target))


def with_link(target: Target) -> Shot:
    return Signer().presign(framed(bytes)(target))


ROWS = [
    # N145
    row("missing condition", lambda t: signed(document(t), **{"x-amz-meta-a": "b"}), DENIED),
    row("missing bucket condition", lambda t: signed(document(t, conditions=document(t)["conditions"][1:])), DENIED),
    row("wrong key prefix", lambda t: signed(document(t), key="bar.txt"), DENIED),
    row("wrong prefix by the file's name", lambda t: signed(document(t), key="${filename}"), DENIED),
    row("expired", lambda t: signed(document(t, expiration=at(-1))), DENIED),
    row("too large", ranged(0, 2), "400 EntityTooLarge"),
    row("nothing allowed", ranged(0, 0), "400 EntityTooLarge"),
    row("too small", ranged(4, 1000), "400 EntityTooSmall"),
    row("extra field", lambda t: signed(document(t), extra="1"), DENIED),
    row("wrong bucket", lambda t: signed(document(t)), DENIED, bucket="{other}"),
    row("bad signature", lambda t: signed(document(t), signature=signed(document(t))["signature"][::-1]), "403 SignatureDoesNotMatch"),
    row("other policy", lambda t: but(signed(document(t)), policy=signed(with_condition(t))["policy"][:-4] + "fX0="), "403 SignatureDoesNotMatch"),
    # signatures
    row("unknown access key", lambda t: signed(document(t), AWSAccessKeyId="foo"), "403 InvalidAccessKeyId"),
    row("no signature", lambda t: but(signed(document(t)), signature=None), BAD_FIELD),
    row("no access key", lambda t: but(signed(document(t)), AWSAccessKeyId=None), BAD_FIELD),
    row("no policy", lambda t: but(signed(document(t)), policy=None), BAD_FIELD),
    row("anonymous", lambda t: {"key": "foo.txt"}, DENIED),
    row("two versions", lambda t: signed_v4(t) | signed(document(t)), BAD_FIELD),
    row("v4 wrong secret", lambda t: signed_v4(t, secret_key="other"), "403 SignatureDoesNotMatch"),
    row("v4 unknown access key", lambda t: signed_v4(t, access_key="foo"), "403 InvalidAccessKeyId"),
    row("v4 wrong region", lambda t: signed_v4(t, region="eu-west-7"), BAD_FIELD),
    row("v4 wrong service", lambda t: signed_v4(t, service="ec2"), BAD_FIELD),
    row("v4 wrong terminator", lambda t: signed_v4(t, terminator="aws5_request"), BAD_FIELD),
    row("v4 other day", lambda t: signed_v4(t, scope_day="20200101"), BAD_FIELD),
    row("v4 from the future", lambda t: signed_v4(t, age_s=-960.0), DENIED),
    row("v4 other algorithm", lambda t: signed_v4(t, algorithm="AWS4-HMAC-SHA1"), BAD_FIELD),
    row("v4 no date", lambda t: but(signed_v4(t), **{"x-amz-date": None}), BAD_FIELD),
    row("a session token", lambda t: signed_v4(t) | {"x-amz-security-token": "t"}, "400 InvalidToken"),
    Row("R2 a signed header too", with_header, BAD_FIELD),
    Row("R2 a signed query too", with_link, BAD_FIELD),
    Row("N016 a header beside the form", lambda t: framed(bytes)(t).adding("x-amz-acl", "private"), DENIED),
    Row("N076 unsigned chunks", lambda t: framed(bytes)(t).adding("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"), DENIED),
    # policies
    row("no expiration", lambda t: signed(document(t, expiration=None)), BAD_POLICY),
    row("no conditions", lambda t: signed(document(t, conditions=None)), BAD_POLICY),
    row("EXPIRATION", lambda t: signed(document(t, expiration=None, EXPIRATION=at(600))), BAD_POLICY),
    row("CONDITIONS", lambda t: signed(document(t, conditions=None, CONDITIONS=[])), BAD_POLICY),
    row("another date", lambda t: signed(document(t, expiration="2030-01-01 00:00:00+00:00")), BAD_POLICY),
    row("an empty condition", lambda t: signed(document(t, conditions=[{}])), BAD_POLICY),
    row("one bound", ranged(0), BAD_POLICY),
    row("a negative bound", ranged(-1, 0), BAD_POLICY),
    row("a field that is not there", lambda t: signed(with_condition(t, ["starts-with", "$x-amz-meta-foo", "bar"])), DENIED),
    row("a field with another value", lambda t: signed(with_condition(t, ["eq", "$x-amz-meta-foo", ""]), **{"x-amz-meta-foo": "bar"}), DENIED),
    # fields
    row("no key", lambda t: but(signed(document(t)), key=None), f"{BAD_FIELD} | {DENIED}"),
    row("an ACL", lambda t: signed(with_condition(t, ["eq", "$acl", "private"]), acl="public-read"), DENIED),
    row("fields too large", lambda t: signed(document(t), **{"x-ignore-a": "x" * 20_481}), "400 MaxPostPreDataLengthExceededError"),
    # framing
    Row("cut short", framed(lambda body: body[:-10]), "400 MalformedPOSTRequest"),
    Row("no framing", framed(lambda _: b"key=foo"), "400 MalformedPOSTRequest"),
    Row("no file", framed(lambda body: body.replace(b'name="file"', b'name="x-ignore-a"')), BAD_FIELD),
    Row("two files", framed(with_its_file_twice), BAD_FIELD),
    Row("no length", lambda t: framed(lambda _: b"0\r\n\r\n")(t).adding("Transfer-Encoding", "chunked"), "411 MissingContentLength"),
]  # fmt: skip


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Target:
    return new_target(cluster)


@pytest.mark.parametrize("case", ROWS, ids=lambda case: case.name)
def test_refusals_have_no_effect(target: Target, case: Row) -> None:
    check_row(target, case)


def test_the_form_that_the_rows_change_is_accepted(target: Target) -> None:
    """So each row is refused for what it changes, and for nothing else."""
    for fields in (signed(document(target)), signed_v4(target)):
        assert post(target.cluster, target.bucket, fields, b"bar").status == 204
        target.client.delete_object(Bucket=target.bucket, Key="foo.txt")
    ignored = signed(document(target), **{"x-ignore-foo": "bar"})
    assert post(target.cluster, target.bucket, ignored, b"bar").status == 204
    target.client.delete_object(Bucket=target.bucket, Key="foo.txt")


def test_names_have_no_case(target: Target) -> None:
    conditions = [
        {"bUcKeT": target.bucket},
        ["StArTs-WiTh", "$KeY", "foo"],
        {"AcL": "private"},
        ["StArTs-WiTh", "$CoNtEnT-TyPe", "text/plain"],
    ]
    plain = signed(document(target, conditions=conditions))
    fields = {name.swapcase(): value for name, value in plain.items()}
    assert post(target.cluster, target.bucket, fields, b"bar").status == 204
    target.client.delete_object(Bucket=target.bucket, Key="foo.txt")

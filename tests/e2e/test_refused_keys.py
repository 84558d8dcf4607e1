"""Keys, bucket names, ids and headers that try to reach what they must not."""

import urllib.parse
from dataclasses import replace

import pytest

from tests.e2e.raw_http import Shot, Signer, send
from tests.e2e.refusals import PRESENT, Row, Target, check_document, check_row, new_target
from tests.e2e.running import Cluster

BAD_URI = "400 InvalidURI"
BAD_KEY = f"{BAD_URI} | 400 InvalidArgument"
NO_KEY = "404 NoSuchKey"
NO_UPLOAD = "404 NoSuchUpload"
BAD_NAME = "400 InvalidBucketName"


def key(target: Target, path: str, method: str = "GET") -> Shot:
    """Return a signed request for a key as it is written in the path."""
    return Signer().sign(target.shot(method, path, b"x" if method == "PUT" else b""))


def copy(target: Target, source: str) -> Shot:
    """Return a signed copy from a source as it is written in the header."""
    source = source.format(bucket=target.bucket, other=target.other)
    return Signer().sign(target.shot("PUT", "copied").adding("x-amz-copy-source", source))


def make_bucket(name: str) -> Row:
    """Return a row that creates a bucket of this name."""

    def build(target: Target) -> Shot:
        path = f"/{urllib.parse.quote(name)}"
        return Signer().sign(Shot("PUT", path, headers=(("Host", target.host),)))

    return Row(f"N096 bucket {name[:12]!r}", build, BAD_NAME)


def upload(upload_id: str, method: str = "PUT") -> Row:
    """Return a row that uses an upload id."""

    def build(target: Target) -> Shot:
        query = f"uploadId={urllib.parse.quote(upload_id, safe='')}"
        if method == "PUT":
            query = f"partNumber=1&{query}"
        shot = replace(target.shot(method, "present"), query=query)
        return Signer().sign(replace(shot, body=b"x" if method == "PUT" else b""))

    return Row(f"N098 {method} upload {upload_id[:12]!r}", build, NO_UPLOAD)


def with_host(target: Target, host: str) -> Shot:
    return Signer().sign(target.shot().with_header("Host", host))


def two_hosts(target: Target) -> Shot:
    return Signer().sign(target.shot()).adding("Host", "evil.example")


def metadata(target: Target, value: str) -> Shot:
    return Signer().sign(target.put().adding("x-amz-meta-a", value))


ESCAPES = (
    "../{other}/secret",
    "%2e%2e/{other}/secret",
    "%2e%2e%2f{other}%2fsecret",
    "..%2f{other}%2fsecret",
    "..%5c{other}%5csecret",
    "%252e%252e%252f{other}%252fsecret",
    "./../{other}/secret",
    "/../{other}/secret",
    "a/../../{other}/secret",
)

ROWS = [
    *(
        Row(
            f"N091 {escape}",
            lambda t, escape=escape: key(t, escape.format(other=t.other)),  # type: ignore[misc]
            f"{NO_KEY} | {BAD_URI}",
        )
        for escape in ESCAPES
    ),
    *(
        Row(
            f"N092 {source}",
            lambda t, source=source: copy(t, source),  # type: ignore[misc]
            f"{NO_KEY} | 400 InvalidArgument | 404 NoSuchBucket | {BAD_NAME}",
        )
        for source in (
            "{bucket}/../{other}/secret",
            "{bucket}%2f..%2f{other}%2fsecret",
            "{bucket}/%2e%2e/{other}/secret",
            "../{other}/secret",
            "//{other}/secret",
            "{bucket}",
            "{bucket}/",
            "/",
            "%00/a",
            "{bucket}/%ff",
            "nowhere/present",
            "{bucket}/absent",
            "",
        )
    ),
    *(
        Row(
            f"N093 {method} {path}",
            lambda t, method=method, path=path: key(t, path, method),  # type: ignore[misc]
            BAD_KEY,
        )
        for method in ("GET", "PUT", "DELETE")
        for path in ("%00", "a%00b", "%ff", "%c0%af", "%ed%a0%80")
    ),
    Row("N094 a broken escape", lambda t: key(t, "a%2"), BAD_KEY),
    Row("N094 no hex", lambda t: key(t, "a%zz"), BAD_KEY),
    Row("N095 1,025 bytes", lambda t: key(t, "k" * 1025, "PUT"), "400 KeyTooLongError"),
    Row("N095 342 euros", lambda t: key(t, "%E2%82%AC" * 342, "PUT"), "400 KeyTooLongError"),
    *map(
        make_bucket,
        [
            "ab",
            "a" * 64,
            "A_b",
            "Upper",
            "1.2.3.4",
            "xn--x",
            "a..b",
            "a.-b",
            "-ab",
            "ab-",
            ".sys",
            "sys.",
            "a b",
            "a%b",
            "ümlaut",
            "x-s3alias",
            "..",
        ],
    ),
    *(
        upload(upload_id, method)
        for upload_id in ("../../x", "x" * 10_000, "0" * 32, "a b", "%00", "é")
        for method in ("PUT", "GET", "DELETE")
    ),
    Row(
        "N099 a version that is no id",
        lambda t: Signer().sign(replace(t.shot(), query="versionId=..%2Fx")),
        "400 InvalidArgument | 501 NotImplemented",
    ),
    Row(
        "N099 an unknown version",
        lambda t: Signer().sign(replace(t.shot(), query=f"versionId={'0' * 32}")),
        "400 InvalidArgument | 404 NoSuchVersion | 501 NotImplemented",
    ),
    Row("N101 two Hosts", two_hosts, "400 InvalidRequest | 400 BadRequest"),
    Row("N102 over 2 KB", lambda t: metadata(t, "v" * 2049), "400 MetadataTooLarge"),
    Row(
        "the bucket was changed after signing",
        lambda t: replace(key(t, "secret"), path=f"/{t.other}/secret"),
        "403 SignatureDoesNotMatch",
    ),
]


@pytest.fixture(scope="module")
def target(cluster: Cluster) -> Target:
    return new_target(cluster)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name.replace(" ", "-"))
def test_a_key_reaches_nothing_else(target: Target, row: Row) -> None:
    check_row(target, row)


@pytest.mark.parametrize("escape", ESCAPES)
def test_a_key_with_dots_is_a_key_or_refused(target: Target, escape: str) -> None:
    """N090: PUT never writes outside the bucket; if it is taken, the key is what was written."""
    path = escape.format(other=target.other)
    address = target.cluster.address(0)
    before = target.client.get_object(Bucket=target.other, Key="secret")["ETag"]
    answer = send(address, key(target, path, "PUT"))
    assert target.client.get_object(Bucket=target.other, Key="secret")["ETag"] == before
    if answer.status != 200:
        check_document(answer)
        return
    name = urllib.parse.unquote(path)
    listing = target.client.list_objects_v2(Bucket=target.bucket, EncodingType="url")
    assert name in {urllib.parse.unquote(item["Key"]) for item in listing["Contents"]}
    assert send(address, key(target, path)).body == b"x"
    assert send(address, key(target, path, "DELETE")).status == 204


def test_an_escaped_escape_is_another_key(target: Target) -> None:
    """N094: %25ff is the three characters %ff, decoded once."""
    address = target.cluster.address(0)
    assert send(address, key(target, "%25ff", "PUT")).status == 200
    assert target.client.get_object(Bucket=target.bucket, Key="%ff")["Body"].read() == b"x"
    target.client.delete_object(Bucket=target.bucket, Key="%ff")


def test_keys_that_look_alike_are_different_objects(target: Target) -> None:
    """N100: case, composed and decomposed letters, a trailing dot, a trailing slash."""
    alike = ["\u00e9", "e\u0301", "a.", "a/", "a//", "a/.", "./a", " a", "a ", "a\t", "a+", "a%20"]
    keys = ["a", "A", *alike]
    assert len(set(keys)) == len(keys)
    for number, name in enumerate(keys):
        target.client.put_object(Bucket=target.bucket, Key=name, Body=str(number).encode())
    for number, name in enumerate(keys):
        body = target.client.get_object(Bucket=target.bucket, Key=name)["Body"].read()
        assert body == str(number).encode(), name
    for name in keys:
        target.client.delete_object(Bucket=target.bucket, Key=name)
    assert set(target.stored()) == {"present"}


@pytest.mark.parametrize("host", ["evil.example", "", "a b", "[::1", "127.0.0.1:x"])
def test_a_strange_host_reaches_no_other_bucket(target: Target, host: str) -> None:
    """N101: a Host that is no domain of ours is never read as a bucket's name."""
    answer = send(target.cluster.address(0), with_host(target, host))
    assert (answer.status, answer.body) == (200, PRESENT) or answer.status == 400


def test_an_absolute_target_does_not_change_the_host(target: Target) -> None:
    """N101: a target in absolute form is refused or read as its path, with the signed Host."""
    shot = Signer().sign(target.shot())
    absolute = replace(shot, path=f"http://{target.other}.evil.example{shot.path}")
    answer = send(target.cluster.address(0), absolute)
    assert answer.status in (0, 400, 403) or answer.body == PRESENT


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\x00b", "a\rb"])
def test_metadata_never_splits_a_header(target: Target, value: str) -> None:
    """N102: by raw bytes, so the line break reaches the server as one."""
    before = target.stored()
    shot = Signer().sign(target.put().adding("x-amz-meta-a", value))
    answer = send(target.cluster.address(0), shot)
    assert answer.status in (0, 400, 403), answer
    assert target.stored() == before


def test_a_name_with_an_internal_prefix_is_stored_as_user_metadata_or_refused(
    target: Target,
) -> None:
    """N103: a client cannot set what only the system may say."""
    shot = (
        target.put().adding("x-objstore-internal-owner", "root").adding("x-minio-internal-a", "b")
    )
    answer = send(target.cluster.address(0), Signer().sign(shot))
    if answer.status == 200:
        stored = send(target.cluster.address(0), Signer().sign(target.shot(key="new")))
        assert not [name for name in stored.headers if "internal" in name]
        target.client.delete_object(Bucket=target.bucket, Key="new")
    else:
        check_document(answer)

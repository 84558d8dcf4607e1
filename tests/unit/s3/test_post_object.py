"""PostObject: what a form becomes, and how it is answered."""

import hashlib
from xml.etree import ElementTree as ET

import pytest

from objstore.errors import RequestRefused
from objstore.names import BucketName, ObjectKey
from objstore.s3.call import Call, Reply
from objstore.s3.expected_digests import prepare_digests
from objstore.s3.post_object import post_object, put_request
from objstore.wire.digests import Digests, encode
from objstore.wire.route import Operation
from tests.unit.s3.client import IDENTITIES, ROOT, BytesBody, Client, body_of, make_request
from tests.unit.s3.fake_store import NOW_MS, FakeStore

DATA = bytes(range(256)) * 10
ETAG = hashlib.md5(DATA).hexdigest()
FORM = {"content-type": "multipart/form-data; boundary=x"}
BUCKET = BucketName("bucket")


async def post(
    store: FakeStore, fields: dict[str, str], data: bytes = DATA, *, host: str = "s3.test"
) -> Reply:
    """Post a form whose signature and policy hold, as the gateway does."""
    target = "/bucket" if host == "s3.test" else "/"
    request = make_request("POST", target, FORM, host=host, domains=("s3.test",))
    put = put_request(request, fields)
    return await post_object(
        Call(
            store=store,
            request=put,
            body=BytesBody(data, None),
            caller=ROOT,
            identities=IDENTITIES,
            region="eu-test-1",
            digests=prepare_digests(put, Operation.PUT_OBJECT, None),
            now_ms=NOW_MS,
            form=fields,
        )
    )


async def store_with_bucket() -> FakeStore:
    store = FakeStore()
    await store.create_bucket(BUCKET, owner=ROOT.canonical_id, region="eu-test-1")
    return store


async def test_fields_become_what_an_object_keeps() -> None:
    store = await store_with_bucket()
    digests = Digests(["SHA256"])
    digests.update(DATA)
    reply = await post(
        store,
        {
            "key": "a b/ü",
            "cache-control": "no-cache",
            "content-disposition": "attachment",
            "content-encoding": "gzip",
            "content-language": "de",
            "content-type": "text/plain",
            "expires": "Thu, 01 Dec 1994 16:00:00 GMT",
            "content-md5": encode(bytes.fromhex(ETAG)),
            "x-amz-meta-one": "größe",
            "x-amz-meta-two": "Ã¼",
            "x-amz-storage-class": "STANDARD",
            "x-amz-checksum-sha256": encode(digests.value("SHA256")),
            "acl": "private",
            "x-amz-algorithm": "AWS4-HMAC-SHA256",
            "x-amz-credential": "c",
            "x-amz-date": "d",
            "x-amz-signature": "s",
            "policy": "p",
            "x-ignore-this": "1",
            "submit": "Upload",
        },
    )
    assert (reply.status, await body_of(reply)) == (204, b"")
    assert reply.headers["ETag"] == f'"{ETAG}"'
    assert reply.headers["x-amz-checksum-sha256"] == encode(digests.value("SHA256"))
    held = store.objects[BUCKET, ObjectKey("a b/ü")]
    assert held.data == DATA
    assert held.version.headers == {
        "cache-control": "no-cache",
        "content-disposition": "attachment",
        "content-encoding": "gzip",
        "content-language": "de",
        "content-type": "text/plain",
        "expires": "Thu, 01 Dec 1994 16:00:00 GMT",
    }
    assert held.version.user_metadata == {"one": "größe", "two": "Ã¼"}
    assert held.version.owner == ROOT.canonical_id
    assert set(held.version.checksums) == {"SHA256"}


async def test_a_form_and_a_put_store_the_same() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    metadata = {"x-amz-meta-a": "1", "content-type": "text/css"}
    await client.raw("PUT", "/bucket/put", metadata, DATA)
    await post(client.store, {"key": "post", **metadata})
    put, posted = (client.store.objects[BUCKET, ObjectKey(key)].version for key in ("put", "post"))
    for name in ("headers", "user_metadata", "checksums", "checksum_type", "etag", "owner"):
        assert getattr(put, name) == getattr(posted, name)


# --- answers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "status"),
    [("200", 200), ("204", 204), ("404", 204), ("", 204), ("0200", 204), ("303", 204)],
)
async def test_status(wanted: str, status: int) -> None:
    # AWS says: "If the value is set to 200 or 204, Amazon S3 returns an empty document with a 200
    # or 204 status code." "If the value is not set or if it is set to a value that is not valid,
    # Amazon S3 returns an empty document with a 204 status code."
    reply = await post(await store_with_bucket(), {"key": "k", "success_action_status": wanted})
    assert (reply.status, reply.body) == (status, b"")
    assert reply.headers["Location"] == "http://s3.test/bucket/k"


async def test_created() -> None:
    # AWS says: "If the value is set to 201, Amazon S3 returns an XML document with a 201 status
    # code."
    fields = {"key": "a b/<c>", "success_action_status": "201"}
    reply = await post(await store_with_bucket(), fields)
    assert reply.status == 201
    assert reply.headers["Content-Type"] == "application/xml"
    tree = ET.fromstring(await body_of(reply))
    assert [(child.tag, child.text) for child in tree] == [
        ("Location", "http://s3.test/bucket/a%20b/%3Cc%3E"),
        ("Bucket", "bucket"),
        ("Key", "a b/<c>"),
        ("ETag", f'"{ETAG}"'),
    ]
    assert tree.tag == "PostResponse"


async def test_location_of_a_virtual_host() -> None:
    reply = await post(await store_with_bucket(), {"key": "k"}, host="bucket.s3.test")
    assert reply.headers["Location"] == "http://bucket.s3.test/k"


PARAMETERS = f"bucket=bucket&key=a%26b&etag=%22{ETAG}%22"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        ("http://app.test", f"http://app.test?{PARAMETERS}"),
        ("https://app.test:8080/done", f"https://app.test:8080/done?{PARAMETERS}"),
        ("http://app.test/done?a=b", f"http://app.test/done?a=b&{PARAMETERS}"),
        ("http://app.test/#top", f"http://app.test/?{PARAMETERS}#top"),
        ("HTTP://[::1]/", f"HTTP://[::1]/?{PARAMETERS}"),
    ],
)
@pytest.mark.parametrize("name", ["success_action_redirect", "redirect"])
async def test_redirects(name: str, url: str, location: str) -> None:
    # AWS says of redirect: "This field name is deprecated and the success_action_redirect field
    # name should be used instead."
    fields = {"key": "a&b", name: url, "success_action_status": "201"}
    reply = await post(await store_with_bucket(), fields)
    assert (reply.status, reply.body) == (303, b"")
    assert reply.headers["Location"] == location


@pytest.mark.parametrize(
    "url",
    [
        "",
        "done",
        "/done",
        "//app.test/",
        "http://",
        "http:///x",
        "javascript:alert(1)",
        "ftp://app.test/",
        "http://app.test/\r\nSet-Cookie: a=b",
        "http://app.test/ x",
        "http://app.test/ü",
        " http://app.test/",
        "http://app.test/\n",
    ],
)
async def test_what_is_no_url_is_ignored(url: str) -> None:
    # AWS says: "If Amazon S3 cannot interpret the URL, it acts as if the field is not present."
    fields = {"key": "k", "success_action_redirect": url, "success_action_status": "200"}
    assert (await post(await store_with_bucket(), fields)).status == 200


async def test_the_new_name_of_redirect_counts() -> None:
    fields = {
        "key": "k",
        "redirect": "http://old.test/",
        "success_action_redirect": "http://a.test/",
    }
    reply = await post(await store_with_bucket(), fields)
    assert reply.headers["Location"].startswith("http://a.test/?")


# --- refusals --------------------------------------------------------------------------

TAGS = "<Tagging><TagSet>{}</TagSet></Tagging>"
TAG = "<Tag><Key>a b</Key><Value>1+2</Value></Tag>"


async def test_tagging_and_conditions_are_those_of_a_put() -> None:
    store = await store_with_bucket()
    fields = {
        "key": "k",
        "tagging": TAGS.format(TAG),
        "x-amz-website-redirect-location": "/x",
        "if-none-match": "*",
    }
    assert (await post(store, fields)).status == 204
    version = store.objects[BUCKET, ObjectKey("k")].version
    assert version.tags == {"a b": "1+2"}
    assert version.headers["x-amz-website-redirect-location"] == "/x"
    with pytest.raises(RequestRefused) as refusal:
        await post(store, fields)
    assert refusal.value.reason == "PreconditionFailed"
    assert (await post(store, {"key": "k", "tagging": TAGS.format("")})).status == 204
    assert store.objects[BUCKET, ObjectKey("k")].version.tags == {}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "InvalidArgument"),
        ({"key": ""}, "InvalidArgument"),
        ({"key": "a\0b"}, "InvalidArgument"),
        ({"key": "x" * 1025}, "KeyTooLongError"),
        ({"key": "k", "tagging": "x"}, "MalformedXML"),
        ({"key": "k", "tagging": "<Tagging><TagSet><Tag/></TagSet></Tagging>"}, "MalformedXML"),
        ({"key": "k", "tagging": "<!DOCTYPE x><Tagging/>"}, "MalformedXML"),
        ({"key": "k", "x-amz-trailer": "x-amz-checksum-crc32"}, "InvalidArgument"),
        ({"key": "k", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}, "InvalidArgument"),
        ({"key": "k", "x-amz-decoded-content-length": "1"}, "InvalidArgument"),
        ({"key": "k", "x-amz-copy-source": "a/b"}, "InvalidArgument"),
        # as the headers of a PutObject
        ({"key": "k", "acl": "public-read"}, "AccessControlListNotSupported"),
        ({"key": "k", "x-amz-server-side-encryption": "AES256"}, "NotImplemented"),
        ({"key": "k", "x-amz-website-redirect-location": "x"}, "InvalidRedirectLocation"),
        ({"key": "k", "x-amz-unheard-of": "1"}, "NotImplemented"),
        ({"key": "k", "if-none-match": "x"}, "NotImplemented"),
        ({"key": "k", "tagging": TAGS.format(TAG * 2)}, "InvalidTag"),
        ({"key": "k", "x-amz-storage-class": "GLACIER"}, "InvalidStorageClass"),
        ({"key": "k", "x-amz-meta-a": "x" * 2100}, "MetadataTooLarge"),
        ({"key": "k", "content-type": "a\r\nb"}, "InvalidArgument"),
        ({"key": "k", "content-md5": "x"}, "InvalidDigest"),
        ({"key": "k", "content-md5": encode(bytes(16))}, "BadDigest"),
        ({"key": "k", "x-amz-checksum-crc32": encode(bytes(4))}, "BadDigest"),
        ({"key": "k", "x-amz-checksum-crc32": "x"}, "InvalidRequest"),
    ],
)
async def test_refusals_store_nothing(fields: dict[str, str], reason: str) -> None:
    store = await store_with_bucket()
    with pytest.raises(RequestRefused) as refusal:
        await post(store, fields)
    assert refusal.value.reason == reason
    assert not store.objects


async def test_without_a_key() -> None:
    with pytest.raises(RequestRefused) as refusal:
        await post(FakeStore(), {})
    assert refusal.value.message == (
        "Bucket POST must contain a field named 'key'.  If it is specified, please check the order"
        " of the fields."
    )
    assert refusal.value.detail == {"ArgumentName": "key", "ArgumentValue": ""}


def test_nothing_beside_the_form_counts() -> None:
    target = "/bucket?x-amz-meta-a=1&versionId=2"
    request = make_request("POST", target, FORM | {"x-amz-meta-b": "1", "content-md5": "x"})
    put = put_request(request, {"key": "k"})
    assert (put.method, put.bucket, put.key) == ("PUT", "bucket", "k")
    assert dict(put.headers.items()) == {"host": "s3.test"}
    assert put.query.pairs == ()


async def test_a_bucket_that_is_not_there() -> None:
    with pytest.raises(RequestRefused) as refusal:
        await post(FakeStore(), {"key": "k"})
    assert refusal.value.reason == "NoSuchBucket"


async def test_a_signed_post_that_is_no_form() -> None:
    client = Client()
    await client("CreateBucket", Bucket="bucket")
    with pytest.raises(RequestRefused) as refusal:
        await client.raw("POST", "/bucket", {"content-type": "text/plain"})
    assert refusal.value.reason == "PreconditionFailed"
    assert refusal.value.detail == {
        "Condition": "Bucket POST must be of the enclosure-type multipart/form-data"
    }

"""Tags: as a document and as a header, the same tags; AWS's refusals of the others."""

import contextlib
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RequestRefused
from objstore.wire.config_documents.create_bucket import (
    CreateBucketConfiguration,
    read_create_bucket,
)
from objstore.wire.config_documents.tagging import (
    Tag,
    check_tag,
    read_bucket_tagging,
    read_object_tagging,
    read_tagging_header,
    write_tagging,
    write_tagging_header,
)
from tests.unit.wire.config_documents.model import answer, refused, request_body

CHARACTERS = st.characters(categories=["L", "N", "Zs"], include_characters="+-=._:/@")
KEYS = st.text(CHARACTERS, min_size=1, max_size=20).filter(
    lambda key: not key.lower().startswith("aws:")
)
TAGS = st.lists(
    st.builds(Tag, KEYS, st.text(CHARACTERS, max_size=20)), max_size=10, unique_by=lambda t: t.key
).map(tuple)


def pairs(tags: tuple[Tag, ...]) -> list[dict[str, str]]:
    return [{"Key": tag.key, "Value": tag.value} for tag in tags]


def body_of(*tags: tuple[str, str]) -> bytes:
    return request_body(
        "PutBucketTagging",
        Tagging={"TagSet": [{"Key": key, "Value": value} for key, value in tags]},
    )


@settings(max_examples=100)
@given(TAGS)
def test_any_tags_round_trip(tags: tuple[Tag, ...]) -> None:
    for body in (
        request_body("PutObjectTagging", Key="k", Tagging={"TagSet": pairs(tags)}),
        write_tagging(tags),
    ):
        assert read_object_tagging(body) == tags
        assert read_bucket_tagging(body) == tags
    assert answer("GetObjectTagging", write_tagging(tags)) == {"TagSet": pairs(tags)}
    assert read_tagging_header(write_tagging_header(tags)) == tags
    assert read_tagging_header(urlencode([(tag.key, tag.value) for tag in tags])) == tags


def test_the_number_of_tags() -> None:
    # AWS: "Amazon S3 limits the maximum number of tags to 10 tags per object." A bucket has 50.
    fifty = [(f"k{number}", "") for number in range(50)]
    assert len(read_bucket_tagging(body_of(*fifty))) == 50
    with refused("InvalidTag", "Bucket tags cannot be greater than 50"):
        read_bucket_tagging(body_of(*fifty, ("k50", "")))
    assert len(read_object_tagging(body_of(*fifty[:10]))) == 10
    with refused("InvalidTag", "Object tags cannot be greater than 10"):
        read_object_tagging(body_of(*fifty[:11]))
    with refused("InvalidTag", "Object tags cannot be greater than 10"):
        read_tagging_header(urlencode(fifty[:11]))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("", "v", "The TagKey you have provided is invalid"),
        ("k" * 129, "v", "The TagKey you have provided is invalid"),
        ("\U0001d49c" * 65, "v", "The TagKey you have provided is invalid"),  # two units each
        ("k", "v" * 257, "The TagValue you have provided is invalid"),
        ("a*b", "v", "The TagKey you have provided is invalid"),
        ("k", "<script>", "The TagValue you have provided is invalid"),
        ("k", "line\nline", "The TagValue you have provided is invalid"),
        ("aws:k", "v", "aws:"),
        ("AWS:k", "v", "aws:"),
    ],
)
def test_a_tag_that_is_none(key: str, value: str, message: str) -> None:
    with refused("InvalidTag", message):
        read_object_tagging(body_of((key, value)))
    with refused("InvalidTag"):
        read_bucket_tagging(body_of((key, value)))
    with refused("InvalidTag", message):
        read_tagging_header(urlencode([(key, value)]))


def test_the_longest_tag() -> None:
    longest = Tag("\u00e9" * 128, "\u00fc" * 256)
    assert read_object_tagging(write_tagging([longest])) == (longest,)


def test_duplicates() -> None:
    with refused("InvalidTag", "Cannot provide multiple Tags with the same key"):
        read_object_tagging(body_of(("k", "1"), ("k", "2")))
    with refused("InvalidArgument", "x-amz-tagging"):
        read_tagging_header("k=1&k=2")
    assert len(read_object_tagging(body_of(("k", "1"), ("K", "2")))) == 2  # case sensitive


@pytest.mark.parametrize("header", ["k=%ff", "k=a=b", "k=\udcff"])
def test_a_header_that_is_no_query(header: str) -> None:
    with refused("InvalidArgument", "URLEncoded URL query parameters"):
        read_tagging_header(header)


def test_headers() -> None:
    assert read_tagging_header("") == ()
    assert read_tagging_header("a=1&b&c=") == (Tag("a", "1"), Tag("b", ""), Tag("c", ""))
    assert read_tagging_header("a+b=c%2Bd") == (Tag("a b", "c+d"),)


@pytest.mark.parametrize(
    "inner",
    [
        "",
        "<TagSet><Tag><Key>k</Key></Tag></TagSet>",
        "<TagSet><Tag><Value>v</Value></Tag></TagSet>",
        "<TagSet><Tag><Key>k</Key><Key>k</Key><Value>v</Value></Tag></TagSet>",
        "<Tag><Key>k</Key><Value>v</Value></Tag>",
        "<TagSet/><TagSet/>",
    ],
)
def test_malformed(inner: str) -> None:
    for read in (read_bucket_tagging, read_object_tagging):
        with refused("MalformedXML"):
            read(f"<Tagging>{inner}</Tagging>".encode())


@settings(max_examples=100)
@given(st.text(max_size=40))
def test_any_header_is_read_or_refused(header: str) -> None:
    with contextlib.suppress(RequestRefused):
        for tag in read_tagging_header(header):
            check_tag(tag)


# --- the tags of a new bucket ---------------------------------------------------------


def test_create_bucket_configuration() -> None:
    assert read_create_bucket(b"") == read_create_bucket(b"\n") == CreateBucketConfiguration()
    assert read_create_bucket(b"<CreateBucketConfiguration/>") == CreateBucketConfiguration()
    body = request_body(
        "CreateBucket",
        CreateBucketConfiguration={
            "LocationConstraint": "eu-west-1",
            "Tags": [{"Key": "k", "Value": "v"}],
        },
    )
    assert read_create_bucket(body) == CreateBucketConfiguration("eu-west-1", (Tag("k", "v"),))


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        ({"Location": {"Name": "x", "Type": "AvailabilityZone"}}, "NotImplemented"),
        ({"Bucket": {"Type": "Directory"}}, "NotImplemented"),
        ({"Bucket": {"Type": "Other"}}, "MalformedXML"),
        ({"Location": {"Type": "Other"}}, "MalformedXML"),
        ({"Tags": [{"Key": "aws:k", "Value": "v"}]}, "InvalidTag"),
    ],
)
def test_create_bucket_refusals(configuration: dict[str, object], reason: str) -> None:
    with refused(reason):
        read_create_bucket(request_body("CreateBucket", CreateBucketConfiguration=configuration))
    with refused("MalformedXML"):
        read_create_bucket(b"<CreateBucketConfiguration><Other/></CreateBucketConfiguration>")

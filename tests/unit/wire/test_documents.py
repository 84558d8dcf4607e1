"""Documents: what clients send is read as meant, what is answered botocore reads back."""

import pytest
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.engine.ports import ListedObject
from objstore.errors import RequestRefused
from objstore.limits import DOCUMENT_BYTES_MAX
from objstore.names import ObjectKey
from objstore.wire import documents
from objstore.wire.documents import Owner, PartToComplete
from objstore.wire.xml_writer import escape, leaves, url_encode
from tests.unit.s3.client import MODEL

PARSER = create_parser("rest-xml")
OWNER = Owner("0" * 64, "someone")


def read_back(operation: str, body: bytes) -> dict[str, object]:
    shape = MODEL.operation_model(operation).output_shape
    parsed: dict[str, object] = PARSER.parse(
        {"status_code": 200, "headers": {}, "body": body}, shape
    )
    parsed.pop("ResponseMetadata")
    return parsed


# --- reading --------------------------------------------------------------------------


def complete_body(*parts: str) -> bytes:
    inner = "".join(f"<Part>{part}</Part>" for part in parts)
    return f"<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>".encode()


def named(number: str, etag: str = '"abc"') -> str:
    return f"<PartNumber>{number}</PartNumber><ETag>{etag}</ETag>"


def test_complete() -> None:
    parts = documents.read_complete(
        complete_body(
            named("1"),
            named("10000", "&quot;def&quot;") + "<ChecksumCRC32>AAAAAA==</ChecksumCRC32>",
        )
    )
    assert parts == (
        PartToComplete(1, "abc", {}),
        PartToComplete(10_000, "def", {"CRC32": "AAAAAA=="}),
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (complete_body(), "MalformedXML"),
        (b"", "MalformedXML"),
        (complete_body("<ETag>x</ETag>"), "MalformedXML"),
        (complete_body("<PartNumber>1</PartNumber>"), "MalformedXML"),
        (complete_body(named("one")), "MalformedXML"),
        (complete_body(named("-1")), "MalformedXML"),
        (complete_body(named("1_0")), "MalformedXML"),
        (complete_body(named("0")), "InvalidArgument"),
        (complete_body(named("10001")), "InvalidArgument"),
        (complete_body(named("2"), named("1")), "InvalidPartOrder"),
        (complete_body(named("1"), named("1")), "InvalidPartOrder"),
    ],
)
def test_complete_refusals(body: bytes, reason: str) -> None:
    with pytest.raises(RequestRefused) as refusal:
        documents.read_complete(body)
    assert refusal.value.reason == reason


def test_a_complete_of_ten_thousand_parts_with_checksums_fits() -> None:
    part = named("{}", '"' + "a" * 32 + '"') + f"<ChecksumSHA256>{'A' * 44}</ChecksumSHA256>"
    body = complete_body(*[part.format(number) for number in range(1, 10_001)])
    assert len(body) <= DOCUMENT_BYTES_MAX
    assert len(documents.read_complete(body)) == 10_000


# --- writing --------------------------------------------------------------------------


def listed(key: str, *, checksums: tuple[str, ...] = ()) -> ListedObject:
    return ListedObject(
        ObjectKey(key), 5, "abc", 0, "STANDARD", checksums, "FULL_OBJECT" if checksums else ""
    )


# Keys with control characters are for encoding-type=url.
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=20)


@settings(max_examples=100)
@given(st.lists(KEYS, max_size=5), st.lists(KEYS, max_size=3))
def test_any_listing_reads_back(keys: list[str], prefixes: list[str]) -> None:
    body = documents.object_list(
        [("Name", "b"), ("IsTruncated", "false")],
        [listed(key, checksums=("CRC32",)) for key in keys],
        prefixes,
        encode=escape,
        owner_of=lambda _: OWNER,
    )
    parsed = read_back("ListObjectsV2", body)
    contents = parsed.get("Contents", [])
    assert isinstance(contents, list)
    assert [entry["Key"] for entry in contents] == keys
    assert all(entry["ETag"] == '"abc"' for entry in contents)
    assert all(entry["ChecksumAlgorithm"] == ["CRC32"] for entry in contents)
    assert all(entry["Owner"]["ID"] == OWNER.canonical_id for entry in contents)
    assert parsed.get("CommonPrefixes", []) == [{"Prefix": prefix} for prefix in prefixes]


@settings(max_examples=100)
@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20))
def test_any_key_at_all_travels_url_encoded(key: str) -> None:
    body = documents.object_list([], [listed(key)], [key], encode=url_encode, owner_of=None)
    parsed = read_back("ListObjects", body)
    assert parsed["Contents"][0]["Key"] == url_encode(key)  # type: ignore[index]
    assert parsed["CommonPrefixes"] == [{"Prefix": url_encode(key)}]


def test_location() -> None:
    # AWS says: "Buckets in Region us-east-1 have a LocationConstraint of null."
    assert read_back("GetBucketLocation", documents.location_constraint("us-east-1")) == {}
    body = documents.location_constraint("eu-x")
    assert body.endswith(b">eu-x</LocationConstraint>")  # botocore reads it by a handler


def test_error_document_parses_as_an_error() -> None:
    body = documents.error_document([("Code", "NoSuchKey"), ("Message", "a < b"), ("Key", "k")])
    parsed = PARSER.parse(
        {"status_code": 404, "headers": {}, "body": body},
        MODEL.operation_model("GetObject").output_shape,
    )
    assert parsed["Error"] == {"Code": "NoSuchKey", "Message": "a < b", "Key": "k"}


def test_no_pair_of_values_can_break_out_of_its_element() -> None:
    assert leaves([("A", "</A><B>1</B>")]).count("<") == 2

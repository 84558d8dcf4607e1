"""Documents: what clients send is read as meant, what is answered botocore reads back."""

import pytest
from botocore.parsers import create_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.engine.ports import ListedObject
from objstore.errors import RequestRefused
from objstore.limits import DELETE_KEYS_MAX, DOCUMENT_BYTES_MAX
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


def test_location_constraint() -> None:
    assert documents.read_bucket_configuration(b"") == ""
    assert documents.read_bucket_configuration(b"\n") == ""
    assert documents.read_bucket_configuration(b"<CreateBucketConfiguration/>") == ""
    body = (
        b"<CreateBucketConfiguration xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
        b"<LocationConstraint>eu-west-1</LocationConstraint></CreateBucketConfiguration>"
    )
    assert documents.read_bucket_configuration(body) == "eu-west-1"


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        ("<Location><Name>x</Name></Location>", "NotImplemented"),
        ("<Bucket><Type>Directory</Type></Bucket>", "NotImplemented"),
        ("<Tags><Tag><Key>k</Key><Value>v</Value></Tag></Tags>", "NotImplemented"),
        ("<Other/>", "MalformedXML"),
    ],
)
def test_bucket_configuration_refusals(inner: str, reason: str) -> None:
    body = f"<CreateBucketConfiguration>{inner}</CreateBucketConfiguration>".encode()
    with pytest.raises(RequestRefused) as refusal:
        documents.read_bucket_configuration(body)
    assert refusal.value.reason == reason


def delete_body(*objects: str, quiet: str = "") -> bytes:
    return f"<Delete>{''.join(objects)}{quiet}</Delete>".encode()


def test_delete() -> None:
    document = documents.read_delete(
        delete_body(
            "<Object><Key> a&lt;b </Key></Object>",
            "<Object><Key>c</Key><VersionId>null</VersionId></Object>",
            "<Object><Key>d</Key><ETag>x</ETag></Object>",
            quiet="<Quiet>true</Quiet>",
        )
    )
    assert document.quiet
    assert [(entry.key, entry.version_id, entry.conditional) for entry in document.objects] == [
        (" a<b ", None, False),
        ("c", "null", False),
        ("d", None, True),
    ]


KEY = "<Object><Key>k</Key></Object>"


@pytest.mark.parametrize(
    "body",
    [
        delete_body(),
        delete_body("<Object/>"),
        delete_body("<Object><Key/></Object>"),
        delete_body(KEY, quiet="<Quiet>maybe</Quiet>"),
        delete_body(*[KEY] * (DELETE_KEYS_MAX + 1)),
        delete_body(KEY, "<Surprise/>"),
    ],
)
def test_delete_refusals(body: bytes) -> None:
    with pytest.raises(RequestRefused) as refusal:
        documents.read_delete(body)
    assert refusal.value.reason == "MalformedXML"


def test_a_thousand_keys_are_allowed() -> None:
    assert len(documents.read_delete(delete_body(*[KEY] * DELETE_KEYS_MAX)).objects) == 1000


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
        owner=OWNER,
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
    body = documents.object_list([], [listed(key)], [key], encode=url_encode, owner=None)
    parsed = read_back("ListObjects", body)
    assert parsed["Contents"][0]["Key"] == url_encode(key)  # type: ignore[index]
    assert parsed["CommonPrefixes"] == [{"Prefix": url_encode(key)}]


def test_delete_result() -> None:
    entries = documents.read_delete(delete_body(KEY)).objects
    failures = [documents.DeleteFailure("x<", "null", "SlowDownWrite", "later & later")]
    loud = read_back("DeleteObjects", documents.delete_result(entries, failures, quiet=False))
    quiet = read_back("DeleteObjects", documents.delete_result(entries, failures, quiet=True))
    errors = [
        {"Key": "x<", "VersionId": "null", "Code": "SlowDownWrite", "Message": "later & later"}
    ]
    assert loud == {"Deleted": [{"Key": "k"}], "Errors": errors}
    assert quiet == {"Errors": errors}


def test_location() -> None:
    # AWS says: "Buckets in Region us-east-1 have a LocationConstraint of null."
    assert read_back("GetBucketLocation", documents.location_constraint("us-east-1")) == {}
    body = documents.location_constraint("eu-x")
    assert body.endswith(b">eu-x</LocationConstraint>")  # botocore reads it by a handler


def test_access_control_policy() -> None:
    parsed = read_back("GetBucketAcl", documents.access_control_policy(OWNER))
    assert parsed["Owner"] == {"ID": OWNER.canonical_id, "DisplayName": "someone"}
    assert parsed["Grants"] == [
        {
            "Grantee": {
                "ID": OWNER.canonical_id,
                "DisplayName": "someone",
                "Type": "CanonicalUser",
            },
            "Permission": "FULL_CONTROL",
        }
    ]


def test_error_document_parses_as_an_error() -> None:
    body = documents.error_document([("Code", "NoSuchKey"), ("Message", "a < b"), ("Key", "k")])
    parsed = PARSER.parse(
        {"status_code": 404, "headers": {}, "body": body},
        MODEL.operation_model("GetObject").output_shape,
    )
    assert parsed["Error"] == {"Code": "NoSuchKey", "Message": "a < b", "Key": "k"}


def test_no_pair_of_values_can_break_out_of_its_element() -> None:
    assert leaves([("A", "</A><B>1</B>")]).count("<") == 2

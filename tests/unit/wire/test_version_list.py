"""ListVersionsResult: botocore reads every version and delete marker back."""

from dataclasses import dataclass
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.wire.documents import Owner, version_list
from objstore.wire.xml_writer import escape, url_encode
from tests.unit.wire.config_documents.model import answer

OWNER = Owner("0" * 64, "some & one")
# Keys with control characters are for encoding-type=url.
KEYS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=20)


@dataclass(frozen=True)
class Entry:
    key: str
    version_id: str
    is_latest: bool
    delete_marker: bool
    modified_ms: int = 0
    size: int = 5
    etag: str = "abc"
    storage_class: str = "STANDARD"
    checksum_algorithms: tuple[str, ...] = ()
    checksum_type: str = ""


ENTRIES = st.builds(
    Entry,
    key=KEYS,
    version_id=st.sampled_from(["null", "v1", "v2"]),
    is_latest=st.booleans(),
    delete_marker=st.booleans(),
    modified_ms=st.integers(0, 10**12),
)


@settings(max_examples=100)
@given(st.lists(ENTRIES, max_size=6), st.lists(KEYS, max_size=3))
def test_any_listing_reads_back(entries: list[Entry], prefixes: list[str]) -> None:
    head = [("Name", "b"), ("KeyMarker", ""), ("MaxKeys", "10"), ("IsTruncated", "false")]
    written = version_list(head, [(entry, OWNER) for entry in entries], prefixes, encode=escape)
    parsed = answer("ListObjectVersions", written)
    assert parsed["MaxKeys"] == 10
    assert parsed["IsTruncated"] is False
    assert parsed.get("CommonPrefixes", []) == [{"Prefix": prefix} for prefix in prefixes]
    for marker, name in ((False, "Versions"), (True, "DeleteMarkers")):
        shown = parsed.get(name, [])
        wanted = [entry for entry in entries if entry.delete_marker is marker]
        assert [(e["Key"], e["VersionId"], e["IsLatest"]) for e in shown] == [
            (e.key, e.version_id, e.is_latest) for e in wanted
        ]
        for got, entry in zip(shown, wanted, strict=True):
            assert got["LastModified"] == datetime.fromtimestamp(entry.modified_ms // 1000, UTC)
            assert got["Owner"] == {"ID": OWNER.canonical_id, "DisplayName": "some & one"}
            assert ("ETag" in got) is not marker


def test_a_version() -> None:
    entry = Entry(
        "a b", "null", True, False, checksum_algorithms=("CRC32",), checksum_type="COMPOSITE"
    )
    written = version_list([], [(entry, OWNER)], ["c d/"], encode=url_encode)
    parsed = answer("ListObjectVersions", written)
    assert parsed["CommonPrefixes"] == [{"Prefix": "c%20d/"}]
    (version,) = parsed["Versions"]
    version.pop("LastModified")
    version.pop("Owner")
    assert version == {
        "Key": "a%20b",
        "VersionId": "null",
        "IsLatest": True,
        "ETag": '"abc"',
        "ChecksumAlgorithm": ["CRC32"],
        "ChecksumType": "COMPOSITE",
        "Size": 5,
        "StorageClass": "STANDARD",
    }

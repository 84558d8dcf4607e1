"""Delete and DeleteResult: read as meant, and read back by botocore."""

from datetime import UTC, datetime

import pytest

from objstore.limits import DELETE_KEYS_MAX
from objstore.wire.delete_documents import (
    Deleted,
    DeleteFailure,
    ObjectToDelete,
    delete_result,
    read_delete,
)
from tests.unit.wire.config_documents.model import answer, refused, request_body


def body(*objects: str, quiet: str = "") -> bytes:
    return f"<Delete>{''.join(objects)}{quiet}</Delete>".encode()


KEY = "<Object><Key>k</Key></Object>"


def test_what_botocore_sends() -> None:
    modified = datetime(2030, 1, 1, tzinfo=UTC)
    sent = request_body(
        "DeleteObjects",
        Delete={
            "Objects": [
                {"Key": " a<b "},
                {"Key": "c", "VersionId": "null"},
                {"Key": "d", "ETag": '"x"'},
                {"Key": "e", "LastModifiedTime": modified, "Size": 0},
            ],
            "Quiet": True,
        },
    )
    document = read_delete(sent)
    assert document.quiet
    assert document.objects == (
        ObjectToDelete(" a<b ", None),
        ObjectToDelete("c", "null"),
        ObjectToDelete("d", None, etag="x"),
        ObjectToDelete("e", None, modified_ms=1_893_456_000_000, size=0),
    )
    assert [entry.conditional for entry in document.objects] == [False, False, True, True]


@pytest.mark.parametrize(
    ("text", "quiet"), [("true", True), ("TRUE", True), ("1", True), ("false", False), ("", False)]
)
def test_quiet(text: str, quiet: bool) -> None:
    assert read_delete(body(KEY, quiet=f"<Quiet>{text}</Quiet>")).quiet is quiet


@pytest.mark.parametrize(
    "data",
    [
        body(),
        body("<Object/>"),
        body("<Object><Key/></Object>"),
        body(KEY, quiet="<Quiet>maybe</Quiet>"),
        body(*[KEY] * (DELETE_KEYS_MAX + 1)),
        body(KEY, "<Surprise/>"),
        body("<Object><Key>k</Key><Size>many</Size></Object>"),
        body("<Object><Key>k</Key><Size>-1</Size></Object>"),
        body("<Object><Key>k</Key><LastModifiedTime>now</LastModifiedTime></Object>"),
    ],
)
def test_refusals(data: bytes) -> None:
    with refused("MalformedXML"):
        read_delete(data)


def test_a_thousand_keys_are_allowed() -> None:
    assert len(read_delete(body(*[KEY] * DELETE_KEYS_MAX)).objects) == 1000


def test_result() -> None:
    deleted = [
        Deleted("k"),
        Deleted("k", "v1"),
        Deleted("marked", delete_marker=True, marker_version_id="m1"),
        Deleted("unmarked", "m0", delete_marker=True, marker_version_id="m0"),
    ]
    failures = [DeleteFailure("x<", "null", "SlowDownWrite", "later & later")]
    loud = answer("DeleteObjects", delete_result(deleted, failures, quiet=False))
    quiet = answer("DeleteObjects", delete_result(deleted, failures, quiet=True))
    errors = [
        {"Key": "x<", "VersionId": "null", "Code": "SlowDownWrite", "Message": "later & later"}
    ]
    assert loud == {
        "Deleted": [
            {"Key": "k"},
            {"Key": "k", "VersionId": "v1"},
            {"Key": "marked", "DeleteMarker": True, "DeleteMarkerVersionId": "m1"},
            {
                "Key": "unmarked",
                "VersionId": "m0",
                "DeleteMarker": True,
                "DeleteMarkerVersionId": "m0",
            },
        ],
        "Errors": errors,
    }
    # AWS: "In quiet mode the response includes only keys where the delete operation encountered
    # an error."
    assert quiet == {"Errors": errors}

"""GetObjectAttributes: the attributes asked for, and the answer as botocore reads it."""

import pytest

from objstore.wire.config_documents.object_attributes import (
    ATTRIBUTES,
    AttributePart,
    AttributeParts,
    ObjectAttributes,
    read_wanted_attributes,
    write_object_attributes,
)
from tests.unit.s3.client import MODEL
from tests.unit.wire.config_documents.model import answer, refused


def test_wanted() -> None:
    assert read_wanted_attributes("ETag, ObjectSize") == {"ETag", "ObjectSize"}
    assert read_wanted_attributes(",".join(ATTRIBUTES)) == set(ATTRIBUTES)
    shape = MODEL.shape_for("ObjectAttributes")
    assert list(ATTRIBUTES) == shape.enum


@pytest.mark.parametrize("header", [None, "", " , "])
def test_nothing_wanted(header: str | None) -> None:
    with refused("InvalidRequest", "either missing or empty"):
        read_wanted_attributes(header)


@pytest.mark.parametrize("header", ["etag", "ETag,Owner", "ETag;ObjectSize"])
def test_unknown(header: str) -> None:
    with refused("InvalidArgument", "Invalid attribute name specified."):
        read_wanted_attributes(header)


def test_everything() -> None:
    attributes = ObjectAttributes(
        etag="abc-2",
        checksums={"CRC32": "AAAAAA==-2"},
        checksum_type="COMPOSITE",
        parts=AttributeParts(
            total=3,
            listed=(AttributePart(2, 5, {"CRC32": "AAAAAA=="}),),
            after=1,
            last=2,
            limit=1,
            truncated=True,
        ),
        storage_class="STANDARD",
        size=11,
    )
    assert answer("GetObjectAttributes", write_object_attributes(attributes)) == {
        "ETag": "abc-2",
        "Checksum": {"ChecksumCRC32": "AAAAAA==-2", "ChecksumType": "COMPOSITE"},
        "ObjectParts": {
            "TotalPartsCount": 3,
            "PartNumberMarker": 1,
            "NextPartNumberMarker": 2,
            "MaxParts": 1,
            "IsTruncated": True,
            "Parts": [{"PartNumber": 2, "Size": 5, "ChecksumCRC32": "AAAAAA=="}],
        },
        "StorageClass": "STANDARD",
        "ObjectSize": 11,
    }


def test_what_was_not_asked_for_is_left_out() -> None:
    assert answer("GetObjectAttributes", write_object_attributes(ObjectAttributes())) == {}
    some = ObjectAttributes(size=0, parts=AttributeParts(total=2))
    assert answer("GetObjectAttributes", write_object_attributes(some)) == {
        "ObjectSize": 0,
        "ObjectParts": {"TotalPartsCount": 2},
    }

"""A record comes back as it was, or is unknown; it is never read as something else."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RecordUnknown
from objstore.names import BucketName, DataId, Kind, ObjectKey, Stamp, UploadId
from objstore.ondisk.record import (
    Bucket,
    HeldShard,
    Part,
    Record,
    Upload,
    UploadedPart,
    Version,
    decode_bucket,
    decode_part,
    decode_record,
    decode_upload,
    encode_bucket,
    encode_part,
    encode_record,
    encode_upload,
    encode_version,
)

TEXT = st.text(max_size=12)
STAMPS = st.binary(min_size=16, max_size=16).map(Stamp)
PARTS = st.builds(
    Part,
    number=st.integers(1, 10_000),
    size=st.integers(0, 2**43),
    etag=TEXT,
    data_id=st.binary(min_size=16, max_size=16).map(DataId),
    checksums=st.dictionaries(TEXT, TEXT, max_size=2),
)
VERSIONS = st.builds(
    Version,
    bucket=TEXT.map(BucketName),
    key=TEXT.map(ObjectKey),
    stamp=STAMPS,
    revision=st.integers(0, 65_535),
    kind=st.sampled_from(Kind),
    null_version=st.booleans(),
    k=st.integers(1, 16),
    m=st.integers(0, 15),
    slots=st.lists(st.integers(0, 15), max_size=16).map(tuple),
    stripe_bytes=st.integers(1, 2**24),
    size=st.integers(0, 2**43),
    etag=TEXT,
    modified_ms=st.integers(0, 2**48),
    parts=st.lists(PARTS, max_size=3).map(tuple),
    headers=st.dictionaries(TEXT, TEXT, max_size=2),
    user_metadata=st.dictionaries(TEXT, TEXT, max_size=2),
)
HELD = st.lists(
    st.builds(HeldShard, st.integers(0, 15), st.none() | st.binary(max_size=50)), max_size=3
).map(tuple)

BUCKET = Bucket(BucketName("b"), Stamp(bytes(16)), 1)
UPLOAD = Upload(
    UploadId("u"), BucketName("b"), ObjectKey("k"), Stamp(bytes(16)), 1, 3, 1, (0, 1, 2, 3), 1 << 20
)
UPLOADED = UploadedPart(UploadId("u"), Stamp(bytes(16)), 1, Part(1, 5, "e", DataId(bytes(16))))


@settings(max_examples=80, deadline=None)
@given(version=VERSIONS, held=HELD)
def test_a_record_comes_back(version: Version, held: tuple[HeldShard, ...]) -> None:
    assert decode_record(encode_record(encode_version(version), held)) == Record(version, held)


@settings(max_examples=60, deadline=None)
@given(version=VERSIONS, data=st.data())
def test_a_damaged_record_is_unknown(version: Version, data: st.DataObject) -> None:
    sealed = bytearray(encode_record(encode_version(version), ()))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(RecordUnknown):
        decode_record(bytes(sealed))


def test_a_record_cut_anywhere_is_unknown() -> None:
    sealed = encode_upload(UPLOAD)
    for length in range(len(sealed)):
        with pytest.raises(RecordUnknown):
            decode_upload(sealed[:length])


def test_the_other_records_come_back() -> None:
    assert decode_bucket(encode_bucket(BUCKET)) == BUCKET
    assert decode_upload(encode_upload(UPLOAD)) == UPLOAD
    assert decode_part(encode_part(UPLOADED)) == UPLOADED


def test_one_kind_of_record_is_never_read_as_another() -> None:
    sealed = [encode_bucket(BUCKET), encode_upload(UPLOAD), encode_part(UPLOADED)]
    decoders = [decode_bucket, decode_upload, decode_part, decode_record]
    for mine, record in enumerate(sealed):
        for other, decode in enumerate(decoders):
            if mine != other:
                with pytest.raises(RecordUnknown, match="begins with"):
                    decode(record)


def test_a_newer_writer_may_append_fields() -> None:
    class Longer(Bucket, frozen=True, array_like=True):
        later: int = 7

    assert decode_bucket(encode_bucket(Longer(**msgspec.structs.asdict(BUCKET)))) == BUCKET

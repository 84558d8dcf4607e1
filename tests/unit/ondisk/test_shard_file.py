"""Every damaged, cut, misplaced or unknown shard file is recognised; nothing else is refused."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import ShardCorrupt
from objstore.limits import (
    KEY_BYTES_MAX,
    PART_NUMBER_MAX,
    SHARD_TRAILER_BYTES_MAX,
    USER_METADATA_BYTES_MAX,
)
from objstore.names import BucketName, DataId, Kind, ObjectKey, Stamp, UploadId
from objstore.ondisk.record import Part, Version, encode_version
from objstore.ondisk.shard_file import (
    CHECKSUM_BYTES,
    HEADER_BYTES,
    CheckedShard,
    ShardChecker,
    ShardHeader,
    block_checksum,
    decode_header,
    decode_trailer,
    encode_header,
    encode_trailer,
    frame_bytes,
    frame_offset,
    inline_offset,
    open_frame,
    trailer_bytes,
    trailer_of,
)

DATA_ID, OTHER_ID = DataId(b"D" * 16), DataId(b"E" * 16)
STAMP = Stamp(b"S" * 16)
K, M, STRIPE = 3, 1, 100
BLOCK = 34  # ceil(100 / 3)


def header(shard: int = 1) -> ShardHeader:
    return ShardHeader(
        bucket=BucketName("b"),
        key=ObjectKey("k"),
        data_id=DATA_ID,
        part=2,
        shard=shard,
        k=K,
        m=M,
        stripe_bytes=STRIPE,
        stamp=STAMP,
        upload_id=UploadId("u"),
        deployment="00" * 16,
    )


def version(size: int) -> Version:
    return Version(
        bucket=BucketName("b"),
        key=ObjectKey("k"),
        stamp=STAMP,
        revision=0,
        kind=Kind.OBJECT,
        null_version=True,
        k=K,
        m=M,
        slots=(0, 1, 2, 3),
        stripe_bytes=STRIPE,
        size=size,
        etag="0" * 32,
        modified_ms=0,
        parts=(Part(2, size, "0" * 32, DATA_ID),),
    )


def blocks_of(size: int) -> list[bytes]:
    whole, rest = divmod(size, STRIPE)
    lengths = [BLOCK] * whole + [-(-rest // K)] * (rest > 0)
    return [bytes([index % 255 + 1]) * length for index, length in enumerate(lengths)]


def shard_file(size: int, shard: int = 1) -> bytes:
    pieces = [encode_header(header(shard))]
    for index, block in enumerate(blocks_of(size)):
        pieces += [block_checksum(DATA_ID, shard, index, block), block]
    return b"".join([*pieces, encode_trailer(encode_version(version(size)))])


def check(whole: bytes, *, piece: int = 1 << 20) -> CheckedShard:
    checker = ShardChecker(DATA_ID, 2, 1)
    for start in range(0, len(whole), piece):
        checker.feed(whole[start : start + piece])
    return checker.finish()


# --- header ----------------------------------------------------------------------------


def test_a_header_is_one_page_and_comes_back() -> None:
    assert len(encode_header(header())) == HEADER_BYTES == 4096
    assert decode_header(encode_header(header())) == header()


def test_the_longest_header_fits() -> None:
    longest = msgspec.structs.replace(
        header(),
        bucket=BucketName("b" * 255),
        key=ObjectKey("ä" * (KEY_BYTES_MAX // 2)),
        part=PART_NUMBER_MAX,
        upload_id=UploadId("u" * 1024),
    )
    assert decode_header(encode_header(longest)) == longest


@settings(max_examples=300)
@given(bit=st.integers(0, HEADER_BYTES * 8 - 1))
def test_no_bit_of_a_header_may_flip(bit: int) -> None:
    damaged = bytearray(encode_header(header()))
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ShardCorrupt):
        decode_header(damaged)


@pytest.mark.parametrize("length", [0, 3, 4095, 4097])
def test_a_header_has_one_length(length: int) -> None:
    with pytest.raises(ShardCorrupt, match="header of"):
        decode_header((encode_header(header()) + b"x")[:length])


def test_another_format_is_named() -> None:
    newer = b"OSS2" + encode_header(header())[4:]
    with pytest.raises(ShardCorrupt, match="OSS2"):
        decode_header(newer)


@pytest.mark.parametrize("change", [{"k": 0}, {"m": -1}, {"stripe_bytes": 0}])
def test_an_impossible_header_is_refused_though_its_checksum_is_right(
    change: dict[str, int],
) -> None:
    with pytest.raises(ShardCorrupt, match="impossible"):
        decode_header(encode_header(msgspec.structs.replace(header(), **change)))


def test_a_newer_writer_may_append_fields() -> None:
    """docs/format/shard.md: a reader ignores fields behind those it knows."""

    class Longer(ShardHeader, frozen=True, array_like=True):
        later: str = "unknown here"

    longer = Longer(**msgspec.structs.asdict(header()))
    assert decode_header(encode_header(longer)) == header()


# --- frames ----------------------------------------------------------------------------


@given(
    block=st.binary(min_size=1, max_size=300), shard=st.integers(0, 15), index=st.integers(0, 2**40)
)
def test_a_frame_opens_only_where_it_belongs(block: bytes, shard: int, index: int) -> None:
    frame = block_checksum(DATA_ID, shard, index, block) + block
    assert open_frame(DATA_ID, shard, index, frame) == block
    for place in [
        (OTHER_ID, shard, index),
        (DATA_ID, shard + 1, index),
        (DATA_ID, shard, index + 1),
    ]:
        with pytest.raises(ShardCorrupt):
            open_frame(*place, frame)


@given(block=st.binary(min_size=1, max_size=60), data=st.data())
def test_no_bit_of_a_frame_may_flip(block: bytes, data: st.DataObject) -> None:
    frame = bytearray(block_checksum(DATA_ID, 0, 0, block) + block)
    bit = data.draw(st.integers(0, len(frame) * 8 - 1))
    frame[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ShardCorrupt):
        open_frame(DATA_ID, 0, 0, frame)


@pytest.mark.parametrize("length", [0, 1, CHECKSUM_BYTES - 1, CHECKSUM_BYTES, CHECKSUM_BYTES + 4])
def test_a_frame_cut_short_is_refused(length: int) -> None:
    frame = block_checksum(DATA_ID, 0, 0, b"block") + b"block"
    with pytest.raises(ShardCorrupt):
        open_frame(DATA_ID, 0, 0, frame[:length])


def test_opening_a_frame_copies_nothing() -> None:
    frame = bytearray(block_checksum(DATA_ID, 0, 0, b"block") + b"block")
    block = open_frame(DATA_ID, 0, 0, frame)
    frame[-1] = 0
    assert bytes(block) == b"bloc\0"


def test_zeros_are_no_frame() -> None:
    with pytest.raises(ShardCorrupt):
        open_frame(DATA_ID, 0, 0, bytes(100))


def test_frames_lie_one_behind_the_other() -> None:
    assert frame_offset(0, BLOCK) == HEADER_BYTES
    assert frame_offset(7, BLOCK) == HEADER_BYTES + 7 * frame_bytes(BLOCK)
    assert inline_offset(7, BLOCK) == 7 * (16 + BLOCK)
    whole = shard_file(250)
    for index, block in enumerate(blocks_of(250)):
        start = frame_offset(index, BLOCK)
        assert (
            open_frame(DATA_ID, 1, index, whole[start : start + frame_bytes(len(block))]) == block
        )


# --- trailer ---------------------------------------------------------------------------


def test_a_trailer_is_found_from_the_end() -> None:
    whole = shard_file(250)
    length = trailer_bytes(whole[-8:])
    assert decode_trailer(whole[-length:]) == version(250)


def test_no_bit_of_a_trailer_may_flip() -> None:
    trailer = encode_trailer(encode_version(version(250)))
    for bit in range(len(trailer) * 8):
        damaged = bytearray(trailer)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ShardCorrupt):
            decode_trailer(damaged)


def test_the_longest_metadata_fit_into_a_trailer() -> None:
    longest = msgspec.structs.replace(
        version(250),
        key=ObjectKey("k" * KEY_BYTES_MAX),
        headers={f"header-{number}": "v" * 16_384 for number in range(6)},
        user_metadata={"n": "v" * USER_METADATA_BYTES_MAX},
    )
    assert len(encode_trailer(encode_version(longest))) < SHARD_TRAILER_BYTES_MAX


def test_the_trailer_of_a_part_names_that_part_alone() -> None:
    parts = tuple(Part(n, 9, "0" * 32, DataId(n.to_bytes(16, "big"))) for n in range(1, 10_001))
    many = msgspec.structs.replace(version(90_000), parts=parts)
    trailer = trailer_of(many, parts[4])
    assert len(trailer) < 1000
    assert decode_trailer(trailer).parts == parts[4:5]


# --- a whole file ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 2, 3, 99, 100, 101, 250, 300])
@pytest.mark.parametrize("piece", [1, 7, 4096, 1 << 20])
def test_a_whole_file_passes_in_any_pieces(size: int, piece: int) -> None:
    found = check(shard_file(size), piece=piece)
    assert found == CheckedShard(
        header(), version(size), len(blocks_of(size)), sum(map(len, blocks_of(size)))
    )


def test_a_long_file_is_checked_as_it_comes() -> None:
    """Damage near the start is found before the end, and little is held."""
    size = 100 * 20_000
    whole = bytearray(shard_file(size))
    whole[HEADER_BYTES + 20] ^= 1
    checker = ShardChecker(DATA_ID, 2, 1)
    with pytest.raises(ShardCorrupt, match="block 0 "):
        checker.feed(whole[: len(whole) // 2])
    assert check(shard_file(size), piece=65_536).blocks == 20_000


@pytest.mark.parametrize("size", [0, 1, 250])
def test_no_bit_of_a_file_may_flip(size: int) -> None:
    whole = shard_file(size)
    for position in [*range(0, HEADER_BYTES, 97), *range(HEADER_BYTES, len(whole))]:
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        with pytest.raises(ShardCorrupt):
            check(bytes(damaged))


def test_a_file_cut_anywhere_is_refused() -> None:
    whole = shard_file(250)
    for length in [0, 1, HEADER_BYTES - 1, *range(HEADER_BYTES, len(whole))]:
        with pytest.raises(ShardCorrupt):
            check(whole[:length])


@given(junk=st.binary(min_size=1, max_size=40))
def test_a_file_with_more_behind_is_refused(junk: bytes) -> None:
    with pytest.raises(ShardCorrupt):
        check(shard_file(250) + junk)


def test_frames_left_out_are_missed() -> None:
    whole = shard_file(250)
    last = frame_bytes(len(blocks_of(250)[-1]))
    end = trailer_bytes(whole)
    without_last = whole[: len(whole) - end - last] + whole[-end:]
    with pytest.raises(ShardCorrupt, match="expected"):
        check(without_last)
    with pytest.raises(ShardCorrupt, match="expected"):
        check(whole[:HEADER_BYTES] + whole[-end:])


def test_another_shards_file_is_recognised() -> None:
    with pytest.raises(ShardCorrupt, match="shard 0"):
        check(shard_file(250, shard=0))


def test_a_trailer_of_another_object_is_recognised() -> None:
    whole = shard_file(250)
    body = whole[: len(whole) - trailer_bytes(whole)]
    for change in ({"key": "other"}, {"k": 2}, {"parts": (Part(2, 250, "", OTHER_ID),)}):
        other = msgspec.structs.replace(version(250), **change)
        with pytest.raises(ShardCorrupt):
            check(body + encode_trailer(encode_version(other)))

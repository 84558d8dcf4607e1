"""Shard files: the blocks of one shard of one part, each with its checksum.

Format page: docs/format/shard.md.

    header (4096 bytes) | frame 0 | frame 1 | ... | trailer

A frame is the checksum of a block and the block. The checksum is bound to the data id, the shard
and the block's index: a block in the wrong place fails like a damaged one. All frames but the
last have one length, so the place of a frame is arithmetic and a reader needs no index. Small
versions carry the same frames inside their record, without header and trailer.
"""

import struct
from typing import Final

import msgspec
import xxhash

from objstore.errors import RecordUnknown, ShardCorrupt
from objstore.limits import SHARD_TRAILER_BYTES_MAX
from objstore.names import BucketName, DataId, ObjectKey, Scheme, Stamp, UploadId
from objstore.ondisk.record import Part, Version, decode_record, encode_record, encode_version

Buffer = bytes | bytearray | memoryview

HEADER_BYTES: Final = 4096
CHECKSUM_BYTES: Final = 16

_HEADER_MAGIC: Final = b"OSS1"
_TRAILER_MAGIC: Final = b"OST1"
_BODY_LENGTH: Final = struct.Struct(">H")
_BODY_OFFSET: Final = len(_HEADER_MAGIC) + CHECKSUM_BYTES + _BODY_LENGTH.size
_PLACE: Final = struct.Struct(">16sHQ")
_FOOTER: Final = struct.Struct(">I4s")


class ShardHeader(msgspec.Struct, frozen=True, array_like=True):
    """Whose shard a file is. It repeats what the record says, so that a stray file has a name.

    `stamp` is the one the write began with; the record's may be higher, when a drive asked for it.
    """

    bucket: BucketName
    key: ObjectKey
    data_id: DataId
    part: int
    shard: int
    k: int
    m: int
    stripe_bytes: int
    stamp: Stamp
    upload_id: UploadId = UploadId("")
    deployment: str = ""  # the deployment id in hex

    @property
    def scheme(self) -> Scheme:
        """The scheme the shard was encoded with."""
        return Scheme(self.k, self.m)

    @property
    def full_block_bytes(self) -> int:
        """The length of every block but those of the last stripe."""
        return -(-self.stripe_bytes // self.k)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ShardHeader)


# --- header ----------------------------------------------------------------------------


def encode_header(header: ShardHeader) -> bytes:
    """Return the 4,096 bytes a shard file begins with."""
    body = _encoder.encode(header)
    room = HEADER_BYTES - _BODY_OFFSET - len(body)
    assert room >= 0, "a header outgrew its 4,096 bytes"
    checked = _BODY_LENGTH.pack(len(body)) + body + bytes(room)
    return b"".join((_HEADER_MAGIC, xxhash.xxh3_128_digest(checked), checked))


def decode_header(data: Buffer) -> ShardHeader:
    """Open the first 4,096 bytes of a shard file.

    Raises:
        ShardCorrupt: they are damaged, cut short, or of a format this reader does not know.
    """
    head = bytes(data)
    if len(head) != HEADER_BYTES:
        raise ShardCorrupt(f"header of {len(head)} bytes, expected {HEADER_BYTES}")
    if head[:4] != _HEADER_MAGIC:
        raise ShardCorrupt(f"shard file begins with {head[:4]!r}, expected {_HEADER_MAGIC!r}")
    checked = head[4 + CHECKSUM_BYTES :]
    if xxhash.xxh3_128_digest(checked) != head[4 : 4 + CHECKSUM_BYTES]:
        raise ShardCorrupt("header fails its checksum")
    (length,) = _BODY_LENGTH.unpack_from(checked)
    try:
        header = _decoder.decode(checked[_BODY_LENGTH.size : _BODY_LENGTH.size + length])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ShardCorrupt(f"header does not decode: {error}") from error
    if header.k < 1 or header.m < 0 or header.stripe_bytes < 1:
        raise ShardCorrupt("header with an impossible scheme or stripe")
    return header


# --- frames ----------------------------------------------------------------------------


def block_checksum(data_id: DataId, shard: int, index: int, block: Buffer) -> bytes:
    """Return the checksum of block `index` of a shard: xxh3-128, seeded with the block's place.

    The GIL is released while a large block is hashed.
    """
    seed = xxhash.xxh3_64_intdigest(_PLACE.pack(data_id, shard, index))
    return xxhash.xxh3_128_digest(block, seed=seed)


def frame_bytes(block_bytes: int) -> int:
    """Return the length of the frame of a block of `block_bytes`."""
    return CHECKSUM_BYTES + block_bytes


def frame_offset(index: int, full_block_bytes: int) -> int:
    """Return where frame `index` begins in a shard file."""
    return HEADER_BYTES + inline_offset(index, full_block_bytes)


def inline_offset(index: int, full_block_bytes: int) -> int:
    """Return where frame `index` begins in a shard that lies in a record."""
    return index * frame_bytes(full_block_bytes)


def open_frame(data_id: DataId, shard: int, index: int, frame: Buffer) -> memoryview:
    """Check a frame and return its block, without copying it.

    Raises:
        ShardCorrupt: it is damaged, cut short, or belongs elsewhere.
    """
    view = memoryview(frame)
    block = view[CHECKSUM_BYTES:]
    expected = view[:CHECKSUM_BYTES]
    if len(block) == 0 or block_checksum(data_id, shard, index, block) != expected:
        raise ShardCorrupt(f"block {index} of shard {shard} fails its checksum")
    return block


# --- trailer ---------------------------------------------------------------------------


def encode_trailer(version: bytes) -> bytes:
    """Return the end of a shard file. `version` is what `encode_version` returned."""
    sealed = encode_record(version, ())
    trailer = sealed + _FOOTER.pack(len(sealed), _TRAILER_MAGIC)
    assert len(trailer) <= SHARD_TRAILER_BYTES_MAX
    return trailer


def trailer_of(version: Version, part: Part) -> bytes:
    """Return the trailer of a shard of one part: the version with that part alone.

    So the trailer of a part of 10,000 is as short as any other, and a rebuilt file equals the
    one that was lost when the version's other fields are those of the upload.
    """
    return encode_trailer(encode_version(msgspec.structs.replace(version, parts=(part,))))


def trailer_bytes(tail: Buffer) -> int:
    """Return the length of the trailer of the file that ends with `tail`, 8 bytes or more.

    Raises:
        ShardCorrupt: this is not the end of a shard file.
    """
    if len(tail) < _FOOTER.size:
        raise ShardCorrupt("shard file ends before its trailer")
    length, magic = _FOOTER.unpack(bytes(tail[-_FOOTER.size :]))
    if magic != _TRAILER_MAGIC:
        raise ShardCorrupt(f"shard file ends with {magic!r}, expected {_TRAILER_MAGIC!r}")
    total: int = length + _FOOTER.size
    if total > SHARD_TRAILER_BYTES_MAX:
        raise ShardCorrupt(f"trailer of {total} bytes, at most {SHARD_TRAILER_BYTES_MAX}")
    return total


def decode_trailer(trailer: Buffer) -> Version:
    """Return the version that the shard was written for.

    Raises:
        ShardCorrupt: the trailer is damaged or cut short.
    """
    if trailer_bytes(trailer) != len(trailer):
        raise ShardCorrupt("trailer has not the length it says")
    try:
        return decode_record(bytes(trailer[: -_FOOTER.size])).version
    except RecordUnknown as error:
        raise ShardCorrupt(f"trailer: {error}") from error


# --- a whole file ----------------------------------------------------------------------


class CheckedShard(msgspec.Struct, frozen=True):
    """What a shard file that is whole says, and how much it holds."""

    header: ShardHeader
    version: Version
    blocks: int
    data_bytes: int


class ShardChecker:
    """Verify a whole shard file, fed in order in pieces of any size.

    Where the frames end is known only from the end of the file, so the last trailer's worth of
    bytes is held back until `finish`; at most that, one frame and one piece are in memory.
    """

    def __init__(self, data_id: DataId, part: int, shard: int) -> None:
        self._data_id = data_id
        self._part = part
        self._shard = shard
        self._header: ShardHeader | None = None
        self._held = bytearray()
        self._blocks = 0
        self._data_bytes = 0

    def feed(self, piece: Buffer) -> None:
        """Check what can be checked so far.

        Raises:
            ShardCorrupt: the header or a block is damaged, or the file is another shard's.
        """
        self._held += piece
        if self._header is None and len(self._held) >= HEADER_BYTES:
            self._header = self._open_header()
        if self._header is not None:
            self._check_frames(self._header, keep=SHARD_TRAILER_BYTES_MAX)

    def finish(self) -> CheckedShard:
        """The file ends here: check the rest.

        Raises:
            ShardCorrupt: the last blocks or the trailer are damaged or missing.
        """
        header = self._header
        if header is None:
            raise ShardCorrupt(f"shard file of {len(self._held)} bytes has no header")
        length = trailer_bytes(self._held)
        if length > len(self._held):
            raise ShardCorrupt("trailer begins before the last block ends")
        version = decode_trailer(bytes(self._held[-length:]))
        self._check_version(header, version)
        self._check_frames(header, keep=length)
        last = len(self._held) - length
        if last:
            self._check_frame(last)
        self._check_length(header, version)
        return CheckedShard(header, version, self._blocks, self._data_bytes)

    def _open_header(self) -> ShardHeader:
        header = decode_header(self._held[:HEADER_BYTES])
        del self._held[:HEADER_BYTES]
        found = (header.data_id, header.part, header.shard)
        if found != (self._data_id, self._part, self._shard):
            raise ShardCorrupt(
                f"shard file of {header.data_id.hex()} part {header.part} shard {header.shard}"
            )
        return header

    def _check_version(self, header: ShardHeader, version: Version) -> None:
        if (version.bucket, version.key, version.scheme) != (
            header.bucket,
            header.key,
            header.scheme,
        ):
            raise ShardCorrupt("trailer and header do not name the same version")
        if version.parts and not any(part.data_id == self._data_id for part in version.parts):
            raise ShardCorrupt("the trailer's version has no part with this data")

    def _check_length(self, header: ShardHeader, version: Version) -> None:
        for part in version.parts:
            if part.data_id == self._data_id:
                stripes, rest = divmod(part.size, header.stripe_bytes)
                expected = stripes * header.full_block_bytes + -(-rest // header.k)
                if self._data_bytes != expected:
                    raise ShardCorrupt(f"blocks of {self._data_bytes} bytes, expected {expected}")

    def _check_frames(self, header: ShardHeader, *, keep: int) -> None:
        frame = frame_bytes(header.full_block_bytes)
        start, stop = 0, len(self._held) - keep
        with memoryview(self._held) as held:
            while stop - start >= frame:
                self._check_block(held[start : start + frame])
                start += frame
        del self._held[:start]

    def _check_frame(self, length: int) -> None:
        with memoryview(self._held) as held:
            self._check_block(held[:length])
        del self._held[:length]

    def _check_block(self, frame: memoryview) -> None:
        with frame:
            block = open_frame(self._data_id, self._shard, self._blocks, frame)
            self._data_bytes += len(block)
            self._blocks += 1
            block.release()

"""Format 1 is read for ever, and the blocks and checksums of an object never change.

The files of format1/ are what format 1 wrote; docs/format/*.md describe them. Fields may be
appended to a record, so today's encoder may write more than these files hold; what it must not
do is read them differently.
"""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

from objstore.erasure.codec import codec_for
from objstore.erasure.geometry import block_bytes, stripe_count, stripe_size
from objstore.limits import STRIPE_BYTES
from objstore.names import Scheme
from objstore.ondisk.drive_identity import decode_cluster, decode_identity
from objstore.ondisk.encryption import Keystream, is_key_of
from objstore.ondisk.record import (
    Record,
    decode_bucket,
    decode_part,
    decode_record,
    decode_upload,
)
from objstore.ondisk.shard_file import (
    HEADER_BYTES,
    ShardChecker,
    decode_header,
    decode_trailer,
    frame_bytes,
    frame_offset,
    open_frame,
    trailer_bytes,
)
from tests.golden import samples

ROOT = Path(__file__).parents[2]
FILES = sorted(path.name for path in samples.HERE.iterdir())


def golden(name: str) -> bytes:
    return (samples.HERE / name).read_bytes()


def test_every_golden_file_is_here() -> None:
    assert FILES == sorted(samples.all_files())


@pytest.mark.parametrize("name", ["drive.json", "cluster.json", "frames.sha256"])
def test_what_is_written_has_not_changed(name: str) -> None:
    assert samples.all_files()[name] == golden(name)


def test_records_decode() -> None:
    assert decode_record(golden("object.record")) == Record(samples.OBJECT, samples.HELD)
    assert decode_record(golden("tombstone.record")).version == samples.TOMBSTONE
    assert decode_bucket(golden("bucket.record")) == samples.BUCKET
    assert decode_upload(golden("upload.record")) == samples.UPLOAD
    assert decode_part(golden("part.record")) == samples.UPLOADED_PART


def test_what_was_encrypted_is_read_with_its_key() -> None:
    version = decode_record(golden("encrypted.record")).version
    assert version == samples.ENCRYPTED
    assert is_key_of(samples.CUSTOMER_KEY, version.encryption)
    keystream = Keystream(samples.CUSTOMER_KEY, version.parts[0].salt)
    assert keystream.apply(golden("encrypted.bytes")) == samples.content(samples.SMALL_SIZE)


def test_identities_decode() -> None:
    assert decode_identity(golden("drive.json"), where="drive.json") == samples.IDENTITY
    assert decode_cluster(golden("cluster.json"), where="cluster.json") == samples.CLUSTER


@pytest.mark.parametrize("scheme", samples.COMMITTED, ids=str)
def test_shard_files_are_whole_and_say_whose_they_are(scheme: Scheme) -> None:
    for shard in range(scheme.slots):
        checker = ShardChecker(samples.DATA_ID, 1, shard)
        checker.feed(golden(samples.shard_file_name(scheme, shard)))
        found = checker.finish()
        assert found.header == samples.header(scheme, shard, samples.SMALL_STRIPE)
        assert found.version == samples.version(scheme, samples.SMALL_SIZE, samples.SMALL_STRIPE)
        assert found.blocks == 3


@pytest.mark.parametrize("scheme", samples.COMMITTED, ids=str)
def test_the_frames_of_shard_files_have_not_changed(scheme: Scheme) -> None:
    written = samples.frames(scheme, samples.SMALL_SIZE, samples.SMALL_STRIPE)
    for shard, frames in enumerate(written):
        whole = golden(samples.shard_file_name(scheme, shard))
        assert whole[HEADER_BYTES : len(whole) - trailer_bytes(whole)] == frames


@pytest.mark.parametrize("scheme", samples.COMMITTED, ids=str)
def test_any_k_golden_files_give_the_object(scheme: Scheme) -> None:
    files = [golden(samples.shard_file_name(scheme, shard)) for shard in range(scheme.slots)]
    for present in itertools.combinations(range(scheme.slots), scheme.k):
        found = read_object({shard: files[shard] for shard in present})
        assert found == samples.content(samples.SMALL_SIZE), present


def read_object(files: dict[int, bytes]) -> bytes:
    """Read an object back from shard files alone, as docs/format/shard.md says."""
    first = next(iter(files.values()))
    header = decode_header(first[:HEADER_BYTES])
    (part,) = decode_trailer(first[len(first) - trailer_bytes(first) :]).parts
    out = b""
    for index in range(stripe_count(part.size, header.stripe_bytes)):
        length = stripe_size(index, part.size, header.stripe_bytes)
        block = block_bytes(length, header.k)
        start = frame_offset(index, header.full_block_bytes)
        blocks = {
            shard: open_frame(
                header.data_id, shard, index, whole[start : start + frame_bytes(block)]
            )
            for shard, whole in files.items()
        }
        stripe = np.empty((header.k, block), np.uint8)
        codec_for(header.scheme).rebuild(blocks, range(header.k), stripe)
        out += stripe.tobytes()[:length]
    return out


def test_the_hashes_cover_every_shard_of_every_shipped_scheme() -> None:
    lines = golden("frames.sha256").decode().splitlines()
    expected = [f"{s.k}+{s.m} {shard}" for s in samples.SHIPPED for shard in range(s.slots)]
    assert [line.rpartition(" ")[0] for line in lines] == expected
    assert samples.LARGE_SIZE > 2 * STRIPE_BYTES


PAGES = sorted((ROOT / "docs" / "format").glob("*.md"))
_DUMP = re.compile(r"```hex (\S+)\n(.*?)```", re.DOTALL)
_LINE = re.compile(r"([0-9a-f]{4,})  ((?:[0-9a-f]{2} ?)+)(?: .*)?")


def test_the_worked_examples_of_the_format_pages_are_the_golden_bytes() -> None:
    checked = set()
    for page in PAGES:
        for name, dump in _DUMP.findall(page.read_text()):
            whole = golden(name)
            for line in dump.splitlines():
                match = _LINE.fullmatch(line)
                assert match is not None, (page, line)
                offset, shown = int(match[1], 16), bytes.fromhex(match[2])
                assert whole[offset : offset + len(shown)] == shown, (page, line)
            checked.add(name)
    assert {"3+1.0.shard", "object.record"} <= checked


def test_the_pages_show_drive_json_and_cluster_json_as_written() -> None:
    page = (ROOT / "docs" / "format" / "drive.md").read_text()
    assert golden("drive.json").decode() in page
    assert golden("cluster.json").decode() in page

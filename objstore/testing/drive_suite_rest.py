"""The contract of a drive about buckets, uploads, shard files and its own state."""

import pytest

from objstore.drive.job_states import Progress, Quarantine, Quarantined, ScrubState
from objstore.drive.ops import (
    AbortUpload,
    DiscardShards,
    ListBuckets,
    ListUploads,
    PutBucket,
    ReadBucket,
    ReadStatus,
    ReadUpload,
    RequestHeal,
    RequestScrub,
    Undo,
    VerifyShard,
    WriteProgress,
    WriteQuarantine,
    WriteScrub,
)
from objstore.errors import (
    BucketMissing,
    BucketNotEmpty,
    DriveError,
    DriveRefusal,
    RecordUnknown,
    ShardCorrupt,
    ShardMissing,
    Superseded,
    UploadMissing,
)
from objstore.limits import SHARD_REWRITE_AGE_S
from objstore.names import BucketName, Kind, UploadId
from objstore.ondisk.record import HeldShard, decode_bucket, decode_part, decode_upload
from objstore.testing.drive_harness import Harness
from objstore.testing.drive_values import (
    BUCKET,
    KEY,
    STRIPE_BYTES,
    commit,
    data_id,
    order,
    part,
    put_bucket,
    put_part,
    put_upload,
    shard_file,
    stamp,
    version,
)

_UPLOAD = UploadId("upload")
_NAME = (data_id(1), 1, 0)


class BucketClauses:
    """Mixed into DriveSuite."""

    async def test_buckets_are_stored_and_listed(self, harness: Harness) -> None:
        assert (await harness.call(ListBuckets())).records == ()
        assert (await harness.call(ReadBucket(BUCKET))).records == ()
        for name in ("b", "a", "c"):
            await harness.call(put_bucket(name=BucketName(name)))
        await harness.call(put_bucket(2, name=BucketName("c"), deleted=True))
        page = await harness.call(ListBuckets())
        found = [decode_bucket(sealed) for sealed in page.records]
        assert [(bucket.name, bucket.deleted) for bucket in found] == [
            ("a", False),
            ("b", False),
            ("c", True),
        ]
        assert page.trusted
        (one,) = (await harness.call(ReadBucket(BucketName("b")))).records
        assert decode_bucket(one) == found[1]

    async def test_the_newest_record_of_a_bucket_counts(self, harness: Harness) -> None:
        await harness.call(put_bucket(5))
        for number, force in ((5, False), (4, False), (4, True)):
            error = await harness.refused(put_bucket(number, force=force), Superseded)
            assert isinstance(error, Superseded)
            assert error.held == stamp(5)
        await harness.call(put_bucket(6, deleted=True))
        await harness.call(put_bucket(7))
        (sealed,) = (await harness.call(ReadBucket(BUCKET))).records
        assert not decode_bucket(sealed).deleted

    async def test_a_bucket_in_use_is_not_deleted(self, harness: Harness) -> None:
        await harness.call(put_bucket(1))
        await harness.call(commit(version(5)))
        await harness.refused(put_bucket(2, deleted=True), BucketNotEmpty)
        await harness.call(commit(version(6, kind=Kind.TOMBSTONE)))
        await harness.call(put_upload(_UPLOAD))
        await harness.refused(put_bucket(2, deleted=True), BucketNotEmpty)
        await harness.call(AbortUpload(_UPLOAD))
        await harness.call(put_bucket(2, deleted=True))

    async def test_a_healer_deletes_a_bucket_whatever_it_holds(self, harness: Harness) -> None:
        await harness.call(put_bucket(1))
        await harness.call(commit(version(5)))
        await harness.call(put_upload(_UPLOAD))
        await harness.call(put_bucket(2, deleted=True, force=True))
        (sealed,) = (await harness.call(ReadBucket(BUCKET))).records
        assert decode_bucket(sealed).deleted
        assert (await harness.call(ReadUpload(_UPLOAD))).upload is None
        assert await harness.orders() == [order(5)]  # until its tombstone is merged

    async def test_a_damaged_bucket_record_is_not_taken(self, harness: Harness) -> None:
        record = bytearray(put_bucket().record)
        record[-1] ^= 1
        await harness.refused(PutBucket(bytes(record)), RecordUnknown)


class UploadClauses:
    """Mixed into DriveSuite."""

    async def test_an_upload_needs_its_bucket(self, harness: Harness) -> None:
        await harness.refused(put_upload(_UPLOAD), BucketMissing)
        await harness.call(put_bucket(1))
        await harness.call(put_bucket(2, deleted=True))
        await harness.refused(put_upload(_UPLOAD), BucketMissing)

    async def test_an_upload_and_its_parts_are_read_back(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        assert (await harness.call(ReadUpload(_UPLOAD))).upload is None
        op = put_upload(_UPLOAD)
        await harness.call(op)
        await harness.call(op)
        for number in (3, 1, 10, 2):
            await harness.call(put_part(_UPLOAD, number, data_id(number)))
        state = await harness.call(ReadUpload(_UPLOAD))
        assert (state.upload, state.trusted) == (op.record, True)
        assert [decode_part(sealed).part.number for sealed in state.parts] == [1, 2, 3, 10]
        state = await harness.call(ReadUpload(_UPLOAD, after_part=1, limit=2))
        assert [decode_part(sealed).part.number for sealed in state.parts] == [2, 3]

    async def test_the_newest_of_a_part_counts(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(put_upload(_UPLOAD))
        for at in (5, 9, 7):
            await harness.write((data_id(at), 1, 0), b"shard")
            await harness.call(put_part(_UPLOAD, 1, data_id(at), at=at))
            await harness.call(put_part(_UPLOAD, 1, data_id(at), at=at))
        (sealed,) = (await harness.call(ReadUpload(_UPLOAD))).parts
        assert decode_part(sealed).stamp == stamp(9)
        for at in (5, 9):
            assert await harness.readable((data_id(at), 1, 0))  # until the upload ends
        await harness.call(AbortUpload(_UPLOAD))
        for at in (5, 7, 9):
            assert not await harness.readable((data_id(at), 1, 0))

    async def test_a_part_needs_its_upload(self, harness: Harness) -> None:
        await harness.refused(put_part(_UPLOAD, 1, data_id(1)), UploadMissing)

    async def test_an_aborted_upload_is_gone(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.refused(AbortUpload(_UPLOAD), UploadMissing)
        await harness.call(put_upload(_UPLOAD))
        await harness.call(AbortUpload(_UPLOAD))
        await harness.refused(AbortUpload(_UPLOAD), UploadMissing)
        await harness.refused(put_part(_UPLOAD, 1, data_id(1)), UploadMissing)
        assert (await harness.call(ReadUpload(_UPLOAD))).upload is None

    async def test_uploads_are_listed_by_key_and_id(self, harness: Harness) -> None:
        other = BucketName("other")
        await harness.call(put_bucket())
        await harness.call(put_bucket(name=other))
        await harness.call(put_upload("9", key="a", bucket=other))
        places = [("a", "2"), ("a", "3"), ("a/b", "1"), ("b", "0")]
        for key, upload_id in reversed(places):
            await harness.call(put_upload(upload_id, key=key))

        async def listed(**more: object) -> tuple[list[tuple[str, str]], bool]:
            page = await harness.call(ListUploads(BUCKET, **more))  # type: ignore[arg-type]
            uploads = [decode_upload(sealed) for sealed in page.uploads]
            return [(upload.key, upload.upload_id) for upload in uploads], page.truncated

        assert await listed() == (places, False)
        assert await listed(limit=4) == (places, False)
        assert await listed(limit=3) == (places[:3], True)
        assert await listed(prefix="a") == (places[:3], False)
        assert await listed(after_key="a", after_upload="2") == (places[1:], False)
        assert await listed(after_key="a") == (places, False)
        assert await listed(prefix="a/", after_key="a") == ([("a/b", "1")], False)


class ShardClauses:
    """Mixed into DriveSuite."""

    async def test_a_shard_is_read_back(self, harness: Harness) -> None:
        pieces = [bytes([index]) * size for index, size in enumerate((1, 4095, 4096, 0, 700_001))]
        content = b"".join(pieces)
        sink = await harness.drive.create_shard(*_NAME)
        await sink.write(*pieces[:2])
        await sink.write()
        await sink.write(pieces[2], memoryview(pieces[3]), bytearray(pieces[4]))
        await sink.finish()
        whole = len(content)
        for offset, size in ((0, whole), (0, 1), (4094, 5000), (whole - 1, 1), (7, 0)):
            data = await harness.drive.read_shard(*_NAME, offset=offset, size=size)
            assert bytes(data) == content[offset : offset + size]

    async def test_buffers_may_be_used_again_after_a_write(self, harness: Harness) -> None:
        buffer = bytearray(b"first")
        sink = await harness.drive.create_shard(*_NAME)
        await sink.write(buffer)
        buffer[:] = b"later"
        await sink.finish()
        assert await harness.drive.read_shard(*_NAME, offset=0, size=5) == b"first"

    async def test_an_empty_shard(self, harness: Harness) -> None:
        await harness.write(_NAME, b"")
        assert await harness.drive.read_shard(*_NAME, offset=0, size=0) == b""
        with pytest.raises(ShardCorrupt):
            await harness.drive.read_shard(*_NAME, offset=0, size=1)

    async def test_a_shard_that_is_short_is_corrupt(self, harness: Harness) -> None:
        await harness.write(_NAME, b"12345")
        for offset, size in ((0, 6), (5, 1), (4, 2), (100, 1)):
            with pytest.raises(ShardCorrupt):
                await harness.drive.read_shard(*_NAME, offset=offset, size=size)

    async def test_a_shard_that_is_not_there_is_missing(self, harness: Harness) -> None:
        await harness.write(_NAME, b"12345")
        for name in ((data_id(2), 1, 0), (data_id(1), 2, 0), (data_id(1), 1, 1)):
            with pytest.raises(ShardMissing):
                await harness.drive.read_shard(*name, offset=0, size=1)

    async def test_an_aborted_shard_is_gone(self, harness: Harness) -> None:
        for finish in (False, True):
            sink = await harness.drive.create_shard(*_NAME)
            await sink.write(b"12345")
            if finish:
                await sink.finish()
            await sink.abort()
            await sink.abort()
            with pytest.raises(DriveError):
                await sink.write(b"6")
            assert not await harness.readable(_NAME)

    async def test_a_shard_that_may_be_in_flight_is_not_overwritten(self, harness: Harness) -> None:
        await harness.write(_NAME, b"first")
        with pytest.raises(DriveRefusal):
            await harness.drive.create_shard(*_NAME)
        harness.clock.advance(SHARD_REWRITE_AGE_S + 3600)
        await harness.write(_NAME, b"later")
        assert await harness.drive.read_shard(*_NAME, offset=0, size=5) == b"later"

    async def test_a_discarded_shard_makes_room(self, harness: Harness) -> None:
        await harness.write(_NAME, b"first")
        await harness.call(DiscardShards((_NAME, (data_id(9), 1, 0))))
        assert not await harness.readable(_NAME)
        await harness.write(_NAME, b"later")

    async def test_a_shard_that_is_named_is_not_discarded(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(put_upload(_UPLOAD))
        for data in (1, 2):
            await harness.write((data_id(data), 1, 0), b"shard")
        await harness.call(commit(version(5, parts=[part(1, data_id(1))]), HeldShard(0)))
        await harness.call(put_part(_UPLOAD, 1, data_id(2)))
        await harness.call(DiscardShards(((data_id(1), 1, 0), (data_id(2), 1, 0))))
        for data in (1, 2):
            assert await harness.readable((data_id(data), 1, 0))

    async def test_a_whole_shard_verifies(self, harness: Harness) -> None:
        blocks = [b"a" * 4096, b"b" * 4096, b"c" * 17]
        made = version(5, parts=[part(1, data_id(1), 2 * STRIPE_BYTES + 3 * 17)])
        content = shard_file(made, 1, data_id(1), 0, blocks)
        await harness.refused(VerifyShard(*_NAME), ShardMissing)
        await harness.write(_NAME, content)
        await harness.call(VerifyShard(*_NAME))
        for at in (10, 4096 + 100, len(content) - 10):
            damaged = bytearray(content)
            damaged[at] ^= 1
            await harness.call(DiscardShards((_NAME,)))
            await harness.write(_NAME, bytes(damaged))
            await harness.refused(VerifyShard(*_NAME), ShardCorrupt)

    async def test_a_named_shard_is_written_anew_only_when_it_is_damaged(
        self, harness: Harness
    ) -> None:
        made = version(5, parts=[part(1, data_id(1), STRIPE_BYTES)])
        content = shard_file(made, 1, data_id(1), 0, [b"a" * 4096])
        await harness.call(put_bucket())
        await harness.write(_NAME, content[:-5])
        await harness.call(commit(made, HeldShard(0)))
        harness.clock.advance(SHARD_REWRITE_AGE_S + 3600)
        await harness.call(DiscardShards((_NAME,)))
        await harness.write(_NAME, content)
        await harness.call(VerifyShard(*_NAME))
        with pytest.raises(DriveRefusal):
            await harness.drive.create_shard(*_NAME)
        await harness.call(VerifyShard(*_NAME))

    async def test_a_damaged_shard_stays_until_what_replaces_it_is_complete(
        self, harness: Harness
    ) -> None:
        """Its good blocks may be what another shard has to be rebuilt from."""
        made = version(5, parts=[part(1, data_id(1), STRIPE_BYTES)])
        content = shard_file(made, 1, data_id(1), 0, [b"a" * 4096])
        damaged = content[:5000] + b"?" + content[5001:]
        await harness.call(put_bucket())
        await harness.write(_NAME, damaged)
        await harness.call(commit(made, HeldShard(0)))
        sink = await harness.drive.create_shard(*_NAME)
        with pytest.raises(DriveRefusal):  # two healers
            await harness.drive.create_shard(*_NAME)
        await sink.write(content[:4097])
        await sink.abort()
        await harness.refused(VerifyShard(*_NAME), ShardCorrupt)
        sink = await harness.drive.create_shard(*_NAME)
        await sink.write(content)
        read = await harness.drive.read_shard(*_NAME, offset=0, size=len(damaged))
        assert bytes(read) == damaged
        await sink.finish()
        await harness.call(VerifyShard(*_NAME))
        await sink.abort()  # a record names it by now
        await harness.call(VerifyShard(*_NAME))

    async def test_a_part_a_record_does_not_name_is_not_kept_for_it(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        parts = [part(1, data_id(1)), part(2, data_id(2))]
        for data in (1, 2):
            await harness.write((data_id(data), data, 0), b"shard")
        await harness.call(commit(version(5, parts=parts), HeldShard(0)))
        lacks = commit(version(5, parts=parts), HeldShard(0, missing_parts=(2,)), merge=True)
        await harness.call(lacks)
        assert await harness.readable((data_id(1), 1, 0))
        assert not await harness.readable((data_id(2), 2, 0))

    async def test_all_shards_of_a_drive_with_two_slots(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        for shard in (0, 2):
            await harness.write((data_id(1), 1, shard), b"shard")
        made = version(5, parts=[part(1, data_id(1))])
        await harness.call(commit(made, HeldShard(0), HeldShard(2)))
        await harness.call(DiscardShards(((data_id(1), 1, 0), (data_id(1), 1, 2))))
        for shard in (0, 2):
            assert await harness.readable((data_id(1), 1, shard))
        await harness.call(Undo(BUCKET, KEY, order(5)))
        for shard in (0, 2):
            assert not await harness.readable((data_id(1), 1, shard))


class StateClauses:
    """Mixed into DriveSuite."""

    async def test_a_drive_has_an_identity(self, harness: Harness) -> None:
        await harness.call(ReadStatus())
        assert len(harness.drive.drive_id) == 32

    async def test_a_drive_measures_itself(self, harness: Harness) -> None:
        status = await harness.call(ReadStatus())
        assert 0 < status.free_bytes <= status.total_bytes
        assert (status.objects, status.missed, status.progress) == (0, 0, None)
        assert (status.missed_since_ms, status.heal_requested_ms) == (0, 0)

    async def test_progress_and_trust_are_kept(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        progress = Progress("rebuild", 1, 2, keys_done=3, bytes_total=4)
        for trusted in (False, None, True):
            await harness.call(WriteProgress(progress, trusted))
            status = await harness.call(ReadStatus())
            assert status.progress == progress
            assert status.trusted is bool(trusted)
            assert (await harness.state()).trusted is bool(trusted)
            assert (await harness.call(ListBuckets())).trusted is bool(trusted)
            assert (await harness.call(ReadUpload(_UPLOAD))).trusted is bool(trusted)
            assert (await harness.call(ListUploads(BUCKET))).trusted is bool(trusted)

    async def test_a_wish_to_heal_is_kept(self, harness: Harness) -> None:
        await harness.call(RequestHeal(12345))
        assert (await harness.call(ReadStatus())).heal_requested_ms == 12345

    async def test_what_the_scrub_does_and_is_asked_to_do_is_kept(self, harness: Harness) -> None:
        status = await harness.call(ReadStatus())
        assert (status.scrub, status.scrub_requested_ms, status.quarantine) == (None, 0, None)
        state = ScrubState(1, 2, "rows", "b", "k", b"order", found={"shard": 3})
        await harness.call(WriteScrub(state))
        await harness.call(RequestScrub(17, full_speed=True))
        quarantine = Quarantine(9, 1, (Quarantined(BUCKET, KEY, "one shard is left"),))
        await harness.call(WriteQuarantine(quarantine))
        status = await harness.call(ReadStatus())
        assert (status.scrub, status.quarantine) == (state, quarantine)
        assert (status.scrub_requested_ms, status.scrub_full_speed) == (17, True)
        await harness.call(RequestScrub(18))
        assert not (await harness.call(ReadStatus())).scrub_full_speed

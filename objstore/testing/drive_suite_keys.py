"""The contract of a drive about versions: Commit, Undo, Settle, Forget, ReadKey."""

import asyncio

import msgspec

from objstore.drive.job_states import Comparison
from objstore.drive.ops import (
    AbortUpload,
    ClearMissed,
    Commit,
    CommitMode,
    Committed,
    Forget,
    ListMissed,
    ListTombstones,
    PutPart,
    ReadKey,
    ReadStatus,
    ReadUpload,
    Settle,
    Undo,
    WriteComparison,
)
from objstore.errors import BucketMissing, RecordUnknown, ShardMissing, Superseded, UploadMissing
from objstore.names import BucketName, DataId, Kind, ObjectKey, UploadId
from objstore.ondisk.record import HeldShard, Part
from objstore.testing.drive_harness import Harness, call_together
from objstore.testing.drive_values import (
    BUCKET,
    KEY,
    commit,
    data_id,
    order,
    part,
    put_bucket,
    put_part,
    put_upload,
    sealed,
    stamp,
    version,
)

_UPLOAD = UploadId("upload")
_FILE = HeldShard(0)


def _with_file(number: int, data: int, **more: object) -> Commit:
    made = version(number, parts=[part(1, data_id(data))], **more)  # type: ignore[arg-type]
    return commit(made, _FILE)


class KeyClauses:
    """Mixed into DriveSuite."""

    async def test_what_was_committed_is_read_back_as_it_was(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        op = commit(version(5))
        assert await harness.call(op) == Committed(superseded=False)
        state = await harness.state()
        assert state.records == (op.record,)
        assert (state.unknown, state.trusted) == (0, True)

    async def test_a_key_that_was_never_written_is_absent(self, harness: Harness) -> None:
        assert (await harness.state()).records == ()
        await harness.call(put_bucket())
        await harness.call(commit(version(5, key="kez")))
        assert (await harness.state()).records == ()

    async def test_rows_are_read_newest_first_up_to_the_limit(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        for number in (4, 9, 2, 7):
            await harness.call(commit(version(number), merge=True))
        assert await harness.orders() == [order(number) for number in (9, 7, 4, 2)]
        state = await harness.call(ReadKey(BUCKET, KEY, limit=2))
        assert len(state.records) == 2

    async def test_rows_of_one_stamp_and_below_an_order(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        made = {n: commit(version(n, null_version=False), merge=True) for n in (4, 5, 7)}
        for op in made.values():
            await harness.call(op)
        for wanted, below, found in (
            (stamp(4), 6, (4,)),
            (stamp(5), 6, (5,)),
            (stamp(5), 5, ()),
            (None, 6, (5, 4)),
        ):
            state = await harness.call(ReadKey(BUCKET, KEY, 9, wanted, below=order(below)))
            assert state.records == tuple(made[number].record for number in found)

    async def test_many_keys_at_once(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        keys = [f"key/{index}" for index in range(100)]
        ops = [commit(version(5, key=key)) for key in keys]
        async with asyncio.TaskGroup() as group:
            for op in ops:
                group.create_task(harness.call(op))
        async with asyncio.TaskGroup() as group:
            states = [group.create_task(harness.state(key)) for key in keys]
        assert [task.result().records for task in states] == [(op.record,) for op in ops]

    async def test_a_new_write_needs_a_stamp_above_all_that_are_held(
        self, harness: Harness
    ) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5)))
        for number in (4, 5):
            error = await harness.refused(commit(version(number)), Superseded)
            assert isinstance(error, Superseded)
            assert error.held == stamp(5)
        error = await harness.refused(commit(version(5, revision=3)), Superseded)
        assert await harness.orders() == [order(5)]
        assert await harness.call(commit(version(6))) == Committed(superseded=True)
        assert await harness.orders() == [order(6), order(5)]

    async def test_a_tombstone_supersedes_too(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(7, kind=Kind.TOMBSTONE)))
        await harness.refused(commit(version(6)), Superseded)

    async def test_writes_of_one_key_at_once_leave_it_in_order(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        outcomes = []
        for first, second in ((10, 20), (40, 30)):
            ops = [commit(version(first)), commit(version(second))]
            results = await call_together(harness.drive, ops)
            outcomes.append([type(result) for result in results])
        assert outcomes[0] == [Committed, Committed]
        assert outcomes[1] == [Committed, Superseded]
        assert await harness.orders() == [order(number) for number in (40, 20, 10)]

    async def test_a_merge_takes_its_place_in_the_order(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5)))
        assert await harness.call(commit(version(3), merge=True)) == Committed(superseded=False)
        assert await harness.call(commit(version(9), merge=True)) == Committed(superseded=True)
        assert await harness.orders() == [order(9), order(5), order(3)]

    async def test_a_merge_replaces_the_row_of_its_order(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5)))
        again = commit(version(5), HeldShard(0, inline=b"healed"), merge=True)
        assert await harness.call(again) == Committed(superseded=False)
        assert (await harness.state()).records == (again.record,)

    async def test_an_earlier_try_goes_with_the_same_commit(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5)))
        await harness.call(Commit(sealed(version(8)), instead_of=order(5)))
        assert await harness.orders() == [order(8)]

    async def test_a_refused_commit_leaves_the_earlier_try(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5)))
        await harness.call(commit(version(9)))
        await harness.refused(Commit(sealed(version(8)), instead_of=order(5)), Superseded)
        assert await harness.orders() == [order(9), order(5)]

    async def test_two_tries_of_a_write_share_their_shards(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.write((data_id(1), 1, 0), b"shard")
        await harness.call(_with_file(5, 1))
        again = Commit(_with_file(8, 1).record, instead_of=order(5))
        await harness.call(again)
        assert await harness.readable((data_id(1), 1, 0))

    async def test_a_bucket_is_needed(self, harness: Harness) -> None:
        await harness.refused(commit(version(5)), BucketMissing)
        await harness.refused(commit(version(5), merge=True), BucketMissing)
        await harness.call(put_bucket(1))
        await harness.call(put_bucket(2, deleted=True))
        await harness.refused(commit(version(5)), BucketMissing)
        # A healer brings what the others hold, tombstones above all, in whatever order.
        await harness.call(commit(version(5, kind=Kind.TOMBSTONE), merge=True))
        assert await harness.orders() == [order(5)]

    async def test_a_damaged_record_is_not_taken(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        record = bytearray(sealed(version(5)))
        record[-1] ^= 1
        await harness.refused(Commit(bytes(record)), RecordUnknown)
        assert await harness.orders() == []

    # --- Undo ------------------------------------------------------------------------

    async def test_undo_removes_exactly_one_row(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5)))
        await harness.call(commit(version(6)))
        await harness.call(Undo(BUCKET, KEY, order(7)))
        await harness.call(Undo(BUCKET, KEY, order(6, 1)))
        await harness.call(Undo(BUCKET, KEY, order(6)))
        await harness.call(Undo(BUCKET, KEY, order(6)))
        assert await harness.orders() == [order(5)]

    async def test_undo_removes_the_shards(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.write((data_id(1), 1, 0), b"shard")
        await harness.call(_with_file(5, 1))
        assert await harness.readable((data_id(1), 1, 0))
        await harness.call(Undo(BUCKET, KEY, order(5)))
        assert not await harness.readable((data_id(1), 1, 0))

    # --- Settle ----------------------------------------------------------------------

    async def test_settle_retires_older_null_versions(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        for number in (3, 4):
            await harness.write((data_id(number), 1, 0), b"shard")
            await harness.call(_with_file(number, number))
        await harness.call(commit(version(5)))
        await harness.call(commit(version(6)))
        await harness.call(Settle(BUCKET, KEY, order(5)))
        assert await harness.orders() == [order(6), order(5)]
        assert not await harness.readable((data_id(3), 1, 0))
        assert not await harness.readable((data_id(4), 1, 0))

    async def test_settle_of_what_is_not_held_retires_nothing(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5)))
        await harness.call(Settle(BUCKET, KEY, order(6)))
        assert await harness.orders() == [order(5)]

    async def test_settle_leaves_versions_of_a_versioned_bucket(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(4)))
        await harness.call(commit(version(5, null_version=False)))
        await harness.call(commit(version(6, null_version=False)))
        await harness.call(Settle(BUCKET, KEY, order(6)))
        assert await harness.orders() == [order(6), order(5), order(4)]
        await harness.call(commit(version(7)))
        await harness.call(Settle(BUCKET, KEY, order(7)))
        assert await harness.orders() == [order(7), order(6), order(5)]

    async def test_settle_retires_lower_revisions_of_its_stamp(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5, null_version=False)))
        again = commit(version(5, revision=1, null_version=False), merge=True)
        assert await harness.call(again) == Committed(superseded=True)
        await harness.call(Settle(BUCKET, KEY, order(5, 1)))
        assert await harness.orders() == [order(5, 1)]

    async def test_settle_remembers_who_missed_the_version(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5)))
        await harness.call(Settle(BUCKET, KEY, order(5), (3,), 100))
        first_ms = harness.clock.now_ns() // 1_000_000
        harness.clock.advance(10)
        await harness.call(Settle(BUCKET, KEY, order(7), (1,), 200))
        await harness.call(Settle(BUCKET, KEY, order(6), (2, 3), 300))
        (missed,) = (await harness.call(ListMissed())).entries
        assert (missed.order, missed.slots, missed.size) == (order(7), (1, 2, 3), 200)
        assert missed.since_ms == first_ms
        status = await harness.call(ReadStatus())
        assert (status.missed, status.missed_bytes) == (1, 200)
        assert status.missed_since_ms == first_ms

    async def test_missed_versions_are_listed_in_order_and_cleared(self, harness: Harness) -> None:
        places = [("a", "x"), ("a", "y"), ("b", "a")]
        for bucket, key in reversed(places):
            await harness.call(Settle(BucketName(bucket), key, order(5), (0, 1), 10))  # type: ignore[arg-type]
        first = await harness.call(ListMissed(limit=2))
        assert [(entry.bucket, entry.key) for entry in first.entries] == places[:2]
        rest = await harness.call(ListMissed("a", "y"))
        assert [(entry.bucket, entry.key) for entry in rest.entries] == places[2:]
        op = ClearMissed(BucketName("a"), KEY, order(5), (0, 1))
        await harness.call(op)
        for key, upto, slots in (("x", 4, (0, 1)), ("x", 6, (0,)), ("y", 5, (1, 0))):
            await harness.call(ClearMissed(BucketName("a"), key, order(upto), slots))  # type: ignore[arg-type]
        left = (await harness.call(ListMissed())).entries
        assert [(entry.key, entry.slots) for entry in left] == [("x", (1,)), ("a", (0, 1))]
        assert (await harness.call(ReadStatus())).missed_bytes == 20

    # --- tombstones --------------------------------------------------------------------

    async def test_forget_removes_a_tombstone_and_what_it_hid(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.write((data_id(1), 1, 0), b"shard")
        await harness.call(_with_file(4, 1))
        await harness.call(commit(version(5, kind=Kind.TOMBSTONE)))
        await harness.call(Forget(BUCKET, KEY, order(4)))
        await harness.call(Forget(BUCKET, KEY, order(6)))
        assert await harness.orders() == [order(5), order(4)]
        await harness.call(Forget(BUCKET, KEY, order(5)))
        assert await harness.orders() == []
        assert not await harness.readable((data_id(1), 1, 0))

    async def test_another_try_is_refused_when_its_shards_went_with_the_earlier_one(
        self, harness: Harness
    ) -> None:
        await harness.call(put_bucket())
        for number, retired in ((1, True), (2, False)):
            key = f"k{number}"
            await harness.write((data_id(number), 1, 0), b"shard")
            await harness.call(_with_file(4, number, key=key))
            await harness.call(commit(version(5, key=key)))
            if retired:
                await harness.call(Settle(BUCKET, ObjectKey(key), order(5)))
            again = msgspec.structs.replace(_with_file(6, number, key=key), instead_of=order(4))
            if retired:
                await harness.refused(again, ShardMissing)
                assert await harness.orders(key) == [order(5)]
            else:
                await harness.call(again)
                assert await harness.orders(key) == [order(6), order(5)]

    async def test_a_drive_counts_what_is_forgotten_while_it_misses_none(
        self, harness: Harness
    ) -> None:
        async def forgotten() -> int:
            return (await harness.call(ReadStatus())).forgotten

        assert await forgotten() == 0
        for number, counted in ((1, 1), (2, 2), (2, 2), (4, 2), (5, 2), (0, 2), (3, 3)):
            await harness.call(Forget(BUCKET, KEY, order(5), number))
            assert await forgotten() == counted
        for number, counted in ((2, 3), (7, 7), (0, 7)):
            await harness.call(WriteComparison(Comparison(1, 2), number))
            assert await forgotten() == counted
        await harness.call(Forget(BUCKET, KEY, order(5), 8))

    async def test_tombstones_are_listed_by_age(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        for key, number in (("b", 5), ("a", 3), ("c", 4)):
            await harness.call(commit(version(number, key=key, kind=Kind.TOMBSTONE)))
        await harness.call(commit(version(4, key="b", kind=Kind.TOMBSTONE), merge=True))
        await harness.call(commit(version(3, key="d")))
        page = await harness.call(ListTombstones(stamp(5)))
        assert [(entry.key, entry.order) for entry in page.entries] == [
            ("a", order(3)),
            ("b", order(4)),
            ("c", order(4)),
        ]
        page = await harness.call(ListTombstones(stamp(9), BUCKET, "a", order(9), limit=1))
        assert [(entry.key, entry.order) for entry in page.entries] == [("b", order(4))]

    # --- completing an upload ------------------------------------------------------------

    async def _upload(self, harness: Harness) -> list[Part]:
        """Upload three parts; the shard of the second does not lie on this drive."""
        await harness.call(put_bucket())
        await harness.call(put_upload(_UPLOAD))
        for number in (1, 2, 3):
            shards = () if number == 2 else (0,)
            for shard in shards:
                await harness.write((data_id(number), number, shard), b"shard")
            await harness.call(put_part(_UPLOAD, number, data_id(number), shards=shards))
        return [part(number, data_id(number)) for number in (1, 2)]

    def _complete(self, parts: list[Part], number: int = 5, **more: object) -> Commit:
        made = version(number, parts=parts, size=8192, upload_id=_UPLOAD)
        return Commit(sealed(made, HeldShard(0)), completes=_UPLOAD, **more)  # type: ignore[arg-type]

    async def test_a_complete_takes_the_upload_and_fills_in_what_is_missing(
        self, harness: Harness
    ) -> None:
        parts = await self._upload(harness)
        assert (await harness.call(self._complete(parts))).lacks == (2,)
        (record,) = await harness.records()
        assert record.held == (HeldShard(0, missing_parts=(2,)),)
        await harness.refused(AbortUpload(_UPLOAD), UploadMissing)
        await harness.refused(put_part(_UPLOAD, 4, data_id(4)), UploadMissing)
        await harness.refused(self._complete(parts, 6), UploadMissing)
        assert await harness.orders() == [order(5)]

    async def test_no_drive_lacks_an_empty_part(self, harness: Harness) -> None:
        await self._upload(harness)
        empty = Part(2, 0, "0" * 32, DataId(b""))
        await harness.call(self._complete([part(1, data_id(1)), empty]))
        (record,) = await harness.records()
        assert record.held == (HeldShard(0),)
        await harness.call(Settle(BUCKET, KEY, order(5)))
        assert await harness.readable((data_id(1), 1, 0))

    async def test_settle_ends_the_upload_and_drops_the_parts_not_taken(
        self, harness: Harness
    ) -> None:
        parts = await self._upload(harness)
        await harness.call(self._complete(parts))
        await harness.call(Settle(BUCKET, KEY, order(5)))
        assert (await harness.call(ReadUpload(_UPLOAD))).upload is None
        assert await harness.readable((data_id(1), 1, 0))
        assert not await harness.readable((data_id(3), 3, 0))

    async def test_a_complete_that_is_undone_leaves_the_upload_open(self, harness: Harness) -> None:
        parts = await self._upload(harness)
        await harness.call(self._complete(parts))
        await harness.call(Undo(BUCKET, KEY, order(5)))
        assert await harness.readable((data_id(1), 1, 0))
        await harness.call(put_part(_UPLOAD, 4, data_id(4)))
        await harness.call(self._complete(parts, 6))
        assert await harness.orders() == [order(6)]

    async def test_a_complete_is_tried_again_with_a_higher_stamp(self, harness: Harness) -> None:
        parts = await self._upload(harness)
        await harness.call(self._complete(parts))
        await harness.call(self._complete(parts, 8, instead_of=order(5)))
        assert await harness.orders() == [order(8)]
        await harness.call(Settle(BUCKET, KEY, order(8)))
        assert await harness.readable((data_id(1), 1, 0))
        assert (await harness.call(ReadUpload(_UPLOAD))).upload is None

    async def test_a_complete_of_an_unknown_upload_is_refused(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.refused(self._complete([part(1, data_id(1))]), UploadMissing)
        assert await harness.orders() == []

    async def test_a_complete_that_comes_again_after_all_is_settled(self, harness: Harness) -> None:
        parts = await self._upload(harness)
        op = self._complete(parts)
        await harness.call(op)
        await harness.call(Settle(BUCKET, KEY, order(5)))
        error = await harness.refused(op, Superseded)
        assert isinstance(error, Superseded)
        assert error.held == stamp(5)
        merge = Commit(op.record, CommitMode.MERGE, completes=_UPLOAD)
        await harness.call(merge)
        (record,) = await harness.records()
        assert record.held == (HeldShard(0, missing_parts=(2,)),)

    async def test_an_upload_ends_with_the_version_that_took_it(self, harness: Harness) -> None:
        parts = await self._upload(harness)
        await harness.call(self._complete(parts))
        await harness.call(commit(version(6)))
        await harness.call(Settle(BUCKET, KEY, order(6)))  # 5 was never settled
        assert (await harness.call(ReadUpload(_UPLOAD))).upload is None
        for number in (1, 3):
            assert not await harness.readable((data_id(number), number, 0))

    async def test_parts_are_not_lost_to_a_part_that_came_late(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(put_upload(_UPLOAD))
        for at, data in ((7, 7), (3, 3)):
            await harness.write((data_id(data), 1, 0), b"shard")
            late: PutPart = put_part(_UPLOAD, 1, data_id(data), at=at)
            await harness.call(late)
        made = version(9, parts=[part(1, data_id(3))], upload_id=_UPLOAD)
        await harness.call(Commit(sealed(made, HeldShard(0)), completes=_UPLOAD))
        (record,) = await harness.records()
        assert record.held == (HeldShard(0),)

    # --- usage -------------------------------------------------------------------------

    async def test_usage_is_that_of_the_live_keys(self, harness: Harness) -> None:
        await harness.call(put_bucket())

        async def usage() -> tuple[int, int]:
            status = await harness.call(ReadStatus())
            return status.objects, status.object_bytes

        assert await usage() == (0, 0)
        await harness.call(commit(version(5, size=10)))
        await harness.call(commit(version(5, key="other", size=1000)))
        assert await usage() == (2, 1010)
        await harness.call(commit(version(6, size=20)))
        assert await usage() == (2, 1020)
        await harness.call(Settle(BUCKET, KEY, order(6)))
        await harness.call(commit(version(4, size=99), merge=True))
        assert await usage() == (2, 1020)
        await harness.call(commit(version(7, kind=Kind.TOMBSTONE)))
        assert await usage() == (1, 1000)
        await harness.call(Undo(BUCKET, KEY, order(7)))
        assert await usage() == (2, 1020)
        await harness.call(commit(version(8, kind=Kind.DELETE_MARKER, null_version=False)))
        assert await usage() == (1, 1000)

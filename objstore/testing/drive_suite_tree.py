"""The contract of a drive about its tree."""

import pytest

from objstore.drive.job_states import Comparison
from objstore.drive.ops import (
    AbortUpload,
    CheckTree,
    Forget,
    ReadStatus,
    ReadTree,
    RequestCompare,
    Settle,
    Undo,
    WriteComparison,
)
from objstore.errors import DriveRefusal
from objstore.names import BucketName, Kind, ObjectKey, UploadId
from objstore.ondisk.record import HeldShard
from objstore.ondisk.tree import TOTAL_MASK, TreeNode, place_of
from objstore.testing.drive_harness import Harness
from objstore.testing.drive_values import (
    BUCKET,
    commit,
    data_id,
    order,
    part,
    put_bucket,
    put_part,
    put_upload,
    version,
)

_UPLOAD = UploadId("upload")
_KEYS = 60


async def _nodes(
    harness: Harness, level: int, begin: bytes = b"", end: bytes = b"", limit: int = 1000
) -> list[TreeNode]:
    """Read all pages."""
    nodes: list[TreeNode] = []
    while True:
        page = await harness.call(ReadTree(level, begin, end, limit))
        assert len(page.nodes) <= limit
        nodes += page.nodes
        if page.next is None:
            return nodes
        begin = page.next


async def _root(harness: Harness) -> TreeNode:
    (root,) = await _nodes(harness, 16)
    return root


def _sum(nodes: list[TreeNode]) -> tuple[int, int]:
    return (
        sum(node.entries for node in nodes),
        sum(node.total for node in nodes) & TOTAL_MASK,
    )


class TreeClauses:
    """Mixed into DriveSuite."""

    async def test_an_empty_drive_has_an_empty_root(self, harness: Harness) -> None:
        assert await _root(harness) == TreeNode(b"", 0, 0)
        assert await _nodes(harness, 0) == []

    async def test_every_level_adds_up_to_the_same(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        for number in range(1, _KEYS + 1):
            await harness.call(commit(version(number, key=f"{number % 50}")))
        keys = await _nodes(harness, 0)
        assert [node.place for node in keys] == sorted(
            [place_of(BUCKET), *(place_of(BUCKET, str(key).encode()) for key in range(50))]
        )
        root = await _root(harness)
        assert root.entries == 1 + _KEYS
        for level in range(16):
            nodes = await _nodes(harness, level)
            assert _sum(nodes) == (root.entries, root.total)
            assert nodes == await _nodes(harness, level, limit=3)
            assert nodes[0].place == (b"" if level else keys[0].place)
            assert {node.place for node in nodes[1:]} <= {node.place for node in keys}

    async def test_a_part_of_the_tree_is_the_sum_of_what_lies_there(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        for number in range(1, 21):
            await harness.call(commit(version(number, key=f"{number:02}")))
        keys = await _nodes(harness, 0)
        for first, end in ((0, 5), (3, 17), (8, 9), (5, 0)):
            until = keys[end].place if end else b""
            inside = keys[first : end or None]
            for level in range(5):
                nodes = await _nodes(harness, level, keys[first].place, until)
                assert _sum(nodes) == _sum(inside)
        assert await _nodes(harness, 1, keys[5].place, keys[4].place) == []

    async def test_what_is_taken_back_leaves_no_trace(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(commit(version(5)))
        before = await _root(harness)
        await harness.call(commit(version(6)))
        assert await _root(harness) != before
        await harness.call(Undo(BUCKET, version(6).key, order(6)))
        assert await _root(harness) == before
        await harness.call(commit(version(5), merge=True))  # the same again
        assert await _root(harness) == before

    async def test_the_way_does_not_matter(self, harness: Harness) -> None:
        """Two drives that hold the same have the same tree, whatever happened before."""
        await harness.call(put_bucket())
        await harness.call(commit(version(7)))
        await harness.call(Settle(BUCKET, version(7).key, order(7)))
        short = await _root(harness)
        await harness.call(commit(version(8, kind=Kind.TOMBSTONE)))
        await harness.call(Settle(BUCKET, version(8).key, order(8)))
        await harness.call(Forget(BUCKET, version(8).key, order(8)))
        assert (await _root(harness)).entries == 1
        await harness.call(commit(version(6)))
        await harness.call(commit(version(7)))
        assert await _root(harness) != short  # the older one is still there
        await harness.call(Settle(BUCKET, version(7).key, order(7)))
        assert await _root(harness) == short

    async def test_what_a_row_says_counts(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        seen = [await _root(harness)]
        one = part(1, data_id(1))
        for held in (HeldShard(0), HeldShard(0, missing_parts=(1,))):
            await harness.call(commit(version(5, parts=[one]), held, merge=True))
            seen.append(await _root(harness))
        await harness.call(commit(version(5, kind=Kind.DELETE_MARKER), merge=True))
        seen.append(await _root(harness))
        assert len(set(seen)) == len(seen)
        # Which of the set's shards it is does not count: every drive has another one.
        await harness.call(commit(version(5, parts=[one]), HeldShard(2), merge=True))
        assert await _root(harness) == seen[1]

    async def test_buckets_count_by_their_stamp(self, harness: Harness) -> None:
        await harness.call(put_bucket(1))
        first = await _root(harness)
        await harness.call(put_bucket(2))
        assert (await _root(harness)).entries == first.entries == 1
        assert await _root(harness) != first
        await harness.call(put_bucket(1, name=BucketName("other")))
        assert [node.place for node in await _nodes(harness, 0)] == [b"bucket\0", b"other\0"]

    async def test_uploads_count_until_they_end(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        before = await _root(harness)
        await harness.call(put_upload(_UPLOAD))
        begun = await _root(harness)
        await harness.call(put_upload(_UPLOAD))
        assert await _root(harness) == begun != before
        await harness.call(put_part(_UPLOAD, 1, data_id(1), at=5))
        first = await _root(harness)
        await harness.call(put_part(_UPLOAD, 1, data_id(2), at=4))  # it came too late
        assert await _root(harness) == first
        await harness.call(put_part(_UPLOAD, 1, data_id(3), at=6))
        assert (await _root(harness)).entries == first.entries == begun.entries + 1
        assert await _root(harness) != first
        assert [node.place for node in await _nodes(harness, 0)] == [place_of(BUCKET)]
        await harness.call(AbortUpload(_UPLOAD))
        assert await _root(harness) == before

    async def test_an_upload_that_is_taken_does_not_count(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await harness.call(put_upload(_UPLOAD))
        await harness.call(put_part(_UPLOAD, 1, data_id(1)))
        begun = await _root(harness)
        made = version(5, parts=[part(1, data_id(1))], upload_id=_UPLOAD)
        op = commit(made, HeldShard(0))
        await harness.call(type(op)(op.record, op.mode, completes=_UPLOAD))
        assert (await _root(harness)).entries == 2  # the bucket and the row
        await harness.call(Undo(BUCKET, made.key, order(5)))
        assert await _root(harness) == begun
        await harness.call(type(op)(op.record, op.mode, completes=_UPLOAD))
        taken = await _root(harness)
        await harness.call(Settle(BUCKET, made.key, order(5)))
        assert await _root(harness) == taken

    async def test_a_tree_that_is_right_is_left_alone(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        for number in range(1, 6):
            await harness.call(commit(version(number, key=f"{number}")))
        before = await _nodes(harness, 1)
        for begin in (b"", place_of(BUCKET, b"3")):
            checked = await harness.call(CheckTree(begin))
            assert checked.mended == 0
            assert checked.next is None
        assert await _nodes(harness, 1) == before

    async def test_what_no_tree_has_is_refused(self, harness: Harness) -> None:
        for op in (ReadTree(-1), ReadTree(17), ReadTree(1, b"bucket"), ReadTree(1, b"", b"x")):
            with pytest.raises(DriveRefusal):
                await harness.call(op)

    async def test_a_comparison_is_kept(self, harness: Harness) -> None:
        assert (await harness.call(ReadStatus())).comparison is None
        done = Comparison(started_ms=5, finished_ms=9, differences=2, read_bytes=1000)
        await harness.call(WriteComparison(done))
        await harness.call(RequestCompare(7))
        status = await harness.call(ReadStatus())
        assert status.comparison == done
        assert status.compare_requested_ms == 7
        assert status.progress is None

    async def test_a_key_with_many_rows_is_one_place(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        for number in range(1, 12):
            await harness.call(commit(version(number, null_version=False)))
        _, node = await _nodes(harness, 0, limit=1)
        assert node.place == place_of(BUCKET, ObjectKey(version(1).key).encode())
        assert node.entries == 11

"""The contract of ListKeys, and of what ListVersions has beyond it."""

from objstore.drive.ops import KeyPage, ListKeys, ListVersions, Settle
from objstore.names import BucketName, Kind
from objstore.ondisk.record import HeldShard, Part
from objstore.testing.drive_harness import Harness
from objstore.testing.drive_values import (
    BUCKET,
    KEY,
    commit,
    data_id,
    order,
    put_bucket,
    version,
)

# Byte order, which is not the order of UTF-16: the last two would be swapped.
_KEYS = ("A", "a", "a/", "a/b", "a/b/c", "a0", "b//c", "z", "é", "\ufb00", "\U0001f600")


async def _put(harness: Harness, *keys: str, kind: Kind = Kind.OBJECT, number: int = 5) -> None:
    for key in keys:
        await harness.call(commit(version(number, key=key, kind=kind)))


def _keys(page: KeyPage) -> list[str]:
    return [entry.key for entry in page.entries]


def _prefixes(page: KeyPage) -> list[str]:
    return [prefix for prefix, _ in page.prefixes]


class ListingClauses:
    """Mixed into DriveSuite."""

    async def test_keys_come_in_byte_order(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await _put(harness, *reversed(_KEYS))
        page = await harness.call(ListKeys(BUCKET))
        assert _keys(page) == sorted(_KEYS, key=str.encode)
        assert (page.prefixes, page.next_after, page.trusted) == ((), None, True)

    async def test_pages_join_without_gap_or_overlap(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await _put(harness, *_KEYS)
        for limit in (1, 2, 3, len(_KEYS), 100):
            found: list[str] = []
            after: str | None = ""
            while after is not None:
                page = await harness.call(ListKeys(BUCKET, after=after, limit=limit))
                assert len(page.entries) <= limit
                found += _keys(page)
                after = page.next_after
                assert after is None or after == found[-1]
            assert found == sorted(_KEYS, key=str.encode)

    async def test_only_the_bucket_and_the_prefix(self, harness: Harness) -> None:
        other = BucketName("bucket2")
        await harness.call(put_bucket())
        await harness.call(put_bucket(name=other))
        await harness.call(commit(version(5, key="a/x", bucket=other)))
        await _put(harness, *_KEYS)
        for prefix, after, keys in (
            ("a", "", ["a", "a/", "a/b", "a/b/c", "a0"]),
            ("a/", "", ["a/", "a/b", "a/b/c"]),
            ("a/", "a/b", ["a/b/c"]),
            ("a/", "A", ["a/", "a/b", "a/b/c"]),
            ("a/", "b", []),
            ("\U0001f600", "", ["\U0001f600"]),
        ):
            page = await harness.call(ListKeys(BUCKET, prefix, after=after))
            assert _keys(page) == keys, (prefix, after)
        assert _keys(await harness.call(ListKeys(BucketName("none")))) == []

    async def test_the_newest_row_counts(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        for number in range(3, 30):
            await harness.call(commit(version(number, size=number)))
        await _put(harness, "kez")
        page = await harness.call(ListKeys(BUCKET))
        assert [(entry.key, entry.size) for entry in page.entries] == [(KEY, 29), ("kez", 100)]
        await harness.call(Settle(BUCKET, KEY, order(29)))
        assert _keys(await harness.call(ListKeys(BUCKET))) == [KEY, "kez"]

    async def test_an_entry_says_what_a_listing_shows(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        made = version(7, size=1234)
        await harness.call(commit(made))
        (entry,) = (await harness.call(ListKeys(BUCKET))).entries
        assert (entry.order, entry.kind, entry.size) == (made.order, Kind.OBJECT, 1234)
        assert (entry.etag, entry.modified_ms) == (made.etag, made.modified_ms)
        assert (entry.storage_class, entry.checksum) == ("STANDARD", "CRC32")
        assert (entry.checksum_type, entry.degraded) == ("FULL_OBJECT", False)

    async def test_an_entry_says_when_a_shard_is_missing(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        parts = [Part(1, 10, "e", data_id(1))]
        held = {
            "lacks": HeldShard(0, missing_parts=(1,)),
            "whole": HeldShard(0),
        }
        for key, shard in held.items():
            await harness.call(commit(version(5, key=key, parts=parts), shard))
        entries = (await harness.call(ListKeys(BUCKET))).entries
        assert [entry.degraded for entry in entries] == [True, False]

    async def test_tombstones_and_markers_are_listed(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await _put(harness, "a", "b", "c")
        await _put(harness, "b", kind=Kind.TOMBSTONE, number=6)
        await _put(harness, "c", kind=Kind.DELETE_MARKER, number=6)
        for delimiter in ("", "/"):
            page = await harness.call(ListKeys(BUCKET, delimiter=delimiter))
            assert [(entry.key, entry.kind) for entry in page.entries] == [
                ("a", Kind.OBJECT),
                ("b", Kind.TOMBSTONE),
                ("c", Kind.DELETE_MARKER),
            ]

    async def test_keys_below_the_delimiter_become_prefixes(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await _put(harness, *_KEYS)
        page = await harness.call(ListKeys(BUCKET, delimiter="/"))
        assert _keys(page) == ["A", "a", "a0", "z", "é", "\ufb00", "\U0001f600"]
        assert [(prefix, entry.key) for prefix, entry in page.prefixes] == [
            ("a/", "a/"),
            ("b/", "b//c"),
        ]
        page = await harness.call(ListKeys(BUCKET, "a/", delimiter="/"))
        assert (_keys(page), _prefixes(page)) == (["a/", "a/b"], ["a/b/"])
        page = await harness.call(ListKeys(BUCKET, "a", delimiter="/"))
        assert (_keys(page), _prefixes(page)) == (["a", "a0"], ["a/"])
        page = await harness.call(ListKeys(BUCKET, delimiter="//"))
        assert _prefixes(page) == ["b//"]

    async def test_a_prefix_needs_a_live_key(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await _put(harness, "a/1", "a/2", "a/3", "b/1", "c")
        await _put(harness, "a/1", "b/1", kind=Kind.TOMBSTONE, number=6)
        await _put(harness, "a/2", kind=Kind.DELETE_MARKER, number=6)
        page = await harness.call(ListKeys(BUCKET, delimiter="/"))
        assert [(prefix, entry.key) for prefix, entry in page.prefixes] == [("a/", "a/3")]
        assert _keys(page) == ["c"]

    async def test_pages_with_a_delimiter_join(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await _put(harness, *_KEYS, "d/1", "d/2", "e/1")
        whole = await harness.call(ListKeys(BUCKET, delimiter="/"))
        for limit in (1, 2, 3):
            keys: list[str] = []
            prefixes: list[str] = []
            after: str | None = ""
            while after is not None:
                op = ListKeys(BUCKET, after=after, delimiter="/", limit=limit)
                page = await harness.call(op)
                assert len(page.entries) + len(page.prefixes) <= limit
                keys += _keys(page)
                prefixes += _prefixes(page)
                after = page.next_after
            assert (keys, prefixes) == (_keys(whole), _prefixes(whole))

    async def test_a_marker_within_a_prefix(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await _put(harness, "a/1", "a/b/1", "a/c", "b")
        for after, prefixes in (("a/", []), ("a/b/", []), ("a/1", ["a/"]), ("a/c", [])):
            page = await harness.call(ListKeys(BUCKET, after=after, delimiter="/"))
            assert (_keys(page), _prefixes(page)) == (["b"], prefixes), after

    async def test_a_page_that_is_full_says_whether_more_follows(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await _put(harness, "a", "b/1", "b/2")
        page = await harness.call(ListKeys(BUCKET, delimiter="/", limit=1))
        assert (_keys(page), page.next_after) == (["a"], "a")
        page = await harness.call(ListKeys(BUCKET, after="a", delimiter="/", limit=1))
        assert (_prefixes(page), page.next_after) == (["b/"], None)
        page = await harness.call(ListKeys(BUCKET, limit=3))
        assert page.next_after is None

    async def test_versions_before_the_marker_make_no_common_prefix(self, harness: Harness) -> None:
        await harness.call(put_bucket())
        await _put(harness, "a/b", number=4)
        for marker, prefixes in ((3, []), (4, []), (5, ["a/b"])):
            page = await harness.call(
                ListVersions(BUCKET, "a", "a/b", order(marker), delimiter="b")
            )
            assert [prefix for prefix, _ in page.prefixes] == prefixes
            assert page.entries == ()

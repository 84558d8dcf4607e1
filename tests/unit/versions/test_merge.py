"""Merging pages is a join: order, grouping and repetition do not matter, the newest row wins."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.names import Kind, ObjectKey
from objstore.versions.merge import Page, Row, merge_pages

KEYS = st.sampled_from(["a", "a/b", "a/b/c", "b", "ä", "z"])
ROWS = st.builds(
    lambda key, order, kind: Row(ObjectKey(key), bytes([order]), kind, (key, order)),
    KEYS,
    st.integers(0, 5),
    st.sampled_from([Kind.OBJECT, Kind.TOMBSTONE]),
)


@st.composite
def pages(draw: st.DrawFn) -> Page:
    rows = {row.key: row for row in draw(st.lists(ROWS, max_size=5))}
    kept = tuple(rows[key] for key in sorted(rows))
    cut = draw(st.booleans()) and bool(kept)
    return Page(kept, (), kept[-1].key if cut else None)


@given(st.lists(pages(), min_size=1, max_size=4), st.randoms())
@settings(max_examples=300, deadline=None)
def test_merging_is_commutative_and_idempotent(given_pages: list[Page], random: Random) -> None:
    merged = merge_pages(given_pages)
    shuffled = given_pages[:]
    random.shuffle(shuffled)
    again = merge_pages(shuffled)
    # Rows of one order and two payloads do not exist: an order names one row.
    assert [(r.key, r.order) for r in again.rows] == [(r.key, r.order) for r in merged.rows]
    assert again.complete_to == merged.complete_to
    doubled = merge_pages([*given_pages, *given_pages])
    assert [(r.key, r.order) for r in doubled.rows] == [(r.key, r.order) for r in merged.rows]


@given(st.lists(pages(), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_the_newest_row_of_each_key_wins_and_nothing_beyond_a_cut_is_said(
    given_pages: list[Page],
) -> None:
    merged = merge_pages(given_pages)
    cuts = [page.next_after for page in given_pages if page.next_after is not None]
    assert merged.complete_to == (min(cuts) if cuts else None)
    expected: dict[str, bytes] = {}
    for page in given_pages:
        for row in page.rows:
            if not cuts or row.key <= min(cuts):
                expected[row.key] = max(expected.get(row.key, b""), row.order)
    assert {row.key: row.order for row in merged.rows} == expected


@given(st.lists(pages(), min_size=1, max_size=4))
@settings(max_examples=300, deadline=None)
def test_what_is_not_disputed_is_the_same_on_every_drive_or_dead(given_pages: list[Page]) -> None:
    merged = merge_pages(given_pages)
    for row in merged.rows:
        if row.key in merged.disputed:
            continue
        held = [r for page in given_pages for r in page.rows if r.key == row.key]
        same = len(held) == len(given_pages) and len({r.order for r in held}) == 1
        assert same or all(r.kind is Kind.TOMBSTONE for r in held)

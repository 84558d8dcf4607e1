"""The comparison finds exactly the places that differ, whatever pages and cuts the drives have."""

from collections.abc import Mapping, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.ondisk.tree import LEVEL_MAX, TOTAL_MASK, TreeHash, TreeNode, place_of
from objstore.versions.compare import Root, Side, Span, compare, level_for, whole

_TREE = TreeHash("deployment", "")
_Drive = Mapping[bytes, int]  # the sum of what lies at a place


def _root(drive: _Drive) -> Root:
    return Root(len(drive), sum(drive.values()) & TOTAL_MASK, True)


def _side(drive: _Drive, span: Span, limit: int, stale: frozenset[bytes]) -> Side:
    """Answer like a drive that returns `limit` nodes and has cuts at `stale` places as well."""
    nodes: dict[bytes, tuple[int, int]] = {} if span.level == 0 else {span.begin: (0, 0)}
    last = span.begin
    for place in sorted({*drive, *stale}):
        if place < span.begin or (span.end and place >= span.end):
            continue
        if span.level == 0 and place not in drive:
            continue
        if span.level == 0 or place in stale or _TREE.begins(place, span.level):
            nodes.setdefault(place, (0, 0))
            last = place
        entries, total = nodes[last]
        nodes[last] = (entries + (place in drive), total + drive.get(place, 0))
    page = [
        TreeNode(place, entries, total & TOTAL_MASK) for place, (entries, total) in nodes.items()
    ]
    return Side(page[:limit], page[limit].place if len(page) > limit else None)


def _compare(
    drives: Sequence[_Drive], limits: Sequence[int], stale: frozenset[bytes] = frozenset()
) -> tuple[list[bytes], int, int]:
    """Return the places that are found, and how many questions and nodes that took."""
    first = whole([_root(drive) for drive in drives])
    spans = [] if first is None else [first]
    found: list[bytes] = []
    questions = nodes = 0
    while spans:
        span = spans.pop(0)
        sides = [
            _side(drive, span, limit, stale if index else frozenset())
            for index, (drive, limit) in enumerate(zip(drives, limits, strict=True))
        ]
        questions += 1
        nodes += sum(len(side.nodes) for side in sides)
        assert questions < 10_000
        result = compare(span, sides)
        found += result.places
        spans = [*result.spans, *spans]
    return found, questions, nodes


def _differing(drives: Sequence[_Drive]) -> list[bytes]:
    places = {place for drive in drives for place in drive}
    return sorted(place for place in places if len({drive.get(place) for drive in drives}) > 1)


def _places(count: int) -> list[bytes]:
    return [place_of("bucket", f"key/{number:06}".encode()) for number in range(count)]


def _full(places: Sequence[bytes]) -> dict[bytes, int]:
    return {place: _TREE.bucket(place, b"stamp") for place in places}


@settings(deadline=None, max_examples=150)
@given(
    count=st.integers(0, 400),
    changes=st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 420), st.integers(0, 3)), max_size=30
    ),
    limits=st.lists(st.sampled_from([1, 2, 7, 1000]), min_size=3, max_size=3),
    sides=st.integers(2, 3),
    stale=st.frozensets(st.sampled_from(_places(420)), max_size=5),
)
def test_exactly_what_differs_is_found(
    count: int,
    changes: list[tuple[int, int, int]],
    limits: list[int],
    sides: int,
    stale: frozenset[bytes],
) -> None:
    places = _places(420)
    drives = [_full(places[:count]) for _ in range(sides)]
    for drive, index, value in changes:
        held = drives[drive % sides]
        if value:
            held[places[index % 420]] = _TREE.upload(f"{index % 420} {value}")
        else:
            held.pop(places[index % 420], None)
    found, _, _ = _compare(drives, limits[:sides], stale)
    assert found == _differing(drives)


def test_it_takes_little_where_little_differs() -> None:
    places = _places(20_000)
    mine = _full(places)
    theirs = dict(mine)
    for index in (3, 9_000, 9_001, 19_999):
        theirs[places[index]] += 1
    del mine[places[100]]
    found, questions, nodes = _compare([mine, theirs], [1000, 1000])
    assert found == _differing([mine, theirs])
    assert questions < 40
    assert nodes < 1500


def test_a_drive_that_has_nothing_lacks_all() -> None:
    """It has no cuts: the others' nodes are not asked for level by level."""
    places = _places(20_000)
    found, questions, nodes = _compare([{}, _full(places)], [1000, 1000])
    assert found == places
    assert questions < 40
    assert nodes < 1.2 * len(places)


def test_drives_that_are_alike_are_not_asked() -> None:
    drive = _full(_places(10))
    assert _compare([drive, dict(drive)], [1000, 1000]) == ([], 0, 0)


def test_the_level_fits_how_much_there_is() -> None:
    levels = [level_for(entries) for entries in (0, 63, 64, 1023, 1024, 1_000_000)]
    assert levels == [0, 0, 1, 1, 2, 4]
    assert level_for(1 << 100) == LEVEL_MAX


def test_a_node_of_a_higher_level_begins_at_one_place_in_sixteen() -> None:
    places = _places(20_000)
    for level in range(1, 3):
        count = sum(_TREE.begins(place, level) for place in places)
        assert 0.8 < count / (len(places) / 16**level) < 1.25
    assert all(_TREE.begins(place, _TREE.level(place)) for place in places[:1000])
    assert not any(_TREE.begins(place, _TREE.level(place) + 1) for place in places[:1000])

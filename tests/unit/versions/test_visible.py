"""Which rows of a key count, against the sentences of the rule taken one by one."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from objstore.names import REVISION_LAST, Kind, Order, Stamp, order_of
from objstore.versions.visible import visible


@dataclass(frozen=True)
class Row:
    """A row of a key."""

    order: Order
    kind: Kind
    null_version: bool


def row(number: int, revision: int, kind: Kind, null_version: bool) -> Row:
    return Row(order_of(Stamp(number.to_bytes(16, "big")), revision), kind, null_version)


rows = st.lists(
    st.builds(
        row,
        st.integers(1, 5),
        st.sampled_from([0, 1, REVISION_LAST]),
        st.sampled_from(Kind),
        st.booleans(),
    ),
    max_size=8,
    unique_by=lambda one: one.order,
).map(lambda held: sorted(held, key=lambda one: one.order, reverse=True))


def counts(one: Row, held: list[Row]) -> bool:
    """The rule, said slowly."""
    if one.kind is Kind.TOMBSTONE:
        return False
    if any(other.order[:16] == one.order[:16] and other.order > one.order for other in held):
        return False  # a later revision of the same version
    latest = [
        other
        for other in held
        if not any(o.order[:16] == other.order[:16] and o.order > other.order for o in held)
    ]
    return not (
        one.null_version and any(other.null_version and other.order > one.order for other in latest)
    )


@given(rows)
def test_the_rows_that_count_are_those_of_the_rule(held: list[Row]) -> None:
    assert list(visible(held)) == [one for one in held if counts(one, held)]


@given(rows)
def test_retiring_what_does_not_count_changes_nothing(held: list[Row]) -> None:
    shown = list(visible(held))
    tombstones = [one for one in held if one.kind is Kind.TOMBSTONE]
    kept = sorted([*shown, *tombstones], key=lambda one: one.order, reverse=True)
    assert list(visible(kept)) == shown

"""Merge pages of several drives into one listing: per key, the newest row decides.

Merging rows is a join: commutative, associative and idempotent, because a row's order is unique
per key. A page says everything about the keys up to its `next_after`, so the merge is complete
up to the smallest `next_after` of the pages that were cut short, and no further.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from objstore.names import Kind, ObjectKey


@dataclass(frozen=True, slots=True)
class Row:
    """A key's newest row on one drive; `payload` travels along unexamined."""

    key: ObjectKey
    order: bytes
    kind: Kind
    payload: object


@dataclass(frozen=True, slots=True)
class Page:
    """What one drive said. `prefixes` are (common prefix, its first live row)."""

    rows: tuple[Row, ...]
    prefixes: tuple[tuple[str, Row], ...]
    next_after: str | None


@dataclass(frozen=True, slots=True)
class Merged:
    """The join of several pages.

    `disputed` keys differ between drives that both speak of them, or are live on some and
    absent on others; `disputed_prefixes` have no witness that all drives agree on. Both need a
    closer look before they may be shown. `complete_to` is None when nothing was cut short.
    """

    rows: tuple[Row, ...]
    prefixes: tuple[str, ...]
    disputed: frozenset[ObjectKey]
    disputed_prefixes: frozenset[str]
    complete_to: str | None


def newest(rows: Iterable[Row]) -> Row:
    """Return the row that wins."""
    return max(rows, key=lambda row: row.order)


def merge_pages(pages: Sequence[Page]) -> Merged:
    """Join the pages of drives that were asked the same question."""
    cuts = [page.next_after for page in pages if page.next_after is not None]
    complete_to = min(cuts) if cuts else None
    rows: dict[ObjectKey, list[Row]] = {}
    witnesses: dict[str, list[Row]] = {}
    for page in pages:
        for row in page.rows:
            if complete_to is None or row.key <= complete_to:
                rows.setdefault(row.key, []).append(row)
        for prefix, row in page.prefixes:
            if complete_to is None or prefix <= complete_to:
                witnesses.setdefault(prefix, []).append(row)
    return Merged(
        rows=tuple(newest(rows[key]) for key in sorted(rows)),
        prefixes=tuple(sorted(witnesses)),
        disputed=frozenset(key for key, held in rows.items() if _disputed(held, len(pages))),
        disputed_prefixes=frozenset(
            prefix for prefix, held in witnesses.items() if _disputed(held, len(pages))
        ),
        complete_to=complete_to,
    )


def _disputed(held: Sequence[Row], pages: int) -> bool:
    agreed = len(held) == pages and all(
        row.order == held[0].order and row.key == held[0].key for row in held
    )
    # A tombstone that some drives have purged is no dispute: nobody has a live row.
    return not agreed and any(row.kind is Kind.OBJECT for row in held)

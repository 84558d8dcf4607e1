"""Which rows of a key count: the versions that a listing shows, newest first.

Of the revisions of one version the latest counts; of null versions the newest, because each
replaces the one before; a tombstone counts as nothing, and hides what it buried: the revisions
of its own stamp and, when it is a null one, older null versions.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

from objstore.names import STAMP_BYTES, Kind, Order, stamp_of


class VersionRow(Protocol):
    """What decides about a row."""

    @property
    def order(self) -> Order: ...
    @property
    def kind(self) -> int: ...
    @property
    def null_version(self) -> bool: ...


R = TypeVar("R", bound=VersionRow)


def supersedes(newer: VersionRow, older: VersionRow) -> bool:
    """Whether `newer` retires `older` once it is acknowledged.

    A null version retires older null versions; a revision retires lower ones of its stamp.
    """
    if older.order >= newer.order:
        return False
    both_null = newer.null_version and older.null_version
    return both_null or stamp_of(newer.order) == stamp_of(older.order)


def visible(rows: Iterable[R]) -> Iterator[R]:
    """Yield the rows that count, of `rows` of one key, newest first."""
    stamp = b""
    null_seen = False
    for row in rows:
        if row.order[:STAMP_BYTES] == stamp:
            continue
        stamp = row.order[:STAMP_BYTES]
        if row.null_version:
            if null_seen:
                continue
            null_seen = True
        if row.kind != Kind.TOMBSTONE:
            yield row

"""LIST of versions: what the drives of every set say of each key, joined and put in order.

A drive lists the versions that count as it sees them. Where drives do not say the same of a key,
the whole key is read and decided, version by version, as a GET would.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from objstore.drive.ops import KeyEntry, ListVersions, VersionPage
from objstore.engine.pages import Position, ask_for_pages, order_at, position_of
from objstore.engine.ports import ListedVersion, VersionListing
from objstore.engine.resolve import read_history, read_key
from objstore.engine.sets import Context, SetHandle
from objstore.errors import ReadQuorumLost
from objstore.limits import LIST_KEYS_MAX
from objstore.names import (
    CURRENT,
    NO_ORDER,
    NULL,
    BucketName,
    Kind,
    ObjectKey,
    Order,
    VersionId,
    stamp_of,
)
from objstore.ondisk.record import Version
from objstore.quorum.reduce import describe_errors
from objstore.versions.hlc import parse_version_id
from objstore.versions.select import Outcome


@dataclass(frozen=True, slots=True)
class VersionQuery:
    """What is listed: versions after `after_version` of `after_key`, or after all of that key."""

    bucket: BucketName
    prefix: str
    delimiter: str
    after_key: str
    after_version: VersionId
    limit: int


@dataclass(frozen=True, slots=True)
class _Shown:
    """Versions of one key, newest first, or (without any) a common prefix."""

    name: str
    entries: Sequence[KeyEntry]
    begun: bool = False  # an earlier page has this key's latest version

    @property
    def count(self) -> int:
        """How many entries of a listing it is."""
        return len(self.entries) or 1


async def list_versions(context: Context, query: VersionQuery) -> VersionListing:
    """Return one page: at most `limit` versions and common prefixes together.

    Raises:
        ReadQuorumLost: a set cannot tell.
    """
    found: list[_Shown] = []
    key, order = query.after_key, await _order_after(context, query)
    while sum(one.count for one in found) <= query.limit:
        pages = [await _set_page(context, handle, query, key, order) for handle in context.sets]
        end = min((page.end for page in pages if page.end is not None), default=None)
        # One set may have been cut before another: what lies beyond is asked for again.
        shown = [cut for page in pages for one in page.shown if (cut := _up_to(one, end))]
        shown.sort(key=_name)
        found += _each_prefix_once(shown)
        if end is None:
            break
        key, order = end[0], order_at(end)
    return _page_of(found, query.limit)


def _name(shown: _Shown) -> str:
    return shown.name


def _each_prefix_once(shown: Sequence[_Shown]) -> list[_Shown]:
    """Return what several sets show, by name; keys below a common prefix lie in any of them."""
    names = [one.name for one in shown]
    return [
        one
        for index, one in enumerate(shown)
        if one.entries or index == 0 or names[index - 1] != one.name
    ]


def _up_to(shown: _Shown, end: Position | None) -> _Shown | None:
    """Return what of a key lies up to a position."""
    if end is None or shown.name < end[0]:
        return shown
    if shown.name > end[0]:
        return None
    if not shown.entries:
        return shown if position_of(shown.name, NO_ORDER) <= end else None
    entries = [one for one in shown.entries if position_of(one.key, one.order) <= end]
    return _Shown(shown.name, entries, shown.begun) if entries else None


def _page_of(found: Sequence[_Shown], limit: int) -> VersionListing:
    versions: list[ListedVersion] = []
    prefixes: dict[str, None] = {}
    last_key, last_version = "", CURRENT
    for one in found:
        if not one.entries and len(versions) + len(prefixes) < limit:
            prefixes[one.name] = None
            last_key, last_version = one.name, CURRENT
        room = limit - len(versions) - len(prefixes)
        for index, entry in enumerate(one.entries[: max(0, room)]):
            versions.append(_listed(entry, is_latest=not index and not one.begun))
            last_key, last_version = one.name, versions[-1].version_id
    total = sum(one.count for one in found)
    truncated = total > limit
    return VersionListing(tuple(versions), tuple(prefixes), truncated, last_key, last_version)


async def set_versions(
    context: Context,
    handle: SetHandle,
    bucket: BucketName,
    prefix: str,
    after: Position | None,
) -> tuple[list[KeyEntry], Position | None]:
    """Return a page of what one set has after a place, in order, and where to go on, if anywhere.

    A page may be empty and not be the last.

    Raises:
        ReadQuorumLost: the set cannot tell.
    """
    query = VersionQuery(bucket, prefix, "", "", CURRENT, LIST_KEYS_MAX)
    key, order = ("", NO_ORDER) if after is None else (after[0], order_at(after))
    page = await _set_page(context, handle, query, key, order)
    shown = (_up_to(one, page.end) for one in page.shown)
    return [entry for one in shown if one is not None for entry in one.entries], page.end


async def _order_after(context: Context, query: VersionQuery) -> Order:
    """Return the lowest order of the version that the page before ended with."""
    if query.after_version == CURRENT:
        return NO_ORDER
    stamp = parse_version_id(query.after_version)
    if query.after_version == NULL:
        stamp = None
        for place in context.places(query.bucket, ObjectKey(query.after_key)):
            op = read_key(query.bucket, ObjectKey(query.after_key), NULL)
            for choice in (await read_history(context, place.handle, op)).choices:
                if choice.version is not None and stamp is None:
                    stamp = choice.version.stamp
    return NO_ORDER if stamp is None else Order(bytes(stamp))


@dataclass(frozen=True, slots=True)
class _SetPage:
    """What a set has after a place, in order of name, and where that ends (None: at the end)."""

    shown: Sequence[_Shown]
    end: Position | None


async def _set_page(
    context: Context, handle: SetHandle, query: VersionQuery, key: str, order: Order
) -> _SetPage:
    limit = min(query.limit, LIST_KEYS_MAX) + 1
    op = ListVersions(query.bucket, query.prefix, key, order, query.delimiter, limit)
    pages = list((await ask_for_pages(context, handle, op)).values())
    ends = [position_of(*page.next_after) for page in pages if page.next_after is not None]
    end = min(ends, default=None)
    versions = [_by_key(page.entries) for page in pages]
    names = set().union(*versions)
    shown: list[_Shown] = []
    for name in names:
        lists = [one.get(name, []) for one in versions]
        after = order if name == key else NO_ORDER
        if any(one != lists[0] for one in lists) and not _same_so_far(lists, name, end):
            lists = [
                [
                    entry
                    for entry in await _decided(context, handle, query.bucket, ObjectKey(name))
                    if not after or entry.order < after
                ]
            ]
        if lists[0]:
            shown.append(_Shown(name, lists[0], begun=bool(after)))
    for prefix in {prefix for page in pages for prefix, _ in page.prefixes}:
        inside = end is None or position_of(prefix, NO_ORDER) <= end
        if inside and await _any_below(context, handle, query, prefix, pages):
            shown.append(_Shown(prefix, ()))
    shown.sort(key=_name)
    return _SetPage(shown, end)


def _by_key(entries: Iterable[KeyEntry]) -> dict[str, list[KeyEntry]]:
    found: dict[str, list[KeyEntry]] = {}
    for entry in entries:
        found.setdefault(entry.key, []).append(entry)
    return found


def _same_so_far(lists: Sequence[Sequence[KeyEntry]], name: str, end: Position | None) -> bool:
    """Whether drives list the same versions of a key, up to where the first page ends."""
    orders = [
        [one.order for one in entries if end is None or position_of(name, one.order) <= end]
        for entries in lists
    ]
    return all(one == orders[0] for one in orders)


async def _decided(
    context: Context, handle: SetHandle, bucket: BucketName, key: ObjectKey
) -> list[KeyEntry]:
    """Read a key whole, and decide about each of its versions."""
    history = await read_history(context, handle, read_key(bucket, key))
    entries: list[KeyEntry] = []
    for choice in history.choices:
        if choice.version is not None and choice.version.kind is not Kind.TOMBSTONE:
            entries.append(_entry_of(choice.version))
        elif choice.version is None and choice.outcome is Outcome.UNDECIDED:
            raise ReadQuorumLost(f"{choice.reason}; {describe_errors(history.errors)}")
    return entries


async def _any_below(
    context: Context,
    handle: SetHandle,
    query: VersionQuery,
    prefix: str,
    pages: Sequence[VersionPage],
) -> bool:
    """Whether any version is below a common prefix; drives that agree on a witness say so."""
    witnesses = [dict(page.prefixes).get(prefix) for page in pages]
    first = witnesses[0]
    if first is not None and all(
        one is not None and (one.key, one.order) == (first.key, first.order) for one in witnesses
    ):
        return True
    below = VersionQuery(query.bucket, prefix, "", "", CURRENT, 1)
    key, order = "", NO_ORDER
    while True:
        page = await _set_page(context, handle, below, key, order)
        if page.shown or page.end is None:
            return bool(page.shown)
        key, order = page.end[0], order_at(page.end)


def _entry_of(version: Version) -> KeyEntry:
    return KeyEntry(
        key=version.key,
        order=version.order,
        kind=version.kind,
        size=version.size,
        etag=version.etag,
        modified_ms=version.modified_ms,
        storage_class=version.storage_class,
        checksum=",".join(version.checksums),
        checksum_type=version.checksum_type,
        null_version=version.null_version,
        owner=version.owner,
    )


def version_id_of_entry(entry: KeyEntry) -> VersionId:
    """Return how S3 names a listed version."""
    return NULL if entry.null_version else VersionId(stamp_of(entry.order).hex())


def _listed(entry: KeyEntry, *, is_latest: bool) -> ListedVersion:
    return ListedVersion(
        key=entry.key,
        version_id=version_id_of_entry(entry),
        is_latest=is_latest,
        delete_marker=entry.kind is Kind.DELETE_MARKER,
        size=entry.size,
        etag=entry.etag,
        modified_ms=entry.modified_ms,
        storage_class=entry.storage_class,
        checksum_algorithms=tuple(entry.checksum.split(",")) if entry.checksum else (),
        checksum_type=entry.checksum_type,
        owner=entry.owner,
    )

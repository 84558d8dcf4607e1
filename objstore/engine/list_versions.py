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
from objstore.versions.select import Outcome, decide


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
    """A version, or (without one) a common prefix."""

    entry: KeyEntry | None
    is_latest: bool = False


async def list_versions(context: Context, query: VersionQuery) -> VersionListing:
    """Return one page: at most `limit` versions and common prefixes together.

    Raises:
        ReadQuorumLost: a set cannot tell.
    """
    found: dict[Position, _Shown] = {}
    key, order = query.after_key, await _order_after(context, query)
    while len(found) <= query.limit:
        cut: Position | None = None
        for handle in context.sets:
            shown, end = await _set_page(context, handle, query, key, order)
            found |= shown
            if end is not None:
                cut = min(cut or end, end)
        if cut is None:
            break
        # Another set may have been cut earlier: what lies beyond is asked for again.
        found = {place: one for place, one in found.items() if place <= cut}
        key, order = cut[0], order_at(cut)
    places = sorted(found)
    page = places[: query.limit]
    last = found[page[-1]].entry if page else None
    return VersionListing(
        versions=tuple(_listed(found[place]) for place in page if found[place].entry is not None),
        prefixes=tuple(place[0] for place in page if found[place].entry is None),
        truncated=len(places) > query.limit,
        last_key=page[-1][0] if page else "",
        last_version=CURRENT if last is None else _version_id(last),
    )


async def _order_after(context: Context, query: VersionQuery) -> Order:
    """Return the lowest order of the version that the page before ended with."""
    if query.after_version == CURRENT:
        return NO_ORDER
    stamp = parse_version_id(query.after_version)
    if query.after_version == NULL:
        stamp = None
        for place in context.places(query.bucket, ObjectKey(query.after_key)):
            op = read_key(query.bucket, ObjectKey(query.after_key), NULL)
            answers, _ = await read_history(context, place.handle, op)
            for choice in decide(answers, place.handle.slots_of_drive):
                if choice.version is not None and stamp is None:
                    stamp = choice.version.stamp
    return NO_ORDER if stamp is None else Order(bytes(stamp))


async def _set_page(
    context: Context, handle: SetHandle, query: VersionQuery, key: str, order: Order
) -> tuple[dict[Position, _Shown], Position | None]:
    """Return what a set has after a place, and where its page ends (None: at the end)."""
    limit = min(query.limit, LIST_KEYS_MAX) + 1
    op = ListVersions(query.bucket, query.prefix, key, order, query.delimiter, limit)
    pages = list((await ask_for_pages(context, handle, op)).values())
    ends = [position_of(*page.next_after) for page in pages if page.next_after is not None]
    end = min(ends, default=None)
    shown: dict[Position, _Shown] = {}
    for prefix in {prefix for page in pages for prefix, _ in page.prefixes}:
        inside = end is None or position_of(prefix, NO_ORDER) <= end
        if inside and await _any_below(context, handle, query, prefix, pages):
            shown[position_of(prefix, NO_ORDER)] = _Shown(None)
    for name in {entry.key for page in pages for entry in page.entries}:
        after = order if name == key else NO_ORDER
        shown |= await _key_versions(context, handle, query.bucket, name, pages, after, end)
    return shown, end


async def _key_versions(
    context: Context,
    handle: SetHandle,
    bucket: BucketName,
    key: ObjectKey,
    pages: Sequence[VersionPage],
    after: Order,
    end: Position | None,
) -> dict[Position, _Shown]:
    """Return the versions of one key below `after` and up to `end`.

    Within a key that an earlier page began nothing is the latest.
    """

    def on_page(entries: Iterable[KeyEntry]) -> list[KeyEntry]:
        return [
            entry
            for entry in entries
            if entry.key == key
            and (not after or entry.order < after)
            and (end is None or position_of(key, entry.order) <= end)
        ]

    lists = [on_page(page.entries) for page in pages]
    orders = [[entry.order for entry in entries] for entries in lists]
    if all(one == orders[0] for one in orders):
        entries = lists[0]
    else:
        entries = on_page(await _decided(context, handle, bucket, key))
    return {
        position_of(key, entry.order): _Shown(entry, is_latest=not after and entry is entries[0])
        for entry in entries
    }


async def _decided(
    context: Context, handle: SetHandle, bucket: BucketName, key: ObjectKey
) -> list[KeyEntry]:
    """Read a key whole, and decide about each of its versions."""
    answers, errors = await read_history(context, handle, read_key(bucket, key))
    entries: list[KeyEntry] = []
    for choice in decide(answers, handle.slots_of_drive):
        if choice.version is not None and choice.version.kind is not Kind.TOMBSTONE:
            entries.append(_entry_of(choice.version))
        elif choice.version is None and choice.outcome is Outcome.UNDECIDED:
            raise ReadQuorumLost(f"{choice.reason}; {describe_errors(errors)}")
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
        shown, end = await _set_page(context, handle, below, key, order)
        if shown or end is None:
            return bool(shown)
        key, order = end[0], order_at(end)


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


def _version_id(entry: KeyEntry) -> VersionId:
    return NULL if entry.null_version else VersionId(stamp_of(entry.order).hex())


def _listed(shown: _Shown) -> ListedVersion:
    entry = shown.entry
    assert entry is not None
    return ListedVersion(
        key=entry.key,
        version_id=_version_id(entry),
        is_latest=shown.is_latest,
        delete_marker=entry.kind is Kind.DELETE_MARKER,
        size=entry.size,
        etag=entry.etag,
        modified_ms=entry.modified_ms,
        storage_class=entry.storage_class,
        checksum_algorithms=tuple(entry.checksum.split(",")) if entry.checksum else (),
        checksum_type=entry.checksum_type,
        owner=entry.owner,
    )

"""LIST: merge what the drives of every set say; the newest row of a key decides.

Of each set as many drives are asked as it takes to share a slot with every acknowledged write.
Where they disagree (a write in flight, a drive that missed a delete), the key is resolved as a
GET would, so a listing shows exactly what a GET finds, or would find if enough shards were there.
"""

from dataclasses import dataclass

from objstore.drive.ops import KeyEntry, KeyPage, ListKeys
from objstore.engine.pages import ask_for_pages
from objstore.engine.ports import ListedObject, ObjectListing
from objstore.engine.resolve import resolve
from objstore.engine.sets import Context, SetHandle
from objstore.limits import LIST_KEYS_MAX
from objstore.names import BucketName, Kind, ObjectKey
from objstore.ondisk.record import Version
from objstore.versions.merge import Merged, Page, Row, merge_pages


@dataclass(frozen=True, slots=True)
class ListQuery:
    """What is listed: keys above `after` (a key or a common prefix, exclusive)."""

    bucket: BucketName
    prefix: str
    delimiter: str
    after: str
    limit: int


async def list_objects(context: Context, query: ListQuery) -> ObjectListing:
    """Return one page: at most `limit` objects and common prefixes together.

    Raises:
        ReadQuorumLost: a set cannot tell.
    """
    found: dict[str, ListedObject | None] = {}  # None marks a common prefix
    after = query.after
    while len(found) <= query.limit:
        complete_to: str | None = None
        for handle in context.sets:
            live, end = await _set_page(context, handle, query, after)
            if end is not None:
                complete_to = min(complete_to or end, end)
            found |= live
        if complete_to is None:
            break
        # Another set may have been cut earlier: what lies beyond is asked for again.
        found = {name: entry for name, entry in found.items() if name <= complete_to}
        after = complete_to
    names = sorted(found)
    shown = names[: query.limit]
    return ObjectListing(
        objects=tuple(entry for name in shown if (entry := found[name]) is not None),
        prefixes=tuple(name for name in shown if found[name] is None),
        truncated=len(names) > query.limit,
        last=shown[-1] if shown else "",
    )


async def _set_page(
    context: Context, handle: SetHandle, query: ListQuery, after: str
) -> tuple[dict[str, ListedObject | None], str | None]:
    """Return what a set lists after a name, and up to where that is all (None: to the end)."""
    limit = min(query.limit, LIST_KEYS_MAX) + 1
    op = ListKeys(query.bucket, query.prefix, after, query.delimiter, limit)
    pages = list((await ask_for_pages(context, handle, op)).values())
    first = pages[0]
    if all(_same(page, first) for page in pages):
        live: dict[str, ListedObject | None] = {
            entry.key: _listed_entry(entry) for entry in first.entries if entry.kind is Kind.OBJECT
        }
        return live | dict.fromkeys(prefix for prefix, _ in first.prefixes), first.next_after
    merged = merge_pages([_page_of(page) for page in pages])
    return await _live(context, handle, query, merged), merged.complete_to


def _same(page: KeyPage, other: KeyPage) -> bool:
    """Whether two drives say the same of the same keys: then there is nothing to decide."""
    return (page.entries, page.prefixes, page.next_after) == (
        other.entries,
        other.prefixes,
        other.next_after,
    )


def _row_of(entry: KeyEntry) -> Row:
    return Row(entry.key, entry.order, entry.kind, entry)


def _page_of(page: KeyPage) -> Page:
    return Page(
        rows=tuple(_row_of(entry) for entry in page.entries),
        prefixes=tuple((prefix, _row_of(entry)) for prefix, entry in page.prefixes),
        next_after=page.next_after,
    )


async def _live(
    context: Context, handle: SetHandle, query: ListQuery, merged: Merged
) -> dict[str, ListedObject | None]:
    """Return what of a merged page a GET would find."""
    live: dict[str, ListedObject | None] = {}
    for row in merged.rows:
        if row.key in merged.disputed:
            version = await _resolved(context, handle, query.bucket, row.key)
            if version is not None:
                live[row.key] = _listed_version(version)
        elif row.kind is Kind.OBJECT:
            assert isinstance(row.payload, KeyEntry)
            live[row.key] = _listed_entry(row.payload)
    for prefix in merged.prefixes:
        if prefix not in merged.disputed_prefixes or await _any_below(
            context, handle, query.bucket, prefix
        ):
            live[prefix] = None
    return live


async def _resolved(
    context: Context, handle: SetHandle, bucket: BucketName, key: ObjectKey
) -> Version | None:
    version = (await resolve(context, handle, bucket, key, named=True)).version
    return version if version is not None and version.kind is Kind.OBJECT else None


async def _any_below(context: Context, handle: SetHandle, bucket: BucketName, prefix: str) -> bool:
    """Whether any live key begins with `prefix`, when the drives disagree about it."""
    after = ""
    while True:
        query = ListQuery(bucket, prefix, "", after, LIST_KEYS_MAX)
        live, end = await _set_page(context, handle, query, after)
        if live or end is None:
            return bool(live)
        after = end


def _listed_entry(entry: KeyEntry) -> ListedObject:
    return ListedObject(
        key=entry.key,
        size=entry.size,
        etag=entry.etag,
        modified_ms=entry.modified_ms,
        storage_class=entry.storage_class,
        checksum_algorithms=tuple(entry.checksum.split(",")) if entry.checksum else (),
        checksum_type=entry.checksum_type,
        owner=entry.owner,
    )


def _listed_version(version: Version) -> ListedObject:
    return ListedObject(
        key=version.key,
        size=version.size,
        etag=version.etag,
        modified_ms=version.modified_ms,
        storage_class=version.storage_class,
        checksum_algorithms=tuple(version.checksums),
        checksum_type=version.checksum_type,
        owner=version.owner,
    )

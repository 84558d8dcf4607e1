"""List the multipart uploads in progress: what every drive says, joined."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from objstore.drive.ops import ListUploads, UploadPage
from objstore.engine.fanout import call_all
from objstore.engine.multipart import may_be_open
from objstore.engine.ports import UploadListing
from objstore.engine.sets import Context, SetHandle
from objstore.errors import ReadQuorumLost
from objstore.limits import CALL_DEADLINE_S, LIST_KEYS_MAX
from objstore.names import BucketName
from objstore.ondisk.record import Upload, decode_upload
from objstore.quorum.reduce import describe_errors


@dataclass(frozen=True, slots=True)
class UploadQuery:
    """Which uploads are listed: those above (after_key, after_upload)."""

    bucket: BucketName
    prefix: str
    delimiter: str
    after_key: str
    after_upload: str
    limit: int


async def list_uploads(context: Context, query: UploadQuery) -> UploadListing:
    """Return a page of a bucket's uploads in progress, by (key, upload id).

    Raises:
        ReadQuorumLost: a set cannot tell.
    """
    uploads: dict[tuple[str, str], Upload] = {}
    after_key, after_upload = query.after_key, query.after_upload
    while True:
        cuts: list[tuple[str, str]] = []
        for handle in context.sets:
            after = (after_key, after_upload)
            found, cut = await set_uploads(context, handle, query.bucket, query.prefix, after)
            uploads |= found
            if cut is not None:
                cuts.append(cut)
        names = _group_uploads(query, uploads, min(cuts, default=None))
        if not cuts or len(names) > query.limit:
            break
        after_key, after_upload = min(cuts)
    shown = names[: query.limit]
    last = shown[-1] if shown else ("", "")
    return UploadListing(
        uploads=tuple(uploads[name] for name in shown if name in uploads),
        prefixes=tuple(name[0] for name in shown if name not in uploads),
        truncated=len(names) > len(shown),
        last_key=last[0],
        last_upload=last[1],
    )


async def set_uploads(
    context: Context, handle: SetHandle, bucket: BucketName, prefix: str, after: tuple[str, str]
) -> tuple[dict[tuple[str, str], Upload], tuple[str, str] | None]:
    """Return uploads of one set above (key, upload id), and up to where they are all there.

    None says that there are no more.

    Raises:
        ReadQuorumLost: the set cannot tell.
        RecordUnknown: the record of an upload is damaged.
    """
    op = ListUploads(bucket, prefix, *after, LIST_KEYS_MAX)
    pages = await _upload_pages(context, handle, op)
    held = {drive: _by_name(page) for drive, page in pages.items()}
    cuts = [max(held[drive]) for drive, page in pages.items() if page.truncated]
    cut = min(cuts, default=None)
    fresh = [drive for drive, page in pages.items() if page.trusted]
    found: dict[tuple[str, str], Upload] = {}
    for uploads in held.values():
        found |= uploads
    return {
        name: upload
        for name, upload in found.items()
        if (cut is None or name <= cut)
        and may_be_open(handle, [drive for drive in fresh if name not in held[drive]])
    }, cut


def _by_name(page: UploadPage) -> dict[tuple[str, str], Upload]:
    uploads = [decode_upload(sealed) for sealed in page.uploads]
    return {(upload.key, upload.upload_id): upload for upload in uploads}


def _group_uploads(
    query: UploadQuery, uploads: Mapping[tuple[str, str], Upload], cut: tuple[str, str] | None
) -> list[tuple[str, str]]:
    """Return names in order; those that share a prefix up to the delimiter become (prefix, "").

    As in a listing of objects, a marker that ends with the delimiter stands for all that was
    rolled up into the common prefix it lies in.
    """
    over = _common_prefix(query, query.after_key)
    names: set[tuple[str, str]] = set()
    for name in uploads:
        if cut is not None and name > cut:
            continue
        prefix = _common_prefix(query, name[0])
        if prefix is None:
            names.add(name)
        elif prefix != over or not query.after_key.endswith(query.delimiter):
            names.add((prefix, ""))
    return sorted(names)


def _common_prefix(query: UploadQuery, key: str) -> str | None:
    end = key.find(query.delimiter, len(query.prefix)) if query.delimiter else -1
    return None if end < 0 else key[: end + len(query.delimiter)]


async def _upload_pages(
    context: Context, handle: SetHandle, op: ListUploads
) -> Mapping[int, UploadPage]:
    fanout = await call_all(
        context.group,
        {drive: partial(handle.drives[drive].call, op) for drive in handle.readable()},
        deadline_s=CALL_DEADLINE_S,
    )
    trusted = tuple(drive for drive, page in fanout.answers.items() if page.trusted)
    if not handle.is_fresh(trusted):
        raise ReadQuorumLost(describe_errors(fanout.errors))
    return fanout.answers

"""ListObjects, in both versions."""

from collections.abc import Callable
from dataclasses import dataclass

from objstore.engine.ports import ObjectListing
from objstore.limits import LIST_KEYS_MAX
from objstore.s3.bucket_access import owners_in
from objstore.s3.call import Call, Reply, xml_reply
from objstore.s3.continuation import read_token, write_token
from objstore.s3.paging import (
    count_parameter,
    delimiter_head,
    encoding_head,
    flag,
    read_encoding,
    text_parameter,
)
from objstore.wire.documents import Encode, Owner, object_list
from objstore.wire.xml_writer import escape


@dataclass(frozen=True, slots=True)
class _Page:
    """What both versions ask for."""

    prefix: str
    delimiter: str
    limit: int
    encode: Encode


def _read_page(call: Call) -> _Page:
    return _Page(
        text_parameter(call, "prefix"),
        text_parameter(call, "delimiter"),
        count_parameter(call, "max-keys", LIST_KEYS_MAX),
        read_encoding(call),
    )


async def _list(call: Call, page: _Page, after: str) -> ObjectListing:
    if page.limit == 0:
        # "max-keys=0" is how clients ask whether they may list; nothing is left out.
        await call.store.head_bucket(call.bucket)
        return ObjectListing((), (), truncated=False, last="")
    return await call.store.list_objects(
        call.bucket,
        prefix=page.prefix,
        delimiter=page.delimiter,
        after=after,
        limit=page.limit,
    )


async def list_objects(call: Call) -> Reply:
    """Answer ListObjects, version 1."""
    page = _read_page(call)
    marker = text_parameter(call, "marker")
    listing = await _list(call, page, marker)
    owners = await _owners(call)
    encode = page.encode
    head = [
        ("Name", escape(call.bucket)),
        ("Prefix", encode(page.prefix)),
        ("Marker", encode(marker)),
    ]
    # AWS says: NextMarker "is returned only if you have the delimiter request parameter specified".
    if listing.truncated and page.delimiter:
        head.append(("NextMarker", encode(listing.last)))
    head += [("MaxKeys", str(page.limit)), *delimiter_head(page.delimiter, encode)]
    head += [("IsTruncated", flag(value=listing.truncated)), *encoding_head(encode)]
    return xml_reply(
        object_list(head, listing.objects, listing.prefixes, encode=encode, owner_of=owners)
    )


async def list_objects_v2(call: Call) -> Reply:
    """Answer ListObjectsV2. A continuation token goes before start-after."""
    page = _read_page(call)
    token = call.request.query.get("continuation-token")
    start_after = text_parameter(call, "start-after")
    after = read_token(token) if token is not None else start_after
    listing = await _list(call, page, after)
    wants_owner = text_parameter(call, "fetch-owner").lower() == "true"
    owners = await _owners(call) if wants_owner else None
    encode = page.encode
    head = [("Name", escape(call.bucket)), ("Prefix", encode(page.prefix))]
    if start_after:
        head.append(("StartAfter", encode(start_after)))
    if token is not None:
        head.append(("ContinuationToken", escape(token)))
    if listing.truncated:
        head.append(("NextContinuationToken", write_token(listing.last)))
    count = len(listing.objects) + len(listing.prefixes)
    head += [("KeyCount", str(count)), ("MaxKeys", str(page.limit))]
    head += delimiter_head(page.delimiter, encode)
    head += [("IsTruncated", flag(value=listing.truncated)), *encoding_head(encode)]
    return xml_reply(
        object_list(head, listing.objects, listing.prefixes, encode=encode, owner_of=owners)
    )


async def _owners(call: Call) -> Callable[[str], Owner]:
    return owners_in(await call.store.head_bucket(call.bucket), call.identities)

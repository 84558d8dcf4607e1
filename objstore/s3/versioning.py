"""Versioning of buckets, and the listing of versions."""

import msgspec

from objstore.engine.ports import VersionListing
from objstore.errors import RequestRefused
from objstore.limits import LIST_KEYS_MAX
from objstore.names import CURRENT, VersionId, Versioning
from objstore.ondisk.record import Bucket
from objstore.s3.bucket_access import owners_in
from objstore.s3.call import Call, Reply, read_body, xml_reply
from objstore.s3.object_lock import lock_of_bucket
from objstore.s3.object_version import read_version_id
from objstore.s3.paging import (
    count_parameter,
    delimiter_head,
    encoding_head,
    flag,
    read_encoding,
    text_parameter,
)
from objstore.wire.config_documents.versioning import Versioning as Configuration
from objstore.wire.config_documents.versioning import read_versioning, write_versioning
from objstore.wire.documents import version_list
from objstore.wire.xml_writer import escape


async def get_bucket_versioning(call: Call) -> Reply:
    """Answer GetBucketVersioning."""
    bucket = await call.store.head_bucket(call.bucket)
    return xml_reply(write_versioning(Configuration(bucket.versioning.value)))


async def put_bucket_versioning(call: Call) -> Reply:
    """Answer PutBucketVersioning.

    "You can't disable Object Lock or suspend versioning on a bucket that has Object Lock enabled."
    """
    wanted = read_versioning(await read_body(call)).status

    def change(bucket: Bucket) -> Bucket:
        if wanted != Versioning.ENABLED.value and lock_of_bucket(bucket) is not None:
            raise RequestRefused(
                "InvalidBucketState",
                "An Object Lock configuration is present on this bucket, so the versioning state"
                " cannot be changed.",
            )
        settings = bucket.settings | {"versioning": wanted.encode()}
        return msgspec.structs.replace(bucket, settings=settings)

    await call.store.change_bucket(call.bucket, change)
    return Reply(200, {})


async def list_object_versions(call: Call) -> Reply:
    """Answer ListObjectVersions: versions and delete markers, of each key newest first."""
    prefix, delimiter = text_parameter(call, "prefix"), text_parameter(call, "delimiter")
    limit = count_parameter(call, "max-keys", LIST_KEYS_MAX)
    encode = read_encoding(call)
    key_marker = text_parameter(call, "key-marker")
    version_marker = text_parameter(call, "version-id-marker")
    if version_marker and not key_marker:
        raise RequestRefused(
            "InvalidArgument",
            "A version-id marker cannot be specified without a key marker.",
            ArgumentName="version-id-marker",
            ArgumentValue=version_marker[:200],
        )
    after_version = _marker(version_marker)
    listing = VersionListing((), (), truncated=False, last_key="", last_version=CURRENT)
    bucket = await call.store.head_bucket(call.bucket)
    if limit:
        listing = await call.store.list_versions(
            call.bucket,
            prefix=prefix,
            delimiter=delimiter,
            after_key=key_marker,
            after_version=after_version,
            limit=limit,
        )
    head = [("Name", escape(call.bucket)), ("Prefix", encode(prefix))]
    head += [("KeyMarker", encode(key_marker)), ("VersionIdMarker", escape(version_marker))]
    if listing.truncated:
        head.append(("NextKeyMarker", encode(listing.last_key)))
        if listing.last_version != CURRENT:
            head.append(("NextVersionIdMarker", listing.last_version))
    head += [("MaxKeys", str(limit)), *delimiter_head(delimiter, encode)]
    head += [("IsTruncated", flag(value=listing.truncated)), *encoding_head(encode)]
    owner_of = owners_in(bucket, call.identities)
    owners = [(entry, owner_of(entry.owner)) for entry in listing.versions]
    return xml_reply(version_list(head, owners, listing.prefixes, encode=encode))


def _marker(text: str) -> VersionId:
    """Return the version that a page begins after; "" is the key marker's last."""
    try:
        return read_version_id(text or None)
    except RequestRefused as refused:
        raise RequestRefused(
            "InvalidArgument",
            "Invalid version id specified",
            ArgumentName="version-id-marker",
            ArgumentValue=text[:200],
        ) from refused

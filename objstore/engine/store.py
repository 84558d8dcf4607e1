"""The store: every operation the S3 layer can ask for, in one place.

Each method finds the place of the key and hands over to the module of its verb. A key lives in
one set of one pool; with several pools a write goes where the key is already, or else to the
pool with the most free space for it.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final

from objstore.drive.ops import ReadStatus
from objstore.engine.buckets import Buckets
from objstore.engine.condition import current_object
from objstore.engine.delete import Permission, delete_object, delete_version, mark_deleted
from objstore.engine.edit import Change, edit_version
from objstore.engine.encrypt import DecryptedObject
from objstore.engine.fanout import call_all
from objstore.engine.get import StoredObject, open_object
from objstore.engine.list import ListQuery, list_objects
from objstore.engine.list_uploads import UploadQuery, list_uploads
from objstore.engine.list_versions import VersionQuery, list_versions
from objstore.engine.locate import locate
from objstore.engine.multipart import (
    FoundUpload,
    abort_upload,
    complete_once,
    create_upload,
    find_upload,
    list_parts,
    put_part,
)
from objstore.engine.ports import (
    UNCONDITIONAL,
    Attributes,
    Body,
    BucketUsage,
    CompleteRequest,
    Deleted,
    Location,
    ObjectListing,
    ObjectReader,
    PartListing,
    Precondition,
    UploadedPartResult,
    UploadListing,
    VersionListing,
)
from objstore.engine.put import Target, put_object
from objstore.engine.reader_body import ReaderBody
from objstore.engine.resolve import resolve
from objstore.engine.sets import Context, Place
from objstore.engine.usage import bucket_usage
from objstore.errors import RequestRefused
from objstore.limits import CALL_DEADLINE_S
from objstore.names import CURRENT, BucketName, ObjectKey, UploadId, VersionId, Versioning
from objstore.ondisk.record import Bucket, Upload, Version
from objstore.wire.customer_key import CustomerKey
from objstore.wire.digests import Digests

_NO_SETTINGS: Final[Mapping[str, bytes]] = MappingProxyType({})


class Store:
    """Objects over the sets of a deployment."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._buckets = Buckets(context)

    # --- buckets ---------------------------------------------------------------------

    async def create_bucket(
        self,
        name: BucketName,
        *,
        owner: str,
        region: str,
        settings: Mapping[str, bytes] = _NO_SETTINGS,
    ) -> Bucket:
        """Create a bucket; see engine/buckets.py for what is refused."""
        return await self._buckets.create(name, owner=owner, region=region, settings=settings)

    async def change_bucket(self, name: BucketName, change: Callable[[Bucket], Bucket]) -> Bucket:
        """Change a bucket's settings; see engine/buckets.py."""
        return await self._buckets.change(name, change)

    async def bucket_usage(self, name: BucketName) -> BucketUsage:
        """Return what a bucket holds; see engine/usage.py."""
        await self._buckets.find(name)
        return await bucket_usage(self.context, name)

    async def head_bucket(self, name: BucketName) -> Bucket:
        """Return a bucket; raises RequestRefused NoSuchBucket."""
        return await self._buckets.find(name)

    async def delete_bucket(self, name: BucketName) -> None:
        """Delete a bucket without versions; its uploads in progress are aborted first."""
        await self._buckets.find(name)
        listing = await self.list_versions(
            name, prefix="", delimiter="", after_key="", after_version=CURRENT, limit=1
        )
        if listing.versions:
            raise RequestRefused("BucketNotEmpty", BucketName=name)
        while True:
            uploads = await self.list_uploads(
                name, prefix="", delimiter="", after_key="", after_upload="", limit=1000
            )
            for upload in uploads.uploads:
                await self.abort_upload(name, upload.key, upload.upload_id)
            if not uploads.truncated:
                break
        await self._buckets.delete(name)

    async def list_buckets(self) -> list[Bucket]:
        """Return every bucket, in order of name."""
        return await self._buckets.list_all()

    # --- objects ---------------------------------------------------------------------

    async def put_object(
        self,
        bucket: BucketName,
        key: ObjectKey,
        body: Body,
        *,
        attributes: Attributes,
        digests: Digests,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Version:
        """Store an object; see engine/put.py."""
        found = await self._buckets.find(bucket)
        place = await self._place_for_write(bucket, key, precondition)
        target = Target(
            place,
            place.handle.plan(attributes.storage_class),
            bucket,
            key,
            null_version=found.versioning is not Versioning.ENABLED,
        )
        return await put_object(
            self.context,
            target,
            body,
            attributes=attributes,
            digests=digests,
            bucket_record=self._buckets.record,
            precondition=precondition,
        )

    async def open_object(
        self, bucket: BucketName, key: ObjectKey, version_id: VersionId = CURRENT
    ) -> ObjectReader:
        """Find an object, or a delete marker, for reading.

        Raises:
            RequestRefused: NoSuchKey, NoSuchVersion or NoSuchBucket.
        """
        places = self.context.places(bucket, key)
        try:
            return await open_object(self.context, places, bucket, key, version_id)
        except RequestRefused:
            await self._buckets.find(bucket)
            raise

    def decrypted(self, source: ObjectReader, key: CustomerKey) -> ObjectReader:
        """Return what reads an encrypted object with its key, which was found to be the one."""
        return DecryptedObject(source, key, self.context.cpu)

    async def delete_object(
        self,
        bucket: BucketName,
        key: ObjectKey,
        version_id: VersionId = CURRENT,
        *,
        owner: str = "",
        permission: Permission,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Deleted:
        """Delete an object, or one version of it; see engine/delete.py.

        `permission` may forbid that a version goes for good; `owner` is whose a delete marker is.
        Deleting what is not there succeeds.
        """
        versioning = (await self._buckets.find(bucket)).versioning
        context, places, record = (
            self.context,
            self.context.places(bucket, key),
            self._buckets.record,
        )
        if version_id != CURRENT:
            return await delete_version(
                context, places, bucket, key, version_id, record,
                permission=permission, precondition=precondition,
            )  # fmt: skip
        if versioning is Versioning.OFF:
            if precondition is not UNCONDITIONAL:  # it speaks of the pool that has the key
                places = (await self._place_for_write(bucket, key, precondition),)
            await delete_object(context, places, bucket, key, record, precondition)
            return Deleted()
        place = await self._place_for_write(bucket, key, precondition)
        return await mark_deleted(
            context, place, bucket, key, versioning, owner, record, precondition
        )

    async def edit_object(
        self, bucket: BucketName, key: ObjectKey, version_id: VersionId, change: Change
    ) -> Version:
        """Change what is said about a version; see engine/edit.py."""
        await self._buckets.find(bucket)
        places = self.context.places(bucket, key)
        return await edit_version(
            self.context, places, bucket, key, version_id, change, self._buckets.record
        )

    async def copy_object(
        self,
        source: ObjectReader,
        bucket: BucketName,
        key: ObjectKey,
        *,
        attributes: Attributes,
        digests: Digests,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Version:
        """Store the bytes of `source` under another key (or the same, with new attributes)."""
        body = ReaderBody(source, 0, source.version.size)
        return await self.put_object(
            bucket, key, body, attributes=attributes, digests=digests, precondition=precondition
        )

    async def list_objects(
        self, bucket: BucketName, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> ObjectListing:
        """Return one page of a bucket's objects; see engine/list.py."""
        await self._buckets.find(bucket)
        query = ListQuery(bucket, prefix, delimiter, after, limit)
        return await list_objects(self.context, query)

    async def list_versions(
        self,
        bucket: BucketName,
        *,
        prefix: str,
        delimiter: str,
        after_key: str,
        after_version: VersionId,
        limit: int,
    ) -> VersionListing:
        """Return one page of a bucket's versions; see engine/list_versions.py."""
        await self._buckets.find(bucket)
        query = VersionQuery(bucket, prefix, delimiter, after_key, after_version, limit)
        return await list_versions(self.context, query)

    async def locate(self, bucket: BucketName, key: ObjectKey) -> Location:
        """Say where every shard of an object lies and how it is."""
        await self._buckets.find(bucket)
        return await locate(self.context, self.context.places(bucket, key), bucket, key)

    # --- multipart -------------------------------------------------------------------

    async def create_upload(
        self, bucket: BucketName, key: ObjectKey, *, attributes: Attributes
    ) -> Upload:
        """Begin a multipart upload."""
        await self._buckets.find(bucket)
        place = await self._place_for_write(bucket, key)
        return await create_upload(
            self.context, place, bucket, key, attributes, self._buckets.record
        )

    async def read_upload(self, bucket: BucketName, key: ObjectKey, upload_id: UploadId) -> Upload:
        """Return an upload in progress; raises RequestRefused NoSuchUpload or NoSuchBucket."""
        return (await self._find_upload(bucket, key, upload_id, parts=False)).upload

    async def put_part(
        self,
        bucket: BucketName,
        key: ObjectKey,
        upload_id: UploadId,
        number: int,
        body: Body,
        *,
        digests: Digests,
        customer_key: CustomerKey | None = None,
    ) -> UploadedPartResult:
        """Store a part of an upload, under the key that the upload was begun with."""
        found = await self._find_upload(bucket, key, upload_id, parts=False)
        return await put_part(self.context, found, number, body, digests, customer_key)

    async def copy_part(  # noqa: PLR0913  both ends of an UploadPartCopy have to be named
        self,
        source: ObjectReader,
        start: int,
        stop: int,
        bucket: BucketName,
        key: ObjectKey,
        upload_id: UploadId,
        number: int,
        *,
        digests: Digests,
        customer_key: CustomerKey | None = None,
    ) -> UploadedPartResult:
        """Store bytes `start` to `stop` (exclusive) of `source` as a part."""
        body = ReaderBody(source, start, stop)
        return await self.put_part(
            bucket, key, upload_id, number, body, digests=digests, customer_key=customer_key
        )

    async def list_parts(
        self, bucket: BucketName, key: ObjectKey, upload_id: UploadId, *, after: int, limit: int
    ) -> PartListing:
        """Return a page of an upload's parts, numbered above `after`."""
        found = await self._find_upload(bucket, key, upload_id)
        return list_parts(found, after=after, limit=limit)

    async def list_uploads(
        self,
        bucket: BucketName,
        *,
        prefix: str,
        delimiter: str,
        after_key: str,
        after_upload: str,
        limit: int,
    ) -> UploadListing:
        """Return a page of the uploads in progress."""
        await self._buckets.find(bucket)
        query = UploadQuery(bucket, prefix, delimiter, after_key, after_upload, limit)
        return await list_uploads(self.context, query)

    async def complete_upload(self, request: CompleteRequest) -> Version:
        """Make an object of an upload's parts; repeating it gives the same object again."""
        places = self.context.places(request.bucket, request.key)
        bucket = await self._buckets.find(request.bucket)
        return await complete_once(
            self.context, places, request, bucket.versioning, self._buckets.record
        )

    async def abort_upload(self, bucket: BucketName, key: ObjectKey, upload_id: UploadId) -> None:
        """Forget an upload and its parts."""
        found = await self._find_upload(bucket, key, upload_id, parts=False)
        await abort_upload(self.context, found)

    async def _find_upload(
        self, bucket: BucketName, key: ObjectKey, upload_id: UploadId, *, parts: bool = True
    ) -> FoundUpload:
        """Find an upload; of one that is not there, say first whether its bucket is."""
        places = self.context.places(bucket, key)
        try:
            return await find_upload(self.context, places, bucket, key, upload_id, parts=parts)
        except RequestRefused:
            await self._buckets.find(bucket)
            raise

    # --- pools -----------------------------------------------------------------------

    async def _place_for_write(
        self, bucket: BucketName, key: ObjectKey, precondition: Precondition = UNCONDITIONAL
    ) -> Place:
        """Find where a key is or is to be, and hold a condition on it, before any work is done.

        Of a conditional write the place must not depend on free space: two that race have to meet.
        """
        places = self.context.places(bucket, key)
        if len(places) == 1 and precondition is UNCONDITIONAL:
            return places[0]
        for place in places:
            choice = await resolve(self.context, place.handle, bucket, key)
            if choice.version is not None:
                precondition(current_object(choice))
                return place
        precondition(None)
        if precondition is not UNCONDITIONAL:
            return places[0]
        room = [await self._free_bytes(place) for place in places]
        return places[room.index(max(room))]

    async def _free_bytes(self, place: Place) -> int:
        """Return the free bytes of the fullest drive of a place's set; -1 when it has none up."""
        handle = place.handle
        calls = {
            index: partial(handle.drives[index].call, ReadStatus()) for index in handle.writable()
        }
        fanout = await call_all(self.context.group, calls, deadline_s=CALL_DEADLINE_S)
        return min((status.free_bytes for status in fanout.answers.values()), default=-1)


_READS: type[ObjectReader] = StoredObject

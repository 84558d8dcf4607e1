"""What the handlers need from below: a store of objects, as a protocol."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from objstore.engine.ports import (
    UNCONDITIONAL,
    Attributes,
    Body,
    CompleteRequest,
    Deleted,
    ObjectListing,
    ObjectReader,
    PartListing,
    Precondition,
    UploadedPartResult,
    UploadListing,
    VersionListing,
)
from objstore.names import CURRENT, BucketName, ObjectKey, UploadId, VersionId
from objstore.ondisk.record import Bucket, Upload, Version
from objstore.wire.customer_key import CustomerKey
from objstore.wire.digests import Digests

NO_SETTINGS: Final[Mapping[str, bytes]] = MappingProxyType({})


class ObjectStore(Protocol):
    """What handlers ask of the engine; engine/store.Store is the real one.

    Each method raises RequestRefused for what is the client's to mend (NoSuchBucket, NoSuchKey,
    NoSuchUpload, InvalidPart, ...) and QuorumError when too few slots answer.
    """

    async def create_bucket(
        self,
        name: BucketName,
        *,
        owner: str,
        region: str,
        settings: Mapping[str, bytes] = NO_SETTINGS,
    ) -> Bucket: ...
    async def head_bucket(self, name: BucketName) -> Bucket: ...
    async def delete_bucket(self, name: BucketName) -> None: ...
    async def change_bucket(
        self, name: BucketName, change: Callable[[Bucket], Bucket]
    ) -> Bucket: ...
    async def list_buckets(self) -> list[Bucket]: ...

    async def put_object(
        self,
        bucket: BucketName,
        key: ObjectKey,
        body: Body,
        *,
        attributes: Attributes,
        digests: Digests,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Version: ...
    async def open_object(
        self, bucket: BucketName, key: ObjectKey, version_id: VersionId = CURRENT
    ) -> ObjectReader: ...
    def decrypted(self, source: ObjectReader, key: CustomerKey) -> ObjectReader: ...
    async def delete_object(
        self,
        bucket: BucketName,
        key: ObjectKey,
        version_id: VersionId = CURRENT,
        *,
        owner: str = "",
        permission: Callable[[Version], None],
        precondition: Precondition = UNCONDITIONAL,
    ) -> Deleted: ...
    async def edit_object(
        self,
        bucket: BucketName,
        key: ObjectKey,
        version_id: VersionId,
        change: Callable[[Version], Version],
    ) -> Version: ...
    async def copy_object(
        self,
        source: ObjectReader,
        bucket: BucketName,
        key: ObjectKey,
        *,
        attributes: Attributes,
        digests: Digests,
        precondition: Precondition = UNCONDITIONAL,
    ) -> Version: ...
    async def list_objects(
        self, bucket: BucketName, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> ObjectListing: ...
    async def list_versions(
        self,
        bucket: BucketName,
        *,
        prefix: str,
        delimiter: str,
        after_key: str,
        after_version: VersionId,
        limit: int,
    ) -> VersionListing: ...

    async def create_upload(
        self, bucket: BucketName, key: ObjectKey, *, attributes: Attributes
    ) -> Upload: ...
    async def read_upload(
        self, bucket: BucketName, key: ObjectKey, upload_id: UploadId
    ) -> Upload: ...
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
    ) -> UploadedPartResult: ...
    async def copy_part(  # noqa: PLR0913 - a source, its range, and where it goes
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
    ) -> UploadedPartResult: ...
    async def list_parts(
        self, bucket: BucketName, key: ObjectKey, upload_id: UploadId, *, after: int, limit: int
    ) -> PartListing: ...
    async def list_uploads(
        self,
        bucket: BucketName,
        *,
        prefix: str,
        delimiter: str,
        after_key: str,
        after_upload: str,
        limit: int,
    ) -> UploadListing: ...
    async def complete_upload(self, request: CompleteRequest) -> Version: ...
    async def abort_upload(
        self, bucket: BucketName, key: ObjectKey, upload_id: UploadId
    ) -> None: ...

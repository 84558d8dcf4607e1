"""A store in dictionaries, for tests of the handlers: real bytes, no drives, no versions."""

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field

from objstore.drive.api import Buffer
from objstore.engine.completion import object_checksums
from objstore.engine.ports import (
    UNCONDITIONAL,
    Attributes,
    Body,
    CompleteRequest,
    Deleted,
    ListedObject,
    ObjectListing,
    ObjectReader,
    PartListing,
    Precondition,
    UploadedPartResult,
    UploadListing,
    VersionListing,
)
from objstore.errors import RequestRefused
from objstore.names import (
    CURRENT,
    NO_STAMP,
    NULL,
    BucketName,
    DataId,
    Kind,
    ObjectKey,
    UploadId,
    VersionId,
)
from objstore.ondisk.record import Bucket, Part, Upload, UploadedPart, Version
from objstore.s3.object_store import NO_SETTINGS, ObjectStore
from objstore.wire.customer_key import CustomerKey
from objstore.wire.digests import Digests
from objstore.wire.headers import DEFAULT_CHECKSUM

NOW_MS = 1_700_000_000_123
_NO_KEYS = "encryption is tested on the real engine"


@dataclass
class FakeObject:
    """An object as it is read."""

    version: Version
    data: bytes

    async def read(self, start: int, stop: int) -> AsyncIterator[Buffer]:
        for at in range(start, stop, 7):  # pieces of no special size
            yield self.data[at : min(at + 7, stop)]


@dataclass
class FakeUpload:
    upload: Upload
    parts: dict[int, tuple[UploadedPart, bytes]] = field(default_factory=dict)


def _checksums(digests: Digests, algorithms: tuple[str, ...]) -> dict[str, str]:
    return {name: base64.b64encode(digests.value(name)).decode() for name in algorithms}


class FakeStore:
    """Implements s3.call.ObjectStore."""

    def __init__(self) -> None:
        self.buckets: dict[BucketName, Bucket] = {}
        self.objects: dict[tuple[BucketName, ObjectKey], FakeObject] = {}
        self.uploads: dict[UploadId, FakeUpload] = {}
        self.broken_keys: dict[str, Exception] = {}  # key -> what touching it raises
        self.now_ms = NOW_MS

    # --- buckets

    async def create_bucket(
        self,
        name: BucketName,
        *,
        owner: str,
        region: str,
        settings: Mapping[str, bytes] = NO_SETTINGS,
    ) -> Bucket:
        if name in self.buckets:
            mine = self.buckets[name].owner == owner
            raise RequestRefused("BucketAlreadyOwnedByYou" if mine else "BucketAlreadyExists")
        bucket = Bucket(
            name, NO_STAMP, self.now_ms, owner=owner, region=region, settings=dict(settings)
        )
        self.buckets[name] = bucket
        return bucket

    async def head_bucket(self, name: BucketName) -> Bucket:
        if name not in self.buckets:
            raise RequestRefused("NoSuchBucket", BucketName=name)
        return self.buckets[name]

    async def delete_bucket(self, name: BucketName) -> None:
        await self.head_bucket(name)
        if any(bucket == name for bucket, _ in self.objects):
            raise RequestRefused("BucketNotEmpty")
        del self.buckets[name]

    async def change_bucket(self, name: BucketName, change: Callable[[Bucket], Bucket]) -> Bucket:
        self.buckets[name] = change(await self.head_bucket(name))
        return self.buckets[name]

    async def list_buckets(self) -> list[Bucket]:
        return list(self.buckets.values())

    # --- objects

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
        await self.head_bucket(bucket)
        precondition(self._current(bucket, key))
        data = await _read(body, digests)
        return self._keep(bucket, key, data, attributes, digests)

    def _current(self, bucket: BucketName, key: ObjectKey) -> Version | None:
        held = self.objects.get((bucket, key))
        return None if held is None else held.version

    def _keep(
        self,
        bucket: BucketName,
        key: ObjectKey,
        data: bytes,
        attributes: Attributes,
        digests: Digests,
    ) -> Version:
        assert attributes.customer_key is None, _NO_KEYS
        etag = digests.value("MD5").hex()
        version = Version(
            bucket=bucket,
            key=key,
            stamp=NO_STAMP,
            revision=0,
            kind=Kind.OBJECT,
            null_version=True,
            k=1,
            m=0,
            slots=(0,),
            stripe_bytes=1 << 20,
            size=len(data),
            etag=etag,
            modified_ms=self.now_ms,
            parts=(Part(1, len(data), etag, DataId(b"")),) if data else (),
            headers=dict(attributes.headers),
            user_metadata=dict(attributes.user_metadata),
            checksums=_checksums(digests, attributes.checksum_algorithms),
            checksum_type=attributes.checksum_type,
            storage_class=attributes.storage_class,
            owner=attributes.owner,
            tags=dict(attributes.tags),
            acl=attributes.acl,
        )
        self.objects[bucket, key] = FakeObject(version, data)
        return version

    async def open_object(
        self, bucket: BucketName, key: ObjectKey, version_id: VersionId = CURRENT
    ) -> ObjectReader:
        await self.head_bucket(bucket)
        if key in self.broken_keys:
            raise self.broken_keys[key]
        if version_id not in {CURRENT, NULL}:
            raise RequestRefused("NoSuchVersion", Key=key, VersionId=version_id)
        if (bucket, key) not in self.objects:
            raise RequestRefused("NoSuchKey", Key=key)
        return self.objects[bucket, key]

    def decrypted(self, source: ObjectReader, key: CustomerKey) -> ObjectReader:
        raise AssertionError(_NO_KEYS)

    async def delete_object(
        self,
        bucket: BucketName,
        key: ObjectKey,
        version_id: VersionId = CURRENT,
        *,
        owner: str = "",
        permission: Callable[[Version], None],
        precondition: Precondition = UNCONDITIONAL,
    ) -> Deleted:
        await self.head_bucket(bucket)
        if key in self.broken_keys:
            raise self.broken_keys[key]
        precondition(self._current(bucket, key))
        held = self.objects.get((bucket, key))
        if held is not None and version_id in {CURRENT, NULL}:
            if version_id == NULL:
                permission(held.version)
            del self.objects[bucket, key]
        return Deleted(version_id)

    async def edit_object(
        self,
        bucket: BucketName,
        key: ObjectKey,
        version_id: VersionId,
        change: Callable[[Version], Version],
    ) -> Version:
        reader = await self.open_object(bucket, key, version_id)
        held = self.objects[bucket, key]
        self.objects[bucket, key] = FakeObject(change(reader.version), held.data)
        return self.objects[bucket, key].version

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
        await self.head_bucket(bucket)
        precondition(self._current(bucket, key))
        data = b"".join([bytes(piece) async for piece in source.read(0, source.version.size)])
        digests.update(data)
        digests.verify()
        return self._keep(bucket, key, data, attributes, digests)

    async def list_objects(
        self, bucket: BucketName, *, prefix: str, delimiter: str, after: str, limit: int
    ) -> ObjectListing:
        await self.head_bucket(bucket)
        found: dict[str, ListedObject | None] = {}
        for (held_bucket, key), held in self.objects.items():
            if held_bucket != bucket or not key.startswith(prefix):
                continue
            end = key.find(delimiter, len(prefix)) if delimiter else -1
            name = key if end < 0 else key[: end + len(delimiter)]
            if name > after:
                found[name] = _listed(held.version) if end < 0 else None
        names = sorted(found)
        shown = names[:limit]
        return ObjectListing(
            tuple(entry for name in shown if (entry := found[name]) is not None),
            tuple(name for name in shown if found[name] is None),
            truncated=len(names) > limit,
            last=shown[-1] if shown else "",
        )

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
        raise AssertionError("versions are tested on the real engine")

    # --- multipart

    async def create_upload(
        self, bucket: BucketName, key: ObjectKey, *, attributes: Attributes
    ) -> Upload:
        assert attributes.customer_key is None, _NO_KEYS
        await self.head_bucket(bucket)
        upload = Upload(
            upload_id=UploadId(f"upload{len(self.uploads) + 1}"),
            bucket=bucket,
            key=key,
            stamp=NO_STAMP,
            initiated_ms=self.now_ms,
            k=1,
            m=0,
            slots=(0,),
            stripe_bytes=1 << 20,
            headers=dict(attributes.headers),
            user_metadata=dict(attributes.user_metadata),
            storage_class=attributes.storage_class,
            checksum_algorithm=next(iter(attributes.checksum_algorithms), ""),
            checksum_type=attributes.checksum_type,
            owner=attributes.owner,
            initiator=attributes.initiator,
            acl=attributes.acl,
            tags=dict(attributes.tags),
        )
        self.uploads[upload.upload_id] = FakeUpload(upload)
        return upload

    def _upload(self, bucket: BucketName, key: ObjectKey, upload_id: UploadId) -> FakeUpload:
        held = self.uploads.get(upload_id)
        if held is None or (held.upload.bucket, held.upload.key) != (bucket, key):
            raise RequestRefused("NoSuchUpload", UploadId=upload_id)
        return held

    async def read_upload(self, bucket: BucketName, key: ObjectKey, upload_id: UploadId) -> Upload:
        return self._upload(bucket, key, upload_id).upload

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
        assert customer_key is None, _NO_KEYS
        held = self._upload(bucket, key, upload_id)
        digests.add(held.upload.checksum_algorithm or DEFAULT_CHECKSUM)
        return self._keep_part(held, number, await _read(body, digests), digests)

    def _keep_part(
        self, held: FakeUpload, number: int, data: bytes, digests: Digests
    ) -> UploadedPartResult:
        # Like the engine's: every digest that was computed, whoever asked for it.
        etag = digests.value("MD5").hex()
        part = Part(number, len(data), etag, DataId(b""), dict(digests.encoded()))
        upload_id = held.upload.upload_id
        held.parts[number] = (UploadedPart(upload_id, NO_STAMP, self.now_ms, part), data)
        return UploadedPartResult(part, self.now_ms)

    async def copy_part(
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
        assert customer_key is None, _NO_KEYS
        held = self._upload(bucket, key, upload_id)
        digests.add(held.upload.checksum_algorithm or DEFAULT_CHECKSUM)
        data = b"".join([bytes(piece) async for piece in source.read(start, stop)])
        digests.update(data)
        return self._keep_part(held, number, data, digests)

    async def list_parts(
        self, bucket: BucketName, key: ObjectKey, upload_id: UploadId, *, after: int, limit: int
    ) -> PartListing:
        held = self._upload(bucket, key, upload_id)
        numbers = [number for number in sorted(held.parts) if number > after]
        shown = tuple(held.parts[number][0] for number in numbers[:limit])
        return PartListing(held.upload, shown, truncated=len(numbers) > limit)

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
        await self.head_bucket(bucket)
        found: dict[tuple[str, str], Upload | None] = {}
        for upload in [entry.upload for entry in self.uploads.values()]:
            if upload.bucket != bucket or not upload.key.startswith(prefix):
                continue
            end = upload.key.find(delimiter, len(prefix)) if delimiter else -1
            cut = upload.key[: end + len(delimiter)]
            name = (upload.key, str(upload.upload_id)) if end < 0 else (cut, "")
            if name > (after_key, after_upload):
                found[name] = upload if end < 0 else None
        names = sorted(found)
        shown = names[:limit]
        last = shown[-1] if shown else ("", "")
        return UploadListing(
            tuple(held for name in shown if (held := found[name]) is not None),
            tuple(name[0] for name in shown if found[name] is None),
            truncated=len(names) > limit,
            last_key=last[0],
            last_upload=last[1],
        )

    async def complete_upload(self, request: CompleteRequest) -> Version:
        held = self._upload(request.bucket, request.key, request.upload_id)
        chosen = []
        for named in request.parts:
            part = held.parts.get(named.number)
            if part is None or part[0].part.etag != named.etag:
                raise RequestRefused("InvalidPart")
            chosen.append(part)
        parts = [uploaded.part for uploaded, _ in chosen]
        checksums, checksum_type = object_checksums(held.upload, parts, request)
        del self.uploads[request.upload_id]
        data = b"".join(data for _, data in chosen)
        version = Version(
            bucket=request.bucket,
            key=request.key,
            stamp=NO_STAMP,
            revision=0,
            kind=Kind.OBJECT,
            null_version=True,
            k=1,
            m=0,
            slots=(0,),
            stripe_bytes=1 << 20,
            size=len(data),
            etag=f"{'0' * 32}-{len(chosen)}",
            modified_ms=self.now_ms,
            parts=tuple(parts),
            headers=held.upload.headers,
            user_metadata=held.upload.user_metadata,
            checksums=checksums,
            checksum_type=checksum_type,
            storage_class=held.upload.storage_class,
            upload_id=request.upload_id,
            owner=held.upload.owner,
            acl=held.upload.acl,
            tags=held.upload.tags,
        )
        self.objects[request.bucket, request.key] = FakeObject(version, data)
        return version

    async def abort_upload(self, bucket: BucketName, key: ObjectKey, upload_id: UploadId) -> None:
        self._upload(bucket, key, upload_id)
        del self.uploads[upload_id]


def _listed(version: Version) -> ListedObject:
    return ListedObject(
        version.key,
        version.size,
        version.etag,
        version.modified_ms,
        version.storage_class,
        tuple(version.checksums),
        version.checksum_type,
        version.owner,
    )


async def _read(body: Body, digests: Digests) -> bytes:
    data = b""
    while piece := await body.read():
        data += bytes(piece)
        digests.update(piece)
    digests.verify()
    return data


_STORE: type[ObjectStore] = FakeStore

"""The reference model of multipart uploads."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.model.listings import choice_fields
from tests.model.objects import ALWAYS, Buckets, Conditions, Objects, Source
from tests.model.values import (
    Attributes,
    Bucket,
    Fields,
    Opaque,
    Part,
    Refused,
    Upload,
    Version,
    checksum_of,
    refuse_all,
)


@dataclass(frozen=True)
class Named:
    """A part as a Complete names it."""

    number: int
    etag: str


@dataclass(frozen=True)
class Wish:
    """What a Complete says beside its parts."""

    parts: Sequence[Named]
    checksum: str | None = None  # of the whole object
    size: int | None = None
    conditions: Conditions = field(default=ALWAYS)


class Uploads:
    """Uploads in progress; `part_bytes_min` is what every part but the last has at least."""

    def __init__(self, buckets: Buckets, objects: Objects, part_bytes_min: int) -> None:
        self._buckets = buckets
        self._objects = objects
        self._part_bytes_min = part_bytes_min

    def find(self, bucket: str, key: str, upload_id: Opaque) -> Upload:
        for one in self._buckets.find(bucket).uploads:
            if one.id is upload_id and one.key == key:
                return one
        raise Refused("NoSuchUpload")

    def create(self, bucket: str, key: str, attributes: Attributes) -> Fields:
        upload = Upload(Opaque(f"upload of {key}"), key, attributes, self._buckets.now())
        self._buckets.find(bucket).uploads.append(upload)
        answer: Fields = {"Bucket": bucket, "Key": key, "UploadId": upload.id}
        return answer | choice_fields(upload)

    def put_part(
        self, bucket: str, key: str, upload_id: Opaque, number: int, body: bytes, algorithm: str
    ) -> Fields:
        """ "If you upload a new part using the same part number that was used with a previous
        part, the previously uploaded part is overwritten."
        """
        upload = self.find(bucket, key, upload_id)
        if upload.attributes.algorithm and upload.attributes.algorithm != algorithm:
            raise Refused("InvalidRequest")
        part = upload.parts[number] = Part(number, body, self._buckets.now())
        return {"ETag": f'"{part.etag}"'} | _part_checksum(algorithm, part)

    def copy_part(
        self,
        source: Source,
        bucket: str,
        key: str,
        upload_id: Opaque,
        number: int,
        span: tuple[int, int] | None,
    ) -> Fields:
        """Copy bytes `span` of the source, both ends included: "The range value must use the
        form bytes=first-last". A span that leaves the source is refused.
        """
        refuse_all(
            lambda: self.find(bucket, key, upload_id), lambda: self._objects.read_source(source)
        )
        upload = self.find(bucket, key, upload_id)
        read = self._objects.read_source(source)
        body = read.body
        if span is not None:
            first, last = span
            if last < first or last >= len(body):
                raise Refused("InvalidArgument")
            body = body[first : last + 1]
        part = upload.parts[number] = Part(number, body, self._buckets.now())
        result: Fields = {"ETag": f'"{part.etag}"', "LastModified": part.modified}
        result |= _part_checksum(upload.attributes.algorithm, part)
        return {"CopyPartResult": result} | self._objects.source_fields(source, read)

    def list_parts(
        self, bucket: str, key: str, upload_id: Opaque, *, after: int = 0, limit: int = 1000
    ) -> Fields:
        upload = self.find(bucket, key, upload_id)
        numbers = sorted(number for number in upload.parts if number > after)
        shown = [upload.parts[number] for number in numbers[:limit]]
        answer: Fields = {
            "Bucket": bucket,
            "Key": key,
            "UploadId": upload_id,
            "PartNumberMarker": after,
            "MaxParts": limit,
            "IsTruncated": bool(shown) and len(numbers) > len(shown),
            "StorageClass": upload.attributes.storage_class,
            "Owner": self._buckets.owner,
            "Initiator": self._buckets.owner,
        }
        if shown:
            answer["NextPartNumberMarker"] = shown[-1].number
            answer["Parts"] = [
                {
                    "PartNumber": part.number,
                    "LastModified": part.modified,
                    "ETag": f'"{part.etag}"',
                    "Size": len(part.body),
                    **_part_checksum(upload.whole.algorithm, part),
                }
                for part in shown
            ]
        return answer | choice_fields(upload)

    def abort(self, bucket: str, key: str, upload_id: Opaque) -> Fields:
        upload = self.find(bucket, key, upload_id)
        self._buckets.find(bucket).uploads.remove(upload)
        return {}

    def complete(self, bucket: str, key: str, upload_id: Opaque, wish: Wish) -> Fields:
        """Make an object of the named parts; a Complete that is repeated says the same again."""
        made = self._completed_before(bucket, key, upload_id)
        refuse_all(
            lambda: _require_order(wish.parts),
            lambda: made or self.find(bucket, key, upload_id),
        )
        if made is not None:
            return self._completed(bucket, key, made)
        held = self._buckets.find(bucket)
        upload = self.find(bucket, key, upload_id)
        refuse_all(
            lambda: [self._chosen(upload, named) for named in wish.parts],
            lambda: _require_consecutive(upload, wish.parts),
        )
        parts = tuple(self._chosen(upload, named) for named in wish.parts)
        whole = upload.made_of(parts)
        refuse_all(
            lambda: self._require_sizes(parts),
            lambda: self._require_promised(whole, wish),
            lambda: wish.conditions.on_write(held.current(key)),
        )
        held.uploads.remove(upload)
        version = held.completed[upload] = self._objects.add(bucket, key, whole)
        return self._completed(bucket, key, version)

    def _require_sizes(self, parts: Sequence[Part]) -> None:
        if any(len(part.body) < self._part_bytes_min for part in parts[:-1]):
            raise Refused("EntityTooSmall")

    @staticmethod
    def _require_promised(whole: Version, wish: Wish) -> None:
        if wish.size is not None and wish.size != len(whole.body):
            raise Refused("InvalidRequest")
        if wish.checksum is not None and wish.checksum != whole.checksum:
            raise Refused("BadDigest")

    @staticmethod
    def _chosen(upload: Upload, named: Named) -> Part:
        part = upload.parts.get(named.number)
        if part is None or part.etag != named.etag:
            raise Refused("InvalidPart")
        return part

    def _completed_before(self, bucket: str, key: str, upload_id: Opaque) -> Version | None:
        """Return what an earlier Complete of this upload made, while it is the current object."""
        held = self._buckets.held.get(bucket, Bucket())
        for upload, version in held.completed.items():
            if upload.id is upload_id and upload.key == key and held.current(key) is version:
                return version
        return None

    def _completed(self, bucket: str, key: str, version: Version) -> Fields:
        answer: Fields = {"Bucket": bucket, "Key": key, "ETag": f'"{version.etag}"'}
        answer["Location"] = None  # some URL
        answer |= version.checksum_fields()
        return answer | self._objects.version_fields(bucket, version)


def _require_order(parts: Sequence[Named]) -> None:
    """ "The parts list must be specified in order by part number." """
    numbers = [named.number for named in parts]
    if not numbers:
        raise Refused("MalformedXML")
    if numbers != sorted(set(numbers)):
        raise Refused("InvalidPartOrder")


def _require_consecutive(upload: Upload, parts: Sequence[Named]) -> None:
    """ "When an additional checksum [...] is applied to each part, the PartNumber must start at 1
    and the part numbers must be consecutive. Otherwise, Amazon S3 generates an HTTP 400 Bad
    Request status code and an InvalidPartOrder error code."
    """
    numbers = [named.number for named in parts]
    if upload.attributes.algorithm and numbers != list(range(1, len(numbers) + 1)):
        raise Refused("InvalidPartOrder")


def _part_checksum(algorithm: str, part: Part) -> Fields:
    return {f"Checksum{algorithm}": checksum_of(algorithm, part.body)} if algorithm else {}

"""The reference model of buckets and objects: put, get, delete, copy, tags.

Every method returns the answer as botocore's parser would give it, with an `Opaque` wherever the
server chooses a name, or raises `Refused`. Methods take what a request says, already understood:
a range is two numbers, a condition is an entity tag or a time.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.model.values import (
    Attributes,
    Bucket,
    Fields,
    Opaque,
    Refused,
    Version,
    checksum_of,
    refuse_all,
)

NULL = Opaque("null", "null")


@dataclass(frozen=True)
class Conditions:
    """The conditions of a request: entity tags without quotes ("*" is any), times in seconds."""

    if_match: str | None = None
    if_none_match: str | None = None
    modified_since: int | None = None
    unmodified_since: int | None = None
    modified: int | None = None  # of deletes
    size: int | None = None  # of deletes

    def on_read(self, version: Version) -> None:
        """Hold them against what a read found, in the order of RFC 9110, 13.2.2.

        "When recipient is the origin server and If-Match is present, evaluate [it] [...] When
        [...] If-Match is not present, and If-Unmodified-Since is present, evaluate [it]."
        """
        modified = version.modified or 0
        if self.if_match is not None:
            if self.if_match not in ("*", version.etag):
                raise Refused("PreconditionFailed")
        elif self.unmodified_since is not None and modified > self.unmodified_since:
            raise Refused("PreconditionFailed")
        if self.if_none_match is not None:
            if self.if_none_match in ("*", version.etag):
                raise Refused("NotModified")
        elif self.modified_since is not None and modified <= self.modified_since:
            raise Refused("NotModified")

    def on_write(self, current: Version | None) -> None:
        """Hold them against what a write would replace.

        "Uploads the object only if the object key name does not already exist in the bucket
        specified. Otherwise, Amazon S3 returns a 412 Precondition Failed error." And of
        If-Match: "If there's no current object version with the same name, or if the current
        object version is a delete marker, the operation fails with a 404 Not Found error."
        """
        if self.if_none_match is not None and current is not None:
            raise Refused("PreconditionFailed")
        if self.if_match is not None:
            if current is None:
                raise Refused("NoSuchKey")
            if self.if_match not in ("*", current.etag):
                raise Refused("PreconditionFailed")

    def on_delete(self, found: Version | None) -> None:
        """Hold them against what a delete would remove.

        "If the ETag values do not match, the operation returns a 412 Precondition Failed error.
        If the ETag matches or if the object doesn't exist, the operation will return a 204
        Success (No Content) response." So too of the size and the time.
        """
        if found is None or found.marker:
            return
        self.on_write(found)
        if self.size not in (None, len(found.body)) or self.modified not in (None, found.modified):
            raise Refused("PreconditionFailed")


ALWAYS = Conditions()
REDIRECT = "WebsiteRedirectLocation"


@dataclass(frozen=True)
class Source:
    """What a copy reads."""

    bucket: str
    key: str
    version_id: Opaque | None = None
    conditions: Conditions = ALWAYS


@dataclass
class Buckets:
    """Every bucket there is. `now` gives the time of a change, when the model can know it."""

    owner: Mapping[str, str]
    now: Callable[[], int | None] = lambda: None
    held: dict[str, Bucket] = field(default_factory=dict)

    def create(self, name: str) -> Fields:
        if name in self.held:
            raise Refused("BucketAlreadyOwnedByYou")
        self.held[name] = Bucket()
        return {"Location": f"/{name}"}

    def delete(self, name: str) -> Fields:
        """ "All objects (including all object versions and delete markers) in the bucket must be
        deleted before the bucket itself can be deleted."
        """
        if self.find(name).keys:
            raise Refused("BucketNotEmpty")
        del self.held[name]
        return {}

    def find(self, name: str) -> Bucket:
        if name not in self.held:
            raise Refused("NoSuchBucket")
        return self.held[name]

    def put_versioning(self, name: str, status: str) -> Fields:
        self.find(name).versioning = status
        return {}

    def get_versioning(self, name: str) -> Fields:
        status = self.find(name).versioning
        return {"Status": status} if status else {}


class Objects:
    """Objects and their versions."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    # --- finding ---------------------------------------------------------------------

    def find(self, bucket: str, key: str, version_id: Opaque | None = None) -> Version:
        """Return an object to read.

        "If the current version of the object is a delete marker, Amazon S3 behaves as if the
        object was deleted and includes x-amz-delete-marker: true in the response. If the
        specified version is a delete marker, the response returns a 405 Method Not Allowed
        error and the Last-Modified: timestamp response header."
        """
        held = self._buckets.find(bucket)
        versions = held.versions(key)
        if version_id is None:
            if not versions:
                raise Refused("NoSuchKey")
            if versions[0].marker:
                raise Refused("NoSuchKey", marker=versions[0])
            return versions[0]
        found = self._version(held, key, version_id)
        if found is None:
            raise Refused("NoSuchVersion")
        if found.marker:
            raise Refused("MethodNotAllowed", marker=found)
        return found

    @staticmethod
    def _version(bucket: Bucket, key: str, version_id: Opaque) -> Version | None:
        return next((one for one in bucket.versions(key) if one.id.bound == version_id.bound), None)

    def version_fields(self, bucket: str, version: Version) -> Fields:
        """Return the version id, which buckets that never had versions do not speak of."""
        return {"VersionId": version.id} if self._buckets.find(bucket).versioning else {}

    # --- writing ---------------------------------------------------------------------

    def put(
        self,
        bucket: str,
        key: str,
        body: bytes,
        attributes: Attributes,
        conditions: Conditions = ALWAYS,
    ) -> Fields:
        held = self._buckets.find(bucket)
        conditions.on_write(held.current(key))
        kept = attributes.with_checksum(attributes.algorithm)
        version = self.add(bucket, key, Version(NULL, body, attributes=kept))
        answer = {"ETag": f'"{version.etag}"', **version.checksum_fields()}
        return answer | self.version_fields(bucket, version)

    def add(self, bucket: str, key: str, version: Version) -> Version:
        """Make a version the current one, now."""
        version.modified = self._buckets.now()
        return self._buckets.find(bucket).add(key, version)

    def copy(
        self,
        source: Source,
        bucket: str,
        key: str,
        said: Attributes,
        *,
        replaces: bool = False,
        replaces_tags: bool = False,
        conditions: Conditions = ALWAYS,
    ) -> Fields:
        """Copy. Metadata and tags are those of the source unless the request replaces them.

        The storage class and the website redirect location are never copied: "By default, Amazon
        S3 uses the STANDARD Storage Class to store newly created objects", and the location "is
        unique to each object and is not copied when using the x-amz-metadata-directive".
        "This copy request is illegal because it is trying to copy an object to itself without
        changing the object's metadata, storage class, website redirect location or encryption
        attributes."
        """
        same = (source.bucket, source.key, source.version_id) == (bucket, key, None)
        changes = replaces or said.storage_class != "STANDARD" or REDIRECT in said.headers
        if same and not changes:
            self._buckets.find(bucket)
            raise Refused("InvalidRequest")
        refuse_all(
            lambda: self.read_source(source),
            lambda: conditions.on_write(self._buckets.find(bucket).current(key)),
        )
        read = self.read_source(source)
        kept = read.attributes
        headers = {name: text for name, text in kept.headers.items() if name != REDIRECT}
        made = Attributes(
            said.headers if replaces else headers | said.headers,
            said.metadata if replaces else kept.metadata,
            said.tags if replaces_tags else kept.tags,
            said.storage_class,
        ).with_checksum(said.algorithm or kept.algorithm)
        version = self.add(bucket, key, Version(NULL, read.body, attributes=made))
        result = {"ETag": f'"{version.etag}"', "LastModified": version.modified}
        answer: Fields = {"CopyObjectResult": result | version.checksum_fields()}
        return answer | self.version_fields(bucket, version) | self.source_fields(source, read)

    def read_source(self, source: Source) -> Version:
        """Return the version that a copy reads; a false condition of any kind fails it.

        "The source of a copy request may not specifically refer to a delete marker by version
        id."
        """
        try:
            found = self.find(source.bucket, source.key, source.version_id)
        except Refused as refused:
            named = "MethodNotAllowed" in refused.codes
            # That a marker is the reason is not said of a source.
            raise Refused("InvalidRequest") if named else Refused(*refused.codes) from refused
        try:
            source.conditions.on_read(found)
        except Refused as refused:
            raise Refused("PreconditionFailed") from refused
        return found

    def source_fields(self, source: Source, read: Version) -> Fields:
        versioned = self._buckets.find(source.bucket).versioning
        return {"CopySourceVersionId": read.id} if versioned else {}

    # --- deleting --------------------------------------------------------------------

    def delete(
        self,
        bucket: str,
        key: str,
        version_id: Opaque | None = None,
        conditions: Conditions = ALWAYS,
    ) -> Fields:
        """Delete the current object, or a version for ever.

        "If bucket versioning is not enabled, the operation permanently deletes the object. If
        bucket versioning is enabled, the operation inserts a delete marker, which becomes the
        current version of the object. [...] If bucket versioning is suspended, the operation
        removes the object that has a null versionId, if there is one, and inserts a delete
        marker that becomes the current version of the object."
        """
        held = self._buckets.find(bucket)
        if version_id is not None:
            return self._delete_version(held, key, version_id, conditions)
        current = held.current(key)
        conditions.on_delete(current)
        if held.versioning:
            marker = self.add(bucket, key, Version(NULL, marker=True))
            return {"DeleteMarker": True, "VersionId": marker.id}
        if current is not None:
            held.remove(key, current)
        return {}

    def _delete_version(
        self, held: Bucket, key: str, version_id: Opaque, conditions: Conditions
    ) -> Fields:
        """ "If the object deleted is a delete marker, Amazon S3 sets the response header
        x-amz-delete-marker to true."
        """
        found = self._version(held, key, version_id)
        conditions.on_delete(found)
        if found is not None:
            held.remove(key, found)
        marker = found is not None and found.marker
        return {"VersionId": version_id} | ({"DeleteMarker": True} if marker else {})

    # --- reading ---------------------------------------------------------------------

    def get(
        self,
        bucket: str,
        key: str,
        version_id: Opaque | None = None,
        *,
        conditions: Conditions = ALWAYS,
        span: tuple[int | None, int | None] | None = None,
        part: int | None = None,
        checksums: bool = False,
    ) -> Fields:
        """Read. `span` are the two numbers of a Range header; (None, n) is the last n bytes."""
        version = self.find(bucket, key, version_id)
        conditions.on_read(version)
        if span is not None and part is not None:
            raise Refused("InvalidRequest")
        size = len(version.body)
        start, stop, partial = 0, size, False
        shown = version.checksum_fields()
        answer: Fields = {}
        if part is not None:
            start, stop = self._part_span(version, part)
            partial = stop > start
            if version.parts:
                answer["PartsCount"] = len(version.parts)
                shown = self._part_checksum(version, part)
        elif span is not None and (found := _selected(span, size)) is not None:
            start, stop = found
            partial, shown = True, {}
        if partial:
            answer["ContentRange"] = f"bytes {start}-{stop - 1}/{size}"
        if version.attributes.tags:
            answer["TagCount"] = len(version.attributes.tags)
        if version.attributes.storage_class != "STANDARD":
            answer["StorageClass"] = version.attributes.storage_class
        return {
            "AcceptRanges": "bytes",
            "LastModified": version.modified,
            "ContentLength": stop - start,
            "ETag": f'"{version.etag}"',
            "ContentType": "binary/octet-stream",
            "Metadata": version.attributes.shown_metadata(),
            "Body": version.body[start:stop],
            **version.attributes.headers,
            **self.version_fields(bucket, version),
            **answer,
            **(shown if checksums else {}),
        }

    @staticmethod
    def _part_span(version: Version, number: int) -> tuple[int, int]:
        """An object that was put whole is its own part 1."""
        if not version.parts:
            if number != 1:
                raise Refused("InvalidPartNumber")
            return 0, len(version.body)
        start = 0
        for part in version.parts:
            if part.number == number:
                return start, start + len(part.body)
            start += len(part.body)
        raise Refused("InvalidPartNumber")

    @staticmethod
    def _part_checksum(version: Version, number: int) -> Fields:
        algorithm = version.attributes.algorithm
        (part,) = [part for part in version.parts if part.number == number]
        kind = version.attributes.checksum_type
        return {f"Checksum{algorithm}": checksum_of(algorithm, part.body), "ChecksumType": kind}

    def attributes(
        self,
        bucket: str,
        key: str,
        version_id: Opaque | None,
        wanted: frozenset[str],
        *,
        after: int = 0,
        limit: int = 1000,
    ) -> Fields:
        """Answer GetObjectAttributes. "Fields that you do not specify are not returned." """
        version = self.find(bucket, key, version_id)
        said: Fields = {
            "ETag": version.etag,
            "Checksum": version.checksum_fields(),
            "StorageClass": version.attributes.storage_class,
            "ObjectSize": len(version.body),
        }
        if version.parts:
            said["ObjectParts"] = self._attribute_parts(version, after, limit)
        answer = {name: value for name, value in said.items() if name in wanted}
        answer["LastModified"] = version.modified
        return answer | self.version_fields(bucket, version)

    @staticmethod
    def _attribute_parts(version: Version, after: int, limit: int) -> Fields:
        algorithm = version.attributes.algorithm
        rest = [part for part in version.parts if part.number > after]
        shown = rest[:limit]
        page: Fields = {
            "TotalPartsCount": len(version.parts),
            "PartNumberMarker": after,
            "NextPartNumberMarker": shown[-1].number if shown else after,
            "MaxParts": limit,
            "IsTruncated": len(rest) > limit,
        }
        parts = [
            {
                "PartNumber": part.number,
                "Size": len(part.body),
                f"Checksum{algorithm}": checksum_of(algorithm, part.body),
            }
            for part in shown
        ]
        return page | ({"Parts": parts} if parts else {})

    # --- tags ------------------------------------------------------------------------

    def get_tags(self, bucket: str, key: str, version_id: Opaque | None = None) -> Fields:
        version = self.find(bucket, key, version_id)
        return self._tagged(bucket, version) | {"TagSet": _tag_set(version.attributes.tags)}

    def put_tags(
        self, bucket: str, key: str, tags: dict[str, str], version_id: Opaque | None = None
    ) -> Fields:
        version = self.find(bucket, key, version_id)
        version.attributes = replace(version.attributes, tags=tags)
        return self._tagged(bucket, version)

    def delete_tags(self, bucket: str, key: str, version_id: Opaque | None = None) -> Fields:
        return self.put_tags(bucket, key, {}, version_id)

    def _tagged(self, bucket: str, version: Version) -> Fields:
        return self.version_fields(bucket, version)


def _tag_set(tags: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def _selected(span: tuple[int | None, int | None], size: int) -> tuple[int, int] | None:
    """Return which bytes a range selects, None when it is invalid and so ignored.

    RFC 9110: "An int-range is invalid if the last-pos value is present and less than first-pos."
    """
    first, last = span
    if first is None:
        if not last or not size:
            raise Refused("InvalidRange")
        return max(0, size - last), size
    if last is not None and last < first:
        return None
    if first >= size:
        raise Refused("InvalidRange")
    return first, size if last is None else min(last + 1, size)

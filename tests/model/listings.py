"""The reference model of listings: write every name down, roll up, cut off.

A listing is a list of entries in order. An entry has the name and the position that markers
compare with; names that share a prefix up to the delimiter are one entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.model.objects import Buckets
from tests.model.values import Fields, Opaque, Refused, Upload, Version


@dataclass(frozen=True)
class Ask:
    """What every listing is asked."""

    prefix: str = ""
    delimiter: str = ""
    limit: int = 1000


@dataclass(frozen=True)
class Page:
    """Entries that were found, the common prefixes among them, and where the next page begins."""

    shown: list[Any]
    prefixes: list[str]
    truncated: bool
    last: tuple[str, Any]  # the name, and the entry or None for a common prefix


def common_prefix(name: str, ask: Ask) -> str:
    """Return the name up to the first delimiter after the prefix, "" when there is none."""
    at = name.find(ask.delimiter, len(ask.prefix)) if ask.delimiter else -1
    within = name.startswith(ask.prefix) and at >= 0
    return name[: at + len(ask.delimiter)] if within else ""


def roll_up(entries: Sequence[tuple[str, Any]], ask: Ask, marker: str) -> Page:
    """Return one page of `entries`, which begin after the marker already.

    "Keys that contain the same string between the prefix and the first occurrence of the
    delimiter [are] rolled up into a single result element in the CommonPrefixes collection",
    and "count as only one return against the MaxKeys value". A marker that ends with the
    delimiter stands for all that was rolled up into it, as the last entry of a page may.
    """
    over = common_prefix(marker, ask) if marker.endswith(ask.delimiter) else ""
    names: list[tuple[str, Any]] = []
    for name, entry in entries:
        if not name.startswith(ask.prefix):
            continue
        common = common_prefix(name, ask)
        if not common:
            names.append((name, entry))
        elif common != over and (common, None) not in names:
            names.append((common, None))
    page = names[: ask.limit]
    return Page(
        [entry for _, entry in page if entry is not None],
        [name for name, entry in page if entry is None],
        bool(page) and len(names) > len(page),
        page[-1] if page else ("", None),
    )


class Listings:
    """What the listing operations answer."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    # --- objects ---------------------------------------------------------------------

    def objects(self, bucket: str, ask: Ask, marker: str = "") -> Fields:
        """Answer ListObjects. NextMarker "is returned only if you have the delimiter request
        parameter specified".
        """
        page = self._objects(bucket, ask, marker)
        answer = self._listed(bucket, ask, page, owner=True) | {"Marker": marker}
        if page.truncated and ask.delimiter:
            answer["NextMarker"] = page.last[0]
        return answer

    def objects_v2(
        self, bucket: str, ask: Ask, start_after: str = "", token: Opaque | None = None,
        *, owner: bool = False,
    ) -> Fields:  # fmt: skip
        """Answer ListObjectsV2; a token stands for the name after which its page begins."""
        page = self._objects(bucket, ask, token.stands_for if token else start_after)
        answer = self._listed(bucket, ask, page, owner=owner)
        answer["KeyCount"] = len(page.shown) + len(page.prefixes)
        if start_after:
            answer["StartAfter"] = start_after
        if token is not None:
            answer["ContinuationToken"] = token
        if page.truncated:
            answer["NextContinuationToken"] = Opaque(page.last[0])
        return answer

    def _objects(self, bucket: str, ask: Ask, marker: str) -> Page:
        live = self._buckets.find(bucket).live().items()
        return roll_up([item for item in live if item[0] > marker], ask, marker)

    def _listed(self, bucket: str, ask: Ask, page: Page, *, owner: bool) -> Fields:
        keys = self._buckets.find(bucket).keys
        names = {id(version): key for key, held in keys.items() for version in held}
        listed = [self._entry(names[id(one)], one, owner=owner) for one in page.shown]
        answer: Fields = {"Name": bucket, "MaxKeys": ask.limit}
        return answer | _head(ask, page) | ({"Contents": listed} if listed else {})

    def _entry(self, key: str, version: Version, *, owner: bool) -> Fields:
        kept = version.attributes
        entry: Fields = {
            "Key": key,
            "LastModified": version.modified,
            "ETag": f'"{version.etag}"',
            "Size": len(version.body),
            "StorageClass": kept.storage_class,
            "ChecksumAlgorithm": [kept.algorithm],
            "ChecksumType": kept.checksum_type,
        }
        return entry | ({"Owner": self._buckets.owner} if owner else {})

    # --- versions --------------------------------------------------------------------

    def versions(
        self, bucket: str, ask: Ask, key_marker: str = "", version_marker: Opaque | None = None
    ) -> Fields:
        """Answer ListObjectVersions: keys in order, of each the newest version first."""
        held = self._buckets.find(bucket)
        if version_marker is not None and not key_marker:
            raise Refused("InvalidArgument")
        entries = [(key, one) for key in sorted(held.keys) for one in held.keys[key]]
        after = [item for item in entries if item[0] > key_marker]
        if version_marker is not None:
            same = held.versions(key_marker)
            at = [one.id.bound for one in same].index(version_marker.bound)
            after = [(key_marker, one) for one in same[at + 1 :]] + after
        page = roll_up(after, ask, key_marker)
        answer: Fields = {"Name": bucket, "MaxKeys": ask.limit, "KeyMarker": key_marker}
        answer["VersionIdMarker"] = version_marker or ""
        answer |= _head(ask, page)
        if page.truncated:
            answer["NextKeyMarker"] = page.last[0]
            if page.last[1] is not None:
                answer["NextVersionIdMarker"] = page.last[1].id
        shown = [(key, one) for key, one in entries if one in page.shown]
        objects = [self._version(held.versions(key), key, one) for key, one in shown]
        for name, marker in (("Versions", False), ("DeleteMarkers", True)):
            chosen = [
                entry for entry, (_, one) in zip(objects, shown, strict=True)
                if one.marker is marker
            ]  # fmt: skip
            answer |= {name: chosen} if chosen else {}
        return answer

    def _version(self, held: Sequence[Version], key: str, version: Version) -> Fields:
        named = {
            "VersionId": version.id,
            "IsLatest": held[0] is version,
            "Owner": self._buckets.owner,
        }
        if version.marker:
            return {"Key": key, "LastModified": version.modified} | named
        return self._entry(key, version, owner=True) | named

    # --- uploads ---------------------------------------------------------------------

    def uploads(
        self, bucket: str, ask: Ask, key_marker: str = "", upload_marker: Opaque | None = None
    ) -> Fields:
        """Answer ListMultipartUploads, in order of key and then of upload id.

        "If upload-id-marker is not specified, only the keys lexicographically greater than the
        specified key-marker will be included in the list. If upload-id-marker is specified, any
        multipart uploads for a key equal to the key-marker might also be included, provided
        those multipart uploads have upload IDs lexicographically greater than the specified
        upload-id-marker."
        """
        held = self._buckets.find(bucket).uploads
        entries = sorted((one.key, one.id.bound or "", one) for one in held)
        after = [
            (key, one)
            for key, name, one in entries
            if key > key_marker
            or (
                key == key_marker
                and upload_marker is not None
                and name > (upload_marker.bound or "")
            )
        ]
        page = roll_up(after, ask, key_marker)
        answer: Fields = {"Bucket": bucket, "MaxUploads": ask.limit, "KeyMarker": key_marker}
        answer["UploadIdMarker"] = upload_marker if upload_marker and key_marker else ""
        answer |= _head(ask, page)
        if page.truncated:
            answer["NextKeyMarker"] = page.last[0]
            answer["NextUploadIdMarker"] = page.last[1].id if page.last[1] else ""
        listed = [self._upload(one) for one in page.shown]
        return answer | ({"Uploads": listed} if listed else {})

    def _upload(self, upload: Upload) -> Fields:
        owner = self._buckets.owner
        entry: Fields = {
            "Key": upload.key,
            "UploadId": upload.id,
            "Initiated": upload.initiated,
            "StorageClass": upload.attributes.storage_class,
            "Owner": owner,
            "Initiator": owner,
        }
        return entry | choice_fields(upload)


def choice_fields(upload: Upload) -> Fields:
    """Return the checksum that an upload chose, as answers name it."""
    kept = upload.attributes
    if not kept.algorithm:
        return {}
    return {"ChecksumAlgorithm": kept.algorithm, "ChecksumType": kept.checksum_type}


def _head(ask: Ask, page: Page) -> Fields:
    head: Fields = {"Prefix": ask.prefix, "IsTruncated": page.truncated}
    if ask.delimiter:
        head["Delimiter"] = ask.delimiter
    if page.prefixes:
        head["CommonPrefixes"] = [{"Prefix": prefix} for prefix in page.prefixes]
    return head

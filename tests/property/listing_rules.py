"""Rules for listings: each is followed page by page to its end, or begins at a marker."""

from typing import Any

from hypothesis.stateful import precondition, rule

from tests.model.listings import Ask
from tests.model.values import Fields, Opaque
from tests.property import draws
from tests.property.draws import buckets, choices, seldom
from tests.property.world import World

_PAGES_MAX = 40


def asked(ask: Ask, limit: str, encoding: bool) -> dict[str, Any]:
    """Return what a listing is asked as botocore names it."""
    arguments: dict[str, Any] = {limit: ask.limit}
    if ask.prefix:
        arguments["Prefix"] = ask.prefix
    if ask.delimiter:
        arguments["Delimiter"] = ask.delimiter
    return arguments | ({"EncodingType": "url"} if encoding else {})


class ListingRules(World):
    """Everything that lists."""

    @rule(bucket=buckets, ask=draws.asks, encoding=seldom, marker=draws.markers)
    def list_objects(self, bucket: str, ask: Ask, encoding: bool, marker: str) -> None:
        """NextMarker goes on; "If the response does not include the NextMarker element and it is
        truncated, you can use the value of the last Key element in the response".
        """
        arguments = asked(ask, "MaxKeys", encoding)
        for _ in range(_PAGES_MAX):
            more = {"Marker": marker} if marker else {}
            out = self.read(
                lambda marker=marker: self.listings.objects(bucket, ask, marker),  # type: ignore[misc]
                "ListObjects", Bucket=bucket, **arguments, **more,
            ).out  # fmt: skip
            if not out.get("IsTruncated"):
                return
            marker = out.get("NextMarker") or out["Contents"][-1]["Key"]
        raise AssertionError("the listing does not end")

    @rule(bucket=buckets, ask=draws.asks, encoding=seldom, start_after=draws.markers, owner=seldom)
    def list_objects_v2(
        self, bucket: str, ask: Ask, encoding: bool, start_after: str, owner: bool
    ) -> None:
        arguments = asked(ask, "MaxKeys", encoding)
        arguments |= {"StartAfter": start_after} if start_after else {}
        arguments |= {"FetchOwner": True} if owner else {}
        token: Opaque | None = None
        for _ in range(_PAGES_MAX):
            more = {"ContinuationToken": token.bound} if token else {}
            answer: list[Fields] = []

            def page(token: Opaque | None = token, answer: list[Fields] = answer) -> Fields:
                answer.append(
                    self.listings.objects_v2(bucket, ask, start_after, token, owner=owner)
                )
                return answer[0]

            self.read(page, "ListObjectsV2", Bucket=bucket, **arguments, **more)
            token = answer[0].get("NextContinuationToken") if answer else None
            if token is None:
                return
        raise AssertionError("the listing does not end")

    @rule(bucket=buckets, ask=draws.asks, encoding=seldom, key_marker=draws.markers)
    def list_object_versions(self, bucket: str, ask: Ask, encoding: bool, key_marker: str) -> None:
        self._follow("ListObjectVersions", "VersionIdMarker", self.listings.versions,
                     bucket, ask, asked(ask, "MaxKeys", encoding), key_marker)  # fmt: skip

    @rule(bucket=buckets, ask=draws.asks, encoding=seldom, key_marker=draws.markers)
    def list_multipart_uploads(
        self, bucket: str, ask: Ask, encoding: bool, key_marker: str
    ) -> None:
        self._follow("ListMultipartUploads", "UploadIdMarker", self.listings.uploads,
                     bucket, ask, asked(ask, "MaxUploads", encoding), key_marker)  # fmt: skip

    def _follow(
        self,
        operation: str,
        second: str,
        model: Any,
        bucket: str,
        ask: Ask,
        arguments: dict[str, Any],
        key_marker: str,
    ) -> None:
        """Follow a listing whose pages begin after a key and a version or an upload of it."""
        marker: Opaque | None = None
        for _ in range(_PAGES_MAX):
            more = {"KeyMarker": key_marker} if key_marker else {}
            more |= {second: marker.bound or ""} if marker else {}
            answer: list[Fields] = []

            def page(
                key_marker: str = key_marker,
                marker: Opaque | None = marker,
                answer: list[Fields] = answer,
            ) -> Fields:
                answer.append(model(bucket, ask, key_marker, marker))
                return answer[0]

            self.read(page, operation, Bucket=bucket, **arguments, **more)
            if not answer or not answer[0]["IsTruncated"]:
                return
            key_marker = answer[0]["NextKeyMarker"]
            marker = answer[0].get(f"Next{second}") or None
        raise AssertionError("the listing does not end")

    @precondition(lambda self: self.any_upload())
    @rule(choice=choices, limit=draws.limits)
    def list_parts(self, choice: int, limit: int) -> None:
        bucket, upload = self.upload(choice)
        after: int | None = 0
        while after is not None:
            more = {"PartNumberMarker": after} if after else {}
            out = self.read(
                lambda after=after: self.uploads.list_parts(  # type: ignore[misc]
                    bucket, upload.key, upload.id, after=after, limit=limit
                ),
                "ListParts", Bucket=bucket, Key=upload.key, UploadId=upload.id.bound,
                MaxParts=limit, **more,
            ).out  # fmt: skip
            after = out["NextPartNumberMarker"] if out.get("IsTruncated") else None

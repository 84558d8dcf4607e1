"""Rules for multipart uploads."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.model.objects import Source
from tests.model.uploads import Named, Wish
from tests.model.values import Attributes, Upload, checksum_of
from tests.property import draws
from tests.property.draws import (
    OTHER_ETAG,
    Drawn,
    body_of,
    buckets,
    choices,
    condition_arguments,
    conditions_on,
    keys,
    part_numbers,
    seldom,
    source_argument,
    tag_argument,
)
from tests.property.world import FEATURES, World

# Of a part: nothing, less than every part but the last has to have, just that, more, and files.
part_sizes = st.sampled_from(["none", "less", "least", "least", "least", "more", "stripes"])
copied_spans = st.sampled_from([None, None, (0, 0), (0, 4), (1, 5), (5, 4), (0, 59_999)])


class UploadRules(World):
    """Everything from CreateMultipartUpload to Complete and Abort."""

    def _part_body(self, size: str, seed: int) -> bytes:
        least = self.served.part_bytes_min
        sizes = {"none": 0, "less": 3, "least": least, "more": least + 7}
        return body_of(sizes.get(size, least + draws.MIB), seed)

    @rule(bucket=buckets, key=keys, metadata=draws.metadata, headers=draws.stored_headers,
          tags=draws.tag_sets, chosen=draws.uploads_choose)  # fmt: skip
    def create_multipart_upload(  # noqa: PLR0913
        self,
        bucket: str,
        key: str,
        metadata: dict[str, str],
        headers: dict[str, str],
        tags: dict[str, str],
        chosen: tuple[str, str],
    ) -> None:
        tags = tags if FEATURES["tagging"] else {}
        arguments: dict[str, Any] = {"Metadata": metadata, **headers}
        if chosen[0]:
            arguments |= {"ChecksumAlgorithm": chosen[0], "ChecksumType": chosen[1]}
        if tags:
            arguments["Tagging"] = tag_argument(tags)
        attributes = Attributes(headers, metadata, tags, *chosen)
        self.write(
            lambda: self.uploads.create(bucket, key, attributes),
            "CreateMultipartUpload", Bucket=bucket, Key=key, **arguments,
        )  # fmt: skip

    @rule(bucket=buckets, choice=choices, number=part_numbers, size=part_sizes,
          seed=st.integers(0, 3))  # fmt: skip
    def upload_part(self, bucket: str, choice: int, number: int, size: str, seed: int) -> None:
        upload = self.pick_upload(bucket, choice)
        if upload is None:
            return
        body = self._part_body(size, seed)
        algorithm = upload.attributes.algorithm
        arguments: dict[str, Any] = {"PartNumber": number, "Body": body}
        if algorithm:
            arguments[f"Checksum{algorithm}"] = checksum_of(algorithm, body)
        self.write(
            lambda: self.uploads.put_part(bucket, upload.key, upload.id, number, body, algorithm),
            "UploadPart", Bucket=bucket, Key=upload.key, UploadId=upload.id.bound, **arguments,
        )  # fmt: skip

    @rule(bucket=buckets, choice=choices, number=part_numbers, source_bucket=buckets,
          source_key=keys, version=choices, span=copied_spans, drawn=draws.read_conditions)  # fmt: skip
    def upload_part_copy(  # noqa: PLR0913
        self,
        bucket: str,
        choice: int,
        number: int,
        source_bucket: str,
        source_key: str,
        version: int,
        span: tuple[int, int] | None,
        drawn: Drawn,
    ) -> None:
        upload = self.pick_upload(bucket, choice)
        if upload is None:
            return
        version_id = self.pick_version(source_bucket, source_key, version)
        read = self.version_of(source_bucket, source_key, version_id)
        source = Source(source_bucket, source_key, version_id, conditions_on(drawn, read))
        arguments: dict[str, Any] = {"CopySource": source_argument(source)}
        arguments |= condition_arguments(source.conditions, source=True)
        if span is not None:
            arguments["CopySourceRange"] = f"bytes={span[0]}-{span[1]}"
        self.write(
            lambda: self.uploads.copy_part(
                source, bucket, upload.key, upload.id, number, span
            ),
            "UploadPartCopy", Bucket=bucket, Key=upload.key, UploadId=upload.id.bound,
            PartNumber=number, **arguments,
        )  # fmt: skip

    @rule(bucket=buckets, choice=choices, left_out=choices, wrong=st.sampled_from(
              ["", "", "", "", "", "etag", "order", "number", "size", "checksum"]),
          says_size=seldom, says_checksum=seldom, drawn=draws.write_conditions)  # fmt: skip
    def complete_multipart_upload(  # noqa: PLR0913
        self,
        bucket: str,
        choice: int,
        left_out: int,
        wrong: str,
        says_size: bool,
        says_checksum: bool,
        drawn: Drawn,
    ) -> None:
        upload = self.pick_upload(bucket, choice)
        if upload is None:
            return
        chosen = [part for at, part in enumerate(_in_order(upload)) if at != left_out]
        named = [Named(part.number, part.etag) for part in chosen]
        if wrong == "etag" and named:
            named[-1] = Named(named[-1].number, OTHER_ETAG)
        elif wrong == "order":
            named.reverse()
        elif wrong == "number":
            named.append(Named(10_000, OTHER_ETAG))
        found = self.version_of(bucket, upload.key, None)
        conditions = conditions_on(drawn if FEATURES["conditional writes"] else {}, found)
        size = sum(len(part.body) for part in chosen) + (wrong == "size")
        wish = Wish(
            named,
            size=size if says_size or wrong == "size" else None,
            conditions=conditions,
        )
        arguments = self._complete_arguments(upload, wish)
        held = self.buckets.held.get(bucket)
        self.write(
            lambda: self.uploads.complete(bucket, upload.key, upload.id, wish),
            "CompleteMultipartUpload", Bucket=bucket, Key=upload.key,
            UploadId=upload.id.bound, **arguments,
        )  # fmt: skip
        self._remember(bucket, upload)

    def _complete_arguments(self, upload: Upload, wish: Wish) -> dict[str, Any]:
        algorithm = upload.attributes.algorithm
        parts: list[dict[str, Any]] = []
        for named in wish.parts:
            entry: dict[str, Any] = {"PartNumber": named.number, "ETag": f'"{named.etag}"'}
            if algorithm and named.number in upload.parts:
                body = upload.parts[named.number].body
                entry[f"Checksum{algorithm}"] = checksum_of(algorithm, body)
            parts.append(entry)
        arguments: dict[str, Any] = {"MultipartUpload": {"Parts": parts}}
        if wish.size is not None:
            arguments["MpuObjectSize"] = wish.size
        return arguments | condition_arguments(wish.conditions)

    def _remember(self, bucket: str, upload: Upload) -> None:
        held = self.buckets.held.get(bucket)
        if held is not None and upload not in held.uploads and upload not in self.ended:
            self.ended.append(upload)

    @rule(bucket=buckets, choice=choices)
    def abort_multipart_upload(self, bucket: str, choice: int) -> None:
        upload = self.pick_upload(bucket, choice)
        if upload is None:
            return
        self.write(
            lambda: self.uploads.abort(bucket, upload.key, upload.id),
            "AbortMultipartUpload", Bucket=bucket, Key=upload.key, UploadId=upload.id.bound,
        )  # fmt: skip
        self._remember(bucket, upload)


def _in_order(upload: Upload) -> list[Any]:
    return [upload.parts[number] for number in sorted(upload.parts)]

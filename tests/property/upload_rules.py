"""Rules for multipart uploads."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.uploads import Named, Wish
from tests.model.values import Attributes, Part, Upload, checksum_of
from tests.property import draws
from tests.property.draws import (
    OTHER_ETAG,
    Drawn,
    Wanted,
    attribute_arguments,
    body_of,
    choices,
    condition_arguments,
    source_argument,
)
from tests.property.world import Place, World

_WRONG = ["etag", "order", "number", "size", "checksum"]


def _arguments(bucket: str, upload: Upload) -> dict[str, str | None]:
    return {"Bucket": bucket, "Key": upload.key, "UploadId": upload.id.bound}


class UploadRules(World):
    """Everything from CreateMultipartUpload to Complete and Abort."""

    @rule(wanted=draws.places, described=draws.described, chosen=draws.uploads_choose,
          sizes=st.lists(draws.part_sizes, max_size=3))  # fmt: skip
    def create_multipart_upload(
        self, wanted: Wanted, described: Attributes, chosen: tuple[str, str], sizes: list[str]
    ) -> None:
        """Begin an upload, and send some parts at once so that Complete has what to complete."""
        bucket, key, _ = self.new_place(wanted)
        algorithm, kind = chosen
        attributes = replace(described, algorithm=algorithm, checksum_type=kind)
        arguments = attribute_arguments(attributes)
        if algorithm:
            arguments |= {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
        self.write(
            lambda: self.uploads.create(bucket, key, attributes),
            "CreateMultipartUpload", Bucket=bucket, Key=key, **arguments,
        )  # fmt: skip
        if bucket in self.buckets.held:
            upload = self.buckets.held[bucket].uploads[-1]
            for number, size in enumerate(sizes, 1):
                self._upload_part(bucket, upload, number, size, number, "")

    @precondition(lambda self: self.any_upload())
    @rule(choice=choices, number=draws.part_numbers, size=draws.part_sizes,
          seed=st.integers(0, 3), any_algorithm=draws.algorithms)  # fmt: skip
    def upload_part(
        self, choice: int, number: int, size: str, seed: int, any_algorithm: str
    ) -> None:
        bucket, upload = self.upload(choice)
        self._upload_part(bucket, upload, number, size, seed, any_algorithm)

    def _upload_part(
        self, bucket: str, upload: Upload, number: int, size: str, seed: int, any_algorithm: str
    ) -> None:
        least = self.served.part_bytes_min
        sizes = {"none": 0, "less": 3, "least": least, "more": least + 7}
        body = body_of(sizes.get(size, least + draws.MIB), seed)
        algorithm = upload.attributes.algorithm or any_algorithm
        digest = {f"Checksum{algorithm}": checksum_of(algorithm, body)} if algorithm else {}
        self.write(
            lambda: self.uploads.put_part(bucket, upload.key, upload.id, number, body, algorithm),
            "UploadPart", **_arguments(bucket, upload), PartNumber=number, Body=body, **digest,
        )  # fmt: skip

    @precondition(lambda self: self.any_upload())
    @rule(choice=choices, number=draws.part_numbers, wanted=draws.places,
          span=draws.copied_spans, drawn=draws.read_conditions)  # fmt: skip
    def upload_part_copy(
        self, choice: int, number: int, wanted: Wanted, span: tuple[int, int] | None, drawn: Drawn
    ) -> None:
        bucket, upload = self.upload(choice)
        source = self.source(wanted, drawn)
        arguments: dict[str, Any] = {"CopySource": source_argument(source), "PartNumber": number}
        arguments |= condition_arguments(source.conditions, source=True)
        if span is not None:
            arguments["CopySourceRange"] = f"bytes={span[0]}-{span[1]}"
        self.write(
            lambda: self.uploads.copy_part(source, bucket, upload.key, upload.id, number, span),
            "UploadPartCopy", **_arguments(bucket, upload), **arguments,
        )  # fmt: skip

    @precondition(lambda self: self.any_upload())
    @rule(choice=choices, left_out=st.integers(0, 8), wrong=st.sampled_from([""] * 8 + _WRONG),
          says_size=draws.seldom, says_checksum=draws.seldom,
          drawn=draws.write_conditions)  # fmt: skip
    def complete_multipart_upload(
        self,
        choice: int,
        left_out: int,
        wrong: str,
        says_size: bool,
        says_checksum: bool,
        drawn: Drawn,
    ) -> None:
        bucket, upload = self.upload(choice)
        parts = [upload.parts[number] for number in sorted(upload.parts)]
        chosen = [part for at, part in enumerate(parts) if at != left_out]
        size = sum(len(part.body) for part in chosen) + (wrong == "size")
        wish = Wish(
            _named(chosen, wrong),
            size=size if says_size or wrong == "size" else None,
            checksum=self._promise(upload, chosen, wrong)
            if says_checksum or wrong == "checksum"
            else None,
            conditions=self.write_conditions(drawn, Place(bucket, upload.key)),
        )
        self.write(
            lambda: self.uploads.complete(bucket, upload.key, upload.id, wish),
            "CompleteMultipartUpload",
            **_arguments(bucket, upload), **_complete_arguments(upload, wish),
        )  # fmt: skip
        self._remember(bucket, upload)

    @precondition(lambda self: self.any_upload())
    @rule(choice=choices)
    def complete_plainly(self, choice: int) -> None:
        """Name every part that there is, and nothing wrong."""
        every_part = 1 << 30
        self.complete_multipart_upload(choice, every_part, "", False, False, {})

    @staticmethod
    def _promise(upload: Upload, chosen: list[Part], wrong: str) -> str | None:
        """Return what the client says the object's checksum is."""
        if not chosen:
            return None
        parts = [*chosen[:-1], Part(0, b"other")] if wrong == "checksum" else chosen
        return upload.made_of(tuple(parts)).checksum

    def _remember(self, bucket: str, upload: Upload) -> None:
        held = self.buckets.held.get(bucket)
        gone = held is not None and upload not in held.uploads
        if gone and (bucket, upload) not in self.ended:
            self.ended.append((bucket, upload))

    @precondition(lambda self: self.any_upload())
    @rule(choice=choices)
    def abort_multipart_upload(self, choice: int) -> None:
        bucket, upload = self.upload(choice)
        self.write(
            lambda: self.uploads.abort(bucket, upload.key, upload.id),
            "AbortMultipartUpload", **_arguments(bucket, upload),
        )  # fmt: skip
        self._remember(bucket, upload)


def _named(chosen: list[Part], wrong: str) -> list[Named]:
    named = [Named(part.number, part.etag) for part in chosen]
    if wrong == "etag" and named:
        named[-1] = Named(named[-1].number, OTHER_ETAG)
    elif wrong == "order":
        named.reverse()
    elif wrong == "number":
        named.append(Named(10_000, OTHER_ETAG))
    return named


def _complete_arguments(upload: Upload, wish: Wish) -> dict[str, Any]:
    algorithm = upload.whole.algorithm
    parts: list[dict[str, Any]] = []
    for named in wish.parts:
        entry: dict[str, Any] = {"PartNumber": named.number, "ETag": f'"{named.etag}"'}
        if named.number in upload.parts:
            body = upload.parts[named.number].body
            entry[f"Checksum{algorithm}"] = checksum_of(algorithm, body)
        parts.append(entry)
    arguments: dict[str, Any] = {"MultipartUpload": {"Parts": parts}}
    if wish.size is not None:
        arguments["MpuObjectSize"] = wish.size
    if wish.checksum is not None:
        arguments[f"Checksum{algorithm}"] = wish.checksum
    return arguments | condition_arguments(wish.conditions)

"""Whether a Complete fits the upload it completes, and the checksum of the object it makes.

Pure: the upload, its parts and the request are values. An upload that chose no algorithm has
CRC64NVME over the whole object, as on AWS.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from objstore.engine.ports import CompleteRequest, NamedPart
from objstore.errors import RequestRefused
from objstore.limits import PART_BYTES_MIN
from objstore.ondisk.record import Part, Upload, UploadedPart
from objstore.wire.digests import combine_checksums, composite_checksum
from objstore.wire.headers import (
    CHECKSUM_HEADERS,
    CHECKSUM_TYPES,
    COMPOSITE,
    DEFAULT_CHECKSUM,
    FULL_OBJECT,
    decode_checksum,
)

# What a composite checksum has behind the digest: "-" and the number of parts.
_PARTS: Final = re.compile(r"-[0-9]{1,5}\Z")


@dataclass(frozen=True, slots=True)
class Completion:
    """The object that a Complete makes."""

    parts: tuple[Part, ...]
    size: int
    checksums: Mapping[str, str]
    checksum_type: str


def checksum_of_upload(upload: Upload) -> tuple[str, str]:
    """Return the algorithm and the type of an upload's checksum, its own or the default."""
    algorithm = upload.checksum_algorithm or DEFAULT_CHECKSUM
    return algorithm, upload.checksum_type or CHECKSUM_TYPES[algorithm][0]


def completion(
    upload: Upload, held: Mapping[int, UploadedPart], request: CompleteRequest
) -> Completion:
    """Hold a Complete against its upload.

    Raises:
        RequestRefused: InvalidPart, InvalidPartOrder, EntityTooSmall, BadDigest, InvalidRequest.
    """
    parts = _chosen(upload, held, request)
    checksums, kind = object_checksums(upload, parts, request)
    size = sum(part.size for part in parts)
    if request.size not in (None, size):
        raise RequestRefused(
            "InvalidRequest",
            f"The provided 'x-amz-mp-object-size' header value {request.size} does not match what"
            f" was computed: {size}",
        )
    return Completion(tuple(parts), size, checksums, kind)


def _chosen(
    upload: Upload, held: Mapping[int, UploadedPart], request: CompleteRequest
) -> list[Part]:
    if not request.parts:
        raise RequestRefused("MalformedXML", "a Complete names at least one part")
    numbers = [named.number for named in request.parts]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise RequestRefused("InvalidPartOrder")
    parts = [_one(upload, held.get(named.number), named) for named in request.parts]
    # "When an additional checksum [...] is applied to each part, the PartNumber must start at 1
    # and the part numbers must be consecutive. Otherwise, Amazon S3 generates an HTTP 400 Bad
    # Request status code and an InvalidPartOrder error code."
    if upload.checksum_algorithm and numbers != list(range(1, len(numbers) + 1)):
        raise RequestRefused(
            "InvalidPartOrder",
            "The parts of an upload with an additional checksum must be numbered consecutively,"
            " from 1.",
        )
    for part in parts[:-1]:
        if part.size < PART_BYTES_MIN:
            raise RequestRefused(
                "EntityTooSmall",
                PartNumber=str(part.number),
                ProposedSize=str(part.size),
                MinSizeAllowed=str(PART_BYTES_MIN),
                ETag=part.etag,
            )
    return parts


def _one(upload: Upload, held: UploadedPart | None, named: NamedPart) -> Part:
    """Return the part a client means, once it is the one that was uploaded."""
    if held is None or held.part.etag != named.etag:
        raise _invalid_part(named)
    for algorithm, value in named.checksums.items():
        stored = held.part.checksums.get(algorithm)
        if stored is None:
            raise _mismatch(upload, algorithm)
        if stored != value:
            raise _invalid_part(named)
    algorithm, kind = checksum_of_upload(upload)
    if kind == COMPOSITE and algorithm not in named.checksums:
        raise RequestRefused(
            "InvalidRequest",
            f"The upload was created using a {algorithm.lower()} checksum. The complete request"
            " must include the checksum for each part. It was missing for part"
            f" {named.number} in the request.",
        )
    return held.part


def _invalid_part(named: NamedPart) -> RequestRefused:
    return RequestRefused("InvalidPart", PartNumber=str(named.number), ETag=named.etag)


def _mismatch(upload: Upload, sent: str) -> RequestRefused:
    return RequestRefused(
        "InvalidRequest",
        "Checksum Type mismatch occurred, expected checksum Type:"
        f" {checksum_of_upload(upload)[0].lower()}, actual checksum Type: {sent.lower()}",
    )


def _check_choice(upload: Upload, request: CompleteRequest) -> None:
    """Hold the algorithm and the type, where a Complete repeats them, against the upload's.

    "If the checksum type doesn't match the checksum type that was specified for the object during
    the CreateMultipartUpload request, it'll result in a BadDigest error."
    """
    algorithm, kind = checksum_of_upload(upload)
    for sent in {request.checksum_algorithm, *request.checksums} - {"", algorithm}:
        raise _mismatch(upload, sent)
    if request.checksum_type not in ("", kind):
        raise RequestRefused(
            "BadDigest",
            f"The upload was created using the {kind} checksum mode. The complete request must use"
            " the same checksum mode.",
        )


def object_checksums(
    upload: Upload, parts: Sequence[Part], request: CompleteRequest
) -> tuple[dict[str, str], str]:
    """Return the object's checksum and its type, held against what the client says they are.

    Raises:
        RequestRefused: BadDigest, or InvalidRequest for what is no such checksum.
    """
    _check_choice(upload, request)
    algorithm, kind = checksum_of_upload(upload)
    sent = request.checksums.get(algorithm)
    if sent is not None:
        digest = sent if kind == FULL_OBJECT else _PARTS.sub("", sent)
        decode_checksum(algorithm, digest)  # its grammar
    # A part from before uploads without an algorithm had checksums has none.
    if any(algorithm not in part.checksums for part in parts):
        if sent is not None:
            raise RequestRefused(
                "InvalidRequest",
                f"Not every part has a checksum that {CHECKSUM_HEADERS[algorithm]} could be held"
                " against.",
            )
        return {}, ""
    values = [part.checksums[algorithm] for part in parts]
    if kind == FULL_OBJECT:
        sizes = [part.size for part in parts]
        whole = combine_checksums(algorithm, list(zip(values, sizes, strict=True)))
    else:
        whole = composite_checksum(algorithm, values)
    if sent is not None and sent not in (whole, whole.partition("-")[0]):
        raise RequestRefused(
            "BadDigest", f"The {algorithm} you specified did not match the calculated checksum."
        )
    return {algorithm: whole}, kind

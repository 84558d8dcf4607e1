"""The XML documents of the S3 API: those clients send, as values; those objstore answers, as bytes.

Shapes are those of botocore's service-2.json, which the tests read every answer back with.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from objstore.errors import RequestRefused
from objstore.limits import PART_NUMBER_MAX
from objstore.wire.conditions import iso_date
from objstore.wire.headers import CHECKSUM_BYTES, integer
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import bare_document, document, escape, leaf, leaves

CHECKSUM_ELEMENTS: Final = {name: f"Checksum{name}" for name in CHECKSUM_BYTES}

# --- what clients send ----------------------------------------------------------------

_COMPLETE: Final = Element(
    "CompleteMultipartUpload",
    (
        Element(
            "Part",
            (
                Element("PartNumber", required=True),
                Element("ETag", required=True),
                *(Element(name) for name in CHECKSUM_ELEMENTS.values()),
            ),
            many=True,
            required=True,
        ),
    ),
)
_PART_NUMBER: Final = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class PartToComplete:
    """One entry of a CompleteMultipartUpload document."""

    number: int
    etag: str  # without quotes
    checksums: Mapping[str, str]  # algorithm -> base64


def read_complete(data: bytes) -> tuple[PartToComplete, ...]:
    """Read a CompleteMultipartUpload document.

    "The parts list must be specified in order by part number."

    Raises:
        RequestRefused: MalformedXML; InvalidArgument for a number outside 1 to 10,000;
            InvalidPartOrder.
    """
    parts = tuple(_part_to_complete(entry) for entry in read_document(data, _COMPLETE).all("Part"))
    previous = 0
    for part in parts:
        if part.number <= previous:
            raise RequestRefused("InvalidPartOrder")
        previous = part.number
    return parts


def _part_to_complete(entry: Node) -> PartToComplete:
    number = (entry.text_of("PartNumber") or "").strip()
    if _PART_NUMBER.fullmatch(number) is None:
        raise RequestRefused("MalformedXML", Detail="PartNumber is no number")
    return PartToComplete(
        integer("PartNumber", number, least=1, most=PART_NUMBER_MAX),
        (entry.text_of("ETag") or "").strip().removeprefix('"').removesuffix('"'),
        {
            algorithm: value.strip()
            for algorithm, element in CHECKSUM_ELEMENTS.items()
            if (value := entry.text_of(element)) is not None
        },
    )


# --- what objstore answers ------------------------------------------------------------

Encode = Callable[[str], str]  # xml_writer.escape, or xml_writer.url_encode


@dataclass(frozen=True, slots=True)
class Owner:
    """Who owns something, as documents name them; a display name that is "" is left out."""

    canonical_id: str
    display_name: str

    def element(self, name: str = "Owner") -> str:
        """Return the element that names the owner."""
        return f"<{name}>{self.content()}</{name}>"

    def content(self) -> str:
        """Return what the element holds."""
        shown = leaf("DisplayName", self.display_name) if self.display_name else ""
        return leaf("ID", self.canonical_id) + shown


class ListedEntry(Protocol):
    """An object in a listing; engine/ports.ListedObject is one."""

    @property
    def key(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def modified_ms(self) -> int: ...
    @property
    def storage_class(self) -> str: ...
    @property
    def checksum_algorithms(self) -> tuple[str, ...]: ...
    @property
    def checksum_type(self) -> str: ...
    @property
    def owner(self) -> str: ...  # as it is stored


class ListedBucket(Protocol):
    """A bucket in a listing; ondisk/record.Bucket is one."""

    @property
    def name(self) -> str: ...
    @property
    def created_ms(self) -> int: ...
    @property
    def region(self) -> str: ...


class ListedVersion(Protocol):
    """A version or a delete marker in a listing; of a marker only the first five are read."""

    @property
    def key(self) -> str: ...
    @property
    def version_id(self) -> str: ...  # "null" for the null version
    @property
    def is_latest(self) -> bool: ...
    @property
    def delete_marker(self) -> bool: ...
    @property
    def modified_ms(self) -> int: ...
    @property
    def size(self) -> int: ...
    @property
    def etag(self) -> str: ...
    @property
    def storage_class(self) -> str: ...
    @property
    def checksum_algorithms(self) -> tuple[str, ...]: ...
    @property
    def checksum_type(self) -> str: ...


class ListedUpload(Protocol):
    """An upload in a listing; ondisk/record.Upload is one."""

    @property
    def key(self) -> str: ...
    @property
    def upload_id(self) -> str: ...
    @property
    def initiated_ms(self) -> int: ...
    @property
    def storage_class(self) -> str: ...
    @property
    def checksum_algorithm(self) -> str: ...
    @property
    def checksum_type(self) -> str: ...


@dataclass(frozen=True, slots=True)
class ListedPart:
    """A part in a listing."""

    number: int
    size: int
    etag: str
    modified_ms: int
    checksums: Mapping[str, str]


def bucket_list(
    buckets: Iterable[ListedBucket],
    owner: Owner,
    *,
    regions: bool,
    tail: Iterable[tuple[str, str]],
) -> bytes:
    """Write a ListAllMyBucketsResult; `regions` adds each bucket's region."""
    inner = "".join(_bucket(bucket, regions=regions) for bucket in buckets)
    return document(
        "ListAllMyBucketsResult",
        f"{owner.element()}<Buckets>{inner}</Buckets>{leaves(tail)}",
    )


def _bucket(bucket: ListedBucket, *, regions: bool) -> str:
    inner = leaf("Name", bucket.name) + leaf("CreationDate", iso_date(bucket.created_ms))
    if regions and bucket.region:
        inner += leaf("BucketRegion", bucket.region)
    return f"<Bucket>{inner}</Bucket>"


def object_list(
    head: Iterable[tuple[str, str]],
    entries: Iterable[ListedEntry],
    prefixes: Iterable[str],
    *,
    encode: Encode,
    owner_of: Callable[[str], Owner] | None,
) -> bytes:
    """Write a ListBucketResult. `head` is encoded already where it has to be.

    `owner_of` names the owner that an entry has stored; without it none is shown.
    """
    shown: dict[str, str] = {}

    def owner(stored: str) -> str:
        if owner_of is None:
            return ""
        if stored not in shown:
            shown[stored] = owner_of(stored).element()
        return shown[stored]

    pieces = [f"<{name}>{text}</{name}>" for name, text in head]
    pieces += [_entry(entry, encode, owner(entry.owner)) for entry in entries]
    pieces += [_common_prefix(prefix, encode) for prefix in prefixes]
    return document("ListBucketResult", "".join(pieces))


def _entry(entry: ListedEntry, encode: Encode, owner: str) -> str:
    checksums = _checksums(entry.checksum_algorithms, entry.checksum_type)
    return (
        f"<Contents><Key>{encode(entry.key)}</Key>"
        f"<LastModified>{iso_date(entry.modified_ms)}</LastModified>"
        f"<ETag>&quot;{entry.etag}&quot;</ETag>{checksums}<Size>{entry.size}</Size>"
        f"{owner}<StorageClass>{entry.storage_class}</StorageClass></Contents>"
    )


def _checksums(algorithms: tuple[str, ...], kind: str) -> str:
    if not algorithms:
        return ""
    named = "".join([f"<ChecksumAlgorithm>{name}</ChecksumAlgorithm>" for name in algorithms])
    return f"{named}<ChecksumType>{kind}</ChecksumType>"


def _common_prefix(prefix: str, encode: Encode) -> str:
    return f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>"


def version_list(
    head: Iterable[tuple[str, str]],
    entries: Iterable[tuple[ListedVersion, Owner]],
    prefixes: Iterable[str],
    *,
    encode: Encode,
) -> bytes:
    """Write a ListVersionsResult. `head` is encoded already where it has to be.

    Versions and delete markers stay in the order given, mixed, as AWS sends them: "S3 returns
    object versions in the order in which they were stored, with the most recently stored
    returned first".
    """
    pieces = [f"<{name}>{text}</{name}>" for name, text in head]
    pieces += [_version(entry, owner, encode) for entry, owner in entries]
    pieces += [_common_prefix(prefix, encode) for prefix in prefixes]
    return document("ListVersionsResult", "".join(pieces))


def _version(entry: ListedVersion, owner: Owner, encode: Encode) -> str:
    latest = "true" if entry.is_latest else "false"
    shared = (
        f"<Key>{encode(entry.key)}</Key>{leaf('VersionId', entry.version_id)}"
        f"<IsLatest>{latest}</IsLatest>"
        f"<LastModified>{iso_date(entry.modified_ms)}</LastModified>"
    )
    if entry.delete_marker:
        return f"<DeleteMarker>{shared}{owner.element()}</DeleteMarker>"
    checksums = _checksums(entry.checksum_algorithms, entry.checksum_type)
    return (
        f"<Version>{shared}<ETag>&quot;{entry.etag}&quot;</ETag>{checksums}"
        f"<Size>{entry.size}</Size>{owner.element()}"
        f"<StorageClass>{entry.storage_class}</StorageClass></Version>"
    )


def upload_list(
    head: Iterable[tuple[str, str]],
    uploads: Iterable[tuple[ListedUpload, Owner, Owner]],
    prefixes: Iterable[str],
    *,
    encode: Encode,
) -> bytes:
    """Write a ListMultipartUploadsResult. `head` is encoded already where it has to be.

    Of each upload there are its initiator and the owner of what it is to become.
    """
    pieces = [f"<{name}>{text}</{name}>" for name, text in head]
    pieces += [_upload(upload, initiator, owner, encode) for upload, initiator, owner in uploads]
    pieces += [_common_prefix(prefix, encode) for prefix in prefixes]
    return document("ListMultipartUploadsResult", "".join(pieces))


def _upload(upload: ListedUpload, initiator: Owner, owner: Owner, encode: Encode) -> str:
    checksum = _checksum_choice(upload.checksum_algorithm, upload.checksum_type)
    return (
        f"<Upload><Key>{encode(upload.key)}</Key>{leaf('UploadId', upload.upload_id)}"
        f"{initiator.element('Initiator')}{owner.element()}"
        f"{leaf('StorageClass', upload.storage_class)}"
        f"{leaf('Initiated', iso_date(upload.initiated_ms))}{leaves(checksum)}</Upload>"
    )


def _checksum_choice(algorithm: str, kind: str) -> Sequence[tuple[str, str]]:
    return [("ChecksumAlgorithm", algorithm), ("ChecksumType", kind)] if algorithm else []


def part_list(
    head: Iterable[tuple[str, str]],
    parts: Iterable[ListedPart],
    *,
    initiator: Owner,
    owner: Owner,
    checksum: tuple[str, str],
    storage_class: str,
) -> bytes:
    """Write a ListPartsResult; `checksum` is the upload's algorithm and type."""
    pieces = [leaves(head), initiator.element("Initiator"), owner.element()]
    pieces += [leaf("StorageClass", storage_class), leaves(_checksum_choice(*checksum))]
    pieces += [_part(part) for part in parts]
    return document("ListPartsResult", "".join(pieces))


def _part(part: ListedPart) -> str:
    fields = [
        ("PartNumber", str(part.number)),
        ("LastModified", iso_date(part.modified_ms)),
        ("ETag", f'"{part.etag}"'),
        ("Size", str(part.size)),
        *checksum_fields(part.checksums),
    ]
    return f"<Part>{leaves(fields)}</Part>"


def checksum_fields(checksums: Mapping[str, str], kind: str = "") -> list[tuple[str, str]]:
    """Return the elements for checksums, and for their type when there is one."""
    fields = [
        (CHECKSUM_ELEMENTS[name], value)
        for name, value in checksums.items()
        if name in CHECKSUM_ELEMENTS
    ]
    return [*fields, ("ChecksumType", kind)] if fields and kind else fields


def flat_result(root: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Write a document of leaves: CopyObjectResult, InitiateMultipartUploadResult, ..."""
    return document(root, leaves(fields))


def location_constraint(region: str) -> bytes:
    """Write a bucket's region. "Buckets in Region us-east-1 have a LocationConstraint of null."."""
    return document("LocationConstraint", "" if region == "us-east-1" else escape(region))


def error_document(fields: Iterable[tuple[str, str]]) -> bytes:
    """Write an error; `fields` begin with Code and Message."""
    return bare_document("Error", leaves(fields))

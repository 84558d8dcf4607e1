"""The XML documents of the S3 API: those clients send, as values; those objstore answers, as bytes.

Shapes are those of botocore's service-2.json, which the tests read every answer back with.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from objstore.errors import RequestRefused
from objstore.limits import DELETE_KEYS_MAX, PART_NUMBER_MAX
from objstore.wire.conditions import iso_date
from objstore.wire.headers import CHECKSUM_BYTES, integer
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import bare_document, document, escape, leaf, leaves

CHECKSUM_ELEMENTS: Final = {name: f"Checksum{name}" for name in CHECKSUM_BYTES}

# --- what clients send ----------------------------------------------------------------

_BUCKET_CONFIGURATION: Final = Element(
    "CreateBucketConfiguration",
    (
        Element("LocationConstraint"),
        Element("Location", (Element("Name"), Element("Type"))),
        Element("Bucket", (Element("DataRedundancy"), Element("Type"))),
        Element(
            "Tags",
            (Element("Tag", (Element("Key"), Element("Value")), many=True),),
        ),
    ),
)
_DELETE: Final = Element(
    "Delete",
    (
        Element(
            "Object",
            (
                Element("Key", required=True),
                Element("VersionId"),
                Element("ETag"),
                Element("LastModifiedTime"),
                Element("Size"),
            ),
            many=True,
            required=True,
        ),
        Element("Quiet"),
    ),
)
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
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False, "": False}
_PART_NUMBER: Final = re.compile(r"[0-9]{1,9}")


def read_bucket_configuration(data: bytes) -> str:
    """Return the LocationConstraint of a CreateBucketConfiguration, "" without one.

    Raises:
        RequestRefused: MalformedXML; NotImplemented for directory buckets and for tags.
    """
    if not data.strip():
        return ""
    node = read_document(data, _BUCKET_CONFIGURATION)
    for name in ("Location", "Bucket", "Tags"):
        if node.all(name):
            raise RequestRefused(
                "NotImplemented", f"{name} in CreateBucketConfiguration is not implemented."
            )
    return node.text_of("LocationConstraint") or ""


@dataclass(frozen=True, slots=True)
class ObjectToDelete:
    """One entry of a Delete document."""

    key: str
    version_id: str | None
    conditional: bool


@dataclass(frozen=True, slots=True)
class DeleteDocument:
    """What a DeleteObjects request asks for."""

    objects: tuple[ObjectToDelete, ...]
    quiet: bool


def read_delete(data: bytes) -> DeleteDocument:
    """Read a Delete document.

    "The request can contain a list of up to 1,000 keys that you want to delete."

    Raises:
        RequestRefused: MalformedXML.
    """
    node = read_document(data, _DELETE)
    entries = node.all("Object")
    quiet = _BOOLEANS.get((node.text_of("Quiet") or "").strip().lower())
    if len(entries) > DELETE_KEYS_MAX or quiet is None:
        raise RequestRefused("MalformedXML")
    objects = tuple(_object_to_delete(entry) for entry in entries)
    return DeleteDocument(objects, quiet)


def _object_to_delete(entry: Node) -> ObjectToDelete:
    key = entry.text_of("Key")
    if not key:
        raise RequestRefused("MalformedXML", Detail="Key is empty")
    conditional = any(entry.all(name) for name in ("ETag", "LastModifiedTime", "Size"))
    return ObjectToDelete(key, entry.text_of("VersionId") or None, conditional)


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


class ListedBucket(Protocol):
    """A bucket in a listing; ondisk/record.Bucket is one."""

    @property
    def name(self) -> str: ...
    @property
    def created_ms(self) -> int: ...
    @property
    def region(self) -> str: ...


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
    owner: Owner | None,
) -> bytes:
    """Write a ListBucketResult. `head` is encoded already where it has to be."""
    shown = owner.element() if owner is not None else ""
    pieces = [f"<{name}>{text}</{name}>" for name, text in head]
    pieces += [_entry(entry, encode, shown) for entry in entries]
    pieces += [_common_prefix(prefix, encode) for prefix in prefixes]
    return document("ListBucketResult", "".join(pieces))


def _entry(entry: ListedEntry, encode: Encode, owner: str) -> str:
    checksums = ""
    if entry.checksum_algorithms:
        checksums = "".join(
            [f"<ChecksumAlgorithm>{name}</ChecksumAlgorithm>" for name in entry.checksum_algorithms]
        )
        checksums += f"<ChecksumType>{entry.checksum_type}</ChecksumType>"
    return (
        f"<Contents><Key>{encode(entry.key)}</Key>"
        f"<LastModified>{iso_date(entry.modified_ms)}</LastModified>"
        f"<ETag>&quot;{entry.etag}&quot;</ETag>{checksums}<Size>{entry.size}</Size>"
        f"{owner}<StorageClass>{entry.storage_class}</StorageClass></Contents>"
    )


def _common_prefix(prefix: str, encode: Encode) -> str:
    return f"<CommonPrefixes><Prefix>{encode(prefix)}</Prefix></CommonPrefixes>"


def upload_list(
    head: Iterable[tuple[str, str]],
    uploads: Iterable[tuple[ListedUpload, Owner]],
    prefixes: Iterable[str],
    *,
    encode: Encode,
) -> bytes:
    """Write a ListMultipartUploadsResult. `head` is encoded already where it has to be."""
    pieces = [f"<{name}>{text}</{name}>" for name, text in head]
    pieces += [_upload(upload, owner, encode) for upload, owner in uploads]
    pieces += [_common_prefix(prefix, encode) for prefix in prefixes]
    return document("ListMultipartUploadsResult", "".join(pieces))


def _upload(upload: ListedUpload, owner: Owner, encode: Encode) -> str:
    checksum = _checksum_choice(upload.checksum_algorithm, upload.checksum_type)
    return (
        f"<Upload><Key>{encode(upload.key)}</Key>{leaf('UploadId', upload.upload_id)}"
        f"{owner.element('Initiator')}{owner.element()}"
        f"{leaf('StorageClass', upload.storage_class)}"
        f"{leaf('Initiated', iso_date(upload.initiated_ms))}{leaves(checksum)}</Upload>"
    )


def _checksum_choice(algorithm: str, kind: str) -> Sequence[tuple[str, str]]:
    return [("ChecksumAlgorithm", algorithm), ("ChecksumType", kind)] if algorithm else []


def part_list(
    head: Iterable[tuple[str, str]],
    parts: Iterable[ListedPart],
    owner: Owner,
    *,
    checksum: tuple[str, str],
    storage_class: str,
) -> bytes:
    """Write a ListPartsResult; `checksum` is the upload's algorithm and type."""
    pieces = [leaves(head), owner.element("Initiator"), owner.element()]
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


@dataclass(frozen=True, slots=True)
class DeleteFailure:
    """A key that could not be deleted, and why."""

    key: str
    version_id: str | None
    code: str
    message: str


def delete_result(
    deleted: Iterable[ObjectToDelete], failures: Iterable[DeleteFailure], *, quiet: bool
) -> bytes:
    """Write a DeleteResult; in quiet mode "only keys where the delete action failed" are in it."""
    pieces = [] if quiet else [_deleted(entry) for entry in deleted]
    pieces += [_failure(failure) for failure in failures]
    return document("DeleteResult", "".join(pieces))


def _version(version_id: str | None) -> list[tuple[str, str]]:
    return [("VersionId", version_id)] if version_id is not None else []


def _deleted(entry: ObjectToDelete) -> str:
    return f"<Deleted>{leaves([('Key', entry.key), *_version(entry.version_id)])}</Deleted>"


def _failure(failure: DeleteFailure) -> str:
    fields = [
        ("Key", failure.key),
        *_version(failure.version_id),
        ("Code", failure.code),
        ("Message", failure.message),
    ]
    return f"<Error>{leaves(fields)}</Error>"


def flat_result(root: str, fields: Iterable[tuple[str, str]]) -> bytes:
    """Write a document of leaves: CopyObjectResult, InitiateMultipartUploadResult, ..."""
    return document(root, leaves(fields))


def location_constraint(region: str) -> bytes:
    """Write a bucket's region. "Buckets in Region us-east-1 have a LocationConstraint of null."."""
    return document("LocationConstraint", "" if region == "us-east-1" else escape(region))


def access_control_policy(owner: Owner) -> bytes:
    """Write the ACL that everything has: full control for its owner, nothing for anyone else."""
    grantee = (
        '<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        f' xsi:type="CanonicalUser">{owner.content()}</Grantee>'
    )
    grant = f"<Grant>{grantee}<Permission>FULL_CONTROL</Permission></Grant>"
    return document(
        "AccessControlPolicy",
        f"{owner.element()}<AccessControlList>{grant}</AccessControlList>",
    )


def error_document(fields: Iterable[tuple[str, str]]) -> bytes:
    """Write an error; `fields` begin with Code and Message."""
    return bare_document("Error", leaves(fields))

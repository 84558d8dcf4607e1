"""Delete and DeleteResult: the documents of DeleteObjects."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from objstore.limits import DELETE_KEYS_MAX
from objstore.wire.leaf_values import boolean, date_ms, malformed, number
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaves

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


@dataclass(frozen=True, slots=True)
class ObjectToDelete:
    """One entry of a Delete document. A condition that is None was not sent.

    `etag` is without quotes; "*" stands for any object that is there. `modified_ms` comes from an
    HTTP date as a rule, so it is compared in whole seconds.
    """

    key: str
    version_id: str | None
    etag: str | None = None
    modified_ms: int | None = None
    size: int | None = None

    @property
    def conditional(self) -> bool:
        """Whether the object has to be as the client says."""
        return (self.etag, self.modified_ms, self.size) != (None, None, None)


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
    if len(entries) > DELETE_KEYS_MAX:
        raise malformed(f"more than {DELETE_KEYS_MAX} keys")
    quiet = bool(node.text_of("Quiet")) and boolean(node, "Quiet")
    return DeleteDocument(tuple(_object_to_delete(entry) for entry in entries), bool(quiet))


def _object_to_delete(entry: Node) -> ObjectToDelete:
    key = entry.text_of("Key")
    if not key:
        raise malformed("Key is empty")
    etag = entry.text_of("ETag")
    size = number(entry, "Size")
    if size is not None and size < 0:
        raise malformed("Size is negative")
    return ObjectToDelete(
        key,
        entry.text_of("VersionId") or None,
        None if etag is None else etag.strip().removeprefix('"').removesuffix('"'),
        date_ms(entry, "LastModifiedTime"),
        size,
    )


@dataclass(frozen=True, slots=True)
class Deleted:
    """A key that was deleted, and how.

    `version_id` is the one the client named. "DeleteMarker: Indicates whether the specified
    object version that was permanently deleted was (true) or was not (false) a delete marker
    before deletion. In a simple DELETE, this header indicates whether (true) or not (false) the
    current version of the object is a delete marker." `marker_version_id` is the id of that
    delete marker, made or removed.
    """

    key: str
    version_id: str | None = None
    delete_marker: bool = False
    marker_version_id: str | None = None


@dataclass(frozen=True, slots=True)
class DeleteFailure:
    """A key that could not be deleted, and why."""

    key: str
    version_id: str | None
    code: str
    message: str


def delete_result(
    deleted: Iterable[Deleted], failures: Iterable[DeleteFailure], *, quiet: bool
) -> bytes:
    """Write a DeleteResult.

    "In quiet mode the response includes only keys where the delete operation encountered an
    error."
    """
    pieces = [] if quiet else [_deleted(entry) for entry in deleted]
    pieces += [_failure(failure) for failure in failures]
    return document("DeleteResult", "".join(pieces))


def _version(version_id: str | None) -> list[tuple[str, str]]:
    return [("VersionId", version_id)] if version_id is not None else []


def _deleted(entry: Deleted) -> str:
    fields = [("Key", entry.key), *_version(entry.version_id)]
    if entry.delete_marker:
        fields.append(("DeleteMarker", "true"))
        if entry.marker_version_id is not None:
            fields.append(("DeleteMarkerVersionId", entry.marker_version_id))
    return f"<Deleted>{leaves(fields)}</Deleted>"


def _failure(failure: DeleteFailure) -> str:
    fields = [
        ("Key", failure.key),
        *_version(failure.version_id),
        ("Code", failure.code),
        ("Message", failure.message),
    ]
    return f"<Error>{leaves(fields)}</Error>"

"""From request headers to what is stored beside an object's bytes, and back."""

from collections.abc import Mapping
from typing import Final

from objstore.engine.ports import Attributes
from objstore.errors import RequestRefused
from objstore.ondisk.record import Version
from objstore.s3.call import Call
from objstore.wire.headers import (
    CHECKSUM_HEADERS,
    FULL_OBJECT,
    REDIRECT_LOCATION,
    parameter,
    read_redirect_location,
    read_stored_headers,
    read_user_metadata,
)
from objstore.wire.request import Request

STANDARD: Final = "STANDARD"


def read_attributes(call: Call, algorithm: str, kind: str = FULL_OBJECT) -> Attributes:
    """Return what the headers say about a new object; `algorithm` may be "".

    Raises:
        RequestRefused: InvalidStorageClass, MetadataTooLarge, InvalidArgument.
    """
    return Attributes(
        headers=read_stored_headers(call.request),
        user_metadata=read_user_metadata(call.request),
        storage_class=read_storage_class(call.request),
        owner=call.caller_id,
        checksum_algorithms=(algorithm,) if algorithm else (),
        checksum_type=kind if algorithm else "",
    )


def read_storage_class(request: Request) -> str:
    """Return the storage class asked for; there is one.

    Raises:
        RequestRefused: InvalidStorageClass.
    """
    wanted = parameter(request, "x-amz-storage-class")
    if wanted not in (None, STANDARD):
        raise RequestRefused("InvalidStorageClass", StorageClassRequested=wanted or "")
    return STANDARD


def copied_attributes(call: Call, version: Version, algorithm: str) -> Attributes:
    """Return the attributes of a copy that keeps those of its source.

    The website redirect location "is unique to each object and is not copied [...]. Instead, you
    may opt to provide this header in combination with the x-amz-metadata-directive header".
    """
    kept = {name: value for name, value in version.headers.items() if name != REDIRECT_LOCATION}
    return Attributes(
        headers=kept | read_redirect_location(call.request),
        user_metadata=version.user_metadata,
        storage_class=read_storage_class(call.request),
        owner=call.caller_id,
        checksum_algorithms=(algorithm,),
        checksum_type=FULL_OBJECT,
    )


def checksum_headers(checksums: Mapping[str, str], kind: str = "") -> dict[str, str]:
    """Return the response headers for checksums, and for their type when there is one."""
    headers = {
        CHECKSUM_HEADERS[name]: value
        for name, value in checksums.items()
        if name in CHECKSUM_HEADERS
    }
    if headers and kind:
        headers["x-amz-checksum-type"] = kind
    return headers

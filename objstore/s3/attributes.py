"""From request headers to what is stored beside an object's bytes, and back."""

from collections.abc import Mapping

from objstore.engine.ports import Attributes
from objstore.errors import RequestRefused
from objstore.names import STANDARD, STORAGE_CLASSES
from objstore.ondisk.record import Bucket, Version
from objstore.s3.acls import new_object
from objstore.s3.call import Call
from objstore.s3.encryption import customer_key
from objstore.s3.object_lock import new_lock
from objstore.wire.config_documents.tagging import read_tagging_header
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


def read_attributes(
    call: Call, bucket: Bucket, algorithm: str, kind: str = FULL_OBJECT
) -> Attributes:
    """Return what the headers say about a new object; `algorithm` may be "".

    Raises:
        RequestRefused: InvalidStorageClass, MetadataTooLarge, InvalidArgument, InvalidTag, and
            what s3/object_lock.py, s3/acls.py and s3/encryption.py raise.
    """
    lock, made = new_lock(call, bucket), new_object(call, bucket)
    return Attributes(
        headers=read_stored_headers(call.request),
        user_metadata=read_user_metadata(call.request),
        storage_class=read_storage_class(call.request),
        owner=made.owner,
        initiator=call.caller_id,
        acl=made.acl,
        checksum_algorithms=(algorithm,) if algorithm else (),
        checksum_type=kind if algorithm else "",
        tags=read_tags(call.request),
        retention_mode=lock.retention_mode,
        retain_until_ms=lock.retain_until_ms,
        legal_hold=lock.legal_hold,
        customer_key=customer_key(call),
    )


def read_tags(request: Request) -> dict[str, str]:
    """Return the tags that x-amz-tagging gives a new object.

    Raises:
        RequestRefused: InvalidArgument, InvalidTag.
    """
    sent = parameter(request, "x-amz-tagging")
    return {} if not sent else {tag.key: tag.value for tag in read_tagging_header(sent)}


def read_storage_class(request: Request) -> str:
    """Return the storage class asked for; STANDARD and REDUCED_REDUNDANCY are there.

    "By default, Amazon S3 uses the STANDARD Storage Class to store newly created objects", copies
    of objects of other classes too.

    Raises:
        RequestRefused: InvalidStorageClass.
    """
    wanted = parameter(request, "x-amz-storage-class")
    if wanted is None:
        return STANDARD
    if wanted not in STORAGE_CLASSES:
        raise RequestRefused("InvalidStorageClass", StorageClassRequested=wanted)
    return wanted


def storage_class_header(version: Version) -> dict[str, str]:
    """Return the header that says an object's storage class.

    "Amazon S3 returns this header for all objects except for S3 Standard storage class objects."
    """
    if version.storage_class == STANDARD:
        return {}
    return {"x-amz-storage-class": version.storage_class}


def copied_attributes(call: Call, bucket: Bucket, version: Version, algorithm: str) -> Attributes:
    """Return the attributes of a copy that keeps those of its source.

    The website redirect location "is unique to each object and is not copied [...]. Instead, you
    may opt to provide this header in combination with the x-amz-metadata-directive header".
    """
    lock, made = new_lock(call, bucket), new_object(call, bucket)
    kept = {name: value for name, value in version.headers.items() if name != REDIRECT_LOCATION}
    return Attributes(
        headers=kept | read_redirect_location(call.request),
        user_metadata=version.user_metadata,
        storage_class=read_storage_class(call.request),
        owner=made.owner,
        acl=made.acl,
        checksum_algorithms=(algorithm,),
        checksum_type=FULL_OBJECT,
        retention_mode=lock.retention_mode,
        retain_until_ms=lock.retain_until_ms,
        legal_hold=lock.legal_hold,
        customer_key=customer_key(call),
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

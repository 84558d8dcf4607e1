"""Multipart uploads: create, upload and copy parts, list, complete, abort."""

from typing import Final

from objstore.engine.ports import CompleteRequest, NamedPart
from objstore.errors import RequestRefused
from objstore.limits import LIST_KEYS_MAX, OBJECT_BYTES_MAX, OBJECT_PUT_BYTES_MAX, PART_NUMBER_MAX
from objstore.names import UploadId
from objstore.ondisk.record import Upload
from objstore.s3.attributes import checksum_headers, read_attributes
from objstore.s3.bucket_access import owners_in
from objstore.s3.call import (
    Call,
    Reply,
    location_of,
    read_body,
    require_size,
    upload_id_of,
    xml_reply,
)
from objstore.s3.copy_source import open_source, source_of, source_version_header
from objstore.s3.encryption import (
    customer_key,
    key_headers,
    readable,
    require_same_key,
    require_upload_key,
    source_key,
)
from objstore.s3.expected_digests import body_claim
from objstore.s3.lifecycle import abort_of, expiration_of
from objstore.s3.object_version import version_header
from objstore.s3.owners import owner_of
from objstore.s3.paging import (
    count_parameter,
    delimiter_head,
    encoding_head,
    flag,
    read_encoding,
    text_parameter,
)
from objstore.s3.write_conditions import write_precondition
from objstore.wire.byte_range import copy_source_range
from objstore.wire.conditions import iso_date
from objstore.wire.digests import Digests
from objstore.wire.documents import (
    ListedPart,
    Owner,
    checksum_fields,
    flat_result,
    part_list,
    read_complete,
    upload_list,
)
from objstore.wire.headers import (
    CHECKSUM_HEADERS,
    DEFAULT_CHECKSUM,
    integer,
    parameter,
    quoted,
    read_checksum_algorithm,
    read_upload_checksum,
)
from objstore.wire.route import Operation
from objstore.wire.xml_writer import escape

# Sorts after every upload id, so that (key, this) is after all uploads of the key.
_AFTER_EVERY_UPLOAD: Final = "\x7f"


async def create_multipart_upload(call: Call) -> Reply:
    """Answer CreateMultipartUpload."""
    algorithm, kind = read_upload_checksum(call.request)
    bucket = await call.store.head_bucket(call.bucket)
    attributes = read_attributes(call, bucket, algorithm, kind)
    upload = await call.store.create_upload(call.bucket, call.key, attributes=attributes)
    headers = abort_of(call, bucket, upload) | key_headers(attributes.customer_key)
    if algorithm:
        headers |= {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": kind}
    fields = [("Bucket", call.bucket), ("Key", call.key), ("UploadId", upload.upload_id)]
    return xml_reply(flat_result("InitiateMultipartUploadResult", fields), headers)


def _part_number(call: Call) -> int:
    text = call.request.query.get("partNumber")
    if text is None:
        raise RequestRefused(
            "InvalidArgument",
            "This operation needs the query parameter partNumber.",
            ArgumentName="partNumber",
        )
    return integer("partNumber", text, least=1, most=PART_NUMBER_MAX)


async def upload_part(call: Call) -> Reply:
    """Answer UploadPart. A part of an upload with a checksum algorithm brings such a checksum."""
    assert call.digests is not None
    number = _part_number(call)
    upload_id = upload_id_of(call)
    require_size(call)
    claim = body_claim(call.request, Operation.UPLOAD_PART)
    key = customer_key(call)
    upload = await call.store.read_upload(call.bucket, call.key, upload_id)
    require_upload_key(upload, key)
    if upload.checksum_algorithm and upload.checksum_algorithm != claim.algorithm:
        raise RequestRefused(
            "InvalidRequest",
            "Checksum Type mismatch occurred, expected checksum Type:"
            f" {upload.checksum_algorithm.lower()}, actual checksum Type:"
            f" {claim.algorithm.lower() or 'null'}",
        )
    result = await call.store.put_part(
        call.bucket,
        call.key,
        upload_id,
        number,
        call.body,
        digests=call.digests,
        customer_key=key,
    )
    shown = {
        name: value for name, value in result.part.checksums.items() if name == claim.algorithm
    }
    headers = {"ETag": quoted(result.part.etag)} | key_headers(key)
    return Reply(200, headers | checksum_headers(shown))


async def upload_part_copy(call: Call) -> Reply:
    """Answer UploadPartCopy."""
    number = _part_number(call)
    upload_id = upload_id_of(call)
    source = source_of(call)
    key, key_of_source = customer_key(call), source_key(call)
    upload = await call.store.read_upload(call.bucket, call.key, upload_id)
    require_upload_key(upload, key)
    reader = readable(call, await open_source(call, source), key_of_source)
    span = copy_source_range(
        parameter(call.request, "x-amz-copy-source-range"), reader.version.size
    )
    if span.size > OBJECT_PUT_BYTES_MAX:
        raise RequestRefused(
            "InvalidRequest",
            "The specified copy source is larger than the maximum allowable size for a copy"
            f" source: {OBJECT_PUT_BYTES_MAX}",
        )
    result = await call.store.copy_part(
        reader,
        span.start,
        span.stop,
        call.bucket,
        call.key,
        upload_id,
        number,
        digests=Digests(() if key else ("MD5",)),  # and what the upload's checksum takes
        customer_key=key,
    )
    fields = [("LastModified", iso_date(result.modified_ms)), ("ETag", quoted(result.part.etag))]
    fields += checksum_fields(_shown(upload, result.part.checksums))
    headers = await source_version_header(call, source, reader.version) | key_headers(key)
    return xml_reply(flat_result("CopyPartResult", fields), headers)


def _shown(upload: Upload, checksums: dict[str, str]) -> dict[str, str]:
    """Return the checksum of a part that was copied.

    "This checksum is present if the multipart upload request was created with the [...] checksum
    algorithm."
    """
    return {name: value for name, value in checksums.items() if name == upload.checksum_algorithm}


def _listed(upload: Upload, checksums: dict[str, str]) -> dict[str, str]:
    """Return the checksum that a listing shows of a part, the default one included.

    "This checksum is present [...] if the object was uploaded without a checksum (and Amazon S3
    added the default checksum, CRC64NVME, to the uploaded object)."
    """
    algorithm = upload.checksum_algorithm or DEFAULT_CHECKSUM
    return {name: value for name, value in checksums.items() if name == algorithm}


async def list_parts(call: Call) -> Reply:
    """Answer ListParts."""
    upload_id = upload_id_of(call)
    limit = count_parameter(call, "max-parts", LIST_KEYS_MAX)
    marker = text_parameter(call, "part-number-marker")
    after = integer("part-number-marker", marker, least=0, most=2**31 - 1) if marker else 0
    key = customer_key(call)
    listing = await call.store.list_parts(
        call.bucket, call.key, upload_id, after=after, limit=limit
    )
    upload, bucket = listing.upload, await call.store.head_bucket(call.bucket)
    require_same_key(upload, key)
    head = [
        ("Bucket", call.bucket),
        ("Key", call.key),
        ("UploadId", upload_id),
        ("PartNumberMarker", str(after)),
    ]
    if listing.parts:
        head.append(("NextPartNumberMarker", str(listing.parts[-1].part.number)))
    # Of a page without room nothing is left out: a client that goes on would never end.
    truncated = listing.truncated and limit > 0
    head += [("MaxParts", str(limit)), ("IsTruncated", flag(value=truncated))]
    parts = [
        ListedPart(
            uploaded.part.number,
            uploaded.part.size,
            uploaded.part.etag,
            uploaded.modified_ms,
            _listed(upload, uploaded.part.checksums),
        )
        for uploaded in listing.parts
    ]
    return xml_reply(
        part_list(
            head,
            parts,
            initiator=_initiator(call, upload),
            owner=owners_in(bucket, call.identities)(upload.owner),
            checksum=(upload.checksum_algorithm, upload.checksum_type),
            storage_class=upload.storage_class,
        ),
        abort_of(call, await call.store.head_bucket(call.bucket), upload),
    )


async def list_multipart_uploads(call: Call) -> Reply:
    """Answer ListMultipartUploads.

    "If upload-id-marker is not specified, only the keys lexicographically greater than the
    specified key-marker will be included in the list." And: "If key-marker is not specified, the
    upload-id-marker parameter is ignored."
    """
    encode = read_encoding(call)
    prefix, delimiter = text_parameter(call, "prefix"), text_parameter(call, "delimiter")
    key_marker = text_parameter(call, "key-marker")
    upload_marker = text_parameter(call, "upload-id-marker") if key_marker else ""
    limit = count_parameter(call, "max-uploads", LIST_KEYS_MAX)
    listing = await call.store.list_uploads(
        call.bucket,
        prefix=prefix,
        delimiter=delimiter,
        after_key=key_marker,
        after_upload=upload_marker or (_AFTER_EVERY_UPLOAD if key_marker else ""),
        limit=limit,
    )
    head = [
        ("Bucket", escape(call.bucket)),
        ("KeyMarker", encode(key_marker)),
        ("UploadIdMarker", escape(upload_marker)),
    ]
    truncated = listing.truncated and limit > 0  # as in list_parts
    if truncated:
        head.append(("NextKeyMarker", encode(listing.last_key)))
        head.append(("NextUploadIdMarker", escape(listing.last_upload)))
    head += [("Prefix", encode(prefix)), *delimiter_head(delimiter, encode)]
    head += [("MaxUploads", str(limit)), ("IsTruncated", flag(value=truncated))]
    head += encoding_head(encode)
    owner = owners_in(await call.store.head_bucket(call.bucket), call.identities)
    uploads = [
        (upload, _initiator(call, upload), owner(upload.owner)) for upload in listing.uploads
    ]
    return xml_reply(upload_list(head, uploads, listing.prefixes, encode=encode))


def _initiator(call: Call, upload: Upload) -> Owner:
    return owner_of(upload.initiator or upload.owner, call.identities)


async def complete_multipart_upload(call: Call) -> Reply:
    """Answer CompleteMultipartUpload."""
    upload_id = upload_id_of(call)
    kind = (parameter(call.request, "x-amz-checksum-type") or "").upper()
    if kind not in ("", "COMPOSITE", "FULL_OBJECT"):
        raise RequestRefused("InvalidRequest", "Value for x-amz-checksum-type header is invalid.")
    size_text = parameter(call.request, "x-amz-mp-object-size")
    size = None
    if size_text is not None:
        size = integer("x-amz-mp-object-size", size_text, least=0, most=OBJECT_BYTES_MAX)
    precondition = write_precondition(call.request)
    named = read_complete(await read_body(call))
    await _check_key(call, upload_id)
    parts = tuple(NamedPart(part.number, part.etag, part.checksums) for part in named)
    version = await call.store.complete_upload(
        CompleteRequest(
            bucket=call.bucket,
            key=call.key,
            upload_id=upload_id,
            parts=parts,
            checksums=_object_checksums(call),
            checksum_type=kind,
            size=size,
            checksum_algorithm=read_checksum_algorithm(call.request),
            precondition=precondition,
        )
    )
    fields = [
        ("Location", location_of(call)),
        ("Bucket", call.bucket),
        ("Key", call.key),
        ("ETag", quoted(version.etag)),
    ]
    fields += checksum_fields(version.checksums, version.checksum_type)
    bucket = await call.store.head_bucket(call.bucket)
    result = flat_result("CompleteMultipartUploadResult", fields)
    headers = version_header(bucket, version) | expiration_of(call, bucket, version)
    return xml_reply(result, headers)


async def _check_key(call: Call, upload_id: UploadId) -> None:
    """Hold the key of a Complete, which need not have one, against the upload's."""
    key = customer_key(call)
    if key is None:
        return
    try:
        upload = await call.store.read_upload(call.bucket, call.key, upload_id)
    except RequestRefused as refused:
        if refused.reason != "NoSuchUpload":
            raise
        return  # completed before, perhaps: the store answers the repetition
    require_same_key(upload, key)


def _object_checksums(call: Call) -> dict[str, str]:
    """Return what the headers say the checksum of the whole object is, to be held against it."""
    sent = {name: parameter(call.request, header) for name, header in CHECKSUM_HEADERS.items()}
    return {name: value for name, value in sent.items() if value is not None}


async def abort_multipart_upload(call: Call) -> Reply:
    """Answer AbortMultipartUpload."""
    await call.store.abort_upload(call.bucket, call.key, upload_id_of(call))
    return Reply(204, {})

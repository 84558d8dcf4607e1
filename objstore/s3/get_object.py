"""GetObject and HeadObject: conditions, ranges, single parts, and the headers of the answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import PART_NUMBER_MAX
from objstore.ondisk.record import Version
from objstore.s3.asked import named
from objstore.s3.attributes import checksum_headers, storage_class_header
from objstore.s3.call import Call, Reply
from objstore.s3.encryption import customer_key, key_headers, readable, require_key
from objstore.s3.gate import gate_of
from objstore.s3.lifecycle import expiration_of_read
from objstore.s3.object_version import current_version, open_version, version_header, version_of
from objstore.wire.byte_range import ByteRange, select_range
from objstore.wire.conditions import (
    Outcome,
    evaluate,
    http_date,
    iso_date,
    range_still_applies,
    read_conditions,
)
from objstore.wire.headers import integer, object_headers, parameter, printable, quoted

_OVERRIDES: Final = {
    "response-cache-control": "Cache-Control",
    "response-content-disposition": "Content-Disposition",
    "response-content-encoding": "Content-Encoding",
    "response-content-language": "Content-Language",
    "response-content-type": "Content-Type",
    "response-expires": "Expires",
}
# What a 304 repeats of the object's headers (RFC 9110, 15.4.5).
_KEPT_WHEN_NOT_MODIFIED: Final = ("Cache-Control", "Expires")


@dataclass(frozen=True, slots=True)
class _Selection:
    """What of an object is wanted."""

    span: ByteRange
    partial: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str = ""


async def get_object(call: Call) -> Reply:
    """Answer GetObject."""
    overrides = _overrides(call)
    key = customer_key(call)
    found = await open_version(call, call.bucket, call.key, version_of(call))
    reader = readable(call, found, key)
    unchanged = unchanged_reply(call, reader.version)
    if unchanged is not None:
        return unchanged
    selection = _select(call, reader.version)
    status, headers = await _head(call, reader.version, selection, overrides | key_headers(key))
    span = selection.span
    body = reader.read(span.start, span.stop) if span.size else b""
    return Reply(status, headers, body)


async def head_object(call: Call) -> Reply:
    """Answer HeadObject: what GetObject would, without the bytes."""
    overrides = _overrides(call)
    key = customer_key(call)
    version = await current_version(call)
    require_key(version, key)
    unchanged = unchanged_reply(call, version)
    if unchanged is not None:
        return unchanged
    selection = _select(call, version)
    status, headers = await _head(call, version, selection, overrides | key_headers(key))
    return Reply(status, headers)


def _overrides(call: Call) -> dict[str, str]:
    """Return the headers that response-* parameters replace.

    "These parameters cannot be used with an unsigned (anonymous) request."
    """
    found = {
        header: printable(name, value)
        for name, header in _OVERRIDES.items()
        if (value := call.request.query.get(name))
    }
    if found and call.caller is None:
        raise RequestRefused(
            "InvalidRequest",
            "Request specific response headers cannot be used for anonymous GET requests.",
        )
    return found


def unchanged_reply(call: Call, version: Version) -> Reply | None:
    """Return the answer of a condition that is false, None when all are true.

    Raises:
        RequestRefused: PreconditionFailed.
    """
    conditions = read_conditions(call.request.headers.get)
    verdict = evaluate(conditions, etag=version.etag, modified_ms=version.modified_ms)
    if verdict.outcome is Outcome.FAILED:
        raise RequestRefused("PreconditionFailed", Condition=verdict.condition)
    if verdict.outcome is Outcome.PROCEED:
        return None
    stored = object_headers(version.headers, {})
    headers = {name: stored[name] for name in _KEPT_WHEN_NOT_MODIFIED if name in stored}
    return Reply(304, headers | _validators(version))


def _validators(version: Version) -> dict[str, str]:
    return {"ETag": quoted(version.etag), "Last-Modified": http_date(version.modified_ms)}


def _select(call: Call, version: Version) -> _Selection:
    wanted_range = call.request.headers.get("range")
    wanted_part = call.request.query.get("partNumber")
    if wanted_part is not None:
        if wanted_range is not None:
            raise RequestRefused(
                "InvalidRequest",
                "Cannot specify both Range header and partNumber query parameter",
            )
        number = integer("partNumber", wanted_part, least=1, most=PART_NUMBER_MAX)
        return _select_part(version, number)
    applies = range_still_applies(
        call.request.headers.get("if-range"), etag=version.etag, modified_ms=version.modified_ms
    )
    span = select_range(wanted_range, version.size) if applies else None
    if span is None:
        return _whole(version)
    # Checksums are those of the whole object, which a range is not.
    return _Selection(span, partial=True)


def _whole(version: Version, *, partial: bool = False) -> _Selection:
    return _Selection(
        ByteRange(0, version.size),
        partial,
        checksums=version.checksums,
        checksum_type=version.checksum_type,
    )


def _select_part(version: Version, number: int) -> _Selection:
    """Select one part of a multipart object; an object that was put whole is its own part 1."""
    if not version.upload_id:
        if number != 1:
            raise RequestRefused("InvalidPartNumber", PartNumberRequested=str(number))
        return _whole(version, partial=version.size > 0)
    start = 0
    for part in version.parts:
        if part.number == number:
            span = ByteRange(start, start + part.size)
            count = {"x-amz-mp-parts-count": str(len(version.parts))}
            # Of an object with a checksum, show the part's own of the same algorithm.
            shown = part.checksums.items()
            own = {name: value for name, value in shown if name in version.checksums}
            return _Selection(span, span.size > 0, count, own, version.checksum_type)
        start += part.size
    raise RequestRefused(
        "InvalidPartNumber",
        PartNumberRequested=str(number),
        ActualPartCount=str(len(version.parts)),
    )


async def _head(
    call: Call, version: Version, selection: _Selection, further: Mapping[str, str]
) -> tuple[int, dict[str, str]]:
    headers = object_headers(version.headers, version.user_metadata)
    headers |= _validators(version)
    headers |= storage_class_header(version)
    headers |= selection.headers
    bucket = await call.store.head_bucket(call.bucket)
    headers |= version_header(bucket, version)
    headers |= await expiration_of_read(call, bucket, version)
    headers |= await _said_beside(call, version)
    headers["Accept-Ranges"] = "bytes"
    headers["Content-Length"] = str(selection.span.size)
    if selection.partial:
        headers["Content-Range"] = selection.span.content_range(version.size)
    if (parameter(call.request, "x-amz-checksum-mode") or "").upper() == "ENABLED":
        headers |= checksum_headers(selection.checksums, selection.checksum_type)
    headers |= further
    return (206 if selection.partial else 200), headers


async def _said_beside(call: Call, version: Version) -> dict[str, str]:
    """Return the headers for what is said about a version, where there is something to say.

    "x-amz-tagging-count: The number of tags, if any, on the object, when you have the relevant
    permission to read object tags." "This header is only returned if the requester has the
    s3:GetObjectRetention permission", and so for the legal hold.
    """
    if not (version.tags or version.retention_mode or version.legal_hold):
        return {}
    gate = await gate_of(call, call.bucket)
    versioned = call.request.query.has("versionId")

    def shown(action: str) -> bool:
        return gate.allows(named(action, versioned=versioned), call.key, version)

    headers: dict[str, str] = {}
    if version.tags and shown("s3:GetObjectTagging"):
        headers["x-amz-tagging-count"] = str(len(version.tags))
    if version.retention_mode and shown("s3:GetObjectRetention"):
        headers["x-amz-object-lock-mode"] = version.retention_mode
        headers["x-amz-object-lock-retain-until-date"] = iso_date(version.retain_until_ms)
    if version.legal_hold and shown("s3:GetObjectLegalHold"):
        headers["x-amz-object-lock-legal-hold"] = "ON"
    return headers

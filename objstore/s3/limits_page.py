"""docs/protocol/limits.md, generated: every limit of the API that a client can meet, in one table.

Written by `python -m objstore.s3.limits_page > docs/protocol/limits.md`.
"""
# ruff: noqa: E501 - a row of a table is one line

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from objstore import limits
from objstore.limits import GIB, KIB, MIB
from objstore.s3.error_codes import ERROR_CODES


@dataclass(frozen=True, slots=True)
class Limit:
    """One row: a bound of limits.py, what it bounds, and how a request beyond it is answered."""

    name: str
    what: str
    error: str  # its code; "" where the answer is the row's remark
    remark: str = ""

    @property
    def value(self) -> int:
        """The figure."""
        figure = getattr(limits, self.name)
        assert isinstance(figure, int), self.name
        return figure


# Of the API: the AWS figure each time. The order is that of limits.py.
OF_THE_API: Final = (
    Limit("OBJECT_PUT_BYTES_MAX", "object in one PutObject, part, source of one copy", "EntityTooLarge", "InvalidRequest for the source of a copy"),
    Limit("OBJECT_BYTES_MAX", "object of parts", "InvalidArgument", "10,000 parts of 5 GiB are below it; x-amz-mp-object-size above it is refused"),
    Limit("PART_BYTES_MIN", "part but the last, at least", "EntityTooSmall", "when the upload is completed"),
    Limit("PART_NUMBER_MAX", "number of a part, and parts of an upload", "InvalidArgument"),
    Limit("KEY_BYTES_MAX", "object key, in UTF-8", "KeyTooLongError"),
    Limit("USER_METADATA_BYTES_MAX", "user metadata of an object: names and values in UTF-8", "MetadataTooLarge"),
    Limit("REDIRECT_LOCATION_BYTES_MAX", "x-amz-website-redirect-location", "InvalidRedirectLocation"),
    Limit("LIST_KEYS_MAX", "entries in a page of a listing: keys, versions, uploads, parts", "", "more are not refused: the page has this many"),
    Limit("DELETE_KEYS_MAX", "keys in a DeleteObjects", "MalformedXML"),
    Limit("BUCKET_TAGS_MAX", "tags of a bucket", "InvalidTag"),
    Limit("OBJECT_TAGS_MAX", "tags of an object", "InvalidTag"),
    Limit("TAG_KEY_CHARACTERS_MAX", "key of a tag, in characters", "InvalidTag"),
    Limit("TAG_VALUE_CHARACTERS_MAX", "value of a tag, in characters", "InvalidTag"),
    Limit("CORS_RULES_MAX", "CORS rules of a bucket", "InvalidRequest"),
    Limit("CORS_DOCUMENT_BYTES_MAX", "CORS configuration of a bucket", "MaxMessageLengthExceeded"),
    Limit("LIFECYCLE_RULES_MAX", "lifecycle rules of a bucket", "InvalidRequest"),
    Limit("NEWER_NONCURRENT_VERSIONS_MAX", "noncurrent versions that a lifecycle rule keeps", "InvalidArgument"),
    Limit("RULE_ID_CHARACTERS_MAX", "id of a rule, in characters", "InvalidArgument"),
    Limit("REPLICATION_RULES_MAX", "replication rules of a bucket", "InvalidRequest"),
    Limit("ROUTING_RULES_MAX", "routing rules of a website", "InvalidRequest"),
    Limit("NOTIFICATION_RULES_MAX", "notifications of a bucket", "InvalidArgument"),
    Limit("RETENTION_DAYS_MAX", "retention by default, in days", "InvalidRetentionPeriod"),
    Limit("RETENTION_YEARS_MAX", "retention by default, in years", "InvalidRetentionPeriod"),
    Limit("ANNOTATION_NAME_BYTES_MAX", "name of an annotation, in UTF-8", "AnnotationNameTooLong"),
    Limit("PRESIGN_SECONDS_MAX", "life of a presigned URL, in seconds", "AuthorizationQueryParametersError"),
    Limit("CLOCK_SKEW_SECONDS_MAX", "between the time of a request and the server's, in seconds", "RequestTimeTooSkewed"),
    Limit("POLICY_BYTES_MAX", "bucket policy", "MalformedPolicy"),
    Limit("ACL_GRANTS_MAX", "grants of an access control list", "MalformedACLError"),
)  # fmt: skip
# What a client may make a server hold or do at a time.
OF_REQUESTS: Final = (
    Limit("DOCUMENT_BYTES_MAX", "XML document in a request", "MalformedXML", "a Complete of 10,000 parts with checksums fits"),
    Limit("XML_ELEMENTS_MAX", "elements in an XML document", "MalformedXML"),
    Limit("SIGNED_CHUNK_BYTES_MIN", "signed chunk but the last, at least", "InvalidChunkSizeError"),
    Limit("CHUNK_DATA_BYTES_MAX", "signed chunk", "IncompleteBody"),
    Limit("CHUNK_HEADER_BYTES_MAX", "header of a chunk", "IncompleteBody"),
    Limit("TRAILER_BYTES_MAX", "trailer of a chunked body", "MalformedTrailerError"),
    Limit("HEADER_LINE_BYTES_MAX", "line of the request's head", "RequestHeaderSectionTooLarge"),
    Limit("POST_FIELDS_BYTES_MAX", "fields of a posted form in front of the file", "MaxPostPreDataLengthExceededError"),
    Limit("CORS_REQUEST_HEADERS_MAX", "names in Access-Control-Request-Headers", "BadRequest"),
    Limit("REQUESTS_IN_FLIGHT_MAX", "requests one worker serves at a time", "SlowDown", "unless requests_in_flight says another"),
)  # fmt: skip
assert {row.error for row in OF_THE_API + OF_REQUESTS} <= {"", *ERROR_CODES}
assert all(row.error or row.remark for row in OF_THE_API + OF_REQUESTS)

_INTRODUCTION: Final = """\
# Limits

Generated from `objstore/limits.py` by `python -m objstore.s3.limits_page`; a test holds it current,
and another holds the figures of the first table against AWS's. What an error code means is in the
[table of errors](s3-support.md#errors).
"""
_SECTION: Final = """
## {title}

| what | limit | a request beyond it | in `limits.py` |
|---|---|---|---|
"""


def render() -> str:
    """Return the page."""
    return "".join(_pieces())


def _pieces() -> Iterator[str]:
    yield _INTRODUCTION
    for title, rows in (
        ("Of the API, as on AWS", OF_THE_API),
        ("Of one request, and of all at once", OF_REQUESTS),
    ):
        yield _SECTION.format(title=title)
        yield from (_row(row) for row in rows)


def _row(row: Limit) -> str:
    answer = "; ".join(filter(None, (_status(row.error), row.remark)))
    return f"| {row.what} | {_figure(row)} | {answer} | `{row.name}` |\n"


def _status(code: str) -> str:
    return f"{ERROR_CODES[code].status} {code}" if code else ""


def _figure(row: Limit) -> str:
    """Say bytes in the largest unit that leaves a whole number, and other numbers as they are."""
    if "_BYTES_" not in row.name:
        return f"{row.value:,}"
    units = ((1024 * GIB, "TiB"), (GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"), (1, "bytes"))
    size, unit = next((size, unit) for size, unit in units if row.value % size == 0)
    return f"{row.value // size:,} {unit}"


if __name__ == "__main__":
    sys.stdout.write(render())

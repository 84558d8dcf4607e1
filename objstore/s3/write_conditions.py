"""Conditions on writes: If-Match and If-None-Match of Put, Complete, Copy and Delete."""

from objstore.engine.ports import UNCONDITIONAL, Precondition
from objstore.errors import RequestRefused
from objstore.limits import OBJECT_BYTES_MAX
from objstore.ondisk.record import Version
from objstore.wire.conditions import names_etag, parse_http_date
from objstore.wire.headers import integer, parameter
from objstore.wire.request import Request


def write_precondition(request: Request) -> Precondition:
    """Return what has to hold for a write.

    "If-None-Match: Uploads the object only if the object key name does not already exist in the
    bucket specified. Otherwise, Amazon S3 returns a 412 Precondition Failed error. [...] Expects
    the '*' (asterisk) character." "If-Match: Uploads the object only if the ETag (entity tag)
    value provided during the WRITE operation matches the ETag of the object in S3." And of an
    object that is not there: "the operation fails with a 404 Not Found".

    Raises:
        RequestRefused: NotImplemented, for an If-None-Match that is not "*".
    """
    wanted = request.headers.get("if-match")
    unwanted = request.headers.get("if-none-match")
    if unwanted is not None and unwanted.strip() != "*":
        raise RequestRefused(
            "NotImplemented",
            "A header you provided implies functionality that is not implemented: of a write,"
            " If-None-Match is * or absent.",
            Header="If-None-Match",
        )
    if wanted is None and unwanted is None:
        return UNCONDITIONAL

    def precondition(current: Version | None) -> None:
        if unwanted is not None and current is not None:
            raise RequestRefused("PreconditionFailed", Condition="If-None-Match")
        if wanted is None:
            return
        if current is None:
            raise RequestRefused("NoSuchKey")
        if not names_etag(wanted, current.etag):
            raise RequestRefused("PreconditionFailed", Condition="If-Match")

    return precondition


def delete_precondition(
    *, etag: str | None, modified_s: int | None, size: int | None
) -> Precondition:
    """Return what has to hold for a delete; a condition that is None was not sent.

    "If the ETag values do not match, the operation returns a 412 Precondition Failed error. [...]
    If the Timestamp matches or if the object doesn't exist, the operation returns a 204 Success (No
    Content) response."
    """
    if etag is None and modified_s is None and size is None:
        return UNCONDITIONAL

    def precondition(current: Version | None) -> None:
        if current is None:
            return
        if etag is not None and not names_etag(etag, current.etag):
            raise RequestRefused("PreconditionFailed", Condition="If-Match")
        if modified_s is not None and current.modified_ms // 1000 != modified_s:
            condition = "x-amz-if-match-last-modified-time"
            raise RequestRefused("PreconditionFailed", Condition=condition)
        if size is not None and current.size != size:
            raise RequestRefused("PreconditionFailed", Condition="x-amz-if-match-size")

    return precondition


def read_delete_precondition(request: Request) -> Precondition:
    """Return what the headers of a DeleteObject say has to hold.

    Raises:
        RequestRefused: InvalidArgument, for a time or a size that is none.
    """
    time = parameter(request, "x-amz-if-match-last-modified-time")
    modified_s = parse_http_date(time)
    if time is not None and modified_s is None:
        raise RequestRefused(
            "InvalidArgument",
            "x-amz-if-match-last-modified-time is no HTTP date.",
            ArgumentName="x-amz-if-match-last-modified-time",
            ArgumentValue=time[:100],
        )
    sent = parameter(request, "x-amz-if-match-size")
    size = None
    if sent is not None:
        size = integer("x-amz-if-match-size", sent, least=0, most=OBJECT_BYTES_MAX)
    etag = request.headers.get("if-match")
    return delete_precondition(etag=etag, modified_s=modified_s, size=size)

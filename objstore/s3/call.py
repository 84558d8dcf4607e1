"""What a handler is given and what it gives back, and the checks that many handlers share."""

import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from objstore.drive.api import Buffer
from objstore.engine.ports import Body, ObjectReader
from objstore.errors import RequestRefused
from objstore.iam.identities import ANONYMOUS_ID, Identities, Identity
from objstore.limits import (
    DOCUMENT_BYTES_MAX,
    KEY_BYTES_MAX,
    LIFECYCLE_DAY_SECONDS,
    OBJECT_PUT_BYTES_MAX,
)
from objstore.names import BucketName, ObjectKey, UploadId, VersionId
from objstore.s3.object_store import ObjectStore
from objstore.wire.digests import Digests
from objstore.wire.request import Request
from objstore.wire.xml_writer import url_encode

_UPLOAD_ID: Final = re.compile(r"[0-9A-Za-z._~-]{1,128}")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, verified, on its way to its handler."""

    store: ObjectStore
    request: Request
    body: Body
    caller: Identity | None  # None: nobody signed it
    identities: Identities
    region: str
    digests: Digests | None  # from prepare_digests, for operations that have a body
    now_ms: int
    ssec_over_http: bool = False  # believe customers' keys that came without TLS
    form: Mapping[str, str] | None = None  # the fields of a PostObject, by lower-case name
    lifecycle_day_s: int = LIFECYCLE_DAY_SECONDS
    tls_version: str = ""  # "1.2" or "1.3"
    # What was read to decide about the request is what it is answered with.
    found: dict[tuple[BucketName, ObjectKey, VersionId], ObjectReader] = field(default_factory=dict)

    @property
    def caller_id(self) -> str:
        """The canonical id of who asks: the owner of what the request makes."""
        return ANONYMOUS_ID if self.caller is None else self.caller.canonical_id

    @property
    def bucket(self) -> BucketName:
        """The bucket that is addressed; the route made sure of one."""
        assert self.request.bucket is not None
        return self.request.bucket

    @property
    def key(self) -> ObjectKey:
        """The key that is addressed; the route made sure of one."""
        assert self.request.key is not None
        return self.request.key


@dataclass(frozen=True, slots=True)
class Reply:
    """What to answer.

    A streamed body has its length in headers["Content-Length"], and so has the answer to a HEAD,
    whose body stays empty.
    """

    status: int
    headers: dict[str, str]
    body: bytes | AsyncIterator[Buffer] = b""


def xml_reply(body: bytes, headers: dict[str, str] | None = None) -> Reply:
    """Answer 200 with a document."""
    return Reply(200, {"Content-Type": "application/xml", **(headers or {})}, body)


async def read_body(call: Call) -> bytes:
    """Return the whole body of a request that carries a document, once its digests hold.

    Raises:
        RequestRefused: MalformedXML when it is too long; BadDigest and its kin.
    """
    assert call.digests is not None
    if call.body.size is not None and call.body.size > DOCUMENT_BYTES_MAX:
        raise RequestRefused("MalformedXML")
    pieces: list[bytes] = []
    size = 0
    while piece := await call.body.read():
        size += len(piece)
        if size > DOCUMENT_BYTES_MAX:
            raise RequestRefused("MalformedXML")
        pieces.append(bytes(piece))
        call.digests.update(pieces[-1])
    call.digests.verify()
    return b"".join(pieces)


def require_size(call: Call) -> int:
    """Return how long the body of a PutObject or UploadPart is going to be.

    Raises:
        RequestRefused: MissingContentLength, or EntityTooLarge above 5 GiB.
    """
    size = call.body.size
    if size is None:
        raise RequestRefused("MissingContentLength")
    if size > OBJECT_PUT_BYTES_MAX:
        raise RequestRefused(
            "EntityTooLarge", ProposedSize=str(size), MaxSizeAllowed=str(OBJECT_PUT_BYTES_MAX)
        )
    return size


def location_of(call: Call) -> str:
    """Return the URL of the object that is addressed, in the style of the request's own."""
    request = call.request
    path = url_encode(call.key)
    if not request.virtual_host:
        path = f"{call.bucket}/{path}"
    return f"{'https' if request.secure else 'http'}://{request.host}/{path}"


def check_object_key(text: str) -> ObjectKey:
    """Return a key that came from elsewhere than the path.

    Raises:
        RequestRefused: InvalidArgument or KeyTooLongError.
    """
    if not text or "\x00" in text:
        raise RequestRefused("InvalidArgument", "An object key has at least one byte and no NUL.")
    size = len(text.encode())
    if size > KEY_BYTES_MAX:
        raise RequestRefused("KeyTooLongError", Size=str(size), MaxSizeAllowed=str(KEY_BYTES_MAX))
    return ObjectKey(text)


def upload_id_of(call: Call) -> UploadId:
    """Return the upload a request names; what cannot be an id is the id of no upload.

    Raises:
        RequestRefused: NoSuchUpload.
    """
    text = call.request.query.get("uploadId") or ""
    if _UPLOAD_ID.fullmatch(text) is None:
        raise RequestRefused("NoSuchUpload", UploadId=text[:128])
    return UploadId(text)

"""What request headers say about an object, and how a response says it again.

A request's x-amz- headers may also stand in the query of a presigned URL (some SDKs put them
there); `parameter` reads both places, so no reader of one forgets the other.
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import REDIRECT_LOCATION_BYTES_MAX, USER_METADATA_BYTES_MAX
from objstore.wire.request import Request

METADATA_PREFIX: Final = "x-amz-meta-"
DEFAULT_CONTENT_TYPE: Final = "binary/octet-stream"
# The standard headers an object keeps, and how a response spells them.
STORED_HEADERS: Final = {
    "cache-control": "Cache-Control",
    "content-disposition": "Content-Disposition",
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "content-type": "Content-Type",
    "expires": "Expires",
}
# Kept with the object too, but "unique to each object and not copied".
REDIRECT_LOCATION: Final = "x-amz-website-redirect-location"
_REDIRECTS: Final = ("/", "http://", "https://")
# Each algorithm that x-amz-checksum-... may name here, and the bytes of its digest.
CHECKSUM_BYTES: Final = {
    "CRC32": 4,
    "CRC32C": 4,
    "CRC64NVME": 8,
    "SHA1": 20,
    "SHA256": 32,
    "SHA512": 64,
    "MD5": 16,
    "XXHASH64": 8,
    "XXHASH3": 8,
    "XXHASH128": 16,
}
CHECKSUM_HEADERS: Final = {name: f"x-amz-checksum-{name.lower()}" for name in CHECKSUM_BYTES}
# The checksums of no bytes, of the algorithms that SDKs compute by default or on request.
_OF_NOTHING: Final = {
    "CRC32": "AAAAAA==",
    "CRC32C": "AAAAAA==",
    "CRC64NVME": "AAAAAAAAAAA=",
    "SHA1": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
    "SHA256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
}
FULL_OBJECT: Final = "FULL_OBJECT"
COMPOSITE: Final = "COMPOSITE"
# The types each algorithm has for objects of parts, the default first. Only of CRCs can that of
# the whole be computed from those of the parts; AWS allows the others as checksums of checksums.
CHECKSUM_TYPES: Final = {
    **dict.fromkeys(CHECKSUM_BYTES, (COMPOSITE,)),
    "CRC32": (COMPOSITE, FULL_OBJECT),
    "CRC32C": (COMPOSITE, FULL_OBJECT),
    "CRC64NVME": (FULL_OBJECT,),
}
# "If you don't specify a checksum, Amazon S3 adds the default checksum, CRC64NVME".
DEFAULT_CHECKSUM: Final = "CRC64NVME"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_INTEGER: Final = re.compile(r"[0-9]{1,19}")
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def parameter(request: Request, name: str) -> str | None:
    """Return an x-amz- header, or the query parameter of a presigned URL that stands for it."""
    value = request.headers.get(name)
    return request.query.amz.get(name) if value is None else value


def parameters(request: Request) -> Iterator[tuple[str, str]]:
    """Yield every header, and every query parameter that stands for an x-amz- header."""
    headers = request.headers
    yield from headers.items()
    for name, value in request.query.amz.items():
        if name not in headers:
            yield name, value


def text_of(value: str) -> str:
    """Return a header's value as text, whichever way its bytes became a str.

    Bytes that are UTF-8 are read as UTF-8, others as ISO 8859-1.
    """
    if value.isascii():
        return value
    try:
        raw = value.encode("latin-1")
    except UnicodeEncodeError:
        if _SURROGATE.search(value) is None:
            return value
        raw = value.encode("utf-8", "surrogateescape")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def printable(name: str, value: str) -> str:
    """Return `value`, which is going to be sent back in a header, as text.

    Raises:
        RequestRefused: InvalidArgument, when it has control characters.
    """
    text = text_of(value)
    if _CONTROL.search(text) is not None:
        raise RequestRefused(
            "InvalidArgument",
            "Control characters are not allowed in a value that is returned in a header.",
            ArgumentName=name,
        )
    return text


def read_stored_headers(request: Request) -> dict[str, str]:
    """Return the standard headers that a new object keeps, by lower-case name."""
    kept = {}
    for name in STORED_HEADERS:
        value = request.headers.get(name)
        if value:
            kept[name] = printable(name, value)
    if "content-encoding" in kept:
        kept["content-encoding"] = _without_framing(kept["content-encoding"])
    kept.setdefault("content-type", DEFAULT_CONTENT_TYPE)
    kept |= read_redirect_location(request)
    return {name: value for name, value in kept.items() if value}


def read_redirect_location(request: Request) -> dict[str, str]:
    """Return x-amz-website-redirect-location by its name; nothing without it.

    "Redirects requests for this object to another object in the same bucket or to an external
    URL. Amazon S3 stores the value of this header in the object metadata."

    Raises:
        RequestRefused: InvalidRedirectLocation; InvalidArgument for control characters.
    """
    value = parameter(request, REDIRECT_LOCATION)
    if value is None:
        return {}
    location = printable(REDIRECT_LOCATION, value)
    if not location.startswith(_REDIRECTS):
        raise RequestRefused("InvalidRedirectLocation")
    if len(location.encode()) > REDIRECT_LOCATION_BYTES_MAX:
        raise RequestRefused(
            "InvalidRedirectLocation",
            "The length of website redirect location cannot exceed"
            f" {REDIRECT_LOCATION_BYTES_MAX:,} characters.",
        )
    return {REDIRECT_LOCATION: location}


def _without_framing(encodings: str) -> str:
    """Drop "aws-chunked", which describes the request's framing and not the object."""
    kept = [item.strip() for item in encodings.split(",")]
    return ",".join(item for item in kept if item and item.lower() != "aws-chunked")


def read_user_metadata(request: Request) -> dict[str, str]:
    """Return x-amz-meta-* without the prefix.

    "The user-defined metadata is limited to 2 KB in size. [...] measured by taking the sum of
    the number of bytes in the UTF-8 encoding of each key and value."

    Raises:
        RequestRefused: MetadataTooLarge, or InvalidArgument for control characters.
    """
    metadata = {}
    for name, value in parameters(request):
        if name.startswith(METADATA_PREFIX):
            metadata[name.removeprefix(METADATA_PREFIX)] = printable(name, value)
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > USER_METADATA_BYTES_MAX:
        raise RequestRefused(
            "MetadataTooLarge", Size=str(size), MaxSizeAllowed=str(USER_METADATA_BYTES_MAX)
        )
    return metadata


def object_headers(stored: Mapping[str, str], metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the response headers for what an object keeps.

    "If the metadata contains non-US-ASCII characters, they are encoded as RFC 2047."
    """
    response = {STORED_HEADERS[name]: stored[name] for name in STORED_HEADERS if name in stored}
    if REDIRECT_LOCATION in stored:
        response[REDIRECT_LOCATION] = stored[REDIRECT_LOCATION]
    for name, value in metadata.items():
        response[METADATA_PREFIX + name] = value if value.isascii() else _encoded_word(value)
    return response


def _encoded_word(text: str) -> str:
    return f"=?UTF-8?B?{base64.b64encode(text.encode()).decode()}?="


def quoted(etag: str) -> str:
    """Return an entity tag as a header has it."""
    return f'"{etag}"'


def integer(name: str, text: str, *, least: int, most: int) -> int:
    """Return a number that a client sent, by its grammar first.

    Raises:
        RequestRefused: InvalidArgument, when it is no plain decimal or outside the bounds.
    """
    if _INTEGER.fullmatch(text) is None:
        raise RequestRefused(
            "InvalidArgument",
            f"Provided {name} not an integer or within integer range",
            ArgumentName=name,
            ArgumentValue=text,
        )
    value = int(text)
    if not least <= value <= most:
        raise RequestRefused(
            "InvalidArgument",
            f"Argument {name} must be an integer between {least} and {most}",
            ArgumentName=name,
            ArgumentValue=text,
        )
    return value


@dataclass(frozen=True, slots=True)
class ChecksumClaim:
    """The additional checksum that a client named; all empty when it named none.

    `value` is None when the value comes in a trailer, after the body, and when the client leaves
    it to the server (x-amz-checksum-algorithm without a value).
    """

    algorithm: str = ""
    value: bytes | None = None
    trailing: bool = False


def read_checksum(request: Request) -> ChecksumClaim:
    """Return what the headers say about the body's checksum.

    The SDK for JavaScript makes its links to upload by with the checksum of an empty body in
    their query, since it does not know the body. AWS takes any body by such a link, and so that
    value is no claim; the algorithm is.

    Raises:
        RequestRefused: InvalidRequest, when they name several, contradict each other, or when
            a value is no digest of its algorithm.
    """
    sent = {
        name: value
        for name, header in CHECKSUM_HEADERS.items()
        if (value := parameter(request, header)) is not None
    }
    trailing = _trailing_algorithms(request)
    if len(sent) + len(trailing) > 1:
        raise RequestRefused(
            "InvalidRequest",
            "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.",
        )
    declared = (parameter(request, "x-amz-sdk-checksum-algorithm") or "").upper()
    if declared:
        _agree(declared, [*sent, *trailing])
    chosen = read_checksum_algorithm(request)
    if chosen and chosen not in ([*sent, *trailing] or [chosen]):
        raise _contradiction("x-amz-checksum-algorithm", chosen, [*sent, *trailing][0])
    if sent:
        ((name, value),) = sent.items()
        if CHECKSUM_HEADERS[name] not in request.headers and value == _OF_NOTHING.get(name):
            return ChecksumClaim(name)
        return ChecksumClaim(name, decode_checksum(name, value))
    if trailing:
        return ChecksumClaim(trailing[0], None, trailing=True)
    return ChecksumClaim(chosen)


def read_checksum_algorithm(request: Request) -> str:
    """Return the algorithm that x-amz-checksum-algorithm names, "" without it.

    Raises:
        RequestRefused: InvalidRequest. "Unrecognized or unsupported values will respond with the
            HTTP status code 400 Bad Request."
    """
    algorithm = (parameter(request, "x-amz-checksum-algorithm") or "").upper()
    if algorithm and algorithm not in CHECKSUM_BYTES:
        raise unknown_algorithm("x-amz-checksum-algorithm", algorithm)
    return algorithm


def _trailing_algorithms(request: Request) -> list[str]:
    declared = request.headers.get("x-amz-trailer") or ""
    trailers = [item.strip().lower() for item in declared.split(",")]
    return [name for name, header in CHECKSUM_HEADERS.items() if header in trailers]


def _agree(declared: str, found: list[str]) -> None:
    if declared not in CHECKSUM_BYTES:
        raise unknown_algorithm("x-amz-sdk-checksum-algorithm", declared)
    if not found:
        raise RequestRefused(
            "InvalidRequest",
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or"
            " x-amz-trailer headers were found.",
        )
    if found != [declared]:
        raise _contradiction("x-amz-sdk-checksum-algorithm", declared, found[0])


def _contradiction(header: str, declared: str, found: str) -> RequestRefused:
    return RequestRefused(
        "InvalidRequest",
        f"Value for {header} header is {declared}, but the checksum sent is {found}.",
    )


def unknown_algorithm(header: str, value: str) -> RequestRefused:
    """Return the refusal of an algorithm that is none of CHECKSUM_BYTES."""
    return RequestRefused(
        "InvalidRequest",
        "Checksum algorithm provided is unsupported. Please try again with any of the valid"
        f" types: [{', '.join(sorted(CHECKSUM_BYTES))}]",
        ArgumentName=header,
        ArgumentValue=value,
    )


def decode_checksum(algorithm: str, text: str) -> bytes:
    """Return the digest that a checksum header or trailer holds in base64.

    Raises:
        RequestRefused: InvalidRequest, when it is no digest of that algorithm.
    """
    value = _decode_base64(text)
    if value is None or len(value) != CHECKSUM_BYTES[algorithm]:
        raise RequestRefused(
            "InvalidRequest", f"Value for {CHECKSUM_HEADERS[algorithm]} header is invalid."
        )
    return value


def read_content_md5(request: Request) -> bytes | None:
    """Return the digest in Content-MD5, or None without the header.

    Raises:
        RequestRefused: InvalidDigest, when it is no MD5 in base64.
    """
    text = request.headers.get("content-md5")
    if text is None:
        return None
    value = _decode_base64(text)
    if value is None or len(value) != 16:
        raise RequestRefused("InvalidDigest", **{"Content-MD5": text})
    return value


def _decode_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def read_upload_checksum(request: Request) -> tuple[str, str]:
    """Return the algorithm and type that a new multipart upload is to have ("" for none).

    Raises:
        RequestRefused: InvalidRequest, for an unknown one or a pair that does not go together.
    """
    algorithm = read_checksum_algorithm(request)
    kind = (parameter(request, "x-amz-checksum-type") or "").upper()
    if not algorithm:
        if kind:
            raise RequestRefused(
                "InvalidRequest",
                "The x-amz-checksum-type header can only be used with the"
                " x-amz-checksum-algorithm header.",
            )
        return "", ""
    allowed = CHECKSUM_TYPES[algorithm]
    if kind and kind not in allowed:
        raise RequestRefused(
            "InvalidRequest",
            f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum"
            " algorithm.",
        )
    return algorithm, kind or allowed[0]

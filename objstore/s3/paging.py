"""What all listings read alike: encoding, limits, prefix and delimiter."""

from typing import Final

from objstore.errors import RequestRefused
from objstore.s3.call import Call
from objstore.wire.documents import Encode
from objstore.wire.headers import integer
from objstore.wire.xml_writer import escape, url_encode

_COUNT_MAX: Final = 2**31 - 1


def text_parameter(call: Call, name: str) -> str:
    """Return a query parameter, "" when it is absent."""
    return call.request.query.get(name) or ""


def count_parameter(call: Call, name: str, most: int) -> int:
    """Return how many entries a page may have; more than `most` counts as `most`, as on AWS.

    Raises:
        RequestRefused: InvalidArgument, for what is no number.
    """
    text = text_parameter(call, name)
    if not text:
        return most
    return min(integer(name, text, least=0, most=_COUNT_MAX), most)


def read_encoding(call: Call) -> Encode:
    """Return how keys are written: escaped, or with encoding-type=url percent-encoded.

    Raises:
        RequestRefused: InvalidArgument, for any other encoding.
    """
    wanted = text_parameter(call, "encoding-type")
    if not wanted:
        return escape
    if wanted.lower() != "url":
        raise RequestRefused(
            "InvalidArgument",
            "Invalid Encoding Method specified in Request",
            ArgumentName="encoding-type",
            ArgumentValue=wanted,
        )
    return url_encode


def encoding_head(encode: Encode) -> list[tuple[str, str]]:
    """Return the element that says how keys are written, when it is not the usual way."""
    return [("EncodingType", "url")] if encode is url_encode else []


def delimiter_head(delimiter: str, encode: Encode) -> list[tuple[str, str]]:
    """Return the element that repeats the delimiter, when there was one."""
    return [("Delimiter", encode(delimiter))] if delimiter else []


def flag(*, value: bool) -> str:
    """Return a boolean as XML has it."""
    return "true" if value else "false"

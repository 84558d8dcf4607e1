"""Tagging: the tags of a bucket or of an object, as a document and as the header x-amz-tagging.

"A tag key can be up to 128 Unicode characters in length, and tag values can be up to 256 Unicode
characters in length. [...] The key and values are case sensitive."
"""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import quote, unquote_to_bytes

from objstore.errors import RequestRefused
from objstore.limits import (
    BUCKET_TAGS_MAX,
    OBJECT_TAGS_MAX,
    TAG_KEY_CHARACTERS_MAX,
    TAG_VALUE_CHARACTERS_MAX,
)
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaf

Owner = Literal["bucket", "object"]

TAG_RULE: Final = Element(
    "Tag", (Element("Key", required=True), Element("Value", required=True)), many=True
)
_TAGGING: Final = Element("Tagging", (Element("TagSet", (TAG_RULE,), required=True),))
_PUNCTUATION: Final = frozenset("+-=._:/@")
_RESERVED: Final = "aws:"
_MAX: Final = {"bucket": BUCKET_TAGS_MAX, "object": OBJECT_TAGS_MAX}
_TOO_MANY: Final = {
    "bucket": f"Bucket tags cannot be greater than {BUCKET_TAGS_MAX}",
    "object": f"Object tags cannot be greater than {OBJECT_TAGS_MAX}",
}
_SYSTEM_TAG: Final = {
    "bucket": "System tags cannot be added/updated by requester",
    "object": "Your TagKey cannot be prefixed with aws:",
}


@dataclass(frozen=True, slots=True)
class Tag:
    """One tag."""

    key: str
    value: str


Tags = tuple[Tag, ...]


def read_bucket_tagging(data: bytes) -> Tags:
    """Read what PutBucketTagging asks for: at most 50 tags.

    Raises:
        RequestRefused: MalformedXML; InvalidTag.
    """
    return _read(data, "bucket")


def read_object_tagging(data: bytes) -> Tags:
    """Read what PutObjectTagging asks for: at most 10 tags.

    Raises:
        RequestRefused: MalformedXML; InvalidTag.
    """
    return _read(data, "object")


def _read(data: bytes, owner: Owner) -> Tags:
    node = read_document(data, _TAGGING)
    (tag_set,) = node.all("TagSet")
    return check_tags(read_tags(tag_set), owner)


def read_tags(node: Node) -> Tags:
    """Return the Tag elements below `node`, as they were sent."""
    return tuple(
        Tag(entry.text_of("Key") or "", entry.text_of("Value") or "") for entry in node.all("Tag")
    )


def check_tags(tags: Tags, owner: Owner) -> Tags:
    """Return `tags` when they may be those of a bucket or of an object.

    Raises:
        RequestRefused: InvalidTag, "for example, your request might contain duplicate keys, keys
            or values that are too long, or system tags".
    """
    if len(tags) > _MAX[owner]:
        raise RequestRefused("InvalidTag", _TOO_MANY[owner])
    seen: set[str] = set()
    for tag in tags:
        if tag.key in seen:
            raise RequestRefused(
                "InvalidTag", "Cannot provide multiple Tags with the same key", TagKey=tag.key
            )
        seen.add(tag.key)
        if tag.key.lower().startswith(_RESERVED):
            raise RequestRefused("InvalidTag", _SYSTEM_TAG[owner], TagKey=tag.key)
        check_tag(tag)
    return tags


def check_tag(tag: Tag) -> None:
    """Accept one tag's key and value, by length and by character.

    "The allowed characters across services are: letters (a-z, A-Z), numbers (0-9), and spaces
    representable in UTF-8, and the following characters: + - = . _ : / @."

    Raises:
        RequestRefused: InvalidTag.
    """
    if not 1 <= _characters(tag.key) <= TAG_KEY_CHARACTERS_MAX or not _allowed(tag.key):
        raise RequestRefused(
            "InvalidTag", "The TagKey you have provided is invalid", TagKey=tag.key[:200]
        )
    if _characters(tag.value) > TAG_VALUE_CHARACTERS_MAX or not _allowed(tag.value):
        raise RequestRefused(
            "InvalidTag",
            "The TagValue you have provided is invalid",
            TagKey=tag.key,
            TagValue=tag.value[:300],
        )


def _characters(text: str) -> int:
    """Count as AWS does: "in UTF-16, characters consume either 1 or 2 character positions"."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _allowed(text: str) -> bool:
    return all(
        character in _PUNCTUATION or unicodedata.category(character)[0] in "LNZ"
        for character in text
    )


def write_tagging(tags: Iterable[Tag]) -> bytes:
    """Write what GetBucketTagging and GetObjectTagging answer."""
    return document("Tagging", f"<TagSet>{tag_elements(tags)}</TagSet>")


def tag_elements(tags: Iterable[Tag]) -> str:
    """Return a Tag element for each tag."""
    return "".join(f"<Tag>{leaf('Key', tag.key)}{leaf('Value', tag.value)}</Tag>" for tag in tags)


def read_tagging_header(value: str) -> Tags:
    """Read x-amz-tagging: "The tag-set must be encoded as URL Query parameters".

    Raises:
        RequestRefused: InvalidArgument for what is no such encoding or has a key twice;
            InvalidTag for a tag that no object may have.
    """
    pieces = [piece for piece in value.split("&") if piece]
    tags = tuple(_decoded(piece, value) for piece in pieces)
    if len({tag.key for tag in tags}) != len(tags):
        raise _not_encoded(value)
    return check_tags(tags, "object")


def _decoded(piece: str, header: str) -> Tag:
    key, _, value = piece.partition("=")
    if "=" in value:
        raise _not_encoded(header)
    try:
        return Tag(_unquote(key), _unquote(value))
    except (UnicodeDecodeError, UnicodeEncodeError) as error:
        raise _not_encoded(header) from error


def _unquote(text: str) -> str:
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")


def _not_encoded(header: str) -> RequestRefused:
    return RequestRefused(
        "InvalidArgument",
        "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters"
        " without tag name duplicates.",
        ArgumentName="x-amz-tagging",
        ArgumentValue=header[:500],
    )


def write_tagging_header(tags: Iterable[Tag]) -> str:
    """Return tags as x-amz-tagging carries them."""
    return "&".join(f"{quote(tag.key, safe='')}={quote(tag.value, safe='')}" for tag in tags)

"""CORSConfiguration: which pages of other origins a browser may let use a bucket."""

import re
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import CORS_DOCUMENT_BYTES_MAX, CORS_RULES_MAX, RULE_ID_CHARACTERS_MAX
from objstore.wire.leaf_values import malformed, number
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaf

METHODS: Final = ("GET", "PUT", "HEAD", "POST", "DELETE")
_CONFIGURATION: Final = Element(
    "CORSConfiguration",
    (
        Element(
            "CORSRule",
            (
                Element("ID"),
                Element("AllowedHeader", many=True),
                Element("AllowedMethod", many=True, required=True),
                Element("AllowedOrigin", many=True, required=True),
                Element("ExposeHeader", many=True),
                Element("MaxAgeSeconds"),
            ),
            many=True,
            required=True,
        ),
    ),
)
# What a rule says is sent back in headers: nothing there may end a line or need an encoding.
_HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_ORIGIN: Final = re.compile(r"[\x21-\x7e]+")
_MAX_AGE_S: Final = 2**31 - 1


@dataclass(frozen=True, slots=True)
class CorsRule:
    """One rule. An origin or an allowed header may have one "*", which stands for any text."""

    methods: tuple[str, ...]
    origins: tuple[str, ...]
    allowed_headers: tuple[str, ...] = ()
    exposed_headers: tuple[str, ...] = ()
    max_age_s: int | None = None
    rule_id: str | None = None


CorsRules = tuple[CorsRule, ...]


def read_cors(data: bytes) -> CorsRules:
    """Read what PutBucketCors asks for.

    "You can add up to 100 rules to the configuration." "The document is limited to 64 KB in size."

    Raises:
        RequestRefused: MalformedXML; InvalidRequest; InvalidArgument; MaxMessageLengthExceeded.
    """
    if len(data) > CORS_DOCUMENT_BYTES_MAX:
        raise RequestRefused("MaxMessageLengthExceeded", MaxMessageLengthBytes="65536")
    rules = read_document(data, _CONFIGURATION).all("CORSRule")
    if len(rules) > CORS_RULES_MAX:
        raise RequestRefused(
            "InvalidRequest",
            f"The number of CORS rules should not exceed allowed limit of {CORS_RULES_MAX} rules.",
        )
    return tuple(_rule(rule) for rule in rules)


def _rule(node: Node) -> CorsRule:
    rule_id = node.text_of("ID")
    if rule_id is not None and len(rule_id) > RULE_ID_CHARACTERS_MAX:
        raise RequestRefused(
            "InvalidArgument",
            f"ID length should not exceed allowed limit of {RULE_ID_CHARACTERS_MAX}",
            ArgumentName="ID",
        )
    max_age_s = number(node, "MaxAgeSeconds")
    if max_age_s is not None and not 0 <= max_age_s <= _MAX_AGE_S:
        raise malformed("MaxAgeSeconds is out of range")
    return CorsRule(
        tuple(_method(text) for text in _texts(node, "AllowedMethod")),
        tuple(_pattern("AllowedOrigin", text, _ORIGIN) for text in _texts(node, "AllowedOrigin")),
        tuple(
            _pattern("AllowedHeader", text, _HEADER_NAME) for text in _texts(node, "AllowedHeader")
        ),
        tuple(_exposed(text) for text in _texts(node, "ExposeHeader")),
        max_age_s,
        rule_id,
    )


def _texts(node: Node, name: str) -> list[str]:
    return [entry.text.strip() for entry in node.all(name)]


def _method(text: str) -> str:
    if text not in METHODS:
        raise RequestRefused(
            "InvalidRequest",
            f"Found unsupported HTTP method in CORS config. Unsupported method is {text[:100]}",
        )
    return text


def _pattern(name: str, text: str, grammar: re.Pattern[str]) -> str:
    if text.count("*") > 1:
        raise RequestRefused(
            "InvalidRequest", f'{name} "{text[:200]}" can not have more than one wildcard.'
        )
    if grammar.fullmatch(text) is None:
        raise RequestRefused("InvalidRequest", f'{name} "{text[:200]}" is not valid.')
    return text


def _exposed(text: str) -> str:
    if "*" in text:
        raise RequestRefused(
            "InvalidRequest",
            f'ExposeHeader "{text[:200]}" contains wildcard. We currently do not support wildcard'
            " for ExposeHeader.",
        )
    return _pattern("ExposeHeader", text, _HEADER_NAME)


def write_cors(rules: CorsRules) -> bytes:
    """Write what GetBucketCors answers."""
    return document("CORSConfiguration", "".join(_written(rule) for rule in rules))


def _written(rule: CorsRule) -> str:
    pieces = [leaf("ID", rule.rule_id)] if rule.rule_id is not None else []
    for name, texts in (
        ("AllowedHeader", rule.allowed_headers),
        ("AllowedMethod", rule.methods),
        ("AllowedOrigin", rule.origins),
        ("ExposeHeader", rule.exposed_headers),
    ):
        pieces += [leaf(name, text) for text in texts]
    if rule.max_age_s is not None:
        pieces.append(leaf("MaxAgeSeconds", str(rule.max_age_s)))
    return f"<CORSRule>{''.join(pieces)}</CORSRule>"

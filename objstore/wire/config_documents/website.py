"""WebsiteConfiguration: how a bucket answers as a web site."""

import re
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import ROUTING_RULES_MAX
from objstore.wire.leaf_values import malformed, required, word
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaf

_CONFIGURATION: Final = Element(
    "WebsiteConfiguration",
    (
        Element("IndexDocument", (Element("Suffix"),)),
        Element("ErrorDocument", (Element("Key"),)),
        Element("RedirectAllRequestsTo", (Element("HostName"), Element("Protocol"))),
        Element(
            "RoutingRules",
            (
                Element(
                    "RoutingRule",
                    (
                        Element(
                            "Condition",
                            (Element("KeyPrefixEquals"), Element("HttpErrorCodeReturnedEquals")),
                        ),
                        Element(
                            "Redirect",
                            (
                                Element("Protocol"),
                                Element("HostName"),
                                Element("ReplaceKeyPrefixWith"),
                                Element("ReplaceKeyWith"),
                                Element("HttpRedirectCode"),
                            ),
                            required=True,
                        ),
                    ),
                    many=True,
                    required=True,
                ),
            ),
        ),
    ),
)
_REDIRECT_CODE: Final = re.compile(r"3(?!00)[0-9]{2}")
_ERROR_CODE: Final = re.compile(r"[45][0-9]{2}")


@dataclass(frozen=True, slots=True)
class RedirectAll:
    """Where every request is sent to."""

    host: str
    protocol: str | None = None


@dataclass(frozen=True, slots=True)
class RoutingRule:
    """When to redirect (None: no such condition), and what changes in the address."""

    key_prefix: str | None = None
    error_code: str | None = None
    protocol: str | None = None
    host: str | None = None
    replace_prefix: str | None = None
    replace_key: str | None = None
    redirect_code: str | None = None


@dataclass(frozen=True, slots=True)
class Website:
    """Either `redirect_all`, or an index suffix with what may come with it."""

    index_suffix: str | None = None
    error_key: str | None = None
    redirect_all: RedirectAll | None = None
    rules: tuple[RoutingRule, ...] = ()


def read_website(data: bytes) -> Website:
    """Read what PutBucketWebsite asks for.

    Raises:
        RequestRefused: MalformedXML; InvalidArgument; InvalidRequest.
    """
    node = read_document(data, _CONFIGURATION)
    redirect = node.one("RedirectAllRequestsTo")
    if redirect is not None:
        if len(node.children) > 1:
            raise RequestRefused(
                "InvalidArgument",
                "RedirectAllRequestsTo cannot be provided in conjunction with other Routing Rules.",
                ArgumentName="RedirectAllRequestsTo",
                ArgumentValue="not null",
            )
        return Website(redirect_all=_redirect_all(redirect))
    routing = node.one("RoutingRules")
    rules = routing.all("RoutingRule") if routing is not None else []
    if len(rules) > ROUTING_RULES_MAX:
        raise RequestRefused(
            "InvalidRequest",
            f"The number of routing rules must not exceed the allowed limit of {ROUTING_RULES_MAX}"
            " rules.",
        )
    return Website(
        _index(node.one("IndexDocument")),
        _error_key(node.one("ErrorDocument")),
        rules=tuple(_rule(rule) for rule in rules),
    )


def _redirect_all(node: Node) -> RedirectAll:
    host = word(node, "HostName")
    if not host:
        raise malformed("RedirectAllRequestsTo needs HostName")
    return RedirectAll(host, _protocol(node))


def _protocol(node: Node) -> str | None:
    protocol = word(node, "Protocol")
    if protocol not in (None, "http", "https"):
        raise RequestRefused(
            "InvalidRequest",
            "Invalid protocol, protocol can be http or https. If not defined the protocol will be"
            " selected automatically.",
        )
    return protocol


def _index(node: Node | None) -> str:
    """Read the suffix, which "must not be empty and must not include a slash character"."""
    if node is None:
        raise RequestRefused(
            "InvalidArgument",
            "A value for IndexDocument Suffix must be provided if RedirectAllRequestsTo is empty",
            ArgumentName="IndexDocument",
            ArgumentValue="null",
        )
    suffix = node.text_of("Suffix") or ""
    if not suffix or "/" in suffix:
        raise RequestRefused(
            "InvalidArgument",
            "The IndexDocument Suffix is not well formed",
            ArgumentName="IndexDocument",
            ArgumentValue=suffix[:200],
        )
    return suffix


def _error_key(node: Node | None) -> str | None:
    if node is None:
        return None
    key = node.text_of("Key")
    if not key:
        raise malformed("ErrorDocument needs Key")
    return key


def _rule(node: Node) -> RoutingRule:
    condition = node.one("Condition")
    if condition is not None and not condition.children:
        raise RequestRefused(
            "InvalidRequest",
            "Condition cannot be empty. To redirect all requests without a condition, the"
            " condition element shouldn't be present.",
        )
    redirect = required(node, "Redirect")
    if not redirect.children:
        raise malformed("Redirect is empty")
    if redirect.all("ReplaceKeyPrefixWith") and redirect.all("ReplaceKeyWith"):
        raise RequestRefused(
            "InvalidRequest", "You can only define ReplaceKeyPrefix or ReplaceKey but not both."
        )
    return RoutingRule(
        condition.text_of("KeyPrefixEquals") if condition is not None else None,
        _error_code(condition),
        _protocol(redirect),
        word(redirect, "HostName"),
        redirect.text_of("ReplaceKeyPrefixWith"),
        redirect.text_of("ReplaceKeyWith"),
        _redirect_code(redirect),
    )


def _error_code(condition: Node | None) -> str | None:
    code = word(condition, "HttpErrorCodeReturnedEquals") if condition is not None else None
    if code is not None and _ERROR_CODE.fullmatch(code) is None:
        raise RequestRefused(
            "InvalidRequest",
            f"The provided HTTP error code ({code[:20]}) is not valid. Valid codes are 4XX or 5XX.",
        )
    return code


def _redirect_code(redirect: Node) -> str | None:
    code = word(redirect, "HttpRedirectCode")
    if code is not None and _REDIRECT_CODE.fullmatch(code) is None:
        raise RequestRefused(
            "InvalidRequest",
            f"The provided HTTP redirect code ({code[:20]}) is not valid. Valid codes are 3XX"
            " except 300.",
        )
    return code


def write_website(website: Website) -> bytes:
    """Write what GetBucketWebsite answers."""
    pieces = []
    if website.redirect_all is not None:
        inner = _given(
            ("HostName", website.redirect_all.host), ("Protocol", website.redirect_all.protocol)
        )
        pieces.append(f"<RedirectAllRequestsTo>{inner}</RedirectAllRequestsTo>")
    if website.index_suffix is not None:
        pieces.append(f"<IndexDocument>{leaf('Suffix', website.index_suffix)}</IndexDocument>")
    if website.error_key is not None:
        pieces.append(f"<ErrorDocument>{leaf('Key', website.error_key)}</ErrorDocument>")
    if website.rules:
        inner = "".join(_written(rule) for rule in website.rules)
        pieces.append(f"<RoutingRules>{inner}</RoutingRules>")
    return document("WebsiteConfiguration", "".join(pieces))


def _written(rule: RoutingRule) -> str:
    condition = _given(
        ("KeyPrefixEquals", rule.key_prefix), ("HttpErrorCodeReturnedEquals", rule.error_code)
    )
    redirect = _given(
        ("Protocol", rule.protocol),
        ("HostName", rule.host),
        ("ReplaceKeyPrefixWith", rule.replace_prefix),
        ("ReplaceKeyWith", rule.replace_key),
        ("HttpRedirectCode", rule.redirect_code),
    )
    when = f"<Condition>{condition}</Condition>" if condition else ""
    return f"<RoutingRule>{when}<Redirect>{redirect}</Redirect></RoutingRule>"


def _given(*fields: tuple[str, str | None]) -> str:
    return "".join(leaf(name, text) for name, text in fields if text is not None)

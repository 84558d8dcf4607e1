"""LifecycleConfiguration: what becomes of a bucket's objects as they grow old."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import (
    KEY_BYTES_MAX,
    LIFECYCLE_RULES_MAX,
    NEWER_NONCURRENT_VERSIONS_MAX,
    RULE_ID_CHARACTERS_MAX,
)
from objstore.wire.config_documents.tagging import Tags, check_tag, read_tags, tag_elements
from objstore.wire.leaf_values import (
    boolean,
    choice,
    date_ms,
    malformed,
    number,
    required_choice,
)
from objstore.wire.timestamps import exact_date
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaf

DAY_MS: Final = 86_400_000
_DAYS_MAX: Final = 2**31 - 1
_SIZES: Final = (Element("ObjectSizeGreaterThan"), Element("ObjectSizeLessThan"))
_TAG: Final = (Element("Key", required=True), Element("Value", required=True))
_STORAGE_CLASSES: Final = frozenset(
    {"GLACIER", "STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "DEEP_ARCHIVE", "GLACIER_IR"}
)
_FILTER: Final = Element(
    "Filter",
    (
        Element("Prefix"),
        Element("Tag", _TAG),
        *_SIZES,
        Element("And", (Element("Prefix"), Element("Tag", _TAG, many=True), *_SIZES)),
    ),
)
_RULE: Final = Element(
    "Rule",
    (
        Element("ID"),
        Element("Prefix"),
        _FILTER,
        Element("Status"),
        Element(
            "Expiration",
            (Element("Date"), Element("Days"), Element("ExpiredObjectDeleteMarker")),
        ),
        Element(
            "Transition",
            (Element("Date"), Element("Days"), Element("StorageClass")),
            many=True,
        ),
        Element(
            "NoncurrentVersionExpiration",
            (Element("NoncurrentDays"), Element("NewerNoncurrentVersions")),
        ),
        Element(
            "NoncurrentVersionTransition",
            (
                Element("NoncurrentDays"),
                Element("NewerNoncurrentVersions"),
                Element("StorageClass"),
            ),
            many=True,
        ),
        Element("AbortIncompleteMultipartUpload", (Element("DaysAfterInitiation"),)),
    ),
    many=True,
    required=True,
)
_CONFIGURATION: Final = Element(
    "LifecycleConfiguration", (_RULE,), aliases=("BucketLifecycleConfiguration",)
)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which objects a rule is for: those that fit everything that is not None.

    `legacy` is a Prefix that stands in the rule itself, `grouped` an And element; both say how the
    filter was sent, and so how it is returned.
    """

    prefix: str | None = None
    tags: Tags = ()
    larger_than: int | None = None
    smaller_than: int | None = None
    legacy: bool = False
    grouped: bool = False


@dataclass(frozen=True, slots=True)
class Expiration:
    """When current versions expire: after so many days, from a date on, or sole markers only."""

    days: int | None = None
    date_ms: int | None = None
    delete_marker: bool | None = None


@dataclass(frozen=True, slots=True)
class NoncurrentExpiration:
    """When noncurrent versions go: after `days`, if `newer` noncurrent ones are newer."""

    days: int
    newer: int | None = None


@dataclass(frozen=True, slots=True)
class LifecycleRule:
    """One rule, with at least one action."""

    rule_id: str
    enabled: bool
    filter: Filter
    expiration: Expiration | None = None
    noncurrent: NoncurrentExpiration | None = None
    abort_days: int | None = None


LifecycleRules = tuple[LifecycleRule, ...]


def read_lifecycle(data: bytes) -> LifecycleRules:
    """Read what PutBucketLifecycleConfiguration asks for, in either form.

    A rule without an ID gets one, as on AWS. It is derived from the document, so that the same
    document gives the same rules.

    Raises:
        RequestRefused: MalformedXML; InvalidRequest; InvalidArgument; InvalidTag;
            NotImplemented for well-formed transitions.
    """
    nodes = read_document(data, _CONFIGURATION).all("Rule")
    if len(nodes) > LIFECYCLE_RULES_MAX:
        raise RequestRefused(
            "InvalidRequest",
            "The number of lifecycle rules must not exceed the allowed limit of"
            f" {LIFECYCLE_RULES_MAX} rules.",
        )
    seed = hashlib.sha256(data).digest()
    rules = tuple(
        _rule(node, hashlib.sha256(seed + b"%d" % at).hexdigest()[:48])
        for at, node in enumerate(nodes)
    )
    if len({rule.rule_id for rule in rules}) != len(rules):
        raise RequestRefused(
            "InvalidArgument",
            "Rule ID must be unique. Found same ID for more than one rule",
            ArgumentName="ID",
        )
    if any(node.all(name) for node in nodes for name in _TRANSITIONS):
        raise RequestRefused(
            "NotImplemented",
            "Transitions are not implemented: there is no other storage class to move objects to.",
        )
    return rules


def _rule(node: Node, generated_id: str) -> LifecycleRule:
    rule_id = node.text_of("ID") or generated_id
    if len(rule_id) > RULE_ID_CHARACTERS_MAX:
        raise RequestRefused(
            "InvalidArgument",
            f"ID length should not exceed allowed limit of {RULE_ID_CHARACTERS_MAX}",
            ArgumentName="ID",
        )
    enabled = required_choice(node, "Status", ("Enabled", "Disabled")) == "Enabled"
    for name, most in _TRANSITIONS.items():
        for transition in node.all(name):
            _check_transition(transition, most)
    rule = LifecycleRule(
        rule_id,
        enabled,
        _filter(node),
        _expiration(node.one("Expiration")),
        _noncurrent(node.one("NoncurrentVersionExpiration")),
        _abort_days(node.one("AbortIncompleteMultipartUpload")),
    )
    if (rule.expiration, rule.noncurrent, rule.abort_days) == (None, None, None) and not any(
        node.all(name) for name in _TRANSITIONS
    ):
        raise RequestRefused(
            "InvalidRequest", "At least one action needs to be specified in a rule."
        )
    _check_pairs(rule)
    return rule


def _filter(rule: Node) -> Filter:
    """Read a rule's Filter, or the Prefix that stood in its place before 2016.

    AWS wants predicates beside each other to stand in an And. Other stores, and clients written
    against them, leave the And out; that can mean nothing else, so it is read as one.
    """
    prefix, node = rule.text_of("Prefix"), rule.one("Filter")
    if (prefix is None) == (node is None):
        raise malformed("a rule has either a Filter or a Prefix")
    if node is None:
        return _checked(Filter(prefix, legacy=True))
    group = node.one("And")
    if group is not None and len(node.children) > 1:
        raise malformed("And stands alone in a Filter")
    source = node if group is None else group
    return _checked(
        Filter(
            source.text_of("Prefix"),
            read_tags(source),
            number(source, "ObjectSizeGreaterThan"),
            number(source, "ObjectSizeLessThan"),
            grouped=group is not None or len(node.children) > 1,
        )
    )


def _checked(found: Filter) -> Filter:
    if found.prefix is not None and len(found.prefix.encode()) > KEY_BYTES_MAX:
        raise RequestRefused("InvalidRequest", "The maximum size of a prefix is 1024.")
    for tag in found.tags:
        check_tag(tag)
    if len({tag.key for tag in found.tags}) != len(found.tags):
        raise RequestRefused("InvalidRequest", "Duplicate Tag Keys are not allowed.")
    larger, smaller = found.larger_than, found.smaller_than
    if larger is not None and larger < 0:
        raise _not_positive("ObjectSizeGreaterThan", "Filter")
    if smaller is not None and smaller < 1:
        raise _not_positive("ObjectSizeLessThan", "Filter")
    if larger is not None and smaller is not None and larger >= smaller:
        raise RequestRefused(
            "InvalidRequest",
            "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.",
        )
    return found


def _expiration(node: Node | None) -> Expiration | None:
    if node is None:
        return None
    marker = boolean(node, "ExpiredObjectDeleteMarker")
    days = _positive(node, "Days", "Expiration")
    date = _midnight(node)
    # "This cannot be specified with Days or Date in a Lifecycle Expiration Policy."
    if (days, date, marker).count(None) != 2:
        raise malformed("Expiration has one of Days, Date and ExpiredObjectDeleteMarker")
    return Expiration(days, date, marker)


def _noncurrent(node: Node | None) -> NoncurrentExpiration | None:
    if node is None:
        return None
    days = _positive(node, "NoncurrentDays", "NoncurrentVersionExpiration")
    newer = _newer(node, "NoncurrentVersionExpiration")
    if days is None:
        raise malformed("NoncurrentDays is missing")
    return NoncurrentExpiration(days, newer)


def _newer(node: Node, action: str) -> int | None:
    newer = _positive(node, "NewerNoncurrentVersions", action)
    if newer is not None and newer > NEWER_NONCURRENT_VERSIONS_MAX:
        raise RequestRefused(
            "InvalidArgument",
            f"'NewerNoncurrentVersions' for {action} action must be at most"
            f" {NEWER_NONCURRENT_VERSIONS_MAX}",
            ArgumentName="NewerNoncurrentVersions",
        )
    return newer


def _abort_days(node: Node | None) -> int | None:
    if node is None:
        return None
    days = _positive(node, "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
    if days is None:
        raise malformed("DaysAfterInitiation is missing")
    return days


def _check_pairs(rule: LifecycleRule) -> None:
    """Refuse what does not go together, because it could never act or AWS does not let it."""
    sized = (rule.filter.larger_than, rule.filter.smaller_than) != (None, None)
    for action, there in (
        ("AbortIncompleteMultipartUpload", rule.abort_days is not None),
        ("ExpiredObjectDeleteMarker", bool(rule.expiration and rule.expiration.delete_marker)),
    ):
        if there and rule.filter.tags:
            raise RequestRefused("InvalidRequest", f"{action} cannot be specified with Tags.")
        if there and sized:
            raise RequestRefused("InvalidRequest", f"{action} cannot be specified with ObjectSize.")
    # On AWS a number of versions that stay needs the Filter element, not the old Prefix.
    if rule.filter.legacy and rule.noncurrent is not None and rule.noncurrent.newer is not None:
        raise RequestRefused(
            "InvalidRequest", "NewerNoncurrentVersions can only be specified with a Filter."
        )


_TRANSITIONS: Final[Mapping[str, str]] = {
    "Transition": "Days",
    "NoncurrentVersionTransition": "NoncurrentDays",
}


def _check_transition(node: Node, days_name: str) -> None:
    days, date = number(node, days_name), _midnight(node)
    if choice(node, "StorageClass", _STORAGE_CLASSES) is None:
        raise malformed("StorageClass is missing")
    if (days is None) == (date is None):
        raise malformed(f"a transition has either {days_name} or Date")
    if days is not None and not 0 <= days <= _DAYS_MAX:
        raise RequestRefused(
            "InvalidArgument",
            f"'{days_name}' in Transition action must be nonnegative",
            ArgumentName=days_name,
            ArgumentValue=str(days),
        )
    _newer(node, "NoncurrentVersionTransition")


def _positive(node: Node, name: str, action: str) -> int | None:
    value = number(node, name)
    if value is not None and not 1 <= value <= _DAYS_MAX:
        raise _not_positive(name, action, str(value))
    return value


def _not_positive(name: str, action: str, value: str = "") -> RequestRefused:
    return RequestRefused(
        "InvalidArgument",
        f"'{name}' for {action} action must be a positive integer",
        ArgumentName=name,
        **({"ArgumentValue": value} if value else {}),
    )


def _midnight(node: Node) -> int | None:
    moment = date_ms(node, "Date")
    if moment is not None and moment % DAY_MS:
        raise RequestRefused(
            "InvalidArgument",
            "'Date' must be at midnight GMT",
            ArgumentName="Date",
            ArgumentValue=node.text_of("Date") or "",
        )
    return moment


def write_lifecycle(rules: LifecycleRules) -> bytes:
    """Write what GetBucketLifecycleConfiguration answers."""
    return document("LifecycleConfiguration", "".join(_written(rule) for rule in rules))


def _written(rule: LifecycleRule) -> str:
    pieces = [
        leaf("ID", rule.rule_id),
        _written_filter(rule.filter),
        leaf("Status", "Enabled" if rule.enabled else "Disabled"),
    ]
    if rule.expiration is not None:
        pieces.append(_written_expiration(rule.expiration))
    if rule.noncurrent is not None:
        inner = leaf("NoncurrentDays", str(rule.noncurrent.days))
        if rule.noncurrent.newer is not None:
            inner += leaf("NewerNoncurrentVersions", str(rule.noncurrent.newer))
        pieces.append(f"<NoncurrentVersionExpiration>{inner}</NoncurrentVersionExpiration>")
    if rule.abort_days is not None:
        inner = leaf("DaysAfterInitiation", str(rule.abort_days))
        pieces.append(f"<AbortIncompleteMultipartUpload>{inner}</AbortIncompleteMultipartUpload>")
    return f"<Rule>{''.join(pieces)}</Rule>"


def _written_filter(chosen: Filter) -> str:
    pieces = [leaf("Prefix", chosen.prefix)] if chosen.prefix is not None else []
    if chosen.legacy:
        return "".join(pieces)
    pieces.append(tag_elements(chosen.tags))
    if chosen.larger_than is not None:
        pieces.append(leaf("ObjectSizeGreaterThan", str(chosen.larger_than)))
    if chosen.smaller_than is not None:
        pieces.append(leaf("ObjectSizeLessThan", str(chosen.smaller_than)))
    inner = "".join(pieces)
    return f"<Filter>{f'<And>{inner}</And>' if chosen.grouped else inner}</Filter>"


def _written_expiration(expiration: Expiration) -> str:
    pieces = []
    if expiration.days is not None:
        pieces.append(leaf("Days", str(expiration.days)))
    if expiration.date_ms is not None:
        pieces.append(leaf("Date", exact_date(expiration.date_ms)))
    if expiration.delete_marker is not None:
        flag = "true" if expiration.delete_marker else "false"
        pieces.append(leaf("ExpiredObjectDeleteMarker", flag))
    return f"<Expiration>{''.join(pieces)}</Expiration>"

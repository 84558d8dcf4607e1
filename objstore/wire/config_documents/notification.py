"""NotificationConfiguration: which events of a bucket are told to whom."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import KEY_BYTES_MAX, NOTIFICATION_RULES_MAX, RULE_ID_CHARACTERS_MAX
from objstore.wire.leaf_values import word
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaf

# Of each kind of target: the element of a configuration, and of its ARN.
TARGETS: Final[Mapping[str, tuple[str, str]]] = {
    "sns": ("TopicConfiguration", "Topic"),
    "sqs": ("QueueConfiguration", "Queue"),
    "lambda": ("CloudFunctionConfiguration", "CloudFunction"),
}
# What each family of events has below it; "*" stands for all of them.
_FAMILIES: Final[Mapping[str, tuple[str, ...]]] = {
    "s3:ObjectCreated": ("Put", "Post", "Copy", "CompleteMultipartUpload"),
    "s3:ObjectRemoved": ("Delete", "DeleteMarkerCreated"),
    "s3:ObjectRestore": ("Post", "Completed", "Delete"),
    "s3:Replication": (
        "OperationFailedReplication",
        "OperationNotTracked",
        "OperationMissedThreshold",
        "OperationReplicatedAfterThreshold",
    ),
    "s3:LifecycleExpiration": ("Delete", "DeleteMarkerCreated"),
    "s3:ObjectTagging": ("Put", "Delete"),
    "s3:ObjectAnnotation": ("Put", "Delete"),
}
EVENTS: Final = frozenset(
    {
        "s3:ReducedRedundancyLostObject",
        "s3:LifecycleTransition",
        "s3:IntelligentTiering",
        "s3:ObjectAcl:Put",
        "s3:ObjectRetention:Put",
        *(f"{family}:{name}" for family, names in _FAMILIES.items() for name in ("*", *names)),
    }
)
_FILTER: Final = Element(
    "Filter",
    (
        Element(
            "S3Key",
            (Element("FilterRule", (Element("Name"), Element("Value")), many=True),),
            aliases=("Key",),
        ),
    ),
)


def _target_rule(kind: str) -> Element:
    configuration, target = TARGETS[kind]
    lambda_function = kind == "lambda"
    return Element(
        configuration,
        (
            Element("Id"),
            Element(target, required=True, aliases=("LambdaFunctionArn",) * lambda_function),
            Element("Event", many=True, required=True),
            _FILTER,
        ),
        many=True,
        aliases=("LambdaFunctionConfiguration",) * lambda_function,
    )


_CONFIGURATION: Final = Element(
    "NotificationConfiguration",
    (*(_target_rule(kind) for kind in TARGETS), Element("EventBridgeConfiguration", group=True)),
)
_ARN: Final = re.compile(r"arn:[a-z0-9-]+:(sns|sqs|lambda):[a-z0-9-]*:[0-9A-Za-z_-]*:\S{1,512}")


@dataclass(frozen=True, slots=True)
class NotificationRule:
    """Which events go to one target; `prefix` and `suffix` are None where any key will do."""

    rule_id: str
    kind: str  # of TARGETS
    arn: str
    events: tuple[str, ...]
    prefix: str | None = None
    suffix: str | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """What a bucket tells to whom; nothing at all is how notifications are switched off."""

    rules: tuple[NotificationRule, ...] = ()
    event_bridge: bool = False

    @property
    def empty(self) -> bool:
        """Whether nothing is told to anybody."""
        return not self.rules and not self.event_bridge


def read_notification(data: bytes) -> Notification:
    """Read what PutBucketNotificationConfiguration asks for.

    Raises:
        RequestRefused: MalformedXML; InvalidArgument.
    """
    node = read_document(data, _CONFIGURATION)
    seed = hashlib.sha256(data).digest()
    rules = tuple(
        _rule(entry, kind, hashlib.sha256(seed + kind.encode() + b"%d" % at).hexdigest()[:48])
        for kind, (configuration, _) in TARGETS.items()
        for at, entry in enumerate(node.all(configuration))
    )
    if len(rules) > NOTIFICATION_RULES_MAX:
        raise _invalid(f"A bucket can have up to {NOTIFICATION_RULES_MAX} configurations.", "Id")
    if len({rule.rule_id for rule in rules}) != len(rules):
        raise _invalid("Same ID used for multiple configurations. IDs must be unique.", "Id")
    return Notification(rules, bool(node.all("EventBridgeConfiguration")))


def _invalid(message: str, argument: str, value: str = "") -> RequestRefused:
    return RequestRefused(
        "InvalidArgument", message, ArgumentName=argument, ArgumentValue=value[:200]
    )


def _rule(node: Node, kind: str, generated_id: str) -> NotificationRule:
    rule_id = node.text_of("Id") or generated_id
    if len(rule_id) > RULE_ID_CHARACTERS_MAX:
        raise _invalid(
            f"ID length should not exceed allowed limit of {RULE_ID_CHARACTERS_MAX}", "Id"
        )
    target = TARGETS[kind][1]
    arn = word(node, target) or ""
    found = _ARN.fullmatch(arn)
    if found is None or found[1] != kind:
        raise _invalid("The ARN could not be parsed", target, arn)
    events = tuple(entry.text.strip() for entry in node.all("Event"))
    for event in events:
        if event not in EVENTS:
            raise _invalid("A specified event is not supported for notifications.", "Event", event)
    filters = _filters(node.one("Filter"))
    return NotificationRule(
        rule_id, kind, arn, events, filters.get("prefix"), filters.get("suffix")
    )


def _filters(node: Node | None) -> dict[str, str]:
    key = node.one("S3Key") if node is not None else None
    found: dict[str, str] = {}
    for rule in key.all("FilterRule") if key is not None else ():
        name = (word(rule, "Name") or "").lower()
        value = rule.text_of("Value") or ""
        if name not in ("prefix", "suffix"):
            raise _invalid("filter rule name must be either prefix or suffix", "FilterRule", name)
        if name in found:
            raise _invalid(f"Cannot specify more than one {name} rule in a filter.", "FilterRule")
        if len(value.encode()) > KEY_BYTES_MAX:
            raise _invalid(
                f"Size of filter rule value cannot exceed {KEY_BYTES_MAX} bytes in UTF-8"
                " representation",
                "FilterRule",
            )
        found[name] = value
    return found


def write_notification(notification: Notification) -> bytes:
    """Write what GetBucketNotificationConfiguration answers."""
    pieces = [_written(rule) for rule in notification.rules]
    if notification.event_bridge:
        pieces.append("<EventBridgeConfiguration/>")
    return document("NotificationConfiguration", "".join(pieces))


def _written(rule: NotificationRule) -> str:
    configuration, target = TARGETS[rule.kind]
    inner = leaf("Id", rule.rule_id) + leaf(target, rule.arn)
    inner += "".join(leaf("Event", event) for event in rule.events)
    filters = "".join(
        f"<FilterRule>{leaf('Name', name)}{leaf('Value', value)}</FilterRule>"
        for name, value in (("prefix", rule.prefix), ("suffix", rule.suffix))
        if value is not None
    )
    if filters:
        inner += f"<Filter><S3Key>{filters}</S3Key></Filter>"
    return f"<{configuration}>{inner}</{configuration}>"

"""ReplicationConfiguration: which objects of a bucket are copied to which other buckets."""

import hashlib
import re
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import KEY_BYTES_MAX, REPLICATION_RULES_MAX, RULE_ID_CHARACTERS_MAX
from objstore.wire.config_documents.tagging import Tags, check_tag, read_tags, tag_elements
from objstore.wire.leaf_values import (
    choice,
    malformed,
    number,
    required,
    required_choice,
    word,
)
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaf

_STATES: Final = ("Enabled", "Disabled")
_STATUS: Final = (Element("Status"),)
_TAG: Final = (Element("Key", required=True), Element("Value", required=True))
_MINUTES: Final = (Element("Minutes"),)
_DESTINATION: Final = Element(
    "Destination",
    (
        Element("Bucket", required=True),
        Element("Account"),
        Element("StorageClass"),
        Element("AccessControlTranslation", (Element("Owner"),)),
        Element("EncryptionConfiguration", (Element("ReplicaKmsKeyID"),)),
        Element("ReplicationTime", (*_STATUS, Element("Time", _MINUTES))),
        Element("Metrics", (*_STATUS, Element("EventThreshold", _MINUTES))),
    ),
    required=True,
)
_RULE: Final = Element(
    "Rule",
    (
        Element("ID"),
        Element("Priority"),
        Element("Prefix"),
        Element(
            "Filter",
            (
                Element("Prefix"),
                Element("Tag", _TAG),
                Element("And", (Element("Prefix"), Element("Tag", _TAG, many=True))),
            ),
        ),
        Element("Status", required=True),
        Element(
            "SourceSelectionCriteria",
            (Element("SseKmsEncryptedObjects", _STATUS), Element("ReplicaModifications", _STATUS)),
        ),
        Element("ExistingObjectReplication", _STATUS),
        _DESTINATION,
        Element("DeleteMarkerReplication", _STATUS),
    ),
    many=True,
    required=True,
)
_CONFIGURATION: Final = Element("ReplicationConfiguration", (Element("Role", required=True), _RULE))
_STORAGE_CLASSES: Final = frozenset(
    {
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
    }
)
_BUCKET_ARN: Final = re.compile(r"arn:[a-z0-9-]+:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_ROLE: Final = re.compile(r"arn:[a-z0-9-]+:\S{1,512}")
_OLD_SCHEMA: Final = (
    " must be specified for this version of Cross Region Replication configuration schema. Please"
    " refer to S3 Developer Guide for more information."
)


@dataclass(frozen=True, slots=True)
class Destination:
    """Where replicas go. A time or threshold in minutes is None where it is not asked for."""

    bucket: str  # its ARN
    account: str | None = None
    storage_class: str | None = None
    owner_override: bool = False  # replicas belong to the destination's owner
    kms_key: str | None = None
    time_minutes: int | None = None
    metrics: bool | None = None
    threshold_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class ReplicationRule:
    """One rule. A switch that is None was not sent; `legacy` rules have a Prefix and no Filter."""

    rule_id: str
    enabled: bool
    destination: Destination
    priority: int | None = None
    prefix: str | None = None
    tags: Tags = ()
    legacy: bool = False
    grouped: bool = False
    kms_objects: bool | None = None
    replica_modifications: bool | None = None
    existing_objects: bool | None = None
    delete_markers: bool | None = None


@dataclass(frozen=True, slots=True)
class Replication:
    """Who copies, and by which rules."""

    role: str
    rules: tuple[ReplicationRule, ...]


def read_replication(data: bytes) -> Replication:
    """Read what PutBucketReplication asks for.

    Raises:
        RequestRefused: MalformedXML; InvalidRequest; InvalidArgument; InvalidTag.
    """
    node = read_document(data, _CONFIGURATION)
    role = word(node, "Role") or ""
    if _ROLE.fullmatch(role) is None:
        raise _invalid("Invalid Role specified in replication configuration", "Role", role)
    nodes = node.all("Rule")
    if len(nodes) > REPLICATION_RULES_MAX:
        raise RequestRefused(
            "InvalidRequest",
            "The number of replication rules must not exceed the allowed limit of"
            f" {REPLICATION_RULES_MAX} rules.",
        )
    seed = hashlib.sha256(data).digest()
    rules = tuple(
        _rule(entry, hashlib.sha256(seed + b"%d" % at).hexdigest()[:48])
        for at, entry in enumerate(nodes)
    )
    if len({rule.rule_id for rule in rules}) != len(rules):
        raise _invalid("Rule Id must be unique.", "ID")
    priorities = [rule.priority for rule in rules if rule.priority is not None]
    for priority in priorities:
        if priorities.count(priority) > 1:
            raise RequestRefused(
                "InvalidRequest", f"Found duplicate priority {priority}. Priority must be unique."
            )
    return Replication(role, rules)


def _invalid(message: str, argument: str, value: str = "") -> RequestRefused:
    return RequestRefused(
        "InvalidArgument", message, ArgumentName=argument, ArgumentValue=value[:200]
    )


def _rule(node: Node, generated_id: str) -> ReplicationRule:
    rule_id = node.text_of("ID") or generated_id
    if len(rule_id) > RULE_ID_CHARACTERS_MAX:
        raise _invalid(
            f"ID length should not exceed allowed limit of {RULE_ID_CHARACTERS_MAX}", "ID"
        )
    priority = number(node, "Priority")
    if priority is not None and not 0 <= priority < 2**31:
        raise _invalid("Priority must be a non-negative integer", "Priority", str(priority))
    prefix, tags, form = _filter(node)
    if form != "legacy":
        for name in ("Priority", "DeleteMarkerReplication"):
            if not node.all(name):
                raise RequestRefused("InvalidRequest", f"{name}{_OLD_SCHEMA}")
    criteria = node.one("SourceSelectionCriteria")
    return ReplicationRule(
        rule_id,
        required_choice(node, "Status", _STATES) == "Enabled",
        _destination(required(node, "Destination")),
        priority,
        prefix,
        tags,
        legacy=form == "legacy",
        grouped=form == "grouped",
        kms_objects=_switch(criteria, "SseKmsEncryptedObjects"),
        replica_modifications=_switch(criteria, "ReplicaModifications"),
        existing_objects=_switch(node, "ExistingObjectReplication"),
        delete_markers=_switch(node, "DeleteMarkerReplication"),
    )


def _switch(node: Node | None, name: str) -> bool | None:
    found = node.one(name) if node is not None else None
    return None if found is None else required_choice(found, "Status", _STATES) == "Enabled"


def _filter(rule: Node) -> tuple[str | None, Tags, str]:
    prefix, node = rule.text_of("Prefix"), rule.one("Filter")
    if (prefix is None) == (node is None):
        raise malformed("a rule has either a Filter or a Prefix")
    tags: Tags = ()
    form = "legacy"
    if node is not None:
        if len(node.children) > 1:
            raise malformed("a Filter has one of Prefix, Tag and And")
        group = node.one("And")
        form = "plain" if group is None else "grouped"
        source = node if group is None else group
        prefix, tags = source.text_of("Prefix"), read_tags(source)
    if prefix is not None and len(prefix.encode()) > KEY_BYTES_MAX:
        raise RequestRefused("InvalidRequest", "The maximum size of a prefix is 1024.")
    for tag in tags:
        check_tag(tag)
    # "If your Filter includes a Tag element, the DeleteMarkerReplication Status must be set to
    # Disabled, because Amazon S3 does not support replicating delete markers for tag-based rules."
    if tags and _switch(rule, "DeleteMarkerReplication"):
        raise RequestRefused(
            "InvalidRequest",
            "Delete marker replication is not supported if any Tag filter is specified. Please"
            " refer to S3 Developer Guide for more information.",
        )
    return prefix, tags, form


def _destination(node: Node) -> Destination:
    bucket = word(node, "Bucket") or ""
    if _BUCKET_ARN.fullmatch(bucket) is None:
        raise _invalid("Invalid bucket ARN.", "Bucket", bucket)
    translation = node.one("AccessControlTranslation")
    if translation is not None:
        required_choice(translation, "Owner", ("Destination",))
    account = word(node, "Account")
    if translation is not None and not account:
        raise _invalid("Account must be specified for AccessControlTranslation.", "Account")
    encryption, metrics = node.one("EncryptionConfiguration"), node.one("Metrics")
    return Destination(
        bucket,
        account,
        choice(node, "StorageClass", _STORAGE_CLASSES),
        translation is not None,
        word(encryption, "ReplicaKmsKeyID") if encryption is not None else None,
        _time_minutes(node.one("ReplicationTime")),
        _switch(node, "Metrics"),
        _minutes(metrics.one("EventThreshold") if metrics is not None else None),
    )


def _time_minutes(node: Node | None) -> int | None:
    if node is None:
        return None
    minutes = _minutes(required(node, "Time"))
    return minutes if required_choice(node, "Status", _STATES) == "Enabled" else None


def _minutes(node: Node | None) -> int | None:
    """Read a threshold: "Valid value: 15"."""
    if node is None:
        return None
    if number(node, "Minutes") != 15:
        raise malformed("Minutes must be 15")
    return 15


def write_replication(replication: Replication) -> bytes:
    """Write what GetBucketReplication answers."""
    rules = "".join(_written(rule) for rule in replication.rules)
    return document("ReplicationConfiguration", leaf("Role", replication.role) + rules)


def _written(rule: ReplicationRule) -> str:
    criteria = _state("SseKmsEncryptedObjects", rule.kms_objects)
    criteria += _state("ReplicaModifications", rule.replica_modifications)
    pieces = [
        leaf("ID", rule.rule_id),
        leaf("Priority", str(rule.priority)) if rule.priority is not None else "",
        _written_filter(rule),
        leaf("Status", "Enabled" if rule.enabled else "Disabled"),
        f"<SourceSelectionCriteria>{criteria}</SourceSelectionCriteria>" if criteria else "",
        _state("ExistingObjectReplication", rule.existing_objects),
        _written_destination(rule.destination),
        _state("DeleteMarkerReplication", rule.delete_markers),
    ]
    return f"<Rule>{''.join(pieces)}</Rule>"


def _state(name: str, on: bool | None, inner: str = "") -> str:  # noqa: FBT001 - a value to write
    if on is None:
        return ""
    return f"<{name}>{leaf('Status', 'Enabled' if on else 'Disabled')}{inner}</{name}>"


def _written_filter(rule: ReplicationRule) -> str:
    prefix = leaf("Prefix", rule.prefix) if rule.prefix is not None else ""
    if rule.legacy:
        return prefix
    inner = prefix + tag_elements(rule.tags)
    return f"<Filter>{f'<And>{inner}</And>' if rule.grouped else inner}</Filter>"


def _written_destination(destination: Destination) -> str:
    pieces = [leaf("Bucket", destination.bucket)]
    if destination.account is not None:
        pieces.append(leaf("Account", destination.account))
    if destination.storage_class is not None:
        pieces.append(leaf("StorageClass", destination.storage_class))
    if destination.owner_override:
        owner = leaf("Owner", "Destination")
        pieces.append(f"<AccessControlTranslation>{owner}</AccessControlTranslation>")
    if destination.kms_key is not None:
        key = leaf("ReplicaKmsKeyID", destination.kms_key)
        pieces.append(f"<EncryptionConfiguration>{key}</EncryptionConfiguration>")
    if destination.time_minutes is not None:
        minutes = f"<Time>{leaf('Minutes', str(destination.time_minutes))}</Time>"
        pieces.append(_state("ReplicationTime", on=True, inner=minutes))
    threshold = ""
    if destination.threshold_minutes is not None:
        minutes = leaf("Minutes", str(destination.threshold_minutes))
        threshold = f"<EventThreshold>{minutes}</EventThreshold>"
    pieces.append(_state("Metrics", destination.metrics, threshold))
    return f"<Destination>{''.join(pieces)}</Destination>"

"""BucketLoggingStatus: where the log of a bucket's requests is written."""

from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import ACL_GRANTS_MAX, KEY_BYTES_MAX
from objstore.wire.config_documents.grantees import (
    GRANT_RULE,
    Grant,
    grant_elements,
    read_grants,
)
from objstore.wire.leaf_values import choice, malformed, word
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaf

SIMPLE: Final = "SimplePrefix"
EVENT_TIME: Final = "EventTime"
DELIVERY_TIME: Final = "DeliveryTime"
_CONFIGURATION: Final = Element(
    "BucketLoggingStatus",
    (
        Element(
            "LoggingEnabled",
            (
                Element("TargetBucket", required=True),
                Element("TargetPrefix", required=True),
                Element("TargetGrants", (GRANT_RULE,)),
                Element(
                    "TargetObjectKeyFormat",
                    (
                        Element("SimplePrefix", group=True),
                        Element("PartitionedPrefix", (Element("PartitionDateSource"),)),
                    ),
                ),
            ),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Logging:
    """Where a bucket's log goes. `key_format` is "", SIMPLE, EVENT_TIME or DELIVERY_TIME."""

    bucket: str
    prefix: str
    grants: tuple[Grant, ...] = ()
    key_format: str = ""


def read_logging(data: bytes) -> Logging | None:
    """Read what PutBucketLogging asks for; None switches the log off.

    "To disable logging, you use an empty BucketLoggingStatus request element."

    Raises:
        RequestRefused: MalformedXML; InvalidArgument; InvalidTargetBucketForLogging.
    """
    node = read_document(data, _CONFIGURATION).one("LoggingEnabled")
    if node is None:
        return None
    bucket = word(node, "TargetBucket")
    prefix = node.text_of("TargetPrefix") or ""
    if not bucket:
        raise RequestRefused("InvalidTargetBucketForLogging")
    if len(prefix.encode()) > KEY_BYTES_MAX:
        raise RequestRefused(
            "InvalidArgument",
            f"TargetPrefix cannot exceed {KEY_BYTES_MAX} bytes.",
            ArgumentName="TargetPrefix",
        )
    return Logging(bucket, prefix, _grants(node), _key_format(node.one("TargetObjectKeyFormat")))


def _grants(node: Node) -> tuple[Grant, ...]:
    granted = node.one("TargetGrants")
    grants = read_grants(granted, ("FULL_CONTROL", "READ", "WRITE")) if granted is not None else ()
    if len(grants) > ACL_GRANTS_MAX:
        raise malformed(f"more than {ACL_GRANTS_MAX} grants")
    return grants


def _key_format(node: Node | None) -> str:
    if node is None:
        return ""
    if len(node.children) != 1:
        raise malformed("TargetObjectKeyFormat has one of SimplePrefix and PartitionedPrefix")
    partitioned = node.one("PartitionedPrefix")
    if partitioned is None:
        return SIMPLE
    source = choice(partitioned, "PartitionDateSource", (EVENT_TIME, DELIVERY_TIME))
    if source is None:
        raise malformed("PartitionDateSource is missing")
    return source


def write_logging(logging: Logging | None) -> bytes:
    """Write what GetBucketLogging answers."""
    if logging is None:
        return document("BucketLoggingStatus", "")
    inner = leaf("TargetBucket", logging.bucket) + leaf("TargetPrefix", logging.prefix)
    if logging.grants:
        inner += f"<TargetGrants>{grant_elements(logging.grants)}</TargetGrants>"
    if logging.key_format == SIMPLE:
        inner += "<TargetObjectKeyFormat><SimplePrefix/></TargetObjectKeyFormat>"
    elif logging.key_format:
        source = leaf("PartitionDateSource", logging.key_format)
        inner += (
            f"<TargetObjectKeyFormat><PartitionedPrefix>{source}</PartitionedPrefix>"
            "</TargetObjectKeyFormat>"
        )
    return document("BucketLoggingStatus", f"<LoggingEnabled>{inner}</LoggingEnabled>")

"""AccelerateConfiguration: whether a bucket is also reached through AWS's edge locations."""

from typing import Final

from objstore.wire.leaf_values import required_choice
from objstore.wire.xml_reader import Element, read_document
from objstore.wire.xml_writer import document, leaf

ENABLED: Final = "Enabled"
SUSPENDED: Final = "Suspended"
_CONFIGURATION: Final = Element("AccelerateConfiguration", (Element("Status", required=True),))


def read_accelerate(data: bytes) -> str:
    """Return the status that PutBucketAccelerateConfiguration asks for.

    Raises:
        RequestRefused: MalformedXML.
    """
    return required_choice(read_document(data, _CONFIGURATION), "Status", (ENABLED, SUSPENDED))


def write_accelerate(status: str) -> bytes:
    """Write what GetBucketAccelerateConfiguration answers; "" was never set."""
    return document("AccelerateConfiguration", leaf("Status", status) if status else "")

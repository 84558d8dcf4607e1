"""AbacStatus: whether the tags of a bucket decide about access to it."""

from typing import Final

from objstore.wire.leaf_values import required_choice
from objstore.wire.xml_reader import Element, read_document
from objstore.wire.xml_writer import document, leaf

_ON, _OFF = "Enabled", "Disabled"
_STATUS: Final = Element("AbacStatus", (Element("Status", required=True),))


def read_abac(data: bytes) -> bool:
    """Return whether PutBucketAbac switches it on.

    Raises:
        RequestRefused: MalformedXML.
    """
    return required_choice(read_document(data, _STATUS), "Status", (_ON, _OFF)) == _ON


def write_abac(*, on: bool) -> bytes:
    """Write what GetBucketAbac answers."""
    return document("AbacStatus", leaf("Status", _ON if on else _OFF))

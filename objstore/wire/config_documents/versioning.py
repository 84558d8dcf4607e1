"""VersioningConfiguration: whether a bucket keeps the versions of its objects."""

from dataclasses import dataclass
from typing import Final, Literal

from objstore.errors import RequestRefused
from objstore.wire.leaf_values import choice, malformed
from objstore.wire.xml_reader import Element, read_document
from objstore.wire.xml_writer import document, leaf

Status = Literal["", "Enabled", "Suspended"]

_CONFIGURATION: Final = Element(
    "VersioningConfiguration", (Element("Status"), Element("MfaDelete"))
)


@dataclass(frozen=True, slots=True)
class Versioning:
    """The state of a bucket: "" is one whose versioning has never been enabled."""

    status: Status = ""


def read_versioning(data: bytes) -> Versioning:
    """Read what PutBucketVersioning asks for.

    Raises:
        RequestRefused: MalformedXML; IllegalVersioningConfigurationException without a Status
            ("The Versioning element must be specified"); NotImplemented for MFA delete.
    """
    node = read_document(data, _CONFIGURATION)
    if choice(node, "MfaDelete", ("Enabled", "Disabled")) == "Enabled":
        raise RequestRefused(
            "NotImplemented",
            "MFA delete is not implemented: no identity here has an MFA device. Protect versions"
            " with object lock, or deny s3:DeleteObjectVersion in the bucket's policy.",
        )
    match node.text_of("Status"):
        case None:
            raise RequestRefused("IllegalVersioningConfigurationException")
        case text:
            return Versioning(_status(text.strip()))


def _status(text: str) -> Status:
    if text == "Enabled":
        return "Enabled"
    if text == "Suspended":
        return "Suspended"
    raise malformed("Status must be Enabled or Suspended")


def write_versioning(versioning: Versioning) -> bytes:
    """Write what GetBucketVersioning answers.

    "If the versioning state has never been set on a bucket, it has no versioning state; a
    GetBucketVersioning request does not return a versioning state value."
    """
    inner = leaf("Status", versioning.status) if versioning.status else ""
    return document("VersioningConfiguration", inner)

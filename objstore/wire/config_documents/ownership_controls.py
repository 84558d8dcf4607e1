"""OwnershipControls: who owns the objects of a bucket, and so whether ACLs act."""

from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.leaf_values import malformed, required_choice
from objstore.wire.xml_reader import Element, read_document
from objstore.wire.xml_writer import document, leaf

ENFORCED: Final = "BucketOwnerEnforced"
PREFERRED: Final = "BucketOwnerPreferred"
WRITER: Final = "ObjectWriter"
_CHOICES: Final = (ENFORCED, PREFERRED, WRITER)
_CONFIGURATION: Final = Element(
    "OwnershipControls",
    (Element("Rule", (Element("ObjectOwnership", required=True),), many=True, required=True),),
)


@dataclass(frozen=True, slots=True)
class OwnershipControls:
    """The one rule of a bucket. AWS: "By default, [...] the Bucket owner enforced setting"."""

    ownership: str = ENFORCED

    @property
    def acls_act(self) -> bool:
        """Whether ACLs grant anything: "ACLs are disabled" under BucketOwnerEnforced."""
        return self.ownership != ENFORCED


def read_ownership_controls(data: bytes) -> OwnershipControls:
    """Read what PutBucketOwnershipControls asks for.

    Raises:
        RequestRefused: MalformedXML.
    """
    rules = read_document(data, _CONFIGURATION).all("Rule")
    if len(rules) != 1:
        raise malformed("exactly one Rule is allowed")
    return OwnershipControls(required_choice(rules[0], "ObjectOwnership", _CHOICES))


def read_ownership_header(value: str) -> OwnershipControls:
    """Read x-amz-object-ownership of a CreateBucket request.

    Raises:
        RequestRefused: InvalidArgument.
    """
    if value not in _CHOICES:
        raise RequestRefused(
            "InvalidArgument",
            f"Invalid x-amz-object-ownership header: {value[:100]}",
            ArgumentName="x-amz-object-ownership",
            ArgumentValue=value[:100],
        )
    return OwnershipControls(value)


def write_ownership_controls(controls: OwnershipControls) -> bytes:
    """Write what GetBucketOwnershipControls answers."""
    return document(
        "OwnershipControls", f"<Rule>{leaf('ObjectOwnership', controls.ownership)}</Rule>"
    )

"""PublicAccessBlockConfiguration and PolicyStatus: what keeps a bucket from being public."""

from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.leaf_values import boolean
from objstore.wire.xml_reader import Element, read_document
from objstore.wire.xml_writer import document, leaf, leaves

_NAMES: Final = (
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
)
_CONFIGURATION: Final = Element(
    "PublicAccessBlockConfiguration", tuple(Element(name) for name in _NAMES)
)


@dataclass(frozen=True, slots=True)
class PublicAccessBlock:
    """The four settings of a bucket; those that were not sent are off."""

    block_acls: bool = False  # refuse to set public ACLs
    ignore_acls: bool = False  # public ACLs that are set grant nothing
    block_policy: bool = False  # refuse to set a public policy
    restrict_buckets: bool = False  # a public policy grants nothing outside the owner's account


def read_public_access_block(data: bytes) -> PublicAccessBlock:
    """Read what PutPublicAccessBlock asks for.

    Raises:
        RequestRefused: MalformedXML; InvalidRequest when nothing is set either way.
    """
    node = read_document(data, _CONFIGURATION)
    settings = [boolean(node, name) for name in _NAMES]
    if all(setting is None for setting in settings):
        raise RequestRefused("InvalidRequest", "Must specify at least one configuration.")
    return PublicAccessBlock(*(bool(setting) for setting in settings))


def write_public_access_block(block: PublicAccessBlock) -> bytes:
    """Write what GetPublicAccessBlock answers."""
    settings = (
        block.block_acls,
        block.ignore_acls,
        block.block_policy,
        block.restrict_buckets,
    )
    pairs = zip(_NAMES, settings, strict=True)
    return document(
        "PublicAccessBlockConfiguration",
        leaves((name, "true" if setting else "false") for name, setting in pairs),
    )


def write_policy_status(*, public: bool) -> bytes:
    """Write what GetBucketPolicyStatus answers."""
    return document("PolicyStatus", leaf("IsPublic", "true" if public else "false"))

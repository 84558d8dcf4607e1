"""ServerSideEncryptionConfiguration: how new objects of a bucket are encrypted by default."""

from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.leaf_values import boolean, malformed, required_choice
from objstore.wire.xml_reader import Element, Node, read_document
from objstore.wire.xml_writer import document, leaf

AES256: Final = "AES256"
KMS: Final = "aws:kms"
_DUAL_LAYER: Final = "aws:kms:dsse"
_BLOCKABLE: Final = frozenset({"NONE", "SSE-C"})
_CONFIGURATION: Final = Element(
    "ServerSideEncryptionConfiguration",
    (
        Element(
            "Rule",
            (
                Element(
                    "ApplyServerSideEncryptionByDefault",
                    (Element("SSEAlgorithm", required=True), Element("KMSMasterKeyID")),
                ),
                Element("BucketKeyEnabled"),
                Element(
                    "BlockedEncryptionTypes", (Element("EncryptionType", many=True, required=True),)
                ),
            ),
            many=True,
            required=True,
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Encryption:
    """The one rule of a bucket. `algorithm` is "", AES256 or KMS; None was not sent."""

    algorithm: str = AES256
    key_id: str | None = None
    bucket_key: bool | None = None
    blocked_types: tuple[str, ...] = ()


def read_encryption(data: bytes) -> Encryption:
    """Read what PutBucketEncryption asks for.

    Raises:
        RequestRefused: MalformedXML; InvalidArgument; NotImplemented for two layers.
    """
    rules = read_document(data, _CONFIGURATION).all("Rule")
    if len(rules) != 1:
        raise malformed("exactly one Rule is allowed")
    rule = rules[0]
    default = rule.one("ApplyServerSideEncryptionByDefault")
    blocked = rule.one("BlockedEncryptionTypes")
    if default is None and blocked is None:
        raise malformed("a Rule needs ApplyServerSideEncryptionByDefault")
    algorithm, key_id = _default(default) if default is not None else ("", None)
    return Encryption(algorithm, key_id, boolean(rule, "BucketKeyEnabled"), _blocked(blocked))


def _default(node: Node) -> tuple[str, str | None]:
    algorithm = required_choice(node, "SSEAlgorithm", (AES256, KMS, _DUAL_LAYER))
    key_id = (node.text_of("KMSMasterKeyID") or "").strip() or None
    if algorithm == _DUAL_LAYER:
        raise RequestRefused(
            "NotImplemented",
            "Encryption in two layers (aws:kms:dsse) is not implemented; use AES256 or aws:kms.",
        )
    if key_id is not None and algorithm != KMS:
        raise RequestRefused(
            "InvalidArgument",
            "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or"
            " aws:kms:dsse",
            ArgumentName="ApplyServerSideEncryptionByDefault",
        )
    return algorithm, key_id


def _blocked(node: Node | None) -> tuple[str, ...]:
    kinds = tuple(entry.text.strip() for entry in node.all("EncryptionType")) if node else ()
    if not _BLOCKABLE.issuperset(kinds):
        raise malformed("EncryptionType must be NONE or SSE-C")
    return kinds


def write_encryption(encryption: Encryption) -> bytes:
    """Write what GetBucketEncryption answers."""
    pieces = []
    if encryption.algorithm:
        inner = leaf("SSEAlgorithm", encryption.algorithm)
        if encryption.key_id is not None:
            inner += leaf("KMSMasterKeyID", encryption.key_id)
        pieces.append(
            f"<ApplyServerSideEncryptionByDefault>{inner}</ApplyServerSideEncryptionByDefault>"
        )
    if encryption.bucket_key is not None:
        pieces.append(leaf("BucketKeyEnabled", "true" if encryption.bucket_key else "false"))
    if encryption.blocked_types:
        kinds = "".join(leaf("EncryptionType", kind) for kind in encryption.blocked_types)
        pieces.append(f"<BlockedEncryptionTypes>{kinds}</BlockedEncryptionTypes>")
    return document("ServerSideEncryptionConfiguration", f"<Rule>{''.join(pieces)}</Rule>")

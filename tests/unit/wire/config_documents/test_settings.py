"""The small settings of a bucket: their refusals, and what "never set" looks like."""

import pytest

from objstore.wire.config_documents.accelerate import read_accelerate, write_accelerate
from objstore.wire.config_documents.attribute_access import read_abac
from objstore.wire.config_documents.bucket_logging import Logging, read_logging, write_logging
from objstore.wire.config_documents.encryption import Encryption, read_encryption
from objstore.wire.config_documents.ownership_controls import (
    OwnershipControls,
    read_ownership_controls,
    read_ownership_header,
)
from objstore.wire.config_documents.payment import read_request_payment
from objstore.wire.config_documents.public_access import (
    PublicAccessBlock,
    read_public_access_block,
    write_policy_status,
)
from tests.unit.wire.config_documents.model import answer, refused, request_body

# --- encryption -----------------------------------------------------------------------


def encryption(*rules: dict[str, object]) -> bytes:
    return request_body("PutBucketEncryption", ServerSideEncryptionConfiguration={"Rules": rules})


def by_default(**default: object) -> dict[str, object]:
    return {"ApplyServerSideEncryptionByDefault": default}


def test_encryption() -> None:
    assert read_encryption(encryption(by_default(SSEAlgorithm="AES256"))) == Encryption()
    keyed = by_default(SSEAlgorithm="aws:kms", KMSMasterKeyID="k")
    assert read_encryption(encryption({**keyed, "BucketKeyEnabled": True})) == Encryption(
        "aws:kms", "k", bucket_key=True
    )


@pytest.mark.parametrize(
    ("rules", "reason", "message"),
    [
        ([], "MalformedXML", ""),
        ([by_default(SSEAlgorithm="AES256")] * 2, "MalformedXML", ""),
        ([{"BucketKeyEnabled": True}], "MalformedXML", ""),
        ([by_default()], "MalformedXML", ""),
        ([by_default(SSEAlgorithm="aes256")], "MalformedXML", ""),
        ([by_default(SSEAlgorithm="aws:fsx")], "MalformedXML", ""),
        ([by_default(SSEAlgorithm="aws:kms:dsse")], "NotImplemented", "two layers"),
        (
            [by_default(SSEAlgorithm="AES256", KMSMasterKeyID="k")],
            "InvalidArgument",
            "a KMSMasterKeyID is not applicable",
        ),
        ([{"BlockedEncryptionTypes": {"EncryptionType": ["SSE-X"]}}], "MalformedXML", ""),
    ],
)
def test_encryption_refusals(rules: list[dict[str, object]], reason: str, message: str) -> None:
    with refused(reason, message):
        read_encryption(encryption(*rules))


# --- ownership, public access, payment, acceleration -----------------------------------


def test_ownership() -> None:
    # AWS: "BucketOwnerEnforced - Access control lists (ACLs) are disabled and no longer affect
    # permissions."
    assert not OwnershipControls().acls_act
    assert OwnershipControls("ObjectWriter").acls_act
    assert read_ownership_header("BucketOwnerPreferred").ownership == "BucketOwnerPreferred"
    with refused("InvalidArgument", "x-amz-object-ownership"):
        read_ownership_header("Me")


@pytest.mark.parametrize(
    "rules",
    [
        [],
        [{}],
        [{"ObjectOwnership": "Me"}],
        [{"ObjectOwnership": "ObjectWriter"}, {"ObjectOwnership": "ObjectWriter"}],
    ],
)
def test_ownership_refusals(rules: list[dict[str, object]]) -> None:
    with refused("MalformedXML"):
        read_ownership_controls(
            request_body("PutBucketOwnershipControls", OwnershipControls={"Rules": rules})
        )


def test_public_access_block() -> None:
    some = request_body(
        "PutPublicAccessBlock", PublicAccessBlockConfiguration={"BlockPublicAcls": True}
    )
    assert read_public_access_block(some) == PublicAccessBlock(block_acls=True)
    with refused("InvalidRequest", "Must specify at least one configuration."):
        read_public_access_block(b"<PublicAccessBlockConfiguration/>")
    with refused("MalformedXML"):
        read_public_access_block(some.replace(b"true", b"yes"))


def test_policy_status() -> None:
    for public in (True, False):
        shown = answer("GetBucketPolicyStatus", write_policy_status(public=public))
        assert shown == {"PolicyStatus": {"IsPublic": public}}


@pytest.mark.parametrize("inner", ["", "<Payer/>", "<Payer>Nobody</Payer>"])
def test_payment_refusals(inner: str) -> None:
    with refused("MalformedXML"):
        read_request_payment(
            f"<RequestPaymentConfiguration>{inner}</RequestPaymentConfiguration>".encode()
        )


@pytest.mark.parametrize("inner", ["", "<Status/>", "<Status>enabled</Status>"])
def test_acceleration_refusals(inner: str) -> None:
    with refused("MalformedXML"):
        read_accelerate(f"<AccelerateConfiguration>{inner}</AccelerateConfiguration>".encode())


def test_acceleration_never_set() -> None:
    assert answer("GetBucketAccelerateConfiguration", write_accelerate("")) == {}


@pytest.mark.parametrize("inner", ["", "<Status/>", "<Status>enabled</Status>"])
def test_access_by_tags_refusals(inner: str) -> None:
    with refused("MalformedXML"):
        read_abac(f"<AbacStatus>{inner}</AbacStatus>".encode())


# --- logging --------------------------------------------------------------------------


def logging(**enabled: object) -> bytes:
    return request_body("PutBucketLogging", BucketLoggingStatus={"LoggingEnabled": enabled})


def test_logging() -> None:
    # AWS says: "To disable logging, you use an empty BucketLoggingStatus request element."
    assert read_logging(b"<BucketLoggingStatus/>") is None
    assert answer("GetBucketLogging", write_logging(None)) == {}
    assert read_logging(logging(TargetBucket="logs", TargetPrefix="")) == Logging("logs", "")


@pytest.mark.parametrize(
    ("enabled", "reason"),
    [
        ({}, "MalformedXML"),
        ({"TargetBucket": "logs"}, "MalformedXML"),
        ({"TargetPrefix": "p"}, "MalformedXML"),
        ({"TargetBucket": "", "TargetPrefix": ""}, "InvalidTargetBucketForLogging"),
        ({"TargetBucket": "b", "TargetPrefix": "a" * 1025}, "InvalidArgument"),
        (
            {"TargetBucket": "b", "TargetPrefix": "", "TargetObjectKeyFormat": {}},
            "MalformedXML",
        ),
        (
            {
                "TargetBucket": "b",
                "TargetPrefix": "",
                "TargetObjectKeyFormat": {
                    "SimplePrefix": {},
                    "PartitionedPrefix": {"PartitionDateSource": "EventTime"},
                },
            },
            "MalformedXML",
        ),
        (
            {
                "TargetBucket": "b",
                "TargetPrefix": "",
                "TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "Now"}},
            },
            "MalformedXML",
        ),
        (
            {
                "TargetBucket": "b",
                "TargetPrefix": "",
                "TargetGrants": [
                    {"Grantee": {"Type": "CanonicalUser", "ID": "u"}, "Permission": "READ_ACP"}
                ],
            },
            "MalformedXML",
        ),
    ],
)
def test_logging_refusals(enabled: dict[str, object], reason: str) -> None:
    with refused(reason):
        read_logging(logging(**enabled))


def test_the_namespace_of_awss_own_example() -> None:
    """AWS: "To disable logging, you use an empty BucketLoggingStatus request element"."""
    example = b'<BucketLoggingStatus xmlns="http://doc.s3.amazonaws.com/2006-03-01" />'
    assert read_logging(example) is None

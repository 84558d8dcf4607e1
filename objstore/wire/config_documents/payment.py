"""RequestPaymentConfiguration: who pays for requests to a bucket."""

from typing import Final

from objstore.wire.leaf_values import required_choice
from objstore.wire.xml_reader import Element, read_document
from objstore.wire.xml_writer import document, leaf

BUCKET_OWNER: Final = "BucketOwner"
REQUESTER: Final = "Requester"
_CONFIGURATION: Final = Element("RequestPaymentConfiguration", (Element("Payer", required=True),))


def read_request_payment(data: bytes) -> str:
    """Return the payer that PutBucketRequestPayment names: BUCKET_OWNER or REQUESTER.

    Raises:
        RequestRefused: MalformedXML.
    """
    return required_choice(read_document(data, _CONFIGURATION), "Payer", (BUCKET_OWNER, REQUESTER))


def write_request_payment(payer: str) -> bytes:
    """Write what GetBucketRequestPayment answers."""
    return document("RequestPaymentConfiguration", leaf("Payer", payer))

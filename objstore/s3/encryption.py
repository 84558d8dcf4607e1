"""Server-side encryption with customer-provided keys: who has to bring which key.

"Amazon S3 does not store the encryption key that you provide. Instead, it stores a randomly salted
Hash-based Message Authentication Code (HMAC) value of the encryption key to validate future
requests." What is stored is told in docs/format/encryption.md.
"""

from objstore.engine.ports import ObjectReader
from objstore.errors import RequestRefused
from objstore.ondisk.encryption import is_key_of
from objstore.ondisk.record import Upload, Version
from objstore.s3.call import Call
from objstore.wire.customer_key import ALGORITHM, CustomerKey, read_customer_key


def customer_key(call: Call) -> CustomerKey | None:
    """Return the key for the object that is addressed; raises as read_customer_key."""
    return read_customer_key(call.request, over_http=call.ssec_over_http)


def source_key(call: Call) -> CustomerKey | None:
    """Return the key for the object that is copied; raises as read_customer_key."""
    return read_customer_key(call.request, over_http=call.ssec_over_http, source=True)


def require_key(version: Version, key: CustomerKey | None) -> None:
    """Hold what a reader brings against what an object needs.

    "If you encrypt an object by using SSE-C [...], then when you GET the object, you must use the"
    headers of the key.

    Raises:
        RequestRefused: InvalidRequest without a key, or with one that the object does not have;
            AccessDenied for another key.
    """
    if not version.encryption:
        if key is not None:
            raise RequestRefused(
                "InvalidRequest", "The encryption parameters are not applicable to this object."
            )
        return
    if key is None:
        raise RequestRefused(
            "InvalidRequest",
            "The object was stored using a form of Server Side Encryption. The correct parameters"
            " must be provided to retrieve the object.",
        )
    if not is_key_of(key.secret, version.encryption):
        raise RequestRefused("AccessDenied")


def readable(call: Call, reader: ObjectReader, key: CustomerKey | None) -> ObjectReader:
    """Return what reads the plaintext of an object that was found; raises as require_key."""
    require_key(reader.version, key)
    return reader if key is None else call.store.decrypted(reader, key)


def require_upload_key(upload: Upload, key: CustomerKey | None) -> None:
    """Hold the key of a part against the key of its upload.

    "The value [of the key of UploadPart] must match the one used in the CreateMultipartUpload
    request."

    Raises:
        RequestRefused: InvalidRequest.
    """
    if key is None and upload.encryption:
        raise RequestRefused(
            "InvalidRequest",
            "The multipart upload initiate requested encryption. Subsequent part requests must"
            " include the appropriate encryption parameters.",
        )
    require_same_key(upload, key)


def require_same_key(upload: Upload, key: CustomerKey | None) -> None:
    """Hold a key, which need not be there, against that of an upload.

    Raises:
        RequestRefused: InvalidRequest.
    """
    if key is None:
        return
    if not upload.encryption:
        raise RequestRefused(
            "InvalidRequest",
            "The multipart upload initiate did not request encryption. Please resend the request"
            " without sending encryption parameters.",
        )
    if not is_key_of(key.secret, upload.encryption):
        raise RequestRefused(
            "InvalidRequest",
            "The provided encryption parameters did not match the ones used originally.",
        )


def key_headers(key: CustomerKey | None) -> dict[str, str]:
    """Return what an answer says about the key.

    "If server-side encryption with a customer-provided encryption key was requested, the response
    will include this header to confirm the encryption algorithm that's used", "to provide the
    round-trip message integrity verification of the customer-provided encryption key."
    """
    if key is None:
        return {}
    return {
        "x-amz-server-side-encryption-customer-algorithm": ALGORITHM,
        "x-amz-server-side-encryption-customer-key-MD5": key.md5,
    }

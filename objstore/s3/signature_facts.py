"""How a request was signed, as conditions of policies ask for it.

The signature was verified before; here its kind is read off the request again.
"""

import re
from typing import Final

from objstore.access.request_context import UNSIGNED, SignatureFacts
from objstore.s3.call import Call
from objstore.wire.timestamps import parse_iso_date

_V4: Final = "AWS4-HMAC-SHA256"
_V2: Final = "AWS"
_STAMP: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")


def signature_facts(call: Call) -> SignatureFacts:
    """Return s3:authType, s3:signatureversion and s3:signatureAge of a request.

    "s3:signatureAge: the length of time, in milliseconds, that a signature is valid in an
    authenticated request. This condition works only for presigned URLs."
    """
    if call.caller is None:
        return UNSIGNED
    if call.form is not None:
        return SignatureFacts("POST", _V4 if "x-amz-algorithm" in call.form else _V2)
    request = call.request
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return SignatureFacts("REST-HEADER", _V4 if authorization.startswith("AWS4") else _V2)
    signed = request.query.get("X-Amz-Date")
    if signed is None:
        return SignatureFacts("REST-QUERY-STRING", _V2)
    return SignatureFacts("REST-QUERY-STRING", _V4, _age_ms(signed, call.now_ms))


def _age_ms(stamp: str, now_ms: int) -> int | None:
    found = _STAMP.fullmatch(stamp)
    if found is None:
        return None
    year, month, day, hour, minute, second = found.groups()
    signed_ms = parse_iso_date(f"{year}-{month}-{day}T{hour}:{minute}:{second}Z")
    return None if signed_ms is None else max(now_ms - signed_ms, 0)

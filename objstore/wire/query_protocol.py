"""The query protocol of IAM and STS: `Action=...` in the query or in a form, and its errors.

"AWS query protocol: the action and its parameters are sent as key-value pairs", by GET in the
query or by POST as application/x-www-form-urlencoded; answers and errors are XML.
"""

import re
from collections.abc import Mapping
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.request import Query
from objstore.wire.xml_writer import leaves

_ACTION: Final = re.compile(r"[A-Za-z]{1,64}")
_NAMESPACES: Final = {
    "iam": "https://iam.amazonaws.com/doc/2010-05-08/",
    "sts": "https://sts.amazonaws.com/doc/2011-06-15/",
}
# Where these services have another code than S3 for the same refusal.
_CODES: Final[Mapping[str, str]] = {
    "AuthorizationHeaderMalformed": "IncompleteSignature",
    "AuthorizationQueryParametersError": "IncompleteSignature",
    "InvalidAccessKeyId": "InvalidClientTokenId",
    "InternalError": "InternalFailure",
    "InvalidToken": "InvalidClientTokenId",
    "RequestTimeTooSkewed": "SignatureDoesNotMatch",
    "SlowDown": "Throttling",
}


def action_of(query: Query, form: Query) -> str:
    """Return which action a request asks for.

    Raises:
        RequestRefused: InvalidRequest, when it names none or several.
    """
    named = query.all("Action") + form.all("Action")
    if len(named) != 1 or _ACTION.fullmatch(named[0]) is None:
        raise RequestRefused("InvalidRequest", "A request to IAM or STS has exactly one Action.")
    return named[0]


def query_error(service: str, code: str, message: str, *, status: int, request_id: str) -> bytes:
    """Write an error of `service`; `code` is S3's. Its Type says who is at fault."""
    kind = "Receiver" if status in {500, 503} else "Sender"
    inner = leaves([("Type", kind), ("Code", _CODES.get(code, code)), ("Message", message)])
    return (
        f'<ErrorResponse xmlns="{_NAMESPACES[service]}"><Error>{inner}</Error>'
        f"{leaves([('RequestId', request_id)])}</ErrorResponse>"
    ).encode()

"""Continuation tokens: where a listing goes on, in a form that clients do not take apart."""

import base64
import binascii
from typing import Final

from objstore.errors import RequestRefused

_FORM: Final = b"1"


def write_token(last: str) -> str:
    """Return the token with which the next page begins after `last`."""
    return base64.urlsafe_b64encode(_FORM + last.encode()).decode()


def read_token(token: str) -> str:
    """Return what the next page begins after.

    Raises:
        RequestRefused: InvalidArgument, when `write_token` did not make it.
    """
    try:
        raw = base64.b64decode(token.encode(), altchars=b"-_", validate=True)
        if raw.startswith(_FORM):
            return raw.removeprefix(_FORM).decode()
    except (binascii.Error, ValueError):
        pass
    raise RequestRefused(
        "InvalidArgument",
        "The continuation token provided is incorrect",
        ArgumentName="continuation-token",
    )

"""The fields of a form that a browser posts: one value for each name, and the file's name in them.

Names have no case: "Content-Type", "content-type" and "conTent-type" are one field.
"""

from collections.abc import Mapping
from typing import Final

from objstore.errors import RequestRefused
from objstore.limits import POST_FIELDS_BYTES_MAX
from objstore.wire.headers import parameters
from objstore.wire.post_form import MEDIA_TYPE, FormField
from objstore.wire.request import Request
from objstore.wire.signature_claim import signed_in_query
from objstore.wire.signing import UNSIGNED_PAYLOAD

KEY_FIELD: Final = "key"
POLICY_FIELD: Final = "policy"
# No condition has to name such a field, and it means nothing.
IGNORED_PREFIX: Final = "x-ignore-"
_FILENAME: Final = "${filename}"
# They would speak of the whole form, and nothing here holds it against them.
_ABOUT_THE_BODY: Final = ("content-md5", "content-encoding")
# They change nothing; any other x-amz- header would, and a form's signature covers none.
_UNSIGNED: Final = frozenset({"x-amz-cf-id", "x-amz-content-sha256", "x-amz-user-agent"})

Fields = Mapping[str, str]


def posts_form(request: Request) -> bool:
    """Whether a request is a form posted to a bucket, by its method, target and media type."""
    if request.method != "POST" or request.bucket is None or request.key is not None:
        return False
    words, _, _ = (request.headers.get("content-type") or "").partition(";")
    return words.strip(" \t").lower() == MEDIA_TYPE


def require_form_alone(request: Request) -> None:
    """Refuse what a form's request must not say beside the form.

    Raises:
        RequestRefused: InvalidArgument, for a signature outside the form; AccessDenied, for a
            body framed by chunks or an x-amz- header, which nobody signed; InvalidRequest, for a
            digest or an encoding of the whole form.
    """
    if "authorization" in request.headers or signed_in_query(request.query):
        raise two_mechanisms()
    payload = request.headers.get("x-amz-content-sha256")
    if payload not in (None, UNSIGNED_PAYLOAD):
        if payload.startswith("STREAMING-"):
            raise RequestRefused("AccessDenied")
        raise _not_beside_a_form("x-amz-content-sha256")
    for name in _ABOUT_THE_BODY:
        if name in request.headers:
            raise _not_beside_a_form(name)
    names = [name for name, _ in parameters(request) if name.startswith("x-amz-")]
    unsigned = [name for name in names if name not in _UNSIGNED]
    if unsigned:
        raise RequestRefused(
            "AccessDenied",
            "There were headers present in the request which were not signed",
            HeadersNotSigned=", ".join(unsigned),
        )


def two_mechanisms() -> RequestRefused:
    """Return the refusal of a request that is signed in two ways."""
    return RequestRefused(
        "InvalidArgument",
        "Only one auth mechanism allowed; a form is signed by its policy, without an Authorization"
        " header or a signature in the query, and by one version of signatures",
        ArgumentName="Authorization",
    )


def _not_beside_a_form(name: str) -> RequestRefused:
    return RequestRefused(
        "InvalidRequest", f"{name} cannot be a header of a form's request.", Header=name
    )


def missing_field(name: str) -> RequestRefused:
    """Return the refusal of a form that lacks a field in front of its file."""
    return RequestRefused(
        "InvalidArgument",
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the"
        " order of the fields.",
        ArgumentName=name,
        ArgumentValue="",
    )


class FieldCollector:
    """Collects fields as they come, until the file begins."""

    __slots__ = ("_fields",)

    def __init__(self) -> None:
        self._fields: dict[str, str] = {}

    def add(self, field: FormField) -> None:
        """Take the next field.

        Raises:
            RequestRefused: InvalidArgument, for a name that was there: which one counts would be
                for each reader to guess.
        """
        name = field.name.lower()
        if name in self._fields:
            raise RequestRefused(
                "InvalidArgument",
                f"The form has more than one field named '{name}'.",
                ArgumentName=name,
                ArgumentValue=field.value,
            )
        self._fields[name] = field.value

    def close(self, filename: str) -> dict[str, str]:
        r"""Return the fields by lower-case name, once the file's name is known.

        "The string ${filename} is automatically replaced with the name of the file provided by
        the user and is recognized by all form fields." "If the browser or client provides a full
        or partial path to the file, only the text following the last slash (/) or backslash (\)
        is used". "If no file or file name is provided, the variable is replaced with an empty
        string."

        Raises:
            RequestRefused: MaxPostPreDataLengthExceededError, when that makes fields too large.
        """
        name = filename.replace("\\", "/").rpartition("/")[2]
        growth = len(name) - len(_FILENAME)
        uses = sum(value.count(_FILENAME) for value in self._fields.values())
        if uses * growth > POST_FIELDS_BYTES_MAX:
            raise RequestRefused("MaxPostPreDataLengthExceededError")
        return {field: value.replace(_FILENAME, name) for field, value in self._fields.items()}

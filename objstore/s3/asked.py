"""Which actions a request asks for: its operation's, and those of what else it says.

"To set the object tags, you must have the s3:PutObjectTagging permission": each header that sets
something beside the object has an action of its own.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from objstore.access.acl_headers import GRANT_HEADERS
from objstore.access.operation_actions import VERSION_ACTIONS
from objstore.wire.headers import parameter
from objstore.wire.request import Request

BYPASS_HEADER: Final = "x-amz-bypass-governance-retention"
_LOCK_HEADERS: Final = ("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date")
_HOLD_HEADER: Final = "x-amz-object-lock-legal-hold"
_ACL_HEADERS: Final = ("x-amz-acl", *GRANT_HEADERS)
_GET: Final = "s3:GetObject"
# Actions that need another one beside them: what they answer is part of what that one answers.
_BESIDE: Final[Mapping[str, str]] = {"s3:GetObjectAttributes": _GET}
_DELETE: Final = "s3:DeleteObject"
# Actions whose document has condition keys of its own, by how these begin.
DOCUMENT_KEYS: Final[Mapping[str, str]] = {
    "s3:PutObjectTagging": "requestobjecttag",
    "s3:PutObjectRetention": "object-lock-",
    "s3:PutObjectLegalHold": "object-lock-",
}


def actions_of(request: Request, action: str, *, creates: bool, acls_act: bool) -> list[str]:
    """Return all that a request asks to do with its bucket or object, its operation's first.

    Args:
        request: the request.
        action: what its operation is called by policies, without a version.
        creates: whether an object is made, whose tags, ACL and lock the headers may say.
        acls_act: whether the bucket has ACLs; where it has none, no header sets one.
    """
    asked = [action, *_beside(request, action)]
    if creates:
        asked += _with_new_object(request, acls_act=acls_act)
    if bypass_asked(request):
        asked.append("s3:BypassGovernanceRetention")
    return [named(one, versioned=request.query.has("versionId")) for one in asked]


def named(action: str, *, versioned: bool) -> str:
    """Return the action for a version that is named, "null" too, or for the current one."""
    return VERSION_ACTIONS.get(action, action) if versioned else action


def delete_actions(request: Request, *, versioned: bool, etag: str | None) -> list[str]:
    """Return what deleting one object of a list asks for."""
    asked = [_DELETE]
    if _tells_etag(etag):
        asked.append(_GET)
    if bypass_asked(request):
        asked.append("s3:BypassGovernanceRetention")
    return [named(one, versioned=versioned) for one in asked]


def sends_acl(request: Request) -> bool:
    """Whether headers of a request say who may use what it makes."""
    return _sends(request, _ACL_HEADERS)


def bypass_asked(request: Request) -> bool:
    """Whether a request asks to bypass governance retention."""
    return (parameter(request, BYPASS_HEADER) or "").lower() == "true"


def _beside(request: Request, action: str) -> Iterator[str]:
    if action in _BESIDE:
        yield _BESIDE[action]
    condition = request.headers.get("if-match")
    # "The If-Match header requires both s3:PutObject and s3:GetObject"; a delete with an ETag too.
    if action == "s3:PutObject" and condition is not None:
        yield _GET
    if action == _DELETE and _tells_etag(condition):
        yield _GET


def _tells_etag(condition: str | None) -> bool:
    return condition is not None and condition.strip() != "*"


def _with_new_object(request: Request, *, acls_act: bool) -> Iterator[str]:
    if parameter(request, "x-amz-tagging"):
        yield "s3:PutObjectTagging"
    if acls_act and sends_acl(request):
        yield "s3:PutObjectAcl"
    if _sends(request, _LOCK_HEADERS):
        yield "s3:PutObjectRetention"
    if _sends(request, (_HOLD_HEADER,)):
        yield "s3:PutObjectLegalHold"


def _sends(request: Request, names: tuple[str, ...]) -> bool:
    return any(parameter(request, name) is not None for name in names)

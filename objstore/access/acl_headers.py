"""The ACL that a request's headers ask for: x-amz-acl, or x-amz-grant-*.

"You can specify access permissions explicitly [...] each grantee as a type=value pair": id,
emailAddress or uri, separated by commas.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from objstore.access.acl import GROUPS, Acl, Grant, Permission, acl_of, canned_acl
from objstore.errors import RequestRefused
from objstore.limits import ACL_GRANTS_MAX

GRANT_HEADERS: Final[Mapping[str, Permission]] = {
    "x-amz-grant-full-control": Permission.FULL_CONTROL,
    "x-amz-grant-read": Permission.READ,
    "x-amz-grant-read-acp": Permission.READ_ACP,
    "x-amz-grant-write": Permission.WRITE,
    "x-amz-grant-write-acp": Permission.WRITE_ACP,
}
_GRANTEE: Final = re.compile(
    r"\s*(?P<kind>id|uri|emailaddress)\s*=\s*"
    r"(?:\"(?P<quoted>[^\"]{1,512})\"|(?P<plain>[^\",\s]{1,512}))\s*",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Directory:
    """How grantees are looked up: each returns a canonical id, None for nobody."""

    by_id: Callable[[str], str | None]
    by_email: Callable[[str], str | None]


def requested_acl(
    parameter: Callable[[str], str | None],
    *,
    owner: str,
    bucket_owner: str | None,
    directory: Directory,
) -> Acl | None:
    """Return the ACL that headers ask for, None when they ask for none.

    `owner` will own what it is for; `bucket_owner` is None when that is a bucket itself.

    Raises:
        RequestRefused: InvalidRequest, InvalidArgument, MalformedACLError,
            UnresolvableGrantByEmailAddress.
    """
    canned = parameter("x-amz-acl")
    given = {name: value for name in GRANT_HEADERS if (value := parameter(name)) is not None}
    if canned is not None and given:
        raise RequestRefused(
            "InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed"
        )
    if canned is not None:
        return canned_acl(canned, owner=owner, bucket_owner=bucket_owner)
    if not given:
        return None
    return acl_of(
        grant_to(kind, value, GRANT_HEADERS[name], directory)
        for name, header in given.items()
        for kind, value in _grantees(name, header)
    )


def grant_to(kind: str, value: str, permission: Permission, directory: Directory) -> Grant:
    """Return the grant to a grantee named by "id", "emailaddress" or "uri".

    Raises:
        RequestRefused: InvalidArgument, UnresolvableGrantByEmailAddress.
    """
    if kind == "uri":
        group = GROUPS.get(value)
        if group is None:
            raise RequestRefused(
                "InvalidArgument", "Invalid group uri", ArgumentName="uri", ArgumentValue=value
            )
        return Grant(permission, group=group)
    if kind == "emailaddress":
        found = directory.by_email(value)
        if found is None:
            raise RequestRefused(
                "UnresolvableGrantByEmailAddress", ArgumentName="Email", ArgumentValue=value
            )
        return Grant(permission, found)
    found = directory.by_id(value)
    if found is None:
        raise RequestRefused(
            "InvalidArgument",
            "Invalid id",
            ArgumentName="CanonicalUser/ID",
            ArgumentValue=value,
        )
    return Grant(permission, found)


def _grantees(name: str, header: str) -> Iterator[tuple[str, str]]:
    place = 0
    for _ in range(ACL_GRANTS_MAX + 1):
        found = _GRANTEE.match(header, place)
        if found is None:
            break
        yield found["kind"].lower(), found["quoted"] or found["plain"]
        place = found.end()
        if place == len(header):
            return
        if header[place] != ",":
            break
        place += 1
    raise RequestRefused(
        "InvalidArgument",
        "Argument format not recognized",
        ArgumentName=name,
        ArgumentValue=header[:512],
    )

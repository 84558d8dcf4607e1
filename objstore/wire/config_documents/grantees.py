"""Grantees and grants: whom an ACL or a log's target grants what, as elements and as headers."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Final

from objstore.errors import RequestRefused
from objstore.wire.leaf_values import malformed, required, required_choice
from objstore.wire.xml_reader import Element, Node
from objstore.wire.xml_writer import leaf

_XSI: Final = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE: Final = f"{{{_XSI}}}type"
CANONICAL_USER: Final = "CanonicalUser"
EMAIL: Final = "AmazonCustomerByEmail"
GROUP: Final = "Group"

ALL_USERS: Final = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED_USERS: Final = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY: Final = "http://acs.amazonaws.com/groups/s3/LogDelivery"
GROUPS: Final = frozenset({ALL_USERS, AUTHENTICATED_USERS, LOG_DELIVERY})

GRANT_RULE: Final = Element(
    "Grant",
    (
        Element(
            "Grantee",
            (Element("ID"), Element("DisplayName"), Element("EmailAddress"), Element("URI")),
            required=True,
            attributes=(_TYPE,),
        ),
        Element("Permission", required=True),
    ),
    many=True,
)
# Of each type: the element, and the key in a header, that say who it is.
_IDENTIFIERS: Final = {CANONICAL_USER: "ID", EMAIL: "EmailAddress", GROUP: "URI"}
_HEADER_KEYS: Final = {"id": CANONICAL_USER, "emailAddress": EMAIL, "uri": GROUP}
_HEADER_ITEM: Final = re.compile(r'\s*([A-Za-z]+)\s*=\s*(?:"([^"]*)"|([^",;=\s]+))\s*(?:,|\Z)')


@dataclass(frozen=True, slots=True)
class Grantee:
    """Someone: a canonical id, an e-mail address or a group's URI, by `kind`."""

    kind: str
    identifier: str
    display_name: str = ""


@dataclass(frozen=True, slots=True)
class Grant:
    """What someone may do: READ, WRITE, READ_ACP, WRITE_ACP or FULL_CONTROL."""

    grantee: Grantee
    permission: str


def read_grants(node: Node, permissions: Collection[str]) -> tuple[Grant, ...]:
    """Read the Grant elements below `node`.

    Raises:
        RequestRefused: MalformedXML; InvalidArgument for a group that AWS does not know.
    """
    return tuple(
        Grant(
            _grantee(required(grant, "Grantee")),
            required_choice(grant, "Permission", permissions),
        )
        for grant in node.all("Grant")
    )


def _grantee(node: Node) -> Grantee:
    kind = node.attributes.get(_TYPE)
    if kind not in _IDENTIFIERS:
        raise malformed("a Grantee has an xsi:type: CanonicalUser, Group or AmazonCustomerByEmail")
    element = _IDENTIFIERS[kind]
    identifier = (node.text_of(element) or "").strip()
    if not identifier:
        raise malformed(f"a Grantee of type {kind} needs {element}")
    # Two identifiers might be two grantees; the schema of each type has its own alone.
    known = {element, "DisplayName"} if kind == CANONICAL_USER else {element}
    if strange := node.children.keys() - known:
        raise malformed(f"a Grantee of type {kind} has no {min(strange)}")
    if kind == GROUP and identifier not in GROUPS:
        raise _unknown_group("Group/URI", identifier)
    shown = (node.text_of("DisplayName") or "") if kind == CANONICAL_USER else ""
    return Grantee(kind, identifier, shown)


def _unknown_group(argument: str, uri: str) -> RequestRefused:
    return RequestRefused(
        "InvalidArgument", "Invalid group uri", ArgumentName=argument, ArgumentValue=uri[:200]
    )


def grant_elements(grants: Iterable[Grant]) -> str:
    """Return a Grant element for each grant."""
    return "".join(
        f"<Grant>{_element(grant.grantee)}{leaf('Permission', grant.permission)}</Grant>"
        for grant in grants
    )


def _element(grantee: Grantee) -> str:
    inner = leaf(_IDENTIFIERS[grantee.kind], grantee.identifier)
    if grantee.display_name:
        inner += leaf("DisplayName", grantee.display_name)
    return f'<Grantee xmlns:xsi="{_XSI}" xsi:type="{grantee.kind}">{inner}</Grantee>'


def read_grant_header(name: str, value: str, permission: str) -> tuple[Grant, ...]:
    """Read one x-amz-grant- header: `id="...", uri="...", emailAddress="..."`.

    "You specify each grantee as a type=value pair."

    Raises:
        RequestRefused: InvalidArgument.
    """
    grants = []
    at = 0
    while at < len(value):
        found = _HEADER_ITEM.match(value, at)
        if found is None or found[1] not in _HEADER_KEYS:
            raise RequestRefused(
                "InvalidArgument",
                "Argument format not recognized",
                ArgumentName=name,
                ArgumentValue=value[at:][:200],
            )
        kind, identifier = _HEADER_KEYS[found[1]], (found[2] or found[3] or "").strip()
        if not identifier:
            raise RequestRefused("InvalidArgument", "Invalid id", ArgumentName=found[1])
        if kind == GROUP and identifier not in GROUPS:
            raise _unknown_group("uri", identifier)
        grants.append(Grant(Grantee(kind, identifier), permission))
        at = found.end()
    return tuple(grants)

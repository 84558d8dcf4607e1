"""Who asks, and how policies name them.

Every identity is an account of its own, so an account's number, its root's ARN and its user's ARN
all name the same one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from objstore.errors import RequestRefused


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks. Without a canonical id: anybody, unsigned."""

    canonical_id: str
    account: str  # 12 digits
    name: str  # no two identities share one
    arn: str
    root: bool = False  # the operator's own identity

    @property
    def anonymous(self) -> bool:
        """Whether nobody signed the request."""
        return not self.canonical_id

    def is_owner(self, owner: str) -> bool:
        """Whether this is the one with canonical id `owner`; nobody is the owner ""."""
        return bool(owner) and self.canonical_id == owner


ANONYMOUS: Final = Principal("", "", "", "")


class Naming(Enum):
    """How an entry of a Principal element names somebody."""

    EVERYONE = auto()
    ACCOUNT = auto()
    USER = auto()
    ARN = auto()  # a role or session: found by the whole ARN
    CANONICAL = auto()
    SERVICE = auto()
    FEDERATED = auto()


@dataclass(frozen=True, slots=True)
class NamedPrincipal:
    """One entry of a Principal element."""

    naming: Naming
    value: str  # an account, a user's name, an ARN, a canonical id, a service
    account: str = ""  # of a USER; "" when the ARN leaves it out

    def is_one(self, principal: Principal) -> bool:
        """Whether it names `principal`. An anonymous one is named by "*" alone."""
        if self.naming is Naming.EVERYONE or principal.anonymous:
            return self.naming is Naming.EVERYONE
        match self.naming:
            case Naming.ACCOUNT:
                return self.value == principal.account
            case Naming.USER:
                return self.value == principal.name and self.account in ("", principal.account)
            case Naming.ARN:
                return self.value == principal.arn
            case Naming.CANONICAL:
                return self.value == principal.canonical_id
            case _:  # nobody signs as a service, or through a provider
                return False


@dataclass(frozen=True, slots=True)
class Principals:
    """A Principal element, or a NotPrincipal."""

    named: tuple[NamedPrincipal, ...]
    negated: bool

    def include(self, principal: Principal) -> bool:
        """Whether the statement is about `principal`."""
        return any(entry.is_one(principal) for entry in self.named) != self.negated

    @property
    def everyone(self) -> bool:
        """Whether anybody at all is meant, for what is and is not public."""
        return self.negated or any(entry.naming is Naming.EVERYONE for entry in self.named)


_ACCOUNT: Final = re.compile(r"[0-9]{12}")
_PARTITION: Final = r"arn:(?:aws|aws-cn|aws-us-gov)"
# An account in another system's words names nobody here, as an account elsewhere does.
_IAM_ARN: Final = re.compile(
    rf"{_PARTITION}:iam::(?P<account>[0-9]{{12}}|[A-Za-z][A-Za-z0-9_-]{{0,62}}|)"
    r":(?P<kind>root|user/|role/)(?P<name>[!-)+->@-~]{0,512})"
)
_SESSION_ARN: Final = re.compile(
    rf"{_PARTITION}:sts::[0-9]{{12}}:(?:assumed-role/[\w+=,.@-]{{1,128}}/|federated-user/)"
    r"[\w+=,.@-]{1,128}",
    re.ASCII,
)
_PROVIDER_ARN: Final = re.compile(
    rf"{_PARTITION}:iam::[0-9]{{12}}:(?:saml|oidc)-provider/[\w+=,.@/:-]{{1,512}}", re.ASCII
)
_CANONICAL_ID: Final = re.compile(r"[!-)+->@-~]{1,256}")
_HOST: Final = re.compile(r"[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}")
_SERVICE: Final = re.compile(r"[a-z0-9-]{1,63}(?:\.[a-z0-9-]{1,63}){0,6}\.amazonaws\.com(?:\.cn)?")


def read_principals(value: object, *, negated: bool) -> Principals:
    """Read a Principal or NotPrincipal element.

    Raises:
        RequestRefused: MalformedPolicy.
    """
    if value == "*":
        return Principals((NamedPrincipal(Naming.EVERYONE, "*"),), negated)
    if not isinstance(value, Mapping) or not value:
        raise _invalid(value)
    named = [
        _READERS[kind](kind, entry) if kind in _READERS else _refuse(kind, entry)
        for kind, entries in value.items()
        for entry in _entries(kind, entries)
    ]
    return Principals(tuple(named), negated)


def _entries(kind: str, entries: object) -> list[object]:
    listed = list(entries) if isinstance(entries, list) else [entries]
    if not listed:
        raise _invalid(entries, kind)
    return listed


def _aws(kind: str, entry: object) -> NamedPrincipal:
    if entry == "*":
        return NamedPrincipal(Naming.EVERYONE, "*")
    if not isinstance(entry, str):
        raise _invalid(entry, kind)
    if _ACCOUNT.fullmatch(entry):
        return NamedPrincipal(Naming.ACCOUNT, entry)
    if _SESSION_ARN.fullmatch(entry):
        return NamedPrincipal(Naming.ARN, entry)
    return _iam(kind, entry)


def _iam(kind: str, entry: str) -> NamedPrincipal:
    found = _IAM_ARN.fullmatch(entry)
    if found is None:
        raise _invalid(entry, kind)
    account, what, name = found["account"], found["kind"], found["name"]
    if (what == "root") == bool(name) or (what != "user/" and not account):
        raise _invalid(entry, kind)
    if what == "root":
        return NamedPrincipal(Naming.ACCOUNT, account)
    if what == "user/":
        return NamedPrincipal(Naming.USER, name, account)
    return NamedPrincipal(Naming.ARN, entry)


def _canonical(kind: str, entry: object) -> NamedPrincipal:
    if not isinstance(entry, str) or not _CANONICAL_ID.fullmatch(entry):
        raise _invalid(entry, kind)
    return NamedPrincipal(Naming.CANONICAL, entry)


def _service(kind: str, entry: object) -> NamedPrincipal:
    if not isinstance(entry, str) or not _SERVICE.fullmatch(entry):
        raise _invalid(entry, kind)
    return NamedPrincipal(Naming.SERVICE, entry)


def _federated(kind: str, entry: object) -> NamedPrincipal:
    if not isinstance(entry, str) or not (_HOST.fullmatch(entry) or _PROVIDER_ARN.fullmatch(entry)):
        raise _invalid(entry, kind)
    return NamedPrincipal(Naming.FEDERATED, entry)


def _refuse(kind: str, entry: object) -> NamedPrincipal:
    raise _invalid(entry, kind)


_READERS: Final[Mapping[str, Callable[[str, object], NamedPrincipal]]] = {
    "AWS": _aws,
    "CanonicalUser": _canonical,
    "Service": _service,
    "Federated": _federated,
}


def _invalid(entry: object, kind: str = "") -> RequestRefused:
    shown = entry if isinstance(entry, str) else ""
    detail = f'"{kind}" : "{shown}"' if kind else shown
    return RequestRefused("MalformedPolicy", "Invalid principal in policy", Detail=detail[:256])

"""From the operator's root credential and `[[identities]]` sections to the identities."""

from collections.abc import Iterable, Mapping
from typing import Final

from objstore.config import IdentitySettings, Secrets
from objstore.errors import ConfigError
from objstore.iam.identities import ANONYMOUS_ID, Identities, Identity

ROOT_DISPLAY_NAME: Final = "objstore"


def identities_of(secrets: Secrets, sections: Iterable[IdentitySettings]) -> Identities:
    """Return root and the identities that the sections declare.

    A section with root's access key and no secret key describes root.

    Raises:
        ConfigError: a section has no secret key, has root's, or shares a name with another. The
            message shows no access key and no secret.
    """
    found: dict[str, Identity] = {}
    for number, section in enumerate(sections, start=1):
        where = f"identity {number}"
        root = section.access_key == secrets.root_user
        if root:
            _refuse_second_secret(where, section)
        else:
            _require_secret(where, section, secrets)
        found[where] = _identity(section, secrets.root_password if root else "", root=root)
    if not any(one.root for one in found.values()):
        section = IdentitySettings(secrets.root_user)
        found["root"] = _identity(section, secrets.root_password, root=True)
    _refuse_shared_names(found)
    return Identities(found.values())


def _identity(section: IdentitySettings, root_password: str, *, root: bool) -> Identity:
    return Identity(
        access_key=section.access_key,
        secret=root_password if root else section.secret_key,
        display_name=section.display_name or (ROOT_DISPLAY_NAME if root else ""),
        canonical_id=section.canonical_id,
        email=section.email,
        root=root,
    )


def _refuse_second_secret(where: str, section: IdentitySettings) -> None:
    if section.secret_key:
        raise ConfigError(
            found=f"{where} with the access_key of OBJSTORE_ROOT_USER and a secret key",
            expected="root's secret key in OBJSTORE_ROOT_PASSWORD alone",
            remedy="remove the secret key to describe root, or choose another access_key",
        )


def _require_secret(where: str, section: IdentitySettings, secrets: Secrets) -> None:
    if not section.secret_key:
        raise ConfigError(
            found=f"{where} without a secret key",
            expected="secret_key or secret_key_file; only a section that describes root, whose "
            "access_key is OBJSTORE_ROOT_USER's value, has neither",
            remedy=f"add one to {where}",
        )
    if section.secret_key in (secrets.root_password, secrets.cluster_secret):
        raise ConfigError(
            found=f"{where} with the secret of root or of the cluster",
            expected="a secret key of its own",
            remedy=f"draw another for {where}",
        )


def _refuse_shared_names(identities: Mapping[str, Identity]) -> None:
    """Refuse two identities that one name could mean.

    Access keys, canonical ids and accounts share one space of names: what is stored as an owner
    may be either of the first two, what a client expects as an owner either of the last two.
    """
    named = {ANONYMOUS_ID: "the anonymous user"}
    emails: dict[str, str] = {}
    for where, one in identities.items():
        own = {one.access_key: "access_key", one.canonical_id: "canonical_id"}
        for name, kind in (*own.items(), (one.account, "canonical_id (its account number)")):
            if name in named and named[name] != where:
                raise _shared(where, kind, named[name])
            named[name] = where
        email = one.email.casefold()
        if email and email in emails:
            raise _shared(where, "email", emails[email])
        emails[email] = where


def _shared(where: str, kind: str, other: str) -> ConfigError:
    return ConfigError(
        found=f"{where}: its {kind} is that of {other} too",
        expected="access keys, canonical ids and emails that no two identities share",
        remedy=f"choose another {kind.partition(' ')[0]} for {where}",
    )

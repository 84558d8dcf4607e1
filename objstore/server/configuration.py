"""Which configuration a server runs, as a short hash, and what of it may change while it runs.

The hash covers what has to be the same on every server, secrets included, and is keyed with the
cluster secret: two servers that show the same one are configured alike, and nothing can be
guessed from it. What differs from machine to machine by design (addresses, workers, the files
that secrets stand in) is left out.
"""

import hmac
from dataclasses import fields, replace
from typing import Final

import msgspec

from objstore.config import IdentitySettings, Secrets, Settings
from objstore.errors import ConfigError

GENERATION_DIGITS: Final = 12

# What a running server takes up: each is read anew for each request, and by nothing else.
LIVE_SETTINGS: Final = frozenset(
    {"domains", "identities", "metrics_public", "requests_in_flight", "sigv2_links"}
    | {"ssec_over_http"}
)
LIVE_SECRETS: Final = frozenset({"metrics_token", "root_password", "root_user"})
_OF_THE_MACHINE: Final = frozenset(
    {"host", "internal_port", "port", "server", "workers"}
    | {"tls_certificate", "tls_key"}
    | {"internal_tls_ca", "internal_tls_certificate", "internal_tls_key"}
)
assert LIVE_SETTINGS | _OF_THE_MACHINE <= {one.name for one in fields(Settings)}
assert LIVE_SECRETS <= {one.name for one in fields(Secrets)}


def generation_of(settings: Settings, secrets: Secrets) -> str:
    """Return the hash that tells one configuration from another."""
    shared = {
        one.name: getattr(settings, one.name)
        for one in fields(Settings)
        if one.name not in _OF_THE_MACHINE
    }
    shared["identities"] = sorted(
        (replace(one, secret_in="") for one in settings.identities), key=_access_key
    )
    document = msgspec.json.encode(
        [shared, secrets.root_user, secrets.root_password, secrets.metrics_token]
    )
    digest = hmac.digest(secrets.cluster_secret.encode(), document, "sha256")
    return digest.hex()[:GENERATION_DIGITS]


def _access_key(section: IdentitySettings) -> str:
    return section.access_key


def changed_names(old: tuple[Settings, Secrets], new: tuple[Settings, Secrets]) -> tuple[str, ...]:
    """Return which settings and secrets of a running server differ in what was read anew.

    Raises:
        ConfigError: one of them can not change while the server runs; then none shall.
    """
    changed = (
        *_differing(old[0], new[0]),
        *_differing(old[1], new[1]),
    )
    fixed = [name for name in changed if name not in LIVE_SETTINGS | LIVE_SECRETS]
    if fixed:
        raise ConfigError(
            found=f"a change of {', '.join(fixed)}",
            expected="changes of "
            f"{', '.join(sorted(LIVE_SETTINGS | LIVE_SECRETS))} alone while a server runs",
            remedy="undo it, or restart the servers, one after the other",
        )
    return changed


def _differing(old: Settings | Secrets, new: Settings | Secrets) -> list[str]:
    return [one.name for one in fields(old) if getattr(old, one.name) != getattr(new, one.name)]

"""From what the operator gave to what the supervisor runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from objstore.clock import Clock, Entropy, SystemClock
from objstore.config import Secrets, Settings, load_secrets, load_settings
from objstore.config.identities import files_open_to_others
from objstore.errors import ConfigError
from objstore.iam.directory import identities_of
from objstore.limits import LIFECYCLE_DAY_SECONDS
from objstore.server.order import LogFormat
from objstore.server.place import own_server
from objstore.server.tls import Tls
from objstore.server.watch import files_of
from objstore.topology.layout import Layout, layout_of

_log = structlog.get_logger(__name__)

_CLUSTER_SECRET: Final = "OBJSTORE_CLUSTER_SECRET"  # noqa: S105  a name, no secret


@dataclass(frozen=True, slots=True)
class Plan:
    """What one server is."""

    settings: Settings
    secrets: Secrets
    server: str  # its name in the layout, "" for a purely local one
    log_format: LogFormat = LogFormat.TEXT
    files: tuple[str, ...] = ()  # that settings and secrets were read from


def make_plan(
    *,
    endpoints: Sequence[str],
    config: Path | None,
    environment: Mapping[str, str],
    options: Mapping[str, object],
    log_format: LogFormat,
    entropy: Entropy,
    clock: Clock | None = None,
) -> Plan:
    """Read settings, secrets and certificates; find out which server of the layout this is.

    Raises:
        ConfigError: any of it is not what it has to be.
    """
    settings = load_settings(
        endpoints=endpoints, config=config, environment=environment, options=options
    )
    layout = layout_of(settings)
    _check_schemes(settings, layout)
    server = own_server(settings, layout)
    for port in Tls(settings, server=server, clock=clock or SystemClock()).ports:
        port.warn()
    secrets = load_secrets(_with_cluster_secret(environment, layout, entropy))
    identities_of(secrets, settings.identities)  # refused here, before anything is started
    for file in files_open_to_others(settings.identities):
        _log.warning(
            "secret keys can be read by every user of this machine",
            file=file,
            what_to_do="chmod o-r",
        )
    if settings.lifecycle_day_seconds != LIFECYCLE_DAY_SECONDS:
        _log.warning(
            "a switch for tests is on: lifecycle rules delete as if days were short",
            lifecycle_day_seconds=settings.lifecycle_day_seconds,
            what_to_do="leave the setting out wherever data is to be kept",
        )
    if settings.ssec_over_http:
        _log.warning(
            "a switch for tests is on: customers' keys (SSE-C) are accepted over plain HTTP",
            ssec_over_http=True,
            what_to_do="leave the setting out wherever others can see the network",
        )
    _warn_of_clear_witness(settings)
    files = files_of(settings, config=config, environment=environment)
    return Plan(settings, secrets, server, log_format, files)


def _warn_of_clear_witness(settings: Settings) -> None:
    """Say that who may write is decided in the clear, where nothing else between servers is."""
    clear = [one for one in settings.witness if one.startswith("http:")]
    if clear and settings.internal_tls_certificate:
        _log.warning(
            "servers talk by TLS, and to the witness in the clear",
            witness=", ".join(clear),
            what_to_do="write https:// as in docs/operating/witness.md, or keep others out",
        )


def _check_schemes(settings: Settings, layout: Layout) -> None:
    """Refuse endpoints that say another protocol than the certificates make it.

    https:// promises that nothing goes over the network in the clear, between servers either.
    With http:// a certificate for the internal port alone is fine: a proxy may serve the public.
    """
    several = len(layout.servers) > 1
    missing = "" if settings.tls_certificate else "tls_certificate and tls_key"
    if not missing and several and not settings.internal_tls_certificate:
        missing = "internal_tls_certificate, internal_tls_key and internal_tls_ca"
    if layout.secure and missing:
        raise ConfigError(
            found=f"endpoints that begin with https://, without {missing}",
            expected="certificates for the S3 port and, with several servers, for the port "
            "between them",
            remedy=f"set {missing} (docs/operating/tls.md), or write http:// and end TLS in a "
            "proxy on each server",
        )
    if settings.tls_certificate and layout.servers != ("",) and not layout.secure:
        raise ConfigError(
            found="tls_certificate with endpoints that begin with http://",
            expected="https:// in every endpoint: the S3 port would speak TLS alone",
            remedy="write https:// in the endpoints of every server, or leave out tls_certificate",
        )
    if settings.internal_tls_certificate and layout.servers == ("",):
        raise ConfigError(
            found="internal_tls_certificate with local paths as drives",
            expected="certificates for a port that there is: one server alone has no internal port",
            remedy="leave out the internal_tls_ settings",
        )


def _with_cluster_secret(
    environment: Mapping[str, str], layout: Layout, entropy: Entropy
) -> Mapping[str, str]:
    """Give a server without peers a secret that nobody else will ever know."""
    if len(layout.servers) > 1:
        return environment
    return {k: v for k, v in environment.items() if not k.startswith(_CLUSTER_SECRET)} | {
        _CLUSTER_SECRET: entropy.draw(32).hex()
    }

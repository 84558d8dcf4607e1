"""From what the operator gave to what the supervisor runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from objstore.clock import Entropy
from objstore.config import Secrets, Settings, load_secrets, load_settings
from objstore.config.identities import files_open_to_others
from objstore.errors import ConfigError
from objstore.iam.directory import identities_of
from objstore.limits import LIFECYCLE_DAY_SECONDS
from objstore.server.order import LogFormat
from objstore.server.place import own_server
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
) -> Plan:
    """Read settings and secrets, and find out which server of the layout this is.

    Raises:
        ConfigError: any of it is not what it has to be.
    """
    settings = load_settings(
        endpoints=endpoints, config=config, environment=environment, options=options
    )
    layout = layout_of(settings)
    _refuse_tls(layout)
    server = own_server(settings, layout)
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
    files = files_of(settings, config=config, environment=environment)
    return Plan(settings, secrets, server, log_format, files)


def _refuse_tls(layout: Layout) -> None:
    """Refuse what would be promised and not kept: this version serves HTTP without TLS."""
    if layout.secure:
        raise ConfigError(
            found="endpoints that begin with https://",
            expected="http:// (this version serves without TLS, to clients and between servers)",
            remedy="write http://, keep the internal ports on a network of their own, and put a "
            "TLS proxy in front of the S3 ports",
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

"""Which server of the layout this process belongs to, and the ports that follow from it."""

import socket
from typing import Final

from objstore.config import Settings
from objstore.errors import ConfigError
from objstore.server.sockets import Port
from objstore.topology.layout import Layout

S3_PURPOSE: Final = "S3"
INTERNAL_PURPOSE: Final = "the servers among themselves"


def own_server(settings: Settings, layout: Layout) -> str:
    """Return the name of this server in the layout ("host:port"; "" when it is purely local).

    Raises:
        ConfigError: none of the layout's servers is this one, or several could be.
    """
    if layout.servers == ("",):
        return ""
    if settings.server:
        if settings.server in layout.servers:
            return settings.server
        raise ConfigError(
            found=f"server = {settings.server}",
            expected=f"one of the layout's servers: {', '.join(layout.servers)}",
            remedy="correct it, or leave it out to find this machine's by its addresses",
        )
    at_port = [one for one in layout.servers if int(one.rpartition(":")[2]) == settings.port]
    own = [one for one in at_port if _is_here(one.rpartition(":")[0])]
    if len(own) == 1:
        return own[0]
    raise ConfigError(
        found=(
            f"{' and '.join(own)}, which are all this machine"
            if own
            else f"no server of the layout with port {settings.port} on this machine"
        ),
        expected=f"one of {', '.join(layout.servers)} to be this server",
        remedy="set --address to this server's port, or OBJSTORE_SERVER to its host:port as the "
        "endpoints write it",
    )


def _is_here(host: str) -> bool:
    """Whether a host's address is this machine's: only then can a socket be bound to it."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), 0, type=socket.SOCK_DGRAM)
    except OSError:
        return False
    for family, kind, protocol, _name, address in found:
        with socket.socket(family, kind, protocol) as probe:
            try:
                probe.bind(address)
            except OSError:
                continue
            return True
    return False


def s3_port(settings: Settings) -> Port:
    """Return where S3 is served."""
    return Port(settings.host, settings.port)


def internal_port(settings: Settings, server: str) -> Port | None:
    """Return where peers are served; None for a purely local layout, which has none."""
    return Port(settings.host, settings.internal_port_of(server)) if server else None


def peer_url(settings: Settings, peer: str) -> str:
    """Return where a peer's internal port is."""
    scheme = "https" if settings.internal_tls_certificate else "http"
    return f"{scheme}://{peer.rpartition(':')[0]}:{settings.internal_port_of(peer)}"

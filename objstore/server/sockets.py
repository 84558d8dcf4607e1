"""Listening sockets: ports that worker processes share, and nobody else."""

import errno
import socket
from dataclasses import dataclass
from typing import Final

from objstore.errors import ConfigError

_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class Port:
    """An address to listen on. An empty host means every interface."""

    host: str
    number: int

    def __str__(self) -> str:
        return f"{self.host or '*'}:{self.number}"


def reserve_port(port: Port, *, purpose: str) -> socket.socket:
    """Make sure nobody else has the port, and keep it: bound, and never listening.

    Sockets that share a port by SO_REUSEPORT would also share it with another server's that runs
    by mistake, and each would get half of the connections. So it is first bound alone.

    Raises:
        ConfigError: the port is taken, or the address is not this machine's.
    """
    _bind(port, purpose, shared=False).close()
    return _bind(port, purpose, shared=True)


def listen_on(port: Port, *, purpose: str) -> socket.socket:
    """Listen on a port that processes of this server share.

    Raises:
        ConfigError: as reserve_port.
    """
    listener = _bind(port, purpose, shared=True)
    listener.listen(_BACKLOG)
    listener.setblocking(False)  # noqa: FBT003  positional by its nature
    return listener


def _bind(port: Port, purpose: str, *, shared: bool) -> socket.socket:
    every = not port.host
    dual = every and socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if dual or ":" in port.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if dual:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        bound.bind((port.host.strip("[]"), port.number))
    except OSError as error:
        bound.close()
        raise _refusal(port, purpose, error) from error
    return bound


def _refusal(port: Port, purpose: str, error: OSError) -> ConfigError:
    if error.errno == errno.EADDRINUSE:
        return ConfigError(
            found=f"port {port.number} in use by another program, maybe another objstore",
            expected=f"a free port for {purpose}",
            remedy="stop that program, or choose another port "
            f"(see who has it: ss -ltnp 'sport = :{port.number}')",
        )
    return ConfigError(
        found=f"{port} for {purpose}: {error.strerror or error}",
        expected="an address of this machine, and a port this user may use",
        remedy="correct the address",
    )

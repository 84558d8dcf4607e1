"""A layout on one machine: every server a port, every drive a directory below one directory."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from objstore.config import LiteralDrive, PoolSettings, Settings, load_settings
from objstore.errors import ConfigError
from objstore.names import shard_letter
from objstore.server.sockets import Port, reserve_port
from objstore.topology.layout import DriveAddress, Layout, SetLayout, layout_of
from objstore.topology.survival import number_drives

HOST: Final = "127.0.0.1"
SERVER_PORT_STEP: Final = 10
PORTS_OF_SERVER: Final = (0, 2)  # S3 and internal; 1 stays free for a console

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class LocalLayout:
    """A layout with the places of its servers and drives on this machine."""

    pools: tuple[PoolSettings, ...]
    layout: Layout
    base_port: int
    drives: tuple[tuple[Path, ...], ...]  # by server, in the order of their numbers
    secure: bool = False  # S3 is served by TLS

    @property
    def scheme(self) -> str:
        """What its endpoints begin with."""
        return "https" if self.secure else "http"

    @property
    def servers(self) -> int:
        """How many servers there are."""
        return len(self.drives)

    def s3_port(self, server: int) -> int:
        """Return the S3 port of server 1, 2, ..."""
        return self.base_port + SERVER_PORT_STEP * (server - 1)

    def address(self, server: int) -> tuple[str, int]:
        """Return host and port where server 1, 2, ... serves S3."""
        return HOST, self.s3_port(server)

    def endpoint(self, server: int) -> str:
        """Return where server 1, 2, ... serves S3."""
        host, port = self.address(server)
        return f"{self.scheme}://{host}:{port}"

    def check_ports(self) -> None:
        """Raise ConfigError when another program has one of the ports."""
        for number in self.ports():
            reserve_port(Port(HOST, number), purpose="objstore").close()

    def ports(self) -> tuple[int, ...]:
        """Every port that its servers use."""
        offsets = PORTS_OF_SERVER if self.servers > 1 else PORTS_OF_SERVER[:1]
        return tuple(
            self.s3_port(server + 1) + offset
            for server in range(self.servers)
            for offset in offsets
        )

    def to_toml(self) -> str:
        """Return the configuration file that every server is started with."""
        lines = ["# Written by objstore; the servers of this directory are started with it."]
        for pool in self.pools:
            lines += ["", "[[pools]]"]
            if pool.literal:
                lines.append("drives = [")
                lines += [
                    f"  {{ endpoint = {_quoted(one.endpoint)}, "
                    f"shards = {json.dumps(one.shards)} }},"
                    for one in pool.literal
                ]
                lines.append("]")
            else:
                lines.append("endpoints = [")
                lines += [f"  {_quoted(endpoint)}," for endpoint in pool.endpoints]
                lines += ["]", f"set_size = {pool.set_size}", f'parity = "EC:{pool.parity}"']
        return "\n".join(lines) + "\n"

    def describe(self, directory: Path) -> list[dict[str, object]]:
        """Return what must not change while there is data: drives, slots and schemes.

        Ports are left out: the same directory may be served on others.
        """
        numbers = {server: number for number, server in enumerate(self.layout.servers, start=1)}
        return [
            {
                "pool": one.pool,
                "data": one.scheme.k,
                "parity": one.scheme.m,
                "slots": list(one.slots),
                "drives": [
                    f"{numbers[drive.server]}:{Path(drive.path).relative_to(directory)}"
                    for drive in one.drives
                ],
            }
            for one in self.layout.sets
        ]


def uniform_layout(
    directory: Path,
    *,
    servers: int,
    drives: int,
    parity: int,
    base_port: int,
    secure: bool = False,
    peer_host: str = HOST,
) -> LocalLayout:
    """Lay out `servers` with `drives` each, as one pool; `secure` is with https endpoints.

    The servers call each other by `peer_host`; another than HOST is for forwarders between them.
    """
    names = [[f"drive{drive}" for drive in range(1, drives + 1)] for _ in range(servers)]
    paths = _paths(directory, names)
    endpoints = tuple(
        _endpoint(server, path, servers=servers, base_port=base_port, secure=secure, host=peer_host)
        for server, held in enumerate(paths, start=1)
        for path in held
    )
    pools = (PoolSettings(endpoints=endpoints, parity=parity),)
    return _finish(pools, paths, base_port, secure=secure)


def layout_of_file(
    directory: Path, file: Path, *, base_port: int, secure: bool = False
) -> LocalLayout:
    """Lay out what `file` describes: its servers become ports, its drives directories.

    Raises:
        ConfigError: the file is no layout.
    """
    settings = load_settings(config=file, environment={})
    given = layout_of(settings)
    numbered = number_drives(given)
    names: list[list[str]] = [[] for _ in given.servers]
    for one in numbered:
        names[one.server_number - 1].append(Path(one.address.path).name)
    if any(len(set(held)) < len(held) or not all(map(_NAME.fullmatch, held)) for held in names):
        names = [[f"drive{n}" for n in range(1, len(held) + 1)] for held in names]
    paths = _paths(directory, names)
    left = [list(held) for held in paths]
    mapped = {}
    for one in numbered:
        path = left[one.server_number - 1].pop(0)
        mapped[one.address] = _endpoint(
            one.server_number, path, servers=len(paths), base_port=base_port, secure=secure
        )
    pools = tuple(
        _mapped_pool(settings.pools[pool], given.sets_of_pool(pool), mapped)
        for pool in range(given.pools)
    )
    return _finish(pools, paths, base_port, secure=secure)


def _mapped_pool(
    pool: PoolSettings, sets: Sequence[SetLayout], mapped: Mapping[DriveAddress, str]
) -> PoolSettings:
    if not pool.literal:
        return PoolSettings(
            endpoints=tuple(mapped[drive] for one in sets for drive in one.drives),
            parity=sets[0].scheme.m,
            set_size=sets[0].scheme.slots,
        )
    (only,) = sets
    return PoolSettings(
        literal=tuple(
            LiteralDrive(
                mapped[drive],
                tuple(shard_letter(only.scheme, slot) for slot in only.slots_of_drive(index)),
            )
            for index, drive in enumerate(only.drives)
        )
    )


def _finish(
    pools: tuple[PoolSettings, ...],
    paths: tuple[tuple[Path, ...], ...],
    base_port: int,
    *,
    secure: bool,
) -> LocalLayout:
    layout = layout_of(Settings(pools=pools, port=base_port))
    explicit = tuple(
        pool
        if pool.literal
        else replace(
            pool,
            parity=layout.sets_of_pool(number)[0].scheme.m,
            set_size=layout.sets_of_pool(number)[0].scheme.slots,
        )
        for number, pool in enumerate(pools)
    )
    last = base_port + SERVER_PORT_STEP * (len(paths) - 1) + max(PORTS_OF_SERVER)
    if not 0 < base_port <= last <= 65_535:
        raise ConfigError(
            found=f"port {base_port} for {len(paths)} servers, which would need ports up to {last}",
            expected="ports from 1 to 65535",
            remedy="choose a lower port",
        )
    return LocalLayout(explicit, layout, base_port, paths, secure)


def _paths(directory: Path, names: Sequence[Sequence[str]]) -> tuple[tuple[Path, ...], ...]:
    return tuple(
        tuple(directory / f"server{number}" / name for name in held)
        for number, held in enumerate(names, start=1)
    )


def _endpoint(
    server: int, path: Path, *, servers: int, base_port: int, secure: bool, host: str = HOST
) -> str:
    if servers == 1:
        return str(path)
    port = base_port + SERVER_PORT_STEP * (server - 1)
    return f"{'https' if secure else 'http'}://{host}:{port}{path}"


def _quoted(text: str) -> str:
    # A JSON string is a TOML basic string, except that TOML has no surrogates.
    return json.dumps(text, ensure_ascii=False)

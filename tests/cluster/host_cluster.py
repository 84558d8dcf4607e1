"""A cluster with each server on a host of its own, all with the same command and configuration.

It is what `tests.e2e.running.Cluster` is for servers that share one machine, and its tests look
at it in the same way. The layout is a file as in config/: its servers are server1, server2, ...,
its drives /mnt/drive1, ..., its ports whatever it says.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from objstore.cli.local_cluster import LocalCluster
from objstore.cli.local_layout import LocalLayout
from objstore.config import Secrets, load_settings
from objstore.topology.layout import layout_of
from tests.cluster.hosts import Host, Network
from tests.e2e.credentials import ACCESS_KEY, CLUSTER_SECRET, SECRET_KEY
from tests.e2e.running import Cluster

# What is healed meanwhile is used like any other.
WELL = ("online", "catching up", "healing", "returning")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLayout(LocalLayout):
    """The layout of a file, as it is: what differs is where this process finds the servers."""

    text: str
    addresses: tuple[str, ...]

    def address(self, server: int) -> tuple[str, int]:
        return self.addresses[server - 1], self.base_port

    def check_ports(self) -> None:
        """Nobody else is on the hosts."""

    def to_toml(self) -> str:
        return self.text


class HostServers(LocalCluster):
    """The servers' processes."""

    def __init__(self, network: Network, layout: HostLayout, **options: Any) -> None:
        super().__init__(
            layout.drives[0][0].parents[1],
            layout,
            Secrets(ACCESS_KEY, SECRET_KEY, CLUSTER_SECRET),
            **options,
        )
        self._network = network

    def command(self, server: int) -> list[str]:
        # The hosts' names are in the file: which one a server is it finds by its addresses.
        words = super().command(server)
        at = words.index("--address")
        return self._network.hosts[server - 1].command(words[:at] + words[at + 2 :])


class HostCluster(Cluster):
    """Servers and drives are numbered from 0; `network.hosts[n]` is the host of server n."""

    def __init__(
        self,
        root: Path,
        network: Network,
        *,
        config: Path,
        workers: int = 1,
        buckets: tuple[str, ...] = (),
        sections: str = "",
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.root = root
        self.network = network
        settings = load_settings(config=config, environment={})
        layout = layout_of(settings)
        names = [name.rpartition(":")[0] for name in layout.servers]
        # Hosts that follow have no server: a witness, a client.
        assert names == [host.name for host in network.hosts[: len(names)]], names
        addresses = [layout.drives_of_server(server) for server in layout.servers]
        here = [
            tuple(host.directory / drive.path.removeprefix("/mnt/") for drive in held)
            for host, held in zip(network.hosts, addresses, strict=False)
        ]
        self._addresses = [drive for held in addresses for drive in held]
        self.servers = range(len(names))
        self.drives = [path for held in here for path in held]
        for path in self.drives:
            path.mkdir(parents=True, exist_ok=True)
        self._buckets = buckets
        self._prepare = None
        self._clients = []
        self._local = HostServers(
            network,
            HostLayout(
                pools=settings.pools,
                layout=layout,
                base_port=settings.port,
                drives=tuple(here),
                text=config.read_text(encoding="utf-8"),
                addresses=tuple(host.address for host in network.hosts),
            ),
            workers=workers,
            environment={"OBJSTORE_DOMAINS": "localhost", **environment},
            sections=sections,
        )

    @classmethod
    @contextlib.contextmanager
    def on_hosts(cls, root: Path, config: Path, **options: Any) -> Iterator["HostCluster"]:
        """Make hosts and start a cluster on them, for a `with` block."""
        servers = len(layout_of(load_settings(config=config, environment={})).servers)
        with Network.running(root, servers=servers) as network:
            cluster = cls(root, network, config=config, **options)
            try:
                cluster.start()
                yield cluster
            finally:
                network.heal()
                cluster.close()

    def host(self, server: int) -> Host:
        """Return the host of a server."""
        return self.network.hosts[server]

    def kill(self, server: int) -> None:
        """SIGKILL everything on a host at once."""
        self.host(server).kill()
        super().kill(server)

    def drive_info(self, drive: int, server: int = 0) -> dict[str, Any]:
        """Return what `admin info` of a server says about one of `drives`."""
        wanted = self._addresses[drive]
        (found,) = [
            item
            for item in self.info(server)["drives"]
            if (item["server"], item["path"]) == (wanted.server, wanted.path)
        ]
        return dict(found)

    def restore(self) -> None:
        """Bring the cluster back: no faults, every server up, every drive online to all.

        What was missed may still be healed.
        """
        self.network.heal()
        self._local.start()
        self.wait_ready()
        self.wait_online()

    def wait_online(self, timeout_s: float = 120) -> None:
        """Wait until every drive is well to every server."""
        self.wait_until(
            lambda: all(
                self.state(drive, server) in WELL
                for server in self.servers
                for drive in range(len(self.drives))
            ),
            timeout_s,
        )

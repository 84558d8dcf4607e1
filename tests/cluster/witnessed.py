"""Two servers and a witness on three hosts: a member of etcd on each, Debian's etcd-server."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from objstore.cli.admin_client import AdminError
from tests.cluster.host_cluster import HostCluster
from tests.cluster.hosts import Host, Network
from tests.e2e.running import S3Client

CLIENT_PORT, PEER_PORT = 2379, 2380
WHOLE, SOLO, RETURNING = "whole", "solo", "returning"
WITNESS = 2  # the third host


class Etcd:
    """A member of etcd on every host of a network, all of which have one another's names."""

    def __init__(self, network: Network) -> None:
        self._hosts = network.hosts
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def setting(self) -> str:
        """What servers are told."""
        return ",".join(f"http://{host.name}:{CLIENT_PORT}" for host in self._hosts)

    def start(self, *members: int) -> None:
        """Start members, by default all; those that run go on."""
        for number in members or range(len(self._hosts)):
            if number not in self._running or self._running[number].poll() is not None:
                self._running[number] = self._start(self._hosts[number])

    def kill(self, *members: int) -> None:
        """SIGKILL members, by default all."""
        for number in members or tuple(self._running):
            process = self._running.pop(number)
            # `ip netns exec` and the shell become the member itself.
            process.kill()
            process.wait(10)

    def _start(self, host: Host) -> subprocess.Popen[bytes]:
        listening = f"http://{host.address}"
        log = (host.directory / "etcd.log").open("ab")
        with log:
            return host.start(
                [
                    *("etcd", "--name", host.name, "--data-dir", "/mnt/etcd"),
                    *("--listen-client-urls", f"{listening}:{CLIENT_PORT}"),
                    *("--advertise-client-urls", f"{listening}:{CLIENT_PORT}"),
                    *("--listen-peer-urls", f"{listening}:{PEER_PORT}"),
                    *("--initial-advertise-peer-urls", f"{listening}:{PEER_PORT}"),
                    *("--initial-cluster", self._members()),
                ],
                stdout=log,
                stderr=log,
            )

    def _members(self) -> str:
        return ",".join(f"{one.name}=http://{one.address}:{PEER_PORT}" for one in self._hosts)


def etcd_is_there() -> bool:
    return shutil.which("etcd") is not None


class WitnessedCluster(HostCluster):
    """Servers 0 and 1, and the witness on a third host."""

    etcd: Etcd
    _kept: dict[int, S3Client]

    @classmethod
    @contextlib.contextmanager
    def on_hosts(cls, root: Path, config: Path, **options: Any) -> Iterator["WitnessedCluster"]:
        network = Network(root, ["server1", "server2", "witness"])
        try:
            etcd = Etcd(network)
            etcd.start()
            environment = {"OBJSTORE_WITNESS": etcd.setting, "OBJSTORE_METRICS_PUBLIC": "on"}
            cluster = cls(root, network, config=config, environment=environment, **options)
            cluster.etcd, cluster._kept = etcd, {}
            try:
                cluster.start()
                cluster.wait_epoch(WHOLE)
                yield cluster
            finally:
                network.heal()
                cluster.close()
        finally:
            network.close()

    def restore(self) -> None:
        """Bring everything back, and wait until nothing depends on one server any more."""
        self.network.heal()
        self.etcd.start()
        super().restore()
        self.wait_epoch(WHOLE)

    # --- the epoch -----------------------------------------------------------------------

    def witness(self, server: int) -> dict[str, Any]:
        """Return what a server says of the epoch; nothing while it can not be asked."""
        try:
            told = self.info(server)["witness"]
        except AdminError:
            return {}
        return dict(told)

    def is_epoch(self, server: int, mode: str, of: int | None = None) -> bool:
        """Whether a server knows this epoch, and that it still holds."""
        told = self.witness(server)
        spoken_of = "" if of is None else f"server{of + 1}:9000"
        return (
            bool(told) and told["confirmed"] and (told["mode"], told["server"]) == (mode, spoken_of)
        )

    def wait_epoch(
        self, mode: str, of: int | None = None, *, through: tuple[int, ...] = (0, 1), in_s: int = 40
    ) -> None:
        """Wait until some servers know this epoch."""
        self.wait_until(lambda: all(self.is_epoch(one, mode, of) for one in through), in_s)

    def start_host(self, server: int) -> None:
        """Start what was killed on a server's host."""
        self.etcd.start(server)
        self.start_server(server)

    # --- requests --------------------------------------------------------------------------

    def client_of(self, server: int) -> S3Client:
        """Return one client for all requests to a server."""
        if server not in self._kept:
            self._kept[server] = self.client(server)
        return self._kept[server]

    def put(self, server: int, key: str, body: bytes) -> str:
        """Write; return "" or why not."""
        return code_of(
            lambda: self.client_of(server).put_object(Bucket="bucket", Key=key, Body=body)
        )

    def get(self, server: int, key: str) -> bytes | str:
        """Read; return the body, or why not."""
        found: list[bytes] = []
        client = self.client_of(server)
        why = code_of(
            lambda: found.append(client.get_object(Bucket="bucket", Key=key)["Body"].read())
        )
        return why or found[0]

    def first_put_s(self, server: int, *, in_s: float) -> float:
        """Write again and again until it is acknowledged; return how long that took."""
        began_s = time.monotonic()
        while why := self.put(server, "first", b"%f" % began_s):
            assert time.monotonic() < began_s + in_s, f"{why}: {self.witness(server)}"
            time.sleep(0.05)
        return time.monotonic() - began_s


def code_of(request: Any) -> str:
    """Return "" when a request is served, else its code or the client's exception."""
    try:
        request()
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except BotoCoreError as error:
        return type(error).__name__
    return ""

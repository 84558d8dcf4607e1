"""A cluster of real processes for tests and benchmarks, on free ports.

What a test knows of it is what any user knows: the S3 ports, the drives' directories, what the
command line says, and the processes the kernel shows.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import boto3
from botocore.config import Config

from objstore.cli.admin_client import AdminClient, AdminError
from objstore.cli.local_cluster import LocalCluster, free_base_port
from objstore.cli.local_layout import layout_of_file, uniform_layout
from objstore.clock import SystemClock
from objstore.config import Secrets
from objstore.server.order import EXIT_REFUSED
from tests.e2e.credentials import ACCESS_KEY, CLUSTER_SECRET, REGION, SECRET_KEY

S3Client = Any  # boto3 makes its clients' classes while it runs
NOTICED_S = 5.0
# A session reads S3's model, 12 MiB and 0.15 s; one makes all clients, but not in two threads.
_boto3 = boto3.session.Session()
_making_clients = threading.Lock()


def free_ports(servers: int) -> int:
    """Return a base port that no other test process will take, even while a server restarts.

    All are below those that the kernel gives to clients.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    low = 20_000 + 1_500 * (process % 8)
    return free_base_port(servers, low=low, high=low + 1_500)


class Cluster:
    """Four drives of two servers (or one): server1/drive1, server1/drive2, server2/drive1 ...

    Or whatever layout the file `config` describes. Servers and drives are numbered from 0.
    `sections` are added to the servers' configuration file, `environment` sets further
    OBJSTORE_... settings; `secure` makes https endpoints, for which these name certificates.
    `prepare` is called before the first
    start, for example to mount something on a drive.
    """

    def __init__(
        self,
        root: Path,
        *,
        servers: int = 2,
        parity: int = 1,
        workers: int = 1,
        config: Path | None = None,
        buckets: tuple[str, ...] = (),
        sections: str = "",
        environment: Mapping[str, str] = MappingProxyType({}),
        prepare: Callable[["Cluster"], None] | None = None,
        secure: bool = False,
    ) -> None:
        self.root = root
        port = free_ports(8)
        layout = (
            layout_of_file(root, config, base_port=port, secure=secure)
            if config
            else uniform_layout(
                root,
                servers=servers,
                drives=4 // servers,
                parity=parity,
                base_port=port,
                secure=secure,
            )
        )
        self.servers = range(layout.servers)
        self.drives = [drive for held in layout.drives for drive in held]
        self._buckets = buckets
        self._prepare = prepare
        self._clients: list[S3Client] = []
        self._local = LocalCluster(
            root,
            layout,
            Secrets(ACCESS_KEY, SECRET_KEY, CLUSTER_SECRET),
            workers=workers,
            environment={"OBJSTORE_DOMAINS": "localhost", **environment},
            sections=sections,
        )

    @classmethod
    @contextlib.contextmanager
    def running(cls, root: Path, **options: Any) -> Iterator["Cluster"]:
        """Start a cluster for a `with` block."""
        cluster = cls(root, **options)
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.close()

    # --- processes ---------------------------------------------------------------------

    def start(self) -> None:
        """Start it (again) and wait until requests are served."""
        if self._prepare:
            self._prepare(self)
            self._prepare = None
        self._local.start()
        self.wait_ready()
        client = self.client()
        for bucket in self._buckets:
            client.create_bucket(Bucket=bucket)

    def stop(self) -> None:
        """Stop every server as an operator would; `start` continues."""
        self._local.stop()

    def close(self) -> None:
        """Stop it as an operator would."""
        for client in self._clients:
            client.close()
        self._local.stop()

    def stop_server(self, server: int) -> None:
        """Stop one server as an operator would."""
        self._local.stop_server(server + 1)

    def kill(self, server: int) -> None:
        """SIGKILL every process of a server at once."""
        self._local.kill_server(server + 1)

    def pause(self, server: int) -> None:
        """Freeze every process of a server: connections stay, nothing answers."""
        self._local.pause_server(server + 1)

    def resume(self, server: int) -> None:
        """Let a paused server go on."""
        self._local.resume_server(server + 1)

    def start_server(self, server: int, **changed: str) -> None:
        """Start a server that was stopped or killed, `changed` in its OBJSTORE_... settings."""
        self._local.start_server(server + 1, changed)

    def wait_ready(self) -> None:
        """Wait until every server says that it can be written."""
        self._local.wait_ready()

    def wait_refused(self, server: int) -> str:
        """Wait until a server has ended because it refuses to start; return what it said."""
        self.wait_until(lambda: not self._local.is_running(server + 1), 20)
        assert self._local.exit_code(server + 1) == EXIT_REFUSED, self.output()
        return self._local.log_tail(server + 1)

    def pids(self, server: int) -> tuple[int, ...]:
        """Return the processes of a server."""
        return self._local.pids(server + 1)

    def open_files(self, server: int) -> int:
        """Return how many descriptors a server's processes hold."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids(server))

    def output(self) -> str:
        """Return the end of what the servers logged."""
        return "\n".join(self._local.log_tail(server + 1) for server in self.servers)

    def logs(self) -> str:
        """Return all that the servers logged."""
        paths = [self._local.log_path(server + 1) for server in self.servers]
        return "\n".join(path.read_text(encoding="utf-8") for path in paths)

    # --- clients -----------------------------------------------------------------------

    def address(self, server: int) -> tuple[str, int]:
        """Return host and port of a server's S3."""
        return self._local.local.address(server + 1)

    def url(self, server: int) -> str:
        """Return the endpoint of a server."""
        return self._local.endpoint(server + 1)

    def client(
        self,
        server: int = 0,
        *,
        access_key: str = ACCESS_KEY,
        secret_key: str = SECRET_KEY,
        service: str = "s3",
    ) -> S3Client:
        """Return a boto3 client that repeats nothing and knows no other configuration."""
        config = Config(
            # Of links; else boto3 makes them by SigV2.
            signature_version="s3v4" if service == "s3" else None,
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            connect_timeout=5,
            read_timeout=60,
            max_pool_connections=32,
        )
        with _making_clients:
            client = _boto3.client(
                service,
                endpoint_url=self.url(server),
                region_name=REGION,
                aws_access_key_id=access_key,
                aws_secret_access_key=secret_key,
                config=config,
                verify=str(self._local.ca_file) if self._local.ca_file else None,
            )
        self._clients.append(client)
        return client

    def admin(self, *arguments: str, server: int = 0, fails: bool = False) -> str:
        """Run `objstore admin` and return what it printed."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        done = subprocess.run(
            [sys.executable, "-m", "objstore", "admin", *arguments],
            env=kept
            | {
                "COLUMNS": "200",
                "OBJSTORE_ENDPOINT": self.url(server),
                "OBJSTORE_ROOT_USER": ACCESS_KEY,
                "OBJSTORE_ROOT_PASSWORD": SECRET_KEY,
                "OBJSTORE_CA_FILE": str(self._local.ca_file or ""),
            },
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
        said = done.stdout + done.stderr
        assert bool(done.returncode) == fails, f"admin {arguments}: {done.returncode}\n{said}"
        return said if fails else done.stdout

    # --- state -------------------------------------------------------------------------

    def info(self, server: int = 0) -> dict[str, Any]:
        """Return what `admin info --json` prints, without the time a new process takes."""
        return dict(json.loads(self._admin_client(server).get("info")))

    def locate(self, bucket: str, key: str) -> dict[str, Any]:
        """Return what `admin locate --json` prints, likewise."""
        return dict(json.loads(self._admin_client(0).get("locate", bucket=bucket, key=key)))

    def _admin_client(self, server: int) -> AdminClient:
        return AdminClient(
            (self.url(server),),
            *(ACCESS_KEY, SECRET_KEY),
            region=REGION,
            clock=SystemClock(),
            ca_file=self._local.ca_file,
        )

    def drive_info(self, drive: int, server: int = 0) -> dict[str, Any]:
        """Return what `admin info` of a server says about one of `drives`."""
        path = str(self.drives[drive])
        (found,) = [item for item in self.info(server)["drives"] if item["path"] == path]
        return dict(found)

    def state(self, drive: int, server: int = 0) -> str:
        """Return the state of one of `drives`, as a server sees it."""
        return str(self.drive_info(drive, server)["state"])

    def wait_missing(self, drive: int) -> None:
        """Wait until every server shows a drive as not there, which must take at most 5 s."""
        self.wait_until(
            lambda: all(self.state(drive, server) != "online" for server in self.servers), NOTICED_S
        )

    def is_healthy(self) -> bool:
        """Tell whether every drive is online, trusted and has missed nothing, to every server."""
        return all(
            drive["state"] == "online" and drive["trusted"] and not drive["missed"]
            for server in self.servers
            for drive in self.info(server)["drives"]
        )

    def wait_healthy(self, timeout_s: float = 120) -> None:
        """Wait until nothing is left to heal."""
        self.wait_until(self.is_healthy, timeout_s)

    def wait_until(self, condition: Callable[[], bool], timeout_s: float = 10) -> None:
        """Wait for a condition; the cluster's own words explain a failure."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                raise AssertionError(f"waited in vain:\n{self._drives()}\n{self.output()}")
            time.sleep(0.1)

    def _drives(self) -> str:
        """Return the state of every drive for a failure's message."""
        try:
            return json.dumps(self.info()["drives"], indent=1)
        except AdminError as error:
            return f"server 1 does not tell: {error}"

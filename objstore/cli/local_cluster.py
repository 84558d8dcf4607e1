"""A whole cluster on this machine, as processes: for quickstart, demonstrations, tests, bench.

    with LocalCluster(directory, local_layout, credentials) as cluster:
        cluster.wait_ready()

Each server is an `objstore server` of its own, with its log in <directory>/serverN/server.log.
Servers are numbered from 1, as in the directory. Every server ends when this process ends,
however that happens: it holds the other end of their standard input.
"""

import http.client
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from objstore.cli.local_layout import HOST, LocalLayout
from objstore.cli.trust import ca_file_of, client_context
from objstore.clock import Clock, SystemClock
from objstore.config import Secrets
from objstore.errors import ConfigError
from objstore.server.sockets import Port, reserve_port

READY_S: Final = 60.0
STOP_S: Final = 15.0
_POLL_S: Final = 0.05
_PROBE_S: Final = 2.0
_LOG_TAIL_LINES: Final = 12


class ClusterFailed(Exception):
    """A server of the cluster ended, or did not become ready; the message quotes its log."""


class LocalCluster:
    """Servers on this machine."""

    def __init__(
        self,
        directory: Path,
        local: LocalLayout,
        credentials: Secrets,
        *,
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        sections: str = "",
        clock: Clock | None = None,
    ) -> None:
        """Prepare the cluster that `local` lays out below `directory`.

        Args:
            directory: where everything of the cluster lies; it is created.
            local: its servers and drives.
            credentials: the root credential and the cluster secret.
            workers: worker processes of each server.
            environment: further OBJSTORE_... settings for the servers; OBJSTORE_CA_FILE says whose
                certificates are believed besides those of the system's CAs.
            sections: what the configuration file says beyond the layout, in TOML.
            clock: where time comes from.
        """
        self.directory = directory
        self.local = local
        self.credentials = credentials
        self._workers = workers
        self._environment = dict(environment or {})
        self._sections = sections
        self._clock = clock or SystemClock()
        self.ca_file = ca_file_of(self._environment)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def servers(self) -> range:
        """The numbers of the servers."""
        return range(1, self.local.servers + 1)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Where each server serves S3."""
        return tuple(map(self.local.endpoint, self.servers))

    def endpoint(self, server: int = 1) -> str:
        """Where one server serves S3."""
        return self.local.endpoint(server)

    def drive_path(self, server: int, drive: int) -> Path:
        """The directory of a drive; drives are numbered from 1 on each server."""
        return self.local.drives[server - 1][drive - 1]

    def log_path(self, server: int) -> Path:
        """The log of a server."""
        return self.directory / f"server{server}" / "server.log"

    # --- starting ---------------------------------------------------------------------

    def start(self) -> None:
        """Start every server that does not run; they need each other to become ready.

        Raises:
            ConfigError: a port is taken.
        """
        if not self._processes:
            self.local.check_ports()
        self.directory.mkdir(parents=True, exist_ok=True)
        text = self.local.to_toml() + self._sections
        (self.directory / "layout.toml").write_text(text, encoding="utf-8")
        for server in self.servers:
            if not self.is_running(server):
                self.start_server(server)

    def start_server(self, server: int, changed: Mapping[str, str] | None = None) -> None:
        """Start one server, `changed` in its OBJSTORE_... settings."""
        assert not self.is_running(server)
        log = self.log_path(server)
        log.parent.mkdir(exist_ok=True)
        with log.open("ab") as output:
            self._processes[server] = subprocess.Popen(  # noqa: S603  our own program
                self.command(server),
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=self._child_environment() | dict(changed or {}),
                start_new_session=True,
            )

    def command(self, server: int) -> list[str]:
        """The command that one server is started with."""
        return [
            *(sys.executable, "-m", "objstore", "server"),
            *("--config", str(self.directory / "layout.toml")),
            *("--address", "{}:{}".format(*self.local.address(server))),
            *("--workers", str(self._workers)),
            "--until-stdin-closes",
        ]

    def wait_ready(
        self, timeout_s: float = READY_S, *, give_up: Callable[[], bool] = lambda: False
    ) -> None:
        """Wait until every server says that the cluster can be written, or until `give_up`.

        A server that was killed has to be started again before.

        Raises:
            ClusterFailed: a server ended, or the time is over.
        """
        deadline_s = self._clock.monotonic_s() + timeout_s
        waiting = list(self.servers)
        while waiting and not give_up():
            for server in self.servers:
                # One that refuses its drives keeps the others waiting for ever.
                if not self.is_running(server):
                    raise self._failure(server, "ended")
            if self._clock.monotonic_s() > deadline_s:
                raise self._failure(waiting[0], f"is not ready after {timeout_s:.0f} s")
            if self.is_ready(waiting[0]):
                waiting.pop(0)
            else:
                time.sleep(_POLL_S)

    def is_ready(self, server: int, path: str = "/minio/health/cluster") -> bool:
        """Whether a server answers a health probe with 200 now."""
        host, port = self.local.address(server)
        connection = (
            http.client.HTTPSConnection(
                host, port, timeout=_PROBE_S, context=client_context(self.ca_file)
            )
            if self.local.secure
            else http.client.HTTPConnection(host, port, timeout=_PROBE_S)
        )
        try:
            connection.request("GET", path)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    # --- stopping and hurting ---------------------------------------------------------

    def is_running(self, server: int) -> bool:
        """Whether a server's supervisor runs."""
        process = self._processes.get(server)
        return process is not None and process.poll() is None

    def exit_code(self, server: int) -> int | None:
        """The exit code of a server that ended."""
        process = self._processes.get(server)
        return None if process is None else process.poll()

    def stop(self) -> None:
        """Stop every server, side by side; kill what does not stop in time."""
        for server in self.servers:
            self._signal_supervisor(server, signal.SIGCONT)
            self._signal_supervisor(server, signal.SIGTERM)
        for server in self.servers:
            self._wait_stopped(server)

    def ask_to_stop(self, server: int) -> None:
        """Tell a server to stop, and wait for nothing; `stop_server` waits."""
        self._signal_supervisor(server, signal.SIGTERM)

    def stop_server(self, server: int) -> None:
        """Stop one server as an operator would."""
        self.ask_to_stop(server)
        self._wait_stopped(server)

    def kill_server(self, server: int) -> None:
        """Kill all processes of a server at once, as if its machine lost power."""
        self._signal_all(server, signal.SIGKILL)
        self._wait_stopped(server)

    def pause_server(self, server: int) -> None:
        """Freeze all processes of a server: connections stay, nothing answers."""
        self._signal_all(server, signal.SIGSTOP)

    def resume_server(self, server: int) -> None:
        """Let a paused server go on."""
        self._signal_all(server, signal.SIGCONT)

    def pids(self, server: int) -> tuple[int, ...]:
        """The processes of a server, its supervisor first."""
        process = self._processes.get(server)
        if process is None or process.poll() is not None:
            return ()
        return (process.pid, *_descendants(process.pid))

    def log_tail(self, server: int) -> str:
        """The last lines of a server's log."""
        try:
            text = self.log_path(server).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-_LOG_TAIL_LINES:])

    def _signal_all(self, server: int, number: int) -> None:
        for pid in self.pids(server):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def _signal_supervisor(self, server: int, number: int) -> None:
        if self.is_running(server):
            self._processes[server].send_signal(number)

    def _wait_stopped(self, server: int) -> None:
        process = self._processes.get(server)
        if process is None:
            return
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._signal_all(server, signal.SIGKILL)
            process.wait()
        if process.stdin is not None:
            process.stdin.close()

    def _failure(self, server: int, what: str) -> ClusterFailed:
        return ClusterFailed(f"server {server} {what}; its log ends:\n{self.log_tail(server)}")

    def _child_environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("OBJSTORE_")}
        return inherited | self._environment | environment_of(self.credentials)


def environment_of(credentials: Secrets) -> dict[str, str]:
    """Return the variables that give a server its secrets."""
    return {
        "OBJSTORE_ROOT_USER": credentials.root_user,
        "OBJSTORE_ROOT_PASSWORD": credentials.root_password,
        "OBJSTORE_CLUSTER_SECRET": credentials.cluster_secret,
    }


def free_base_port(servers: int, *, low: int = 20_000, high: int = 60_000) -> int:
    """Return a port such that all ports of `servers` local servers are free now.

    Processes that look at the same time begin at different places, so they seldom collide.
    """
    start = low + (os.getpid() * 64) % (high - low)
    for offset in range(0, high - low, 64):
        base = low + (start - low + offset) % (high - low)
        if all(_is_free(base + 10 * server + port) for server in range(servers) for port in (0, 2)):
            return base
    raise ConfigError(
        found=f"no free ports between {low} and {high}",
        expected=f"{2 * servers} free ports",
        remedy="stop programs that hold them",
    )


def _is_free(number: int) -> bool:
    try:
        reserve_port(Port(HOST, number), purpose="objstore").close()
    except ConfigError:
        return False
    return True


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return
    for child in map(int, children):
        yield child
        yield from _descendants(child)

"""One server: its worker processes and its background process, kept running.

    objstore server        this supervisor: no request passes through it
      background           settles the deployment first, then heals
      worker 0 ... N - 1   share the S3 port and the internal port

Workers are started at once and load their code while the background process settles which
deployment the drives belong to; they begin when the supervisor tells them. A process that dies
is started again after a pause; one that refuses the configuration stops the server.

When the configuration file changes, or on SIGHUP, it is read again, and what can change while a
server runs (configuration.py) is told to every worker.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from objstore import __version__
from objstore.clock import Clock
from objstore.rpc.auth import REPLAY_TABLE_BYTES
from objstore.server.metrics_directory import metrics_directory
from objstore.server.order import (
    EXIT_REFUSED,
    LiveChange,
    Role,
    StartOrder,
    encode_change,
    encode_order,
)
from objstore.server.place import INTERNAL_PURPOSE, S3_PURPOSE, internal_port, s3_port
from objstore.server.plan import Plan
from objstore.server.reload import Reloadable
from objstore.server.shared_mark import MARK_BYTES
from objstore.server.sockets import reserve_port

_log = structlog.get_logger(__name__)

STOP_S: Final = 10.0
_PAUSES_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY_S: Final = 30.0  # a process that ran this long failed for a new reason
_LINE_BYTES_MAX: Final = 4096
_POLL_S: Final = 0.2  # of the configuration's files; two looks make a change

# A buffer of some hundred KiB is above malloc's threshold for mmap: without these settings
# each one costs page faults, and encoding runs at a tenth of its speed. One thread per
# numeric library: the workers are the parallelism.
CHILD_ENVIRONMENT: Final = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024),
    "MALLOC_ARENA_MAX": "4",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass(slots=True)
class _Child:
    role: Role
    index: int
    process: asyncio.subprocess.Process | None = None
    failures: int = 0
    started_s: float = 0.0

    @property
    def name(self) -> str:
        return f"worker {self.index}" if self.role is Role.WORKER else "background"

    def send(self, number: int) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)


class Supervisor:
    """Runs one server until it is told to stop."""

    def __init__(
        self, plan: Plan, *, clock: Clock, reread: Callable[[], Plan] | None = None
    ) -> None:
        """Prepare to run `plan`; `reread` reads the configuration again, as `make_plan` does."""
        self._live = Reloadable(plan, reread or (lambda: plan))
        self._changed = asyncio.Event()  # replaced at every change
        self._clock = clock
        self._background = _Child(Role.BACKGROUND, 0)
        self._workers = [_Child(Role.WORKER, n) for n in range(plan.settings.workers)]
        self._stop = asyncio.Event()
        self._settled = asyncio.Event()
        self._deployment = ""
        self._serving: set[int] = set()
        self._exit_code = 0
        self._replays = self._buckets = -1
        self._metrics = ""

    async def run(self) -> int:
        """Run until a signal or a refusal; return the exit code.

        Raises:
            ConfigError: a port is taken.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self._read_again)
        with self._ports(), self._shared():
            async with asyncio.TaskGroup() as group:
                group.create_task(self._stop_children())
                group.create_task(self._follow_files())
                for child in (self._background, *self._workers):
                    group.create_task(self._keep(child))
        return self._exit_code

    def stop(self, exit_code: int = 0) -> None:
        """Begin to stop; `run` returns when every process has ended."""
        self._exit_code = max(self._exit_code, exit_code)
        self._stop.set()

    # --- changes while it runs --------------------------------------------------------

    @property
    def _plan(self) -> Plan:
        return self._live.plan

    def _read_again(self) -> None:
        if self._live.read_again():
            self._tell_change()

    async def _follow_files(self) -> None:
        while not self._stop.is_set():
            await self._pause(_POLL_S)
            if self._live.poll():
                self._tell_change()

    def _tell_change(self) -> None:
        """Wake what feeds each worker; one that is started now begins with the new plan."""
        self._changed.set()
        self._changed = asyncio.Event()

    # --- what all processes share -----------------------------------------------------

    @contextmanager
    def _ports(self) -> Iterator[None]:
        settings, server = self._plan.settings, self._plan.server
        held = [reserve_port(s3_port(settings), purpose=S3_PURPOSE)]
        try:
            internal = internal_port(settings, server)
            if internal is not None:
                held.append(reserve_port(internal, purpose=INTERNAL_PURPOSE))
            yield
        finally:
            for one in held:
                one.close()

    @contextmanager
    def _shared(self) -> Iterator[None]:
        self._replays = os.memfd_create("objstore-replays")
        self._buckets = os.memfd_create("objstore-buckets")
        try:
            os.ftruncate(self._replays, REPLAY_TABLE_BYTES)
            os.ftruncate(self._buckets, MARK_BYTES)
            with metrics_directory(self._clock) as metrics:
                self._metrics = metrics
                yield
        finally:
            os.close(self._replays)
            os.close(self._buckets)

    # --- one process ------------------------------------------------------------------

    async def _keep(self, child: _Child) -> None:
        """Run a process again and again until the server stops."""
        while not self._stop.is_set():
            code = await self._run_once(child)
            if self._stop.is_set():
                return
            if code == EXIT_REFUSED:
                self.stop(EXIT_REFUSED)
                return
            if self._clock.monotonic_s() - child.started_s > _STEADY_S:
                child.failures = 0
            pause_s = _PAUSES_S[min(child.failures, len(_PAUSES_S) - 1)]
            child.failures += 1
            _log.error(
                "a process ended and is started again",
                process=child.name,
                how=_how_ended(code),
                pause_s=pause_s,
            )
            await self._pause(pause_s)

    async def _run_once(self, child: _Child) -> int:
        plan = self._plan
        order = StartOrder(
            role=child.role,
            index=child.index,
            parent=os.getpid(),
            server=plan.server,
            settings=plan.settings,
            secrets=plan.secrets,
            log_format=plan.log_format,
            replay_descriptor=self._replays,
            buckets_descriptor=self._buckets,
        )
        environment = {k: v for k, v in os.environ.items() if not k.startswith("OBJSTORE_")}
        environment |= CHILD_ENVIRONMENT | {"PROMETHEUS_MULTIPROC_DIR": self._metrics}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "objstore.server.process"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
            pass_fds=(self._replays, self._buckets),
            limit=_LINE_BYTES_MAX,
            start_new_session=True,  # the terminal's Ctrl-C comes to this process alone
        )
        child.process, child.started_s = process, self._clock.monotonic_s()
        if self._stop.is_set():
            child.send(signal.SIGTERM)
        async with asyncio.TaskGroup() as group:
            feeding = group.create_task(self._feed(child, process, plan, encode_order(order)))
            await self._listen(child, process)
            code = await process.wait()
            feeding.cancel()
        child.process = None
        self._serving.discard(child.index)
        self._forget_metrics(process.pid)
        return code

    async def _feed(
        self, child: _Child, process: asyncio.subprocess.Process, told: Plan, order: bytes
    ) -> None:
        """Give a process its order; a worker the deployment too, and then every change."""
        assert process.stdin is not None
        try:
            process.stdin.write(order)
            if child.role is Role.BACKGROUND:  # it uses nothing that can change
                await process.stdin.drain()
                return
            await self._settled.wait()
            process.stdin.write(self._deployment.encode() + b"\n")
            while True:
                changed = self._changed
                if told is not self._plan:
                    told = self._plan
                    change = LiveChange(settings=told.settings, secrets=told.secrets)
                    process.stdin.write(encode_change(change))
                await process.stdin.drain()
                await changed.wait()
        except ConnectionError:
            return  # it ended before it read; _run_once sees how

    async def _listen(self, child: _Child, process: asyncio.subprocess.Process) -> None:
        """Take what a process reports, until it closes its output."""
        assert process.stdout is not None
        while line := await process.stdout.readline():
            word = line.decode("ascii", "replace").strip()
            if child.role is Role.BACKGROUND:
                self._deployment = word
                self._settled.set()
            else:
                self._serving.add(child.index)
                if len(self._serving) == len(self._workers):
                    settings = self._plan.settings
                    _log.info(
                        "serving",
                        s3=str(s3_port(settings)),
                        server=self._plan.server or "local",
                        workers=len(self._workers),
                        deployment=self._deployment,
                        version=__version__,
                    )

    def _forget_metrics(self, pid: int) -> None:
        """Drop the gauges of a process that is gone; its counters go on counting."""
        for path in Path(self._metrics).glob(f"gauge_live*_{pid}.db"):
            path.unlink(missing_ok=True)

    async def _pause(self, pause_s: float) -> None:
        try:
            async with asyncio.timeout(pause_s):
                await self._stop.wait()
        except TimeoutError:
            return

    # --- stopping ---------------------------------------------------------------------

    async def _stop_children(self) -> None:
        await self._stop.wait()
        children = (self._background, *self._workers)
        for child in children:
            child.send(signal.SIGTERM)
        deadline_s = self._clock.monotonic_s() + STOP_S
        while any(child.process is not None for child in children):
            if self._clock.monotonic_s() > deadline_s:
                for child in children:
                    child.send(signal.SIGKILL)
            await asyncio.sleep(0.02)


def _how_ended(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"

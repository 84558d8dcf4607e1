"""Where a process of a server begins: `python -m objstore.server.process`, run by the supervisor.

It reads its order from standard input, and reports on standard output, one word a line: the
background process the deployment once it is settled, a worker that it serves. Each role loads
its own code only, and a worker loads it before it waits for the deployment.
"""

import asyncio
import ctypes
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
import uvloop

from objstore.errors import ConfigError
from objstore.server.logs import configure_logs
from objstore.server.order import EXIT_REFUSED, Role, StartOrder, decode_order
from objstore.server.standard_input import LineInput

_PR_SET_PDEATHSIG: Final = 1

Report = Callable[[str], None]

# A request makes some hundred containers and drops them without cycles: the default of a
# collection every 700 costs 4 % of a small PUT and finds nothing. Not much rarer: a connection
# and its transport are a cycle, with what the client had sent.
_GC_THRESHOLDS: Final = (2_000, 10, 10)


def main() -> None:
    """Do what the supervisor ordered, until it says stop."""
    told = LineInput()
    order = decode_order(told.read_line())
    _die_with(order.parent)
    name = f"worker {order.index}" if order.role is Role.WORKER else order.role.value
    configure_logs(order.log_format, process=name)
    gc.set_threshold(*_GC_THRESHOLDS)
    work = _worker(order, told) if order.role is Role.WORKER else _background(order)
    try:
        uvloop.run(_until_stopped(work))
    except ConfigError as error:
        sys.stderr.write(f"objstore: refused\n{error}\n")
        raise SystemExit(EXIT_REFUSED) from error


def _worker(order: StartOrder, told: LineInput) -> Callable[[asyncio.Event], Awaitable[None]]:
    from objstore.server.worker import run_worker  # noqa: PLC0415  only what this role needs

    deployment = told.read_line().decode().strip()
    if not deployment:
        raise SystemExit(0)  # the supervisor went away while it waited
    return lambda stop: run_worker(order, deployment, told=told, stop=stop, report=_report)


def _background(order: StartOrder) -> Callable[[asyncio.Event], Awaitable[None]]:
    from objstore.server.background import (  # noqa: PLC0415  only what this role needs
        run_background_process,
    )

    return lambda stop: run_background_process(order, stop=stop, report=_report)


async def _until_stopped(work: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await work(stop)
    except* ConfigError as group:
        raise _first(group) from None


def _first(group: BaseExceptionGroup[ConfigError]) -> ConfigError:
    found: BaseException = group
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, ConfigError)
    return found


def _report(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def _die_with(parent: int) -> None:
    """Be killed when the supervisor dies, however it dies: nobody else would stop this process."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        structlog.get_logger(__name__).error("the supervisor is gone")
        raise SystemExit(1)


if __name__ == "__main__":
    main()

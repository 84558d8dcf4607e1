"""The background process: settles the deployment, then heals and expires while the server runs."""

import asyncio
import mmap
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Final

import structlog

from objstore.background.epochs import Decider, Returning
from objstore.background.ports import NOTHING_DUE, BackgroundContext, OwnDrive
from objstore.background.run import run_background
from objstore.cluster.bootstrap import Bootstrap
from objstore.cluster.membership import METHOD_STATE
from objstore.drive.envelope import place_of
from objstore.drive.local import LocalDrive
from objstore.drive.reaper import run_drive_reaper
from objstore.engine.sets import SetHandle
from objstore.rpc.auth import ReplayTable
from objstore.rpc.server import RpcServer
from objstore.server.assemble import Engine, Node, open_engine, open_node, wait_for_peers
from objstore.server.background_metrics import CompareMetrics, HealMetrics, LifecycleMetrics
from objstore.server.order import StartOrder
from objstore.server.place import INTERNAL_PURPOSE, internal_port
from objstore.server.publish import publishing
from objstore.server.sockets import listen_on

_log = structlog.get_logger(__name__)

# After a first start peers are still answered until they all know that it is over. One that dies
# meanwhile does not hold up the others.
_LINGER_S: Final = 1.0


async def run_background_process(
    order: StartOrder, *, stop: asyncio.Event, report: Callable[[str], None]
) -> None:
    """Settle the deployment and report it; then run the background work until `stop`."""
    async with open_node(order) as node:
        async with asyncio.TaskGroup() as group:
            settling = group.create_task(_settle(node, report))
            stopping = group.create_task(_cancel_when(stop, settling))
            await asyncio.wait({settling})
            stopping.cancel()
        if stop.is_set():
            return
        async with (
            open_engine(node, settling.result()) as engine,
            publishing(node, engine),
            asyncio.TaskGroup() as group,
        ):
            working = group.create_task(_work(node, engine))
            await stop.wait()
            working.cancel()


async def _work(node: Node, engine: Engine) -> None:
    await wait_for_peers(node, engine)  # so that the first walk finds them
    async with asyncio.TaskGroup() as group:
        returning = Returning(engine.epochs) if engine.epochs is not None else None
        context = _context(node, engine, returning)
        group.create_task(run_background(context))
        if engine.epochs is not None and returning is not None:
            decider = Decider(
                engine.epochs,
                returning,
                handles=engine.handles,
                drives=context.own,
                is_awaited=engine.absences.is_awaited,
            )
            group.create_task(decider.run())
        for guard in engine.own.values():
            if isinstance(guard.inner, LocalDrive):
                group.create_task(run_drive_reaper(guard.inner, node.clock))


async def _cancel_when(stop: asyncio.Event, task: asyncio.Task[str]) -> None:
    await stop.wait()
    task.cancel()


async def _settle(node: Node, report: Callable[[str], None]) -> str:
    """Return the deployment of this server's drives; on a first start agree on it with peers."""
    bootstrap = Bootstrap(
        node.membership,
        node.bay,
        node.clients,
        first=node.layout.servers[0] == node.order.server,
        entropy=node.entropy,
        say=_log.info,
    )
    port = internal_port(node.order.settings, node.order.server)
    async with AsyncExitStack() as stack:
        # A server that knows its deployment needs no peer, and its workers may listen already.
        alone = port is None or await node.bay.inspect()
        if port is not None and not alone:
            server = RpcServer(
                node.identity,
                methods={METHOD_STATE: node.membership.answer_state},
                shards=None,
                replays=ReplayTable(memoryview(mmap.mmap(node.order.replay_descriptor, 0))),
                clock=node.clock,
                entropy=node.entropy,
            )
            listener = listen_on(port, purpose=INTERNAL_PURPOSE)
            await stack.enter_async_context(server.listening(listener, node.tls.internal_listening))
        deployment = await bootstrap.run()
        report(deployment)
        if not alone:
            await _linger(node)
    return deployment


async def _linger(node: Node) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(_LINGER_S):
            await node.membership.everybody_knows.wait()


def _context(node: Node, engine: Engine, returning: Returning | None) -> BackgroundContext:
    own = tuple(
        _own_drive(node, engine, handle, index)
        for handle in engine.handles
        for index in range(len(handle.drives))
        if place_of(handle.layout.pool, handle.layout.index, index) in node.berths
    )
    return BackgroundContext(
        engine=engine.context,
        own=own,
        lifecycle_day_s=node.order.settings.lifecycle_day_seconds,
        lifecycle=LifecycleMetrics(),
        heal=HealMetrics(node.clock),
        compare=CompareMetrics(),
        returning=returning or NOTHING_DUE,
        scrub_bytes_per_s=node.order.settings.scrub_bytes_per_second,
    )


def _own_drive(node: Node, engine: Engine, handle: SetHandle, index: int) -> OwnDrive:
    place = place_of(handle.layout.pool, handle.layout.index, index)
    berth, guard = node.berths[place], engine.guards[place]
    deployment = node.membership.deployment
    return OwnDrive(
        handle,
        index,
        replace=partial(node.bay.replace, berth, deployment),
        damage=partial(node.bay.damage, berth),
        restore=partial(node.bay.restore_journal, berth, deployment),
        local=guard.inner if isinstance(guard.inner, LocalDrive) else None,
        latency_s=lambda: guard.health.latency_s,
    )

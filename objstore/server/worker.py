"""A worker: serves S3, and this server's drives to its peers."""

import asyncio
import mmap
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final

import structlog

from objstore.cluster.membership import METHOD_STATE
from objstore.drive.envelope import METHOD as METHOD_DRIVE
from objstore.drive.serve import DriveServer
from objstore.engine.patient import PatientStore
from objstore.engine.store import Store
from objstore.gateway.app import Running, serve
from objstore.gateway.context import GatewayContext
from objstore.iam.directory import identities_of
from objstore.limits import STOP_CALLS_S
from objstore.rpc.auth import ReplayTable
from objstore.rpc.server import RpcServer
from objstore.server.assemble import Engine, Node, open_engine, open_node, wait_for_peers
from objstore.server.configuration import generation_of
from objstore.server.order import LiveChange, StartOrder, decode_change
from objstore.server.place import INTERNAL_PURPOSE, S3_PURPOSE, internal_port, s3_port
from objstore.server.publish import publishing
from objstore.server.sockets import listen_on
from objstore.server.standard_input import LineInput
from objstore.server.status import ObservedCluster

_log = structlog.get_logger(__name__)

# Requests get this long to finish; the supervisor kills what takes longer than its own bound.
DRAIN_S: Final = 6.0


async def run_worker(
    order: StartOrder,
    deployment: str,
    *,
    told: LineInput,
    stop: asyncio.Event,
    report: Callable[[str], None],
) -> None:
    """Serve until `stop`; report once that it does. `told` brings changes of the configuration."""
    async with (
        open_node(order) as node,
        open_engine(node, deployment) as engine,
        serve_peers(node, engine),
        publishing(node, engine),
    ):
        stale_reads = order.settings.stale_reads
        store = PatientStore(engine.context, engine.absences, stale_reads=stale_reads)
        cluster = ObservedCluster(node, engine, store)
        listener = listen_on(s3_port(order.settings), purpose=S3_PURPOSE)
        context = _gateway_context(node, engine, store, cluster)
        gateway = await serve(context, listener, tls=node.tls.s3_listening)
        told.follow(lambda line: _take_change(decode_change(line), node, context, gateway))
        # Requests are served from here on; "ready" is said when the drives of peers are seen too,
        # so that the first objects of a cluster that starts get all their shards.
        async with asyncio.TaskGroup() as group:
            beginning = group.create_task(_begin(node, engine, cluster, report))
            await stop.wait()
            beginning.cancel()
        engine.absences.end()
        if not await gateway.stop(DRAIN_S):
            _log.warning("requests were cut off", after_s=DRAIN_S)


async def _begin(
    node: Node, engine: Engine, cluster: ObservedCluster, report: Callable[[str], None]
) -> None:
    await wait_for_peers(node, engine)
    cluster.begin()
    report("serving")


def _take_change(change: LiveChange, node: Node, context: GatewayContext, gateway: Running) -> None:
    """Use another configuration from the next request on; what can change is replaced here."""
    settings = change.settings
    gateway.renew(
        replace(
            context,
            identities=identities_of(change.secrets, settings.identities),
            domains=settings.domains,
            sigv2_links=settings.sigv2_links,
            ssec_over_http=settings.ssec_over_http,
            metrics_public=settings.metrics_public,
            metrics_token=change.secrets.metrics_token,
            requests_max=settings.requests_in_flight,
        )
    )
    node.membership.configuration = generation_of(settings, change.secrets)
    _log.info("configuration changed", configuration=node.membership.configuration)


def _gateway_context(
    node: Node, engine: Engine, store: Store, cluster: ObservedCluster
) -> GatewayContext:
    settings = node.order.settings
    return GatewayContext(
        store=store,
        identities=identities_of(node.order.secrets, settings.identities),
        region=settings.region,
        clock=node.clock,
        entropy=node.entropy,
        threads=engine.context.cpu,
        admin=cluster,
        cluster_status=cluster,
        domains=settings.domains,
        sigv2_links=settings.sigv2_links,
        ssec_over_http=settings.ssec_over_http,
        metrics_public=settings.metrics_public,
        metrics_token=node.order.secrets.metrics_token,
        metrics_directory=os.environ.get("PROMETHEUS_MULTIPROC_DIR"),
        lifecycle_day_s=settings.lifecycle_day_seconds,
        requests_max=settings.requests_in_flight,
    )


@asynccontextmanager
async def serve_peers(node: Node, engine: Engine) -> AsyncIterator[None]:
    """Answer this server's peers, if it has any."""
    port = internal_port(node.order.settings, node.order.server)
    if port is None:
        yield
        return
    drives = DriveServer(engine.own)
    server = RpcServer(
        node.identity,
        methods={METHOD_DRIVE: drives.call, METHOD_STATE: node.membership.answer_state},
        shards=drives,
        replays=ReplayTable(memoryview(mmap.mmap(node.order.replay_descriptor, 0))),
        clock=node.clock,
        entropy=node.entropy,
    )
    listener = listen_on(port, purpose=INTERNAL_PURPOSE)
    async with server.listening(listener, node.tls.internal_listening, leave_s=STOP_CALLS_S):
        yield

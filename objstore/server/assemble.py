"""Building what every process of a server has: the way to its peers, the drives, the engine.

Nested contexts, so that what is built last is let go first:

    open_node       who this server is, and a session with each peer
      open_engine   the drives near and far, and what the engine works with
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

import structlog

from objstore import __version__
from objstore.clock import Clock, Entropy, SystemClock, SystemEntropy
from objstore.cluster.epoch_watch import EpochWatch
from objstore.cluster.membership import Membership
from objstore.drive.api import Drive
from objstore.drive.bay import Berth, DriveBay
from objstore.drive.envelope import place_of
from objstore.drive.guarded import GuardedDrive
from objstore.drive.local import LocalDrive, LocalDriveSettings
from objstore.drive.remote import RemoteDrive
from objstore.drive.unused import UnusedDrive
from objstore.engine.absences import Absences
from objstore.engine.cpu import Cpu
from objstore.engine.sets import NEVER_SOLO, Context, SetDrive, SetHandle, set_handle
from objstore.errors import ConfigError
from objstore.limits import START_AWAITED_S
from objstore.ondisk.drive_identity import DriveIdentity
from objstore.rpc.auth import derive_keys
from objstore.rpc.client import PeerClient
from objstore.rpc.session import Identity
from objstore.server.configuration import generation_of
from objstore.server.order import StartOrder
from objstore.server.peers import probe_all, watch_peers
from objstore.server.place import peer_url
from objstore.server.shared_mark import SharedMark
from objstore.server.tls import Tls
from objstore.server.witnessing import watching
from objstore.topology.layout import Layout, SetLayout, layout_of
from objstore.versions.hlc import NODE_BYTES, Hlc

_log = structlog.get_logger(__name__)

_PEERS_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Node:
    """This server among its peers, in one process."""

    order: StartOrder
    layout: Layout
    membership: Membership
    identity: Identity
    clients: Mapping[str, PeerClient]
    bay: DriveBay
    berths: Mapping[str, Berth]  # this server's drives with slots, by place
    clock: Clock
    entropy: Entropy
    tls: Tls
    buckets: SharedMark  # differs once a drive of this server took a bucket's record


@dataclass(frozen=True, slots=True)
class Engine:
    """The drives of the whole cluster, as this process reaches them."""

    context: Context
    handles: tuple[SetHandle, ...]
    guards: Mapping[str, GuardedDrive]  # every drive with slots, by place
    own: Mapping[str, GuardedDrive]  # those of this server
    absences: Absences  # servers that are away for a moment
    epochs: EpochWatch | None  # what the witness says, when there is one


@asynccontextmanager
async def open_node(order: StartOrder) -> AsyncIterator[Node]:
    """Find out who this server is, and keep a session with each peer."""
    clock, entropy = SystemClock(), SystemEntropy()
    layout = layout_of(order.settings)
    membership = Membership(
        server=order.server,
        servers=layout.servers,
        layout=layout.fingerprint,
        version=__version__,
        clock=clock,
        witness=order.settings.witness,
    )
    membership.configuration = generation_of(order.settings, order.secrets)
    identity = Identity(
        name=order.server,
        keys=derive_keys(order.secrets.cluster_secret),
        claims=membership.claims,
        admit=membership.admit,
        awaits=membership.awaits,
    )
    tls = _tls(order, clock)
    clients = {
        peer: PeerClient(
            peer,
            peer_url(order.settings, peer),
            identity=identity,
            clock=clock,
            entropy=entropy,
            tls=tls.calling,
        )
        for peer in membership.peers
    }
    berths = _berths(layout, order.server)
    bay = DriveBay(tuple(berths.values()), clock=clock, entropy=entropy)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(client.run()) for client in clients.values()]
        running += [group.create_task(port.watch()) for port in tls.ports]
        try:
            yield Node(
                order,
                layout,
                membership,
                identity,
                clients,
                bay,
                berths,
                clock,
                entropy,
                tls,
                SharedMark(order.buckets_descriptor, entropy),
            )
        finally:
            for task in running:
                task.cancel()


def _tls(order: StartOrder, clock: Clock) -> Tls:
    """Read the certificates again, which were good when the server was started.

    A process that is started later, because the one before it crashed, may find them broken or
    half renewed. It ends and is started again until they are good: a refusal would stop the whole
    server, whose other processes go on with what they have.
    """
    try:
        return Tls(order.settings, server=order.server, clock=clock)
    except ConfigError as error:
        _log.error(
            "certificate files can not be used",
            found=error.found,
            expected=error.expected,
            what_to_do=error.remedy,
        )
        raise SystemExit(1) from error


@asynccontextmanager
async def open_engine(node: Node, deployment: str) -> AsyncIterator[Engine]:
    """Open the drives, and give the engine what it needs; stragglers finish before they close."""
    node.membership.deployment = deployment
    node.membership.formatted = True
    node.membership.serving = True
    cpu = Cpu(len(os.sched_getaffinity(0)))
    guards: dict[str, GuardedDrive] = {}
    absences = Absences(node.clock)
    for peer in node.clients:
        absences.announce(peer, node.clock.monotonic_s() + START_AWAITED_S)
    try:
        async with (
            watching(
                node.order.settings, node.membership, clock=node.clock, tls=node.tls
            ) as epochs,
            asyncio.TaskGroup() as watchers,
        ):
            following: list[asyncio.Task[None]] = []
            try:
                for one in node.layout.sets:
                    for index in range(len(one.drives)):
                        if one.slots_of_drive(index):
                            guards[_place(one, index)] = await _open_drive(
                                node, one, index, watchers
                            )
                following += watch_peers(node.clients, _by_server(node, guards), absences, watchers)
                await probe_all(guards.values())
                async with asyncio.TaskGroup() as stragglers:
                    yield _engine(node, guards, cpu, stragglers, absences, epochs)
            finally:
                for task in following:
                    task.cancel()
                for guard in guards.values():
                    await guard.close()
    finally:
        cpu.close()


async def wait_for_peers(node: Node, engine: Engine) -> None:
    """Give peers that start at the same time a moment, and look at all drives once more.

    A peer that is down holds up nobody for longer than _PEERS_S.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_PEERS_S), asyncio.TaskGroup() as group:
            for client in node.clients.values():
                group.create_task(_until_up(client, node.membership))
    await probe_all(engine.guards.values())


async def _until_up(client: PeerClient, membership: Membership) -> None:
    # A session from before may still be with the process that settled the peer's deployment.
    while not client.status.up or membership.awaits(client.status.claims):
        await client.changed()


def _by_server(
    node: Node, guards: Mapping[str, GuardedDrive]
) -> Mapping[str, Sequence[GuardedDrive]]:
    held: dict[str, list[GuardedDrive]] = {peer: [] for peer in node.clients}
    for one in node.layout.sets:
        for index, drive in enumerate(one.drives):
            if drive.server in held and one.slots_of_drive(index):
                held[drive.server].append(guards[_place(one, index)])
    return held


def _engine(
    node: Node,
    guards: Mapping[str, GuardedDrive],
    cpu: Cpu,
    group: asyncio.TaskGroup,
    absences: Absences,
    epochs: EpochWatch | None,
) -> Engine:
    pools = tuple(
        tuple(
            set_handle(
                one,
                tuple(_drive(guards, one, index) for index in range(len(one.drives))),
                epochs or NEVER_SOLO,
            )
            for one in node.layout.sets_of_pool(pool)
        )
        for pool in range(node.layout.pools)
    )
    context = Context(
        pools=pools,
        deployment=bytes.fromhex(node.membership.deployment),
        hlc=Hlc(node.entropy.draw(NODE_BYTES)),
        clock=node.clock,
        entropy=node.entropy,
        cpu=cpu,
        group=group,
        bracketing=node.order.settings.bracketing_fraction,
        bucket_changes=node.buckets.read,
    )
    own = {place: guards[place] for place in node.berths}
    return Engine(context, context.sets, guards, own, absences, epochs)


def _drive(guards: Mapping[str, GuardedDrive], one: SetLayout, index: int) -> SetDrive:
    return guards.get(_place(one, index)) or UnusedDrive()


def _place(one: SetLayout, index: int) -> str:
    return place_of(one.pool, one.index, index)


async def _open_drive(
    node: Node, one: SetLayout, index: int, group: asyncio.TaskGroup
) -> GuardedDrive:
    place, address = _place(one, index), one.drives[index]
    berth = node.berths.get(place)
    if berth is None:
        inner: Drive = RemoteDrive(node.clients[address.server], place)
    else:
        inner = await _open_local(node, berth)
    return GuardedDrive(inner, name=str(address), clock=node.clock, group=group)


async def _open_local(node: Node, berth: Berth) -> LocalDrive:
    def check(identity: DriveIdentity) -> None:
        berth.check(identity, node.membership.deployment)

    settings = LocalDriveSettings(
        direct_io=node.order.settings.direct_io, bucket_changed=node.buckets.change
    )
    return await LocalDrive.open(berth.path, check=check, clock=node.clock, settings=settings)


def _berths(layout: Layout, server: str) -> dict[str, Berth]:
    return {
        _place(one, index): Berth(
            path=Path(drive.path),
            pool=one.pool,
            set=one.index,
            slots=one.slots_of_drive(index),
            endpoint=str(drive),
            shape=pool_shape(layout, one.pool),
        )
        for one in layout.sets
        for index, drive in enumerate(one.drives)
        if drive.server == server and one.slots_of_drive(index)
    }


def pool_shape(layout: Layout, pool: int) -> str:
    """Fingerprint what decides where a pool's objects are.

    Servers and paths are left out: a server may get another name and a drive another mount point.
    """
    digest = sha256(b"objstore pool shape 1\n")
    for one in layout.sets_of_pool(pool):
        numbers = (one.index, one.scheme.k, one.scheme.m, int(one.rotate), *one.slots)
        digest.update((",".join(map(str, numbers)) + "\n").encode())
    return digest.hexdigest()[:32]

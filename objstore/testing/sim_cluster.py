"""Servers that exist in one process and in simulated time: the real engine over simulated drives.

A server has one or two processes. Each has guards over all drives, an engine and a store; the
first one runs the background work too, and with a witness it decides. Between the servers is a
`SimNetwork`. A process can die at any moment: its tasks end, and what they still try is refused.
"""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeVar

from objstore.background.epochs import Decider, Returning
from objstore.background.ports import NOTHING_DUE, BackgroundContext, OwnDrive
from objstore.background.run import run_background
from objstore.cluster.epoch_watch import EpochWatch
from objstore.cluster.witness import Kept, Witness
from objstore.drive.api import Drive
from objstore.drive.envelope import place_of
from objstore.drive.guarded import GuardedDrive
from objstore.drive.remote import RemoteDrive
from objstore.drive.serve import DriveServer
from objstore.engine.cpu import Cpu
from objstore.engine.sets import NEVER_SOLO, Context, SetHandle, set_handle
from objstore.engine.store import Store
from objstore.errors import DriveError, ObjstoreError, RpcError, WitnessError
from objstore.limits import WITNESS_ANSWER_S
from objstore.quorum.solo import Epoch
from objstore.testing.fake_witness import FakeWitness
from objstore.testing.sim_drive import Bay, SimDrive
from objstore.testing.sim_network import WAY_S, SimNetwork, SimPeer
from objstore.testing.sim_world import SimClock, SimEntropy, World
from objstore.versions.hlc import NODE_BYTES, Hlc

T = TypeVar("T")

WITNESS: Final = "w"
DEPLOYMENT: Final = bytes(range(16))


class ConnectionLost(Exception):
    """The process died before it answered: nobody knows what became of the request."""


class _RemoteWitness:
    """The witness, as a process reaches it."""

    def __init__(self, network: SimNetwork, name: str, register: Witness) -> None:
        self._network = network
        self._name = name
        self._register = register

    async def read(self) -> Kept:
        return await self._ask(self._register.read)

    async def change(self, revision: int, epoch: Epoch) -> bool:
        return await self._ask(lambda: self._register.change(revision, epoch))

    async def _ask(self, work: Callable[[], Awaitable[T]]) -> T:
        there, back = asyncio.Event(), asyncio.Event()
        try:
            async with asyncio.timeout(2 * WITNESS_ANSWER_S):
                self._network.send(self._name, WITNESS, there.set)
                await there.wait()
                answer = await work()
                self._network.send(WITNESS, self._name, back.set)
                await back.wait()
        except TimeoutError as error:
            raise WitnessError("it does not answer") from error
        return answer


class SimProcess:
    """One process of a server, from its start to its death."""

    group: asyncio.TaskGroup
    drives: DriveServer
    context: Context
    store: Store
    background: BackgroundContext

    def __init__(self, server: "SimServer", number: int) -> None:
        self.server = server
        self.name = server.name
        self.number = number
        self.alive = False
        self.ready = asyncio.Event()
        self.peers: list[SimPeer] = []
        self.guards: dict[int, GuardedDrive] = {}
        self._name = f"{server.name}.{number}#{server.starts}"
        self._random = server.world.random(self._name)
        self._root: asyncio.Task[None] | None = None
        self._dead = False

    def wall_s(self) -> float:
        """What its clock shows."""
        return self.server.clock.now_ns() / 1e9

    def start(self, group: asyncio.TaskGroup) -> None:
        """Run in `group` until `die`."""
        group.create_task(self._supervise())

    def die(self) -> None:
        """End at once: nothing that its tasks do from now on has any effect."""
        self.alive, self._dead = False, True
        for peer in self.peers:
            peer.lost(RpcError("the process died"))
        if self._root is not None:
            self._root.cancel()

    async def _supervise(self) -> None:
        """Run it; that it ends by itself is a violation, and how it ends when killed is not."""
        self._root = self.server.world.loop.create_task(self._run())
        await asyncio.wait([self._root])
        if not self._dead:
            error = None if self._root.cancelled() else self._root.exception()
            self.server.world.fail(f"I8 {self._name} ended by itself: {_first(error)!r}")
        elif not self._root.cancelled():
            self._root.exception()  # its tasks found that it was ending

    async def do(self, work: Callable[[Store], Awaitable[T]]) -> T:
        """Have the process do what a client asks for.

        Raises:
            ObjstoreError: what the store raised.
            ConnectionLost: it died meanwhile.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def serve() -> None:
            try:
                done = await work(self.store)
            except ObjstoreError as error:
                if not answer.done():
                    answer.set_exception(error)
            else:
                if not answer.done():
                    answer.set_result(done)

        if not self.alive:
            raise ConnectionLost
        task = self.group.create_task(serve())
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not answer.done() or not self.alive:
            raise ConnectionLost
        return answer.result()

    async def _run(self) -> None:
        async with _ProcessGroup() as self.group:
            await self._serve(self.group)

    async def _serve(self, group: asyncio.TaskGroup) -> None:
        server, world = self.server, self.server.world
        for name in server.cluster.names:
            if name != self.name:
                peer = SimPeer(
                    server.cluster.network, self, name, partial(server.cluster.host, name),
                    world.random(f"{self._name}>{name}"),
                )  # fmt: skip
                self.peers.append(peer)
                group.create_task(peer.run())
        handle, epochs = self._open(group)
        self.context = Context(
            pools=((handle,),),
            deployment=DEPLOYMENT,
            hlc=Hlc(self._random.randbytes(NODE_BYTES)),
            clock=server.clock,
            entropy=SimEntropy(self._random),
            cpu=Cpu(1),
            group=group,
            bracketing=0.1,
            bucket_changes=lambda: server.bucket_changes,
        )
        self.store = Store(self.context)
        self.alive = True
        self.drives = DriveServer(
            {place_of(0, 0, index): guard for index, guard in self._own().items()}
        )
        await asyncio.sleep(self._random.uniform(0, 1.0))  # for peers to connect
        for guard in self.guards.values():
            await _probe(guard)
        self._begin_background(group, handle, epochs)
        self.ready.set()

    def _own(self) -> dict[int, GuardedDrive]:
        return {index: self.guards[index] for index in self.server.bays}

    def _open(self, group: asyncio.TaskGroup) -> tuple[SetHandle, EpochWatch | None]:
        server = self.server
        layout = server.cluster.layout
        peers = {peer.name: peer for peer in self.peers}
        for index, address in enumerate(layout.drives):
            bay = server.bays.get(index)
            inner: Drive
            if bay is None:
                inner = RemoteDrive(peers[address.server], place_of(0, 0, index))
            else:
                inner = server.cluster.make_drive(
                    SimDrive(bay, lambda: self.alive, server.note_bucket)
                )
            self.guards[index] = GuardedDrive(
                inner, name=f"{self._name}/d{index}", clock=server.clock, group=group
            )
        epochs = None
        if server.world.shape.witness:
            other = next(name for name in server.cluster.names if name != self.name)
            witness = _RemoteWitness(server.cluster.network, self.name, server.cluster.witness)
            epochs = EpochWatch(witness, own=self.name, other=other, clock=server.clock)
            group.create_task(epochs.run())
        handle = set_handle(layout, tuple(self.guards.values()), epochs or NEVER_SOLO)
        return server.cluster.make_handle(handle), epochs

    def _begin_background(
        self, group: asyncio.TaskGroup, handle: SetHandle, epochs: EpochWatch | None
    ) -> None:
        returning = Returning(epochs) if epochs is not None else None
        own = tuple(OwnDrive(handle, index, bay.replace) for index, bay in self.server.bays.items())
        self.background = BackgroundContext(self.context, own, returning=returning or NOTHING_DUE)
        if self.number:
            return
        group.create_task(run_background(self.background))
        if epochs is not None and returning is not None:
            group.create_task(Decider(epochs, returning, handles=[handle], drives=own).run())


async def _probe(guard: GuardedDrive) -> None:
    try:
        await guard.probe()
    except DriveError:
        return


class _ProcessGroup(asyncio.TaskGroup):
    """A group that refuses work quietly while it ends: nobody is left to await it."""

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        try:
            return super().create_task(coro, name=name, context=context)
        except RuntimeError:
            coro.close()
            raise


def _first(error: BaseException | None) -> BaseException | None:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@dataclass
class SimServer:
    """A machine: its clock, its drives, and the processes that run on it, if any do."""

    name: str
    world: World
    cluster: "SimCluster"
    clock: SimClock
    bays: dict[int, Bay]
    processes: tuple[SimProcess, ...] = ()
    starts: int = 0
    bucket_changes: int = 0
    up: bool = False

    def note_bucket(self) -> None:
        """A drive took a bucket's record."""
        self.bucket_changes += 1

    @property
    def serving(self) -> tuple[SimProcess, ...]:
        """Its processes that take requests."""
        return tuple(one for one in self.processes if one.alive and one.ready.is_set())


@dataclass
class SimCluster:
    """All servers, and the network between them."""

    world: World
    group: asyncio.TaskGroup  # of everything that runs
    make_drive: Callable[[SimDrive], Drive] = lambda drive: drive  # to plant faults
    make_handle: Callable[[SetHandle], SetHandle] = lambda handle: handle
    servers: dict[str, SimServer] = field(default_factory=dict)
    witness: FakeWitness = field(default_factory=FakeWitness)

    def __post_init__(self) -> None:
        world = self.world
        self.layout = world.shape.layout
        self._random = world.random("cluster")
        self.network = SimNetwork(world.loop, world.random("network"))
        for name in dict.fromkeys(drive.server for drive in self.layout.drives):
            clock = SimClock(world.loop)
            bays = {
                index: Bay(
                    name, index, clock=clock, random=world.random(f"d{index}"), watch=world.note
                )
                for index, drive in enumerate(self.layout.drives)
                if drive.server == name
            }
            self.servers[name] = SimServer(name, world, self, clock, bays)

    @property
    def names(self) -> tuple[str, ...]:
        """The servers' names."""
        return tuple(self.servers)

    @property
    def bays(self) -> dict[int, Bay]:
        """Every drive's place, by its index in the set."""
        found = [item for one in self.servers.values() for item in one.bays.items()]
        return dict(sorted(found, key=lambda item: item[0]))

    def host(self, name: str) -> SimProcess | None:
        """Return a process of a server that takes connections; which one, chance decides."""
        server = self.servers[name]
        alive = [one for one in server.processes if one.alive]
        return self._random.choice(alive) if alive else None

    def start(self, server: SimServer) -> None:
        """Start a server's processes."""
        assert not server.up
        server.up = True
        server.starts += 1
        server.processes = tuple(
            SimProcess(server, number) for number in range(self.world.shape.processes)
        )
        for process in server.processes:
            process.start(self.group)
        self.world.note(server.name, "starts")

    def end(self) -> None:
        """End every process."""
        for server in self.servers.values():
            for process in server.processes:
                process.die()

    def crash(self, server: SimServer, *, power: bool) -> None:
        """Kill a server's processes; with `power`, lose what its drives have not made durable."""
        self.world.note(server.name, "loses power" if power else "is killed")
        server.up = False
        for process in server.processes:
            process.die()
            self._break_sessions(process, silently=power)
        if power:
            for bay in server.bays.values():
                if not bay.away:
                    bay.lose_power()

    def _break_sessions(self, dead: SimProcess, *, silently: bool) -> None:
        """Have the kernel of a server whose process died close its connections."""
        for server in self.servers.values():
            for process in server.processes:
                for peer in process.peers:
                    if peer.is_with(dead) and not silently:
                        self.network.send(
                            dead.name, server.name, partial(_close, peer, dead), after_s=WAY_S
                        )


def _close(peer: SimPeer, dead: SimProcess) -> None:
    if peer.is_with(dead):
        peer.lost(RpcError(f"{peer.name}: the connection broke"))

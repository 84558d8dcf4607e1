"""Two servers, their drives in memory and a witness: every link between them can be cut.

Each server has two processes, one of which decides, and each of them the real engine over the
drives of both servers. Time is a fake clock's, so that what a process was told runs out when a
test says so.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from objstore.background.compare import Compare
from objstore.background.heal_queue import heal_missed_once
from objstore.background.ports import BackgroundContext, OwnDrive
from objstore.drive.ops import PutBucket
from objstore.engine.cpu import Cpu
from objstore.engine.sets import Context, SetHandle, Solo, set_handle
from objstore.engine.store import Store
from objstore.errors import DriveError, QuorumError
from objstore.names import DriveId, Scheme
from objstore.ondisk.record import Bucket, encode_bucket
from objstore.quorum.solo import FIRST, Epoch, Sight, SoloView, next_epoch
from objstore.testing.fake_clock import FakeClock
from objstore.testing.memory_drive import MemoryDrive
from objstore.testing.memory_set import BUCKET, SeededEntropy, SwitchedDrive
from objstore.topology.layout import DriveAddress, SetLayout
from objstore.versions.hlc import NODE_BYTES, Hlc

NAMES = ("a", "b")


class ClockedSolo:
    """A process's view, read by a clock."""

    def __init__(self, view: SoloView, clock: FakeClock) -> None:
        self.view = view
        self._clock = clock

    def may_have_written(self) -> frozenset[str]:
        return self.view.may_have_written(self._clock.monotonic_s())

    def may_write(self) -> str:
        return self.view.own if self.view.may_write(self._clock.monotonic_s()) else ""


@dataclass
class Server:
    """One process of a server: its engine, and its links to every drive and to the witness."""

    name: str
    context: Context
    handle: SetHandle
    drives: tuple[SwitchedDrive, ...]
    clock: FakeClock
    view: SoloView
    store: Store
    background: BackgroundContext
    sees_witness: bool = True
    caught_up: int = -1  # the epoch in which its drives were compared with the set

    @property
    def own(self) -> tuple[int, ...]:
        """Indexes of its drives."""
        return tuple(drive.index for drive in self.background.own)

    @property
    def others(self) -> tuple[int, ...]:
        """Indexes of the other server's drives."""
        return tuple(index for index in range(len(self.drives)) if index not in self.own)

    def cut(self) -> None:
        """Lose sight of the other server's drives."""
        for index in self.others:
            if not self.drives[index].away:
                self.drives[index].pull()

    def join(self) -> None:
        """See the other server's drives again."""
        for index in self.others:
            self.drives[index].bring_back()

    def sight(self) -> Sight:
        """What it decides by."""
        peers = [self.drives[index].can_read for index in self.others]
        epoch = self.view.epoch
        return Sight(
            own_drives_well=all(self.drives[index].can_write for index in self.own),
            peer_away=not any(peers),
            peer_back=all(peers),
            caught_up=epoch is not None and epoch.number == self.caught_up,
        )

    async def catch_up(self) -> None:
        """Compare every own drive with the set, as a server does that missed what another wrote."""
        epoch = self.view.epoch
        if epoch is None or not self.view.is_settled(self.clock.monotonic_s()):
            return
        try:
            for drive in self.background.own:
                if (await Compare(self.context, drive, "return").run()).failed:
                    return
        except (DriveError, QuorumError):
            return
        self.caught_up = epoch.number

    async def heal(self) -> None:
        """Go through the notes of what drives missed, once."""
        await heal_missed_once(self.background, self.handle)

    async def idle(self) -> None:
        """Let stragglers finish: nothing here takes longer than a few turns of the loop."""
        for _ in range(50):
            await asyncio.sleep(0)


@dataclass
class TwoServers:
    """The deciding process of each server, another one of each, and what the witness keeps."""

    servers: tuple[Server, ...]
    workers: tuple[Server, ...]
    clock: FakeClock
    epoch: Epoch = FIRST
    changes: list[Epoch] = field(default_factory=list)
    answers: list[tuple[Server, Epoch, float]] = field(default_factory=list)  # under way

    @property
    def processes(self) -> tuple[Server, ...]:
        """All of them."""
        return self.servers + self.workers

    def ask(self, server: Server) -> None:
        """Let a process ask the witness and hear the answer at once."""
        self.begin_to_ask(server)
        self.hear(len(self.answers) - 1)

    def begin_to_ask(self, server: Server) -> None:
        """Let a process ask; the answer is made now, and heard when it is."""
        self.answers.append((server, self.epoch, self.clock.monotonic_s()))

    def hear(self, number: int) -> None:
        """Deliver an answer that is under way, unless the link is cut."""
        server, epoch, asked_s = self.answers.pop(number)
        if server.sees_witness:
            server.view.learn(epoch, asked_s=asked_s, now_s=self.clock.monotonic_s())

    def decide(self, server: Server) -> None:
        """Let a server change the epoch, by compare-and-set, if it wants to."""
        held = server.view.epoch
        if held is None or not server.sees_witness:
            return
        wanted = next_epoch(held, server.name, server.sight())
        if wanted is not None and held == self.epoch:
            self.epoch = wanted
            self.changes.append(wanted)


@asynccontextmanager
async def two_servers(scheme: Scheme, *, seed: int = 0) -> AsyncIterator[TwoServers]:
    """Build two servers, each with half of the slots, a drive for each slot."""
    clock = FakeClock()
    half = scheme.slots // 2
    memories = [MemoryDrive(DriveId(f"d{index}"), clock) for index in range(scheme.slots)]
    layout = SetLayout(
        pool=0,
        index=0,
        scheme=scheme,
        drives=tuple(
            DriveAddress(NAMES[index // half], f"/d{index}") for index in range(scheme.slots)
        ),
        slots=tuple(range(scheme.slots)),
        rotate=True,
    )
    cpu = Cpu(2)
    async with asyncio.TaskGroup() as group:
        processes = []
        for number in range(2 * len(NAMES)):
            server = number % len(NAMES)
            view = SoloView(NAMES[server], NAMES[1 - server])
            solo: Solo = ClockedSolo(view, clock)
            drives = tuple(SwitchedDrive(memory) for memory in memories)
            handle = set_handle(layout, drives, solo)
            context = Context(
                pools=((handle,),),
                deployment=bytes(16),
                hlc=Hlc(bytes([number]) * NODE_BYTES),
                clock=clock,
                entropy=SeededEntropy(seed * 4 + number),
                cpu=cpu,
                group=group,
                bracketing=1.0,
            )
            mine = range(server * half, (server + 1) * half)
            own = tuple(OwnDrive(handle, index, _nothing_to_replace) for index in mine)
            background = BackgroundContext(context, own)
            processes.append(
                Server(
                    NAMES[server], context, handle, drives, clock, view, Store(context), background
                )
            )
        context = processes[0].context
        bucket = Bucket(BUCKET, context.stamp(), clock.now_ns() // 1_000_000, owner="me")
        for memory in memories:
            await memory.call(PutBucket(encode_bucket(bucket)))
        yield TwoServers(tuple(processes[:2]), tuple(processes[2:]), clock)
    cpu.close()


async def _nothing_to_replace() -> str:
    return "nothing"

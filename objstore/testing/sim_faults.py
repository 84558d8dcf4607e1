"""What goes wrong in a simulation: faults drawn from the seed, each of which ends by itself."""

import asyncio
from collections.abc import Callable, Coroutine
from random import Random
from typing import Any, Final

from objstore.background.reaper import reap_once
from objstore.errors import DriveError, QuorumError
from objstore.limits import CLOCK_DRIFT_SECONDS_MAX, SETTLE_AGE_S, TOMBSTONE_AGE_S
from objstore.testing.memory_rows import HeldRow
from objstore.testing.sim_atlas import Atlas
from objstore.testing.sim_cluster import WITNESS, SimCluster, SimServer
from objstore.testing.sim_drive import Bay

AGE_S: Final = TOMBSTONE_AGE_S + SETTLE_AGE_S
CLOCK_OFF_S_MAX: Final = 1e5  # the furthest that a clock is ever off
_LONG_S: Final = 6.0  # the longest that a fault lasts


class Nemesis:
    """Causes faults, and takes them back."""

    def __init__(self, cluster: SimCluster, atlas: Atlas) -> None:
        self._cluster = cluster
        self._atlas = atlas
        self._random: Random = cluster.world.random("nemesis")
        self._faults: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (
            self._kill_server,
            self._kill_server,
            self._cut_power,
            self._cut_all_power,
            self._pull_drive,
            self._pull_drive,
            self._replace_drive,
            self._replace_drive,
            self._make_faulty,
            self._fill_drive,
            self._slow_drive,
            self._rot_file,
            self._rot_file,
            self._rot_row,
            self._isolate,
            self._isolate,
            self._cut_one_way,
            self._lose_messages,
            self._slow_network,
            self._move_clock,
            self._move_clock,
        )

    async def run(self, faults: int, pause_s: float) -> None:
        """Cause so many faults, some at a time; return when all have ended."""
        async with asyncio.TaskGroup() as group:
            for _ in range(faults):
                await asyncio.sleep(self._random.expovariate(1 / pause_s))
                group.create_task(self._random.choice(self._faults)())

    async def _last(self, longest_s: float = _LONG_S) -> None:
        await asyncio.sleep(self._random.uniform(0.05, longest_s))

    def _note(self, what: str) -> None:
        self._cluster.world.note("nemesis", what)

    def _server(self) -> SimServer:
        return self._random.choice(list(self._cluster.servers.values()))

    def _bay(self) -> Bay:
        return self._random.choice(list(self._cluster.bays.values()))

    # --- servers -----------------------------------------------------------------------

    async def _kill_server(self) -> None:
        await self._crash([self._server()], power=False)

    async def _cut_power(self) -> None:
        await self._crash([self._server()], power=True)

    async def _cut_all_power(self) -> None:
        await self._crash(list(self._cluster.servers.values()), power=True)

    async def _crash(self, servers: list[SimServer], *, power: bool) -> None:
        down = [one for one in servers if one.up]
        for server in down:
            self._cluster.crash(server, power=power)
        for server in down:
            await self._last(_LONG_S / len(down))
            self._cluster.start(server)

    # --- drives ------------------------------------------------------------------------

    async def _pull_drive(self) -> None:
        bay = self._bay()
        if bay.away:
            return
        self._note(f"pulls {bay.name}")
        bay.pull()
        await self._last()
        self.put_in(bay)

    def pull_for_long(self) -> Bay | None:
        """Take a drive away, for the caller to put in again."""
        bay = self._bay()
        if bay.away:
            return None
        self._note(f"pulls {bay.name} for long")
        bay.pull()
        return bay

    def put_in(self, bay: Bay) -> None:
        """Put a drive in again that was taken away."""
        if bay.away and not bay.empty:
            self._note(f"puts {bay.name} in again")
            bay.bring_back()

    async def _replace_drive(self) -> None:
        bay = self._bay()
        if bay.away or not self._atlas.may_lose_drive(bay.index):
            return
        self._note(f"replaces {bay.name}")
        bay.put_empty_one_in()

    async def _make_faulty(self) -> None:
        bay = self._bay()
        bay.faulty = self._random.randrange(1, 4)
        self._note(f"{bay.name} fails {bay.faulty} times")

    async def _fill_drive(self) -> None:
        bay = self._bay()
        self._note(f"{bay.name} is full")
        bay.full = True
        await self._last()
        bay.full = False

    async def _slow_drive(self) -> None:
        bay = self._bay()
        bay.slowness = self._random.choice((30.0, 300.0, 3000.0))
        self._note(f"{bay.name} is {bay.slowness:g} times slower")
        await self._last()
        bay.slowness = 1.0

    async def _rot_file(self) -> None:
        bay = self._bay()
        rows = [row for row in self._rows(bay) if row.names()]
        if not rows:
            return
        row = self._random.choice(rows)
        names = [name for name in sorted(row.names()) if name in bay.memory.files]
        if names and self._atlas.may_rot(bay.index, row):
            name = self._random.choice(names)
            self._note(f"{bay.name}: shard {name[2]} of {row.record.version.key} rots")
            self._atlas.rotten.add((bay.index, name))
            bay.rot_file(name)

    async def _rot_row(self) -> None:
        bay = self._bay()
        rows = self._rows(bay)
        if not rows:
            return
        row = self._random.choice(rows)
        if self._atlas.may_rot(bay.index, row):
            self._note(f"{bay.name}: a record of {row.record.version.key} rots")
            bay.rot_row(row)

    def _rows(self, bay: Bay) -> list[HeldRow]:
        if bay.away:
            return []
        return [row for _, rows in sorted(bay.memory.rows.items()) for row in rows]

    # --- network -----------------------------------------------------------------------

    def _names(self) -> list[str]:
        witness = [WITNESS] if self._cluster.world.shape.witness else []
        return [*self._cluster.names, *witness]

    async def _isolate(self) -> None:
        """Part some from the others, both ways or one way."""
        names = self._names()
        some = set(self._random.sample(names, self._random.randrange(1, len(names))))
        ways = {(a, b) for a in names for b in names if (a in some) != (b in some)}
        senders = self._random.choice((some, set(names) - some, set(names)))
        ways = {(a, b) for a, b in ways if a in senders}
        await self._cut(ways)

    async def _cut_one_way(self) -> None:
        a, b = self._random.sample(self._names(), 2)
        await self._cut({(a, b)})

    async def _cut(self, ways: set[tuple[str, str]]) -> None:
        network = self._cluster.network
        fresh = ways - network.cut
        self._note(f"cuts {sorted(fresh)}")
        network.cut |= fresh
        await self._last()
        network.cut -= fresh
        self._note(f"joins {sorted(fresh)}")

    async def _lose_messages(self) -> None:
        self._cluster.network.loss = self._random.choice((0.05, 0.3))
        self._note("messages are lost")
        await self._last()
        self._cluster.network.loss = 0.0

    async def _slow_network(self) -> None:
        self._cluster.network.slowness = self._random.choice((30.0, 300.0))
        self._note("the network is slow")
        await self._last()
        self._cluster.network.slowness = 1.0

    # --- time --------------------------------------------------------------------------

    async def _move_clock(self) -> None:
        """Set a server's clock, within what its peers accept or, seldom, beyond."""
        server = self._server()
        largest_s = self._random.choice(
            (0.01, 1.0, 100.0, CLOCK_DRIFT_SECONDS_MAX / 2, CLOCK_OFF_S_MAX)
        )
        server.clock.skew_s = self._random.uniform(-largest_s, largest_s)
        self._note(f"the clock of {server.name} is {server.clock.skew_s:+.3f} s off")
        if largest_s > CLOCK_DRIFT_SECONDS_MAX:
            await self._last()
            server.clock.skew_s = 0.0

    # --- what only time brings -----------------------------------------------------------

    async def let_age_pass(self, more_s: float = 0.0) -> None:
        """Let more than an hour pass at once, and have what is old enough forgotten."""
        self._note(f"{(AGE_S + more_s) / 3600:.1f} hours pass")
        for server in self._cluster.servers.values():
            server.clock.aged_s += AGE_S + more_s
        await self.reap()

    async def reap(self) -> int:
        """Have the tombstones forgotten that every slot has; return how many."""
        handle_slot = self._cluster.layout.slots[0]
        for server in self._cluster.servers.values():
            for process in server.serving[:1]:
                (handle,) = process.context.sets
                if handle_slot in process.background.own_of(handle):
                    try:
                        return await reap_once(process.background, handle, age_s=TOMBSTONE_AGE_S)
                    except (DriveError, QuorumError) as error:
                        self._note(f"nothing is reaped: {error}")
        return 0

    def end_everything(self) -> None:
        """Mend what can be mended from outside: the calm."""
        cluster = self._cluster
        self._note("calm")
        cluster.network.cut.clear()
        cluster.network.loss, cluster.network.slowness = 0.0, 1.0
        for bay in cluster.bays.values():
            bay.full, bay.faulty, bay.slowness = False, 0, 1.0
            if bay.away and not bay.empty:
                bay.bring_back()
        for server in cluster.servers.values():
            server.clock.skew_s = 0.0
            if not server.up:
                cluster.start(server)

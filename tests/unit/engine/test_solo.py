"""Two servers and a witness: whatever is cut and however long, nothing that was acknowledged goes.

A client that does one thing after the other writes and reads through either server, while links
are cut and mended, time passes, servers ask the witness or are too slow to, change the epoch, heal.
It knows exactly what each answer may be. Afterwards everything is mended and has to come together.
"""

import random
from dataclasses import dataclass, field

import pytest

from objstore.errors import QuorumError, RequestRefused
from objstore.limits import SOLO_CONFIRMED_S, SOLO_WAIT_S
from objstore.names import ObjectKey, Scheme
from objstore.quorum.solo import Mode
from objstore.testing.memory_set import BUCKET
from objstore.testing.two_servers import Server, TwoServers, two_servers
from tests.unit.engine.bodies import delete, get, keys, pattern, put

SCHEMES = [Scheme(2, 2), Scheme(3, 1), Scheme(4, 4)]
KEYS = ["k0", "k1"]
STEPS = (0.05, SOLO_CONFIRMED_S / 2, SOLO_CONFIRMED_S, SOLO_WAIT_S)


@dataclass
class Client:
    """What each key may hold: None stands for nothing."""

    possible: dict[str, set[bytes | None]] = field(default_factory=dict)
    serial: int = 0

    def may_be(self, key: str) -> set[bytes | None]:
        return self.possible.setdefault(key, {None})

    async def write(self, server: Server, key: str, size: int) -> None:
        self.serial += 1
        data = None if size < 0 else self.serial.to_bytes(4, "big") + pattern(size)
        self.possible[key] = self.may_be(key) | {data}
        try:
            await (delete(server, key) if data is None else put(server, key, data))
        except QuorumError:
            return
        self.possible[key] = {data}

    async def read(self, server: Server, key: str) -> bool:
        """Read a key and judge the answer; False when it was refused."""
        found: bytes | None
        try:
            found = await get(server, key)
        except QuorumError:
            return False
        except RequestRefused:  # NoSuchKey: nothing else is wrong with the request
            found = None
        assert found in self.may_be(key), f"{server.name} answers for {key} with something older"
        return True

    async def list(self, server: Server) -> None:
        try:
            found = set(await keys(server))
        except QuorumError:
            return
        for key in KEYS:
            assert (key in found) in {one is not None for one in self.may_be(key)}


async def act(
    two: TwoServers, client: Client, action: str, server: Server, rng: random.Random
) -> None:
    """Let one thing happen."""
    rounds = rng.randint(1, 8)
    match action:
        case "cut":
            server.cut()
        case "join":
            server.join()
        case "cut witness":
            server.sees_witness = False
        case "join witness":
            server.sees_witness = True
        case "time":
            two.clock.advance(rng.choice(STEPS))
        case "ask":
            two.ask(server)
        case "begin to ask":
            two.begin_to_ask(server)
        case "hear" if two.answers:
            two.hear(rng.randrange(len(two.answers)))
        case "decide" if server in two.servers:
            two.decide(server)
        case "catch up" if server in two.servers:
            await server.catch_up()
        case "heal" if server in two.servers:
            await server.heal()
        case "write":
            await client.write(server, rng.choice(KEYS), rng.choice((-1, 0, 10, 100_000)))
        case "read":
            await client.read(server, rng.choice(KEYS))
        case "list":
            await client.list(server)
        case "lose":
            await lose(two, server.name, rounds)
        case "race":
            race(two, server.name)
        case "return":
            join(two)
            await settle_in(two, rounds, healing=rng.random() < 0.5)
        case _:
            await settle_in(two, rounds, healing=rng.random() < 0.5)


ACTIONS = (
    ["cut", "join", "cut witness", "join witness", "decide", "catch up", "heal", "ask"]
    + ["begin to ask", "hear", "time", "list", "lose", "return", "settle in", "race"] * 2
    + ["write", "read"] * 6
)  # fmt: skip


def join(two: TwoServers) -> None:
    for server in two.processes:
        server.join()
        server.sees_witness = True


def cut(two: TwoServers) -> None:
    for server in two.processes:
        server.cut()


async def lose(two: TwoServers, gone: str, rounds: int = 8) -> None:
    """Cut a server off from everything, and let time pass."""
    cut(two)
    for server in two.processes:
        server.sees_witness = server.name != gone
    await settle_in(two, rounds)


def race(two: TwoServers, name: str) -> None:
    """Cut the servers off from each other just when all have asked; one is quick to decide."""
    for server in two.processes:
        two.ask(server)
        two.begin_to_ask(server)
    cut(two)
    for server in two.servers:
        if server.name == name:
            two.decide(server)
            two.ask(server)


async def settle_in(two: TwoServers, rounds: int = 30, *, healing: bool = True) -> None:
    """Let all processes do what they do all the time, for some time."""
    for _ in range(rounds):
        two.clock.advance(SOLO_CONFIRMED_S / 2)
        for server in two.workers:
            two.ask(server)
        for server in two.servers:
            two.ask(server)
            two.decide(server)
            if not healing:
                continue
            await server.heal()
            epoch = server.view.epoch
            if epoch is not None and epoch.mode is Mode.RETURNING and epoch.server != server.name:
                await server.catch_up()
            await server.idle()


async def mend(two: TwoServers) -> None:
    join(two)
    await settle_in(two)


async def check_all(two: TwoServers, client: Client, server: Server) -> None:
    for key in KEYS:
        assert await client.read(server, key), f"{server.name} refuses {key}"
    await client.list(server)


async def history(scheme: Scheme, rng: random.Random) -> None:
    async with two_servers(scheme, seed=rng.randint(0, 100)) as two:
        client = Client()
        for _ in range(rng.randint(20, 80)):
            action = rng.choice(ACTIONS)
            server = rng.choice(two.processes)
            await act(two, client, action, server, rng)
            await server.idle()
        await mend(two)
        assert mode(two) is Mode.WHOLE
        for server in two.processes:
            await check_all(two, client, server)
        gone = rng.choice(two.servers).name
        left = [server for server in two.processes if server.name != gone]
        await lose(two, gone)
        assert mode(two) is Mode.SOLO
        if scheme.k <= scheme.slots // 2:
            await check_all(two, client, left[0])
        for key in KEYS:
            for server in two.processes:
                if server.name == gone:
                    assert not await client.read(server, key), "it cannot know what was written"
            await client.write(rng.choice(left), key, 10)
            assert len(client.may_be(key)) == 1, "the write was refused"
        await check_all(two, client, left[1])


def mode(two: TwoServers) -> Mode:
    return two.epoch.mode


SEEDS = range(240)
GROUPS = 8


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("group", range(GROUPS))
async def test_nothing_acknowledged_goes_whatever_is_cut(scheme: Scheme, group: int) -> None:
    for seed in SEEDS[group :: GROUPS * len(SCHEMES)]:
        await history(scheme, random.Random(seed))


async def alone(two: TwoServers) -> tuple[Server, Server]:
    """Make the first server write alone, and return it and the other."""
    first, second = two.servers
    await lose(two, second.name)
    return first, second


async def test_a_server_alone_writes_what_survives_the_loss_of_one_of_its_drives() -> None:
    async with two_servers(Scheme(2, 2)) as two:
        first, second = await alone(two)
        for size in (0, 10, 3_000_000):
            version = await put(first, f"k{size}", pattern(size))
            assert version.solo_slots == (0, 1)
        for server in two.processes:
            server.drives[0].pull()
        two.ask(first)
        with pytest.raises(QuorumError):
            await put(first, "more", b"")
        with pytest.raises(QuorumError):  # the drive that is left missed what the lost one has
            await get(first, "k0")
        second.sees_witness = True
        for index in second.own:
            first.drives[index].bring_back()
        second.drives[1].bring_back()
        await settle_in(two)
        for size in (0, 10, 3_000_000):
            assert await get(second, f"k{size}") == pattern(size)


async def test_what_was_written_alone_comes_back_to_the_layouts_scheme() -> None:
    async with two_servers(Scheme(2, 2)) as two:
        first, second = await alone(two)
        await put(first, "large", pattern(3_000_000))
        await mend(two)
        found = await second.store.open_object(BUCKET, ObjectKey("large"))
        assert found.version.scheme == Scheme(2, 2)
        assert not found.version.solo_slots
        assert await get(second, "large") == pattern(3_000_000)


async def test_without_the_witness_both_together_go_on_and_one_alone_refuses() -> None:
    async with two_servers(Scheme(2, 2)) as two:
        first, second = two.servers
        for server in two.processes:
            server.sees_witness = False
        await put(first, "k", b"one")
        assert await get(second, "k") == b"one"
        first.cut()
        second.cut()
        for server in two.servers:
            with pytest.raises(QuorumError):
                await get(server, "k")
            with pytest.raises(QuorumError):
                await put(server, "k", b"two")

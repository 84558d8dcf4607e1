"""First starts over real TCP, with drives in memory."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from objstore.clock import SystemClock, SystemEntropy
from objstore.cluster.bootstrap import Bootstrap
from objstore.cluster.membership import METHOD_STATE, Membership
from objstore.errors import ConfigError
from objstore.rpc.auth import ReplayTable, derive_keys
from objstore.rpc.client import PeerClient
from objstore.rpc.server import RpcServer
from objstore.rpc.session import Identity


@dataclass
class MemoryBay:
    """Drives as the deployment each belongs to; "" is an empty one."""

    drives: list[str] = field(default_factory=lambda: ["", ""])
    trusted: list[bool] = field(default_factory=list)

    async def inspect(self) -> str:
        return next(filter(None, self.drives), "")

    async def format_empty(self, deployment: str, *, trusted: bool) -> int:
        empty = self.drives.count("")
        self.drives = [one or deployment for one in self.drives]
        self.trusted += [trusted] * empty
        return empty


@dataclass
class Machine:
    """One server: its drives, and what it said while it started."""

    name: str
    port: int
    bay: MemoryBay = field(default_factory=MemoryBay)
    layout: str = "layout-1"
    secret: str = "a secret that all machines share, 32+"
    said: list[str] = field(default_factory=list)


def machines(count: int) -> list[Machine]:
    found = []
    for number in range(count):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            found.append(Machine(f"s{number}:9000", sock.getsockname()[1]))
    return found


@asynccontextmanager
async def bootstrapping(machine: Machine, everyone: list[Machine]) -> AsyncIterator[Bootstrap]:
    clock, entropy = SystemClock(), SystemEntropy()
    membership = Membership(
        server=machine.name,
        servers=tuple(one.name for one in everyone),
        layout=machine.layout,
        version="1",
        clock=clock,
    )
    identity = Identity(
        machine.name, derive_keys(machine.secret), membership.claims, membership.admit
    )
    clients = {
        one.name: PeerClient(
            one.name,
            f"http://127.0.0.1:{one.port}",
            identity=identity,
            clock=clock,
            entropy=entropy,
        )
        for one in everyone
        if one is not machine
    }
    server = RpcServer(
        identity,
        methods={METHOD_STATE: membership.answer_state},
        shards=None,
        replays=ReplayTable(memoryview(bytearray(4096))),
        clock=clock,
        entropy=entropy,
    )
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", machine.port))
    async with AsyncExitStack() as stack:
        group = await stack.enter_async_context(asyncio.TaskGroup())
        running = [group.create_task(client.run()) for client in clients.values()]
        stack.callback(lambda: [task.cancel() for task in running])
        await stack.enter_async_context(server.listening(sock))
        yield Bootstrap(
            membership,
            machine.bay,
            clients,
            first=machine is everyone[0],
            entropy=entropy,
            say=machine.said.append,
        )


async def start(
    machine: Machine, everyone: list[Machine], started: asyncio.Barrier | None = None
) -> str:
    try:
        async with bootstrapping(machine, everyone) as bootstrap:
            deployment = await bootstrap.run()
            if started is not None:
                await started.wait()  # its workers would answer the others from here on
            return deployment
    except* ConfigError as group:
        (error,) = group.exceptions
        raise error from None


async def start_all(everyone: list[Machine], delay_s: float = 0.0) -> list[str]:
    started = asyncio.Barrier(len(everyone))
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        tasks = []
        for machine in everyone:
            tasks.append(group.create_task(start(machine, everyone, started)))
            await asyncio.sleep(delay_s)
    return [task.result() for task in tasks]


@pytest.mark.parametrize("count", [1, 2, 4])
async def test_servers_with_empty_drives_form_one_deployment_and_trust_it(count: int) -> None:
    everyone = machines(count)
    deployments = await start_all(everyone)
    assert len(set(deployments)) == 1
    assert all(machine.bay.drives == [deployments[0]] * 2 for machine in everyone)
    assert all(machine.bay.trusted == [True, True] for machine in everyone)


async def test_the_last_server_to_come_is_waited_for_in_words() -> None:
    everyone = machines(2)
    await start_all(everyone, delay_s=0.3)
    assert any("waiting for s1:9000" in said for said in everyone[0].said)


async def test_a_server_with_formatted_drives_waits_for_nobody() -> None:
    everyone = machines(2)
    everyone[0].bay.drives = ["d" * 32, "d" * 32]
    begun = time.perf_counter()
    assert await start(everyone[0], everyone) == "d" * 32
    assert time.perf_counter() - begun < 1
    assert everyone[0].bay.trusted == []


async def test_an_empty_drive_beside_formatted_ones_was_replaced_and_is_not_trusted() -> None:
    everyone = machines(2)
    everyone[0].bay.drives = ["d" * 32, ""]
    await start(everyone[0], everyone)
    assert everyone[0].bay.drives == ["d" * 32] * 2
    assert everyone[0].bay.trusted == [False]


async def test_a_server_that_lost_all_drives_joins_a_serving_one_untrusted() -> None:
    everyone = machines(2)
    everyone[1].bay.drives = ["d" * 32, "d" * 32]
    deployments = await start_all(everyone)
    assert deployments == ["d" * 32] * 2
    assert everyone[0].bay.trusted == [False, False]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("secret", "secrets differ"),
        ("layout", "another layout"),
    ],
)
async def test_a_peer_with_another_secret_or_layout_is_refused_fast(change: str, said: str) -> None:
    everyone = machines(2)
    setattr(everyone[1], change, "another value that is long enough too")
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        other = group.create_task(hold(everyone[1], everyone))
        with pytest.raises(ConfigError) as caught:
            await start(everyone[0], everyone)
        other.cancel()
    assert said in caught.value.found
    assert caught.value.remedy
    assert time.perf_counter() - begun < 3
    assert everyone[0].bay.drives == ["", ""]


async def hold(machine: Machine, everyone: list[Machine]) -> None:
    """Answer peers, and do nothing else."""
    async with bootstrapping(machine, everyone):
        await asyncio.Event().wait()

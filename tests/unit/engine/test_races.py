"""Races for one key through two servers: writers, deletes, healers, Completes and Aborts.

Each process has its own engine and its own links to all drives; every call takes a random time, so
that every seed is another interleaving. What is acknowledged is judged by when it began and ended:
the last state is one that no acknowledged operation came wholly after.
"""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from objstore.engine.heal import heal_key
from objstore.engine.heal_upload import heal_uploads
from objstore.engine.ports import Attributes, CompleteRequest, NamedPart
from objstore.errors import DriveError, QuorumError, RequestRefused
from objstore.limits import SETTLE_AGE_S, STRIPE_BYTES
from objstore.names import ObjectKey, Scheme, UploadId
from objstore.ondisk.shard_file import HEADER_BYTES
from objstore.testing.faulty_drive import DriveCall, Late
from objstore.testing.memory_drive import MemoryDrive
from objstore.testing.memory_set import BUCKET
from objstore.testing.two_servers import Server, TwoServers, two_servers
from objstore.wire.digests import Digests
from tests.unit.engine.bodies import BytesBody, get, pattern, read_all

KEY = ObjectKey("k")
SCHEMES = [Scheme(2, 2), Scheme(3, 1)]
SIZES = (10, 100_000, STRIPE_BYTES + 7)
DELAYS_S = (0, 0, 0, 0.0005, 0.003)
WRITERS = 100


def delays(chance: random.Random) -> Callable[[DriveCall], Late]:
    return lambda _: Late(chance.choice(DELAYS_S))


@asynccontextmanager
async def racing(scheme: Scheme, seed: int) -> AsyncIterator[TwoServers]:
    """Two servers whose processes all see each other; calls take random times."""
    async with two_servers(scheme, seed=seed) as two:
        for number, process in enumerate(two.processes):
            two.ask(process)
            for index, drive in enumerate(process.drives):
                drive.rules.append(delays(random.Random(f"{seed}/{number}/{index}")))
        yield two
        for process in two.processes:
            for drive in process.drives:
                drive.rules.clear()


def memories(two: TwoServers) -> list[MemoryDrive]:
    return [drive.memory for drive in two.servers[0].drives]


async def put(server: Server, data: bytes) -> None:
    await server.store.put_object(
        BUCKET, KEY, BytesBody(data), attributes=Attributes(), digests=Digests(["MD5"])
    )


async def read(server: Server) -> bytes | None:
    try:
        return await get(server, KEY)
    except RequestRefused as refused:
        if refused.reason != "NoSuchKey":
            raise
        return None


async def heal(server: Server, targets: frozenset[int], *, verify: bool = True) -> None:
    with suppress(QuorumError, DriveError):
        await heal_key(server.context, server.handle, BUCKET, KEY, targets, verify=verify)


async def settle(two: TwoServers) -> None:
    """End all delays, let what was never acknowledged be settled, and heal every drive."""
    for process in two.processes:
        for drive in process.drives:
            drive.rules.clear()
        await process.idle()
    two.clock.advance(SETTLE_AGE_S + 60)
    for server in two.servers:
        for index in range(len(server.drives)):
            await heal(server, frozenset({index}))
            assert not await heal_uploads(server.context, server.handle, index, BUCKET)


@dataclass
class Register:
    """What happened to the key: (began, ended, value); an operation that failed never ends."""

    done: list[tuple[float, float, bytes | None]] = field(default_factory=list)
    begun: set[bytes | None] = field(default_factory=set)
    ticks: int = 0
    refused: int = 0

    def tick(self) -> int:
        self.ticks += 1
        return self.ticks

    async def write(self, server: Server, value: bytes | None) -> None:
        began = self.tick()
        ended = float("inf")
        self.begun.add(value)
        try:
            if value is None:
                await server.store.delete_object(BUCKET, KEY, permission=lambda _: None)
            else:
                await put(server, value)
            ended = self.tick()
        except QuorumError:
            self.refused += 1
        self.done.append((began, ended, value))

    async def read(self, server: Server) -> None:
        began = self.tick()
        try:
            seen = await read(server)
        except QuorumError:
            self.refused += 1
            return
        if seen is None:
            assert None in self.begun or not self.written_before(began)
            return
        assert hashlib.sha256(seen[32:]).digest() == seen[:32], "a mix of two writes"
        assert seen in self.begun

    def written_before(self, tick: int) -> bool:
        """Whether a write was acknowledged by then."""
        return any(ended < tick for _, ended, _ in self.done)

    def may_be_last(self) -> set[bytes | None]:
        """The values that no acknowledged operation came wholly after."""
        latest = max((began for began, ended, _ in self.done if ended < float("inf")), default=0)
        return {value for _, ended, value in self.done if ended > latest}


def value(number: int, size: int) -> bytes:
    content = number.to_bytes(4, "big") + pattern(size, number)
    return hashlib.sha256(content).digest() + content


async def check_end(two: TwoServers, register: Register) -> None:
    """Every process, and every choice of drives that suffices, says the same; nothing is left."""
    await settle(two)
    (last,) = {await read(process) for process in two.processes}
    assert last in register.may_be_last()
    for gone in range(len(two.servers[0].drives)):
        two.servers[0].drives[gone].pull()
        assert await read(two.servers[0]) == last
        two.servers[0].drives[gone].bring_back()
    rows = [[row.order for row in memory.rows.get((BUCKET, KEY), [])] for memory in memories(two)]
    assert all(orders == rows[0] for orders in rows)
    assert len(rows[0]) == 1
    # What lost may have left files that nothing names, which the reaper takes after a day.
    for memory in memories(two):
        named = {name for row in memory.rows[BUCKET, KEY] for name in row.names()}
        assert named <= set(memory.files)


async def test_a_hundred_writers_of_one_key_through_two_servers_leave_one_of_them() -> None:
    async with racing(Scheme(2, 2), seed=1) as two:
        register = Register()
        chance = random.Random(1)
        async with asyncio.TaskGroup() as group:
            for number in range(WRITERS):
                size = chance.choice(SIZES[:2])
                process = two.processes[number % len(two.processes)]
                group.create_task(register.write(process, value(number, size)))
            for number in range(20):
                group.create_task(register.read(two.processes[number % len(two.processes)]))
        acknowledged = WRITERS - register.refused
        assert acknowledged
        await check_end(two, register)


async def test_a_write_that_was_outrun_is_not_acknowledged_without_its_shards() -> None:
    """What outran it is settled, and retires its first try, before it is committed again."""
    async with two_servers(Scheme(3, 1)) as two:
        for process in two.processes:
            two.ask(process)
        one, other = two.servers
        for drive in one.drives[2:]:
            drive.rules.append(first_commit_late())
        data = value(1, STRIPE_BYTES)
        outrun = asyncio.create_task(put(one, data))
        await asyncio.sleep(0.05)
        await put(other, value(2, STRIPE_BYTES))
        await other.idle()
        try:
            await outrun
        except QuorumError:
            data = value(2, STRIPE_BYTES)
        await one.idle()
        assert [await read(process) for process in two.processes] == [data] * 4


def first_commit_late() -> Callable[[DriveCall], Late | None]:
    late = [Late(0.2)]
    return lambda call: late.pop() if call.verb == "Commit" and late else None


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("seed", range(8))
async def test_writes_deletes_reads_and_heals_at_random(scheme: Scheme, seed: int) -> None:
    """Clients and healers of both servers, and rot of at most m shards, at random interleavings."""
    chance = random.Random(seed)
    async with racing(scheme, seed) as two:
        register = Register()
        await register.write(two.servers[0], value(0, SIZES[-1]))

        async def client(number: int) -> None:
            process = two.processes[number % len(two.processes)]
            for step in range(6):
                kind = chance.choice(("put", "put", "delete", "read", "read"))
                if kind == "read":
                    await register.read(process)
                    continue
                made = value(number * 100 + step + 1, chance.choice(SIZES))
                await register.write(process, made if kind == "put" else None)

        async def healer(server: Server) -> None:
            for _ in range(8):
                rot(memories(two)[0], chance)
                await heal(server, frozenset(chance.sample(range(scheme.slots), 2)))

        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(client(number))
            for server in two.servers:
                group.create_task(healer(server))
        await check_end(two, register)


def rot(memory: MemoryDrive, chance: random.Random) -> None:
    """Damage or lose the files of one drive: at most m shards of an object."""
    for name in list(memory.files):
        if chance.random() < 0.3:
            del memory.files[name]
        elif len(memory.files[name].data) > HEADER_BYTES + 100:
            memory.files[name].data[HEADER_BYTES + 100] ^= 1


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("seed", range(4))
async def test_heals_of_one_object_at_the_same_time_make_the_same_bytes(
    scheme: Scheme, seed: int
) -> None:
    """By all processes, twice in each: every file is what one heal alone makes, byte for byte."""
    chance = random.Random(seed)
    async with racing(scheme, seed) as two:
        data = value(1, 3 * STRIPE_BYTES)
        await put(two.servers[0], data)
        await two.servers[0].idle()
        await asyncio.sleep(0.02)
        # Once by itself: a healed file's trailer has the record as it was committed in the end.
        for index, memory in enumerate(memories(two)):
            memory.files.clear()
            await heal(two.servers[0], frozenset({index}))
        before = [
            {name: bytes(file.data) for name, file in memory.files.items()}
            for memory in memories(two)
        ]
        for index in chance.sample(range(scheme.slots), scheme.m):
            rot(memories(two)[index], chance)
        two.clock.advance(3600)
        everything = frozenset(range(scheme.slots))
        async with asyncio.TaskGroup() as group:
            for process in two.processes:
                group.create_task(heal(process, everything))
                group.create_task(heal(process, everything))
        await settle(two)
        assert [
            {name: bytes(file.data) for name, file in memory.files.items()}
            for memory in memories(two)
        ] == before
        assert [await read(process) for process in two.processes] == [data] * 4


async def began(two: TwoServers, data: bytes) -> tuple[UploadId, NamedPart]:
    store = two.servers[0].store
    upload = await store.create_upload(BUCKET, KEY, attributes=Attributes())
    result = await store.put_part(
        BUCKET, KEY, upload.upload_id, 1, BytesBody(data), digests=Digests(["MD5"])
    )
    return upload.upload_id, NamedPart(1, result.part.etag, result.part.checksums)


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
@pytest.mark.parametrize("seed", range(10))
async def test_completes_and_aborts_of_one_upload_have_one_outcome(
    scheme: Scheme, seed: int
) -> None:
    """The object is there whole for all who completed it, or it never was for all who aborted."""
    chance = random.Random(seed)
    async with racing(scheme, seed) as two:
        data = pattern(100_000, seed)
        upload, part = await began(two, data)
        request = CompleteRequest(BUCKET, KEY, upload, (part,))
        outcomes: list[str] = []

        async def complete(server: Server) -> None:
            await asyncio.sleep(chance.choice(DELAYS_S))
            try:
                version = await server.store.complete_upload(request)
                outcomes.append(f"completed {version.etag}")
            except (RequestRefused, QuorumError) as error:
                outcomes.append(reason(error))

        async def abort(server: Server) -> None:
            await asyncio.sleep(chance.choice(DELAYS_S))
            try:
                await server.store.abort_upload(BUCKET, KEY, upload)
                outcomes.append("aborted")
            except (RequestRefused, QuorumError) as error:
                outcomes.append(reason(error))

        aborts = seed % 3  # every third seed has Completes alone
        async with asyncio.TaskGroup() as group:
            for process in two.processes[: 4 - aborts]:
                group.create_task(complete(process))
            for process in two.processes[4 - aborts :]:
                group.create_task(abort(process))
        if not aborts and not any(one.startswith("completed") for one in outcomes):
            assert "NoSuchUpload" not in outcomes
            # Refused with 503, it can be repeated; nobody is in its way any more.
            await complete(two.servers[0])
            assert outcomes[-1].startswith("completed"), outcomes
        completed = {one for one in outcomes if one.startswith("completed")}
        assert len(completed) <= 1
        assert not (completed and "aborted" in outcomes), outcomes
        await settle(two)
        seen = {await read(process) for process in two.processes}
        if completed:
            assert seen == {data}
        elif "aborted" in outcomes:
            assert seen == {None}
            assert not any(memory.files for memory in memories(two))
        else:
            assert len(seen) == 1
            assert seen <= {data, None}


def reason(error: RequestRefused | QuorumError) -> str:
    if isinstance(error, RequestRefused):
        assert error.reason == "NoSuchUpload"
        return error.reason
    return "undecided"


async def test_a_download_that_a_delete_meets_ends_whole_or_with_an_error() -> None:
    data = value(1, 6 * STRIPE_BYTES)
    for seed in range(6):
        async with racing(Scheme(2, 2), seed) as two:
            await put(two.servers[0], data)
            reader = await two.servers[1].store.open_object(BUCKET, KEY)
            reading = asyncio.create_task(read_all(reader))
            await asyncio.sleep(0.002 * seed)
            await two.servers[0].store.delete_object(BUCKET, KEY, permission=lambda _: None)
            with suppress(QuorumError):
                assert await reading == data
            assert await read(two.servers[1]) is None

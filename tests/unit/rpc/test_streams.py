"""Shard streams over real TCP: bytes and pieces arrive as sent, and nothing half-sent is kept."""

import asyncio

import pytest

from objstore.clock import SystemEntropy
from objstore.errors import RpcError
from objstore.rpc.session import CallFailed
from objstore.rpc.upload import UploadStream
from tests.unit.rpc.peers import (
    Receiver,
    Shelf,
    identity,
    listener,
    pair,
    peer_client,
    rpc_server,
    running,
    until,
)

NAME = "0/0/1/00112233445566778899aabbccddeeff/1/0"


async def write_for_ever(stream: UploadStream, written: list[int] | None = None) -> None:
    while True:
        await stream.write(bytes(500_000))
        if written is not None:
            written.append(1)


async def test_a_shard_arrives_in_the_pieces_it_was_written_in() -> None:
    shelf = Shelf()
    sent = [SystemEntropy().draw(size) for size in (1, 4096, 350_000, 1_048_576, 3)]
    async with pair(shelf=shelf) as client:
        stream = await client.upload(NAME)
        for data in sent:
            half = len(data) // 2
            buffer = bytearray(data)
            await stream.write(memoryview(buffer)[:half], memoryview(buffer)[half:])
            buffer[:] = bytes(len(buffer))  # the writer may reuse its buffer at once
        await stream.finish()
        assert shelf.shards[NAME] == b"".join(sent)
        assert shelf.pieces == [len(data) for data in sent]
        assert await client.fetch(NAME, offset=1, size=350_000) == shelf.shards[NAME][1:350_001]


async def test_streams_run_side_by_side() -> None:
    shelf = Shelf()
    data = SystemEntropy().draw(300_000)

    async def put(name: str) -> None:
        stream = await client.upload(name)
        for _ in range(10):
            await stream.write(data)
        await stream.finish()

    async with pair(shelf=shelf) as client, asyncio.TaskGroup() as group:
        for number in range(20):
            group.create_task(put(f"a/{number}"))
    assert all(shelf.shards[f"a/{number}"] == data * 10 for number in range(20))


async def test_a_refusal_to_begin_comes_before_any_byte_is_sent() -> None:
    shelf = Shelf()
    async with pair(shelf=shelf) as client:
        with pytest.raises(CallFailed, match="Refused: not here"):
            await client.upload("refused")
        assert shelf.cut == 0
        await (await client.upload(NAME)).finish()
        assert shelf.shards[NAME] == b""


async def test_a_refusal_in_the_middle_reaches_the_writer_as_it_was_raised() -> None:
    shelf = Shelf(refuse_after=3)
    async with pair(shelf=shelf) as client:
        stream = await client.upload(NAME)
        with pytest.raises(CallFailed) as caught:
            await write_for_ever(stream)
        assert (caught.value.kind, caught.value.detail) == ("Full", b"\x01\x02")
        await stream.abort()
        with pytest.raises(CallFailed):
            await client.fetch(NAME, offset=0, size=1)


async def test_a_refusal_at_the_end_reaches_the_writer() -> None:
    async with pair(shelf=Shelf(refuse_after=0)) as client:
        stream = await client.upload(NAME)
        await stream.write(b"x")
        with pytest.raises(CallFailed, match="Full"):
            await stream.finish()


async def test_an_aborted_shard_is_gone_when_abort_returns_and_the_peer_goes_on() -> None:
    shelf = Shelf()
    async with pair(shelf=shelf) as client:
        for written in (0, 1, 5):
            stream = await client.upload(NAME)
            for _ in range(written):
                await stream.write(bytes(200_000))
            await stream.abort()
            await stream.abort()
        assert shelf.cut == 3
        assert not shelf.shards
        stream = await client.upload(NAME)
        await stream.write(b"whole")
        await stream.finish()
        assert shelf.shards[NAME] == b"whole"


async def test_a_writer_that_dies_leaves_nothing() -> None:
    shelf = Shelf()
    sock = listener()
    async with rpc_server(identity("server-a"), shelf=shelf).listening(sock):
        client = peer_client(sock.getsockname()[1], identity("server-b"))
        async with running(client):
            await until(lambda: client.status.up)
            stream = await client.upload(NAME)
            await stream.write(bytes(1000))
            await asyncio.sleep(0.05)
        await until(lambda: shelf.cut == 1)
    assert not shelf.shards


class Stuck(Shelf):
    """Takes nothing and gives nothing."""

    async def create(self, resource: str) -> Receiver:
        class StuckReceiver(Receiver):
            async def write(self, *pieces: bytes | bytearray | memoryview) -> None:
                await asyncio.sleep(60)

        return StuckReceiver(self, resource)

    async def send(self, resource: str, *, offset: int, size: int) -> bytes:
        await asyncio.sleep(60)
        return b""


async def test_a_slow_peer_holds_its_writer_back_instead_of_filling_memory() -> None:
    async with pair(shelf=Stuck()) as client:
        stream = await client.upload(NAME)
        written: list[int] = []
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(write_for_ever(stream, written), 0.5)
        assert len(written) < 60  # the queue, and what the kernel's sockets hold
        await stream.abort()


async def test_streams_break_off_when_the_session_ends() -> None:
    sock = listener()
    client = peer_client(sock.getsockname()[1], identity("server-b"))

    async def fetch() -> None:
        with pytest.raises(RpcError):
            await client.fetch(NAME, offset=0, size=10)

    async def put() -> None:
        stream = await client.upload(NAME)
        await stream.write(b"x")
        with pytest.raises(RpcError):
            await stream.finish()

    async with (
        running(client),
        asyncio.TaskGroup() as group,
        rpc_server(identity("server-a"), shelf=Stuck()).listening(sock),
    ):
        await until(lambda: client.status.up)
        group.create_task(fetch())
        group.create_task(put())
        await asyncio.sleep(0.1)


async def test_fewer_bytes_than_asked_for_are_an_error() -> None:
    async with pair(shelf=Shelf(shards={NAME: b"12345"})) as client:
        with pytest.raises(RpcError, match="5 bytes came"):
            await client.fetch(NAME, offset=0, size=6)


async def test_without_a_session_no_stream_begins() -> None:
    client = peer_client(1, identity("server-b"))
    with pytest.raises(RpcError):
        await client.upload(NAME)
    with pytest.raises(RpcError):
        await client.fetch(NAME, offset=0, size=1)


async def test_an_upload_whose_session_ends_before_it_began_fails_at_once() -> None:
    """The task that sends it was made in the same turn of the loop, and never ran."""
    async with pair(shelf=Shelf()) as client, asyncio.timeout(5):
        upload = asyncio.ensure_future(client.upload(NAME))
        await asyncio.sleep(0)
        client._lost(RpcError("gone"))
        with pytest.raises(RpcError, match="given up"):
            await upload

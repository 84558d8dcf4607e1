"""A load that never stops: clients that write and read while drives are pulled."""

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from objstore.cli.demos.client import S3Refusal
from objstore.cli.demos.stage import BUCKET, SIZES, Stage

_CLIENTS = 4
_KEYS = 10  # of each client, written again and again
_PAUSE_S = 0.05  # after each write and read: steady work, which leaves the machine to its owner


@dataclass(slots=True)
class Load:
    """Counts of what the clients did, and every error any of them saw."""

    writes: int = 0
    reads: int = 0
    errors: list[str] = field(default_factory=list)


@contextlib.asynccontextmanager
async def running_load(stage: Stage) -> AsyncIterator[Load]:
    """Write and read back through every server until the block ends."""
    load = Load()
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for client in range(_CLIENTS):
            group.create_task(_client(stage, load, client, stop))
        try:
            yield load
        finally:
            stop.set()


async def _client(stage: Stage, load: Load, client: int, stop: asyncio.Event) -> None:
    written = 0
    while not stop.is_set():
        key = f"load/{client}/{written % _KEYS}"
        size = SIZES[(written + client) % len(SIZES)] // 4
        data = stage.entropy.draw(size)
        s3 = stage.clients[(written + client) % len(stage.clients)]
        stage.changing.add(key)
        try:
            await s3.put(BUCKET, key, data)
            load.writes += 1
            stage.expected[key] = hashlib.sha256(data).hexdigest()
            stage.changing.discard(key)
            back = await s3.get(BUCKET, key)
            load.reads += 1
            if back != data:
                load.errors.append(f"GET {key}: wrong bytes")
        except S3Refusal as refusal:
            # Whether it took effect is unknown: the key is written again before it is checked.
            stage.expected.pop(key, None)
            load.errors.append(f"{key}: {refusal}")
        stage.changing.discard(key)
        written += 1
        await asyncio.sleep(_PAUSE_S)

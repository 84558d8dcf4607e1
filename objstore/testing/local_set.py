"""A set of drives in directories with the real engine above it, all in one process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from objstore.background.ports import BackgroundContext, OwnDrive
from objstore.clock import SystemClock, SystemEntropy
from objstore.drive.format import format_drive
from objstore.drive.guarded import GuardedDrive
from objstore.drive.journal_aside import set_journal_aside
from objstore.drive.local import LocalDrive
from objstore.drive.ops import PutBucket
from objstore.drive.posix import read_damage
from objstore.engine.cpu import Cpu
from objstore.engine.sets import Context, SetHandle, set_handle
from objstore.engine.store import Store
from objstore.names import Scheme
from objstore.ondisk.record import Bucket, encode_bucket
from objstore.testing.local_drives import accept, identity
from objstore.testing.memory_set import BUCKET
from objstore.topology.layout import DriveAddress, SetLayout
from objstore.versions.hlc import NODE_BYTES, Hlc


@dataclass(slots=True)
class LocalSet:
    """One set, its drives, and a store over it."""

    context: Context
    handle: SetHandle
    drives: tuple[LocalDrive, ...]
    guards: tuple[GuardedDrive, ...]
    store: Store
    background: BackgroundContext

    async def idle(self) -> None:
        """Let stragglers finish."""
        for _ in range(5):
            await asyncio.sleep(0.001)


async def _nothing_to_replace() -> str:
    return "nothing"


async def _damage(path: Path) -> str:
    return read_damage(path)


async def _restore(path: Path, clock: SystemClock) -> str:
    return str(set_journal_aside(path, now_ms=clock.now_ns() // 1_000_000))


@asynccontextmanager
async def local_set(scheme: Scheme, directory: Path) -> AsyncIterator[LocalSet]:
    """Open the drives d0, d1, ... in `directory`, formatted first if there is nothing."""
    clock, cpu = SystemClock(), Cpu(2)
    paths = [directory / f"d{index}" for index in range(scheme.slots)]
    fresh = not any(path.exists() for path in paths)
    for index, path in enumerate(paths):
        if not path.exists():
            path.mkdir()
            format_drive(path, identity(f"{index:x}", slots=(index,)), trusted=True)
    layout = SetLayout(
        pool=0,
        index=0,
        scheme=scheme,
        drives=tuple(DriveAddress("", str(path)) for path in paths),
        slots=tuple(range(scheme.slots)),
        rotate=True,
    )
    async with asyncio.TaskGroup() as group:
        drives = tuple([await LocalDrive.open(path, check=accept, clock=clock) for path in paths])
        guards = tuple(
            GuardedDrive(drive, name=drive.path.name, clock=clock, group=group) for drive in drives
        )
        handle = set_handle(layout, guards)
        context = Context(
            pools=((handle,),),
            deployment=bytes(16),
            hlc=Hlc(bytes(NODE_BYTES)),
            clock=clock,
            entropy=SystemEntropy(),  # names of files must not come again when it is opened again
            cpu=cpu,
            group=group,
            bracketing=0.0,
        )
        own = tuple(
            OwnDrive(
                handle,
                index,
                _nothing_to_replace,
                damage=partial(_damage, path),
                restore=partial(_restore, path, clock),
                local=drives[index],
            )
            for index, path in enumerate(paths)
        )
        bucket = Bucket(BUCKET, context.stamp(), clock.now_ns() // 1_000_000, owner="me")
        for drive in drives if fresh else ():
            await drive.call(PutBucket(encode_bucket(bucket)))
        try:
            yield LocalSet(
                context, handle, drives, guards, Store(context), BackgroundContext(context, own)
            )
        finally:
            for guard in guards:
                await guard.close()
    cpu.close()

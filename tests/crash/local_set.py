"""A set of real drives with the real engine above it, in one process; its snapshots; its checks."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from objstore.background.heal_queue import heal_missed_once
from objstore.background.ports import BackgroundContext, OwnDrive
from objstore.background.walk import Walk
from objstore.clock import SystemEntropy
from objstore.drive.format import format_drive
from objstore.drive.guarded import GuardedDrive
from objstore.drive.local import LocalDrive, LocalDriveSettings
from objstore.drive.ops import PutBucket
from objstore.engine.cpu import Cpu
from objstore.engine.sets import Context, SetHandle, set_handle
from objstore.engine.store import Store
from objstore.errors import DriveError, QuorumError, RequestRefused
from objstore.names import BucketName, ObjectKey, Scheme
from objstore.ondisk.record import Bucket, encode_bucket
from objstore.testing.fake_clock import FakeClock
from objstore.testing.local_drives import accept, identity
from objstore.topology.layout import DriveAddress, SetLayout
from objstore.versions.hlc import NODE_BYTES, Hlc
from tests.unit.engine.bodies import read_all

BUCKET = BucketName("bucket")
DRIVES = 4
SCHEME = Scheme(3, 1)
_CLOSE_DEADLINE_S = 30.0
_WALKS_MAX = 5
_QUIET_LOOKS = 6
_LOOKS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class LocalSet:
    """A set that is open."""

    roots: tuple[Path, ...]
    context: Context
    handle: SetHandle
    drives: tuple[GuardedDrive, ...]
    store: Store
    background: BackgroundContext

    async def idle(self) -> None:
        """Let stragglers finish: whatever the last call left to do has been done afterwards."""
        quiet = looks = 0
        while quiet < _QUIET_LOOKS and looks < _LOOKS_MAX:
            await asyncio.sleep(0 if looks % 2 else 0.001)
            looks += 1
            quiet = 0 if any(drive.health.waiting for drive in self.drives) else quiet + 1

    async def heal(self, drives: Sequence[int]) -> None:
        """Bring drives to what the set says: the notes, then a walk over each of them.

        A walk that a drive was too late for is begun again, as by whoever tends the drives.
        """
        await heal_missed_once(self.background, self.handle)
        for drive in drives:
            for left in reversed(range(_WALKS_MAX)):
                walk = Walk(self.context, self.background.own[drive], "catch-up", verify=True)
                try:
                    await walk.run()
                    break
                except QuorumError:
                    if not left:
                        raise

    async def probe(self) -> None:
        """Ask every drive how it is: one that is well again is used again."""
        for drive in self.drives:
            with suppress(DriveError):
                await drive.probe()


async def _nothing_to_replace() -> str:
    return "nothing"


def format_set(roots: Sequence[Path]) -> None:
    """Format a drive in each of these directories."""
    for index, root in enumerate(roots):
        root.mkdir(parents=True, exist_ok=True)
        named = identity(f"{index:x}", slots=(index,), endpoint=str(root))
        format_drive(root, named, trusted=True)


async def make_bucket(opened: LocalSet) -> None:
    """Write the bucket's record to every drive."""
    now_ms = opened.context.now_ms()
    sealed = encode_bucket(Bucket(BUCKET, opened.context.stamp(), now_ms, owner="me"))
    for drive in opened.drives:
        await drive.call(PutBucket(sealed))


@asynccontextmanager
async def local_set(
    roots: Sequence[Path], clock: FakeClock, *, scheme: Scheme = SCHEME, direct_io: bool = True
) -> AsyncIterator[LocalSet]:
    """Open the drives at `roots`, each in a slot of its own, as one set."""
    layout = SetLayout(
        pool=0,
        index=0,
        scheme=scheme,
        drives=tuple(DriveAddress("", str(root)) for root in roots),
        slots=tuple(range(len(roots))),
        rotate=True,
    )
    cpu = Cpu(2)
    settings = LocalDriveSettings(direct_io=direct_io)
    try:
        async with asyncio.TaskGroup() as group:
            inner = [
                await LocalDrive.open(root, check=accept, clock=clock, settings=settings)
                for root in roots
            ]
            drives = tuple(
                GuardedDrive(drive, name=f"drive {index}", clock=clock, group=group)
                for index, drive in enumerate(inner)
            )
            handle = set_handle(layout, drives)
            context = Context(
                pools=((handle,),),
                deployment=bytes(16),
                hlc=Hlc(bytes(NODE_BYTES)),
                clock=clock,
                entropy=SystemEntropy(),
                cpu=cpu,
                group=group,
                bracketing=1.0,
            )
            own = tuple(OwnDrive(handle, index, _nothing_to_replace) for index in range(len(roots)))
            background = BackgroundContext(context, own)
            opened = LocalSet(tuple(roots), context, handle, drives, Store(context), background)
            await opened.probe()
            try:
                yield opened
                await opened.idle()
            finally:
                async with asyncio.timeout(_CLOSE_DEADLINE_S):
                    for drive in drives:
                        await drive.close()
    finally:
        cpu.close()


# --- what the drives hold ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The files of a set's drives: drive -> path -> content; directories beyond those of files."""

    files: tuple[Mapping[str, bytes], ...]
    directories: tuple[frozenset[str], ...] = ()

    @classmethod
    def of(cls, roots: Sequence[Path]) -> "Snapshot":
        """Read them. SQLite's shared memory is none of the drive's: nothing in it is durable."""
        return cls(
            tuple(
                {
                    str(path.relative_to(root)): path.read_bytes()
                    for path in _files_below(root)
                    if not path.name.endswith("-shm")
                }
                for root in roots
            )
        )

    def restore(self, roots: Sequence[Path]) -> None:
        """Make the directories hold these files, and no others."""
        for root, files in zip(roots, self.files, strict=True):
            for path in _files_below(root):
                path.unlink()
            for name, content in files.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)


def _files_below(root: Path) -> Iterator[Path]:
    for directory, _, names in os.walk(root):
        for name in names:
            yield Path(directory, name)


def clear(roots: Sequence[Path]) -> None:
    """Remove everything."""
    for root in roots:
        shutil.rmtree(root, ignore_errors=True)


# --- what a set says --------------------------------------------------------------------------


@dataclass(slots=True)
class Expected:
    """What may be read, key by key: the values that are right, in order of time.

    None stands for no such object. A write that was not acknowledged may come into effect at any
    later moment, as one whose answer was lost: its key may go on from one value to the next, and
    never back.
    """

    values: dict[str, tuple[bytes | None, ...]] = field(default_factory=dict)


async def read(opened: LocalSet, key: str) -> bytes | None:
    """Return an object's bytes, or None when there is none."""
    try:
        return await read_all(await opened.store.open_object(BUCKET, ObjectKey(key)))
    except RequestRefused as refused:
        if refused.reason not in ("NoSuchKey", "NoSuchBucket"):
            raise
        return None


async def listed(opened: LocalSet) -> list[str]:
    """Return the keys of the bucket."""
    listing = await opened.store.list_objects(BUCKET, prefix="", delimiter="", after="", limit=1000)
    return [one.key for one in listing.objects]


async def check(
    opened: LocalSet,
    expected: Expected,
    *,
    walked: Sequence[int] = range(DRIVES),
    without: Sequence[int] = range(DRIVES),
) -> list[str]:
    """Read all, heal the drives `walked`, read again, then `without` each. Return complaints.

    I1 and I2: each value is one that may be there, and none goes back. I5: the listing is what can
    be read. I6: after healing nothing moves any more, and any one drive can be done without.
    """
    wrong: list[str] = []
    found = await _read_on(opened, expected.values, "first", wrong)
    settled = {key for key, values in expected.values.items() if len(set(values)) == 1}
    await _compare_listing(opened, {key: found[key] for key in settled}, "listed", wrong)
    await opened.heal(walked)
    await opened.idle()
    ahead = {
        key: values[values.index(found[key]) :] if found[key] in values else (found[key],)
        for key, values in expected.values.items()
    }
    healed = await _read_on(opened, ahead, "after healing", wrong)
    await _compare_listing(opened, healed, "listed after healing", wrong)
    final = {key: (value,) for key, value in healed.items()}
    for number in without:
        opened.drives[number].leave_out(1e9)
        await _read_on(opened, final, f"without drive {number}", wrong)
        opened.drives[number].leave_out(0)
    return wrong


def _named(value: bytes | None) -> str:
    return "nothing" if value is None else f"{len(value)} bytes of {value[:8].hex()}"


async def _read_on(
    opened: LocalSet,
    allowed: Mapping[str, tuple[bytes | None, ...]],
    when: str,
    wrong: list[str],
) -> dict[str, bytes | None]:
    found = {}
    for key, values in allowed.items():
        try:
            found[key] = value = await read(opened, key)
        except QuorumError as error:
            wrong.append(f"{key} {when}: {error}")
            found[key] = values[-1]
            continue
        if value not in values:
            may_be = " or ".join(_named(one) for one in values)
            wrong.append(f"{key} {when}: {_named(value)}, expected {may_be}")
    return found


async def _compare_listing(
    opened: LocalSet, held: Mapping[str, bytes | None], when: str, wrong: list[str]
) -> None:
    there = sorted(key for key, value in held.items() if value is not None)
    found = [key for key in await listed(opened) if key in held]
    if found != there:
        wrong.append(f"{when}: {found}, read: {there}")

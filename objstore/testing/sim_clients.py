"""Clients of a simulated cluster: they ask as the seed draws, and say what they saw."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from random import Random
from typing import Any, Final, TypeVar

from objstore.drive.api import Buffer
from objstore.engine.ports import (
    UNCONDITIONAL,
    Attributes,
    CompleteRequest,
    NamedPart,
    Precondition,
)
from objstore.engine.store import Store
from objstore.errors import ObjstoreError, RequestRefused
from objstore.names import CURRENT, BucketName, Kind, ObjectKey, VersionId
from objstore.ondisk.record import Version
from objstore.testing.sim_cluster import ConnectionLost, SimCluster, SimProcess
from objstore.testing.sim_history import ABSENT, Fate, History, Place, Write, content
from objstore.wire.digests import Digests

T = TypeVar("T")

PLAIN: Final = BucketName("plain")
VERSIONED: Final = BucketName("versioned")
BUCKETS: Final = (PLAIN, VERSIONED)
KEYS: Final = 6  # in each bucket: few, so that requests meet
ENDS_S: Final = 60.0  # every request ends by then, whatever is broken
_LARGE_SHARE: Final = 0.15  # of objects, which have shard files


class _Body:
    """The bytes of one write."""

    def __init__(self, write: Write) -> None:
        self.size = write.size
        self._pieces: list[bytes] = [content(write.number, write.size)]

    async def read(self) -> Buffer:
        return self._pieces.pop() if self._pieces else b""


def _holds(etag: str) -> Precondition:
    """Return the condition that the current object has this ETag, or is not there."""

    def precondition(current: Version | None) -> None:
        if (current.etag if current is not None else ABSENT) != etag:
            raise RequestRefused("PreconditionFailed")

    return precondition


@dataclass
class Statistics:
    """How requests ended."""

    done: int = 0
    refused: int = 0
    failed: int = 0
    lost: int = 0


class Client:
    """One client: it asks one server after the other, one request at a time."""

    def __init__(
        self, name: str, cluster: SimCluster, history: History, statistics: Statistics
    ) -> None:
        self.name = name
        self.statistics = statistics
        self._cluster = cluster
        self._history = history
        self._random: Random = cluster.world.random(name)

    # --- what it does ------------------------------------------------------------------

    async def run(self, requests: int, pause_s: float) -> None:
        """Make so many requests, with pauses that are `pause_s` on average."""
        kinds, weights = zip(*_KINDS, strict=True)
        for _ in range(requests):
            await asyncio.sleep(self._random.expovariate(1 / pause_s))
            process = self._pick()
            if process is not None:
                (kind,) = self._random.choices(kinds, weights)
                await kind(self, process)

    def _pick(self) -> SimProcess | None:
        serving = [one for server in self._cluster.servers.values() for one in server.serving]
        return self._random.choice(serving) if serving else None

    def _place(self) -> Place:
        return self._random.choice(BUCKETS), f"k{self._random.randrange(KEYS)}"

    def _size(self) -> int:
        if self._random.random() < _LARGE_SHARE:
            return self._random.randrange(70_000, 90_000)
        return self._random.choice((8, 100, self._random.randrange(8, 4000)))

    # --- writes ------------------------------------------------------------------------

    async def put(self, process: SimProcess, only_if: str | None = None) -> None:
        """Store an object."""
        await self._put(process, self._place(), only_if)

    async def _put(self, process: SimProcess, place: Place, only_if: str | None) -> None:
        write = self._begins(place, "put", size=self._size(), only_if=only_if)
        digests = Digests({"MD5"})
        digests.update(content(write.number, write.size))
        write.etag = digests.value("MD5").hex()
        condition = UNCONDITIONAL if only_if is None else _holds(only_if)

        async def work(store: Store) -> str:
            version = await store.put_object(
                BucketName(place[0]),
                ObjectKey(place[1]),
                _Body(write),
                attributes=Attributes(owner="me"),
                digests=Digests({"MD5"}),
                precondition=condition,
            )
            return version.version_id

        await self._write(process, place, write, work)

    async def put_if(self, process: SimProcess) -> None:
        """Store an object in the place of the one that is there, and of no other."""
        place = PLAIN, f"c{self._random.randrange(2)}"
        found = await self._look(process, place)
        if found is not None:
            await self._put(process, place, found)

    async def delete(self, process: SimProcess) -> None:
        """Delete an object, or have it hidden by a delete marker."""
        await self._delete(process, self._place())

    async def _delete(self, process: SimProcess, place: Place) -> None:
        write = self._begins(place, "delete")

        async def work(store: Store) -> str:
            deleted = await store.delete_object(
                BucketName(place[0]), ObjectKey(place[1]), owner="me", permission=lambda _: None
            )
            return deleted.version_id

        await self._write(process, place, write, work)

    async def give_up(self, place: Place, version_id: str) -> None:
        """Delete a key that can not be read; where versions are kept, this one of it."""
        process = self._pick()
        if process is None:
            return
        if place[0] != VERSIONED:
            await self._delete(process, place)
            return
        for write in self._history.writes[place]:
            if write.version_id == version_id:
                await self._bury(process, place, write)
                return
        await self._ask(process, f"bury {place} {version_id}", _burial(place, version_id))

    async def bury(self, process: SimProcess) -> None:
        """Delete one version for good."""
        place = VERSIONED, f"k{self._random.randrange(KEYS)}"
        known = [one for one in self._history.writes[place] if one.version_id]
        if not known:
            return
        await self._bury(process, place, self._random.choice(known))

    async def _bury(self, process: SimProcess, place: Place, write: Write) -> None:
        write.buried_began_s = min(write.buried_began_s, self._now_s())
        what = f"bury {place} #{write.number}"
        fate, _ = await self._ask(process, what, _burial(place, write.version_id))
        if fate is Fate.ACKNOWLEDGED:
            write.buried_s = min(write.buried_s, self._now_s())

    async def upload(self, process: SimProcess) -> None:
        """Store an object as an upload of one part, which always has shard files."""
        place = self._place()
        bucket, key = BucketName(place[0]), ObjectKey(place[1])
        write = self._begins(place, "complete", size=self._random.randrange(8, 3000))

        async def begin(store: Store) -> tuple[str, str]:
            upload = await store.create_upload(bucket, key, attributes=Attributes(owner="me"))
            part = await store.put_part(
                bucket, key, upload.upload_id, 1, _Body(write), digests=Digests({"MD5"})
            )
            return upload.upload_id, part.part.etag

        _, begun = await self._ask(process, f"upload {place}", begin)
        if begun is None:
            self._history.ends(place, write, Fate.REFUSED, self._now_s())
            return
        upload_id, etag = begun
        other = self._pick() or process
        write.etag = _etag_of_parts(etag)

        async def work(store: Store) -> str:
            request = CompleteRequest(bucket, key, upload_id, (NamedPart(1, etag),))  # type: ignore[arg-type]
            return (await store.complete_upload(request)).version_id

        await self._write(other, place, write, work)

    async def _write(
        self,
        process: SimProcess,
        place: Place,
        write: Write,
        work: Callable[[Store], Coroutine[Any, Any, str]],
    ) -> None:
        fate, version_id = await self._ask(process, f"{write.what} {place} #{write.number}", work)
        if version_id is not None and place[0] == VERSIONED:
            write.version_id = version_id
        self._history.ends(place, write, fate, self._now_s())

    # --- reads -------------------------------------------------------------------------

    async def get(self, process: SimProcess) -> None:
        """Read an object."""
        place = self._place()
        if self._random.random() < 0.2:
            place = PLAIN, f"c{self._random.randrange(2)}"
        await self._look(process, place)

    async def _look(self, process: SimProcess, place: Place) -> str | None:
        """Read an object, all of it, and return its ETag; None when it can not be read."""
        began_s = self._now_s()
        _, read = await self._ask(process, f"get {place}", lambda store: _read(store, place))
        if read is None:
            return None
        etag, body = read
        self._history.saw(place, etag, began_s, self._now_s(), f"get by {self.name}")
        if body is not None:
            self._history.check_bytes(place, etag, body)
        return etag

    async def get_version(self, process: SimProcess) -> None:
        """Read one version by its id."""
        place = VERSIONED, f"k{self._random.randrange(KEYS)}"
        known = [one for one in self._history.writes[place] if one.version_id and one.etag]
        if known:
            await self.look_at_version(process, place, self._random.choice(known))

    async def look_at_version(self, process: SimProcess, place: Place, write: Write) -> None:
        """Read the version of a write."""
        began_s = self._now_s()
        _, read = await self._ask(
            process,
            f"get {place} #{write.number}",
            lambda store: _read(store, place, write.version_id),
        )
        if read is not None:
            etag, body = read
            self._history.saw_version(place, write, etag, began_s, self._now_s())
            if body is not None:
                self._history.check_bytes(place, etag, body)

    async def list_keys(self, process: SimProcess) -> None:
        """List a bucket."""
        await self._list(process, self._random.choice(BUCKETS))

    async def _list(self, process: SimProcess, bucket: BucketName) -> None:
        began_s = self._now_s()
        _, listed = await self._ask(process, f"list {bucket}", lambda store: _list(store, bucket))
        if listed is None:
            return
        now_s = self._now_s()
        for place in [place for place in self._history.writes if place[0] == bucket]:
            etag = listed.pop(place[1], ABSENT)
            self._history.saw(place, etag, began_s, now_s, f"listing by {self.name}")
        for key in listed:
            self._history.saw((bucket, key), listed[key], began_s, now_s, "listing")

    async def list_versions(self, process: SimProcess) -> None:
        """List the versions of the bucket that keeps them."""
        began_s = self._now_s()
        _, listed = await self._ask(process, "list versions", _list_versions)
        if listed is None:
            return
        for place in [place for place in self._history.writes if place[0] == VERSIONED]:
            self._history.saw_versions(place, listed.get(place[1], {}), began_s, self._now_s())

    async def look_at_everything(self, process: SimProcess, *, versions: bool) -> None:
        """Read all there is, by every way; of old versions too, if they are asked for."""
        for place, writes in sorted(self._history.writes.items()):
            await self._look(process, place)
            for write in tuple(writes):
                if versions and write.version_id and write.etag:
                    await self.look_at_version(process, place, write)
        for bucket in BUCKETS:
            await self._list(process, bucket)
        await self.list_versions(process)

    # --- asking ------------------------------------------------------------------------

    def _begins(
        self, place: Place, what: str, *, size: int = 0, only_if: str | None = None
    ) -> Write:
        return self._history.begins(place, what, self._now_s(), size=size, only_if=only_if)

    def _now_s(self) -> float:
        return self._cluster.world.loop.time()

    async def _ask(
        self, process: SimProcess, what: str, work: Callable[[Store], Awaitable[T]]
    ) -> tuple[Fate, T | None]:
        """Ask a process for something, and note how it ended."""
        world, answer = self._cluster.world, None
        world.note(self.name, f"{what} at {process.name}.{process.number}")
        try:
            async with asyncio.timeout(ENDS_S):
                answer = await process.do(work)
        except TimeoutError:
            world.fail(f"I8 {what} at {process.name} has not ended after {ENDS_S:g} s")
            fate, word = Fate.UNKNOWN, "never ended"
        except ConnectionLost:
            self.statistics.lost += 1
            fate, word = Fate.UNKNOWN, "connection lost"
        except RequestRefused as refused:
            self.statistics.refused += 1
            fate, word = _EXPECTED.get(refused.reason, Fate.REFUSED), refused.reason
            if refused.reason not in _EXPECTED:
                world.fail(f"{what}: {refused}")
        except ObjstoreError as error:
            self.statistics.failed += 1
            fate, word = Fate.UNKNOWN, f"{type(error).__name__}: {error}"
        else:
            self.statistics.done += 1
            fate, word = Fate.ACKNOWLEDGED, "done"
        world.note(self.name, f"{what}: {word}")
        return fate, answer


# Refusals that the requests here may meet, and what they say of a write. An upload that is gone may
# have been completed by the very request whose answer was lost.
_EXPECTED: Final = {
    "PreconditionFailed": Fate.REFUSED,
    "ConditionalRequestConflict": Fate.REFUSED,
    "NoSuchUpload": Fate.UNKNOWN,
    "InvalidPart": Fate.UNKNOWN,
}

_KINDS: Final[tuple[tuple[Callable[[Client, SimProcess], Coroutine[Any, Any, None]], int], ...]] = (
    (Client.put, 24),
    (Client.put_if, 8),
    (Client.delete, 10),
    (Client.bury, 3),
    (Client.upload, 5),
    (Client.get, 30),
    (Client.get_version, 5),
    (Client.list_keys, 6),
    (Client.list_versions, 3),
)


def _etag_of_parts(etag: str) -> str:
    digests = Digests({"MD5"})
    digests.update(bytes.fromhex(etag))
    return f"{digests.value('MD5').hex()}-1"


def _burial(place: Place, version_id: str) -> Callable[[Store], Coroutine[Any, Any, None]]:
    async def work(store: Store) -> None:
        await store.delete_object(
            BucketName(place[0]),
            ObjectKey(place[1]),
            VersionId(version_id),
            owner="me",
            permission=lambda _: None,
        )

    return work


async def _read(store: Store, place: Place, version_id: str = CURRENT) -> tuple[str, bytes | None]:
    """Return the ETag and all bytes of an object; of a delete marker, or of nothing, ABSENT."""
    try:
        found = await store.open_object(
            BucketName(place[0]), ObjectKey(place[1]), VersionId(version_id)
        )
    except RequestRefused as refused:
        if refused.reason not in ("NoSuchKey", "NoSuchVersion"):
            raise
        return ABSENT, None
    if found.version.kind is not Kind.OBJECT:
        return ABSENT, None
    pieces = [bytes(piece) async for piece in found.read(0, found.version.size)]
    return found.version.etag, b"".join(pieces)


async def _list(store: Store, bucket: BucketName) -> dict[str, str]:
    page = await store.list_objects(bucket, prefix="", delimiter="", after="", limit=1000)
    return {one.key: one.etag for one in page.objects}


async def _list_versions(store: Store) -> dict[str, dict[str, str]]:
    page = await store.list_versions(
        VERSIONED, prefix="", delimiter="", after_key="", after_version=CURRENT, limit=1000
    )
    listed: dict[str, dict[str, str]] = {}
    for one in page.versions:
        listed.setdefault(one.key, {})[one.version_id] = one.etag
    return listed


async def make_buckets(process: SimProcess) -> None:
    """Create the buckets that clients use."""

    async def work(store: Store) -> None:
        for bucket in BUCKETS:
            settings = {"versioning": b"Enabled"} if bucket == VERSIONED else {}
            with suppress(RequestRefused):
                await store.create_bucket(bucket, owner="me", region="", settings=settings)

    await process.do(work)

"""The operations that crash: each with what is there before it, and what it makes of that.

`prepare` brings a set to where the operation begins, `run` is the operation, up to where a client
would be told that it succeeded. `aftermath` looks at what reading objects does not show.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from objstore.drive.posix import sync_directory
from objstore.engine.heal import heal_key
from objstore.engine.ports import Attributes, CompleteRequest, NamedPart
from objstore.errors import RequestRefused
from objstore.names import BucketName, ObjectKey, UploadId
from objstore.wire.digests import Digests
from tests.crash.local_set import BUCKET, LocalSet
from tests.unit.engine.bodies import BytesBody, pattern

KEY: Final = ObjectKey("k")
OTHER: Final = ObjectKey("other")
SMALL: Final = pattern(1000, 1)
SMALL_TOO: Final = pattern(1100, 2)
LARGE: Final = pattern(60_000, 3)  # shards of 20 kB: too large for a record, so in files
LARGE_TOO: Final = pattern(70_000, 4)
BYSTANDER: Final = pattern(66_000, 5)

Values = Mapping[str, bytes | None]


class Operation(Protocol):
    """One operation on a set in which there is the object OTHER."""

    before: Values
    after: Values

    async def prepare(self, opened: LocalSet) -> None:
        """Bring the set to where the operation begins."""
        ...

    async def run(self, opened: LocalSet) -> None:
        """Do it; returns when a client would be told so."""
        ...

    async def aftermath(self, opened: LocalSet, *, acknowledged: bool) -> list[str]:
        """Return complaints about what was recovered and healed."""
        ...


async def put(opened: LocalSet, key: str, data: bytes) -> None:
    """Store an object."""
    await opened.store.put_object(
        BUCKET,
        ObjectKey(key),
        BytesBody(data),
        attributes=Attributes(),
        digests=Digests(["MD5"]),
    )


class _Plain:
    """An operation on KEY with nothing to look at but the object."""

    def __init__(self, old: bytes | None, new: bytes | None) -> None:
        self._old, self._new = old, new
        self.before: Values = {KEY: old}
        self.after: Values = {KEY: new}

    async def prepare(self, opened: LocalSet) -> None:
        if self._old is not None:
            await put(opened, KEY, self._old)

    async def aftermath(self, opened: LocalSet, *, acknowledged: bool) -> list[str]:
        return []


class Put(_Plain):
    """PUT, of a new object or over another."""

    async def run(self, opened: LocalSet) -> None:
        assert self._new is not None
        await put(opened, KEY, self._new)


class Delete(_Plain):
    """DELETE."""

    async def run(self, opened: LocalSet) -> None:
        await opened.store.delete_object(BUCKET, KEY, permission=lambda _: None)


class Copy(_Plain):
    """Copy OTHER to KEY."""

    async def run(self, opened: LocalSet) -> None:
        source = await opened.store.open_object(BUCKET, OTHER)
        await opened.store.copy_object(
            source, BUCKET, KEY, attributes=Attributes(), digests=Digests(["MD5"])
        )


class Heal(_Plain):
    """Write a shard again that a drive has lost."""

    async def prepare(self, opened: LocalSet) -> None:
        await super().prepare(opened)
        await opened.idle()
        shards = opened.roots[1] / "shards"
        for path in shards.glob("*/*"):
            path.unlink()
            sync_directory(path.parent)

    async def run(self, opened: LocalSet) -> None:
        targets = frozenset(range(len(opened.drives)))
        await heal_key(opened.context, opened.handle, BUCKET, KEY, targets, verify=True)


class _OfUpload:
    """An operation on a multipart upload for KEY."""

    def __init__(self) -> None:
        self._upload = UploadId("")
        self._part = NamedPart(1, "")

    before: Values = {KEY: None}
    after: Values = {KEY: None}

    async def prepare(self, opened: LocalSet) -> None:
        upload = await opened.store.create_upload(BUCKET, KEY, attributes=Attributes())
        self._upload = upload.upload_id

    async def _send(self, opened: LocalSet) -> None:
        result = await opened.store.put_part(
            BUCKET, KEY, self._upload, 1, BytesBody(LARGE), digests=Digests(["MD5"])
        )
        self._part = NamedPart(1, result.part.etag, result.part.checksums)

    async def _complete(self, opened: LocalSet) -> None:
        await opened.store.complete_upload(
            CompleteRequest(BUCKET, KEY, self._upload, (self._part,))
        )

    async def _parts(self, opened: LocalSet) -> list[int] | None:
        """Return the numbers of the upload's parts; None when there is no such upload."""
        try:
            listing = await opened.store.list_parts(BUCKET, KEY, self._upload, after=0, limit=10)
        except RequestRefused as refused:
            if refused.reason != "NoSuchUpload":
                raise
            return None
        return [part.part.number for part in listing.parts]


class Part(_OfUpload):
    """Send a part."""

    async def run(self, opened: LocalSet) -> None:
        await self._send(opened)

    async def aftermath(self, opened: LocalSet, *, acknowledged: bool) -> list[str]:
        parts = await self._parts(opened)
        if parts not in (([1],) if acknowledged else ([], [1])):
            return [f"parts: {parts}"]
        await self._send(opened)  # whatever was left of the first try is in nobody's way
        await self._complete(opened)
        return await differs(opened, LARGE)


class Complete(_OfUpload):
    """Complete an upload of one part."""

    after: Values = {KEY: LARGE}

    async def prepare(self, opened: LocalSet) -> None:
        await super().prepare(opened)
        await self._send(opened)

    async def run(self, opened: LocalSet) -> None:
        await self._complete(opened)

    async def aftermath(self, opened: LocalSet, *, acknowledged: bool) -> list[str]:
        await self._complete(opened)  # a client that heard nothing tries again
        return await differs(opened, LARGE)


class Abort(_OfUpload):
    """Abort an upload of one part."""

    async def prepare(self, opened: LocalSet) -> None:
        await super().prepare(opened)
        await self._send(opened)

    async def run(self, opened: LocalSet) -> None:
        await opened.store.abort_upload(BUCKET, KEY, self._upload)

    async def aftermath(self, opened: LocalSet, *, acknowledged: bool) -> list[str]:
        parts = await self._parts(opened)
        return [] if parts in ((None,) if acknowledged else (None, [1])) else [f"parts: {parts}"]


class MakeBucket(_Plain):
    """Create a bucket."""

    def __init__(self) -> None:
        super().__init__(None, None)
        self._name = BucketName("second")

    async def run(self, opened: LocalSet) -> None:
        await opened.store.create_bucket(self._name, owner="me", region="")

    async def aftermath(self, opened: LocalSet, *, acknowledged: bool) -> list[str]:
        try:
            await opened.store.head_bucket(self._name)
        except RequestRefused:
            if acknowledged:
                return ["the bucket is not there"]
        return []


class DeleteBucket(MakeBucket):
    """Delete an empty bucket."""

    async def prepare(self, opened: LocalSet) -> None:
        await super().run(opened)

    async def run(self, opened: LocalSet) -> None:
        await opened.store.delete_bucket(self._name)

    async def aftermath(self, opened: LocalSet, *, acknowledged: bool) -> list[str]:
        try:
            await opened.store.head_bucket(self._name)
        except RequestRefused:
            return []
        return ["the bucket is still there"] if acknowledged else []


async def differs(opened: LocalSet, value: bytes) -> list[str]:
    """Complain when KEY is not `value`."""
    reader = await opened.store.open_object(BUCKET, KEY)
    found = b"".join([bytes(piece) async for piece in reader.read(0, reader.version.size)])
    return [] if found == value else [f"the object has {len(found)} bytes, not those expected"]


OPERATIONS: Final[Mapping[str, Callable[[], Operation]]] = {
    "put-inline": lambda: Put(None, SMALL),
    "put-large": lambda: Put(None, LARGE),
    "overwrite-inline": lambda: Put(SMALL, SMALL_TOO),
    "overwrite-large": lambda: Put(LARGE, LARGE_TOO),
    "delete-large": lambda: Delete(LARGE, None),
    "copy": lambda: Copy(None, BYSTANDER),
    "heal": lambda: Heal(LARGE, LARGE),
    "upload-part": Part,
    "complete": Complete,
    "abort": Abort,
    "make-bucket": MakeBucket,
    "delete-bucket": DeleteBucket,
}

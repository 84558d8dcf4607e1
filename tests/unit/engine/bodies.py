"""Bodies and short forms for tests of the engine."""

import hashlib

from objstore.drive.api import Buffer
from objstore.engine.ports import UNCONDITIONAL, Attributes, ObjectReader, Precondition
from objstore.names import BucketName, ObjectKey
from objstore.ondisk.record import Version
from objstore.testing.local_set import LocalSet
from objstore.testing.memory_set import BUCKET, MemorySet
from objstore.testing.two_servers import Server
from objstore.wire.digests import Digests

AnySet = MemorySet | LocalSet | Server


class BytesBody:
    """Bytes in pieces of a given size."""

    def __init__(self, data: bytes, piece: int = 100_000) -> None:
        self.size = len(data)
        self._pieces = [data[i : i + piece] for i in range(0, len(data), piece)]

    async def read(self) -> Buffer:
        return self._pieces.pop(0) if self._pieces else b""


def pattern(size: int, seed: int = 0) -> bytes:
    block = hashlib.sha256(str(seed).encode()).digest()
    return (block * (size // 32 + 1))[:size]


async def put(
    on: AnySet,
    key: str,
    data: bytes,
    *,
    bucket: BucketName = BUCKET,
    precondition: Precondition = UNCONDITIONAL,
) -> Version:
    version = await on.store.put_object(
        bucket,
        ObjectKey(key),
        BytesBody(data),
        attributes=Attributes(headers={"content-type": "text/plain"}),
        digests=Digests(["MD5"]),
        precondition=precondition,
    )
    await on.idle()
    return version


async def read_all(reader: ObjectReader, start: int = 0, stop: int | None = None) -> bytes:
    end = reader.version.size if stop is None else stop
    return b"".join([bytes(piece) async for piece in reader.read(start, end)])


async def get(on: AnySet, key: str, *, bucket: BucketName = BUCKET) -> bytes:
    return await read_all(await on.store.open_object(bucket, ObjectKey(key)))


async def delete(on: AnySet, key: str) -> None:
    await on.store.delete_object(BUCKET, ObjectKey(key), permission=lambda _: None)
    await on.idle()


async def keys(on: AnySet, prefix: str = "", delimiter: str = "") -> list[str]:
    listing = await on.store.list_objects(
        BUCKET, prefix=prefix, delimiter=delimiter, after="", limit=1000
    )
    return [*(one.key for one in listing.objects), *listing.prefixes]

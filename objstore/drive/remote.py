"""A drive of another server, reached over rpc/. Its other end is drive/serve.py."""

from contextlib import suppress
from typing import Protocol, cast

from objstore.drive.api import Buffer, ShardSink
from objstore.drive.envelope import (
    DRIVE_ID_BYTES,
    METHOD,
    DriveCall,
    encoder,
    rebuild_error,
    resource_of,
    result_decoders,
)
from objstore.drive.ops import AnyOp, DiscardShards, Op, R, VerifyShard
from objstore.errors import DriveError, DriveOffline, DriveRefusal, DriveTimeout, RpcError
from objstore.limits import CALL_DEADLINE_S, SHARD_CALL_DEADLINE_S
from objstore.names import DataId, DriveId
from objstore.rpc.client import PeerClient
from objstore.rpc.session import CallFailed
from objstore.rpc.upload import UploadStream


class Stream(Protocol):
    """A shard on its way to a peer: rpc's UploadStream, or a simulated one."""

    async def write(self, *pieces: Buffer) -> None:
        """Send the pieces; they may be reused as soon as this returns."""
        ...

    async def finish(self) -> None:
        """Send the end, and wait until the shard is durable."""
        ...

    async def abort(self) -> None:
        """Have the peer remove what it has, unless it has all of it. Never raises."""
        ...


class Peer(Protocol):
    """The way to a peer: rpc's PeerClient, or a simulated one, which has no network below it.

    Each method raises CallFailed, another RpcError or TimeoutError, as PeerClient says.
    """

    async def call(self, method: str, payload: bytes, *, deadline_s: float) -> bytes:
        """Call `method` and return its answer."""
        ...

    async def upload(self, resource: str) -> Stream:
        """Begin to send the shard `resource`."""
        ...

    async def fetch(self, resource: str, *, offset: int, size: int) -> bytes:
        """Return `size` bytes of the shard `resource` from `offset`."""
        ...


_CLIENT: type[Peer] = PeerClient
_STREAM: type[Stream] = UploadStream


def _as_drive_error(error: RpcError | TimeoutError) -> DriveError:
    if isinstance(error, CallFailed):
        return rebuild_error(error.kind, error.text, error.detail)
    if isinstance(error, TimeoutError):
        return DriveTimeout("the drive's server did not answer in time")
    return DriveOffline(str(error))


class RemoteDrive:
    """Implements Drive by asking the server that has it.

    Refusals and faults arrive as the exceptions the local drive raised there; a server that
    cannot be reached is DriveOffline, one that does not answer in time DriveTimeout.
    """

    def __init__(self, peer: Peer, place: str) -> None:
        """Reach the drive at `place` ("pool/set/drive") of the layout through `peer`."""
        self._peer = peer
        self._place = place
        self._drive_id = DriveId("")
        self._identity = b""

    @property
    def drive_id(self) -> DriveId:
        return self._drive_id

    async def call(self, op: Op[R]) -> R:
        payload = encoder.encode(DriveCall(self._place, cast("AnyOp", op)))
        try:
            answer = await self._peer.call(METHOD, payload, deadline_s=_deadline_s(op))
        except (RpcError, TimeoutError) as error:
            raise _as_drive_error(error) from error
        if answer[:DRIVE_ID_BYTES] != self._identity:
            self._identity = answer[:DRIVE_ID_BYTES]
            self._drive_id = DriveId(self._identity.decode("ascii", "replace").strip())
        decoder = result_decoders.get(type(op))
        return cast("R", decoder.decode(memoryview(answer)[DRIVE_ID_BYTES:]) if decoder else None)

    async def create_shard(self, data_id: DataId, part: int, shard: int) -> ShardSink:
        try:
            stream = await self._peer.upload(resource_of(self._place, data_id, part, shard))
        except (RpcError, TimeoutError) as error:
            raise _as_drive_error(error) from error
        return _RemoteSink(self, stream, (data_id, part, shard))

    async def read_shard(
        self, data_id: DataId, part: int, shard: int, *, offset: int, size: int
    ) -> Buffer:
        resource = resource_of(self._place, data_id, part, shard)
        try:
            return await self._peer.fetch(resource, offset=offset, size=size)
        except (RpcError, TimeoutError) as error:
            raise _as_drive_error(error) from error

    async def close(self) -> None:
        """Nothing to let go of: the peer's connections belong to whoever runs its client."""


class _RemoteSink:
    """A shard that is being sent."""

    def __init__(self, drive: RemoteDrive, stream: Stream, name: tuple[DataId, int, int]) -> None:
        self._drive = drive
        self._stream = stream
        self._name = name
        self._finished = False
        self._aborted = False

    async def write(self, *pieces: Buffer) -> None:
        if self._aborted:
            raise DriveRefusal("the shard was given up")
        try:
            await self._stream.write(*pieces)
        except (RpcError, TimeoutError) as error:
            raise _as_drive_error(error) from error

    async def finish(self) -> None:
        try:
            await self._stream.finish()
        except (RpcError, TimeoutError) as error:
            raise _as_drive_error(error) from error
        self._finished = True

    async def abort(self) -> None:
        self._aborted = True
        await self._stream.abort()
        if self._finished:
            # The stream is over and the file durable: only a call can remove it now. If it does
            # not arrive, the reaper finds an orphan.
            self._finished = False
            with suppress(DriveError):
                await self._drive.call(DiscardShards((self._name,)))


def _deadline_s(op: Op[R]) -> float:
    """Reading a shard whole takes longer than any other call."""
    return SHARD_CALL_DEADLINE_S * 3 if isinstance(op, VerifyShard) else CALL_DEADLINE_S

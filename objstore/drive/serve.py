"""The drives of this server, for its peers: what drive/remote.py reaches over rpc/."""

from collections.abc import Mapping
from typing import cast

import msgspec

from objstore.drive.api import Buffer, Drive, ShardSink
from objstore.drive.envelope import (
    FAILURE_MALFORMED,
    call_decoder,
    detail_of,
    encode_answer,
    not_here,
    parse_resource,
)
from objstore.drive.ops import Op
from objstore.errors import DriveError, DriveOffline
from objstore.names import DataId
from objstore.rpc.session import CallFailed


def _failed(error: DriveError) -> CallFailed:
    return CallFailed(type(error).__name__, str(error), detail_of(error))


class DriveServer:
    """Answers for drives by their places in the layout. Implements rpc's ShardHandler."""

    def __init__(self, drives: Mapping[str, Drive]) -> None:
        """Serve `drives`, by place ("pool/set/drive")."""
        self._drives = drives

    async def call(self, payload: bytes) -> bytes:
        """Answer the method `drive`.

        Raises:
            CallFailed: the drive raised, or there is no such drive, or no such op.
        """
        try:
            call = call_decoder.decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CallFailed(FAILURE_MALFORMED, str(error)) from error
        try:
            drive = self._find(call.place)
            result = await drive.call(cast("Op[object]", call.op))
        except DriveError as error:
            raise _failed(error) from error
        return encode_answer(drive.drive_id, result)

    async def create(self, resource: str) -> "_Receiver":
        place, data_id, part, shard = _parsed(resource)
        try:
            return _Receiver(await self._find(place).create_shard(data_id, part, shard))
        except DriveError as error:
            raise _failed(error) from error

    async def send(self, resource: str, *, offset: int, size: int) -> Buffer:
        place, data_id, part, shard = _parsed(resource)
        try:
            drive = self._find(place)
            return await drive.read_shard(data_id, part, shard, offset=offset, size=size)
        except DriveError as error:
            raise _failed(error) from error

    def _find(self, place: str) -> Drive:
        drive = self._drives.get(place)
        if drive is None:
            raise not_here(place)
        return drive


class _Receiver:
    """A drive's sink whose exceptions travel. Implements rpc's ShardReceiver."""

    def __init__(self, sink: ShardSink) -> None:
        self._sink = sink

    async def write(self, *pieces: Buffer) -> None:
        try:
            await self._sink.write(*pieces)
        except DriveError as error:
            raise _failed(error) from error

    async def finish(self) -> None:
        try:
            await self._sink.finish()
        except DriveError as error:
            raise _failed(error) from error

    async def abort(self) -> None:
        await self._sink.abort()


def _parsed(resource: str) -> tuple[str, DataId, int, int]:
    parsed = parse_resource(resource)
    if parsed is None:
        raise _failed(DriveOffline("no name of a shard"))
    return parsed

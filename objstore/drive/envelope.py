"""How a call to a drive travels: which drive, which op, and which exception came of it.

Used by both ends, drive/remote.py and drive/serve.py. Format: docs/protocol/rpc.md, "What
travels inside".
"""

import re
from typing import Final

import msgspec

from objstore import errors
from objstore.drive.ops import RESULTS, AnyOp
from objstore.errors import DriveError, DriveFaulty, DriveOffline, DriveRefusal, Superseded
from objstore.names import STAMP_BYTES, DataId, DriveId, Stamp
from objstore.rpc.frame import FAILURE_METHOD

METHOD: Final = "drive"
FAILURE_MALFORMED: Final = "malformed"  # perhaps a call that only a newer server knows
DRIVE_ID_BYTES: Final = 32

_RESOURCE: Final = re.compile(
    r"([0-9]{1,4}/[0-9]{1,6}/[0-9]{1,4})/([0-9a-f]{32})/([0-9]{1,5})/([0-9]{1,2})"
)

# Every exception a drive may raise, by the name it travels under.
FAILURES: Final[dict[str, type[DriveError]]] = {
    kind.__name__: kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, DriveError)
}


class DriveCall(msgspec.Struct, frozen=True, array_like=True):
    """An op for the drive at one place of the layout."""

    place: str
    op: AnyOp


encoder: Final = msgspec.msgpack.Encoder()
call_decoder: Final = msgspec.msgpack.Decoder(DriveCall)
result_decoders: Final[dict[type, msgspec.msgpack.Decoder[object]]] = {
    op: msgspec.msgpack.Decoder(result) for op, result in RESULTS.items() if result is not None
}


def place_of(pool: int, set_index: int, drive: int) -> str:
    """Name a drive by its place in the layout."""
    return f"{pool}/{set_index}/{drive}"


def resource_of(place: str, data_id: DataId, part: int, shard: int) -> str:
    """Name a shard file of the drive at `place`."""
    return f"{place}/{data_id.hex()}/{part}/{shard}"


def parse_resource(resource: str) -> tuple[str, DataId, int, int] | None:
    """Return (place, data id, part, shard), or None when it is no such name."""
    match = _RESOURCE.fullmatch(resource)
    if match is None:
        return None
    place, data_id, part, shard = match.groups()
    return place, DataId(bytes.fromhex(data_id)), int(part), int(shard)


def encode_answer(drive_id: DriveId, result: object) -> bytes:
    """Encode what an op gave, after the identity of the drive that gave it."""
    identity = drive_id.encode().ljust(DRIVE_ID_BYTES)
    return identity if result is None else identity + encoder.encode(result)


def detail_of(error: DriveError) -> bytes:
    """Return what an exception carries beyond its text."""
    return error.held if isinstance(error, Superseded) else b""


def rebuild_error(kind: str, text: str, detail: bytes) -> DriveError:
    """Return the exception that a failure on the wire stands for.

    A kind that this version does not know comes from a newer one, or says that the peer's handler
    broke: the drive did not do what was asked, and nothing more can be said.
    """
    if kind == Superseded.__name__ and len(detail) == STAMP_BYTES:
        return Superseded(Stamp(detail))
    if kind == FAILURE_MALFORMED:
        return DriveRefusal(f"the drive's server does not know this call: {text}")
    if kind == FAILURE_METHOD:
        return DriveOffline("the drive's server is starting")
    failure = FAILURES.get(kind)
    if failure is None or failure is Superseded:
        return DriveFaulty(f"the drive's server failed: {kind} {text}".rstrip())
    return failure(text)


def not_here(place: str) -> DriveOffline:
    """Return the refusal of a drive that this server does not have."""
    return DriveOffline(f"no drive {place} on this server")

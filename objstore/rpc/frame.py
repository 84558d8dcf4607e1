"""The frames of a session between servers. Format page: docs/protocol/rpc.md.

One message is a msgpack array of frames. Encoding a frame and joining frames to a message are
apart, so that frames queued one by one leave as one message without being encoded again.
"""

import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from objstore.errors import RpcError
from objstore.limits import MIB, RPC_FRAME_BYTES_MAX

MESSAGE_BYTES_AIM: Final = 1 * MIB  # more frames than this go into the next message
MESSAGE_BYTES_MAX: Final = RPC_FRAME_BYTES_MAX + 1 * MIB
FRAMES_PER_MESSAGE_MAX: Final = 65_535

FAILURE_INTERNAL: Final = "internal"
FAILURE_METHOD: Final = "method"

_ARRAY_16: Final = struct.Struct(">BH")
_ARRAY_16_MARK: Final = 0xDC


class Frame(msgspec.Struct, frozen=True, array_like=True):
    """Anything that travels in a session."""


class Request(Frame, frozen=True, array_like=True, tag=0):
    """A call."""

    id: int
    method: str
    payload: bytes


class Answer(Frame, frozen=True, array_like=True, tag=1):
    """What a call gave."""

    id: int
    payload: bytes


class Failure(Frame, frozen=True, array_like=True, tag=2):
    """Why a call gave nothing: `kind` is for programs, `text` for people."""

    id: int
    kind: str
    text: str
    detail: bytes


class Cancel(Frame, frozen=True, array_like=True, tag=3):
    """Nobody waits for the call any more."""

    id: int


class Ping(Frame, frozen=True, array_like=True, tag=4):
    """Are you there?"""

    time_ms: int


class Pong(Frame, frozen=True, array_like=True, tag=5):
    """Yes; and this is the time here."""

    ping_ms: int
    time_ms: int


class Welcome(Frame, frozen=True, array_like=True, tag=6):
    """The answerer says who it is and proves it."""

    nonce: str
    time_ms: int
    claims: bytes
    proof: bytes


class Join(Frame, frozen=True, array_like=True, tag=7):
    """The caller says who it is and proves that it is here now."""

    claims: bytes
    proof: bytes


class Ready(Frame, frozen=True, array_like=True, tag=8):
    """The session is open."""


class Refused(Frame, frozen=True, array_like=True, tag=9):
    """The other side proved itself, and is not one to talk to."""

    reason: str


class Leaving(Frame, frozen=True, array_like=True, tag=10):
    """The answerer was told to stop, and may be back in a moment: begin nothing new with it."""


AnyFrame = (
    Request | Answer | Failure | Cancel | Ping | Pong | Welcome | Join | Ready | Refused | Leaving
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[AnyFrame, ...])
_claims_decoder = msgspec.msgpack.Decoder(dict[str, str])


def encode_frame(frame: AnyFrame) -> bytes:
    """Encode one frame, to be joined to a message.

    Raises:
        RpcError: it is larger than a frame may be.
    """
    encoded = _encoder.encode(frame)
    if len(encoded) > RPC_FRAME_BYTES_MAX:
        raise RpcError(f"a frame of {len(encoded)} bytes; the limit is {RPC_FRAME_BYTES_MAX}")
    return encoded


def join_frames(encoded: Sequence[bytes]) -> bytes:
    """Make one message of encoded frames."""
    count = len(encoded)
    assert 0 < count <= FRAMES_PER_MESSAGE_MAX
    head = bytes((0x90 | count,)) if count < 16 else _ARRAY_16.pack(_ARRAY_16_MARK, count)
    return b"".join((head, *encoded))


def decode_message(message: bytes) -> tuple[AnyFrame, ...]:
    """Return the frames of one message.

    Raises:
        RpcError: it is not an array of frames that this version knows.
    """
    try:
        return _decoder.decode(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RpcError(f"the peer sent a message that is none: {error}") from error


def encode_claims(claims: dict[str, str]) -> bytes:
    """Encode what a side says of itself."""
    return _encoder.encode(claims)


def decode_claims(encoded: bytes) -> dict[str, str]:
    """Return what the other side says of itself.

    Raises:
        RpcError: it is not a map of text to text.
    """
    try:
        return _claims_decoder.decode(encoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RpcError(f"the peer sent claims that are none: {error}") from error

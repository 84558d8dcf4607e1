"""Frames: what is encoded is decoded, batches keep order, junk is refused and never crashes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from objstore.errors import RpcError
from objstore.limits import RPC_FRAME_BYTES_MAX
from objstore.rpc.frame import (
    Answer,
    AnyFrame,
    Cancel,
    Failure,
    Join,
    Leaving,
    Ping,
    Pong,
    Ready,
    Refused,
    Request,
    Welcome,
    decode_claims,
    decode_message,
    encode_claims,
    encode_frame,
    join_frames,
)

numbers = st.integers(0, 2**63)
frames = st.one_of(
    st.builds(Request, numbers, st.text(max_size=20), st.binary(max_size=300)),
    st.builds(Answer, numbers, st.binary(max_size=300)),
    st.builds(Failure, numbers, st.text(max_size=20), st.text(max_size=20), st.binary(max_size=20)),
    st.builds(Cancel, numbers),
    st.builds(Ping, numbers),
    st.builds(Pong, numbers, numbers),
    st.builds(Welcome, st.text(max_size=8), numbers, st.binary(max_size=9), st.binary(max_size=9)),
    st.builds(Join, st.binary(max_size=9), st.binary(max_size=9)),
    st.builds(Ready),
    st.builds(Refused, st.text(max_size=20)),
    st.builds(Leaving),
)


@settings(max_examples=100)
@given(st.lists(frames, min_size=1, max_size=40))
def test_a_message_gives_its_frames_in_order(sent: list[AnyFrame]) -> None:
    assert decode_message(join_frames([encode_frame(frame) for frame in sent])) == tuple(sent)


def test_the_array_header_grows_with_the_batch() -> None:
    for count in (1, 15, 16, 255, 65_535):
        message = join_frames([encode_frame(Ping(1))] * count)
        assert len(decode_message(message)) == count


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_junk_is_an_rpc_error_or_frames(junk: bytes) -> None:
    try:
        decode_message(junk)
    except RpcError:
        return


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x91",
        b"\x91\x91\x63",  # a kind that does not exist
        b"\x91\x92\x00\x01",  # a Request without its fields
        b"\x91\x94\x00\xa1x\xa1m\xc4\x00",  # an id that is text
        join_frames([encode_frame(Ready())]) + b"\x00",  # trailing junk
        b"\x91" * 5000,  # depth
        b"\xdd\xff\xff\xff\xff",  # an array of four thousand million frames
    ],
)
def test_what_is_no_message_is_refused(message: bytes) -> None:
    with pytest.raises(RpcError):
        decode_message(message)


def test_a_frame_above_the_limit_is_refused_by_its_sender() -> None:
    with pytest.raises(RpcError, match="limit"):
        encode_frame(Request(1, "m", bytes(RPC_FRAME_BYTES_MAX)))


def test_claims_are_text_to_text() -> None:
    assert decode_claims(encode_claims({"server": "a:1"})) == {"server": "a:1"}
    for junk in (b"", b"\x81\xa1a\x01", b"\x93\x01\x02\x03"):
        with pytest.raises(RpcError):
            decode_claims(junk)

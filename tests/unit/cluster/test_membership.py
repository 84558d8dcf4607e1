"""What a server says of itself, and what servers of other versions make of it."""

import msgspec

from objstore.cluster.membership import Membership, ServerState, decode_state
from objstore.testing.fake_clock import FakeClock

STATE = ("a:9000", "0f", False, True, "0.1.0", 5, 9)


def test_a_server_of_an_older_version_says_no_configuration() -> None:
    assert decode_state(msgspec.msgpack.encode(STATE)) == ServerState(*STATE)
    assert ServerState(*STATE).configuration == ""


def test_a_server_of_a_newer_version_may_say_more() -> None:
    state = decode_state(msgspec.msgpack.encode((*STATE, "c0ffee", "something new")))
    assert state == ServerState(*STATE, "c0ffee")


async def test_what_a_server_says_is_what_it_runs_now() -> None:
    membership = Membership(
        server="a:9000", servers=("a:9000", "b:9000"), layout="x", version="1", clock=FakeClock()
    )
    for configuration in ("one", "two"):
        membership.configuration = configuration
        told = decode_state(await membership.answer_state(b"b:9000"))
        assert told.configuration == configuration

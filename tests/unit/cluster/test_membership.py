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


def test_servers_with_different_witnesses_refuse_each_other_and_say_why() -> None:
    def member(server: str, *witness: str) -> Membership:
        return Membership(
            server=server,
            servers=("a:9000", "b:9000"),
            layout="x",
            version="1",
            clock=FakeClock(),
            witness=witness,
        )

    one, same = member("a:9000", "http://w:2379"), member("b:9000", "http://w:2379")
    assert one.admit(same.claims()) == ""
    for other in (member("b:9000"), member("b:9000", "http://v:2379")):
        assert "it has another witness" in one.admit(other.claims())
        assert "it has another witness" in other.admit(one.claims())
    older = dict(same.claims())
    del older["witness"]  # a version without the setting has none
    assert "its witness is off, here it is http://w:2379" in one.admit(older)
    assert member("a:9000").admit(older) == ""

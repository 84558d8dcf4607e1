"""Whom a certificate names, as a client compares."""

import pytest

from objstore.wire.certificate import Certificate, public_key_of, read_chain
from tests.authority import Authority


def naming(*names: str) -> Certificate:
    return Certificate("CN=x", names, 0, 1, b"")


@pytest.mark.parametrize(
    ("names", "host", "named"),
    [
        (("server1",), "server1", True),
        (("server1",), "SERVER1", True),
        (("server1",), "server1.", True),
        (("server1",), "server10", False),
        (("server1",), "server1.example.com", False),
        (("*.example.com",), "a.example.com", True),
        (("*.example.com",), "a.b.example.com", False),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), ".example.com", False),
        (("*",), "server1", False),
        (("*.0.0.1",), "127.0.0.1", False),
        (("127.0.0.1",), "127.0.0.1", True),
        (("127.0.0.1",), "127.0.0.2", False),
        (("::1",), "[::1]", True),
        (("::1",), "0:0:0:0:0:0:0:1", True),
        ((), "server1", False),
    ],
)
def test_names_are_compared_as_a_client_does(
    names: tuple[str, ...], host: str, named: bool
) -> None:
    assert naming(*names).names_host(host) == named


def test_a_pair_belongs_together_and_its_facts_are_read() -> None:
    pair, other = (Authority().sign("Server1", "::1", "10.0.0.1", last_day=3) for _ in range(2))
    (leaf,) = read_chain(pair.certificate)
    assert leaf.names == ("server1", "::1", "10.0.0.1")
    assert leaf.not_after_s - leaf.not_before_s == 4 * 86_400
    assert public_key_of(pair.key) == leaf.public_key != public_key_of(other.key)

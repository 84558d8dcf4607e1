"""Hosts do what tests of clusters rely on: faults have the direction and the effect they say."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.hosts import Host, Network, hosts_work

pytestmark = pytest.mark.root
PORT = 7000
# Answers each datagram with its own content.
ECHO = (
    "import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(('', 7000))\n"
    "while True: data, peer = s.recvfrom(9000); s.sendto(data, peer)"
)
# Sends a datagram and prints what comes from anybody within a second.
SEND = (
    "import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)\n"
    "s.sendto(b'hello', (sys.argv[1], 7000))\n"
    "try: print(s.recvfrom(9000)[0].decode())\n"
    "except TimeoutError: print('nothing')"
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    if not hosts_work():
        pytest.skip("this machine makes no network namespaces")
    with Network.running(tmp_path_factory.mktemp("hosts"), servers=2) as made:
        yield made


@pytest.fixture
def pair(network: Network) -> Iterator[tuple[Host, Host]]:
    one, two = network.hosts
    two.start(["python3", "-c", ECHO])
    deadline = time.monotonic() + 10
    while asks(one, two) != "hello":
        assert time.monotonic() < deadline
    yield one, two
    network.heal()
    two.kill()


def asks(source: Host, target: Host) -> str:
    """Send from one host to the other by name; return the answer."""
    return source.run(["python3", "-c", SEND, target.name]).strip()


def test_a_host_has_its_own_mnt_and_knows_the_others(pair: tuple[Host, Host]) -> None:
    one, two = pair
    (one.directory / "note").write_text("one's", encoding="utf-8")
    assert one.run(["cat", "/mnt/note"]) == "one's"
    assert two.run(["ls", "/mnt"]) == ""


def test_a_half_cut_loses_one_direction_only(network: Network, pair: tuple[Host, Host]) -> None:
    one, two = pair
    network.half_cut(two, one)  # the question arrives, the answer does not
    assert asks(one, two) == "nothing"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.settimeout(5)
        here.sendto(b"from outside", (two.address, PORT))
        assert here.recv(100) == b"from outside"
    network.join()
    assert asks(one, two) == "hello"


def test_a_cut_loses_both(network: Network, pair: tuple[Host, Host]) -> None:
    one, two = pair
    network.cut(one, two)
    assert asks(one, two) == "nothing"
    network.join()
    assert asks(one, two) == "hello"


def test_a_frozen_host_answers_once_it_is_thawed(pair: tuple[Host, Host]) -> None:
    one, two = pair
    two.freeze()
    assert asks(one, two) == "nothing"
    two.thaw()
    assert asks(one, two) == "hello"


def test_a_killed_host_has_no_processes(pair: tuple[Host, Host]) -> None:
    _, two = pair
    two.kill()
    assert two.pids() == []


def test_a_network_leaves_nothing_behind(tmp_path: Path) -> None:
    with Network.running(tmp_path, servers=2) as network:
        sleeper = network.hosts[0].start(["sleep", "60"])
        bridge, number = network.bridge, network.number
        network.hosts[1].slow_link(100_000)
    assert sleeper.wait(5) != 0
    assert not list(Path("/sys/class/net").glob(f"{bridge}*"))
    assert not list(Path("/run/netns").glob(f"{bridge}*")), number

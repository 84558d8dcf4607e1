"""Which server this is, its ports, and its plan: found, or refused in words."""

import os
import socket
from pathlib import Path

import pytest

from objstore.clock import SystemEntropy
from objstore.config import load_settings
from objstore.errors import ConfigError
from objstore.server.order import LogFormat, Role, StartOrder, decode_order, encode_order
from objstore.server.place import internal_port, own_server, peer_url
from objstore.server.plan import make_plan
from objstore.server.sockets import Port, listen_on, reserve_port
from objstore.topology.layout import layout_of

LOCAL = ["http://127.0.0.1:9000/a/d{1...2}", "http://127.0.0.1:9010/b/d{1...2}"]
SECRETS = {
    "OBJSTORE_ROOT_USER": "operator",
    "OBJSTORE_ROOT_PASSWORD": "correct-horse",
    "OBJSTORE_CLUSTER_SECRET": "a secret that all servers share: 0123456789",
}


def find(endpoints: list[str], **options: object) -> str:
    settings = load_settings(endpoints=endpoints, environment={}, options=options)
    return own_server(settings, layout_of(settings))


def test_the_port_tells_servers_of_one_machine_apart() -> None:
    assert find(LOCAL, address="127.0.0.1:9000") == "127.0.0.1:9000"
    assert find(LOCAL, address=":9010") == "127.0.0.1:9010"


def test_addresses_tell_machines_apart() -> None:
    endpoints = ["http://203.0.113.1:9000/d{1...2}", "http://localhost:9000/d{1...2}"]
    assert find(endpoints) == "localhost:9000"


def test_local_paths_need_no_name() -> None:
    assert find(["/data/d{1...4}"]) == ""


def test_a_server_that_is_named_is_taken_at_its_word() -> None:
    endpoints = ["http://203.0.113.1:9000/d{1...2}", "http://203.0.113.2:9000/d{1...2}"]
    assert find(endpoints, server="203.0.113.2:9000") == "203.0.113.2:9000"
    with pytest.raises(ConfigError):
        find(endpoints, server="203.0.113.3:9000")


@pytest.mark.parametrize(
    "endpoints",
    [
        ["http://203.0.113.1:9000/d{1...2}", "http://203.0.113.2:9000/d{1...2}"],
        ["http://127.0.0.1:9000/d{1...2}", "http://127.0.0.2:9000/e{1...2}"],
        ["http://127.0.0.1:9100/d{1...2}", "http://203.0.113.2:9100/e{1...2}"],
    ],
)
def test_no_server_or_several_that_could_be_this_one_are_refused(endpoints: list[str]) -> None:
    with pytest.raises(ConfigError):
        find(endpoints)


def test_the_internal_port_is_two_above_and_single_servers_have_none() -> None:
    settings = load_settings(endpoints=LOCAL, environment={}, options={"address": ":9010"})
    assert internal_port(settings, "127.0.0.1:9010") == Port("", 9012)
    assert peer_url(settings, "127.0.0.1:9000") == "http://127.0.0.1:9002"
    assert internal_port(settings, "") is None


def plan(endpoints: list[str], environment: dict[str, str], tmp_path: Path) -> StartOrder:
    made = make_plan(
        endpoints=endpoints,
        config=None,
        environment=environment,
        options={"address": "127.0.0.1:9000", "workers": 3},
        log_format=LogFormat.JSON,
        entropy=SystemEntropy(),
    )
    return StartOrder(
        role=Role.WORKER,
        index=1,
        parent=os.getpid(),
        server=made.server,
        settings=made.settings,
        secrets=made.secrets,
        log_format=made.log_format,
        replay_descriptor=7,
        buckets_descriptor=8,
    )


def test_an_order_reaches_the_process_as_it_was_given(tmp_path: Path) -> None:
    order = plan(LOCAL, SECRETS, tmp_path)
    line = encode_order(order)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_order(line) == order


def test_only_servers_with_peers_need_the_cluster_secret(tmp_path: Path) -> None:
    without = {name: value for name, value in SECRETS.items() if "CLUSTER" not in name}
    drawn = plan([str(tmp_path / "d{1...4}")], without, tmp_path).secrets.cluster_secret
    assert len(drawn) >= 32
    with pytest.raises(ConfigError, match="CLUSTER_SECRET"):
        plan(LOCAL, without, tmp_path)


def test_tls_that_is_not_there_is_not_promised(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="https"):
        plan([one.replace("http:", "https:") for one in LOCAL], SECRETS, tmp_path)


def test_a_busy_port_is_refused_even_when_its_owner_shares_it() -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = Port("127.0.0.1", other.getsockname()[1])
        with pytest.raises(ConfigError) as caught:
            reserve_port(port, purpose="S3")
        assert str(port.number) in caught.value.found


def test_a_reserved_port_is_shared_by_this_servers_processes_and_nobody_else() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = Port("127.0.0.1", probe.getsockname()[1])
    with (
        reserve_port(port, purpose="S3"),
        listen_on(port, purpose="S3"),
        listen_on(port, purpose="S3"),
        pytest.raises(ConfigError),
    ):
        reserve_port(port, purpose="S3")


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"203\.0\.113\.1"):
        reserve_port(Port("203.0.113.1", 9000), purpose="S3")

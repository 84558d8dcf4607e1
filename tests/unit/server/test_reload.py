"""The configuration while a server runs: what is noticed, what is taken, what is refused."""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from objstore.clock import SystemEntropy
from objstore.config import IdentitySettings, Secrets, Settings
from objstore.errors import ConfigError
from objstore.server.configuration import GENERATION_DIGITS, changed_names, generation_of
from objstore.server.order import LiveChange, LogFormat, decode_change, encode_change
from objstore.server.plan import Plan, make_plan
from objstore.server.reload import Reloadable
from objstore.server.standard_input import LineInput
from objstore.server.watch import FileWatch, files_of

SECRETS = Secrets("operator", "correct-horse", "a secret that all servers share: 0123456789")
ANN = IdentitySettings("ann", "ann's secret key", secret_in="/etc/one")
BEN = IdentitySettings("ben", "ben's secret key")
SETTINGS = Settings(identities=(ANN, BEN))


# --- which configuration it is ---------------------------------------------------------


def test_servers_that_are_configured_alike_show_the_same_hash() -> None:
    mine = generation_of(SETTINGS, SECRETS)
    assert len(mine) == GENERATION_DIGITS
    elsewhere = replace(ANN, secret_in="/etc/other")
    alike = replace(
        SETTINGS, identities=(BEN, elsewhere), host="10.0.0.2", port=9100, workers=16,
        server="10.0.0.2:9100", internal_port=9200,
    )  # fmt: skip
    assert generation_of(alike, SECRETS) == mine


@pytest.mark.parametrize(
    "other",
    [
        replace(SETTINGS, identities=(ANN,)),
        replace(SETTINGS, identities=(replace(ANN, secret_key="another secret"), BEN)),
        replace(SETTINGS, identities=(replace(ANN, display_name="Ann"), BEN)),
        replace(SETTINGS, region="eu-west-1"),
        replace(SETTINGS, metrics_public=True),
    ],
)
def test_whatever_differs_shows(other: Settings) -> None:
    assert generation_of(other, SECRETS) != generation_of(SETTINGS, SECRETS)


def test_the_hash_cannot_be_guessed_without_the_cluster_secret() -> None:
    keyed_otherwise = replace(SECRETS, cluster_secret="x" + SECRETS.cluster_secret)
    assert generation_of(SETTINGS, keyed_otherwise) != generation_of(SETTINGS, SECRETS)


def test_what_can_change_is_named_and_what_can_not_is_refused_whole() -> None:
    old = (SETTINGS, SECRETS)
    assert changed_names(old, old) == ()
    new = (
        replace(SETTINGS, identities=(ANN,), metrics_public=True),
        replace(SECRETS, root_password="battery-staple", metrics_token="a token of scrapes"),
    )
    assert set(changed_names(old, new)) == {
        *("identities", "metrics_public", "metrics_token", "root_password")
    }
    for fixed in (
        (replace(new[0], region="eu-west-1"), new[1]),
        (replace(new[0], port=9001), new[1]),
        (new[0], replace(new[1], cluster_secret="y" * 40)),
    ):
        with pytest.raises(ConfigError, match="restart"):
            changed_names(old, fixed)


# --- files -----------------------------------------------------------------------------


def test_a_change_counts_once_it_has_come_to_rest(tmp_path: Path) -> None:
    file = tmp_path / "objstore.toml"
    file.write_text("a")
    watch = FileWatch([str(file)])
    assert not watch.changed()
    file.write_text("half of")
    assert not watch.changed()
    file.write_text("half of it, and the rest")
    assert not watch.changed()
    assert watch.changed()
    assert not watch.changed()


def test_a_file_that_is_replaced_or_removed_or_comes_has_changed(tmp_path: Path) -> None:
    file, other = tmp_path / "objstore.toml", tmp_path / "new"
    file.write_text("a")
    watch = FileWatch([str(file)])
    for change in (
        lambda: (other.write_text("a"), other.replace(file)),
        file.unlink,
        lambda: file.write_text("b"),
    ):
        change()
        assert [watch.changed() for _ in range(3)] == [False, True, False]


def test_every_file_that_a_secret_stands_in_is_watched(tmp_path: Path) -> None:
    found = files_of(
        SETTINGS,
        config=tmp_path / "objstore.toml",
        environment={"OBJSTORE_ROOT_PASSWORD_FILE": "/run/password", "HOME": "/root"},
    )
    assert found == (str(tmp_path / "objstore.toml"), "/etc/one", "/run/password")


# --- taking changes --------------------------------------------------------------------

Reload = tuple[Reloadable, Path, Callable[[str], None]]


@pytest.fixture
def reload(tmp_path: Path) -> Reload:
    config = tmp_path / "objstore.toml"

    def write(sections: str) -> None:
        config.write_text(f'[[pools]]\nendpoints = ["{tmp_path}/d{{1...4}}"]\n{sections}')

    write("")
    read: Callable[[], Plan] = partial(
        make_plan,
        endpoints=(),
        config=config,
        environment={"OBJSTORE_ROOT_USER": "operator", "OBJSTORE_ROOT_PASSWORD": "correct-horse"},
        options={"address": "127.0.0.1:9000"},
        log_format=LogFormat.TEXT,
        entropy=SystemEntropy(),
    )
    return Reloadable(read(), read), config, write


def test_a_server_alone_keeps_the_cluster_secret_that_was_drawn_for_it(reload: Reload) -> None:
    live, _, write = reload
    drawn = live.plan.secrets.cluster_secret
    write('[[identities]]\naccess_key = "ann"\nsecret_key = "ann\'s secret key"\n')
    assert live.read_again()
    assert [one.access_key for one in live.plan.settings.identities] == ["ann"]
    assert live.plan.secrets.cluster_secret == drawn
    assert not live.read_again()  # the same again


@pytest.mark.parametrize(
    "sections",
    [
        "no TOML",
        '[[identities]]\naccess_key = "ann"\n',
        '[[identities]]\naccess_key = "operator"\nsecret_key = "ann\'s secret key"\n',
        '[[pools]]\nendpoints = ["/elsewhere/d{1...4}"]\n',
    ],
)
def test_what_is_refused_changes_nothing_and_is_said(reload: Reload, sections: str) -> None:
    live, _, write = reload
    before = live.plan
    write(sections)
    with capture_logs() as logs:
        assert not live.read_again()
    assert live.plan is before
    (line,) = [one for one in logs if one["log_level"] == "error"]
    assert {"found", "expected", "what_to_do"} <= line.keys()
    assert "ann's secret key" not in str(logs)


def test_the_files_of_a_new_configuration_are_watched(reload: Reload) -> None:
    live, config, write = reload
    secret = config.parent / "ann.secret"
    secret.write_text("ann's first secret")
    write('[[identities]]\naccess_key = "ann"\nsecret_key_file = "ann.secret"\n')
    assert [live.poll() for _ in range(3)] == [False, True, False]
    secret.write_text("ann's second secret")
    assert [live.poll() for _ in range(3)] == [False, True, False]
    assert live.plan.settings.identities[0].secret_key == "ann's second secret"


# --- on its way to a worker ------------------------------------------------------------


def test_a_change_reaches_a_worker_as_it_was_made() -> None:
    change = LiveChange(settings=SETTINGS, secrets=SECRETS)
    line = encode_change(change)
    assert line.count(b"\n") == 1
    assert decode_change(line) == change


async def test_lines_are_read_before_the_event_loop_and_in_it(tmp_path: Path) -> None:
    """What came together with an earlier line is not lost, whatever the pieces."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        told = LineInput(ours.fileno())
        theirs.sendall(b"order\ndeployment\nchange 1\nchan")
        assert told.read_line() == b"order"
        assert told.read_line() == b"deployment"
        taken: list[bytes] = []
        told.follow(taken.append)
        assert taken == [b"change 1"]
        for piece in (b"ge 2", b"\n\nchange 3\n"):
            theirs.sendall(piece)
            await asyncio.sleep(0.01)
        theirs.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(5):
            while len(taken) < 4:
                await asyncio.sleep(0.01)
        assert taken == [b"change 1", b"change 2", b"", b"change 3"]
        await asyncio.sleep(0.01)  # the end is seen, and no longer looked for


def test_an_input_that_ends_gives_an_empty_line() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"half a line")
    os.close(writing)
    assert LineInput(reading).read_line() == b""
    os.close(reading)

"""Layouts on one machine: the servers read back exactly the layout that was meant."""

import tomllib
from pathlib import Path

import pytest

from objstore.cli.local_layout import layout_of_file, uniform_layout
from objstore.config import load_settings
from objstore.errors import ConfigError
from objstore.names import Scheme
from objstore.topology.layout import layout_of

ROOT = Path(__file__).parents[3]
CONFIGS = sorted((ROOT / "config").glob("*.toml"))


def test_the_default_is_two_servers_with_two_drives_alternating(tmp_path: Path) -> None:
    local = uniform_layout(tmp_path, servers=2, drives=2, parity=1, base_port=9000)
    (only,) = local.layout.sets
    assert only.scheme == Scheme(3, 1)
    assert [(drive.server, drive.path) for drive in only.drives] == [
        ("127.0.0.1:9000", f"{tmp_path}/server1/drive1"),
        ("127.0.0.1:9010", f"{tmp_path}/server2/drive1"),
        ("127.0.0.1:9000", f"{tmp_path}/server1/drive2"),
        ("127.0.0.1:9010", f"{tmp_path}/server2/drive2"),
    ]
    assert local.drives[1][0] == tmp_path / "server2" / "drive1"
    # port + 1 stays free for a console
    assert local.ports() == (9000, 9002, 9010, 9012)


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_layout_keeps_its_shape(config: Path, tmp_path: Path) -> None:
    given = layout_of(load_settings(config=config, environment={}))
    local = layout_of_file(tmp_path, config, base_port=9000)
    assert [(s.pool, s.index, s.scheme, s.slots, s.rotate) for s in local.layout.sets] == [
        (s.pool, s.index, s.scheme, s.slots, s.rotate) for s in given.sets
    ]
    assert len(local.layout.servers) == len(given.servers)
    for here, there in zip(local.layout.sets, given.sets, strict=True):
        for mine, theirs in zip(here.drives, there.drives, strict=True):
            assert Path(mine.path).name == Path(theirs.path).name


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_the_servers_read_the_layout_that_was_meant(config: Path, tmp_path: Path) -> None:
    local = layout_of_file(tmp_path, config, base_port=9000)
    written = tmp_path / "layout.toml"
    written.write_text(local.to_toml(), encoding="utf-8")
    read = layout_of(load_settings(config=written, environment={}))
    assert read == local.layout


def test_odd_directories_survive_the_configuration_file(tmp_path: Path) -> None:
    for name in ('a "quoted" one', "back\\slash", "ümlaut 🗄", "[brackets] = 'x'"):
        directory = tmp_path / name
        local = uniform_layout(directory, servers=2, drives=2, parity=1, base_port=9000)
        document = tomllib.loads(local.to_toml())
        assert all(str(directory) in one for one in document["pools"][0]["endpoints"])


def test_drives_with_one_name_on_a_server_are_numbered(tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        '[[pools]]\nendpoints = ["http://a:1/x/d", "http://a:1/y/d", "http://b:1/x/d", '
        '"http://b:1/y/d"]\n'
    )
    local = layout_of_file(tmp_path, config, base_port=9000)
    assert [path.name for path in local.drives[0]] == ["drive1", "drive2"]


def test_the_shape_does_not_depend_on_ports(tmp_path: Path) -> None:
    shapes = [
        uniform_layout(tmp_path, servers=2, drives=2, parity=parity, base_port=port).describe(
            tmp_path
        )
        for port, parity in ((9000, 1), (9500, 1), (9000, 2))
    ]
    assert shapes[0] == shapes[1]
    assert shapes[0] != shapes[2]


@pytest.mark.parametrize("port", [0, -1, 65_530, 70_000])
def test_ports_that_do_not_exist_are_refused(port: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        uniform_layout(tmp_path, servers=2, drives=2, parity=1, base_port=port)


def test_a_parity_that_the_drives_cannot_have_is_refused(tmp_path: Path) -> None:
    uniform_layout(tmp_path, servers=2, drives=2, parity=3, base_port=9000)  # full copies
    with pytest.raises(ConfigError):
        uniform_layout(tmp_path, servers=2, drives=2, parity=4, base_port=9000)

"""A quickstart's directory: it is claimed once, continued, and never mistaken for another."""

import json
import stat
from pathlib import Path

import pytest

from objstore.cli.credentials import load_credentials
from objstore.cli.local_layout import LocalLayout, uniform_layout
from objstore.cli.quickstart_dir import claim
from objstore.clock import SystemEntropy
from objstore.errors import ConfigError


def layout(directory: Path, *, parity: int = 1, port: int = 9000) -> LocalLayout:
    return uniform_layout(directory, servers=2, drives=2, parity=parity, base_port=port)


def test_a_new_or_empty_directory_is_claimed_and_continued(tmp_path: Path) -> None:
    directory = tmp_path / "new" / "data"
    assert claim(directory, layout(directory), ("http://127.0.0.1:9000",))
    assert json.loads((directory / "quickstart.json").read_text())["endpoints"] == [
        "http://127.0.0.1:9000"
    ]
    (directory / "server1").mkdir()
    assert not claim(directory, layout(directory, port=9500), ("http://127.0.0.1:9500",))
    assert "9500" in (directory / "quickstart.json").read_text()


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError) as caught:
        claim(tmp_path, layout(tmp_path), ())
    assert "thesis.tex" in caught.value.found
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ConfigError):
        claim(path, layout(path), ())


def test_another_parity_or_layout_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    claim(tmp_path, layout(tmp_path), ("a",))
    before = (tmp_path / "quickstart.json").read_bytes()
    with pytest.raises(ConfigError) as caught:
        claim(tmp_path, layout(tmp_path, parity=2), ("a",))
    assert "3 + 1" in caught.value.found
    assert "2 + 2" in caught.value.expected
    bigger = uniform_layout(tmp_path, servers=2, drives=3, parity=1, base_port=9000)
    with pytest.raises(ConfigError):
        claim(tmp_path, bigger, ("a",))
    assert (tmp_path / "quickstart.json").read_bytes() == before


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"layout": 1}', '{"format": 2}', "\x00"])
def test_a_damaged_file_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "quickstart.json").write_text(content)
    with pytest.raises(ConfigError):
        claim(tmp_path, layout(tmp_path), ())


# --- credentials ------------------------------------------------------------------------


def test_secrets_are_drawn_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    first = load_credentials(tmp_path, environment={}, entropy=SystemEntropy())
    mode = stat.S_IMODE((tmp_path / "credentials").stat().st_mode)
    assert mode == 0o600
    again = load_credentials(tmp_path, environment={}, entropy=SystemEntropy())
    assert again == first
    assert not first.from_environment
    lines = (tmp_path / "credentials").read_text().splitlines()
    assert [line.split("=")[0] for line in lines] == [
        "OBJSTORE_ROOT_USER",
        "OBJSTORE_ROOT_PASSWORD",
        "OBJSTORE_CLUSTER_SECRET",
    ]
    other = load_credentials(tmp_path / "..", environment={}, entropy=SystemEntropy())
    assert other.secrets != first.secrets


def test_a_credential_of_the_environment_is_used_and_not_written_down(tmp_path: Path) -> None:
    environment = {"OBJSTORE_ROOT_USER": "operator", "OBJSTORE_ROOT_PASSWORD": "correct-horse"}
    found = load_credentials(tmp_path, environment=environment, entropy=SystemEntropy())
    assert found.from_environment
    assert found.secrets.root_user == "operator"
    text = (tmp_path / "credentials").read_text()
    assert "correct-horse" not in text
    assert text.startswith("OBJSTORE_CLUSTER_SECRET=")


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    load_credentials(tmp_path, environment={}, entropy=SystemEntropy())
    environment = {"OBJSTORE_ROOT_USER": "operator", "OBJSTORE_ROOT_PASSWORD": "correct-horse"}
    found = load_credentials(tmp_path, environment=environment, entropy=SystemEntropy())
    assert found.secrets.root_password == "correct-horse"


@pytest.mark.parametrize(
    "environment",
    [
        {"OBJSTORE_ROOT_USER": "operator"},
        {"OBJSTORE_ROOT_PASSWORD": "correct-horse"},
        {"OBJSTORE_ROOT_USER": "minioadmin", "OBJSTORE_ROOT_PASSWORD": "minioadmin"},
        {"OBJSTORE_ROOT_USER": "operator", "OBJSTORE_ROOT_PASSWORD": "short"},
        {"OBJSTORE_CLUSTER_SECRET": "short"},
    ],
)
def test_half_weak_and_default_credentials_are_refused(
    environment: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError):
        load_credentials(tmp_path, environment=environment, entropy=SystemEntropy())


@pytest.mark.parametrize(
    "content", ["OTHER=hunter2", "hunter2", "OBJSTORE_ROOT_USER=\nhunter2", "\xff"]
)
def test_a_damaged_credentials_file_is_refused_without_quoting_it(
    content: str, tmp_path: Path
) -> None:
    (tmp_path / "credentials").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        load_credentials(tmp_path, environment={}, entropy=SystemEntropy())
    assert "hunter2" not in str(caught.value)

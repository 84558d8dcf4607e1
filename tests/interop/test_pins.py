"""Every client is at an exact version, and the operator's page says which."""

import json
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "operating" / "clients.md"
DEBIAN = {"restic"}
# Parts of others: not what a user would call a client.
COMPONENTS = {"fsspec"}


def python_pins() -> dict[str, str]:
    clients, _, _ = (HERE / "requirements.txt").read_text("utf-8").partition("# What they need")
    lines = [line for line in clients.splitlines() if line and not line.startswith("#")]
    return dict(line.split("==") for line in lines)


def node_pins() -> dict[str, str]:
    document = json.loads((HERE / "package.json").read_text("utf-8"))
    pins: dict[str, str] = document["dependencies"]
    return pins


def rows() -> list[tuple[str, str]]:
    """Return the package and the version of each row: "name (package)", or the name alone."""
    found = []
    for line in PAGE.read_text("utf-8").splitlines():
        if cells := re.match(r"\| ([^|]+) \| ([^|]+) \|", line):
            name, version = cells.groups()
            inside = re.search(r"\(([^)]+)\)", name)
            found.append((inside.group(1) if inside else name, version))
    return found[1:]  # without the heading


def test_every_pin_is_exact() -> None:
    lines = (HERE / "requirements.txt").read_text("utf-8").splitlines()
    for line in lines:
        assert not line or line.startswith("#") or re.fullmatch(r"[\w.-]+==[\w.]+", line), line
    for name, version in node_pins().items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name
    locked = json.loads((HERE / "package-lock.json").read_text("utf-8"))
    assert locked["packages"][""]["dependencies"] == node_pins()


def test_the_page_names_every_client_at_its_version() -> None:
    python = {item for item in python_pins().items() if item[0] not in COMPONENTS}
    assert {row for row in rows() if row[0] not in DEBIAN} == python | set(node_pins().items())
    assert {name for name, _ in rows()} >= DEBIAN

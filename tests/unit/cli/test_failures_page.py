"""docs/operating/failures.md says of the layouts in config/ what `layout explain` says of them."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from objstore import limits
from objstore.cli.layout import app

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/operating/failures.md").read_text(encoding="utf-8")
CONFIGS = sorted(path.name for path in (ROOT / "config").glob("*.toml"))


@pytest.fixture(autouse=True)
def eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")


def survival_of(config: str) -> str:
    """Return what `layout explain` prints of what a layout survives."""
    printed = CliRunner().invoke(app, ["explain", str(ROOT / "config" / config)]).stdout
    lines = [line.rstrip() for line in printed.splitlines()]
    return "\n".join(lines[lines.index("Without one drive") : _end(lines)]).strip()


def _end(lines: list[str]) -> int:
    return next(number for number, line in enumerate(lines) if line.startswith("How likely"))


@pytest.mark.parametrize("config", CONFIGS)
def test_every_layout_has_its_table_and_it_is_current(config: str) -> None:
    found = re.search(
        rf"objstore layout explain config/{config}\n\n```\n(.*?)\n```", PAGE, re.DOTALL
    )
    assert found is not None, f"failures.md has no table for {config}"
    command = f"objstore layout explain config/{config}"
    assert found.group(1) == survival_of(config), f"copy it from: COLUMNS=80 {command}"


@pytest.mark.parametrize(
    "bound",
    [
        "LOST_SERVER_S",
        "WRITE_STRAGGLER_S",
        "DRIVE_SLOW_S",
        "DRIVE_LEFT_BEHIND_S",
        "DRIVE_SLOW_REST_S",
        "DRIVE_SLOW_REST_S_MAX",
        "READ_DECISION_DEADLINE_S",
        "READ_HEDGE_S",
        "LIST_HEDGE_S",
        "CALL_DEADLINE_S",
        "SHARD_CALL_DEADLINE_S",
        "WRITE_DECISION_DEADLINE_S",
        "DRIVE_PROBE_INTERVAL_S",
    ],
)
def test_every_bound_has_its_figure(bound: str) -> None:
    assert f"| {getattr(limits, bound):g} s | `{bound}` |" in PAGE

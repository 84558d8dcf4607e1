"""The dashboard, the alerts and their page agree; promtool, where it is, accepts the files."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.monitoring_files import (
    ALERTS,
    SCRAPE,
    alerts,
    dashboard,
    dashboard_expressions,
    metrics_asked_for,
)

PAGE = Path(__file__).parents[2] / "docs" / "operating" / "monitoring.md"


def test_panels_are_told_apart_and_do_not_overlap() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert max(x for x, _ in cells) < 24
        assert not cells & taken
        taken |= cells
    assert all(panel["title"] for panel in panels)


@pytest.mark.parametrize("query", [*dashboard_expressions(), *alerts().values()])
def test_queries_are_balanced_and_ask_for_something(query: str) -> None:
    for left, right in ("()", "[]", "{}"):
        assert query.count(left) == query.count(right)
    assert re.search(r"objstore_|minio_|\bup\b", query)


def test_counters_are_asked_for_their_rate_and_nothing_else_is() -> None:
    """A counter's value says when its server began, a gauge's rate nothing."""
    for query in (*dashboard_expressions(), *alerts().values()):
        rated = set(re.findall(r"(?:rate|increase)\((objstore_\w+)", query))
        counters = set(re.findall(r"objstore_\w+_(?:total|bucket)\b", query))
        assert rated == counters, query


def test_every_alert_has_its_paragraph_and_every_paragraph_its_alert() -> None:
    told = set(re.findall(r"^\| `(Objstore\w+)` \|", PAGE.read_text(), re.MULTILINE))
    assert told == set(alerts())


def test_every_metric_that_is_asked_for_is_explained() -> None:
    page = PAGE.read_text()
    missing = {
        name
        for name in metrics_asked_for()
        if name not in page and name.removesuffix("_bucket") not in page
    }
    assert not missing


def test_promtool_accepts_the_rules_and_the_scrape_configuration() -> None:
    beside_python = Path(sys.executable).with_name("promtool")
    promtool = str(beside_python) if beside_python.exists() else shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool (in Debian's package prometheus)")
    # The files that the configuration names are Prometheus's own, and not here.
    for command in (("check", "rules", ALERTS), ("check", "config", "--syntax-only", SCRAPE)):
        done = subprocess.run([promtool, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

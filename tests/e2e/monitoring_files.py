"""What deploy/ asks of Prometheus: the metrics in its dashboard and its alerts."""

import json
import re
from pathlib import Path
from typing import Any

DEPLOY = Path(__file__).parents[2] / "deploy"
DASHBOARD = DEPLOY / "grafana" / "objstore.json"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
SCRAPE = DEPLOY / "prometheus" / "scrape.yml"
_METRIC = re.compile(r"\b(?:objstore|minio)_[a-z0-9_]+\b")


def dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    document: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return document


def dashboard_expressions() -> list[str]:
    """Return every query of the dashboard."""
    panels = dashboard()["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def alerts() -> dict[str, str]:
    """Return every alert with its query. The file keeps each query on one line."""
    text = ALERTS.read_text(encoding="utf-8")
    found = re.findall(r"^ *- alert: (\w+)\n *expr: (.+)$", text, re.MULTILINE)
    assert len(found) == text.count("- alert:")
    return dict(found)


def metrics_asked_for() -> set[str]:
    """Return every metric that a query names."""
    queries = [*dashboard_expressions(), *alerts().values()]
    return {name for query in queries for name in _METRIC.findall(query)}

"""Rounds of figures become medians, ratios, a table, JSON and a picture."""

import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

PROBE = "probe"
ONE_SERVER = "one server, four drives"
TWO_SERVERS = "two servers, two drives each"


@dataclass(frozen=True)
class Compared:
    """What a figure is compared with, and what has been promised of that ratio."""

    name: str
    cluster: str = ""  # another cluster's figure; "": the same cluster's, or a probe
    promised: float | None = None

    @property
    def words(self) -> str:
        """What it is compared with."""
        return self.cluster.partition(",")[0] or self.name


COMPARED: Mapping[str, Mapping[str, Compared]] = {
    ONE_SERVER: {
        "PUT 64 MiB": Compared("MD5, one core", promised=0.45),
        "GET 64 MiB": Compared("MD5, one core", promised=1.0),
        "degraded GET 64 MiB": Compared("GET 64 MiB", promised=0.85),
        "PUT 4 KiB": Compared("aiohttp, 100 bytes"),
        "GET 4 KiB": Compared("aiohttp, 100 bytes"),
        "degraded GET 4 KiB": Compared("GET 4 KiB"),
    },
    # What it costs that half of the shards travel.
    TWO_SERVERS: {
        "PUT 64 MiB": Compared("PUT 64 MiB", ONE_SERVER, promised=0.70),
        "GET 64 MiB": Compared("GET 64 MiB", ONE_SERVER),
        "degraded GET 64 MiB": Compared("GET 64 MiB", promised=0.85),
        "PUT 4 KiB": Compared("PUT 4 KiB", ONE_SERVER, promised=0.60),
        "GET 4 KiB": Compared("GET 4 KiB", ONE_SERVER),
        "degraded GET 4 KiB": Compared("GET 4 KiB"),
    },
}
PROMISED_PER_S = {(ONE_SERVER, "PUT 4 KiB"): 1000.0}


@dataclass
class Rounds:
    """Every figure of every round: cluster (or `PROBE`) -> name -> values, one per round."""

    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    latencies: dict[str, dict[str, list[tuple[float, float]]]] = field(default_factory=dict)

    def add(self, where: str, name: str, value: float) -> None:
        """Note one figure of this round."""
        self.figures.setdefault(where, {}).setdefault(name, []).append(value)

    def add_latency(self, where: str, name: str, p50_ms: float, p99_ms: float) -> None:
        """Note how long single requests took in this round."""
        self.latencies.setdefault(where, {}).setdefault(name, []).append((p50_ms, p99_ms))


@dataclass(frozen=True)
class Line:
    """One row of the table: medians over the rounds."""

    cluster: str
    name: str
    median: float
    low: float
    high: float
    unit: str
    ratio: float | None
    ratio_to: str
    p50_ms: float
    p99_ms: float
    kept: str  # "yes", "no" or "" where nothing was promised


def unit_of(name: str) -> str:
    """Return the unit in which a figure is measured."""
    small = name.endswith(("4 KiB", "100 bytes", "4 KiB, fdatasync"))
    return "/s" if small else "MiB/s"


def lines_of(rounds: Rounds) -> list[Line]:
    """Return the table; ratios are medians of each round's ratio, not ratios of medians."""
    lines = []
    for cluster, names in rounds.figures.items():
        for name, values in names.items():
            against = COMPARED.get(cluster, {}).get(name)
            ratios = [
                a / b for a, b in zip(values, _others(rounds, cluster, against), strict=False)
            ]
            latencies = rounds.latencies.get(cluster, {}).get(name, [(0.0, 0.0)])
            lines.append(
                Line(
                    cluster=cluster,
                    name=name,
                    median=statistics.median(values),
                    low=min(values),
                    high=max(values),
                    unit=unit_of(name),
                    ratio=statistics.median(ratios) if ratios else None,
                    ratio_to=against.words if against else "",
                    p50_ms=statistics.median(p50 for p50, _ in latencies),
                    p99_ms=statistics.median(p99 for _, p99 in latencies),
                    kept=_kept(cluster, name, statistics.median(values), ratios),
                )
            )
    return lines


def _others(rounds: Rounds, cluster: str, against: Compared | None) -> Sequence[float]:
    """Return the figures that are the denominators, one per round."""
    if against is None:
        return []
    if against.cluster:
        return rounds.figures[against.cluster][against.name]
    return rounds.figures[cluster].get(against.name) or rounds.figures[PROBE].get(against.name, [])


def _kept(cluster: str, name: str, value: float, ratios: Sequence[float]) -> str:
    kept = []
    against = COMPARED.get(cluster, {}).get(name)
    if against is not None and against.promised is not None:
        kept.append(statistics.median(ratios) >= against.promised)
    if (cluster, name) in PROMISED_PER_S:
        kept.append(value >= PROMISED_PER_S[cluster, name])
    return ("yes" if all(kept) else "no") if kept else ""


def promise_of(cluster: str, name: str) -> str:
    """Return what was promised of a figure, in words."""
    against = COMPARED.get(cluster, {}).get(name)
    if against is not None and against.promised is not None:
        return f"at least {against.promised:.2f} x {against.words}"
    if (cluster, name) in PROMISED_PER_S:
        return f"at least {PROMISED_PER_S[cluster, name]:,.0f}/s"
    return ""


def table(lines: Sequence[Line]) -> str:
    """Return the lines as a Markdown table."""
    rows = [
        "| where | what | median | lowest to highest | ratio | p50, p99 ms | promised | kept |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for line in lines:
        ratio = f"{line.ratio:.2f} x {line.ratio_to}" if line.ratio is not None else ""
        latency = f"{line.p50_ms:.1f}, {line.p99_ms:.1f}" if line.p99_ms else ""
        promised = promise_of(line.cluster, line.name)
        rows.append(
            f"| {line.cluster} | {line.name} | {line.median:,.0f} {line.unit} "
            f"| {line.low:,.0f} to {line.high:,.0f} | {ratio} | {latency} | {promised} "
            f"| {line.kept} |"
        )
    return "\n".join(rows)


def write_json(path: Path, rounds: Rounds, memory_mib: Mapping[str, float]) -> None:
    """Write every figure of every round, so that anybody can compute otherwise."""
    document = {
        "machine": {"python": platform.python_version(), "system": platform.platform()},
        "figures": rounds.figures,
        "latencies_ms": rounds.latencies,
        "memory_mib": memory_mib,
    }
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def draw(path: Path, lines: Sequence[Line]) -> None:
    """Draw the ratios of each cluster, with what was promised, as a PNG."""
    import matplotlib as mpl  # noqa: PLC0415  only the picture needs it

    mpl.use("Agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    clusters = [name for name in dict.fromkeys(line.cluster for line in lines) if name != PROBE]
    names = [name for name in COMPARED[ONE_SERVER] if any(line.name == name for line in lines)]
    figure, axes = plt.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    for axis, suffix in zip(axes, ("64 MiB", "4 KiB"), strict=True):
        chosen = [name for name in names if name.endswith(suffix)]
        width = 0.8 / max(1, len(clusters))
        for number, cluster in enumerate(clusters):
            found = {line.name: line for line in lines if line.cluster == cluster}
            xs = [at + number * width for at in range(len(chosen))]
            ys = [found[name].median if name in found else 0.0 for name in chosen]
            bars = axis.bar(
                xs, ys, width * 0.92, label=cluster, color=("#1f6f8b", "#99c24d")[number]
            )
            labels = [_label(found[name]) if name in found else "" for name in chosen]
            axis.bar_label(bars, labels=labels, fontsize=7, padding=2)
        axis.set_xticks([at + width * (len(clusters) - 1) / 2 for at in range(len(chosen))])
        axis.set_xticklabels([name.removesuffix(" " + suffix) for name in chosen])
        axis.set_title(f"{suffix}, concurrency {4 if suffix == '64 MiB' else 32}")
        axis.set_ylabel("MiB/s" if suffix == "64 MiB" else "requests/s")
        axis.spines[["top", "right"]].set_visible(False)
        axis.margins(y=0.18)
        _draw_probe(axis, lines, "MD5, one core" if suffix == "64 MiB" else "")
    axes[0].legend(frameon=False, fontsize=8)
    figure.suptitle("Durable, 3 + 1; medians; load generator on the same machine", fontsize=10)
    figure.savefig(path, dpi=140)
    plt.close(figure)


def _label(line: Line) -> str:
    against = line.ratio_to.partition(",")[0]
    for suffix in (" 64 MiB", " 4 KiB", " server"):  # there is little room
        against = against.removesuffix(suffix)
    ratio = f"\n{line.ratio:.2f} x {against}" if line.ratio is not None else ""
    return f"{line.median:,.0f}{ratio}"


def _draw_probe(axis, lines: Sequence[Line], name: str) -> None:  # type: ignore[no-untyped-def]
    for line in lines:
        if line.cluster == PROBE and line.name == name:
            axis.axhline(line.median, color="#b23a48", linewidth=1, linestyle="--", label=name)

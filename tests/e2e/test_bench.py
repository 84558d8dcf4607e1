"""The benchmark runs, checks what it moves, and reports every figure it promises."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.report import COMPARED, ONE_SERVER, PROBE, TWO_SERVERS, Rounds, lines_of, table

pytestmark = pytest.mark.xdist_group("disks")

ROOT = Path(__file__).parents[2]
FIGURES = {
    f"{what} {size}" for what in ("PUT", "GET", "degraded GET") for size in ("64 MiB", "4 KiB")
}


@pytest.mark.slow
def test_a_quick_round(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "bench", "--quick", "--rounds", "1", "--no-memory"),
            *("--directory", str(tmp_path), "--json", str(out)),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    document = json.loads(out.read_text("utf-8"))
    figures = document["figures"]
    assert len(figures) == 3
    assert len(figures.pop(PROBE)) == 5
    for measured in figures.values():
        assert set(measured) == FIGURES
        assert all(value > 0 for values in measured.values() for value in values)
    for name in FIGURES:
        assert f"| {name} |" in done.stdout


def test_a_miss_is_reported_as_a_miss() -> None:
    rounds = Rounds()
    for md5, put, get, degraded in ((800, 300, 900, 800), (400, 200, 500, 450), (800, 500, 600, 1)):
        rounds.add(PROBE, "MD5, one core", md5)
        rounds.add(ONE_SERVER, "PUT 64 MiB", put)
        rounds.add(ONE_SERVER, "GET 64 MiB", get)
        rounds.add(ONE_SERVER, "degraded GET 64 MiB", degraded)
        rounds.add(ONE_SERVER, "PUT 4 KiB", 999.0)
        rounds.add(TWO_SERVERS, "PUT 64 MiB", 0.6 * put)
        rounds.add(TWO_SERVERS, "PUT 4 KiB", 600.0)
    lines = [line for line in lines_of(rounds) if line.cluster != PROBE]
    kept = {line.name: line for line in lines if line.cluster == ONE_SERVER}
    # Ratios are taken within a round: 300/800, 200/400 and 500/800.
    assert kept["PUT 64 MiB"].ratio == pytest.approx(0.5)
    assert kept["PUT 64 MiB"].kept == "yes"
    assert kept["GET 64 MiB"].ratio == pytest.approx(1.125)
    assert kept["degraded GET 64 MiB"].ratio == pytest.approx(800 / 900)
    assert kept["PUT 4 KiB"].kept == "no"
    two = {line.name: line for line in lines if line.cluster == TWO_SERVERS}
    assert two["PUT 64 MiB"].ratio == pytest.approx(0.6)
    assert two["PUT 64 MiB"].kept == "no"
    assert two["PUT 4 KiB"].kept == "yes"
    text = table(lines)
    assert text.count("at least") == len(lines)


def test_every_figure_is_compared_with_something() -> None:
    assert set(COMPARED) == {ONE_SERVER, TWO_SERVERS}
    assert all(set(figures) == FIGURES for figures in COMPARED.values())

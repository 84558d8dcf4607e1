"""The benchmark runs, checks what it moves, and reports every figure it promises."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench import heal_report
from bench.foreground import Waited
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


def _healed(object_bytes: int, seconds: float, p99_ms: float) -> heal_report.Result:
    """100 objects, put at 40/s, of EC:2: a drive has half of their bytes."""
    waited = {"GET": Waited(100, 0, 1.0, p99_ms, 100.0)}
    healing = heal_report.Healing(seconds + 3, seconds, 100, 50 * object_bytes, waited)
    return heal_report.Result(
        name="x",
        parity=2,
        objects=100,
        object_bytes=object_bytes,
        puts_per_s=(30.0, 50.0),
        alone=healing,
        with_clients=healing,
        before={"GET": Waited(100, 0, 1.0, 10.0, 10.0)},
    )


def test_what_is_healed_is_compared_with_what_is_put_in_the_same_unit() -> None:
    large = 64 * heal_report.MIB
    slow, quick = _healed(large, 10.0, 20.0), _healed(large, 4.0, 20.1)
    assert slow.ratio(slow.alone) == pytest.approx(10 / 40)
    assert slow.shard_mib_per_s(slow.alone) == pytest.approx(320)
    assert [slow.kept(slow.alone), quick.kept(quick.alone)] == ["no", "yes"]
    assert [slow.waits(), quick.waits()] == [{"GET": 2.0}, {"GET": pytest.approx(2.01)}]
    text = heal_report.table([slow, quick])
    assert text.count("| yes |") == 3
    assert text.count("| no |") == 3


def test_small_objects_are_counted() -> None:
    assert _healed(4096, 0.19, 1.0).kept(_healed(4096, 0.19, 1.0).alone) == "yes"
    assert _healed(4096, 0.21, 1.0).kept(_healed(4096, 0.21, 1.0).alone) == "no"

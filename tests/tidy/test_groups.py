"""Tests of one xdist group run in one process: they share what they start, or fill the disks."""

import os
import subprocess
import sys
from pathlib import Path

GROUPED = """
import os, time
import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(6))
def test_says_where_it_runs(number):
    time.sleep(0.05)
    with open("said", "a") as file:
        print(os.environ["PYTEST_XDIST_WORKER"], file=file)
"""
PYTEST = [sys.executable, "-m", "pytest", "-q", "--rootdir", ".", "-p", "xdist"]
ALONE = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # with no plugin but that


def test_a_group_stays_together(tmp_path: Path) -> None:
    """pytest and pytest-xdist have to fit each other for that; not all versions do."""
    (tmp_path / "test_grouped.py").write_text(GROUPED, "utf-8")
    command = [*PYTEST, "-n", "2", "--dist", "loadgroup", "."]
    done = subprocess.run(
        command, cwd=tmp_path, env=ALONE, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout
    said = (tmp_path / "said").read_text("utf-8").split()
    assert len(said) == 6
    assert len(set(said)) == 1

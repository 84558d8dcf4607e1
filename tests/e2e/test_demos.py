"""Every demonstration keeps its promises: each starts its own cluster and checks every byte."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("disks")


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize("name", ["drive-pull", "server-down", "bitrot", "documented-layout"])
def test_demo(name: str, no_aws_settings: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "objstore", "demo", name],
        env={"PATH": os.environ["PATH"], "HOME": str(no_aws_settings), "COLUMNS": "120"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    assert done.stdout.strip()

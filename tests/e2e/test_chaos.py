"""`objstore chaos` keeps every promise, tells what it did, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("faults"), pytest.mark.timeout(400)]


def start(home: Path, *options: str) -> subprocess.Popen[str]:
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return subprocess.Popen(
        [sys.executable, "-m", "objstore", "chaos", *options],
        env=kept | {"HOME": str(home), "TMPDIR": str(home), "COLUMNS": "160"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_chaos(tmp_path: Path) -> None:
    done = start(tmp_path, "--duration", "8s", "--seed", "5", "--json")
    out, err = done.communicate(timeout=350)
    assert done.returncode == 0, out[-4000:] + err[-4000:]
    report = json.loads(out)
    print(err, json.dumps(report, indent=1))
    assert report["kept"]
    assert report["seed"] == 5
    assert report["faults"]
    assert report["objects_verified"] > 0
    assert report["full_redundancy_s"] is not None
    assert not list(tmp_path.iterdir())


def test_ctrl_c_ends_it_in_order(tmp_path: Path) -> None:
    running = start(tmp_path, "--duration", "10m", "--seed", "1")
    time.sleep(4)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, out + err
    assert "Interrupted" in out
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_done_is_refused(tmp_path: Path) -> None:
    refused = start(tmp_path, "--servers", "4", "--drives", "1")
    _, err = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "partition" in err
    assert "what to do" in err
    assert not list(tmp_path.iterdir())

"""F2, F3: power cuts of real file systems. `.ci/run powercuts N` cuts it as often as one likes."""

import os
import shutil

import pytest

from tests.crash.power_cuts import VICTIMS, NoDisksError, run_cuts

pytestmark = [
    pytest.mark.xdist_group("faults"),
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount file systems"),
]
CUTS = 100  # of each file system


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_power_cuts_lose_nothing_that_was_acknowledged(kind: str) -> None:
    if shutil.which(f"mkfs.{kind}") is None:
        pytest.skip(f"no mkfs.{kind} here")
    try:
        report = run_cuts(kind, CUTS, seed=1)
    except NoDisksError as error:
        pytest.skip(f"this machine mounts no {kind} images: {error}")
    print(f"{kind}: {report}")
    assert not report.wrong, "\n".join(report.wrong)
    assert sum(report.cuts.values()) == CUTS
    assert set(report.cuts) == set(VICTIMS)
    assert report.acknowledged > CUTS

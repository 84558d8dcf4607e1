"""Histories of real servers under the nemeses are possible; the long form is run.py."""

from pathlib import Path

import pytest

from tests.history import campaign

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("disks"), pytest.mark.timeout(300)]
_DURATION_S = 15.0  # with start, healing and reads in the end, under a minute each


@pytest.mark.parametrize(("seed", "parity"), [(1, 2), (2, 1)])
async def test_a_history_is_possible(tmp_path: Path, seed: int, parity: int) -> None:
    verdict = await campaign.run(tmp_path, seed=seed, duration_s=_DURATION_S, parity=parity)
    print(verdict)
    assert verdict.good, str(verdict)
    assert len(verdict.events) > 100

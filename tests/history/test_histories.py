"""Histories of real servers under every nemesis are possible; the long form is run.py."""

from pathlib import Path

import pytest

from tests.history import campaign

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("disks"), pytest.mark.timeout(300)]
_DURATION_S = 18.0


@pytest.mark.parametrize(("seed", "parity"), [(1, 2)])
async def test_a_history_is_possible(tmp_path: Path, seed: int, parity: int) -> None:
    verdict = await campaign.run(tmp_path, seed=seed, duration_s=_DURATION_S, parity=parity)
    print(verdict)
    assert verdict.good, str(verdict)
    assert len(verdict.events) > 200
